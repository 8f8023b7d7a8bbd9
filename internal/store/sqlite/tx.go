package sqlite

import (
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// memory is what the writer keeps beside the database: the next numbers, and what is
// needed to say where a time lies in the row order. It is loaded at open and changed
// only by what commits.
type memory struct {
	message, delivery, event, attempt, suppression int64 // the next rows
	token                                          int64 // the next lease token
	tail                                           span
	depth                                          depthCount
}

// span is a stretch of message rows with the bounds of their created_at.
type span struct{ first, last, oldest, newest int64 }

// tx is the one open transaction. What it changes in memory is a copy until apply.
type tx struct {
	w        *writer
	conn     *sqlite.Conn
	s        *statements
	wrote    bool   // by the op that runs
	now      memory // the writer's, as it will be
	heads    []headChange
	woke     bool       // events were written
	nodeMade bool       // by this transaction
	files    []*spooled // taken over by messages of this transaction

	used       []used // messages, for their day's count
	usageSaved bool   // the count is written down by this transaction
	dropUsage  bool
}

func (t *tx) open(w *writer) {
	t.w, t.conn, t.s = w, w.conn, &w.stmts
	t.now = w.memo
	t.heads, t.files, t.woke = t.heads[:0], t.files[:0], false
	t.nodeMade = false
	t.used, t.usageSaved, t.dropUsage = t.used[:0], false, false
}

// beforeCommit writes what is gathered per transaction.
func (t *tx) beforeCommit() error {
	if err := t.saveUsage(); err != nil {
		return err
	}
	return t.closeSpan()
}

// apply makes the memory's changes true, after the commit is on disk.
func (t *tx) apply() {
	s := t.w.store
	t.w.memo = t.now
	s.published.Lock()
	s.published.tail, s.published.depth = t.now.tail, t.now.depth
	t.countUsed()
	s.published.Unlock()
	s.heads.apply(t.heads)
	for _, f := range t.files {
		f.adopted.Store(true)
	}
	if t.woke {
		s.wake.broadcast()
	}
}

// published is the part of the writer's memory that readers look at.
type published struct {
	sync.Mutex
	tail  span
	depth depthCount
}

// exec runs a statement that writes.
func (t *tx) exec(s *sqlite.Stmt) error {
	t.wrote = true
	_, err := s.Step()
	_ = s.Reset()
	return err
}

func (t *tx) nextToken() int64 {
	t.now.token++
	return t.now.token - 1
}

// binder binds the parameters of a statement in order.
type binder struct {
	s *sqlite.Stmt
	n int
}

func bind(s *sqlite.Stmt) binder { return binder{s: s} }

func (b *binder) int(v int64) {
	b.n++
	b.s.BindInt64(b.n, v)
}

// intOrNull binds 0 as NULL.
func (b *binder) intOrNull(v int64) {
	b.n++
	if v == 0 {
		b.s.BindNull(b.n)
		return
	}
	b.s.BindInt64(b.n, v)
}

func (b *binder) flag(v bool) {
	b.n++
	b.s.BindBool(b.n, v)
}

func (b *binder) text(v string) {
	b.n++
	b.s.BindText(b.n, v)
}

// textOrNull binds the empty text as NULL.
func (b *binder) textOrNull(v string) {
	b.n++
	if v == "" {
		b.s.BindNull(b.n)
		return
	}
	b.s.BindText(b.n, v)
}

func (b *binder) bytes(v []byte) {
	b.n++
	b.s.BindBytes(b.n, v)
}

func (b *binder) id(v mail.ID) { b.bytes(v[:]) }

// idOrNull binds the zero ID as NULL.
func (b *binder) idOrNull(v mail.ID) {
	b.n++
	if v.IsZero() {
		b.s.BindNull(b.n)
		return
	}
	b.s.BindBytes(b.n, v[:])
}

func (b *binder) time(v time.Time) { b.intOrNull(micros(v)) }

// micros is how times are stored; the zero time is 0, and NULL where that may be.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func ownerKey(o mail.Owner) int64 { return o.Project<<1 | int64(o.Env&1) }

func ownerOf(key int64) mail.Owner {
	return mail.Owner{Project: key >> 1, Env: mail.Env(key & 1)}
}

func columnID(s *sqlite.Stmt, col int) (id mail.ID) {
	s.ColumnBytes(col, id[:])
	return id
}

func columnTime(s *sqlite.Stmt, col int) time.Time { return fromMicros(s.ColumnInt64(col)) }

// columnBlob gives a copy of a column's bytes (text or blob), nil for NULL.
func columnBlob(s *sqlite.Stmt, col int) []byte {
	n := s.ColumnLen(col)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	s.ColumnBytes(col, b)
	return b
}

// only gives the one a look-up by a unique name found, or mail.ErrNotFound.
func only[T any](all []T, err error) (one T, _ error) {
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return one, err
	}
	return all[0], nil
}

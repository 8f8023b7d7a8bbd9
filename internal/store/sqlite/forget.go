package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/retention"
)

// What is deleted here is overwritten with zeros by SQLite (secure_delete), contents lose
// their keys (bodykey.go), and what the write-ahead log still has goes with Scrub. Each step is one op of the writer,
// bounded by time, so that mail waits for it no longer than for another commit.
const (
	forgetTime  = 3 * time.Millisecond // of the writer, for one step
	forgetBytes = 2 << 20              // of contents, likewise: zeros have to be written for them
	forgetIdle  = time.Second          // a message with a time of its own may come in any moment
)

// The kinds of walks and revisits, as stored.
const (
	forgetContent = iota
	forgetMessage
	forgetEvent
	forgetReport // what was kept of a mail that came back; never stored
)

// forgetter is what the walks know without asking. Forget is not called twice at a time.
type forgetter struct {
	sync.Mutex
	looks map[walkKey]*look
}

type walkKey struct{ owner, kind int64 }

// look is when a walk has something to do again. keep is the time it was reckoned with: when
// a project changes it, all is reckoned anew.
type look struct {
	at, keep int64
	row      int64 // as far as the walk has come
}

// errand is one thing a step found to do.
type errand struct {
	kind, row int64
	was       int64 // the revisit's time; 0: the walk found it
	again     int64 // look again then; 0: remove it now; never: there is nothing to do
}

// round is one step while it is made.
type round struct {
	errands []errand
	walk    *walkKey // whose errands they are, unless they are revisits
	row     int64    // where the walk stands after them
	step    retention.Step
	files   []string // of contents, to be unlinked after the commit
	hosted  []string // likewise
	done    int      // errands
}

// Forget makes one step: revisits first, then the first walk that has something to do.
func (s *Store) Forget(ctx context.Context, now time.Time) (retention.Step, error) {
	s.forgetter.Lock()
	defer s.forgetter.Unlock()
	if s.forgetter.looks == nil {
		s.forgetter.looks = make(map[walkKey]*look)
	}
	f := forgetting{now: micros(now), floor: s.relay.floor.Load(), looks: s.forgetter.looks}
	if err := s.read(ctx, func(conn *sqlite.Conn) error { return snapshot(conn, f.survey) }); err != nil {
		return retention.Step{}, fmt.Errorf("look for what is to be forgotten: %w", err)
	}
	r := &f.round
	if len(r.errands) > 0 || r.walk != nil {
		if err := s.write(ctx, r.write); err != nil {
			s.forgetter.looks = nil // they say that this was done
			return retention.Step{}, fmt.Errorf("forget what is due: %w", err)
		}
		if r.walk != nil {
			l := f.looks[*r.walk]
			if l.row = r.row; r.done < len(r.errands) {
				l.row, l.at = r.errands[max(r.done-1, 0)].row, 0
			}
		}
		s.unlink(r.files)
		s.unlinkFiles(r.hosted)
		f.next = f.now
	}
	r.step.Next = fromMicros(min(f.next, f.now+forgetIdle.Microseconds()))
	return r.step, nil
}

// write is the op.
func (r *round) write(t *tx) error {
	began := time.Now()
	r.step, r.files, r.done = retention.Step{}, r.files[:0], 0
	r.hosted = r.hosted[:0]
	for _, e := range r.errands {
		if r.done > 0 && (time.Since(began) > forgetTime || r.step.Bytes > forgetBytes) {
			break
		}
		if err := t.run(&e, r); err != nil {
			return err
		}
		r.done++
	}
	if r.walk != nil {
		row := r.row
		if r.done < len(r.errands) {
			row = r.errands[r.done-1].row
		}
		b := bind(t.conn.Prep(`INSERT OR REPLACE INTO retention_walks (owner, kind, row) VALUES (?,?,?)`))
		b.int(r.walk.owner)
		b.int(r.walk.kind)
		b.int(row)
		if err := t.exec(b.s); err != nil {
			return err
		}
	}
	if r.step.Contents > 0 {
		if err := t.trimKeys(); err != nil {
			return err
		}
	}
	if r.step.Messages == 0 && r.step.Events == 0 {
		return nil
	}
	if err := t.trimSpans(); err != nil {
		return err
	}
	return t.keepNumbers()
}

func (t *tx) run(e *errand, r *round) error {
	if e.was != 0 {
		b := bind(t.conn.Prep(`DELETE FROM retention_revisits WHERE due = ? AND kind = ? AND row = ?`))
		b.int(e.was)
		b.int(e.kind)
		b.int(e.row)
		if err := t.exec(b.s); err != nil {
			return err
		}
	}
	switch {
	case e.again == never:
		return nil
	case e.again != 0:
		return t.revisit(e.again, e.kind, e.row)
	case e.kind == forgetContent:
		return t.removeContent(e.row, r)
	case e.kind == forgetMessage:
		return t.removeMessage(e.row, r)
	}
	r.step.Events++
	if e.kind == forgetReport {
		return t.expireReport(e.row)
	}
	return t.removeEvent(e.row)
}

// removeEvent removes one that is about no message.
func (t *tx) removeEvent(row int64) error {
	t.wrote = true
	q := t.conn.Prep(`DELETE FROM events WHERE row = ? RETURNING owner`)
	q.BindInt64(1, row)
	var owner int64
	if found, err := first(q, func(q *sqlite.Stmt) { owner = q.ColumnInt64(0) }); err != nil || !found {
		return err
	}
	if err := t.shortenLog(owner, row); err != nil {
		return err
	}
	return t.shortenLog(owner^1, row) // the other environment may have seen it, too
}

// revisit has a message looked at again.
func (t *tx) revisit(due, kind, row int64) error {
	b := bind(t.conn.Prep(`INSERT OR IGNORE INTO retention_revisits (due, kind, row) VALUES (?,?,?)`))
	b.int(due)
	b.int(kind)
	b.int(row)
	return t.exec(b.s)
}

// removeContent removes a message's bytes; their file goes after the commit. Hosted files
// have a time of their own, which their links tell.
func (t *tx) removeContent(message int64, r *round) error {
	file, size, found, err := t.deleteBody(message)
	if err != nil || !found {
		return err
	}
	r.step.Contents++
	r.step.Bytes += size
	if file != "" {
		r.files = append(r.files, file)
	}
	return nil
}

// deleteBody removes what stands in the database, and names the file to be unlinked.
func (t *tx) deleteBody(message int64) (file string, size int64, found bool, err error) {
	q := t.conn.Prep(`SELECT iif(kind = 2, bytes, NULL), length(bytes) FROM bodies WHERE message = ?`)
	q.BindInt64(1, message)
	found, err = first(q, func(q *sqlite.Stmt) { file, size = string(columnBlob(q, 0)), q.ColumnInt64(1) })
	if err != nil || !found {
		return "", 0, found, err
	}
	if err := firstError(t.forgetKey(message), t.forgetLetters(message)); err != nil {
		return "", 0, true, err
	}
	q = t.conn.Prep(`DELETE FROM bodies WHERE message = ?`)
	q.BindInt64(1, message)
	return file, size, true, t.exec(q)
}

// removeMessage removes a message with all that hangs on it: content, hosted files,
// deliveries, and the chains of their events and attempts.
func (t *tx) removeMessage(message int64, r *round) error {
	var from, count int64
	q := t.conn.Prep(`SELECT delivery, deliveries FROM messages WHERE row = ?`)
	q.BindInt64(1, message)
	found, err := first(q, func(q *sqlite.Stmt) { from, count = q.ColumnInt64(0), q.ColumnInt64(1) })
	if err != nil || !found {
		return err
	}
	if err := t.removeContent(message, r); err != nil {
		return err
	}
	hosted, err := t.forgetFiles(filesOfMessage, message)
	if err != nil {
		return err
	}
	r.hosted = append(r.hosted, hosted...)
	for row := from; row < from+count; row++ {
		if err := t.removeDelivery(row); err != nil {
			return err
		}
	}
	if err := t.removeReports(message); err != nil {
		return err
	}
	r.step.Messages++
	q = t.conn.Prep(`DELETE FROM messages WHERE row = ?`)
	q.BindInt64(1, message)
	return t.exec(q)
}

func (t *tx) removeDelivery(row int64) error {
	var event, attempt, owner int64
	q := t.conn.Prep(`SELECT last_event, last_attempt, owner FROM deliveries WHERE row = ?`)
	q.BindInt64(1, row)
	if _, err := first(q, func(q *sqlite.Stmt) { event, attempt, owner = q.ColumnInt64(0), q.ColumnInt64(1), q.ColumnInt64(2) }); err != nil {
		return err
	}
	if err := t.shortenLog(owner, event); err != nil {
		return err
	}
	if err := t.removeChain(`DELETE FROM events WHERE row = ? RETURNING previous`, event); err != nil {
		return err
	}
	if err := t.removeChain(`DELETE FROM attempts WHERE row = ? RETURNING previous`, attempt); err != nil {
		return err
	}
	q = t.conn.Prep(`DELETE FROM deliveries WHERE row = ?`)
	q.BindInt64(1, row)
	return t.exec(q)
}

// removeChain follows a chain from its last row to its first.
func (t *tx) removeChain(sql string, row int64) error {
	for row != 0 {
		t.wrote = true
		q := t.conn.Prep(sql)
		q.BindInt64(1, row)
		row = 0
		if _, err := first(q, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) }); err != nil {
			return err
		}
	}
	return nil
}

// trimSpans removes the spans in front of the oldest message.
func (t *tx) trimSpans() error {
	return t.exec(t.conn.Prep(`DELETE FROM spans WHERE last < (SELECT min(row) FROM messages)`))
}

// keepNumbers remembers the next rows, since the highest there are tell them no longer.
func (t *tx) keepNumbers() error {
	b := bind(t.conn.Prep(`UPDATE numbers SET message = ?, delivery = ?, event = ?, attempt = ?, suppression = ?`))
	for _, n := range []int64{t.now.message, t.now.delivery, t.now.event, t.now.attempt, t.now.suppression} {
		b.int(n)
	}
	return t.exec(b.s)
}

// unlink removes files of contents whose rows are gone. One that resists is removed by the
// next start, which sweeps what belongs to no message.
func (s *Store) unlink(files []string) {
	for _, name := range files {
		if err := os.Remove(s.bodyPath(name)); err != nil && !os.IsNotExist(err) {
			s.log.Error("remove a content's file: the next start tries again", "error", err)
		}
	}
}

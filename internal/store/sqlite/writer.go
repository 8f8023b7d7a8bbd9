package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/submit"
)

const (
	groupMax  = 512                  // ops in one commit
	groupTime = 2 * time.Millisecond // how long a commit may gather while ops keep coming

	gatherTime = time.Millisecond // how long a group smaller than the one before waits for more
	gatherMin  = 8                // ops: fewer callers are not made to wait
)

var (
	errClosed = &outage{errors.New("the store is closed")}
	errSchema = &outage{errors.New("the store's schema is not up to date: migrate first")}
)

// writer owns the only connection that writes. Callers hand it ops; it runs all that
// wait in one transaction, syncs once and answers them together (group commit).
// While it syncs, the next group gathers.
type writer struct {
	store                   *Store
	conn                    *sqlite.Conn
	begin, commit, rollback *sqlite.Stmt
	stmts                   statements

	mu     sync.Mutex
	queue  []*op
	closed bool
	wake   chan struct{} // holds one token while queue is not empty
	done   chan struct{}

	before int         // ops in the group before
	timer  *time.Timer // of gather

	spare   []*op // the last group's slice, used again
	tx      tx
	memo    memory       // what the writer knows without asking; changed by commits only
	usage   usage        // what was accepted per day; likewise
	ops     atomic.Int64 // answered
	commits atomic.Int64
	since   atomic.Int64 // Unix nanoseconds when the group that runs was taken; 0: none runs
}

// Strain tells how many writes wait and how long the commit that runs has taken so far.
func (s *Store) Strain() submit.Strain {
	w := s.writer
	w.mu.Lock()
	out := submit.Strain{Waiting: len(w.queue)}
	w.mu.Unlock()
	if since := w.since.Load(); since != 0 {
		out.Behind = time.Duration(time.Now().UnixNano() - since)
	}
	return out
}

// op is one whole fact to be written. run may be called again after a rollback, so it
// sets its results afresh each time, and looks before it writes.
type op struct {
	run   func(*tx) error
	bare  bool // outside of any transaction, alone: checkpoints
	err   error
	state atomic.Int32
	done  chan struct{}
}

const (
	opWaiting int32 = iota
	opTaken
	opGivenUp
)

var opPool = sync.Pool{New: func() any { return &op{done: make(chan struct{}, 1)} }}

// write runs one op and waits until it is on disk, or did not happen. When ctx ends
// before the op was begun it does not happen; after that it is waited for, so that
// the answer is always the truth.
func (s *Store) write(ctx context.Context, run func(*tx) error) error {
	if !s.ready.Load() {
		return errSchema
	}
	if note := audit.From(ctx); note != nil {
		return s.writeNoted(ctx, note, run)
	}
	return s.writer.do(ctx, run, false)
}

func (w *writer) do(ctx context.Context, run func(*tx) error, bare bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := newOp(run, bare)
	if err := w.add(o); err != nil {
		return err
	}
	return o.wait(ctx)
}

func newOp(run func(*tx) error, bare bool) *op {
	o := opPool.Get().(*op)
	o.run, o.bare, o.err = run, bare, nil
	o.state.Store(opWaiting)
	return o
}

func (o *op) wait(ctx context.Context) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opGivenUp) {
			return ctx.Err() // the writer drops it; the op is not used again
		}
		<-o.done
	}
	err := o.err
	o.run = nil
	opPool.Put(o)
	return err
}

func (w *writer) add(ops ...*op) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.queue = append(w.queue, ops...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// take gives what waits, at most max, without waiting.
func (w *writer) take(into []*op, max int) []*op {
	w.mu.Lock()
	n := min(len(w.queue), max)
	for _, o := range w.queue[:n] {
		if o.state.CompareAndSwap(opWaiting, opTaken) {
			into = append(into, o)
		}
	}
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.mu.Unlock()
	return into
}

// run is the writer's loop; it ends when close was called and nothing waits.
func (w *writer) run() {
	defer close(w.done)
	for {
		group := w.take(w.spare[:0], groupMax)
		if len(group) == 0 {
			w.mu.Lock()
			idle, closed := len(w.queue) == 0, w.closed
			w.mu.Unlock()
			if idle && closed {
				return
			}
			if idle {
				<-w.wake
			}
			continue
		}
		w.serve(group)
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.done
}

// serve commits a group, with what comes in while it is being worked on, and answers.
func (w *writer) serve(group []*op) {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	group, err := w.commitGroup(group)
	switch {
	case err == nil:
	case fatal(err):
		w.log().Error("the store cannot write", "error", err)
		for _, o := range group {
			o.err = &outage{err}
		}
	default:
		w.commitAlone(group) // one of them failed after it had written
	}
	w.ops.Add(int64(len(group)))
	for i, o := range group {
		group[i] = nil
		o.done <- struct{}{}
	}
	w.spare = group[:0]
}

// commitGroup runs all ops in one transaction. An error means that nothing of it
// happened; ops that failed before they wrote have their own error and stop nobody.
func (w *writer) commitGroup(group []*op) ([]*op, error) {
	if err := w.start(); err != nil {
		return group, err
	}
	began := time.Now()
	for i := 0; ; {
		for ; i < len(group); i++ {
			if group[i].bare {
				continue
			}
			if err := w.runOp(group[i]); err != nil {
				w.undo()
				return group, err
			}
		}
		if len(group) >= groupMax || time.Since(began) > groupTime {
			break
		}
		if group = w.take(group, groupMax-len(group)); i == len(group) && !w.gather(len(group), began) {
			break
		}
	}
	w.before = len(group)
	if err := w.finish(); err != nil {
		return group, err
	}
	for _, o := range group {
		if o.bare {
			o.err = o.run(&w.tx)
		}
	}
	return group, nil
}

// gather waits a moment for more, when the group before was larger: most who are missing
// are about to come, and each commit they share writes the same pages once.
func (w *writer) gather(n int, began time.Time) bool {
	left := gatherTime - time.Since(began)
	if n >= w.before || n < gatherMin || left <= 0 {
		return false
	}
	if w.timer == nil {
		w.timer = time.NewTimer(left)
	} else {
		w.timer.Reset(left)
	}
	select {
	case <-w.wake:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}

// commitAlone gives each op a transaction of its own, so that one's failure is not
// another's.
func (w *writer) commitAlone(group []*op) {
	for _, o := range group {
		if o.bare {
			o.err = o.run(&w.tx)
			continue
		}
		o.err = nil
		err := w.start()
		if err == nil {
			if err = w.runOp(o); err != nil {
				w.undo()
			} else {
				err = w.finish()
			}
		}
		if err != nil {
			o.err = err
		}
	}
}

// runOp runs one op in the open transaction. What it returns has spoilt the
// transaction; an op that failed without writing keeps its error to itself.
func (w *writer) runOp(o *op) (spoilt error) {
	w.tx.wrote = false
	defer func() {
		if r := recover(); r != nil {
			spoilt = fmt.Errorf("panic in a write: %v\n%s", r, debug.Stack())
		}
	}()
	o.err = o.run(&w.tx)
	if o.err != nil && (w.tx.wrote || fatal(o.err) || w.conn.AutocommitEnabled()) {
		return o.err
	}
	return nil
}

func (w *writer) start() error {
	if _, err := w.begin.Step(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	_ = w.begin.Reset()
	w.tx.open(w)
	return nil
}

func (w *writer) finish() error {
	if err := w.tx.beforeCommit(); err != nil {
		w.undo()
		return err
	}
	if _, err := w.commit.Step(); err != nil {
		w.undo()
		return fmt.Errorf("commit: %w", err)
	}
	_ = w.commit.Reset()
	w.commits.Add(1)
	w.tx.apply()
	return nil
}

func (w *writer) undo() {
	if w.conn.AutocommitEnabled() {
		return // SQLite rolled back by itself (disk full, I/O error)
	}
	if _, err := w.rollback.Step(); err != nil {
		w.log().Error("roll back", "error", err)
	}
	_ = w.rollback.Reset()
}

// fatal tells whether the database cannot write at all now, so that trying the ops one
// by one would only fail as often.
func fatal(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultReadOnly,
		sqlite.ResultCantOpen, sqlite.ResultNotADB, sqlite.ResultNoMem:
		return true
	}
	return false
}

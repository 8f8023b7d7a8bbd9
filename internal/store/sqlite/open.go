package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/store"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Options say where the store is.
type Options struct {
	Dir string       // the data directory; made when it is missing
	Log *slog.Logger // nil: silent

	Readers int // connections that read at the same time; 0 = 4
	// CheckpointPages is how far the write-ahead log may grow before it is folded into
	// the database, in pages of 8 KB; 0 = 4096. Recovery after a crash reads so much.
	CheckpointPages int64
}

// Store is the embedded engine. Make one with Open.
type Store struct {
	dir    string
	log    *slog.Logger
	lock   *os.File
	writer *writer
	readers
	ready atomic.Bool // the schema is current and the memory loaded
	// bootToken is the first lease token of this process: lower ones are a past life's.
	bootToken int64

	heads   *heads
	blocked atomic.Pointer[filter]
	// nextBlocked is a larger filter being made, else nil; growing is held by who makes it.
	nextBlocked atomic.Pointer[filter]
	growing     sync.Mutex
	published   published
	wake        wake
	nodes       nodes
	forgetter   forgetter
	relay       relay
	hookSweep   hookSweep

	stop       context.CancelFunc // of the background work
	background sync.WaitGroup
	closeOnce  sync.Once
	closeErr   error
}

var _ store.Store = (*Store)(nil)

// Open opens the database in a directory, making it when it is missing. It fails with
// [ErrLocked] while another process has it. Until the schema is current (see Migrate)
// all other methods fail. Bodies that belong to no message are swept here.
func Open(o Options) (_ *Store, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.CheckpointPages <= 0 {
		o.CheckpointPages = checkpointPages
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, bodiesDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	s := &Store{dir: o.Dir, log: o.Log, heads: newHeads(), wake: wake{}}
	s.blocked.Store(newFilter(0))
	if s.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close()
		}
	}()
	if err := sweepCopies(o.Dir); err != nil {
		return nil, fmt.Errorf("remove an unfinished copy: %w", err)
	}
	conn, err := openWriting(s.path())
	if err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(s, conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go s.writer.run()
	s.readers.open(s.path(), o.Readers)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.background.Go(func() { s.checkpoints(ctx, o.CheckpointPages) })
	s.background.Go(func() { s.sweepKeys(ctx) })
	s.background.Go(func() { s.sweepFiles(ctx) })
	if have, want, err := s.Schema(ctx); err != nil || have > want {
		return nil, errors.Join(err, schemaTooNew(have, want), s.Close())
	} else if have == want {
		if err := s.load(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Store) path() string { return filepath.Join(s.dir, DatabaseName) }

// openWriting opens the connection of the writer. Every commit is synced (FULL);
// checkpoints are ours to time, so that no commit stalls on one.
func openWriting(path string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return conn, setPragmas(conn,
		"page_size = 8192",
		"journal_mode = wal",
		"synchronous = full",
		"wal_autocheckpoint = 0",
		"cache_size = -16384", // KiB
		"temp_store = memory",
		"foreign_keys = off",
		"secure_delete = on", // what is deleted is overwritten: see forget.go
	)
}

func setPragmas(conn *sqlite.Conn, pragmas ...string) error {
	for _, p := range pragmas {
		stmt, _, err := conn.PrepareTransient("PRAGMA " + p)
		if err != nil {
			return err
		}
		for {
			row, err := stmt.Step()
			if err != nil {
				_ = stmt.Finalize()
				return fmt.Errorf("PRAGMA %s: %w", p, err)
			}
			if !row {
				break
			}
		}
		if err := stmt.Finalize(); err != nil {
			return err
		}
	}
	return nil
}

func newWriter(s *Store, conn *sqlite.Conn) (*writer, error) {
	w := &writer{store: s, conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, p := range []struct {
		to  **sqlite.Stmt
		sql string
	}{{&w.begin, "BEGIN IMMEDIATE"}, {&w.commit, "COMMIT"}, {&w.rollback, "ROLLBACK"}} {
		stmt, err := conn.Prepare(p.sql)
		if err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
		*p.to = stmt
	}
	return w, nil
}

func (w *writer) log() *slog.Logger { return w.store.log }

// Close finishes what was handed in, folds the log into the database and lets go of
// the directory.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		s.background.Wait()
		s.writer.close()
		s.readers.close()
		s.closeErr = errors.Join(
			setPragmas(s.writer.conn, "wal_checkpoint(TRUNCATE)"),
			s.writer.conn.Close(),
			s.lock.Close(),
		)
		s.wake.broadcast()
	})
	return s.closeErr
}

// Ping writes and syncs.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(t.conn.Prep(`UPDATE pulse SET beat = beat + 1`))
	})
}

// Stats counts what the writer did since it was opened.
type Stats struct {
	Ops     int64 // writes asked for
	Commits int64 // transactions they took: what is synced
}

// Stats gives the counters as they are now.
func (s *Store) Stats() Stats {
	return Stats{Ops: s.writer.ops.Load(), Commits: s.writer.commits.Load()}
}

// Wake gives a channel that is closed at the next commit of events.
func (s *Store) Wake() <-chan struct{} { return s.wake.wait() }

// wake is closed and made anew at each broadcast; it costs nothing while nobody waits.
type wake struct {
	mu sync.Mutex
	ch chan struct{}
}

func (w *wake) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

func (w *wake) broadcast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
}

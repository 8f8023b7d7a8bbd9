package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/retention"
)

const (
	checkpointEvery = 500 * time.Millisecond // how often the log's growth is looked at
	checkpointPages = 16384                  // pages in the log worth a checkpoint (128 MB), unless Options say
	checkpointRest  = 256                    // pages (2 MB) the writer may copy itself: commits wait meanwhile
	checkpointIdle  = 30 * time.Second       // without writes: fold in all and give the space back
	checkpointTries = 6                      // rounds on the other connection before the writer finishes
)

// checkpoints folds the write-ahead log into the database. The bulk is copied on a
// connection of its own while commits go on (PASSIVE). Under load that never quite
// catches up, and only a log that is wholly copied is begun anew; so at the end the
// writer itself copies the little that is left, between two commits.
func (s *Store) checkpoints(ctx context.Context, pages int64) {
	conn, err := sqlite.OpenConn(s.path(), sqlite.OpenReadWrite)
	if err != nil {
		s.log.Error("open for checkpoints", "error", err)
		return
	}
	defer conn.Close()
	if err := setPragmas(conn, "wal_autocheckpoint = 0", "synchronous = full"); err != nil {
		s.log.Error("set up checkpoints", "error", err)
		return
	}
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var done, seen int64 // the growth at the last checkpoint, at the last tick
	quiet := time.Now()
	folded := false // nothing was written since the log was emptied; a past life's may be full
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		grown := s.writer.pages()
		if grown != seen {
			seen, quiet, folded = grown, time.Now(), false
		}
		switch {
		case grown-done >= pages:
			s.checkpoint(ctx, conn)
			done = grown
		case !folded && time.Since(quiet) > checkpointIdle:
			s.truncateLog(ctx)
			done, folded = grown, true
		}
	}
}

// pages estimates how many pages all commits have written to the log. SQLite tells the
// real number only when asked to checkpoint. Measured with 2 KB messages: 5 for a commit
// of one op, a third of a page for each further one.
func (w *writer) pages() int64 { return w.commits.Load()*5 + w.ops.Load()/3 }

func (s *Store) checkpoint(ctx context.Context, conn *sqlite.Conn) {
	for range checkpointTries {
		left, err := passive(conn)
		if err != nil {
			s.log.Error("checkpoint", "error", err)
			return
		}
		if left < checkpointRest {
			break
		}
	}
	err := s.writer.do(ctx, func(t *tx) error {
		_, err := passive(t.conn)
		return err
	}, true)
	if err != nil && ctx.Err() == nil {
		s.log.Error("finish a checkpoint", "error", err)
	}
}

// passive copies what can be copied without waiting, and tells how many frames of the
// log are left.
func passive(conn *sqlite.Conn) (left int, err error) {
	_, err = first(conn.Prep(`PRAGMA wal_checkpoint(PASSIVE)`), func(q *sqlite.Stmt) {
		left = q.ColumnInt(1) - q.ColumnInt(2)
	})
	return left, err
}

// truncateLog empties a log file that has grown, when nobody is in a hurry.
func (s *Store) truncateLog(ctx context.Context) {
	if info, err := os.Stat(s.path() + "-wal"); err != nil || info.Size() == 0 {
		return
	}
	err := s.writer.do(ctx, func(t *tx) error {
		_, err := first(t.conn.Prep(`PRAGMA wal_checkpoint(TRUNCATE)`), func(*sqlite.Stmt) {})
		return err
	}, true)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("empty the write-ahead log", "error", err)
	}
}

const scrubPatience = 20 * time.Millisecond // the writer waits so long for readers of old states

// Scrub empties the log: what was deleted is overwritten in the database, and its old
// bytes stand nowhere any more. Readers of old states keep the log: then it is
// [retention.ErrBusy].
func (s *Store) Scrub(ctx context.Context) error {
	if !s.ready.Load() {
		return errSchema
	}
	conn, err := sqlite.OpenConn(s.path(), sqlite.OpenReadWrite)
	if err != nil {
		return fmt.Errorf("open to empty the log: %w", err)
	}
	if err := setPragmas(conn, "wal_autocheckpoint = 0", "synchronous = full"); err == nil {
		_, _ = passive(conn) // the bulk of it, while mail goes on
	}
	if err := conn.Close(); err != nil {
		return err
	}
	busy := false
	err = s.writer.do(ctx, func(t *tx) error {
		t.conn.SetBusyTimeout(scrubPatience)
		defer t.conn.SetBlockOnBusy()
		_, err := first(t.conn.Prep(`PRAGMA wal_checkpoint(TRUNCATE)`), func(q *sqlite.Stmt) { busy = q.ColumnInt(0) != 0 })
		return err
	}, true)
	if err == nil && busy {
		err = retention.ErrBusy
	}
	return err
}

package sqlite

import (
	"context"
	"os"
	"time"

	"zombiezen.com/go/sqlite"
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
	folded := true // nothing was written since the log was emptied
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

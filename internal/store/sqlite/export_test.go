package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
)

// LimitPages makes the database full beyond so many pages.
func (s *Store) LimitPages(n int64) error {
	return s.writer.do(context.Background(), func(t *tx) error {
		return setPragmas(t.conn, fmt.Sprintf("max_page_count = %d", n))
	}, true)
}

// SweepKeys removes expired idempotency keys now.
func (s *Store) SweepKeys(ctx context.Context, now time.Time) error { return s.sweepKeysOnce(ctx, now) }

// CountKeys tells how many idempotency keys are stored.
func (s *Store) CountKeys() (n int64, err error) {
	err = s.writer.do(context.Background(), func(t *tx) error {
		_, err := first(t.conn.Prep(`SELECT count(*) FROM idempotency`), func(q *sqlite.Stmt) { n = q.ColumnInt64(0) })
		return err
	}, false)
	return n, err
}

// CountRows counts all that messages leave in the database.
func (s *Store) CountRows() (n int64, err error) {
	err = s.writer.do(context.Background(), func(t *tx) error {
		_, err := first(t.conn.Prep(`SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM bodies) + (SELECT count(*) FROM deliveries)
			+ (SELECT count(*) FROM events) + (SELECT count(*) FROM attempts) + (SELECT count(*) FROM spans) + (SELECT count(*) FROM retention_revisits)`),
			func(q *sqlite.Stmt) { n = q.ColumnInt64(0) })
		return err
	}, false)
	return n, err
}

// WhileReading does something while a reader sees the state from before.
func (s *Store) WhileReading(do func() error) error {
	return s.read(context.Background(), func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			if _, err := first(conn.Prep(`SELECT count(*) FROM messages`), func(*sqlite.Stmt) {}); err != nil {
				return err
			}
			return do()
		})
	})
}

// BodyKeys gives the keys of contents that are kept, by message; and how many rows of
// forgotten ones there are.
func (s *Store) BodyKeys() (keys map[int64][]byte, forgotten int, err error) {
	err = s.writer.do(context.Background(), func(t *tx) error {
		keys, forgotten = map[int64][]byte{}, 0
		return each(t.conn.Prep(`SELECT message, key FROM body_keys`), func(q *sqlite.Stmt) error {
			if key := columnBlob(q, 1); bodyKey(key) != (bodyKey{}) {
				keys[q.ColumnInt64(0)] = key
			} else {
				forgotten++
			}
			return nil
		})
	}, false)
	return keys, forgotten, err
}

// HoldWriter runs a function in the writer's place, as a disk that hangs would.
func (s *Store) HoldWriter(ctx context.Context, f func()) error {
	return s.write(ctx, func(*tx) error { f(); return nil })
}

// OldQueues writes the queues of what waits as the first versions did, without a project.
func (s *Store) OldQueues() error {
	return s.write(context.Background(), func(t *tx) error {
		return t.exec(t.conn.Prep(`UPDATE deliveries SET queue = substr(queue, 1, 2) || substr(queue, instr(substr(queue, 4), ' ') + 4) WHERE queue IS NOT NULL`))
	})
}

// Queues gives the keys of the queues in which something waits.
func (s *Store) Queues() (keys []string, err error) {
	err = s.read(context.Background(), func(conn *sqlite.Conn) error {
		return each(conn.Prep(`SELECT DISTINCT queue FROM deliveries WHERE queue IS NOT NULL`), func(q *sqlite.Stmt) error {
			keys = append(keys, q.ColumnText(0))
			return nil
		})
	})
	return keys, err
}

// TableRows counts the rows of every table.
func (s *Store) TableRows() (rows map[string]int64, err error) {
	rows = map[string]int64{}
	err = s.read(context.Background(), func(conn *sqlite.Conn) error {
		return each(conn.Prep(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'`), func(q *sqlite.Stmt) error {
			name := q.ColumnText(0)
			_, err := first(conn.Prep(`SELECT count(*) FROM "`+name+`"`), func(q *sqlite.Stmt) { rows[name] = q.ColumnInt64(0) })
			return err
		})
	})
	return rows, err
}

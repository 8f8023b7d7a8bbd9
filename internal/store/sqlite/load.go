package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// load reads what the writer keeps in memory, once the schema is current: the next
// numbers, the queue heads and counters (one walk over the indexes of what waits and
// what is leased), the filter of suppressed addresses; and sweeps bodies.
func (s *Store) load(ctx context.Context) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if err := t.s.prepare(t.conn); err != nil {
			return err
		}
		return t.load(s)
	}, false)
	if err != nil {
		return fmt.Errorf("load the store: %w", err)
	}
	s.ready.Store(true)
	return nil
}

func (t *tx) load(s *Store) error {
	for _, n := range []struct {
		to  *int64
		sql string
	}{
		{&t.now.message, `SELECT max((SELECT coalesce(max(row), 0) + 1 FROM messages), (SELECT message FROM numbers))`},
		{&t.now.delivery, `SELECT max((SELECT coalesce(max(row), 0) + 1 FROM deliveries), (SELECT delivery FROM numbers))`},
		{&t.now.event, `SELECT max((SELECT coalesce(max(row), 0) + 1 FROM events), (SELECT event FROM numbers))`},
		{&t.now.attempt, `SELECT max((SELECT coalesce(max(row), 0) + 1 FROM attempts), (SELECT attempt FROM numbers))`},
		{&t.now.suppression, `SELECT max((SELECT coalesce(max(row), 0) + 1 FROM suppressions), (SELECT suppression FROM numbers))`},
		{&t.now.token, `SELECT coalesce(max(token), 0) + 1 FROM deliveries WHERE lease_until IS NOT NULL`},
	} {
		if _, err := first(t.conn.Prep(n.sql), func(q *sqlite.Stmt) { *n.to = q.ColumnInt64(0) }); err != nil {
			return err
		}
	}
	// Tokens follow the clock between lives of the process, and count within one.
	t.now.token = max(t.now.token, time.Now().UnixMicro())
	s.bootToken = t.now.token
	for _, part := range []func(*Store) error{t.loadQueues, t.loadLeases, t.loadTail, t.loadUsage, t.loadFilter, t.loadNodes, t.loadRelay, t.sweepBodies, t.sweepOrphans} {
		if err := part(s); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) loadQueues(s *Store) error {
	t.now.depth = depthCount{}
	last := ""
	return each(t.conn.Prep(`SELECT queue, due_at, wait FROM deliveries INDEXED BY deliveries_waiting
		WHERE queue IS NOT NULL ORDER BY queue, due_at`), func(q *sqlite.Stmt) error {
		key := q.ColumnText(0)
		if key != last {
			t.heads = append(t.heads, headChange{key: key, due: q.ColumnInt64(1), exact: true})
			last = key
		}
		_, tier, _ := splitQueueKey(key)
		t.now.depth.add(tier, mail.Wait(q.ColumnInt64(2)), 1)
		return nil
	})
}

func (t *tx) loadLeases(*Store) error {
	return each(t.conn.Prep(`SELECT tier FROM deliveries INDEXED BY deliveries_leased WHERE lease_until IS NOT NULL`),
		func(q *sqlite.Stmt) error {
			t.now.depth.add(mail.Tier(q.ColumnInt64(0)), mail.NoWait, 1)
			return nil
		})
}

// loadTail finds the bounds of the messages behind the last span.
func (t *tx) loadTail(*Store) error {
	t.now.tail = span{}
	return each(t.conn.Prep(`SELECT row, created_at FROM messages WHERE row > (SELECT coalesce(max(last), 0) FROM spans) ORDER BY row`),
		func(q *sqlite.Stmt) error {
			t.now.tail.extend(q.ColumnInt64(0), q.ColumnInt64(1))
			return nil
		})
}

func (t *tx) loadFilter(s *Store) error {
	var count int64
	if _, err := first(t.conn.Prep(`SELECT count(*) FROM suppressions`), func(q *sqlite.Stmt) { count = q.ColumnInt64(0) }); err != nil {
		return err
	}
	f := newFilter(count)
	s.blocked.Store(f)
	return each(t.conn.Prep(`SELECT owner, address FROM suppressions`), func(q *sqlite.Stmt) error {
		f.add(q.ColumnInt64(0), q.ColumnText(1))
		return nil
	})
}

package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/webhook"
)

const (
	hookSweepLook  = 2000           // hooks looked at in one step
	hookSweepWrite = 200            // removed or given up in one step
	hookYoung      = 12 * time.Hour // no younger hook's event is gone
)

// hookSweep is where the walk over all hooks is. SweepHooks is not called twice at a time.
type hookSweep struct {
	endpoint, position int64
}

// swept is what one step found to do.
type swept struct {
	remove, discard []int64 // positions
	endpoint        int64
}

// SweepHooks goes one step on, from endpoint to endpoint.
func (s *Store) SweepHooks(ctx context.Context, now, deliveredBefore time.Time) (more bool, err error) {
	at := s.hookSweep
	var found swept
	end := false
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) (err error) {
			at, end, err = found.look(conn, s.hookSweep, micros(now), micros(deliveredBefore))
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("look for hooks that are not kept: %w", err)
	}
	if end {
		s.hookSweep = hookSweep{}
		return s.sweepCounts(ctx, now)
	}
	if len(found.remove)+len(found.discard) > 0 {
		if err := s.write(ctx, func(t *tx) error { return t.sweepHooks(&found, micros(now)) }); err != nil {
			return false, fmt.Errorf("remove hooks: %w", err)
		}
	}
	s.hookSweep = at
	return true, nil
}

// look reads on from where the walk is, and tells where it is then; end: all were seen.
func (f *swept) look(conn *sqlite.Conn, at hookSweep, now, deliveredBefore int64) (hookSweep, bool, error) {
	q := bindInt(conn.Prep(`SELECT min(endpoint) FROM webhook_hooks WHERE endpoint >= ?`), at.endpoint)
	none := false
	if _, err := first(q, func(q *sqlite.Stmt) { none, f.endpoint = q.ColumnIsNull(0), q.ColumnInt64(0) }); err != nil || none {
		return at, none, err
	}
	if f.endpoint != at.endpoint {
		at = hookSweep{endpoint: f.endpoint}
	}
	gone, discard := true, int64(0)
	if _, err := first(bindInt(conn.Prep(`SELECT discard FROM webhook_endpoints WHERE row = ?`), at.endpoint),
		func(q *sqlite.Stmt) { gone, discard = false, q.ColumnInt64(0) }); err != nil {
		return at, false, err
	}
	seen, over := 0, false
	q = bindInt(conn.Prep(`SELECT h.position, h.created_at, h.status, h.settled_at, e.row IS NULL FROM webhook_hooks h LEFT JOIN events e ON e.row = h.position
		WHERE h.endpoint = ? AND h.position > ? ORDER BY h.position LIMIT ?`), at.endpoint, at.position, hookSweepLook)
	err := each(q, func(q *sqlite.Stmt) error {
		if over {
			return nil
		}
		seen++
		position, status := q.ColumnInt64(0), q.ColumnInt64(2)
		switch {
		case gone || q.ColumnBool(4) || status == hookDelivered && q.ColumnInt64(3) < deliveredBefore:
			f.remove = append(f.remove, position)
		case status == hookOpen && position < discard:
			f.discard = append(f.discard, position)
		case position >= discard && q.ColumnInt64(1) > now-hookYoung.Microseconds():
			over, seen = true, 0
			return nil
		}
		at.position = position
		over = len(f.remove)+len(f.discard) >= hookSweepWrite
		return nil
	})
	if seen < hookSweepLook && len(f.remove)+len(f.discard) < hookSweepWrite {
		at = hookSweep{endpoint: at.endpoint + 1}
	}
	return at, false, err
}

// sweepHooks is the op.
func (t *tx) sweepHooks(f *swept, now int64) error {
	closed := int64(0) // open ones that are not any more
	for _, position := range f.remove {
		last := int64(0)
		t.wrote = true
		if _, err := first(bindInt(t.conn.Prep(`DELETE FROM webhook_hooks WHERE endpoint = ? AND position = ? RETURNING last_try, due_at IS NOT NULL`), f.endpoint, position),
			func(q *sqlite.Stmt) { last, closed = q.ColumnInt64(0), closed+q.ColumnInt64(1) }); err != nil {
			return err
		}
		if err := t.removeChain(`DELETE FROM webhook_tries WHERE row = ? RETURNING previous`, last); err != nil {
			return err
		}
	}
	for _, position := range f.discard {
		r := webhook.Result{Position: position, Status: webhook.Failed, Record: webhook.Record{At: fromMicros(now),
			Error: "It was missed while the webhook was disabled, and the webhook was enabled without it."}}
		text, err := tryText(&r.Record)
		if err != nil {
			return err
		}
		did, err := t.settleHook(f.endpoint, &r, text, now)
		if err != nil {
			return err
		}
		if did {
			closed++
		}
	}
	return t.moveBacklog(f.endpoint, -closed)
}

// sweepCounts removes old counts, and those of endpoints that are gone.
func (s *Store) sweepCounts(ctx context.Context, now time.Time) (more bool, err error) {
	oldest := micros(now.Add(-webhook.MaxWindow)) / time.Hour.Microseconds()
	err = s.write(ctx, func(t *tx) error {
		q := bindInt(t.conn.Prep(`DELETE FROM webhook_counts WHERE (endpoint, hour, bucket) IN (SELECT endpoint, hour, bucket FROM webhook_counts
			WHERE hour < ? OR endpoint NOT IN (SELECT row FROM webhook_endpoints) LIMIT ?)`), oldest, hookSweepWrite)
		err := t.exec(q)
		more = t.conn.Changes() == hookSweepWrite
		return err
	})
	return more, err
}

// eraseTriesOf forgets them for a chain of events.
func (t *tx) eraseTriesOf(owner, event int64) error {
	if there, err := t.exists(`SELECT 1 FROM webhook_endpoints WHERE owner >> 1 = ? LIMIT 1`, owner>>1); err != nil || !there {
		return err
	}
	for event != 0 {
		if err := t.eraseTries(owner, event); err != nil {
			return err
		}
		q := bindInt(t.conn.Prep(`SELECT previous FROM events WHERE row = ?`), event)
		event = 0
		if _, err := first(q, func(q *sqlite.Stmt) { event = q.ColumnInt64(0) }); err != nil {
			return err
		}
	}
	return nil
}

// eraseTries forgets what receivers answered to events that tell of somebody who is to be
// forgotten: some repeat what they were sent. What was sent is made anew from the event, so
// nothing else is kept.
func (t *tx) eraseTries(owner, position int64) error {
	var last []int64
	q := bindInt(t.conn.Prep(`SELECT h.last_try FROM webhook_endpoints w CROSS JOIN webhook_hooks h ON h.endpoint = w.row AND h.position = ?
		WHERE w.owner >> 1 = ? AND h.last_try IS NOT NULL`), position, owner>>1)
	if err := each(q, func(q *sqlite.Stmt) error {
		last = append(last, q.ColumnInt64(0))
		return nil
	}); err != nil {
		return err
	}
	for _, row := range last {
		if err := t.rewriteChain(`SELECT previous, facts FROM webhook_tries WHERE row = ?`, `UPDATE webhook_tries SET facts = ? WHERE row = ?`, row,
			func(text []byte) (string, error) {
				r, err := readTry(text)
				if err != nil {
					return "", err
				}
				r.Response, r.ResponseHeaders = "", nil
				return tryText(&r)
			}); err != nil {
			return err
		}
	}
	return nil
}

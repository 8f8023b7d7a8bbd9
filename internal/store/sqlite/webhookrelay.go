package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// relay is how far the log was looked at. The place on disk may lie behind by events that
// owed nothing: reading these again after a crash finds nothing again.
type relay struct {
	sync.Mutex              // one call at a time
	passed     atomic.Int64 // positions; 0: nothing since the start
	// floor is the first event that is not passed: what has yet to be relayed is not forgotten.
	floor atomic.Int64

	ends    sync.Mutex // guards what follows, and that it and floor agree
	emptied int64      // times that the last endpoint went or the first came
}

const relayKeep = 4096 // positions passed without a hook before the place is written

func (r *relay) begin(place int64) {
	r.passed.Store(place)
	r.floor.Store(place + 1)
}

// first begins with the first endpoint of all: nothing before is owed to anybody.
func (r *relay) first(place int64) {
	r.ends.Lock()
	defer r.ends.Unlock()
	r.emptied++
	r.begin(place)
}

// last notes that the last endpoint is about to go. Its number is for end.
func (r *relay) last() int64 {
	r.ends.Lock()
	defer r.ends.Unlock()
	r.emptied++
	return r.emptied
}

// end: the last endpoint has gone, so nothing waits to be relayed; unless meanwhile there is
// another.
func (r *relay) end(last int64) {
	r.ends.Lock()
	defer r.ends.Unlock()
	if r.emptied == last {
		r.floor.Store(math.MaxInt64)
	}
}

// on is where a look at the log has come to.
func (r *relay) on(place int64) {
	r.ends.Lock()
	defer r.ends.Unlock()
	if r.floor.Load() != math.MaxInt64 { // else the last endpoint was removed meanwhile
		r.begin(place)
	}
}

// loadRelay sets the floor at the start.
func (t *tx) loadRelay(s *Store) error {
	s.relay.floor.Store(math.MaxInt64)
	if there, err := t.exists(`SELECT 1 FROM webhook_endpoints LIMIT 1`); err != nil || !there {
		return err
	}
	_, err := first(t.conn.Prep(`SELECT place FROM webhook_relay`), func(q *sqlite.Stmt) { s.relay.begin(q.ColumnInt64(0)) })
	return err
}

// relaying is one call's look at the log.
type relaying struct {
	place, to int64 // on disk or in memory; where it will be
	entries   []eventlog.Entry
	out       webhook.Relayed
}

// Relay writes the hooks of the events behind its place.
func (s *Store) Relay(ctx context.Context, now time.Time, max int, plan webhook.Plan) (webhook.Relayed, error) {
	s.relay.Lock()
	defer s.relay.Unlock()
	if s.ready.Load() && s.relay.floor.Load() == math.MaxInt64 { // there is no endpoint
		return webhook.Relayed{}, nil
	}
	r := relaying{}
	var planner webhook.Planner
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) (err error) {
			planner, err = r.look(ctx, conn, s.relay.passed.Load(), int64(max), plan)
			return err
		})
	})
	if err != nil || r.to == r.place {
		return webhook.Relayed{}, err
	}
	r.out.Passed = r.to - r.place
	hooks := planner.Hooks(r.entries)
	if len(hooks) > 0 || r.out.Passed >= relayKeep || r.out.Passed >= int64(max) {
		if err := s.write(ctx, func(t *tx) error { return t.relayHooks(&r, hooks) }); err != nil {
			return webhook.Relayed{}, fmt.Errorf("relay events: %w", err)
		}
	}
	s.relay.on(r.to)
	return r.out, nil
}

// look reads what is behind the place, as far as anybody may want it.
func (r *relaying) look(ctx context.Context, conn *sqlite.Conn, passed, most int64, plan webhook.Plan) (webhook.Planner, error) {
	var revision, newest int64
	if _, err := first(conn.Prep(`SELECT place, revision, (SELECT max(row) FROM events) FROM webhook_relay`), func(q *sqlite.Stmt) {
		r.place, revision, newest = max(q.ColumnInt64(0), passed), q.ColumnInt64(1), q.ColumnInt64(2)
	}); err != nil {
		return nil, err
	}
	r.to = max(r.place, min(newest, r.place+most))
	if r.to == r.place {
		return nil, nil
	}
	planner, err := plan(ctx, revision)
	if err != nil {
		return nil, err
	}
	q := bindInt(conn.Prep(`SELECT e.owner, e.type, e.at, e.row FROM events e WHERE e.row > ? AND e.row <= ?`), r.place, r.to)
	var rows []int64
	if err := each(q, func(q *sqlite.Stmt) error {
		r.out.Last = columnTime(q, 2)
		if planner.Wants(ownerOf(q.ColumnInt64(0)), mail.EventType(q.ColumnText(1))) {
			rows = append(rows, q.ColumnInt64(3))
		}
		return nil
	}); err != nil || len(rows) == 0 {
		return planner, err
	}
	r.entries, err = readEntries(conn, rows)
	return planner, err
}

// readEntries reads events with what they are about, in the order of their positions.
func readEntries(conn *sqlite.Conn, rows []int64) (out []eventlog.Entry, err error) {
	q := conn.Prep(`SELECT ` + eventColumns + ` FROM json_each(?) l CROSS JOIN events e ON e.row = l.value ORDER BY e.row`)
	q.BindText(1, rowList(slices.Values(rows)))
	if err := each(q, func(q *sqlite.Stmt) error {
		e, err := scanEvent(q)
		out = append(out, eventlog.Entry{Event: e})
		return err
	}); err != nil {
		return nil, err
	}
	return out, complete(conn, out)
}

// relayHooks is the op: the hooks that are still owed, and the place.
func (t *tx) relayHooks(r *relaying, hooks []webhook.Hook) error {
	r.out.Hooks = nil
	for len(hooks) > 0 {
		n := 1
		for n < len(hooks) && hooks[n].Endpoint == hooks[0].Endpoint {
			n++
		}
		written, err := t.addHooks(hooks[:n])
		if err != nil {
			return err
		}
		r.out.Hooks, hooks = append(r.out.Hooks, written...), hooks[n:]
	}
	return t.exec(bindInt(t.conn.Prep(`UPDATE webhook_relay SET place = max(place, ?)`), r.to))
}

// addHooks writes hooks of one endpoint, as far as it is there and owed them: it may have been
// disabled or removed since they were planned.
func (t *tx) addHooks(hooks []webhook.Hook) (written []webhook.Hook, err error) {
	e := webhook.Endpoint{}
	endpoint := hooks[0].Endpoint
	there, err := first(bindInt(t.conn.Prep(`SELECT from_position, until_position FROM webhook_endpoints WHERE row = ?`), endpoint),
		func(q *sqlite.Stmt) { e.From, e.Until = q.ColumnInt64(0), q.ColumnInt64(1) })
	if err != nil || !there {
		return nil, err
	}
	for _, h := range hooks {
		if !e.Owed(h.Position) {
			continue
		}
		b := bind(t.conn.Prep(`INSERT INTO webhook_hooks (endpoint, position, created_at, status, due_at, tries, message) VALUES (?,?,?,0,?,0,?)
			ON CONFLICT DO NOTHING`))
		b.int(h.Endpoint)
		b.int(h.Position)
		b.int(micros(h.CreatedAt))
		b.int(micros(h.Due))
		b.intOrNull(h.Message)
		if err := t.exec(b.s); err != nil {
			return nil, fmt.Errorf("insert a hook: %w", err)
		}
		if t.conn.Changes() > 0 {
			written = append(written, h)
		}
	}
	return written, t.moveBacklog(endpoint, int64(len(written)))
}

func (t *tx) moveBacklog(endpoint, by int64) error {
	if by == 0 {
		return nil
	}
	return t.exec(bindInt(t.conn.Prep(`UPDATE webhook_states SET backlog = backlog + ? WHERE endpoint = ?`), by, endpoint))
}

package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// endpointFacts is webhook_endpoints.facts.
type endpointFacts struct {
	URL            string            `json:"url"`
	Description    string            `json:"description,omitzero"`
	Events         []string          `json:"events"`
	Names          []string          `json:"names,omitzero"`
	Filters        webhook.Filters   `json:"filters"`
	Redact         []string          `json:"redact,omitzero"`
	Payload        string            `json:"payload"`
	Format         string            `json:"format"`
	Ordering       string            `json:"ordering"`
	MaxPerSecond   int               `json:"max_per_second"`
	Headers        map[string]string `json:"headers,omitzero"`
	Status         string            `json:"status"`
	DisabledReason string            `json:"disabled_reason,omitzero"`
	DisabledAt     int64             `json:"disabled_at,omitzero"`
	Secret         []byte            `json:"secret"`
	OldSecret      []byte            `json:"old_secret,omitzero"`
	OldExpires     int64             `json:"old_expires,omitzero"`
	CreatedBy      string            `json:"created_by,omitzero"`
}

func endpointFactsOf(e *webhook.Endpoint) (string, error) {
	return jsonText("webhook facts", endpointFacts{URL: e.URL, Description: e.Description, Events: e.Events, Names: e.Names, Filters: e.Filters, Redact: e.Redact,
		Payload: e.Payload, Format: e.Format, Ordering: e.Ordering, MaxPerSecond: e.MaxPerSecond, Headers: e.Headers, Status: e.Status,
		DisabledReason: e.DisabledReason, DisabledAt: micros(e.DisabledAt), Secret: e.Secret, OldSecret: e.OldSecret, OldExpires: micros(e.OldExpires),
		CreatedBy: e.CreatedBy})
}

const endpointColumns = `SELECT w.row, w.id, w.owner, w.from_position, w.until_position, w.discard, w.created_at, w.version, w.facts, s.backlog, s.facts,
	(SELECT p.id FROM projects p WHERE p.row = w.owner >> 1)
	FROM webhook_endpoints w JOIN webhook_states s ON s.endpoint = w.row `

func scanEndpoint(q *sqlite.Stmt) (webhook.Endpoint, error) {
	e := webhook.Endpoint{Row: q.ColumnInt64(0), ID: columnID(q, 1), Owner: ownerOf(q.ColumnInt64(2)), From: q.ColumnInt64(3), Until: q.ColumnInt64(4),
		Discard: q.ColumnInt64(5), CreatedAt: columnTime(q, 6), Version: q.ColumnInt64(7)}
	var f endpointFacts
	if err := firstError(read("webhook facts", columnBlob(q, 8), &f), read("webhook state", columnBlob(q, 10), &e.State)); err != nil {
		return e, err
	}
	e.URL, e.Description, e.Events, e.Filters, e.Redact, e.Payload = f.URL, f.Description, f.Events, f.Filters, f.Redact, f.Payload
	e.Names = f.Names
	e.Format, e.Ordering, e.MaxPerSecond, e.Headers = f.Format, f.Ordering, f.MaxPerSecond, f.Headers
	e.Status, e.DisabledReason, e.DisabledAt = f.Status, f.DisabledReason, fromMicros(f.DisabledAt)
	e.Secret, e.OldSecret, e.OldExpires, e.CreatedBy = f.Secret, f.OldSecret, fromMicros(f.OldExpires), f.CreatedBy
	e.State.Backlog, e.Project = q.ColumnInt64(9), columnID(q, 11)
	return e, nil
}

// CreateEndpoint keeps an endpoint. With the first one of all the relay begins: nothing before
// is owed to anybody.
func (s *Store) CreateEndpoint(ctx context.Context, e webhook.Endpoint, most int, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error) {
	facts, err := endpointFactsOf(&e)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	e.Version = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		have, all, err := t.countEndpoints(e.Owner.Project)
		if err == nil && have >= int64(most) {
			err = mail.ErrExists
		}
		if err != nil {
			return err
		}
		if err := t.endpointsMove(all == 0); err != nil {
			return err
		}
		e.From, e.Until = t.now.event, 0
		if e.Status == webhook.Disabled {
			e.Until = e.From
		}
		b := bind(t.conn.Prep(`INSERT INTO webhook_endpoints (id, owner, from_position, until_position, discard, created_at, version, facts) VALUES (?,?,?,?,0,?,?,?)`))
		b.id(e.ID)
		b.int(ownerKey(e.Owner))
		b.int(e.From)
		b.int(e.Until)
		b.int(micros(e.CreatedAt))
		b.int(e.Version)
		b.text(facts)
		if err := t.exec(b.s); err != nil {
			return err
		}
		e.Row = t.conn.LastInsertRowID()
		if err := t.exec(bindInt(t.conn.Prep(`INSERT INTO webhook_states (endpoint) VALUES (?)`), e.Row)); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(e))
	})
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return e, nil
}

func bindInt(q *sqlite.Stmt, all ...int64) *sqlite.Stmt {
	for i, v := range all {
		q.BindInt64(i+1, v)
	}
	return q
}

// countEndpoints tells how many a project has, and how many there are.
func (t *tx) countEndpoints(project int64) (have, all int64, err error) {
	q := bindInt(t.conn.Prep(`SELECT count(*), count(*) FILTER (WHERE owner >> 1 = ?) FROM webhook_endpoints`), project)
	_, err = first(q, func(q *sqlite.Stmt) { all, have = q.ColumnInt64(0), q.ColumnInt64(1) })
	return have, all, err
}

// endpointsMove counts a change of the endpoints, and keeps how far the log was relayed by
// those there were: it is not to be judged anew by what they are now. begin: there were none,
// so the relay begins here.
func (t *tx) endpointsMove(begin bool) error {
	r := &t.w.store.relay
	place := r.passed.Load()
	if begin {
		place = t.now.event - 1
		r.first(place)
	}
	return t.exec(bindInt(t.conn.Prep(`UPDATE webhook_relay SET revision = revision + 1, place = max(place, ?)`), place))
}

// ChangeEndpoint writes a change of an endpoint.
func (s *Store) ChangeEndpoint(ctx context.Context, c webhook.Change) (webhook.Endpoint, error) {
	e := c.Endpoint
	facts, err := endpointFactsOf(&e)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(c.Once); err != nil { // first: its twin has changed the endpoint
			return err
		}
		stands, err := t.endpointStands(c.Endpoint.Owner, c.Endpoint.ID, c.Endpoint.Version)
		if err != nil {
			return err
		}
		e = c.Endpoint
		e.Version++
		e.From, e.Until = stands.From, stands.Until
		if err := t.endpointsMove(false); err != nil {
			return err
		}
		switch {
		case c.Disable:
			e.Until = t.now.event
		case c.Enable:
			if c.Job != nil {
				c.Job.Facts.Replay.From, c.Job.Facts.Replay.To = stands.Until, t.now.event
			}
			e.From, e.Until = t.now.event, 0
		}
		b := bind(t.conn.Prep(`UPDATE webhook_endpoints SET from_position = ?, until_position = ?, discard = ?, version = ?, facts = ? WHERE row = ?`))
		b.int(e.From)
		b.int(e.Until)
		b.int(e.Discard)
		b.int(e.Version)
		b.text(facts)
		b.int(e.Row)
		if err := t.exec(b.s); err != nil {
			return err
		}
		if err := t.changedWith(&c, &e); err != nil || c.Answer == nil {
			return err
		}
		return t.remember(c.Once, c.Answer(e))
	})
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return e, nil
}

// changedWith writes what goes with a change: a fresh state, a job, events.
func (t *tx) changedWith(c *webhook.Change, e *webhook.Endpoint) error {
	if c.Enable { // with a closed breaker
		e.State = webhook.State{Backlog: e.State.Backlog, SuccessAt: e.State.SuccessAt}
		state, err := jsonText("webhook state", &e.State)
		if err != nil {
			return err
		}
		b := bind(t.conn.Prep(`UPDATE webhook_states SET facts = ? WHERE endpoint = ?`))
		b.text(state)
		b.int(e.Row)
		if err := t.exec(b.s); err != nil {
			return err
		}
	}
	if c.Job != nil {
		facts, err := json.Marshal(c.Job.Facts)
		if err != nil {
			return fmt.Errorf("write job facts: %w", err)
		}
		if err := t.insertJob(c.Job, facts); err != nil {
			return err
		}
	}
	for _, event := range c.Events {
		if err := t.addOther(event); err != nil {
			return err
		}
	}
	return nil
}

// endpointStands gives the endpoint if it is there and at the version asked (0: any).
func (t *tx) endpointStands(owner mail.Owner, id mail.ID, version int64) (e webhook.Endpoint, err error) {
	b := bind(t.conn.Prep(endpointColumns + `WHERE w.id = ? AND w.owner = ?`))
	b.id(id)
	b.int(ownerKey(owner))
	var scanErr error
	found, err := first(b.s, func(q *sqlite.Stmt) { e, scanErr = scanEndpoint(q) })
	switch {
	case err != nil || scanErr != nil:
		return e, firstError(err, scanErr)
	case !found:
		return e, mail.ErrNotFound
	case version != 0 && version != e.Version:
		return e, mail.ErrStale
	}
	return e, nil
}

// DeleteEndpoint removes an endpoint; SweepHooks removes what hangs on it.
func (s *Store) DeleteEndpoint(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64) error {
	var last int64 // != 0: there is none any more
	err := s.write(ctx, func(t *tx) error {
		last = 0
		e, err := t.endpointStands(owner, id, ifVersion)
		if err != nil {
			return err
		}
		if err := t.endpointsMove(false); err != nil {
			return err
		}
		for _, sql := range []string{`DELETE FROM webhook_endpoints WHERE row = ?`, `DELETE FROM webhook_states WHERE endpoint = ?`} {
			if err := t.exec(bindInt(t.conn.Prep(sql), e.Row)); err != nil {
				return err
			}
		}
		_, all, err := t.countEndpoints(owner.Project)
		if all == 0 {
			last = s.relay.last()
		}
		return err
	})
	if err == nil && last != 0 {
		s.relay.end(last)
	}
	return err
}

// removeEndpoints removes all of a project's, in both environments.
func (t *tx) removeEndpoints(project int64) error {
	if there, err := t.exists(`SELECT 1 FROM webhook_endpoints WHERE owner >> 1 = ? LIMIT 1`, project); err != nil || !there {
		return err
	}
	if err := t.endpointsMove(false); err != nil {
		return err
	}
	if err := t.exec(bindInt(t.conn.Prep(`DELETE FROM webhook_states WHERE endpoint IN (SELECT row FROM webhook_endpoints WHERE owner >> 1 = ?)`), project)); err != nil {
		return err
	}
	return t.exec(bindInt(t.conn.Prep(`DELETE FROM webhook_endpoints WHERE owner >> 1 = ?`), project))
}

// Endpoint gives one of an owner's.
func (s *Store) Endpoint(ctx context.Context, owner mail.Owner, id mail.ID) (webhook.Endpoint, error) {
	all, err := s.endpoints(ctx, `WHERE w.id = ? AND w.owner = ?`, func(b *binder) {
		b.id(id)
		b.int(ownerKey(owner))
	})
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return all[0], nil
}

// Endpoints lists an owner's.
func (s *Store) Endpoints(ctx context.Context, owner mail.Owner) ([]webhook.Endpoint, error) {
	return s.endpoints(ctx, `WHERE w.owner = ? ORDER BY w.row`, func(b *binder) { b.int(ownerKey(owner)) })
}

func (s *Store) endpoints(ctx context.Context, rest string, args func(*binder)) (out []webhook.Endpoint, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		out, err = readEndpoints(conn, rest, args)
		return err
	})
	return out, err
}

func readEndpoints(conn *sqlite.Conn, rest string, args func(*binder)) (out []webhook.Endpoint, err error) {
	b := bind(conn.Prep(endpointColumns + rest))
	args(&b)
	err = each(b.s, func(q *sqlite.Stmt) error {
		e, err := scanEndpoint(q)
		out = append(out, e)
		return err
	})
	return out, err
}

// AllEndpoints gives those of every owner.
func (s *Store) AllEndpoints(ctx context.Context) (all []webhook.Endpoint, revision int64, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			if _, err := first(conn.Prep(`SELECT revision FROM webhook_relay`), func(q *sqlite.Stmt) { revision = q.ColumnInt64(0) }); err != nil {
				return err
			}
			all, err = readEndpoints(conn, `ORDER BY w.row`, func(*binder) {})
			return err
		})
	})
	return all, revision, err
}

// LeaseEndpoints keeps a node's leases and takes what is free.
func (s *Store) LeaseEndpoints(ctx context.Context, node string, now, until time.Time) (held []webhook.Lease, err error) {
	err = s.write(ctx, func(t *tx) error {
		held = held[:0]
		me, err := t.node(node)
		if err != nil {
			return err
		}
		// Whose node has no lease, or had it in a life before this one, is free.
		var free []int64
		q := bindInt(t.conn.Prep(`SELECT endpoint FROM webhook_states WHERE node = ?1 AND token < ?2
			OR node <> ?1 AND node NOT IN (SELECT node FROM webhook_nodes WHERE lease_until > ?3)`), me, s.bootToken, micros(now))
		if err := each(q, func(q *sqlite.Stmt) error {
			free = append(free, q.ColumnInt64(0))
			return nil
		}); err != nil {
			return err
		}
		for _, endpoint := range free {
			if err := t.exec(bindInt(t.conn.Prep(`UPDATE webhook_states SET node = ?, token = ? WHERE endpoint = ?`), me, t.nextToken(), endpoint)); err != nil {
				return err
			}
		}
		if err := each(bindInt(t.conn.Prep(`SELECT endpoint, token, facts, backlog FROM webhook_states WHERE node = ?`), me), func(q *sqlite.Stmt) error {
			l := webhook.Lease{Endpoint: q.ColumnInt64(0), Token: q.ColumnInt64(1)}
			err := read("webhook state", columnBlob(q, 2), &l.State)
			l.State.Backlog = q.ColumnInt64(3)
			held = append(held, l)
			return err
		}); err != nil || len(held) == 0 {
			return err
		}
		return t.exec(bindInt(t.conn.Prep(`INSERT OR REPLACE INTO webhook_nodes (node, lease_until) VALUES (?,?)`), me, micros(until)))
	})
	return held, err
}

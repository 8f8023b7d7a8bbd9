package sqlite

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// webhook_hooks.status.
const (
	hookOpen = iota
	hookDelivered
	hookFailed
)

// Buckets of webhook_counts behind those of durations.
const (
	countTries  = webhook.Buckets
	countFailed = webhook.Buckets + 1
)

// DueHooks gives a page of an endpoint's open hooks. It reads so much of the index of what
// is due as the page is long, however much waits.
func (s *Store) DueHooks(ctx context.Context, d webhook.Due) (page []webhook.Hook, next time.Time, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			page = page[:0]
			if err := each(dueQuery(conn, &d), func(q *sqlite.Stmt) error {
				page = append(page, webhook.Hook{Endpoint: d.Endpoint, Position: q.ColumnInt64(0), CreatedAt: columnTime(q, 1), Due: columnTime(q, 2),
					Tries: q.ColumnInt(3), Message: q.ColumnInt64(4)})
				return nil
			}); err != nil {
				return err
			}
			if err := addEntries(conn, page, func(h *webhook.Hook) (int64, **eventlog.Entry) { return h.Position, &h.Entry }); err != nil || len(page) >= d.Limit {
				return err
			}
			q := bindInt(conn.Prep(`SELECT min(due_at) FROM webhook_hooks INDEXED BY webhook_hooks_due WHERE endpoint = ? AND due_at IS NOT NULL AND due_at > ?`),
				d.Endpoint, micros(d.Now))
			_, err := first(q, func(q *sqlite.Stmt) { next = columnTime(q, 0) })
			return err
		})
	})
	return page, next, err
}

func dueQuery(conn *sqlite.Conn, d *webhook.Due) *sqlite.Stmt {
	sql := `SELECT h.position, h.created_at, h.due_at, h.tries, h.message FROM webhook_hooks h INDEXED BY webhook_hooks_due
		WHERE h.endpoint = ?1 AND h.due_at IS NOT NULL AND h.due_at <= ?2
		AND h.position >= (SELECT discard FROM webhook_endpoints WHERE row = ?1)`
	if d.Ordered {
		sql += ` AND (h.message IS NULL OR h.created_at <= ?4 OR NOT EXISTS (SELECT 1 FROM webhook_hooks o INDEXED BY webhook_hooks_ordered
			WHERE o.endpoint = h.endpoint AND o.message = h.message AND o.due_at IS NOT NULL AND o.position < h.position))`
	}
	b := bind(conn.Prep(sql + ` ORDER BY h.due_at, h.position LIMIT ?3`))
	b.int(d.Endpoint)
	until := micros(d.Now)
	if d.Probe {
		until = math.MaxInt64
	}
	b.int(until)
	b.int(int64(d.Limit))
	if d.Ordered {
		b.int(micros(d.Patience))
	}
	return b.s
}

// addEntries adds what hooks, or deliveries, tell: of names a position, and where its entry is
// put. One whose event is gone has none.
func addEntries[T any](conn *sqlite.Conn, page []T, of func(*T) (position int64, entry **eventlog.Entry)) error {
	if len(page) == 0 {
		return nil
	}
	at := make(map[int64][]**eventlog.Entry, len(page))
	for i := range page {
		position, entry := of(&page[i])
		at[position] = append(at[position], entry)
	}
	entries, err := readEntries(conn, slices.Collect(maps.Keys(at)))
	for i := range entries {
		for _, entry := range at[entries[i].Position] {
			*entry = &entries[i]
		}
	}
	return err
}

// tryFacts is webhook_tries.facts.
type tryFacts struct {
	At       int64    `json:"at"`
	Micros   int64    `json:"us"`
	Request  []header `json:"request,omitzero"`
	Status   int      `json:"status,omitzero"`
	Headers  []header `json:"headers,omitzero"`
	Response string   `json:"response,omitzero"`
	Error    string   `json:"error,omitzero"`
	Probe    bool     `json:"probe,omitzero"`
}

func headersIn(in []mail.Header) (out []header) {
	for _, h := range in {
		out = append(out, header(h))
	}
	return out
}

func headersOut(in []header) (out []mail.Header) {
	for _, h := range in {
		out = append(out, mail.Header(h))
	}
	return out
}

func tryText(r *webhook.Record) (string, error) {
	return jsonText("a webhook's try", tryFacts{At: micros(r.At), Micros: r.Duration.Microseconds(), Request: headersIn(r.RequestHeaders), Status: r.Status,
		Headers: headersIn(r.ResponseHeaders), Response: r.Response, Error: r.Error, Probe: r.Probe})
}

func readTry(text []byte) (webhook.Record, error) {
	var f tryFacts
	err := read("a webhook's try", text, &f)
	return webhook.Record{At: fromMicros(f.At), Duration: time.Duration(f.Micros) * time.Microsecond, RequestHeaders: headersOut(f.Request), Status: f.Status,
		ResponseHeaders: headersOut(f.Headers), Response: f.Response, Error: f.Error, Probe: f.Probe}, err
}

// settling is one endpoint's settlement with its texts.
type settling struct {
	*webhook.Settlement
	state string
	tries []string
}

// SettleHooks records what came of posts.
func (s *Store) SettleHooks(ctx context.Context, now time.Time, all []webhook.Settlement) (lost []int64, err error) {
	work := make([]settling, len(all))
	for i := range all {
		w := settling{Settlement: &all[i], tries: make([]string, len(all[i].Results))}
		if w.state, err = jsonText("webhook state", &w.State); err != nil {
			return nil, err
		}
		for j := range w.Results {
			if w.tries[j], err = tryText(&w.Results[j].Record); err != nil {
				return nil, err
			}
		}
		work[i] = w
	}
	err = s.write(ctx, func(t *tx) error {
		lost = lost[:0]
		for i := range work {
			held, err := t.settleEndpoint(&work[i], micros(now))
			if err != nil {
				return err
			}
			if !held {
				lost = append(lost, work[i].Endpoint)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("settle hooks: %w", err)
	}
	return lost, nil
}

func (t *tx) settleEndpoint(w *settling, now int64) (held bool, err error) {
	if held, err = t.exists(`SELECT 1 FROM webhook_states WHERE endpoint = ? AND token = ?`, w.Endpoint, w.Token); err != nil || !held {
		return held, err
	}
	closed := int64(0)
	counts := map[int64]int64{}
	for i := range w.Results {
		r := &w.Results[i]
		did, err := t.settleHook(w.Endpoint, r, w.tries[i], now)
		if err != nil {
			return true, err
		}
		if !did {
			continue
		}
		if r.Status != webhook.Pending {
			closed++
		}
		if r.Status == webhook.Delivered {
			counts[int64(webhook.DurationBucket(r.Record.Duration))]++
			continue
		}
		counts[countTries]++
		if r.Status == webhook.Failed {
			counts[countFailed]++
		}
	}
	for bucket, n := range counts {
		if err := t.exec(bindInt(t.conn.Prep(`INSERT INTO webhook_counts (endpoint, hour, bucket, n) VALUES (?,?,?,?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`), w.Endpoint, now/time.Hour.Microseconds(), bucket, n)); err != nil {
			return true, err
		}
	}
	for _, e := range w.Events {
		if err := t.addOther(e); err != nil {
			return true, err
		}
	}
	b := bind(t.conn.Prep(`UPDATE webhook_states SET backlog = backlog - ?, facts = ? WHERE endpoint = ?`))
	b.int(closed)
	b.text(w.state)
	b.int(w.Endpoint)
	return true, t.exec(b.s)
}

// settleHook records one; false when it is not open any more.
func (t *tx) settleHook(endpoint int64, r *webhook.Result, text string, now int64) (bool, error) {
	open, last := false, int64(0)
	if _, err := first(bindInt(t.conn.Prep(`SELECT due_at IS NOT NULL, last_try FROM webhook_hooks WHERE endpoint = ? AND position = ?`), endpoint, r.Position),
		func(q *sqlite.Stmt) { open, last = q.ColumnBool(0), q.ColumnInt64(1) }); err != nil || !open {
		return false, err
	}
	last, err := t.addTry(last, r.Record.Probe, text)
	if err != nil {
		return false, err
	}
	b := bind(t.conn.Prep(`UPDATE webhook_hooks SET status = ?, due_at = ?, tries = ?, settled_at = ?, last_try = ? WHERE endpoint = ? AND position = ?`))
	switch r.Status {
	case webhook.Pending:
		b.int(hookOpen)
		b.int(micros(r.Due))
		b.int(int64(r.Tries))
		b.intOrNull(0)
	default:
		b.int(finalHook(r.Status))
		b.intOrNull(0)
		b.int(int64(r.Tries))
		b.int(now)
	}
	b.int(last)
	b.int(endpoint)
	b.int(r.Position)
	return true, t.exec(b.s)
}

// addTry hangs a try on those before. Of probes, which may be many, the last one is kept.
func (t *tx) addTry(last int64, probe bool, text string) (int64, error) {
	if probe && last != 0 {
		again, err := t.exists(`SELECT 1 FROM webhook_tries WHERE row = ? AND facts ->> '$.probe'`, last)
		if err != nil {
			return last, err
		}
		if again {
			b := bind(t.conn.Prep(`UPDATE webhook_tries SET facts = ? WHERE row = ?`))
			b.text(text)
			b.int(last)
			return last, t.exec(b.s)
		}
	}
	b := bind(t.conn.Prep(`INSERT INTO webhook_tries (previous, facts) VALUES (?,?)`))
	b.intOrNull(last)
	b.text(text)
	if err := t.exec(b.s); err != nil {
		return 0, fmt.Errorf("insert a try: %w", err)
	}
	return t.conn.LastInsertRowID(), nil
}

func finalHook(status string) int64 {
	if status == webhook.Delivered {
		return hookDelivered
	}
	return hookFailed
}

// openHook makes a hook due; one that is over, or never was, begins. It tells whether it was
// not open before.
func (t *tx) openHook(endpoint, position, message, now int64) (bool, error) {
	b := bind(t.conn.Prep(`INSERT INTO webhook_hooks (endpoint, position, created_at, status, due_at, tries, message) VALUES (?1,?2,?3,0,?3,0,?4)
		ON CONFLICT DO UPDATE SET status = 0, due_at = excluded.due_at, created_at = excluded.created_at, tries = 0, settled_at = NULL WHERE due_at IS NULL`))
	b.int(endpoint)
	b.int(position)
	b.int(now)
	b.intOrNull(message)
	if err := t.exec(b.s); err != nil {
		return false, fmt.Errorf("open a hook: %w", err)
	}
	return t.conn.Changes() > 0, nil
}

// hasten makes an open hook due now, if it is not yet.
func (t *tx) hasten(endpoint, position, now int64) error {
	return t.exec(bindInt(t.conn.Prep(`UPDATE webhook_hooks SET due_at = ?1 WHERE endpoint = ?2 AND position = ?3 AND due_at > ?1`), now, endpoint, position))
}

// ReopenHook makes a hook due now.
func (s *Store) ReopenHook(ctx context.Context, owner mail.Owner, id mail.ID, now time.Time, once *mail.Once, answer func(webhook.Delivery) mail.Answer) (d webhook.Delivery, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if d, _, err = findDelivery(t.conn, owner, id); err != nil {
			return err
		}
		endpoint, position := webhook.SplitHookID(id)
		disabled, err := t.exists(`SELECT 1 FROM webhook_endpoints WHERE row = ? AND until_position <> 0`, endpoint)
		if err == nil && disabled {
			err = mail.ErrStale
		}
		if err != nil {
			return err
		}
		opened, err := t.openHook(endpoint, position, 0, micros(now))
		if err != nil {
			return err
		}
		if opened {
			err = t.moveBacklog(endpoint, 1)
		} else {
			err = t.hasten(endpoint, position, micros(now))
		}
		if err != nil {
			return err
		}
		if d, _, err = findDelivery(t.conn, owner, id); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(d))
	})
	return d, err
}

// ReplayHooks opens hooks together with how far their job is.
func (s *Store) ReplayHooks(ctx context.Context, j job.Job, endpoint int64, hooks []webhook.Hook, now time.Time) (added int, err error) {
	err = s.write(ctx, func(t *tx) error {
		added = 0
		open, err := t.jobOpen(j.ID)
		if err == nil && open {
			open, err = t.exists(`SELECT 1 FROM webhook_endpoints WHERE row = ?`, endpoint)
		}
		if err == nil && !open {
			err = mail.ErrStale
		}
		if err != nil {
			return err
		}
		for i := range hooks {
			if !hooks[i].Hasten {
				opened, err := t.openHook(endpoint, hooks[i].Position, hooks[i].Message, micros(now))
				if err != nil {
					return err
				}
				if opened {
					added++
					continue
				}
			}
			if err := t.hasten(endpoint, hooks[i].Position, micros(now)); err != nil {
				return err
			}
		}
		kept := j
		kept.Facts.Created += int64(added)
		kept.Facts.Existing += int64(len(hooks) - added)
		facts, err := json.Marshal(kept.Facts)
		if err != nil {
			return err
		}
		if err := t.moveBacklog(endpoint, int64(added)); err != nil {
			return err
		}
		return t.saveJob(&kept, facts)
	})
	return added, err
}

// HookCounts sums up what was counted, by hour.
func (s *Store) HookCounts(ctx context.Context, endpoints []int64, since time.Time) (out map[int64][]webhook.Hour, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		out = make(map[int64][]webhook.Hour, len(endpoints))
		b := bind(conn.Prep(`SELECT c.hour, c.bucket, c.n, c.endpoint FROM json_each(?) l CROSS JOIN webhook_counts c
			ON c.endpoint = l.value WHERE c.hour >= ? ORDER BY c.endpoint, c.hour`))
		b.text(rowList(slices.Values(endpoints)))
		b.int(micros(since) / time.Hour.Microseconds())
		return each(b.s, func(q *sqlite.Stmt) error {
			start, of := fromMicros(q.ColumnInt64(0)*time.Hour.Microseconds()), q.ColumnInt64(3)
			hours := out[of]
			if len(hours) == 0 || !hours[len(hours)-1].Start.Equal(start) {
				hours = append(hours, webhook.Hour{Start: start})
				out[of] = hours
			}
			h, n := &hours[len(hours)-1], q.ColumnInt64(2)
			switch bucket := q.ColumnInt(1); {
			case bucket == countTries:
				h.Tries += n
			case bucket == countFailed:
				h.Failed += n
			case bucket >= 0 && bucket < webhook.Buckets:
				h.Delivered += n
				h.Durations[bucket] += n
			}
			return nil
		})
	})
	return out, err
}

// entryAt reads one event with what it is about.
func entryAt(conn *sqlite.Conn, position int64) (*eventlog.Entry, error) {
	entries, err := readEntries(conn, []int64{position})
	if err != nil || len(entries) == 0 {
		return nil, firstError(err, mail.ErrNotFound)
	}
	return &entries[0], nil
}

package sqlite

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// What is shown of a hook. Event and message are found by it: nothing is kept twice.
const deliveryOf = `SELECT h.position, h.created_at, h.status, h.due_at, h.tries, h.settled_at, h.last_try, e.id, e.type, e.at, m.id
	FROM webhook_hooks h JOIN events e ON e.row = h.position LEFT JOIN messages m ON m.row = e.message WHERE h.endpoint = ? `

func scanHookDelivery(q *sqlite.Stmt, e *webhook.Endpoint) (d webhook.Delivery, lastTry int64) {
	d = webhook.Delivery{Endpoint: e.ID, URL: e.URL, Position: q.ColumnInt64(0), CreatedAt: columnTime(q, 1), NextAttempt: columnTime(q, 3), Attempts: q.ColumnInt(4),
		SettledAt: columnTime(q, 5), Event: columnID(q, 7), Type: mail.EventType(q.ColumnText(8)), Message: columnID(q, 10)}
	d.ID = webhook.HookID(e.Row, d.Position, columnTime(q, 9))
	switch q.ColumnInt64(2) {
	case hookDelivered:
		d.Status = webhook.Delivered
	case hookFailed:
		d.Status = webhook.Failed
	default:
		d.Status = webhook.Pending
		if e.Parks() {
			d.Status, d.NextAttempt = webhook.Parked, fromMicros(0)
		}
	}
	return d, q.ColumnInt64(6)
}

// Deliveries finds hooks. An endpoint's stand in the order of the log; a message's are found
// by its events, failed ones by their index, the rest is judged on the way.
func (s *Store) Deliveries(ctx context.Context, q webhook.DeliveryQuery) (out []webhook.Delivery, err error) {
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		out = nil
		tries := map[mail.ID]int64{}
		endpoints, err := readEndpoints(conn, `WHERE w.owner = ? ORDER BY w.row`, func(b *binder) { b.int(ownerKey(q.Owner)) })
		if err != nil {
			return err
		}
		for i := range endpoints {
			e := &endpoints[i]
			if !q.Endpoint.IsZero() && e.ID != q.Endpoint || !fits(e, q.Status) {
				continue
			}
			if out, err = deliveriesOf(conn, e, &q, out, tries); err != nil {
				return err
			}
		}
		if q.Endpoint.IsZero() {
			slices.SortFunc(out, func(a, b webhook.Delivery) int { return cmp.Compare(b.Position, a.Position) })
			out = out[:min(len(out), q.Limit)]
		}
		if q.Last {
			if err := addLast(conn, out, tries); err != nil {
				return err
			}
		}
		if q.Bodies {
			return addEntries(conn, out, func(d *webhook.Delivery) (int64, **eventlog.Entry) { return d.Position, &d.Entry })
		}
		return nil
	})
	return out, err
}

// addLast adds to each delivery its last try, by these rows.
func addLast(conn *sqlite.Conn, all []webhook.Delivery, tries map[mail.ID]int64) error {
	of := make(map[int64]*webhook.Delivery, len(all)) // by row of the try
	for i := range all {
		of[tries[all[i].ID]] = &all[i]
	}
	q := conn.Prep(`SELECT t.row, t.facts FROM json_each(?) l CROSS JOIN webhook_tries t ON t.row = l.value`)
	q.BindText(1, rowList(maps.Keys(of)))
	return each(q, func(q *sqlite.Stmt) error {
		r, err := readTry(columnBlob(q, 1))
		of[q.ColumnInt64(0)].Tries = []webhook.Record{r}
		return err
	})
}

// fits tells whether an endpoint can have hooks of a status: either its open ones are parked,
// or they are pending.
func fits(e *webhook.Endpoint, status string) bool {
	return status != webhook.Pending && status != webhook.Parked || (status == webhook.Parked) == e.Parks()
}

// deliveriesOf adds those of one endpoint, and to tries the rows of their last ones.
func deliveriesOf(conn *sqlite.Conn, e *webhook.Endpoint, q *webhook.DeliveryQuery, out []webhook.Delivery, tries map[mail.ID]int64) ([]webhook.Delivery, error) {
	sql := deliveryOf + `AND h.position < ?2 AND (?3 = '' OR EXISTS (SELECT 1 FROM json_each(?3) t WHERE e.type GLOB t.value)) `
	order := `DESC`
	if q.Ascending {
		sql = deliveryOf + `AND h.position > ?2 AND (?3 = '' OR EXISTS (SELECT 1 FROM json_each(?3) t WHERE e.type GLOB t.value)) `
		order = `ASC`
	}
	switch q.Status {
	case webhook.Failed: // few, if all is well: they have an index
		sql = strings.Replace(sql, `webhook_hooks h`, `webhook_hooks h INDEXED BY webhook_hooks_failed`, 1) + `AND h.status = 2 `
	case webhook.Delivered:
		sql += `AND h.status = 1 `
	case webhook.Pending, webhook.Parked:
		sql += `AND h.due_at IS NOT NULL `
	}
	if !q.Message.IsZero() {
		sql += `AND h.position IN (WITH RECURSIVE chain (row) AS (
			SELECT d.last_event FROM messages x JOIN deliveries d ON d.row >= x.delivery AND d.row < x.delivery + x.deliveries
				WHERE x.id = ?5 AND d.last_event IS NOT NULL
			UNION ALL SELECT v.previous FROM chain JOIN events v ON v.row = chain.row WHERE v.previous IS NOT NULL) SELECT row FROM chain) `
	}
	types := ""
	if len(q.Types) > 0 {
		text, err := json.Marshal(q.Types)
		if err != nil {
			return nil, err
		}
		types = string(text)
	}
	b := bind(conn.Prep(sql + `ORDER BY h.position ` + order + ` LIMIT ?4`))
	b.int(e.Row)
	if q.After == 0 && !q.Ascending {
		b.int(math.MaxInt64)
	} else {
		b.int(q.After)
	}
	b.text(types)
	b.int(int64(q.Limit))
	if !q.Message.IsZero() {
		b.id(q.Message)
	}
	err := each(b.s, func(q *sqlite.Stmt) error {
		d, last := scanHookDelivery(q, e)
		out, tries[d.ID] = append(out, d), last
		return nil
	})
	return out, err
}

// findDelivery gives a hook by its name, with its last try.
func findDelivery(conn *sqlite.Conn, owner mail.Owner, id mail.ID) (d webhook.Delivery, lastTry int64, err error) {
	endpoint, position := webhook.SplitHookID(id)
	endpoints, err := readEndpoints(conn, `WHERE w.row = ? AND w.owner = ?`, func(b *binder) {
		b.int(endpoint)
		b.int(ownerKey(owner))
	})
	if err != nil || len(endpoints) == 0 {
		return d, 0, firstError(err, mail.ErrNotFound)
	}
	found, err := first(bindInt(conn.Prep(deliveryOf+`AND h.position = ?`), endpoint, position), func(q *sqlite.Stmt) { d, lastTry = scanHookDelivery(q, &endpoints[0]) })
	if err == nil && (!found || d.ID != id) {
		err = mail.ErrNotFound
	}
	return d, lastTry, err
}

// maxTries bounds what is shown of one hook: probes of an open breaker do not count, and may
// be many.
const maxTries = 100

// Delivery gives one hook with its tries.
func (s *Store) Delivery(ctx context.Context, owner mail.Owner, id mail.ID) (d webhook.Delivery, entry *eventlog.Entry, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			var row int64
			if d, row, err = findDelivery(conn, owner, id); err != nil {
				return err
			}
			for row != 0 && len(d.Tries) < maxTries {
				var text []byte
				q := bindInt(conn.Prep(`SELECT previous, facts FROM webhook_tries WHERE row = ?`), row)
				if _, err := first(q, func(q *sqlite.Stmt) { row, text = q.ColumnInt64(0), columnBlob(q, 1) }); err != nil {
					return err
				}
				r, err := readTry(text)
				if err != nil {
					return err
				}
				d.Tries = append(d.Tries, r)
			}
			slices.Reverse(d.Tries)
			entry, err = entryAt(conn, d.Position)
			return err
		})
	})
	return d, entry, err
}

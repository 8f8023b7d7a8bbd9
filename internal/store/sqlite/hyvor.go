package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
)

// Remember keeps a refusal under its key.
func (s *Store) Remember(ctx context.Context, once *mail.Once, a mail.Answer) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		return t.remember(once, a)
	})
}

// whose finds the owner of a row: project<<1 | environment. What serves both environments
// of its project has the live one.
var whose = map[hyvor.Thing]string{
	hyvor.ThingSend:        `SELECT owner FROM messages WHERE row = ?`,
	hyvor.ThingDomain:      `SELECT project << 1 FROM domains WHERE row = ?`,
	hyvor.ThingKey:         `SELECT project << 1 | env FROM keys WHERE row = ?`,
	hyvor.ThingSuppression: `SELECT owner FROM suppressions WHERE row = ?`,
	hyvor.ThingWebhook:     `SELECT owner FROM webhook_endpoints WHERE row = ?`,
}

// Whose tells the owner of a row.
func (s *Store) Whose(ctx context.Context, what hyvor.Thing, row int64) (mail.Owner, error) {
	sql, known := whose[what]
	if !known {
		return mail.Owner{}, fmt.Errorf("no rows of thing %d", what)
	}
	return s.ownerWhere(ctx, sql, func(b *binder) { b.int(row) })
}

// WhoseMessage tells the owner of a message.
func (s *Store) WhoseMessage(ctx context.Context, id mail.ID) (mail.Owner, error) {
	return s.ownerWhere(ctx, `SELECT owner FROM messages WHERE id = ?`, func(b *binder) { b.id(id) })
}

func (s *Store) ownerWhere(ctx context.Context, sql string, args func(*binder)) (owner mail.Owner, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(sql))
		args(&b)
		found, err := first(b.s, func(q *sqlite.Stmt) { owner = ownerOf(q.ColumnInt64(0)) })
		if err == nil && !found {
			err = mail.ErrNotFound
		}
		return err
	})
	return owner, err
}

// KeyRows gives the row of each key of a project.
func (s *Store) KeyRows(ctx context.Context, project int64) (map[string]int64, error) {
	rows := make(map[string]int64)
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT id, row FROM keys WHERE project = ?`))
		b.int(project)
		return each(b.s, func(q *sqlite.Stmt) error {
			rows[q.ColumnText(0)] = q.ColumnInt64(1)
			return nil
		})
	})
	return rows, err
}

// Tally walks the owner's messages since a time, which the spans bound: about a second
// for a million.
func (s *Store) Tally(ctx context.Context, owner mail.Owner, since time.Time) (out []hyvor.Count, err error) {
	tail := s.tail()
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		low, high, err := rowBounds(conn, tail, since, time.Time{})
		if err != nil || low > high {
			return err
		}
		b := bind(conn.Prep(`SELECT date(m.created_at / 1000000, 'unixepoch'), d.status,
			d.status = 7 AND coalesce(d.state ->> '$.bounce.reason', '') = 'retries_exhausted', count(*)
			FROM messages m CROSS JOIN deliveries d ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries
			WHERE m.owner = ? AND m.row >= ? AND m.row <= ? AND m.created_at >= ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`))
		b.int(ownerKey(owner))
		b.int(low)
		b.int(high)
		b.int(micros(since))
		out = nil
		return each(b.s, func(q *sqlite.Stmt) error {
			out = append(out, hyvor.Count{Day: q.ColumnText(0), Status: mail.Status(q.ColumnInt64(1)), Exhausted: q.ColumnBool(2), Count: q.ColumnInt64(3)})
			return nil
		})
	})
	return out, err
}

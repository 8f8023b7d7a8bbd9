package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/retention"
)

// Recipients gives those of these deliveries that are still kept.
func (s *Store) Recipients(ctx context.Context, deliveries []int64) (map[int64]feedback.Recipient, error) {
	found := make(map[int64]feedback.Recipient, len(deliveries))
	facts := make(map[int64][]byte, len(deliveries))
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		for _, row := range deliveries {
			if err := readRecipient(conn, row, found, facts); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for row, to := range found {
		var f messageFacts
		if err := read("message facts", facts[row], &f); err != nil {
			return nil, err
		}
		to.From, to.Topic = mail.Address{Name: f.FromName, Email: f.From}, f.Topic
		found[row] = to
	}
	return found, nil
}

func readRecipient(conn *sqlite.Conn, row int64, found map[int64]feedback.Recipient, facts map[int64][]byte) error {
	q := conn.Prep(`SELECT d.owner, d.address, d.status, d.done_at, m.id, m.facts
		FROM deliveries d JOIN messages m ON m.row = d.message WHERE d.row = ?`)
	q.BindInt64(1, row)
	_, err := first(q, func(q *sqlite.Stmt) {
		to := feedback.Recipient{Delivery: row, Owner: ownerOf(q.ColumnInt64(0)), Address: q.ColumnText(1), Message: columnID(q, 4)}
		switch mail.Status(q.ColumnInt64(2)) {
		case mail.Delivered, mail.Complained:
			to.DeliveredAt = columnTime(q, 3)
		}
		found[row], facts[row] = to, columnBlob(q, 5)
	})
	return err
}

// Unsubscribe enters a recipient's own wish with both events.
func (s *Store) Unsubscribe(ctx context.Context, u feedback.Unsubscription) (got mail.Suppression, created bool, err error) {
	now := u.Suppress.CreatedAt
	err = s.write(ctx, func(t *tx) error {
		p, found, err := t.progress(u.Delivery, true)
		if err == nil && (!found || retention.Erased(p.address)) {
			err = mail.ErrNotFound
		}
		if err != nil {
			return err
		}
		in := u.Suppress
		in.Owner, in.Address = ownerOf(p.owner), p.address
		q := t.conn.Prep(`SELECT id FROM messages WHERE row = ?`)
		q.BindInt64(1, p.message)
		if _, err := first(q, func(q *sqlite.Stmt) { in.Message = columnID(q, 0) }); err != nil {
			return err
		}
		if got, created, err = t.suppress(in, now); err != nil || !created {
			return err
		}
		return t.tell(&p, mail.Event{ID: mail.NewID(now), Owner: in.Owner, Type: mail.EventUnsubscribed, At: now, Detail: mail.Detail{
			Summary: "Unsubscribed by the recipient", Method: u.Method, Topic: in.Topic, SuppressionID: got.ID.Text(mail.PrefixSuppression),
		}})
	})
	return got, created, err
}

// tell hangs an event on a delivery and changes nothing else of it.
func (t *tx) tell(p *progress, e mail.Event) error {
	e.Detail.Previous = p.status.String() // it stays what it is
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	if err := t.addEvent(&chain, &e, detailText(&e.Detail)); err != nil {
		return err
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET events = ?, last_event = ? WHERE row = ?`))
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.int(p.row)
	return t.exec(b.s)
}

// Visited records opens and clicks.
func (s *Store) Visited(ctx context.Context, visits []feedback.Visit) error {
	return s.write(ctx, func(t *tx) error {
		for i := range visits {
			p, found, err := t.progress(visits[i].Delivery, true)
			if err != nil {
				return err
			}
			if !found || retention.Erased(p.address) || p.events >= feedback.MaxVisits {
				continue
			}
			e := visits[i].Event
			e.Owner = ownerOf(p.owner)
			if err := t.tell(&p, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// endSuppression takes a suppression off the list and keeps it as a past one.
func (t *tx) endSuppression(row int64, now time.Time, by string) error {
	b := bind(t.conn.Prep(`INSERT INTO past_suppressions (id, owner, address, kind, topic, reason, source, message, detail, note,
		created_at, expires_at, blocked_count, last_blocked_at, ended_at, ended_by)
		SELECT id, owner, address, kind, topic, reason, source, message, detail, note, created_at, expires_at, blocked_count,
		last_blocked_at, ?, ? FROM suppressions WHERE row = ?`))
	b.int(micros(now))
	b.text(by)
	b.int(row)
	if err := t.exec(b.s); err != nil {
		return err
	}
	q := t.conn.Prep(`DELETE FROM suppressions WHERE row = ?`)
	q.BindInt64(1, row)
	return t.exec(q)
}

const maxPast = 100

// PastSuppressions gives an address's suppressions that are over.
func (s *Store) PastSuppressions(ctx context.Context, owner mail.Owner, address string) (out []feedback.Past, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + suppressionColumns + `, ended_at, ended_by FROM past_suppressions
			WHERE owner = ? AND address = ? ORDER BY row DESC LIMIT ?`))
		b.int(ownerKey(owner))
		b.text(address)
		b.int(maxPast)
		out = nil
		return each(b.s, func(q *sqlite.Stmt) error {
			out = append(out, feedback.Past{Suppression: scanSuppression(q), EndedAt: columnTime(q, 15), By: q.ColumnText(16)})
			return nil
		})
	})
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}

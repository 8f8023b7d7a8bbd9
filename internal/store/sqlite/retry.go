package sqlite

import (
	"context"
	"slices"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// Retry puts given up deliveries back into the queue.
func (s *Store) Retry(ctx context.Context, c queue.Change, rows []int64) (queue.Changed, error) {
	return s.order(ctx, c, func(t *tx, o *orderOf) error {
		if has, err := t.exists(`SELECT 1 FROM bodies WHERE message = ?`, o.row); err != nil || !has {
			return orNoContent(err)
		}
		for i := range o.deliveries {
			p := &o.deliveries[i]
			if rows != nil && !slices.Contains(rows, p.row) {
				continue
			}
			gave, err := t.gaveUp(p)
			if err != nil {
				return err
			}
			if !gave {
				continue
			}
			if err := t.retry(p, c); err != nil {
				return err
			}
			p.status = mail.Queued
			o.count++
		}
		return nil
	})
}

func orNoContent(err error) error {
	if err == nil {
		return mail.ErrNoContent
	}
	return err
}

// gaveUp asks for how a delivery ended where its status does not tell.
func (t *tx) gaveUp(p *progress) (bool, error) {
	d := mail.Delivery{Status: p.status}
	if p.status == mail.Bounced {
		q := t.conn.Prep(`SELECT state FROM deliveries WHERE row = ?`)
		q.BindInt64(1, p.row)
		var text []byte
		if _, err := first(q, func(q *sqlite.Stmt) { text = columnBlob(q, 0) }); err != nil {
			return false, err
		}
		s, err := readState(text)
		if err != nil {
			return false, err
		}
		d.Bounce = s.Bounce
	}
	return d.GaveUp(), nil
}

// retry is a delivery's way back: what it was tried before stays recorded, its tries are
// counted anew, and what it ended with is no longer true.
func (t *tx) retry(p *progress, c queue.Change) error {
	next := p.keep()
	next.status, next.wait, next.due, next.tries = mail.Queued, mail.WaitNew, micros(c.Now), 0
	e := &mail.Event{ID: mail.NewID(c.Now), Type: mail.EventQueued, At: c.Now,
		Detail: mail.Detail{Previous: p.status.String(), By: c.By, Reason: "retried"}}
	if c.To.After(c.Now) {
		next.due, e.Detail.ScheduledTime = micros(c.To), &c.To
	}
	if err := t.moveWith(p, next, e); err != nil {
		return err
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET done_at = NULL, state = NULL WHERE row = ?`))
	b.int(p.row)
	return t.exec(b.s)
}

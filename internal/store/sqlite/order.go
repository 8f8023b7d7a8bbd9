package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// Cancel stops what it still can of a message.
func (s *Store) Cancel(ctx context.Context, c queue.Change) (queue.Changed, error) {
	return s.order(ctx, c, func(t *tx, o *orderOf) error {
		if c.OnlyUntried && o.everBegun() {
			return nil
		}
		stop := stopOrder{Reason: c.Reason, By: c.By}
		for i := range o.deliveries {
			did, err := t.stopDelivery(&o.deliveries[i], stop, c.Now)
			if err != nil {
				return err
			}
			if did != untouched {
				o.count++
			}
			if did == ended {
				o.deliveries[i].status = mail.Cancelled
			}
		}
		return nil
	})
}

// Reschedule moves the time of a message whose open deliveries are all Scheduled; a zero
// time leaves it and changes tags and metadata only. An expiry moves along.
func (s *Store) Reschedule(ctx context.Context, c queue.Change) (queue.Changed, error) {
	return s.order(ctx, c, func(t *tx, o *orderOf) error {
		if !o.allScheduled() {
			return nil
		}
		if err := t.rewriteMessage(o, c); err != nil {
			return err
		}
		for i := range o.deliveries {
			p := &o.deliveries[i]
			if p.status.Final() {
				continue
			}
			o.count++
			if c.To.IsZero() {
				continue
			}
			if err := t.reschedule(p, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) reschedule(p *progress, c queue.Change) error {
	e := mail.Event{ID: mail.NewID(c.Now), Type: mail.EventRescheduled, At: c.Now,
		Detail: mail.Detail{ScheduledTime: &c.To, By: c.By, Previous: p.status.String()}}
	next := p.keep()
	next.wait, next.due = mail.WaitScheduled, micros(c.To)
	return t.moveWith(p, next, &e)
}

func (t *tx) moveWith(p *progress, next change, e *mail.Event) error {
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	if e != nil {
		if err := t.addEvent(&chain, e, detailText(&e.Detail)); err != nil {
			return err
		}
	}
	return t.move(p, next, &chain)
}

// SendNow makes what is scheduled or deferred due at once. What is leased is on its way
// already.
func (s *Store) SendNow(ctx context.Context, c queue.Change) (queue.Changed, error) {
	return s.order(ctx, c, func(t *tx, o *orderOf) error {
		for i := range o.deliveries {
			p := &o.deliveries[i]
			if !p.waiting || p.status != mail.Scheduled && p.status != mail.Deferred {
				continue
			}
			next := p.keep()
			next.due = micros(c.Now)
			var e *mail.Event
			if p.status == mail.Scheduled {
				next.status, next.wait = mail.Queued, mail.WaitNew
				e = &mail.Event{ID: mail.NewID(c.Now), Type: mail.EventQueued, At: c.Now,
					Detail: mail.Detail{Previous: mail.Scheduled.String(), By: c.By}}
			}
			if err := t.moveWith(p, next, e); err != nil {
				return err
			}
			p.status = next.status
			o.count++
		}
		return nil
	})
}

// orderOf is a message while an order about it is carried out.
type orderOf struct {
	row        int64
	deliveries []progress
	count      int // deliveries changed
}

// order finds the message, carries the order out and remembers the answer. When the
// state does not allow it nothing is written, the key of Once is not used up and Answer
// is not asked.
func (s *Store) order(ctx context.Context, c queue.Change, carryOut func(*tx, *orderOf) error) (out queue.Changed, err error) {
	err = s.write(ctx, func(t *tx) error {
		out = queue.Changed{}
		if err := t.unused(c.Once); err != nil {
			return err
		}
		o, err := t.orderOf(c.Owner, c.Message)
		if err != nil {
			return err
		}
		if err := carryOut(t, o); err != nil {
			return err
		}
		out.Count, out.Status = o.count, o.status()
		if o.count == 0 || c.Answer == nil {
			return nil
		}
		out.Answer = c.Answer(out)
		return t.remember(c.Once, out.Answer)
	})
	if err != nil {
		return queue.Changed{}, err
	}
	return out, nil
}

func (t *tx) orderOf(owner mail.Owner, id mail.ID) (*orderOf, error) {
	o := &orderOf{}
	var from, count int64
	b := bind(t.conn.Prep(`SELECT row, delivery, deliveries FROM messages WHERE id = ? AND owner = ?`))
	b.id(id)
	b.int(ownerKey(owner))
	found, err := first(b.s, func(q *sqlite.Stmt) {
		o.row, from, count = q.ColumnInt64(0), q.ColumnInt64(1), q.ColumnInt64(2)
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, mail.ErrNotFound
	}
	for row := from; row < from+count; row++ {
		p, found, err := t.progress(row, true)
		if err != nil {
			return nil, err
		}
		if found {
			o.deliveries = append(o.deliveries, p)
		}
	}
	return o, nil
}

func (o *orderOf) status() mail.Status {
	all := make([]mail.Status, len(o.deliveries))
	for i := range o.deliveries {
		all[i] = o.deliveries[i].status
	}
	return mail.Overall(all...)
}

// everBegun tells whether an attempt of the message ever began: one that did was
// accepted before, or has begun now, or was counted.
func (o *orderOf) everBegun() bool {
	for i := range o.deliveries {
		if p := &o.deliveries[i]; p.begun || p.accepted != 0 || p.tries > 0 {
			return true
		}
	}
	return false
}

func (o *orderOf) allScheduled() bool {
	open := 0
	for i := range o.deliveries {
		p := &o.deliveries[i]
		if p.status.Final() {
			continue
		}
		open++
		if p.status != mail.Scheduled || p.begun {
			return false
		}
	}
	return open > 0
}

// rewriteMessage changes what a Reschedule may change of the message itself.
func (t *tx) rewriteMessage(o *orderOf, c queue.Change) error {
	q := t.conn.Prep(`SELECT ` + messageColumns + ` FROM messages m WHERE m.row = ?`)
	q.BindInt64(1, o.row)
	var r messageRow
	if _, err := first(q, func(q *sqlite.Stmt) { r = scanMessage(q) }); err != nil {
		return err
	}
	m, err := r.decode()
	if err != nil {
		return err
	}
	if !c.To.IsZero() {
		if !m.ExpiresAt.IsZero() && !m.ScheduledAt.IsZero() {
			m.ExpiresAt = m.ExpiresAt.Add(c.To.Sub(m.ScheduledAt).Truncate(time.Microsecond))
		}
		m.ScheduledAt = c.To
	}
	if c.Tags != nil {
		m.Tags = *c.Tags
	}
	if c.Metadata != nil {
		m.Metadata = *c.Metadata
	}
	b := bind(t.conn.Prep(`UPDATE messages SET facts = ? WHERE row = ?`))
	b.text(string(appendMessageFacts(nil, m)))
	b.int(o.row)
	return t.exec(b.s)
}

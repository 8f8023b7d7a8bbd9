package sqlite

import (
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// stopped tells what stopping a delivery did.
type stopped uint8

const (
	untouched stopped = iota // it was final, or forbidden already
	ended                    // it is cancelled
	forbidden                // it is on the wire: it may still be delivered, but not retried
)

// stopDelivery stops what can still be stopped: a delivery that waits, or is leased and
// has not begun (its lease ends, so that Begin says Lost). One that has begun is
// marked, and Settle makes it Cancelled where it would have been tried again.
func (t *tx) stopDelivery(p *progress, o stopOrder, now time.Time) (stopped, error) {
	switch {
	case p.status.Final():
		return untouched, nil
	case p.until != 0 && p.begun:
		if p.stop != nil {
			return untouched, nil
		}
		b := bind(t.conn.Prep(`UPDATE deliveries SET stop = ?, supersedes = NULL WHERE row = ?`))
		b.text(string(appendStop(o)))
		b.int(p.row)
		return forbidden, t.exec(b.s)
	}
	p.stop = appendStop(o)
	return ended, t.obey(p, now)
}

func appendStop(s stopOrder) []byte {
	o := object{}
	o.open()
	o.text("reason", s.Reason)
	o.text("by", s.By)
	o.text("superseded_by", s.SupersededBy)
	o.close()
	return o.b
}

// obey ends a delivery whose stop order stands.
func (t *tx) obey(p *progress, now time.Time) error {
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	c := p.keep()
	if err := t.cancelled(p, &c, &chain, now); err != nil {
		return err
	}
	return t.move(p, c, &chain)
}

// cancelled turns a change into the end the stop order asks for, with its event.
func (t *tx) cancelled(p *progress, c *change, chain *eventChain, now time.Time) error {
	var o stopOrder
	if err := read("stop order", p.stop, &o); err != nil {
		return err
	}
	e := mail.Event{ID: mail.NewID(now), Type: mail.EventCancelled, At: now, Detail: mail.Detail{
		Previous: p.status.String(), Reason: o.Reason, By: o.By, SupersededBy: o.SupersededBy}}
	c.status, c.wait, c.done = mail.Cancelled, mail.NoWait, micros(now)
	return t.addEvent(chain, &e, detailText(&e.Detail))
}

// supersede cancels older open deliveries with the same key and recipient as the new
// message's, before it enters itself.
func (e *entry) supersede(t *tx) error {
	m := e.a.Message
	if m.Supersedes == "" {
		return nil
	}
	var rows []int64
	for i := range e.deliveries {
		b := bind(t.conn.Prep(`SELECT row FROM deliveries WHERE owner = ? AND supersedes = ? AND address = ? ORDER BY row`))
		b.int(ownerKey(m.Owner))
		b.text(m.Supersedes)
		b.text(e.deliveries[i].address)
		if err := each(b.s, func(q *sqlite.Stmt) error {
			rows = append(rows, q.ColumnInt64(0))
			return nil
		}); err != nil {
			return err
		}
	}
	order := stopOrder{Reason: "superseded", By: "superseded", SupersededBy: m.ID.Text(mail.PrefixMessage)}
	seen := make(map[int64]bool)
	for _, row := range rows {
		p, _, err := t.progress(row, false)
		if err != nil {
			return err
		}
		did, err := t.stopDelivery(&p, order, m.CreatedAt)
		if err != nil {
			return err
		}
		if did == untouched || seen[p.message] {
			continue
		}
		seen[p.message] = true
		old, err := t.markSuperseded(p.message, m.ID)
		if err != nil {
			return err
		}
		e.receipt.Superseded = append(e.receipt.Superseded, old)
	}
	return nil
}

// markSuperseded tells the old message which one came after it, and gives its ID.
func (t *tx) markSuperseded(message int64, by mail.ID) (old mail.ID, err error) {
	q := t.conn.Prep(`SELECT id FROM messages WHERE row = ?`)
	q.BindInt64(1, message)
	if _, err := first(q, func(q *sqlite.Stmt) { old = columnID(q, 0) }); err != nil {
		return old, err
	}
	b := bind(t.conn.Prep(`UPDATE messages SET superseded_by = ? WHERE row = ?`))
	b.id(by)
	b.int(message)
	return old, t.exec(b.s)
}

package sqlite

import (
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// progress is a delivery's row as far as changing it needs.
type progress struct {
	row, message, owner int64
	siblings            int64
	tier                mail.Tier
	status              mail.Status
	wait                mail.Wait
	until, token        int64 // until 0: not leased
	begun               bool
	waiting             bool
	tries               int64
	events, lastEvent   int64
	lastAttempt         int64
	accepted, tried     int64
	due                 int64
	stop                []byte // JSON of a stopOrder, nil: none
	address             string // read only where it is needed
}

// progress reads a delivery; found is false for a row there is not.
func (t *tx) progress(row int64, withAddress bool) (p progress, found bool, err error) {
	q := t.s.progress
	q.BindInt64(1, row)
	found, err = first(q, func(q *sqlite.Stmt) {
		p = progress{
			row: row, message: q.ColumnInt64(0), owner: q.ColumnInt64(1), siblings: q.ColumnInt64(2),
			tier: mail.Tier(q.ColumnInt64(3)), status: mail.Status(q.ColumnInt64(4)), wait: mail.Wait(q.ColumnInt64(5)),
			until: q.ColumnInt64(6), token: q.ColumnInt64(7), begun: q.ColumnInt64(8) != 0, tries: q.ColumnInt64(9),
			events: q.ColumnInt64(10), lastEvent: q.ColumnInt64(11), lastAttempt: q.ColumnInt64(12),
			accepted: q.ColumnInt64(13), tried: q.ColumnInt64(14), due: q.ColumnInt64(15),
			waiting: q.ColumnInt64(16) != 0, stop: columnBlob(q, 17),
		}
		if withAddress {
			p.address = q.ColumnText(18)
		}
	})
	return p, found, err
}

// holds tells whether a lease is still the delivery's. One that has run out still
// holds until somebody rescues the delivery.
func (p *progress) holds(l mail.Lease) bool { return p.until != 0 && p.token == l.Token }

// chain continues the delivery's events.
func (t *tx) chain(p *progress) (eventChain, error) {
	c := eventChain{message: p.message, delivery: p.row, owner: p.owner, count: p.events, last: p.lastEvent, sequence: p.events}
	if p.siblings == 1 {
		return c, nil
	}
	q := t.conn.Prep(`SELECT sum(d.events) FROM messages m JOIN deliveries d
		ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries WHERE m.row = ?`)
	q.BindInt64(1, p.message)
	_, err := first(q, func(q *sqlite.Stmt) { c.sequence = q.ColumnInt64(0) })
	return c, err
}

// place names where the delivery stands for the counters.
func (t *tx) count(p *progress, n int64) {
	switch {
	case p.until != 0:
		t.now.depth.add(p.tier, mail.NoWait, n)
	case p.waiting:
		t.now.depth.add(p.tier, p.wait, n)
	}
}

// queueOfAddress is the queue of a delivery, from its row.
func (p *progress) queue() string {
	return queueKey(ownerOf(p.owner), p.tier, mail.Address{Email: p.address}.Domain())
}

// change is what a delivery becomes.
type change struct {
	status  mail.Status
	wait    mail.Wait
	due     int64
	tries   int64
	attempt int64 // last attempt's row
	tried   int64
	state   string // "" = as it is
	done    int64  // when it became final
}

// keep is the change that changes nothing but what is set after.
func (p *progress) keep() change {
	return change{status: p.status, wait: p.wait, due: p.due, tries: p.tries, attempt: p.lastAttempt, tried: p.tried}
}

// move writes a delivery's next state: final, or waiting again. Its lease ends.
func (t *tx) move(p *progress, c change, chain *eventChain) error {
	t.count(p, -1)
	if c.status.Final() {
		b := bind(t.s.finish)
		b.int(int64(c.status))
		b.int(c.tries)
		b.int(chain.count)
		b.intOrNull(chain.last)
		b.intOrNull(c.attempt)
		b.intOrNull(c.tried)
		b.intOrNull(c.done)
		b.textOrNull(c.state)
		b.int(p.row)
		return t.exec(b.s)
	}
	key := p.queue()
	b := bind(t.s.requeue)
	b.int(int64(c.status))
	b.int(int64(c.wait))
	b.int(c.due)
	b.text(key)
	b.int(c.tries)
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.intOrNull(c.attempt)
	b.intOrNull(c.tried)
	b.textOrNull(c.state)
	b.int(p.row)
	t.heads = append(t.heads, headChange{key: key, due: c.due})
	t.now.depth.add(p.tier, c.wait, 1)
	return t.exec(b.s)
}

package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

const claimStep = 256 // deliveries leased in one op, so that a large claim stalls nobody

// Claim leases what is due. The queues that may have something due come from memory, in
// order, and Room is asked outside of the writer: a destination without room costs one
// call of it, however much waits there. Only then the waiting index is read, for the
// queues that have room.
func (s *Store) Claim(ctx context.Context, p queue.ClaimParams) ([]*mail.Work, error) {
	if !s.ready.Load() {
		return nil, errSchema
	}
	c := claim{store: s, p: p, now: micros(p.Now), asked: make(map[string]int)}
	for len(c.works) < p.Max {
		c.pick(min(p.Max-len(c.works), claimStep))
		if len(c.picked) == 0 {
			break
		}
		if err := s.write(ctx, c.lease); err != nil {
			if len(c.works) > 0 {
				break // these are leased: they must be given out
			}
			return nil, fmt.Errorf("claim deliveries: %w", err)
		}
		works, err := c.leased.works()
		if err != nil {
			return nil, err
		}
		c.works = append(c.works, works...)
		for key, n := range c.took {
			c.asked[key] -= n
		}
	}
	return c.works, nil
}

// claim is one Claim while it runs.
type claim struct {
	store  *Store
	p      queue.ClaimParams
	now    int64
	asked  map[string]int // room left of each queue that was asked for
	picked []pick
	leased leasedRows
	took   map[string]int
	works  []*mail.Work
}

type pick struct {
	key  string
	room int
}

// pick chooses queues that have room, as many as may be needed for max deliveries: the
// most urgent tier first, then the earliest due. Each call sees the heads as the last
// step left them.
func (c *claim) pick(max int) {
	c.picked = c.picked[:0]
	total := 0
	for tier := range mail.Tiers {
		c.store.heads.candidates(tier, func(h candidate) bool {
			if h.due > c.now {
				return false
			}
			if room := c.room(h.key); room > 0 {
				c.picked = append(c.picked, pick{h.key, min(room, max)})
				total += room
			}
			return total < max && len(c.picked) < max
		})
		if total >= max || len(c.picked) >= max {
			return
		}
	}
}

// room asks once for each queue, and counts down what was taken since.
func (c *claim) room(key string) int {
	room, known := c.asked[key]
	if !known {
		owner, tier, destination := splitQueueKey(key)
		room = c.p.Room(destination, owner, tier)
		c.asked[key] = room
	}
	return room
}

// lease is the op: it takes what is due of the picked queues and corrects their heads.
func (c *claim) lease(t *tx) error {
	c.leased.reset()
	c.took = make(map[string]int)
	node, err := t.node(c.p.Node)
	if err != nil {
		return err
	}
	left := min(c.p.Max-len(c.works), claimStep)
	for _, pick := range c.picked {
		if left <= 0 {
			break
		}
		n, err := c.leaseQueue(t, pick.key, min(pick.room, left), node)
		if err != nil {
			return err
		}
		c.took[pick.key] = n
		left -= n
	}
	return c.leased.readMessages(t.conn)
}

func (c *claim) leaseQueue(t *tx, key string, max int, node int64) (int, error) {
	rows, err := c.dueRows(t, key, max)
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if err := c.leaseOne(t, row, node); err != nil {
			return 0, err
		}
	}
	return len(rows), t.correctHead(key)
}

func (c *claim) dueRows(t *tx, key string, max int) (rows []int64, err error) {
	b := bind(t.conn.Prep(`SELECT row FROM deliveries INDEXED BY deliveries_waiting
		WHERE queue = ? AND due_at <= ? ORDER BY due_at, row LIMIT ?`))
	b.text(key)
	b.int(c.now)
	b.int(int64(max))
	err = each(b.s, func(q *sqlite.Stmt) error {
		rows = append(rows, q.ColumnInt64(0))
		return nil
	})
	return rows, err
}

// leaseOne takes one delivery. A scheduled one whose time has come is queued from now on,
// and says so.
func (c *claim) leaseOne(t *tx, row, node int64) error {
	p, _, err := t.progress(row, false)
	if err != nil {
		return err
	}
	chain := eventChain{count: p.events, last: p.lastEvent}
	status := p.status
	if status == mail.Scheduled {
		status = mail.Queued
		if chain, err = t.chain(&p); err != nil {
			return err
		}
		e := mail.Event{ID: mail.NewID(c.p.Now), Type: mail.EventQueued, At: c.p.Now,
			Detail: mail.Detail{Previous: mail.Scheduled.String()}}
		if err := t.addEvent(&chain, &e, detailText(&e.Detail)); err != nil {
			return err
		}
	}
	lease := mail.Lease{Delivery: row, Token: t.nextToken(), Until: c.p.Until}
	if err := t.lease(&p, status, lease, node, &chain); err != nil {
		return err
	}
	return c.leased.add(t.conn, lease)
}

// lease moves a delivery from waiting to leased, or from one lease to the next.
func (t *tx) lease(p *progress, status mail.Status, l mail.Lease, node int64, chain *eventChain) error {
	t.count(p, -1)
	t.now.depth.add(p.tier, mail.NoWait, 1)
	b := bind(t.conn.Prep(`UPDATE deliveries SET status = ?, wait = 0, queue = NULL, lease_until = ?, token = ?, node = ?,
		events = ?, last_event = ? WHERE row = ?`))
	b.int(int64(status))
	b.int(micros(l.Until))
	b.int(l.Token)
	b.int(node)
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.int(p.row)
	return t.exec(b.s)
}

// correctHead tells the heads when the queue's earliest delivery is due now.
func (t *tx) correctHead(key string) error {
	q := t.conn.Prep(`SELECT due_at FROM deliveries INDEXED BY deliveries_waiting WHERE queue = ? ORDER BY due_at LIMIT 1`)
	q.BindText(1, key)
	due := never
	if _, err := first(q, func(q *sqlite.Stmt) { due = q.ColumnInt64(0) }); err != nil {
		return err
	}
	t.heads = append(t.heads, headChange{key: key, due: due, exact: true})
	return nil
}

// leasedRows are deliveries just leased, as rows: they are decoded outside of the writer.
type leasedRows struct {
	leases     []mail.Lease
	deliveries []deliveryRow
	messages   map[int64]*messageRow
}

func (l *leasedRows) reset() {
	l.leases, l.deliveries, l.messages = l.leases[:0], l.deliveries[:0], make(map[int64]*messageRow)
}

func (l *leasedRows) add(conn *sqlite.Conn, lease mail.Lease) error {
	q := conn.Prep(`SELECT ` + deliveryColumns + ` FROM deliveries d` + lastAttempt + ` WHERE d.row = ?`)
	q.BindInt64(1, lease.Delivery)
	_, err := first(q, func(q *sqlite.Stmt) {
		l.leases = append(l.leases, lease)
		l.deliveries = append(l.deliveries, scanDelivery(q))
	})
	return err
}

func (l *leasedRows) readMessages(conn *sqlite.Conn) error {
	for i := range l.deliveries {
		row := l.deliveries[i].message
		if l.messages[row] != nil {
			continue
		}
		q := conn.Prep(`SELECT ` + messageColumns + ` FROM messages m WHERE m.row = ?`)
		q.BindInt64(1, row)
		if _, err := first(q, func(q *sqlite.Stmt) {
			m := scanMessage(q)
			l.messages[row] = &m
		}); err != nil {
			return err
		}
	}
	return nil
}

// works decodes, and puts the deliveries of one message to one destination together,
// where the first of them stands.
func (l *leasedRows) works() ([]*mail.Work, error) {
	type carrier struct {
		message     int64
		destination string
	}
	decoded := make(map[int64]*mail.Message, len(l.messages))
	for row, m := range l.messages {
		message, err := m.decode()
		if err != nil {
			return nil, err
		}
		decoded[row] = message
	}
	groups := make(map[carrier][]*mail.Work)
	var order []carrier
	for i := range l.deliveries {
		r := &l.deliveries[i]
		m := decoded[r.message]
		if m == nil {
			return nil, fmt.Errorf("delivery %d has no message", r.delivery.Row)
		}
		d, err := r.decode(m.ID)
		if err != nil {
			return nil, err
		}
		key := carrier{r.message, d.Destination}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], &mail.Work{Lease: l.leases[i], Message: m, Delivery: *d})
	}
	works := make([]*mail.Work, 0, len(l.deliveries))
	for _, key := range order {
		works = append(works, groups[key]...)
	}
	return works, nil
}

// NextDue tells when the earliest delivery waits, of queues that have room. It may be
// early, never late: see head.
func (s *Store) NextDue(ctx context.Context, room queue.Room) (time.Time, bool, error) {
	if !s.ready.Load() {
		return time.Time{}, false, errSchema
	}
	best := never
	for tier := range mail.Tiers {
		if due := s.nextDueOf(tier, best, room); due < best {
			best = due
		}
	}
	if best == never {
		return time.Time{}, false, ctx.Err()
	}
	return fromMicros(best), true, ctx.Err()
}

// nextDueOf looks through a tier's heads in order until one has room, or is not earlier
// than what is known.
func (s *Store) nextDueOf(tier int, best int64, room queue.Room) int64 {
	found := never
	s.heads.candidates(tier, func(c candidate) bool {
		if c.due >= best {
			return false
		}
		owner, tier, destination := splitQueueKey(c.key)
		if room(destination, owner, tier) <= 0 {
			return true
		}
		found = c.due
		return false
	})
	return found
}

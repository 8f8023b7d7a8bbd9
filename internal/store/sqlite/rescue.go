package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

const rescueStep = 256 // leases looked at in one op

// Rescue takes leases back. With Own set it means those of a past life of this process
// (their tokens are lower than any it gave out itself), so it can be called again while
// the node works.
func (s *Store) Rescue(ctx context.Context, p queue.RescueParams) (begun []*mail.Work, returned int, err error) {
	for left := p.Max; left > 0; {
		var step rescue
		err := s.write(ctx, func(t *tx) error {
			step = rescue{p: p, max: min(left, rescueStep)}
			return step.run(t)
		})
		if err != nil {
			if len(begun) > 0 || returned > 0 {
				break // what was taken must be given out; the rest comes with the next call
			}
			return nil, 0, fmt.Errorf("rescue deliveries: %w", err)
		}
		works, err := step.leased.works()
		if err != nil {
			return begun, returned, err
		}
		begun, returned = append(begun, works...), returned+step.returned
		took := len(works) + step.returned
		if left -= took; took < min(left+took, rescueStep) {
			break
		}
	}
	return begun, returned, nil
}

type rescue struct {
	p        queue.RescueParams
	max      int
	leased   leasedRows
	returned int
}

func (r *rescue) run(t *tx) error {
	r.leased.reset()
	node, err := t.node(r.p.Node)
	if err != nil {
		return err
	}
	rows, err := r.rows(t, node)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := r.one(t, row, node); err != nil {
			return err
		}
	}
	return r.leased.readMessages(t.conn)
}

func (r *rescue) rows(t *tx, node int64) (rows []int64, err error) {
	sql := `SELECT row FROM deliveries INDEXED BY deliveries_leased WHERE lease_until <= ? ORDER BY lease_until LIMIT ?`
	if r.p.Own {
		sql = `SELECT row FROM deliveries INDEXED BY deliveries_leased
			WHERE lease_until IS NOT NULL AND node = ? AND token < ? ORDER BY lease_until LIMIT ?`
	}
	b := bind(t.conn.Prep(sql))
	if r.p.Own {
		b.int(node)
		b.int(t.w.store.bootToken)
	} else {
		b.int(micros(r.p.Now))
	}
	b.int(int64(r.max))
	err = each(b.s, func(q *sqlite.Stmt) error {
		rows = append(rows, q.ColumnInt64(0))
		return nil
	})
	return rows, err
}

func (r *rescue) one(t *tx, row, node int64) error {
	p, _, err := t.progress(row, true)
	if err != nil {
		return err
	}
	chain := eventChain{count: p.events, last: p.lastEvent}
	if p.begun {
		lease := mail.Lease{Delivery: row, Token: t.nextToken(), Until: r.p.Until}
		if err := t.lease(&p, p.status, lease, node, &chain); err != nil {
			return err
		}
		return r.leased.add(t.conn, lease)
	}
	r.returned++
	c := p.keep()
	c.wait, c.due = mail.WaitRescued, min(p.due, micros(r.p.Now)) // its place among the waiting stays
	return t.move(&p, c, &chain)
}

const renewStep = 256 // leases renewed in one op, so that thousands stall nobody

// Renew moves the end of leases.
func (s *Store) Renew(ctx context.Context, leases []mail.Lease, until time.Time) (lost []mail.Lease, err error) {
	for len(leases) > 0 {
		step := leases[:min(len(leases), renewStep)]
		var gone []mail.Lease
		err := s.write(ctx, func(t *tx) (err error) {
			gone, err = t.renew(step, micros(until))
			return err
		})
		if err != nil {
			return lost, fmt.Errorf("renew leases: %w", err)
		}
		lost = append(lost, gone...)
		leases = leases[len(step):]
	}
	return lost, nil
}

func (t *tx) renew(leases []mail.Lease, until int64) (gone []mail.Lease, err error) {
	q := t.conn.Prep(`UPDATE deliveries SET lease_until = ? WHERE row = ? AND token = ? AND lease_until IS NOT NULL`)
	for _, l := range leases {
		b := bind(q)
		b.int(until)
		b.int(l.Delivery)
		b.int(l.Token)
		if err := t.exec(q); err != nil {
			return nil, err
		}
		if t.conn.Changes() == 0 {
			gone = append(gone, l)
		}
	}
	return gone, nil
}

package sqlite

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// Begin records that attempts begin: the last look before the wire.
func (s *Store) Begin(ctx context.Context, now time.Time, batch []queue.Beginning) ([]queue.Verdict, error) {
	verdicts := make([]queue.Verdict, len(batch))
	details := make([]string, len(batch))
	for i := range batch {
		if e := batch[i].Accepted; e != nil {
			d := e.Detail
			if d.Site == "" {
				d.Site = batch[i].Site // where the delivery's site is read from until an attempt tells it
			}
			details[i] = detailText(&d)
		}
	}
	err := s.write(ctx, func(t *tx) error {
		clear(verdicts)
		for i := range batch {
			v, err := t.begin(&batch[i], now, details[i])
			if err != nil {
				return err
			}
			verdicts[i] = v
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

func (t *tx) begin(b *queue.Beginning, now time.Time, detail string) (queue.Verdict, error) {
	p, found, err := t.progress(b.Lease.Delivery, false)
	if err != nil {
		return queue.Verdict{}, err
	}
	if !found || !p.holds(b.Lease) {
		return queue.Verdict{Lost: true}, nil
	}
	if p.stop != nil {
		return queue.Verdict{Lost: true}, t.obey(&p, now)
	}
	blocked, err := t.w.store.suppressionFor(t.conn, ownerOf(p.owner), b.Address, b.Topic, now)
	if err != nil {
		return queue.Verdict{}, err
	}
	// The weightiest cause is given, and an unsubscribe is the lightest.
	if blocked != nil && !(b.Bypass && blocked.Kind == mail.KindUnsubscribe) {
		return queue.Verdict{Suppressed: blocked}, nil
	}
	return queue.Verdict{Go: true}, t.markBegun(&p, b, now, detail)
}

func (t *tx) markBegun(p *progress, b *queue.Beginning, now time.Time, detail string) error {
	chain := eventChain{count: p.events, last: p.lastEvent}
	status, accepted := p.status, p.accepted
	if b.Accepted != nil && accepted == 0 {
		var err error
		if chain, err = t.chain(p); err != nil {
			return err
		}
		if err := t.addEvent(&chain, b.Accepted, detail); err != nil {
			return err
		}
		status, accepted = mail.Accepted, micros(now)
	}
	u := bind(t.s.begin)
	u.int(int64(status))
	u.intOrNull(accepted)
	u.int(chain.count)
	u.intOrNull(chain.last)
	u.int(p.row)
	return t.exec(u.s)
}

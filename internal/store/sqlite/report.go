package sqlite

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

var _ queue.Reporter = (*Store)(nil)

// Report records what came back about a delivery after it was final: its status, the
// events and the suppression together. mail.ErrStale when it is not Delivered (yet, or
// any more), mail.ErrNotFound when there is none.
func (s *Store) Report(ctx context.Context, now time.Time, r queue.Report) error {
	return s.write(ctx, func(t *tx) error {
		p, found, err := t.progress(r.Delivery, false)
		switch {
		case err != nil:
			return err
		case !found:
			return mail.ErrNotFound
		case p.status != mail.Delivered:
			return mail.ErrStale
		}
		return t.report(&p, r, now)
	})
}

func (t *tx) report(p *progress, r queue.Report, now time.Time) error {
	standing := ""
	if r.Suppress != nil {
		got, _, err := t.suppress(*r.Suppress, now)
		if err != nil {
			return err
		}
		standing = got.ID.Text(mail.PrefixSuppression)
	}
	state, err := t.mergeState(p, &queue.Result{Bounce: r.Bounce})
	if err != nil {
		return err
	}
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	for i := range r.Events {
		d := r.Events[i].Detail
		if d.SuppressionID != "" && standing != "" {
			d.SuppressionID = standing
		}
		if err := t.addEvent(&chain, &r.Events[i], detailText(&d)); err != nil {
			return err
		}
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET status = ?, events = ?, last_event = ?, state = coalesce(?, state) WHERE row = ?`))
	b.int(int64(r.Status))
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.textOrNull(state)
	b.int(p.row)
	return t.exec(b.s)
}

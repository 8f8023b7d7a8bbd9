package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

var _ queue.Reporter = (*Store)(nil)

// Report records what came back about a delivery after it was delivered. When it was
// delivered stays known.
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
		late := queue.Result{Status: r.Status, Bounce: r.Bounce, Events: r.Events, Suppress: r.Suppress}
		st := settlement{r: &late}
		st.encodeEvents()
		if late.Suppress != nil {
			if err := t.settleSuppression(&st, now); err != nil {
				return err
			}
		}
		if err := t.report(&p, &st); err != nil {
			return fmt.Errorf("record a report: %w", err)
		}
		return nil
	})
}

func (t *tx) report(p *progress, st *settlement) error {
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	for i := range st.r.Events {
		if err := t.addEvent(&chain, &st.r.Events[i], st.details[i]); err != nil {
			return err
		}
	}
	state, err := t.mergeState(p, st.r)
	if err != nil {
		return err
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET status = ?, events = ?, last_event = ?, state = coalesce(?, state) WHERE row = ?`))
	b.int(int64(st.r.Status))
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.textOrNull(state)
	b.int(p.row)
	return t.exec(b.s)
}

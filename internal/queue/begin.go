package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/mail"
)

var _ deliver.Beginner = (*Queue)(nil)

// Begin is asked by sessions before anything is said to a site: see [Store.Begin]. The
// store gathers the questions of many sessions into one commit by itself.
func (q *Queue) Begin(ctx context.Context, works []*mail.Work, site string) ([]deliver.Verdict, error) {
	now := q.o.Now()
	verdicts := make([]deliver.Verdict, len(works))
	if until := works[0].Message.ExpiresAt; !until.IsZero() && !now.Before(until) {
		for i := range verdicts {
			verdicts[i].Outcome = mail.OutcomeExpired
		}
		return verdicts, nil
	}
	batch := make([]Beginning, len(works))
	events := make([]mail.Event, len(works))
	for i, w := range works {
		batch[i] = q.beginning(w, site, now, &events[i])
	}
	said, err := q.o.Store.Begin(ctx, now, batch)
	if err == nil && len(said) != len(works) {
		err = fmt.Errorf("the store gave %d verdicts", len(said))
	}
	if err != nil {
		return nil, fmt.Errorf("begin %d deliveries: %w", len(works), err)
	}
	for i, v := range said {
		w := works[i]
		switch {
		case v.Go:
			verdicts[i].Go = true
			if batch[i].Accepted != nil {
				w.Delivery.Status, w.Delivery.AcceptedAt = mail.Accepted, now
			}
		case v.Suppressed != nil:
			q.blocked.Store(w, v.Suppressed)
			verdicts[i].Outcome = mail.OutcomeSuppressed
		default: // lost: the result will be found lost, too
			verdicts[i].Outcome = mail.Untried
		}
	}
	return verdicts, nil
}

func (q *Queue) beginning(w *mail.Work, site string, now time.Time, event *mail.Event) Beginning {
	b := Beginning{
		Lease: w.Lease, Message: w.Message.Row, Address: mail.FoldAddress(w.Delivery.Address),
		Topic: w.Message.Topic, Bypass: w.Message.Bypass, Owner: w.Delivery.Owner, Site: site,
	}
	if w.Delivery.AcceptedAt.IsZero() {
		*event = q.event(w, mail.EventAccepted, now)
		event.Detail.Previous = mail.Queued.String()
		event.Detail.Site, event.Detail.Pool = site, q.o.Pool
		event.Detail.Summary = "Queue " + site + ", pool " + q.o.Pool
		b.Accepted = event
	}
	return b
}

func (q *Queue) event(w *mail.Work, kind mail.EventType, now time.Time) mail.Event {
	return mail.Event{
		ID: mail.NewID(now), Owner: w.Delivery.Owner, Type: kind, At: now,
		Message: w.Message.Row, Delivery: w.Delivery.Row,
	}
}

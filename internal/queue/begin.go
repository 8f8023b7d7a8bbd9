package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/mail"
)

var _ deliver.Beginner = (*Queue)(nil)

// Begin is asked by sessions before anything is said to a site: see [Store.Begin]. For most
// jobs of a busy lane the answer is there already: see [foresight].
func (q *Queue) Begin(ctx context.Context, works []*mail.Work, site string) ([]deliver.Verdict, error) {
	verdicts := make([]deliver.Verdict, len(works))
	now := q.o.Now()
	if until := works[0].Message.ExpiresAt; !until.IsZero() && !now.Before(until) {
		for i := range verdicts {
			verdicts[i].Outcome = mail.OutcomeExpired
		}
		return verdicts, nil
	}
	a, err := q.foresight.of(ctx, works, site, now)
	if a == nil && err == nil {
		a = q.newAsk(works, site, now)
		a.said, err = q.o.Store.Begin(ctx, now, a.batch)
	}
	if err == nil && len(a.said) != len(works) {
		err = fmt.Errorf("the store gave %d verdicts", len(a.said))
	}
	if err != nil {
		return nil, fmt.Errorf("begin %d deliveries: %w", len(works), err)
	}
	a.learn()
	for i, v := range a.said {
		switch {
		case v.Go:
			verdicts[i].Go = true
		case v.Suppressed != nil:
			q.blocked.Store(works[i], v.Suppressed)
			verdicts[i].Outcome = mail.OutcomeSuppressed
		default: // lost: the result will be found lost, too
			verdicts[i].Outcome = mail.Untried
		}
	}
	return verdicts, nil
}

// ask is one job's question to the store, and its answer.
type ask struct {
	works  []*mail.Work
	site   string
	at     time.Time
	batch  []Beginning
	events []mail.Event
	said   []Verdict
	err    error
	done   chan struct{} // of one asked ahead: closed with the answer
}

func (q *Queue) newAsk(works []*mail.Work, site string, now time.Time) *ask {
	a := &ask{works: works, site: site, at: now, batch: make([]Beginning, len(works)), events: make([]mail.Event, len(works))}
	for i, w := range works {
		a.batch[i] = q.beginning(w, site, now, &a.events[i])
	}
	return a
}

// learn has the works know what the store knows now. Whoever has the job calls it, so
// that a work is never changed behind its back.
func (a *ask) learn() {
	for i, v := range a.said {
		if v.Go && a.batch[i].Accepted != nil {
			a.works[i].Delivery.Status, a.works[i].Delivery.AcceptedAt = mail.Accepted, a.at
		}
	}
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

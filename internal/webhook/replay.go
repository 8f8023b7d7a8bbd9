package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

// Replay says which events are to be posted again to an endpoint: of a window, a status and
// types, as far as the endpoint subscribes to them now.
type Replay struct {
	Since, Until time.Time // zero: as far as the log goes
	Types        []string  // exact names or families; empty: all it subscribes to
	// Status selects by what became of them: delivered or failed. "" is every event of the
	// window, also those that came before there was the endpoint.
	Status string
	By     string
}

func (r *Replay) judge() error {
	var faults mail.Faults
	switch r.Status {
	case "", Delivered, Failed:
	default:
		faults = append(faults, fault("status", "invalid_value", "The status is 'failed' or 'delivered'; left out, every event of the window is meant."))
	}
	if !r.Since.IsZero() && !r.Until.IsZero() && !r.Until.After(r.Since) {
		faults = append(faults, fault("until", "invalid_value", "'until' is to be after 'since'."))
	}
	if len(r.Types) > maxEvents {
		return append(faults, fault("types", "too_many", fmt.Sprintf("%d names are allowed; 'message.*' stands for all of a kind.", maxEvents)))
	}
	for i, name := range r.Types {
		if f := TypeFault(name); f != nil {
			f.Field, f.Pointer = fmt.Sprintf("types[%d]", i), fmt.Sprintf("#/types/%d", i)
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

func (r *Replay) facts() job.Replay {
	return job.Replay{Since: r.Since, Until: r.Until, Types: r.Types, Status: r.Status}
}

// Count tells how many events a replay would post. more: there are so many at least.
func (s *Service) Count(ctx context.Context, owner mail.Owner, id mail.ID, r Replay) (matched int, more bool, err error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err == nil {
		err = r.judge()
	}
	if err != nil {
		return 0, false, err
	}
	facts := r.facts()
	return s.count(ctx, &e, &facts, countMost)
}

// Replay begins a job that posts events again: the same webhook-id, a new timestamp, at half
// the endpoint's pace, so that what happens meanwhile is not held up. A [Conflict] tells that
// the endpoint is disabled.
func (s *Service) Replay(ctx context.Context, owner mail.Owner, id mail.ID, r Replay, once *mail.Once, answer func(job.Job) mail.Answer) (job.Job, error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err == nil {
		err = r.judge()
	}
	if err != nil {
		return job.Job{}, err
	}
	if e.Status == Disabled {
		return job.Job{}, s.unlessReplayed(ctx, once, &Conflict{State: Disabled, Message: "The webhook is disabled: enable it first, with 'replay_missed' if what it missed is wanted."})
	}
	facts := r.facts()
	_, newest, err := s.o.Log.LogBounds(ctx, owner)
	if err != nil {
		return job.Job{}, err
	}
	facts.To = newest + 1 // what happens from now on is posted anyway: it would come twice, and the job never end
	j := s.newJob(owner, &e, facts, r.By)
	if err := s.o.Memory.CreateJob(ctx, j, once, answer); err != nil {
		return job.Job{}, err
	}
	s.replayBell.ring()
	return j, nil
}

func (s *Service) newJob(owner mail.Owner, e *Endpoint, r job.Replay, by string) job.Job {
	now := s.o.Now()
	r.Webhook = e.ID.Text(PrefixEndpoint)
	return job.Job{ID: mail.NewID(now), Owner: owner, Type: job.ReplayWebhook, Status: job.Queued, Node: s.o.Node, CreatedAt: now, Facts: job.Facts{By: by, Replay: &r}}
}

const (
	replayPage = 500     // entries read at a time
	countMost  = 100_000 // events a dry run looks at: a second or two
	missedMost = 10_000  // and every look at an endpoint that is disabled
)

// count walks through what a replay would post.
func (s *Service) count(ctx context.Context, e *Endpoint, r *job.Replay, most int) (matched int, more bool, err error) {
	w := walk{s: s, e: e, r: *r}
	for looked := 0; looked < most; {
		page, end, err := w.next(ctx)
		if err != nil {
			return 0, false, err
		}
		matched, looked = matched+len(page), looked+replayPage
		if end {
			return matched, false, nil
		}
	}
	return matched, true, nil
}

// walk goes through the events a replay is about, in the order of the log.
type walk struct {
	s *Service
	e *Endpoint
	r job.Replay
}

// next gives the next events that match; r.At stands behind them. end: there are no more.
func (w *walk) next(ctx context.Context) (page []Hook, end bool, err error) {
	if w.r.Open {
		page, end, err = w.nextByStatus(ctx, Pending)
		if end {
			w.r.Open, w.r.At = false, 0
		}
		return page, false, err
	}
	if w.r.Status != "" {
		return w.nextByStatus(ctx, w.r.Status)
	}
	q := eventlog.Query{Owner: w.e.Owner, After: max(w.r.At, w.r.From-1), Limit: replayPage, Types: w.r.Types, CreatedAfter: w.r.Since, CreatedBefore: w.r.Until}
	entries, seen, err := w.s.o.Log.Log(ctx, q)
	if err != nil {
		return nil, false, err
	}
	end = seen == q.After
	w.r.At = seen
	for i := range entries {
		n := &entries[i]
		if w.r.To != 0 && n.Position >= w.r.To {
			return page, true, nil
		}
		if w.s.owes(w.e, n) {
			page = append(page, hookOf(w.e, n, w.s.o.Now()))
		}
	}
	return page, end || w.r.To != 0 && seen >= w.r.To, nil
}

// nextByStatus reads the endpoint's deliveries instead of the log.
func (w *walk) nextByStatus(ctx context.Context, status string) (page []Hook, end bool, err error) {
	all, err := w.s.o.Store.Deliveries(ctx, DeliveryQuery{Owner: w.e.Owner, Endpoint: w.e.ID, Status: status, Types: w.r.Types, After: w.r.At, Ascending: true, Limit: replayPage})
	if err != nil {
		return nil, false, err
	}
	for i := range all {
		d := &all[i]
		if w.r.To != 0 && d.Position >= w.r.To {
			return page, true, nil
		}
		w.r.At = d.Position
		if at := d.Event.Time(); !w.r.Since.IsZero() && at.Before(w.r.Since) || !w.r.Until.IsZero() && !at.Before(w.r.Until) {
			continue
		}
		page = append(page, Hook{Endpoint: w.e.Row, Position: d.Position, Hasten: w.r.Open})
	}
	return page, len(all) < replayPage, nil
}

// owes tells whether an endpoint is told of an entry, in a format that has words for it.
func (s *Service) owes(e *Endpoint, n *eventlog.Entry) bool {
	f := s.o.Formats[e.Format]
	if f == nil || !f.Speaks(n.Type) || !e.Wants(n) {
		return false
	}
	c, chooses := f.(Chooser)
	return !chooses || c.Tells(n, e)
}

// hookOf makes the hook of an entry for an endpoint.
func hookOf(e *Endpoint, n *eventlog.Entry, now time.Time) Hook {
	h := Hook{Endpoint: e.Row, Position: n.Position, CreatedAt: now, Due: now, Entry: n}
	if e.Ordering == OrderPerMessage {
		h.Message = n.Event.Message
	}
	return h
}

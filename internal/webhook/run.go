package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

const (
	leaseTime   = time.Minute
	leaseEvery  = 20 * time.Second
	relayMost   = 1000 // positions of the log in one call
	relayHooks  = 5000 // hooks that may be written in one
	relayIdle   = 5 * time.Second
	troubled    = time.Second     // between tries of a store that fails
	lastPosts   = 3 * time.Second // for what is under way when we stop
	lastSettles = 3 * time.Second
	sweepEvery  = 6 * time.Hour
	sweepFirst  = time.Minute           // after the start
	sweepRest   = 20 * time.Millisecond // between two steps
	// deliveredKept is how long a delivered hook is shown; the others as long as their event.
	deliveredKept = 14 * 24 * time.Hour
)

// Run relays, posts and cleans up until ctx ends. Then what is under way may finish for a
// moment, or until [Service.Kill]; what does not is posted again at the next start. What has been
// answered is recorded in any case.
func (s *Service) Run(ctx context.Context) error {
	recording, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer s.Kill()
	var loops, posts, settler sync.WaitGroup
	settler.Go(func() { s.settle(recording) })
	for _, loop := range []func(context.Context){s.relay, s.lease, s.sweep, s.replay} {
		loops.Go(func() { loop(ctx) })
	}
	loops.Go(func() { s.dispatch(ctx, s.kill, &posts) })
	loops.Wait()
	timer := time.AfterFunc(lastPosts, s.Kill)
	posts.Wait()
	timer.Stop()
	close(s.settled)
	timer = time.AfterFunc(lastSettles, giveUp)
	settler.Wait()
	timer.Stop()
	return nil
}

// Kill makes a stop hard: requests under way end now and count as no try.
func (s *Service) Kill() { s.cut() }

// relay makes hooks of events as they are committed.
func (s *Service) relay(ctx context.Context) {
	for ctx.Err() == nil {
		var wake <-chan struct{}
		if s.o.Wake != nil {
			wake = s.o.Wake() // before the look, so that nothing falls in between
		}
		done, err := s.o.Store.Relay(ctx, s.o.Now(), s.stride(ctx), s.plan)
		idle := relayIdle
		switch {
		case err != nil && ctx.Err() == nil:
			s.o.Logger.Error("events are not relayed to webhooks; it is tried again", "error", err)
			wake, idle = nil, troubled
		case done.Passed > 0:
			s.counters.relayed(&done)
			s.offer(done.Hooks)
			continue
		case s.none(ctx):
			wake = nil // the first endpoint rings the bell
		}
		t := time.NewTimer(idle)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-s.relayBell:
		case <-t.C:
		}
		t.Stop()
	}
}

// stride is how many positions are relayed in one call: fewer where an event may be owed to
// many endpoints, as who writes their hooks holds up who accepts mail.
func (s *Service) stride(ctx context.Context) int {
	d, err := s.endpoints(ctx, 0)
	if err != nil || d.widest == 0 {
		return relayMost
	}
	return min(relayMost, relayHooks/d.widest)
}

// none tells whether there is no endpoint at all.
func (s *Service) none(ctx context.Context) bool {
	d, err := s.endpoints(ctx, 0)
	return err == nil && len(d.byRow) == 0
}

// lease keeps this node's endpoints, and takes new ones.
func (s *Service) lease(ctx context.Context) {
	for ctx.Err() == nil {
		now := s.o.Now()
		wait := leaseEvery
		held, err := s.o.Store.LeaseEndpoints(ctx, s.o.Node, now, now.Add(leaseTime))
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Error("webhooks cannot be leased; it is tried again", "error", err)
			wait = troubled
		}
		if err == nil {
			s.lead(held, now.Add(leaseTime))
		}
		s.leaseBell.wait(ctx, wait)
	}
}

// lead makes the queues those of the leases.
func (s *Service) lead(held []Lease, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = until
	s.known = nil // another node may have changed them
	mine := make(map[int64]bool, len(held))
	for _, l := range held {
		mine[l.Endpoint] = true
		if q := s.queues[l.Endpoint]; q == nil || q.token != l.Token {
			if q != nil {
				s.drop(q)
			}
			s.queues[l.Endpoint] = newQueue(l, s.o.Probe)
		}
	}
	for row, q := range s.queues {
		if !mine[row] {
			s.drop(q)
			delete(s.queues, row)
		}
	}
	s.postBell.ring()
}

// sweep removes what is not kept any longer, in small steps.
func (s *Service) sweep(ctx context.Context) {
	s.sweepBell.wait(ctx, sweepFirst)
	for ctx.Err() == nil {
		more, err := true, error(nil)
		for more && err == nil && ctx.Err() == nil {
			now := s.o.Now()
			if more, err = s.o.Store.SweepHooks(ctx, now, now.Add(-deliveredKept)); more {
				pause(ctx, sweepRest)
			}
		}
		wait := sweepEvery
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Error("old webhook deliveries are not removed; it is tried again", "error", err)
			wait = time.Minute
		}
		s.sweepBell.wait(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// forget has the endpoints read again before they are used, and all loops look.
func (s *Service) forget() {
	s.mu.Lock()
	s.known = nil
	s.change++
	s.mu.Unlock()
	for _, b := range []bell{s.leaseBell, s.relayBell, s.postBell} {
		b.ring()
	}
}

// look has an endpoint's open hooks read again.
func (s *Service) look(endpoint int64) {
	s.mu.Lock()
	if q := s.queues[endpoint]; q != nil {
		q.dirty = true
	}
	s.mu.Unlock()
	s.postBell.ring()
}

// renew gives an endpoint that was enabled a fresh start.
func (s *Service) renew(endpoint int64) {
	s.mu.Lock()
	if q := s.queues[endpoint]; q != nil {
		q.state, q.ended = State{SuccessAt: q.state.SuccessAt}, false
		q.fresh()
		s.held -= q.empty() // some of it may not be wanted any more
	}
	s.mu.Unlock()
	s.postBell.ring()
}

// end disables an endpoint because of what it answered. Others of the owner are told.
func (s *Service) end(ctx context.Context, e *Endpoint, reason string) {
	already := errors.New("it is disabled")
	for ctx.Err() == nil {
		_, err := s.alter(ctx, e.Owner, e.ID, 0, "webhook disabled: "+reason, "postroad", func(e *Endpoint, c *Change) error {
			if e.Status == Disabled {
				return already
			}
			now := s.o.Now()
			e.Status, e.DisabledReason, e.DisabledAt, c.Disable = Disabled, reason, now, true
			c.Events = []mail.Event{about(e, mail.EventWebhookDisabled, "Disabled: "+reason, now)}
			return nil
		})
		if err == nil || errors.Is(err, mail.ErrNotFound) || errors.Is(err, already) {
			return
		}
		s.o.Logger.Error("a webhook could not be disabled; it is tried again", "webhook_id", e.ID.Text(PrefixEndpoint), "error", err)
		pause(ctx, troubled)
	}
}

// about makes an event about an endpoint: why, in words.
func about(e *Endpoint, t mail.EventType, why string, now time.Time) mail.Event {
	id := e.ID.Text(PrefixEndpoint)
	facts := eventlog.WebhookFacts{ID: id, URL: e.URL, Status: e.Status}
	if e.Description != "" {
		facts.Description = &e.Description
	}
	if e.DisabledReason != "" {
		facts.DisabledReason = &e.DisabledReason
	}
	return mail.Event{ID: mail.NewID(now), Owner: e.Owner, Type: t, At: now, Detail: mail.Detail{Object: id, Summary: why, Facts: eventlog.AboutWebhook(facts)}}
}

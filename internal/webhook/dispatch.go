package webhook

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	idleMost = 10 * time.Second // between two looks at the queues
	replayed = time.Minute      // an older event that becomes a hook is not new
)

// dispatch goes round the queues and begins what may begin, until ctx ends. Posts are cut
// when kill ends.
func (s *Service) dispatch(ctx, kill context.Context, posts *sync.WaitGroup) {
	for ctx.Err() == nil {
		wait := idleMost
		if d, err := s.endpoints(ctx, 0); err == nil {
			wait = s.round(ctx, kill, d, posts)
		} else if ctx.Err() == nil {
			s.o.Logger.Error("the endpoints cannot be read; it is tried again", "error", err)
			wait = troubled
		}
		s.postBell.wait(ctx, wait)
	}
}

// round lets each queue begin one, and again, until none may. It tells how long nothing is
// to be done unless the bell rings.
func (s *Service) round(ctx, kill context.Context, d *directory, posts *sync.WaitGroup) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	wait := min(s.until.Sub(now), idleMost)
	if wait <= 0 { // the leases ran out, or the clock jumped
		s.leaseBell.ring()
		return idleMost // when they are renewed the bell rings
	}
	sooner := func(d time.Duration) {
		if d > 0 {
			wait = min(wait, d)
		}
	}
	for began := true; began; {
		began = false
		for _, q := range s.queues {
			e := d.byRow[q.endpoint]
			may, again := q.mayPost(e, now)
			if !may {
				sooner(again)
				if e == nil || e.Status == Disabled {
					s.held -= q.empty()
				}
				continue
			}
			switch {
			case q.state.Breaker == BreakerOpen:
				began = s.beginProbe(ctx, kill, q, e, now, posts) || began
			case len(q.ready) > 0:
				if s.flying >= allFlying && q.fly > 0 {
					continue // whoever ends rings the bell
				}
				q.room--
				s.beginPost(kill, q, e, q.pop(), false, now, posts)
				began = true
			default:
				want, again := q.wantsPage(now)
				sooner(again)
				if want && s.held < allHeld {
					s.readPage(ctx, q, e, false, posts)
				}
			}
		}
	}
	return max(wait, time.Millisecond)
}

// beginProbe asks an endpoint whose breaker is open whether it is back, with one of the
// hooks that wait.
func (s *Service) beginProbe(ctx, kill context.Context, q *queue, e *Endpoint, now time.Time, posts *sync.WaitGroup) bool {
	if len(q.ready) == 0 {
		if !q.reads && !q.after.After(now) {
			s.readPage(ctx, q, e, true, posts)
		}
		return false
	}
	// Not always the oldest: that one may be what the endpoint cannot bear.
	i := rand.IntN(len(q.ready))
	h := q.ready[i]
	q.ready = append(q.ready[:i:i], q.ready[i+1:]...)
	s.held -= q.empty()
	q.probe = now.Add(q.every)
	s.beginPost(kill, q, e, h, true, now, posts)
	return true
}

// readPage asks the store for what is due, beside the loop.
func (s *Service) readPage(ctx context.Context, q *queue, e *Endpoint, probe bool, posts *sync.WaitGroup) {
	now := s.o.Now()
	d := Due{Endpoint: q.endpoint, Now: now, Limit: pageSize + len(q.holds), Ordered: e.Ordering == OrderPerMessage, Patience: now.Add(-orderPatience), Probe: probe}
	q.reads, q.dirty, q.gone, q.soon, q.order = true, false, nil, time.Time{}, d.Ordered
	posts.Go(func() {
		page, next, err := s.o.Store.DueHooks(ctx, d)
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.postBell.ring()
		q.reads = false
		if err != nil {
			if ctx.Err() == nil {
				s.o.Logger.Error("due webhooks cannot be read; it is tried again", "error", err)
			}
			q.dirty, q.after = true, now.Add(troubled)
			return
		}
		if s.queues[q.endpoint] != q {
			return
		}
		s.held += q.take(page, pageSize, now)
		q.gone = nil
		if len(page) >= d.Limit {
			q.dirty = true
			return
		}
		soon := q.soon // what was settled meanwhile is not in this page
		if q.next = next; !soon.IsZero() {
			q.sooner(soon)
		}
		if d.Ordered {
			q.sooner(now.Add(orderLook))
		}
		if probe && len(q.ready) == 0 { // nothing waits: what comes next is the probe
			q.after = now.Add(troubled)
		}
	})
}

// offer gives hooks that were just written to their queues, where these have room and nothing
// older waits in the store.
func (s *Service) offer(hooks []Hook) {
	now := s.o.Now()
	s.mu.Lock()
	for _, h := range hooks {
		q := s.queues[h.Endpoint]
		switch {
		case q == nil:
		case q.dirty || q.reads || h.Message != 0 || len(q.ready) >= pageSize || s.held >= allHeld || q.state.Breaker == BreakerOpen || q.ended:
			q.dirty = true
		default:
			s.held += q.take([]Hook{h}, 1, now)
		}
	}
	s.mu.Unlock()
	s.postBell.ring()
}

// drop lets go of a queue that is another's now, or nobody's.
func (s *Service) drop(q *queue) { s.held -= q.empty() }

// beginPost posts one hook in a goroutine of its own.
func (s *Service) beginPost(kill context.Context, q *queue, e *Endpoint, h Hook, probe bool, now time.Time, posts *sync.WaitGroup) {
	q.fly++
	s.flying++
	posts.Go(func() {
		try := s.try(kill, e, &h, now)
		if kill.Err() != nil && !try.Delivered() {
			s.mu.Lock()
			s.land(q, &h)
			s.mu.Unlock()
			return // interrupted: it does not count
		}
		s.finish(kill, q, e, &h, &try, probe)
	})
}

// land takes a hook that is not settled out of memory.
func (s *Service) land(q *queue, h *Hook) {
	q.fly--
	s.flying--
	s.held--
	q.done(h.Position)
	q.dirty = true
}

// try makes one try at a hook.
func (s *Service) try(ctx context.Context, e *Endpoint, h *Hook, now time.Time) Try {
	if h.Entry == nil {
		return Try{At: now, Error: "The event is no longer kept.", Abort: true}
	}
	body, err := s.body(h.Entry, e)
	if err == nil && body == nil {
		return Try{At: now, Error: "The format '" + e.Format + "' has no event for '" + string(h.Entry.Type) + "'.", Abort: true}
	}
	var r Request
	if err == nil {
		r, err = s.request(e, h.Entry.ID, h.Entry.Type, body, h.Tries+1, now)
	}
	if err != nil {
		s.o.Logger.Error("a webhook's request cannot be made", "webhook_id", e.ID.Text(PrefixEndpoint), "event_id", h.Entry.ID.Text("evt"), "error", err)
		return Try{At: now, Error: "The request could not be made. The server's log says why."}
	}
	if h.Tries == 0 {
		since := h.Entry.At
		if h.CreatedAt.Sub(since) > replayed { // what is told again was told in time, or before there was the endpoint
			since = h.CreatedAt
		}
		s.counters.first(now.Sub(since))
	}
	return s.o.Poster.Post(ctx, r)
}

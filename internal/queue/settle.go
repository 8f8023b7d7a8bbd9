package queue

import (
	"context"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	settleMax     = 64 // results in one call: the store runs a call whole, and others wait for it
	settleTrouble = 100 * time.Millisecond
	// What was not tried and waits again is in nobody's way, and comes by the thousand when a
	// lane gives it back. So it is settled when nothing else is, in small calls, with a rest
	// between them of so many times what the last one took.
	returnMax   = 32
	returnRest  = 4
	longestRest = 100 * time.Millisecond
)

// settler puts results on disk. While one commit is on its way the results of all
// sessions gather for the next: no result waits for others, and the busier it is the
// more share a commit. What the store refuses is tried again, in smaller and smaller
// calls, so that one result it never takes does not keep the others from it; until it is
// on disk it stays in the ledger under a renewed lease.
type settler struct {
	q    *Queue
	ring chan struct{} // a token for each settler that has something to do
	free sync.Pool     // *batch

	mu      sync.Mutex
	line    []settling
	back    []settling // of them, what was not tried and waits again
	resting bool       // back is being settled, or rests after that
	max     int        // results in one call now: halved by trouble
	failing bool
	under   int // settlers at work
	closed  bool
	idle    chan struct{} // closed once closed and nothing is left
}

// settling is the results of one load.
type settling struct {
	load *load
	one  Result   // of the usual load
	more []Result // of a load of several works
}

func (s *settler) init(q *Queue) {
	s.q, s.max = q, settleMax
	s.ring, s.idle = make(chan struct{}, q.o.Settlers), make(chan struct{})
	s.free.New = func() any { return new(batch) }
}

// untried tells whether nothing came of a load: it was given back as it was.
func (i *settling) untried() bool {
	if i.more == nil {
		return i.one.isReturn()
	}
	for k := range i.more {
		if !i.more[k].isReturn() {
			return false
		}
	}
	return true
}

func (r *Result) isReturn() bool {
	return r.Attempt == nil && !r.Status.Final() && len(r.Events) == 0 && r.Suppress == nil
}

// add takes the results of a load, one for each of its works.
func (s *settler) add(item settling) {
	s.mu.Lock()
	if item.untried() {
		s.back = append(s.back, item)
	} else {
		s.line = append(s.line, item)
	}
	s.mu.Unlock()
	s.nudge()
}

func (s *settler) nudge() {
	select {
	case s.ring <- struct{}{}:
	default:
	}
}

// run settles until ctx ends.
func (s *settler) run(ctx context.Context) {
	var all sync.WaitGroup
	for range s.q.o.Settlers {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-s.ring:
				}
				for s.settleSome(ctx) {
				}
			}
		})
	}
	all.Wait()
}

// finish returns when nothing is left to settle, or after limit: then what is left is
// still leased, and found by the rescue of the next start.
func (s *settler) finish(limit time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.checkIdle()
	s.mu.Unlock()
	s.nudge()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.idle:
	case <-timer.C:
		s.q.o.Log.Error("the store does not take the last results: they are settled as uncertain after the next start")
	}
}

// checkIdle is called with the lock held.
func (s *settler) checkIdle() {
	if s.closed && s.under == 0 && len(s.line)+len(s.back) == 0 {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// troubled tells whether the store refuses results now.
func (s *settler) troubled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// batch is what one call settles; its slices are used again.
type batch struct {
	items   []settling
	results []Result
	back    bool // it came from settler.back
}

// settleSome makes one call; false when there was nothing to settle.
func (s *settler) settleSome(ctx context.Context) bool {
	b := s.free.Get().(*batch)
	defer s.free.Put(b)
	if !s.take(b) {
		return false
	}
	began := time.Now()
	lost, err := s.q.o.Store.Settle(ctx, s.q.o.Now(), b.results)
	if b.back {
		s.rest(time.Since(began))
	}
	if err != nil {
		s.refused(ctx, b, err)
		return ctx.Err() == nil
	}
	s.q.stats.lost.Add(int64(len(lost)))
	s.mu.Lock()
	s.max, s.failing = min(2*s.max, settleMax), false
	s.mu.Unlock()
	for i := range b.items {
		s.q.settled(&b.items[i])
	}
	s.leave(b)
	return true
}

// rest has what was not tried wait, after a call that took so long.
func (s *settler) rest(took time.Duration) {
	time.AfterFunc(min(returnRest*took, longestRest), func() {
		s.mu.Lock()
		s.resting = false
		s.mu.Unlock()
		s.nudge()
	})
}

// take fills a batch; false when there is nothing to settle now.
func (s *settler) take(b *batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.line) > 0:
		s.line = b.fill(s.line, s.max)
	case len(s.back) > 0 && (!s.resting || s.closed):
		s.back, s.resting, b.back = b.fill(s.back, min(s.max, returnMax)), true, true
	default:
		return false
	}
	s.under++
	if len(s.line)+len(s.back) > 0 {
		s.nudge()
	}
	return true
}

// fill takes so many results from the front of a line, in whole loads, and gives the rest.
func (b *batch) fill(line []settling, max int) []settling {
	n := 0
	for n < len(line) && (n == 0 || len(b.results) < max) {
		if item := &line[n]; item.more == nil {
			b.results = append(b.results, item.one)
		} else {
			b.results = append(b.results, item.more...)
		}
		n++
	}
	b.items = append(b.items, line[:n]...)
	clear(line[:n])
	if n == len(line) {
		return line[:0]
	}
	return line[n:]
}

// refused puts what the store did not take behind the others, and waits a moment.
func (s *settler) refused(ctx context.Context, b *batch, err error) {
	s.q.stats.retried.Add(1)
	if ctx.Err() == nil {
		s.q.o.Log.Error("results cannot be settled: they are tried again", "results", len(b.results), "error", err)
	}
	s.mu.Lock()
	s.max, s.failing = max(s.max/2, 1), true
	if b.back {
		s.back = append(s.back, b.items...)
	} else {
		s.line = append(s.line, b.items...)
	}
	wait := settleTrouble
	if s.max == 1 {
		wait = 10 * settleTrouble
	}
	s.mu.Unlock()
	s.leave(b)
	pause(ctx, wait)
}

func (s *settler) leave(b *batch) {
	clear(b.items)
	clear(b.results)
	b.items, b.results, b.back = b.items[:0], b.results[:0], false
	s.mu.Lock()
	s.under--
	s.checkIdle()
	s.mu.Unlock()
}

// settled lets go of a load whose results are on disk, and sees to it that what waits
// again is claimed in time.
func (q *Queue) settled(item *settling) {
	if q.ledger.remove(item.load) {
		q.roomy()
	}
	if item.more == nil {
		q.waitsAgain(item.load.Works[0], &item.one)
		return
	}
	for i := range item.more {
		q.waitsAgain(item.load.Works[i], &item.more[i])
	}
}

func (q *Queue) waitsAgain(w *mail.Work, r *Result) {
	switch {
	case r.Status.Final() || q.stopping.Load():
	case r.Due.After(q.o.Now()):
		q.alarm.set(r.Due)
	default:
		q.waits(placeOf(&w.Delivery))
	}
}

package webhook

import (
	"context"
	"sync/atomic"
	"time"
)

// counters are what was counted since the start.
type counters struct {
	hooks, passed, delivered, failedTries, failed, probes, opened, disabled, lost atomic.Int64
	lags                                                                          [Buckets]atomic.Int64
	lagSum                                                                        atomic.Int64 // µs
}

// Counters are those of a [Service] as they are now.
type Counters struct {
	Hooks       int64 // owed: events times endpoints
	Passed      int64 // positions of the log looked at
	Delivered   int64
	FailedTries int64
	Failed      int64 // hooks given up
	Probes      int64 // that failed
	Opened      int64 // times a breaker opened
	Disabled    int64 // endpoints, by what they answered
	Lost        int64 // results whose lease was another's by then
	Flying      int64 // posts under way
	Held        int64 // hooks in memory
	// Lags counts first tries by the bucket of the time from the event to the post.
	Lags   [Buckets]int64
	LagSum time.Duration
}

// Counters gives them.
func (s *Service) Counters() Counters {
	c := &s.counters
	s.mu.Lock()
	held, flying := s.held, s.flying
	s.mu.Unlock()
	out := Counters{Hooks: c.hooks.Load(), Passed: c.passed.Load(), Delivered: c.delivered.Load(), FailedTries: c.failedTries.Load(), Failed: c.failed.Load(),
		Probes: c.probes.Load(), Opened: c.opened.Load(), Disabled: c.disabled.Load(), Lost: c.lost.Load(), Flying: int64(flying), Held: int64(held),
		LagSum: time.Duration(c.lagSum.Load()) * time.Microsecond}
	for i := range c.lags {
		out.Lags[i] = c.lags[i].Load()
	}
	return out
}

func (c *counters) relayed(r *Relayed) {
	c.hooks.Add(int64(len(r.Hooks)))
	c.passed.Add(r.Passed)
}

func (c *counters) first(lag time.Duration) {
	c.lags[DurationBucket(lag)].Add(1)
	c.lagSum.Add(max(lag, 0).Microseconds())
}

func (c *counters) tried(r *Result, probe bool) {
	switch {
	case r.Status == Delivered:
		c.delivered.Add(1)
		return
	case probe:
		c.probes.Add(1)
	default:
		c.failedTries.Add(1)
	}
	if r.Status == Failed {
		c.failed.Add(1)
	}
}

// Backlog counts the open hooks of all endpoints, and those of them that are parked.
func (s *Service) Backlog(ctx context.Context) (pending, parked int64, err error) {
	all, _, err := s.o.Store.AllEndpoints(ctx)
	for i := range all {
		if all[i].Parks() {
			parked += all[i].State.Backlog
		} else {
			pending += all[i].State.Backlog
		}
	}
	return pending, parked, err
}

package queue

import (
	"context"
	"sync"
	"time"
)

// alarm wakes the claim loop: at once, or at the earliest of the times it was set to.
type alarm struct {
	mu   sync.Mutex
	at   time.Time // zero: not set
	now  bool
	ring chan struct{} // one token: look at the fields again
}

// wake asks for a claim at once.
func (a *alarm) wake() {
	a.mu.Lock()
	a.now = true
	a.mu.Unlock()
	a.nudge()
}

// set asks for a claim at a time, if none is asked for before.
func (a *alarm) set(at time.Time) {
	a.mu.Lock()
	earlier := a.at.IsZero() || at.Before(a.at)
	if earlier {
		a.at = at
	}
	a.mu.Unlock()
	if earlier {
		a.nudge()
	}
}

func (a *alarm) nudge() {
	select {
	case a.ring <- struct{}{}:
	default:
	}
}

// reset forgets all that was asked for: what follows looks for it itself.
func (a *alarm) reset() {
	a.mu.Lock()
	a.now, a.at = false, time.Time{}
	a.mu.Unlock()
}

// wait returns when a claim is asked for, or ctx ends.
func (a *alarm) wait(ctx context.Context, now func() time.Time) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a.mu.Lock()
		due, at := a.now, a.at
		a.mu.Unlock()
		left := at.Sub(now())
		if due || !at.IsZero() && left <= 0 {
			return
		}
		if at.IsZero() {
			left = time.Hour
		}
		timer.Reset(left)
		select {
		case <-ctx.Done():
			return
		case <-a.ring:
		case <-timer.C:
		}
	}
}

// pause waits, or ends early with ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

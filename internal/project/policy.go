package project

import (
	"sync"
	"sync/atomic"
	"time"
)

// Policy is a limit with a window of its own, counted for each of whatever K names: what
// a dialect promises in place of [Limits]. A whole limit may be used at once.
type Policy[K comparable] struct {
	name   string
	limit  int // 0 = unlimited
	window time.Duration

	mu     sync.RWMutex
	meters map[K]*atomic.Int64 // Unix nanoseconds at which each will be full again
}

// policyKept bounds the names a policy remembers; beyond it those that are full again go.
const policyKept = 10_000

// NewPolicy counts limit requests per window; 0 is unlimited.
func NewPolicy[K comparable](name string, limit int, window time.Duration) *Policy[K] {
	return &Policy[K]{name: name, limit: limit, window: window, meters: map[K]*atomic.Int64{}}
}

// Take draws one request.
func (p *Policy[K]) Take(of K, now time.Time) Standing { return p.draw(of, now, 1) }

// Look tells the standing and draws nothing.
func (p *Policy[K]) Look(of K, now time.Time) Standing { return p.draw(of, now, 0) }

// GiveBack returns what Take drew.
func (p *Policy[K]) GiveBack(of K) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.meters[of]; m != nil {
		m.Add(-int64(p.window) / int64(p.limit))
	}
}

func (p *Policy[K]) draw(of K, now time.Time, n int64) Standing {
	if p.limit <= 0 {
		return Standing{OK: true, Policy: p.name, Limit: Unlimited, Remaining: Unlimited, Window: p.window}
	}
	m, at := p.meter(of, now), now.UnixNano()
	for {
		old := m.Load()
		next, s := drawWithin(int64(p.window), old, at, p.limit, n)
		if n == 0 || next == old || m.CompareAndSwap(old, next) {
			s.Policy, s.Window = p.name, p.window
			return s.refused()
		}
	}
}

func (p *Policy[K]) meter(of K, now time.Time) *atomic.Int64 {
	p.mu.RLock()
	m := p.meters[of]
	p.mu.RUnlock()
	if m != nil {
		return m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.meters[of] == nil {
		if len(p.meters) >= policyKept {
			p.forgetFull(now.UnixNano())
		}
		p.meters[of] = &atomic.Int64{}
	}
	return p.meters[of]
}

// forgetFull drops what nobody has drawn from lately: a new meter is as full.
func (p *Policy[K]) forgetFull(now int64) {
	for of, m := range p.meters {
		if m.Load() <= now {
			delete(p.meters, of)
		}
	}
}

// Seconds is the window over which a standing counts.
func (s Standing) Seconds() int {
	if s.Window == 0 {
		return int(Window / time.Second)
	}
	return int(s.Window / time.Second)
}

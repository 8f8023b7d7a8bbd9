package lane

import (
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// fairness is how many picks in a row may leave less urgent mail waiting before the
// oldest of that goes first once.
const fairness = 15

// tightShare is the part of their depth lanes offer while memory is tight: one of so many.
const tightShare = 16

// lane is what waits for one source and site, and the workers that carry it.
type lane struct {
	m   *Manager
	key Key

	mu       sync.Mutex
	limits   Limits
	tiers    [mail.Tiers]fifo
	passed   int                   // picks in a row that left less urgent mail waiting
	depth    int                   // jobs a tier holds now: less than limits.Depth in a lane that does not move
	closed   [mail.Tiers]time.Time // a tier just given back takes nothing until then, or until the lane moves
	wanted   [mail.Tiers]bool      // somebody was told that the tier has no room
	workers  int                   // started and not ended
	busy     int                   // of them, carrying a job
	bulkBusy int                   // of those, a bulk one
	idle     []*worker             // the one idle for the shortest time last, so that others may end
	dead     bool                  // forgotten: offer elsewhere
}

// offer takes a job in; false without an error means that the lane is forgotten.
func (l *lane) offer(job *Job) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.m.soft:
		return false, ErrStopped
	default:
	}
	if l.dead {
		return false, nil
	}
	if l.tiers[job.Tier].count >= 2*l.depth {
		l.wanted[job.Tier] = true
		return false, ErrFull
	}
	l.tiers[job.Tier].push(job)
	if len(l.idle) == 0 && l.workers >= l.limits.Connections {
		l.tellSoon(job.Tier)
	}
	if job.Tier == mail.Bulk && l.bulkBusy >= l.forBulk() {
		return true, nil // one of the busy ones will take it
	}
	l.wakeOne()
	return true, nil
}

// wakeOne gets an idle worker going, or starts one when more are allowed.
func (l *lane) wakeOne() {
	if n := len(l.idle); n > 0 {
		w := l.idle[n-1]
		l.idle = l.idle[:n-1]
		w.wake <- struct{}{} // has room for one, and only who takes it off the list sends
		return
	}
	if l.workers >= l.limits.Connections {
		return
	}
	l.workers++
	l.m.workers.Add(1)
	go newWorker(l).run()
}

// forBulk is how many slots bulk may take.
func (l *lane) forBulk() int { return l.limits.Connections - l.limits.Reserved }

func (l *lane) room(tier mail.Tier) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.m.usable(l.depth, l.limits) - l.tiers[tier].count
	if !l.closed[tier].IsZero() {
		room = 0
	}
	if room <= 0 {
		l.wanted[tier] = true
		return 0
	}
	return room
}

// pick takes out the job that goes next, nil when there is none for this slot.
func (l *lane) pick() *Job {
	first, oldest := -1, -1 // the most urgent tier with mail; of the less urgent ones the one that waits longest
	for t := range l.tiers {
		head := l.tiers[t].head()
		if head == nil || mail.Tier(t) == mail.Bulk && l.bulkBusy >= l.forBulk() {
			continue
		}
		switch {
		case first < 0:
			first = t
		case oldest < 0 || head.Offered.Before(l.tiers[oldest].head().Offered):
			oldest = t
		}
	}
	switch {
	case first < 0:
		return nil
	case oldest < 0:
		l.passed = 0
	case l.passed >= fairness:
		l.passed, first = 0, oldest
	default:
		l.passed++
	}
	l.closed[first] = time.Time{}
	job := l.tiers[first].pop()
	if l.tiers[first].count == 0 && l.depth < l.limits.Depth {
		l.depth = min(2*l.depth, l.limits.Depth)
	}
	return job
}

// tellSoon tells of the jobs of a tier that the busy sessions come to next.
func (l *lane) tellSoon(tier mail.Tier) {
	if l.m.o.Soon == nil {
		return
	}
	for job := l.tiers[tier].next(2 * l.busy); job != nil; job = l.tiers[tier].next(2 * l.busy) {
		l.m.o.Soon(job)
	}
}

// roomAgain tells whether whoever was told of no room is to be told of room: once
// half of the tier's depth is free, so that it comes for many and not for one.
func (l *lane) roomAgain() (again bool) {
	for t := range l.tiers {
		if l.wanted[t] && l.closed[t].IsZero() && l.tiers[t].count <= l.m.usable(l.depth, l.limits)/2 {
			l.wanted[t], again = false, true
		}
	}
	return again
}

// sweep takes new limits and empties the tiers whose oldest job waited too long: all of
// a tier, since the store keeps the order but would put what is given back alone behind
// what is kept here.
func (l *lane) sweep(now time.Time, limits Limits) (back []*Job) {
	l.mu.Lock()
	if limits.Depth != l.limits.Depth {
		l.depth = limits.Depth
	}
	l.limits = limits
	for t := range l.tiers {
		head := l.tiers[t].head()
		if head == nil || now.Sub(head.Offered) < l.m.o.MaxWait {
			continue
		}
		back = l.tiers[t].drain(back)
		l.depth = max(l.depth/2, min(l.limits.Connections, l.limits.Depth))
		l.closed[t] = now.Add(l.m.o.MaxWait / 2)
		l.wanted[t] = true
	}
	l.reopen(now)
	tell := l.roomAgain()
	l.mu.Unlock()
	if tell {
		l.tellRoom()
	}
	return back
}

// reopen ends the rest of tiers that were given back.
func (l *lane) reopen(now time.Time) {
	for t, until := range l.closed {
		if !now.Before(until) {
			l.closed[t] = time.Time{}
		}
	}
}

func (l *lane) tellRoom() {
	if l.m.o.Room != nil {
		l.m.o.Room(l.key)
	}
}

// empty takes out all that waits.
func (l *lane) empty() (jobs []*Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.tiers {
		jobs = l.tiers[t].drain(jobs)
	}
	return jobs
}

// forget marks the lane dead when nothing waits and nobody works in it.
func (l *lane) forget() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.workers > 0 {
		return false
	}
	for t := range l.tiers {
		if l.tiers[t].count > 0 || l.wanted[t] || !l.closed[t].IsZero() {
			return false
		}
	}
	l.dead = true
	return true
}

func (l *lane) stats() LaneStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStats{Key: l.key, Sessions: l.workers, Busy: l.busy, Limit: l.limits.Connections}
	for t := range l.tiers {
		s.Waiting[t] = l.tiers[t].count
		if head := l.tiers[t].head(); head != nil && (s.Oldest.IsZero() || head.Offered.Before(s.Oldest)) {
			s.Oldest = head.Offered
		}
	}
	return s
}

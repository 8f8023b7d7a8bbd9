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
	tiers    [mail.Tiers]tier
	passed   int       // picks in a row that left less urgent mail waiting
	depth    int       // jobs a tier holds now: less than limits.Depth in a lane that does not move
	workers  int       // started and not ended
	busy     int       // of them, carrying a job
	bulkBusy int       // of those, a bulk one
	idle     []*worker // the one idle for the shortest time last, so that others may end
	dead     bool      // forgotten: offer elsewhere
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
	if t := &l.tiers[job.Tier]; t.count >= 2*l.depth {
		t.want(t.line(job.Message.Owner.Project))
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

// space is the room there is for a project, and the note that it is wanted where there is
// none.
func (l *lane) space(tier mail.Tier, project int64) Space {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.tiers[tier]
	own, usable := t.lines[project], l.m.usable(l.depth, l.limits)
	s := Space{Free: usable - t.count, Share: min(l.share(), usable+usable/2-t.count)}
	if own != nil {
		s.Share -= own.count
		if !own.closed.IsZero() {
			s = Space{}
		}
	}
	if s.Room() <= 0 {
		t.want(t.line(project))
		return Space{}
	}
	return s
}

// share is how many jobs of a tier a project may have waiting however many others have.
func (l *lane) share() int {
	usable := l.m.usable(l.depth, l.limits)
	return max(usable/shareOf, min(l.limits.Connections, usable))
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
	job, own := l.tiers[first].pop()
	if l.tiers[first].count == 0 && l.depth < l.limits.Depth {
		l.depth = min(2*l.depth, l.limits.Depth)
	}
	if own.wanted && own.count <= l.share()/2 {
		l.tiers[first].moved = true
	}
	return job
}

// tellSoon tells of the jobs of a tier that the busy sessions come to next.
func (l *lane) tellSoon(tier mail.Tier) {
	if l.m.o.Soon == nil {
		return
	}
	l.tiers[tier].soon(2*l.busy, l.m.o.Soon)
}

// roomAgain tells whether whoever was told of no room is to be told of room: once half of
// the tier's depth is free, or of a project's share of it, so that it comes for many and not
// for one.
func (l *lane) roomAgain() (again bool) {
	for i := range l.tiers {
		t := &l.tiers[i]
		if t.asked && (t.moved || t.count <= l.m.usable(l.depth, l.limits)/2) {
			again = t.told() || again
		}
		t.moved = false
	}
	return again
}

// sweep takes new limits and gives up the lines whose oldest job waited too long: all of a
// project's, since the store keeps their order but would put what is given back alone behind
// what is kept here.
func (l *lane) sweep(now time.Time, limits Limits) (back []*Job) {
	l.mu.Lock()
	if limits.Depth != l.limits.Depth {
		l.depth = limits.Depth
	}
	l.limits = limits
	for i := range l.tiers {
		t := &l.tiers[i]
		var given []*line
		if back, given = t.giveUp(now.Add(-l.m.o.MaxWait), back); given != nil {
			l.depth = max(l.depth/2, min(l.limits.Connections, l.limits.Depth))
		}
		for _, own := range given {
			t.close(own, now.Add(l.m.o.MaxWait/2))
			t.want(own)
		}
		t.reopen(now)
	}
	tell := l.roomAgain()
	for i := range l.tiers {
		l.tiers[i].tidy()
	}
	l.mu.Unlock()
	if tell {
		l.tellRoom()
	}
	return back
}

// reopenAll ends the rest of what was given back: the lane has nothing to do.
func (l *lane) reopenAll() {
	for i := range l.tiers {
		if t := &l.tiers[i]; t.shut > 0 {
			for _, own := range t.lines {
				t.open(own)
			}
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
	for i := range l.tiers {
		for t := &l.tiers[i]; t.first != nil; {
			job, _ := t.pop()
			jobs = append(jobs, job)
		}
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
	for i := range l.tiers {
		if t := &l.tiers[i]; t.count > 0 || t.asked || t.shut > 0 {
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
		if at := l.tiers[t].oldest(); !at.IsZero() && (s.Oldest.IsZero() || at.Before(s.Oldest)) {
			s.Oldest = at
		}
	}
	return s
}

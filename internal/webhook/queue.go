package webhook

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	mostFlying = 10   // posts of one endpoint at a time
	allFlying  = 1000 // of all; an endpoint with none under way may always begin one
	pageSize   = 64   // hooks of one endpoint read ahead
	allHeld    = 8000 // hooks in memory, of all endpoints: some 20 MB

	orderPatience = time.Hour             // how long an event waits for the one before
	reopenedLook  = 50 * time.Millisecond // until what was opened again while it was being settled is looked for

	orderLook = 30 * time.Second // how often those that wait are looked at, if nothing else moves

	rampPart  = 3    // a third of the time between probes leads from a recovered endpoint's first pace to its full one
	leastPace = 0.05 // of its full pace, however often an endpoint asks to be slow
)

// queue is one endpoint's due hooks: a page of them, the rest is in the store. Its fields
// are guarded by Service.mu.
type queue struct {
	endpoint int64 // row
	token    int64 // of the lease
	state    State
	ended    bool // to be disabled

	ready []Hook          // in the order they are due
	holds map[int64]int64 // when they were opened (µs), by the positions of what is ready, under way, or being settled
	gone  map[int64]int64 // likewise of those settled while a page was read: it may still have them
	next  time.Time       // when the store has something due; zero: nothing known
	dirty bool            // the store may have more that is due
	reads bool            // a page is being read
	soon  time.Time       // the earliest that next became meanwhile
	order bool            // a hook may wait for one before it
	after time.Time       // nothing is read before: a read failed
	fly   int             // posts under way
	most  int             // that may be: shrinks with trouble, grows with success
	until time.Time       // the endpoint asked for a rest
	pace  float64         // the part of its pace it may have now
	room  float64         // requests that may begin at once
	since time.Time       // when room was reckoned, by the monotonic clock: a pace knows no time of day
	probe time.Time       // when an open breaker lets the next one through
	ramp  time.Time       // since when it recovers; zero: it does not
	every time.Duration   // between probes
	tell  []mail.Event    // about the endpoint, with its next settlement
}

func newQueue(l Lease, every time.Duration) *queue {
	q := &queue{endpoint: l.Endpoint, token: l.Token, state: l.State, holds: map[int64]int64{}, dirty: true, every: every}
	q.fresh()
	q.probe = l.State.FailedLast.Add(every)
	return q
}

// fresh lets it run at its full pace.
func (q *queue) fresh() {
	q.most, q.pace, q.since, q.until, q.ramp = mostFlying, 1, time.Now(), time.Time{}, time.Time{}
	q.room = 1
}

// perSecond is how many requests may begin in a second now.
func (q *queue) perSecond(e *Endpoint, now time.Time) float64 {
	pace := q.pace
	if !q.ramp.IsZero() {
		pace = min(pace, max(0.1, float64(now.Sub(q.ramp))/float64(q.every/rampPart)))
	}
	return max(float64(e.MaxPerSecond)*max(pace, leastPace), 0.5)
}

// refill reckons the room there is for requests: a tenth of a second's may begin at once.
func (q *queue) refill(e *Endpoint, now time.Time) {
	rate, tick := q.perSecond(e, now), time.Now()
	q.room = min(q.room+tick.Sub(q.since).Seconds()*rate, max(1, rate/10))
	q.since = tick
}

// mayPost tells whether a post may begin now, and if not, when to ask again (0: something
// else has to happen first).
func (q *queue) mayPost(e *Endpoint, now time.Time) (bool, time.Duration) {
	switch {
	case e == nil || e.Status == Disabled || q.ended:
		return false, 0
	case q.state.Breaker == BreakerOpen:
		if q.fly > 0 {
			return false, 0
		}
		return !q.probe.After(now), q.probe.Sub(now)
	case q.fly >= q.most:
		return false, 0
	case q.until.After(now):
		return false, q.until.Sub(now)
	}
	q.refill(e, now)
	if q.room >= 1 {
		return true, 0
	}
	return false, time.Duration((1-q.room)/q.perSecond(e, now)*float64(time.Second)) + time.Millisecond
}

// wantsPage tells whether the store should be asked, and when if not now (0: never).
func (q *queue) wantsPage(now time.Time) (bool, time.Duration) {
	due := q.dirty || !q.next.IsZero() && !q.next.After(now)
	switch {
	case q.reads || len(q.ready) > 0:
		return false, 0
	case due && q.after.After(now):
		return false, q.after.Sub(now)
	case due:
		return true, 0
	case q.next.IsZero():
		return false, 0
	}
	return false, q.next.Sub(now)
}

// take puts a page's hooks in, leaving out those that are held or were settled meanwhile. It
// gives how many it took.
func (q *queue) take(page []Hook, most int, now time.Time) (took int) {
	for _, h := range page {
		if took >= most {
			q.dirty = true
			break
		}
		opened, held := q.holds[h.Position]
		settled, gone := q.gone[h.Position]
		switch at := h.CreatedAt.UnixMicro(); {
		case held && opened != at: // again, while what came of it before is being recorded
			q.sooner(now.Add(reopenedLook))
		case !held && (!gone || settled != at): // what was settled may have been opened again
			q.holds[h.Position] = at
			q.ready = append(q.ready, h)
			took++
		}
	}
	return took
}

// pop gives the next hook.
func (q *queue) pop() Hook {
	h := q.ready[0]
	q.ready[0] = Hook{}
	q.ready = q.ready[1:]
	if len(q.ready) == 0 {
		q.ready = nil
	}
	return h
}

// empty lets go of what is ready: the store has it. It gives how many that were.
func (q *queue) empty() int {
	n := len(q.ready)
	for _, h := range q.ready {
		delete(q.holds, h.Position)
	}
	q.ready, q.dirty = nil, true
	return n
}

// done lets go of a hook that was settled.
func (q *queue) done(position int64) {
	if q.reads {
		if q.gone == nil {
			q.gone = map[int64]int64{}
		}
		q.gone[position] = q.holds[position]
	}
	delete(q.holds, position)
}

// sooner has the queue looked at by a time.
func (q *queue) sooner(at time.Time) {
	if q.next.IsZero() || at.Before(q.next) {
		q.next = at
	}
	if q.soon.IsZero() || at.Before(q.soon) {
		q.soon = at
	}
}

package queue

import (
	"errors"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/submit"
)

var _ submit.Dispatcher = (*Queue)(nil)

// Reserve asks for room for one delivery on the fast path: see submit.Dispatcher.
func (q *Queue) Reserve(owner mail.Owner, destination string, tier mail.Tier) bool {
	if !q.ready.Load() || q.stopping.Load() || q.backlog.has(place{owner, tier, destination}) {
		return false
	}
	if r := q.o.Router.Cached(owner.Env, destination); r != nil {
		if q.lanes.Room(lane.KeyOf(r), tier, owner.Project) == 0 {
			return false
		}
	} else if q.lookups.room(owner.Env, destination) == 0 {
		return false
	}
	return q.ledger.reserve(1, tier)
}

// Release gives back a reservation that is not dispatched.
func (q *Queue) Release(mail.Owner, string, mail.Tier) { q.release(1) }

// Dispatch takes works that were reserved and leased with their acceptance.
func (q *Queue) Dispatch(works []*mail.Work) {
	q.stats.dispatched.Add(int64(len(works)))
	q.admit(works)
}

// Waiting tells of a delivery that was accepted without a lease.
func (q *Queue) Waiting(owner mail.Owner, destination string, tier mail.Tier, due time.Time) {
	if due.After(q.o.Now()) {
		q.alarm.set(due)
		return
	}
	q.waits(place{owner, tier, destination})
}

// waits notes that due mail waits in the store, and has it claimed if there is room. When
// there is none, having asked makes the lane, the look-up or the ledger tell of room later.
func (q *Queue) waits(p place) {
	q.backlog.enter(p)
	if q.room(p.destination, p.owner, p.tier) > 0 {
		q.alarm.wake()
	}
}

// admit takes leased works in. Those of one message stand together.
func (q *Queue) admit(works []*mail.Work) {
	for len(works) > 0 {
		n := 1
		for n < len(works) && works[n].Message.ID == works[0].Message.ID {
			n++
		}
		q.admitMessage(works[:n])
		works = works[n:]
	}
}

// admitMessage makes the loads of one message: one for each way its deliveries go.
func (q *Queue) admitMessage(works []*mail.Work) {
	if until := works[0].Message.ExpiresAt; !until.IsZero() && !q.o.Now().Before(until) {
		q.refuse(works, mail.Attempt{Outcome: mail.OutcomeExpired})
		return
	}
	if len(works) == 1 {
		w := works[0]
		q.place(newLoad(w), q.o.Router.Cached(w.Delivery.Owner.Env, w.Delivery.Destination))
		return
	}
	var loads []*load
	for _, w := range works {
		r := q.o.Router.Cached(w.Delivery.Owner.Env, w.Delivery.Destination)
		if l := mate(loads, w, r); l != nil {
			l.Works = append(l.Works, w)
			continue
		}
		l := newLoad(w)
		l.Route = r
		loads = append(loads, l)
	}
	for _, l := range loads {
		q.place(l, l.Route)
	}
}

// mate finds the load that goes the same way as a work: the same site by the same
// hosts, or, before the route is known, the same destination.
func mate(loads []*load, w *mail.Work, r *route.Route) *load {
	for _, l := range loads {
		if l.Tier != w.Delivery.Tier {
			continue
		}
		if r == nil && l.Route == nil && l.Works[0].Delivery.Destination == w.Delivery.Destination ||
			r != nil && l.Route != nil && lane.SameWay(l.Route, r) {
			return l
		}
	}
	return nil
}

func newLoad(w *mail.Work) *load {
	l := &load{Job: lane.Job{Message: w.Message, Tier: w.Delivery.Tier}, until: w.Lease.Until}
	l.works[0] = w
	l.Works = l.works[:1:1]
	l.Holder = l
	return l
}

// place lists a new load and puts it where it goes next.
func (q *Queue) place(l *load, r *route.Route) {
	q.ledger.add(l)
	if r == nil {
		q.lookup(l)
		return
	}
	q.offer(l, r)
}

// offer puts a load into its lane.
func (q *Queue) offer(l *load, r *route.Route) {
	l.Route = r
	switch err := q.lanes.Offer(&l.Job); {
	case errors.Is(err, lane.ErrStopped):
		q.giveBack(l, mail.WaitRescued)
	case err != nil:
		q.giveBack(l, mail.WaitLaneFull)
	}
}

// giveBack ends the leases of a load that nobody tried.
func (q *Queue) giveBack(l *load, why mail.Wait) {
	q.done(&l.Job, repeat(mail.Attempt{Wait: why}, len(l.Works)))
}

// refuse ends works that reach no lane.
func (q *Queue) refuse(works []*mail.Work, a mail.Attempt) {
	for _, w := range works {
		l := newLoad(w)
		q.ledger.add(l)
		q.done(&l.Job, repeat(a, 1))
	}
}

func repeat(a mail.Attempt, n int) []mail.Attempt {
	all := make([]mail.Attempt, n)
	for i := range all {
		all[i] = a
	}
	return all
}

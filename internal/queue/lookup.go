package queue

import (
	"context"
	"errors"
	"sync"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// maxUnrouted bounds the loads that wait for one destination's route.
const maxUnrouted = 256

// lookups are the destinations whose route is being looked up, each once, with the
// loads that wait for it. At most a number of them are asked for at a time; the others
// stand in line.
type lookups struct {
	mu      sync.Mutex
	open    map[destination]*lookup
	line    []*lookup
	free    int             // goroutines that may be started
	ctx     context.Context // of the run; nil before it
	stopped bool
	wanted  bool // somebody was told that there is no room
	running sync.WaitGroup
}

type destination struct {
	env  mail.Env
	name string
}

type lookup struct {
	of    destination
	loads []*load
}

func (k *lookups) init(max int) { k.open, k.free = make(map[destination]*lookup), max }

// room tells how many more loads may wait for a destination's route.
func (k *lookups) room(env mail.Env, name string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.open[destination{env, name}]
	if l == nil {
		return maxUnrouted
	}
	if len(l.loads) >= maxUnrouted {
		k.wanted = true
	}
	return max(maxUnrouted-len(l.loads), 0)
}

func (k *lookups) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.open)
}

// start lets look-ups run until ctx ends.
func (k *lookups) start(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ctx = ctx
}

// wait lets no more begin and waits for those that run.
func (k *lookups) wait() {
	k.mu.Lock()
	k.stopped = true
	k.mu.Unlock()
	k.running.Wait()
}

// lookup has a load wait for the route of its destination.
func (q *Queue) lookup(l *load) {
	w := l.Works[0]
	of := destination{w.Delivery.Owner.Env, w.Delivery.Destination}
	k := &q.lookups
	k.mu.Lock()
	if k.stopped || k.ctx == nil {
		k.mu.Unlock()
		q.giveBack(l, mail.WaitRescued)
		return
	}
	if known := k.open[of]; known != nil {
		known.loads = append(known.loads, l)
		k.mu.Unlock()
		return
	}
	fresh := &lookup{of: of, loads: []*load{l}}
	k.open[of] = fresh
	if k.free == 0 {
		k.line = append(k.line, fresh)
		k.mu.Unlock()
		return
	}
	k.free--
	k.running.Add(1)
	k.mu.Unlock()
	go q.lookUp(fresh)
}

// lookUp asks for routes, one destination after another, until none stands in line.
func (q *Queue) lookUp(l *lookup) {
	k := &q.lookups
	defer k.running.Done()
	for l != nil {
		r, err := q.routeTo(l.of)
		k.mu.Lock()
		delete(k.open, l.of)
		loads := l.loads
		if l = nil; len(k.line) > 0 {
			l, k.line = k.line[0], k.line[1:]
		} else {
			k.free++
		}
		tell := k.wanted
		k.wanted = false
		k.mu.Unlock()
		for _, waiting := range loads {
			q.routed(waiting, r, err)
		}
		if tell {
			q.alarm.wake()
		}
	}
}

func (q *Queue) routeTo(of destination) (*route.Route, error) {
	ctx, cancel := context.WithTimeout(q.lookups.ctx, q.o.LookupTime)
	defer cancel()
	return q.o.Router.Route(ctx, of.env, of.name)
}

// routed goes on with a load whose look-up ended. A refusal is an attempt that ended
// before anybody was asked; trouble of another kind is ours and counts as nothing.
func (q *Queue) routed(l *load, r *route.Route, err error) {
	var refusal *route.Refusal
	switch {
	case err == nil:
		q.offer(l, r)
	case q.stopping.Load() || q.lookups.ctx.Err() != nil:
		q.giveBack(l, mail.WaitRescued)
	case errors.As(err, &refusal):
		a := mail.Attempt{
			At: q.o.Now().Add(-refusal.DNS), Duration: refusal.DNS, DNS: refusal.DNS,
			Outcome: mail.OutcomeDeferred, Reply: refusal.Reply, Class: refusal.Class,
		}
		if refusal.Permanent {
			a.Outcome = mail.OutcomeBounced
		}
		q.done(&l.Job, repeat(a, len(l.Works)))
	case errors.Is(err, context.DeadlineExceeded):
		reply := mail.Reply{Enhanced: "4.4.3", Text: "looking up the mail exchangers of " + l.Works[0].Delivery.Destination + " took too long"}
		q.done(&l.Job, repeat(mail.Attempt{
			At: q.o.Now().Add(-q.o.LookupTime), Duration: q.o.LookupTime, DNS: q.o.LookupTime,
			Outcome: mail.OutcomeDeferred, Reply: reply, Class: mail.ClassNetwork,
		}, len(l.Works)))
	default:
		q.o.Log.Error("a route could not be decided", "message_id", l.Message.ID.Text(mail.PrefixMessage), "error", err)
		q.done(&l.Job, repeat(mail.Attempt{Wait: mail.WaitRetry}, len(l.Works)))
	}
}

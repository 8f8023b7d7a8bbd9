package lane

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// worker carries the jobs of one lane, one at a time. It has a session from the first
// job on, and a new one after a session's share of jobs, or when the one it has cannot
// be used for the next.
type worker struct {
	l    *lane
	wake chan struct{} // room for one: sent by who takes the worker off the idle list

	session Session
	route   *route.Route // what session was opened for
	carried int          // jobs by session
	share   int          // jobs a session may carry
	job     *Job         // the one being carried
}

func newWorker(l *lane) *worker { return &worker{l: l, wake: make(chan struct{}, 1)} }

func (w *worker) run() {
	defer w.l.m.workers.Done()
	for w.next() {
		w.carry()
	}
	w.closeSession()
	w.l.mu.Lock()
	w.l.workers--
	w.l.mu.Unlock()
	// An offer may have counted on this worker between its last look and its end.
	w.l.restart()
}

// restart starts a worker when jobs wait that an ended one could have carried.
func (l *lane) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.m.soft:
		return
	default:
	}
	l.wakeMore()
}

// wakeMore gets one more worker going when a job waits that it may take. Every pick
// calls it, so that a slot which bulk gave up to urgent mail is made good elsewhere.
func (l *lane) wakeMore() {
	for t := range l.tiers {
		if l.tiers[t].count > 0 && (mail.Tier(t) != mail.Bulk || l.bulkBusy < l.forBulk()) {
			l.wakeOne()
			return
		}
	}
}

// next waits for a job; false says that the worker should end: it was idle for long, it
// is one too many, or we stop.
func (w *worker) next() bool {
	l := w.l
	for {
		l.mu.Lock()
		select {
		case <-l.m.soft:
			l.mu.Unlock()
			return false
		default:
		}
		if l.workers > l.limits.Connections {
			l.mu.Unlock()
			return false
		}
		w.job = l.pick()
		if w.job != nil {
			l.busy++
			if w.job.Tier == mail.Bulk {
				l.bulkBusy++
			}
			w.share = l.limits.PerSession
			l.tellSoon(w.job.Tier)
			l.wakeMore()
		} else {
			l.reopenAll() // the lane moves: who rests is wanted
			l.idle = append(l.idle, w)
		}
		idle, tell := l.limits.Idle, l.roomAgain()
		l.mu.Unlock()
		if tell {
			l.tellRoom()
		}
		if w.job != nil {
			return true
		}
		if !w.rest(idle) {
			return false
		}
	}
}

// rest waits on the idle list; false after the time for it, or when we stop.
func (w *worker) rest(idle time.Duration) bool {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case <-w.wake:
		return true
	case <-timer.C:
	case <-w.l.m.soft:
	}
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.idle {
		if other == w {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			return false
		}
	}
	<-w.wake // somebody took it off the list meanwhile: there is a job
	return true
}

// carry takes the picked job to the end.
func (w *worker) carry() {
	l, job := w.l, w.job
	if w.session != nil && !w.fits(job) {
		w.closeSession()
	}
	attempts := w.try(job)
	w.carried++
	w.job = nil
	l.mu.Lock()
	l.busy--
	if job.Tier == mail.Bulk {
		l.bulkBusy--
	}
	l.mu.Unlock()
	l.m.o.Done(job, attempts)
	if w.session != nil && !w.session.Reusable() {
		w.closeSession()
	}
}

// fits tells whether the open session may carry this job too.
func (w *worker) fits(job *Job) bool {
	return w.carried < w.share && (w.route == job.Route || SameWay(w.route, job.Route))
}

// SameWay tells whether two routes lead to the same hosts under the same terms: a
// site may have several sets of hosts, and one set does not take the other's mail.
func SameWay(a, b *route.Route) bool {
	if a.TLS != b.TLS || a.Capture != b.Capture || a.Source != b.Source || len(a.Hosts) != len(b.Hosts) {
		return false
	}
	for _, host := range a.Hosts {
		if !leadsTo(b, host.Name) {
			return false
		}
	}
	return true
}

func leadsTo(r *route.Route, name string) bool {
	for _, host := range r.Hosts {
		if host.Name == name {
			return true
		}
	}
	return false
}

// try has the session carry the job. A panic in there is a fault of ours: nobody knows
// how far it came, so the attempts are uncertain, and the session is not used again.
func (w *worker) try(job *Job) (attempts []mail.Attempt) {
	l := w.l
	defer func() {
		if fault := recover(); fault != nil {
			l.m.o.Log.Error("a session failed", "site", l.key.Site, "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
			w.closeSession()
			attempts = broken(job, l.m.o.Now())
		}
	}()
	if w.session == nil {
		w.session, w.route, w.carried = l.m.o.Carrier(job.Route).Session(l.key, job.Route), job.Route, 0
	}
	attempts = w.session.Carry(l.m.hard, l.m.soft, job)
	if len(attempts) != len(job.Works) {
		panic(fmt.Sprintf("%d attempts for %d works", len(attempts), len(job.Works)))
	}
	return attempts
}

func broken(job *Job, now time.Time) []mail.Attempt {
	attempts := make([]mail.Attempt, len(job.Works))
	for i := range attempts {
		attempts[i] = mail.Attempt{
			At: now, Outcome: mail.OutcomeUncertain, Class: mail.ClassOther, Site: job.Route.Site,
			Reply: mail.Reply{Text: "a fault of ours interrupted the attempt"},
		}
	}
	return attempts
}

// closeSession says good-bye; a panic in it is logged and ends there.
func (w *worker) closeSession() {
	if w.session == nil {
		return
	}
	defer func() {
		if fault := recover(); fault != nil {
			w.l.m.o.Log.Error("closing a session failed", "site", w.l.key.Site, "fault", fmt.Sprint(fault))
		}
		w.session = nil
	}()
	w.session.Close()
}

package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// maxGrievers bounds the complaints that wait; more are told of at once.
const maxGrievers = 10_000

// grievers are the recipients of the sandbox that will complain, the next one first.
// They are in memory only: a crash forgets them, a stop has them complain at once.
type grievers struct {
	mu   sync.Mutex
	line []griever
	ring chan struct{}
}

type griever struct {
	due   time.Time
	work  *mail.Work
	tries int
}

// Complain has the recipient of a delivered work complain after a while, as a receiving
// operator's feedback loop would.
func (q *Queue) Complain(w *mail.Work, after time.Duration) {
	q.grievers.add(griever{due: q.o.Now().Add(after), work: w})
}

func (g *grievers) add(x griever) {
	g.mu.Lock()
	at, _ := slices.BinarySearchFunc(g.line, x, func(a, b griever) int { return a.due.Compare(b.due) })
	if len(g.line) >= maxGrievers {
		x.due, at = time.Time{}, 0
	}
	g.line = slices.Insert(g.line, at, x)
	g.mu.Unlock()
	select {
	case g.ring <- struct{}{}:
	default:
	}
}

// next gives the first one if its time has come, else how long that will be; all: its
// time is now.
func (g *grievers) next(now time.Time, all bool) (x griever, wait time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) == 0 {
		return griever{}, time.Hour, false
	}
	if wait = g.line[0].due.Sub(now); wait > 0 && !all {
		return griever{}, wait, false
	}
	x = g.line[0]
	g.line = slices.Delete(g.line, 0, 1)
	return x, 0, true
}

func (q *Queue) complainLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		x, wait, ok := q.grievers.next(q.o.Now(), false)
		if ok {
			q.complain(ctx, x)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-q.grievers.ring:
		case <-timer.C:
		}
	}
}

// complainRest tells of the complaints that still wait, when we stop.
func (q *Queue) complainRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, q.o.SettleLimit)
	defer cancel()
	for ctx.Err() == nil {
		x, _, ok := q.grievers.next(q.o.Now(), true)
		if !ok {
			return
		}
		x.tries = complainTries // only once
		q.complain(ctx, x)
	}
}

const (
	complainTries = 20
	complainAgain = 500 * time.Millisecond // its delivery is not settled yet, or the store failed
)

func (q *Queue) complain(ctx context.Context, x griever) {
	store, ok := q.o.Store.(Reporter)
	if !ok {
		q.o.Log.Error("this store records no complaints")
		return
	}
	w, now := x.work, q.o.Now()
	returned := Complained(q.event(w, mail.EventComplained, now), suppression(w, mail.KindComplaint, now), "sandbox", "abuse")
	_, err := store.Report(ctx, now, Report{Outcomes: []Returned{returned}})
	if err == nil {
		return
	}
	if x.tries++; x.tries < complainTries {
		x.due = now.Add(complainAgain)
		q.grievers.add(x)
		return
	}
	if !errors.Is(err, mail.ErrStale) {
		q.o.Log.Error("a complaint could not be recorded", "message_id", w.Message.ID.Text(mail.PrefixMessage), "error", err)
	}
}

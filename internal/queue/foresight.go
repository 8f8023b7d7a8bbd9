package queue

import (
	"context"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
)

const (
	askMax  = 128              // jobs in one call
	askTime = 10 * time.Second // for one call: who gives a job back waits for its answer
	// An answer is the last look before the wire, so it must not be old: a job of a lane
	// that stood still meanwhile asks again.
	foresightLasts = 2 * time.Second
)

// foresight asks the store about jobs that a session will carry shortly, many in one
// commit, while the sessions carry the ones before: so a session of a busy lane never
// waits for a commit of its own. A crash finds these jobs begun, at most two a session, and
// settles them as uncertain like what was on the wire.
type foresight struct {
	q    *Queue
	ring chan struct{}

	mu    sync.Mutex
	line  []*ask
	asked map[*mail.Work]*ask // by the first work of the job, until it is carried or given back
}

func (f *foresight) init(q *Queue) {
	f.q, f.ring, f.asked = q, make(chan struct{}, 1), make(map[*mail.Work]*ask)
}

// soon asks about a job that waits in its lane.
func (f *foresight) soon(job *lane.Job) {
	a := f.q.newAsk(job.Works, job.Route.Site, f.q.o.Now())
	a.done = make(chan struct{})
	f.mu.Lock()
	f.asked[job.Works[0]] = a
	f.line = append(f.line, a)
	f.mu.Unlock()
	select {
	case f.ring <- struct{}{}:
	default:
	}
}

// of gives the answer about a job that is about to be carried: nil when it was not asked
// for, or is of no use (any more).
func (f *foresight) of(ctx context.Context, works []*mail.Work, site string, now time.Time) (*ask, error) {
	a := f.take(works[0])
	if a == nil {
		return nil, nil
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, nil
	}
	a.learn() // also of an old answer: it was committed
	if a.site != site || len(a.works) != len(works) || now.Sub(a.at) > foresightLasts {
		return nil, nil
	}
	return a, nil
}

// forget waits for the answer about a job that comes back without having been carried,
// and has its works know it.
func (f *foresight) forget(works []*mail.Work) {
	if a := f.take(works[0]); a != nil {
		<-a.done
		a.learn()
	}
}

func (f *foresight) take(w *mail.Work) *ask {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.asked[w]
	delete(f.asked, w)
	return a
}

// run asks until ctx ends; then all that was not answered fails.
func (f *foresight) run(ctx context.Context) {
	for {
		select {
		case <-f.ring:
		case <-ctx.Done():
			f.fail(ctx.Err())
			return
		}
		for f.askSome(ctx) {
		}
	}
}

// askSome makes one call; false when there was nothing to ask.
func (f *foresight) askSome(ctx context.Context) bool {
	f.mu.Lock()
	n := min(len(f.line), askMax)
	asks := append([]*ask(nil), f.line[:n]...)
	rest := copy(f.line, f.line[n:])
	clear(f.line[rest:])
	f.line = f.line[:rest]
	f.mu.Unlock()
	if n == 0 {
		return false
	}
	var batch []Beginning
	for _, a := range asks {
		batch = append(batch, a.batch...)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	said, err := f.q.o.Store.Begin(ctx, f.q.o.Now(), batch)
	for _, a := range asks {
		if a.err = err; err == nil {
			a.said, said = said[:len(a.batch):len(a.batch)], said[len(a.batch):]
		}
		close(a.done)
	}
	return true
}

func (f *foresight) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.line {
		a.err = err
		close(a.done)
	}
	f.line = nil
}

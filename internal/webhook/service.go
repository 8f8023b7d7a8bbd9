package webhook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/seal"
)

// Format writes what endpoints of one format are sent.
type Format interface {
	// Speaks tells whether the format has something to say of a type.
	Speaks(t mail.EventType) bool
	// Body writes an entry for an endpoint, with what it wants redacted left out.
	Body(n *eventlog.Entry, e *Endpoint) ([]byte, error)
}

// Chooser is a Format whose own events do not part what ours do: it is asked about each entry
// that an endpoint's Events let pass.
type Chooser interface {
	Tells(n *eventlog.Entry, e *Endpoint) bool
}

// Pager is a Format that reads to write a body: Page gives it with all read already that
// these entries of one owner tell of, so that a page of bodies costs as many reads as one.
type Pager interface {
	Page(ctx context.Context, owner mail.Owner, entries []*eventlog.Entry) (Format, error)
}

// Memory is what else is remembered: the jobs of replays, and answers to idempotency keys.
type Memory interface {
	CreateJob(ctx context.Context, j job.Job, once *mail.Once, answer func(job.Job) mail.Answer) error
	Job(ctx context.Context, owner mail.Owner, id mail.ID) (job.Job, error)
	OpenJobs(ctx context.Context) ([]job.Job, error)
	SaveJob(ctx context.Context, j job.Job) error
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
}

// Options are the parts a [Service] works with. Those without a word about nil are needed.
type Options struct {
	Store   Store
	Log     eventlog.Store // what replays read
	Memory  Memory
	Poster  Poster
	Ring    *seal.Ring        // seals secrets
	Formats map[string]Format // by Endpoint.Format
	// Check judges the URL of an endpoint that is made or changed, as the guard will when it
	// is posted to. Errors are *mail.Error; nil: none is refused early.
	Check func(ctx context.Context, url string) error
	// Wake gives a channel that is closed at the next commit of events; nil: only looked.
	Wake func() <-chan struct{}
	Node string // whose leases it holds
	// Schedule are the waits after failed tries, of every format; nil: each format's own.
	Schedule []time.Duration
	// Probe is how often an open breaker lets one through; 0: a minute.
	Probe  time.Duration
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Service keeps endpoints and works on their hooks. Make it with [New], and Run it.
type Service struct {
	o        Options
	counters counters

	mu     sync.Mutex
	known  *directory       // of endpoints; nil: to be read
	change int64            // counts changes of endpoints, so that what was read before one is not kept
	queues map[int64]*queue // of the endpoints this node works, by row
	held   int              // hooks in memory, of all queues
	flying int              // posts under way
	until  time.Time        // of the leases

	// Bells wake the loops of Run.
	relayBell, postBell, leaseBell, replayBell, sweepBell bell
	settled                                               chan outcome

	kill context.Context // ends the posts under way
	cut  context.CancelFunc
}

// New builds a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Probe <= 0 {
		o.Probe = probeEvery
	}
	s := &Service{o: o, queues: make(map[int64]*queue), settled: make(chan outcome, settleMost),
		relayBell: newBell(), postBell: newBell(), leaseBell: newBell(), replayBell: newBell(), sweepBell: newBell()}
	s.kill, s.cut = context.WithCancel(context.Background())
	return s
}

// bell wakes one who waits, or the next one to wait.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// wait ends when the bell is rung, d is over, or ctx ended.
func (b bell) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-b:
	case <-t.C:
	}
}

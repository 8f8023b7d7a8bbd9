package sandbox

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/route"
)

// Queue is what the sandbox asks of the queue.
type Queue interface {
	deliver.Beginner
	// Complain has the recipient of a delivered work complain after a while.
	Complain(w *mail.Work, after time.Duration)
}

// Options of a [Carrier]. Begin is needed.
type Options struct {
	Begin Queue
	Now   func() time.Time
	Log   *slog.Logger

	// Behaviour tells how test mail of a project is treated; nil: all is delivered.
	Behaviour func(ctx context.Context, project int64) project.Behaviour
	Chance    func() float64 // from 0 to below 1; nil: a random number
}

// Carrier plays servers. It is safe for concurrent use, and it has no connections: a
// session costs nothing to open.
type Carrier struct{ o Options }

var _ lane.Carrier = (*Carrier)(nil)

// New makes a carrier.
func New(o Options) *Carrier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Chance == nil {
		o.Chance = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Carrier{o: o}
}

// Session gives a session. All of them are the same.
func (c *Carrier) Session(lane.Key, *route.Route) lane.Session { return session{c} }

type session struct{ c *Carrier }

func (session) Reusable() bool { return true }
func (session) Close()         {}

// Carry plays one transaction: see [lane.Session]. A slow recipient holds up the others
// of its message, as it does in a real one.
func (s session) Carry(ctx context.Context, soft <-chan struct{}, job *lane.Job) []mail.Attempt {
	began := s.c.o.Now()
	attempts := make([]mail.Attempt, len(job.Works))
	if ended(ctx, soft) {
		return attempts
	}
	verdicts, err := s.c.o.Begin.Begin(ctx, job.Works, job.Route.Site)
	if err != nil {
		if ctx.Err() == nil {
			s.c.o.Log.Error("sandbox: begin", "message_id", job.Message.ID.Text(mail.PrefixMessage), "error", err)
		}
		for i := range attempts {
			attempts[i] = mail.Attempt{Wait: mail.WaitRetry, RetryAfter: ownFaultWait}
		}
		return attempts
	}
	as := s.c.behaviour(ctx, job)
	parts := s.c.cast(job.Works, &as)
	if !wait(ctx, soft, as.Scaled(slowest(parts, verdicts))+as.Latency()) {
		return attempts // as if never begun: nobody was told anything
	}
	duration := s.c.o.Now().Sub(began)
	for i, w := range job.Works {
		if !verdicts[i].Go {
			attempts[i].Outcome = verdicts[i].Outcome
			continue
		}
		attempts[i] = play(parts[i], w, job, duration)
		attempts[i].At, attempts[i].Scale = began, as.TimeScale
		if parts[i].Kind == route.MagicComplained {
			s.c.o.Begin.Complain(w, as.Scaled(parts[i].Delay))
		}
	}
	return attempts
}

// ownFaultWait is how long a job waits after a fault of ours.
const ownFaultWait = 30 * time.Second

func ended(ctx context.Context, soft <-chan struct{}) bool {
	select {
	case <-soft:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// slowest is how long the transaction takes.
func slowest(parts []part, verdicts []deliver.Verdict) (longest time.Duration) {
	for i, p := range parts {
		if p.Kind == route.MagicSlow && verdicts[i].Go {
			longest = max(longest, p.Delay)
		}
	}
	return longest
}

// wait is false when we stop before the time is over.
func wait(ctx context.Context, soft <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-soft:
	case <-ctx.Done():
	}
	return false
}

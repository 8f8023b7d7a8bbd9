// Package visit records opens and clicks. They come at the pace of the world, not ours: a
// [Gatherer] takes each without blocking, holds a bounded number, and writes them in
// batches of one commit. What finds no room is counted and forgotten: an open is worth less
// than the mail on its way.
//
// When a batch is written it is known when each message was delivered, so it is there that
// tracking.Machine decides whether a person was it.
package visit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
)

// Store is what gathering asks to be remembered: feedback.Wishes.
type Store interface {
	Recipients(ctx context.Context, deliveries []int64) (map[int64]feedback.Recipient, error)
	Visited(ctx context.Context, visits []feedback.Visit) error
}

const (
	maxHeld  = 10_000                 // visits in memory: about 5 MB
	maxBatch = 256                    // in one commit
	gather   = 300 * time.Millisecond // how long visits gather
	trouble  = 2 * time.Second        // between tries of a store that fails
	lastCall = 3 * time.Second        // for what is held when we stop
)

// Options of a [Gatherer]. Store is needed.
type Options struct {
	Store Store
	Log   *slog.Logger
}

// Gatherer holds visits until they are written. Safe for concurrent use.
type Gatherer struct {
	o       Options
	mu      sync.Mutex
	held    []visit
	ring    chan struct{}
	written atomic.Int64
	dropped atomic.Int64
}

type visit struct {
	kind     tracking.Kind
	delivery int64
	url      string
	v        tracking.Visit
	at       time.Time
}

// New builds a gatherer; its Run writes.
func New(o Options) *Gatherer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Gatherer{o: o, ring: make(chan struct{}, 1)}
}

// Stats is what was counted since the start.
type Stats struct {
	Written int64
	Dropped int64 // for lack of room
}

// Stats gives the counters as they are now.
func (g *Gatherer) Stats() Stats {
	return Stats{Written: g.written.Load(), Dropped: g.dropped.Load()}
}

// Visit takes an open or a click; it never blocks.
func (g *Gatherer) Visit(kind tracking.Kind, delivery int64, url string, v tracking.Visit, at time.Time) {
	g.mu.Lock()
	full := len(g.held) >= maxHeld
	if !full {
		g.held = append(g.held, visit{kind, delivery, url, v, at})
	}
	g.mu.Unlock()
	if full {
		g.dropped.Add(1)
		return
	}
	select {
	case g.ring <- struct{}{}:
	default:
	}
}

// Run writes what is held until ctx ends, and then the rest.
func (g *Gatherer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-g.ring:
			pause(ctx, gather)
			if err := g.flush(ctx); err != nil && ctx.Err() == nil {
				g.o.Log.Error("opens and clicks cannot be recorded; they are held", "error", err)
				pause(ctx, trouble)
				g.nudge()
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	if err := g.flush(last); err != nil {
		g.o.Log.Error("the last opens and clicks are lost", "error", err)
	}
	return nil
}

func (g *Gatherer) nudge() {
	select {
	case g.ring <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// flush writes all that is held; what fails is held again.
func (g *Gatherer) flush(ctx context.Context) error {
	for {
		g.mu.Lock()
		n := min(len(g.held), maxBatch)
		batch := g.held[:n:n]
		g.held = g.held[n:]
		if len(g.held) == 0 {
			g.held = nil
		}
		g.mu.Unlock()
		if n == 0 {
			return nil
		}
		if err := g.write(ctx, batch); err != nil {
			g.mu.Lock()
			room := max(min(maxHeld-len(g.held), n), 0)
			g.held = append(batch[:room:room], g.held...)
			g.mu.Unlock()
			g.dropped.Add(int64(n - room))
			return err
		}
		g.written.Add(int64(n))
	}
}

func (g *Gatherer) write(ctx context.Context, batch []visit) error {
	rows := make([]int64, len(batch))
	for i := range batch {
		rows[i] = batch[i].delivery
	}
	known, err := g.o.Store.Recipients(ctx, rows)
	if err != nil {
		return err
	}
	out := make([]feedback.Visit, 0, len(batch))
	for i := range batch {
		if to, ok := known[batch[i].delivery]; ok {
			out = append(out, batch[i].record(&to))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return g.o.Store.Visited(ctx, out)
}

// record makes the event of a visit.
func (v *visit) record(to *feedback.Recipient) feedback.Visit {
	// Before we know that it was delivered it was, a moment ago: the outcome is on its way
	// to the disk.
	v.v.Since = time.Nanosecond
	if !to.DeliveredAt.IsZero() {
		v.v.Since = max(v.at.Sub(to.DeliveredAt), time.Nanosecond)
	}
	name := tracking.Machine(&v.v)
	machine := name != ""
	e := mail.Event{ID: mail.NewID(v.at), Type: mail.EventOpened, At: v.at, Detail: mail.Detail{
		Summary: "Opened", Machine: &machine, Reason: name, UserAgent: v.v.UserAgent, URL: v.url,
	}}
	if v.kind == tracking.KindClick {
		e.Type, e.Detail.Summary = mail.EventClicked, "Followed a link"
	}
	if machine {
		e.Detail.Summary += " by a machine (" + name + ")"
	}
	return feedback.Visit{Delivery: v.delivery, Event: e}
}

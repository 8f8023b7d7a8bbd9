package queue

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/route"
)

// DefaultSchedule is the ladder of waits between attempts: six attempts in 7 h 35 m.
var DefaultSchedule = []time.Duration{30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour}

// Options of a [Queue]. Store, Router, Carrier and Limits are needed; the rest has defaults.
type Options struct {
	Store   Store
	Router  route.Router
	Carrier func(*route.Route) lane.Carrier
	Limits  func(lane.Key) lane.Limits

	Node      string          // the name leases are taken under; default "node"
	LeaseTime time.Duration   // default 60 s; renewed after a third of it
	Schedule  []time.Duration // waits between attempts; nil: DefaultSchedule
	Pool      string          // name of the pool in events; default "main"

	MaxHeld    int           // deliveries in memory; default 20,000
	MaxContent int64         // bytes of content in memory; default 64 MB
	ClaimMax   int           // deliveries a claim; default 64: a store runs a claim whole, and others wait for it
	Lookups    int           // routes looked up at a time; default 64: a store runs a claim whole, and others wait for it
	LookupTime time.Duration // for one; default 30 s
	Settlers   int           // commits of results under way at a time; default 2

	SoftLimit   time.Duration // how long a stop waits for what is on the wire; default 30 s
	SettleLimit time.Duration // how long a stop waits for the store after that; default 10 s

	Now    func() time.Time
	Jitter func() float64 // in [0,1); default math/rand
	Log    *slog.Logger
}

func (o *Options) fill() {
	o.Node = cmp.Or(o.Node, "node")
	o.LeaseTime = cmp.Or(o.LeaseTime, time.Minute)
	if o.Schedule == nil {
		o.Schedule = DefaultSchedule
	}
	o.Pool = cmp.Or(o.Pool, "main")
	o.MaxHeld = cmp.Or(o.MaxHeld, 20_000)
	o.MaxContent = cmp.Or(o.MaxContent, 64<<20)
	o.ClaimMax = cmp.Or(o.ClaimMax, 64)
	o.Lookups = cmp.Or(o.Lookups, 256)
	o.LookupTime = cmp.Or(o.LookupTime, 30*time.Second)
	o.Settlers = cmp.Or(o.Settlers, 2)
	o.SoftLimit = cmp.Or(o.SoftLimit, 30*time.Second)
	o.SettleLimit = cmp.Or(o.SettleLimit, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = random
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Queue schedules deliveries. It is a submit.Dispatcher for those who accept mail and a
// deliver.Beginner for those who carry it.
type Queue struct {
	o         Options
	lanes     *lane.Manager
	ledger    ledger
	backlog   backlog
	lookups   lookups
	settler   settler
	foresight foresight
	alarm     alarm    // of the claim loop
	blocked   sync.Map // *mail.Work → *mail.Suppression: found by Begin, for the result
	grievers  grievers
	stats     counters

	ready    atomic.Bool // rescued after the start: leases of ours are this process's
	stopping atomic.Bool
	starved  atomic.Bool // a claim was cut short because too much is held
}

// New makes a queue. It takes mail once Run is called.
func New(o Options) *Queue {
	o.fill()
	q := &Queue{o: o}
	q.ledger.max, q.ledger.maxContent = o.MaxHeld, o.MaxContent
	q.backlog.init()
	q.lookups.init(o.Lookups)
	q.alarm.ring = make(chan struct{}, 1)
	q.settler.init(q)
	q.foresight.init(q)
	q.grievers.ring = make(chan struct{}, 1)
	q.lanes = lane.New(lane.Options{
		Limits: o.Limits, Carrier: o.Carrier, Done: q.done, Soon: q.foresight.soon,
		Room:    func(lane.Key) { q.alarm.wake() },
		MaxWait: o.LeaseTime / 2, SoftLimit: o.SoftLimit, Now: o.Now, Log: o.Log,
	})
	q.ledger.tighten = q.lanes.Tighten
	return q
}

// Node is the name leases are taken under.
func (q *Queue) Node() string { return q.o.Node }

// LeaseTime is how long a lease runs before it must be renewed.
func (q *Queue) LeaseTime() time.Duration { return q.o.LeaseTime }

// Run works until ctx ends, then stops: it claims nothing more, lets the lanes finish
// what is on the wire until Options.SoftLimit or [Queue.Kill], settles what is known and
// gives back the rest untried. The store must stay open until Run returns.
func (q *Queue) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of what works on while we stop
	defer end()
	var late sync.WaitGroup // ends after the last result
	late.Go(func() { q.settler.run(life) })
	if err := q.rescueOwn(ctx); err != nil {
		q.stopping.Store(true)
		q.settler.finish(q.o.SettleLimit)
		end()
		late.Wait()
		return nil // ctx ended before the store answered: nothing was begun
	}
	q.ready.Store(true)
	late.Go(func() { q.keep(life) })
	late.Go(func() { q.foresight.run(life) })

	var early sync.WaitGroup // ends with ctx
	early.Go(func() { q.claimLoop(ctx) })
	early.Go(func() { q.complainLoop(ctx) })
	early.Go(func() { _ = q.lanes.Run(ctx) })
	q.lookups.start(ctx)

	<-ctx.Done()
	q.stopping.Store(true)
	q.lookups.wait()
	early.Wait()
	q.settler.finish(q.o.SettleLimit)
	q.complainRest(life)
	end()
	late.Wait()
	return nil
}

// Kill makes a stop hard: sessions end now.
func (q *Queue) Kill() { q.lanes.Kill() }

// Stats tells what the queue did and holds.
func (q *Queue) Stats() Stats {
	s := q.stats.read()
	s.Held, s.Content = q.ledger.totals()
	s.LookingUp = q.lookups.count()
	s.Backlogs = q.backlog.count()
	s.Lanes = q.lanes.Stats()
	return s
}

// Depth counts what waits in the store and what is leased.
func (q *Queue) Depth(ctx context.Context) ([]Depth, error) { return q.o.Store.Depth(ctx) }

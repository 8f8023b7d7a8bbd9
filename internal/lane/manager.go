package lane

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// Options of the lanes. Limits, Carrier and Done are required.
type Options struct {
	Limits  func(Key) Limits // asked when a lane is made and at each sweep
	Carrier func(*route.Route) Carrier

	// Done takes back every job that was offered, once: with what became of each of its
	// works, in order. It is called by workers and sweeps, many at a time, and should be
	// quick.
	Done func(job *Job, attempts []mail.Attempt)

	// Soon, when set, is told of a job that will be picked shortly if the lane goes on as
	// it does, so that what must be done before can begin. It is called with the lane
	// locked: it must be quick and not call back. At most twice as many waiting jobs of a
	// tier are told of as there are sessions.
	Soon func(job *Job)

	// Room, when set, is told that a lane which had no room has some again.
	Room func(Key)

	MaxWait   time.Duration // a job that waited longer is given back; default 30 s, half a lease
	SoftLimit time.Duration // how long a soft stop waits for what is on the wire; default 30 s
	Now       func() time.Time
	Log       *slog.Logger
}

// Manager holds all lanes.
type Manager struct {
	o    Options
	soft chan struct{} // closed: begin nothing more
	hard context.Context
	kill context.CancelFunc

	mu      sync.RWMutex
	lanes   map[Key]*lane
	stopped bool
	tight   atomic.Bool // see Tighten
	workers sync.WaitGroup
}

// New makes a manager without lanes. Jobs may be offered before Run is called, but only
// Run sweeps and stops.
func New(o Options) *Manager {
	if o.MaxWait <= 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.SoftLimit <= 0 {
		o.SoftLimit = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o, soft: make(chan struct{}), lanes: make(map[Key]*lane)}
	m.hard, m.kill = context.WithCancel(context.Background())
	return m
}

// KeyOf names the lane a route leads to.
func KeyOf(r *route.Route) Key { return Key{Source: r.Source.Name, Site: r.Site} }

// Offer puts a job into the lane of its route. When it is nil, the job comes back through
// Options.Done; ErrFull and ErrStopped leave it with the caller. A lane takes up to twice
// its depth, so that what asked [Manager.Room] a moment ago is not turned away because
// others asked too, and that a project finds its share though others have filled it.
func (m *Manager) Offer(job *Job) error {
	key := KeyOf(job.Route)
	job.Offered = m.o.Now()
	for {
		l, err := m.lane(key)
		if err != nil {
			return err
		}
		if ok, err := l.offer(job); ok || err != nil {
			return err
		}
		// The lane was forgotten between the look-up and the offer: make it anew.
	}
}

// Tighten has all lanes offer room for a fraction of their depth only, or for all of it
// again: so one busy lane may hold much while memory is free, and no lane leaves the
// others without once it is not.
func (m *Manager) Tighten(on bool) {
	if m.tight.Load() != on {
		m.tight.Store(on)
	}
}

// Space is the room a lane has for a project's jobs of a tier. Both counts may be negative.
type Space struct {
	Free  int // for whoever comes
	Share int // for this project, though others have filled the lane
}

// Room is how many more jobs there is room for.
func (s Space) Room() int { return max(s.Free, s.Share, 0) }

// Space tells how much room the lane has for a project now.
func (m *Manager) Space(key Key, tier mail.Tier, project int64) Space {
	m.mu.RLock()
	l, stopped := m.lanes[key], m.stopped
	m.mu.RUnlock()
	switch {
	case stopped:
		return Space{}
	case l == nil:
		limits := clean(m.o.Limits(key))
		return Space{Free: m.usable(limits.Depth, limits)}
	}
	return l.space(tier, project)
}

// Room tells how many more jobs of a tier the lane takes of a project now.
func (m *Manager) Room(key Key, tier mail.Tier, project int64) int {
	return m.Space(key, tier, project).Room()
}

// lane finds or makes the lane of a key.
func (m *Manager) lane(key Key) (*lane, error) {
	m.mu.RLock()
	l, stopped := m.lanes[key], m.stopped
	m.mu.RUnlock()
	if stopped {
		return nil, ErrStopped
	}
	if l != nil {
		return l, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, ErrStopped
	}
	if l = m.lanes[key]; l == nil {
		l = &lane{m: m, key: key, limits: clean(m.o.Limits(key))}
		l.depth = l.limits.Depth
		m.lanes[key] = l
	}
	return l, nil
}

// usable is how much of a depth room is offered for.
func (m *Manager) usable(depth int, l Limits) int {
	if !m.tight.Load() {
		return depth
	}
	return min(depth, max(depth/tightShare, l.Connections))
}

// clean makes limits that a lane can work with of any that are given.
func clean(l Limits) Limits {
	l.Connections = max(l.Connections, 1)
	l.Reserved = min(max(l.Reserved, 0), l.Connections-1)
	if l.PerSession <= 0 {
		l.PerSession = 100
	}
	if l.Idle <= 0 {
		l.Idle = 5 * time.Second
	}
	l.Depth = max(l.Depth, 1)
	return l
}

// Run sweeps until ctx ends, then stops: softly at first, hard after Options.SoftLimit
// or when Kill is called. When it returns every job has been given to Options.Done.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(max(m.o.MaxWait/8, time.Millisecond))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			m.sweep()
		case <-ctx.Done():
		}
	}
	m.stop()
	return nil
}

// Kill ends all sessions now.
func (m *Manager) Kill() { m.kill() }

func (m *Manager) stop() {
	defer m.kill()
	m.mu.Lock()
	m.stopped = true
	close(m.soft)
	lanes := make([]*lane, 0, len(m.lanes))
	for _, l := range m.lanes {
		lanes = append(lanes, l)
	}
	m.mu.Unlock()
	for _, l := range lanes {
		m.giveBack(l.empty(), mail.WaitRescued)
	}

	ended := make(chan struct{})
	go func() {
		m.workers.Wait()
		close(ended)
	}()
	limit := time.NewTimer(m.o.SoftLimit)
	defer limit.Stop()
	select {
	case <-ended:
		return
	case <-limit.C:
		m.o.Log.Warn("soft stop took too long: ending the sessions that are still open")
	case <-m.hard.Done():
	}
	m.kill()
	<-ended
}

// sweep gives back what waited too long and forgets lanes that do nothing.
func (m *Manager) sweep() {
	now := m.o.Now()
	m.mu.RLock()
	lanes := make([]*lane, 0, len(m.lanes))
	for _, l := range m.lanes {
		lanes = append(lanes, l)
	}
	m.mu.RUnlock()
	for _, l := range lanes {
		limits := clean(m.o.Limits(l.key)) // outside of the locks: it is not ours
		m.giveBack(l.sweep(now, limits), mail.WaitLaneFull)
		m.mu.Lock()
		if l.forget() {
			delete(m.lanes, l.key)
		}
		m.mu.Unlock()
	}
}

// giveBack returns jobs that nobody tried.
func (m *Manager) giveBack(jobs []*Job, why mail.Wait) {
	for _, job := range jobs {
		m.o.Done(job, untried(job, why))
	}
}

func untried(job *Job, why mail.Wait) []mail.Attempt {
	attempts := make([]mail.Attempt, len(job.Works))
	for i := range attempts {
		attempts[i].Wait = why
	}
	return attempts
}

// LaneStats is how one lane stands.
type LaneStats struct {
	Key      Key
	Waiting  [mail.Tiers]int
	Sessions int // workers, idle ones included
	Busy     int // of them, carrying a job
	Limit    int // of sessions
	Oldest   time.Time
}

// Stats tells how each lane stands, in no order.
func (m *Manager) Stats() []LaneStats {
	m.mu.RLock()
	lanes := make([]*lane, 0, len(m.lanes))
	for _, l := range m.lanes {
		lanes = append(lanes, l)
	}
	m.mu.RUnlock()
	stats := make([]LaneStats, len(lanes))
	for i, l := range lanes {
		stats[i] = l.stats()
	}
	return stats
}

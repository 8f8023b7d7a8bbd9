package eventlog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// What Options leave zero.
const (
	defaultReaders  = 100   // of a project that wait at the same time
	defaultPerKey   = 50    // of one API key
	defaultAll      = 1000  // of everybody
	defaultBuffer   = 16384 // events a feed keeps for readers that are a little behind
	defaultBytes    = 8 << 20
	defaultInterval = 20 * time.Millisecond
)

var (
	// ErrTooMany says that no more readers may wait: the caller has enough of them.
	ErrTooMany = errors.New("too many readers wait at the event log")
	// ErrStopping ends readers when the server stops. They lose nothing: they can go on
	// from where they are.
	ErrStopping = errors.New("the event log is being closed")
)

// Options are the parts a Service is built from. Store is needed.
type Options struct {
	Store   Store
	Wake    func() <-chan struct{} // of the store: closed at the next commit of events; nil: it is polled
	BaseURL string                 // what links in envelopes begin with
	Log     *slog.Logger

	PerProject, PerKey, All int           // readers that may wait; 0: a default
	Buffer, Bytes           int           // of one feed; 0: a default
	Interval                time.Duration // the least time between two looks of a feed; 0: 20 ms
}

// Service lets readers follow the log: pages with a long poll, and streams. Those of one
// owner that have come to the end of the log wait at one [feed], which reads each event
// once for all of them. Who is further behind reads the store.
type Service struct {
	o     Options
	ctx   context.Context // ends with the service
	stop  context.CancelFunc
	pumps sync.WaitGroup

	mu      sync.Mutex
	feeds   map[mail.Owner]*feed
	waiting map[any]int // readers, by project, key, and all of them under nil
}

// NewService makes one; Run ends it.
func NewService(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wake == nil {
		o.Wake = func() <-chan struct{} { return nil }
	}
	for _, d := range []struct {
		at    *int
		value int
	}{{&o.PerProject, defaultReaders}, {&o.PerKey, defaultPerKey}, {&o.All, defaultAll}, {&o.Buffer, defaultBuffer}, {&o.Bytes, defaultBytes}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	s := &Service{o: o, feeds: map[mail.Owner]*feed{}, waiting: map[any]int{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Run waits until ctx ends, ends all readers, and waits for what the service started.
func (s *Service) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.ctx.Done(): // Stop came first
		<-ctx.Done()
	}
	s.Stop()
	s.pumps.Wait()
	return nil
}

// Stop ends all readers, with [ErrStopping]; those that come later, too.
func (s *Service) Stop() { s.stop() }

// Stopping ends with Stop: for whoever else lets a client wait for what is to come.
func (s *Service) Stopping() <-chan struct{} { return s.ctx.Done() }

// Readers tells how many wait now.
func (s *Service) Readers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting[nil]
}

// Reading is who reads.
type Reading struct {
	Query
	Key string // id of the API key, for the limit of each; "" for who has none
}

// Gap tells a reader that it missed events.
type Gap struct {
	After  int64 `json:"after"`  // where it wanted to go on
	Oldest int64 `json:"oldest"` // from this position on the log is whole
}

// gapOf judges where a reader wants to begin, and moves it where that is in no log. To
// begin at 0 is to take what there is.
func gapOf(q *Query, oldest, newest int64) *Gap {
	switch {
	case q.After > newest: // of a log that an older copy has replaced
		gap := &Gap{q.After, newest + 1}
		q.After = newest
		return gap
	case q.After > 0 && q.After < oldest-1:
		return &Gap{q.After, oldest}
	}
	return nil
}

// Bounds are those of the store.
func (s *Service) Bounds(ctx context.Context, owner mail.Owner) (oldest, newest int64, err error) {
	return s.o.Store.LogBounds(ctx, owner)
}

// Entry gives one event's envelope; mail.ErrNotFound.
func (s *Service) Entry(ctx context.Context, owner mail.Owner, id mail.ID) ([]byte, error) {
	e, err := s.o.Store.LogEntry(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	return Envelope(e, s.o.BaseURL, nil)
}

// enter counts a reader in; leave must be called, once.
func (s *Service) enter(r Reading) (leave func(), err error) {
	type project int64
	type key string
	type limit struct {
		who any
		max int
	}
	limits := []limit{{nil, s.o.All}, {project(r.Owner.Project), s.o.PerProject}}
	if r.Key != "" {
		limits = append(limits, limit{key(r.Key), s.o.PerKey})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range limits {
		if s.waiting[l.who] >= l.max {
			return nil, ErrTooMany
		}
	}
	for _, l := range limits {
		s.waiting[l.who]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range limits {
			if s.waiting[l.who]--; s.waiting[l.who] == 0 {
				delete(s.waiting, l.who)
			}
		}
	}, nil
}

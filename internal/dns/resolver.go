package dns

import (
	"cmp"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Options of a [Resolver]. The zero value asks the system's servers.
type Options struct {
	Servers []netip.AddrPort // asked in this order, and nobody else; empty: the system's
	System  []netip.AddrPort // in place of the system's; for tests

	PerTry      time.Duration // for one server to answer; default 2 s
	Budget      time.Duration // for a question in all; default 10 s
	Entries     int           // answers remembered; default 20,000
	MinTTL      time.Duration // an answer is believed at least this long; default 1 s
	MaxTTL      time.Duration // and at most this long; default 1 h
	MaxNegative time.Duration // that something is absent, at most; default 5 min (RFC 2308 §5 allows 3 h)
	FailureTTL  time.Duration // that nobody could say; default 2 s (RFC 9520 §3.2: at least 1 s)

	// Guard says whether a name server found in the DNS may be asked, see
	// [Resolver.Fresh]. Nil: none may, the configured ones are asked instead.
	Guard func(netip.AddrPort) error
	// AuthorityPort is where servers found in the DNS listen; default 53. For tests.
	AuthorityPort uint16
	// IPv6 tells whether this host can reach the IPv6 Internet; default: asks the
	// kernel for a route, now and then.
	IPv6 func() bool
	Now  func() time.Time
}

// Resolver answers questions. It is safe for concurrent use.
type Resolver struct {
	o       Options
	servers *serverList
	cache   *cache

	life    context.Context // ends with Close
	end     context.CancelFunc
	working sync.WaitGroup
	mu      sync.Mutex
	flights map[question]*flight
}

// New makes a resolver; stop it with [Resolver.Close].
func New(o Options) *Resolver {
	o.PerTry = cmp.Or(o.PerTry, 2*time.Second)
	o.Budget = cmp.Or(o.Budget, 10*time.Second)
	o.Entries = cmp.Or(o.Entries, 20_000)
	o.MinTTL = cmp.Or(o.MinTTL, time.Second)
	o.MaxTTL = cmp.Or(o.MaxTTL, time.Hour)
	o.MaxNegative = cmp.Or(o.MaxNegative, 5*time.Minute)
	o.FailureTTL = cmp.Or(o.FailureTTL, 2*time.Second)
	o.AuthorityPort = cmp.Or(o.AuthorityPort, 53)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IPv6 == nil {
		o.IPv6 = (&routeProbe{now: o.Now}).reachable
	}
	r := &Resolver{o: o, servers: newServerList(o.Servers), cache: newCache(o.Entries), flights: map[question]*flight{}}
	if len(o.System) > 0 && len(o.Servers) == 0 {
		r.servers = newServerList(o.System)
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Close ends what is being asked and waits for it.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	r.working.Wait()
	return nil
}

// answer is what a question led to.
type answer struct {
	records []dns.RR
	alias   string // the name the records are of, where aliases led elsewhere
	err     *Error
	server  string
	until   time.Time
	ttl     time.Duration // what the zone says, for others' caches; 0: it says nothing
}

// flight is a question being asked, for all who want to know.
type flight struct {
	done   chan struct{}
	answer *answer
}

// lookup answers from the cache, or joins or begins a flight. A flight has its own time
// limit: that its first caller went away does not hurt the others.
func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16) (*answer, error) {
	fqdn, err := absolute(name)
	if err != nil {
		return nil, err
	}
	q := question{fqdn, qtype}
	if a := r.cache.get(q, r.o.Now()); a != nil {
		return a.get()
	}
	f, err := r.join(q)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.answer.get()
	case <-ctx.Done():
		return nil, q.fail(ErrTemporary, "", "timeout")
	}
}

func (a *answer) get() (*answer, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a, nil
}

func (r *Resolver) join(q question) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[q]; f != nil {
		return f, nil
	}
	if r.life.Err() != nil {
		return nil, q.fail(ErrTemporary, "", "the resolver is closed")
	}
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	r.working.Go(func() {
		ctx, cancel := context.WithTimeout(r.life, r.o.Budget)
		defer cancel()
		f.answer = r.find(ctx, q, r.askServers)
		r.remember(q, f.answer)
		r.mu.Lock()
		delete(r.flights, q)
		r.mu.Unlock()
		close(f.done)
	})
	return f, nil
}

// remember keeps an answer if it may be used again.
func (r *Resolver) remember(q question, a *answer) {
	if r.life.Err() == nil && a.until.After(r.o.Now()) {
		r.cache.put(q, a)
	}
}

// asker gets one reply to one question from whoever it knows.
type asker func(ctx context.Context, q question) (r reply, server string, err *Error)

// find asks, and asks again where an answer is only an alias for a name elsewhere.
func (r *Resolver) find(ctx context.Context, q question, ask asker) *answer {
	now := q
	ttl := maxDuration
	for hops := 0; ; {
		rep, server, err := ask(ctx, now)
		if err != nil {
			err.Name = shown(q.name)
			return &answer{err: err, server: server, until: r.o.Now().Add(r.o.FailureTTL)}
		}
		ttl = min(ttl, rep.ttl)
		if rep.alias != "" {
			now.name = rep.alias
		}
		if rep.code == elsewhere {
			if hops += rep.hops; hops <= maxAliases {
				continue
			}
			return &answer{err: q.fail(ErrTemporary, server, "its aliases never end"), server: server, until: r.o.Now().Add(r.o.FailureTTL)}
		}
		return r.conclude(q, now, rep, server, ttl)
	}
}

// conclude makes the answer of the last reply.
func (r *Resolver) conclude(q, last question, rep reply, server string, ttl time.Duration) *answer {
	a := &answer{records: rep.records, server: server}
	if last.name != q.name {
		a.alias = shown(last.name)
	}
	switch rep.code {
	case absent:
		a.err = q.fail(ErrNotFound, server, "NXDOMAIN")
	case empty:
		a.err = q.fail(ErrNoData, server, "")
	}
	if a.err != nil && !rep.hasTTL {
		ttl = 0
	}
	a.ttl = ttl
	if a.err != nil {
		ttl = min(ttl, r.o.MaxNegative)
	}
	a.until = r.o.Now().Add(max(min(ttl, r.o.MaxTTL), r.o.MinTTL))
	return a
}

// askServers asks the configured servers in order, then all of them once more: a
// datagram may be lost.
func (r *Resolver) askServers(ctx context.Context, q question) (reply, string, *Error) {
	return r.askOf(ctx, q, r.servers.inOrder(r.o.Now()), r.servers.note)
}

func (r *Resolver) askOf(ctx context.Context, q question, servers []netip.AddrPort, note func(netip.AddrPort, bool, time.Time)) (reply, string, *Error) {
	err := q.fail(ErrTemporary, "", "there is no name server to ask")
	for range 2 {
		silent := false
		for _, server := range servers {
			rep, failed := exchange(ctx, server, q, r.o.PerTry)
			if ctx.Err() == nil || failed == nil {
				note(server, failed == nil, r.o.Now())
			}
			switch {
			case failed != nil:
				silent = true
				err = q.fail(ErrTemporary, server.String(), trouble(failed))
			case rep.code == useless:
				err = q.fail(ErrTemporary, server.String(), rep.detail)
			default:
				return rep, server.String(), nil
			}
			if ctx.Err() != nil {
				return reply{}, server.String(), err
			}
		}
		if !silent {
			break // all of them answered: asking again gives the same
		}
	}
	return reply{}, err.Server, err
}

package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// MaxBody is how large a request may be, unpacked: 50 MB.
const MaxBody = 52_428_800

// Memory keeps the answers given under idempotency keys.
type Memory interface {
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
}

// Options are the parts a Door is built from. Access is needed, the rest has defaults.
type Options struct {
	Access   *project.Access
	Limits   *project.Limits   // nil: those of Access
	Memory   Memory            // nil: nothing is remembered before it is done
	Sessions *project.Sessions // nil: nobody logs in
	// Pressure tells why no mail is taken in now, before its body is read; nil: there is
	// always room.
	Pressure  func(now time.Time) *mail.Error
	PublicURL string // what links begin with; no slash at the end
	Now       func() time.Time
	Log       *slog.Logger

	MaxBody int64 // bytes, unpacked; 0 = MaxBody
	// MaxMemory bounds the bytes of bodies over 1 MB that are held at the same time;
	// 0 = 128 MB. Who finds no room within PatienceForRoom is told 503 overloaded.
	MaxMemory       int64
	PatienceForRoom time.Duration
	// PatienceForTwin is how long a twin waits for the first before it is told
	// idempotency_in_progress; 0 = 2 s.
	PatienceForTwin time.Duration
}

// Door is what the dialects share.
type Door struct {
	access    *project.Access
	limits    *project.Limits
	memory    Memory
	sessions  *project.Sessions
	pressure  func(now time.Time) *mail.Error
	origins   *http.CrossOriginProtection
	secure    bool // the public URL is https: cookies stay there
	publicURL string
	now       func() time.Time
	log       *slog.Logger
	maxBody   int64
	gate      *gate
	inflight  inflight
	counts    counts
}

// counts are the plain counters of Stats.
type counts struct {
	requests, replays, mismatches, inProgress, limited, crowded, pressed, panics, waited atomic.Int64
	status                                                                               [6]atomic.Int64
}

// Stats is what a Door counted since it was made.
type Stats struct {
	Requests    int64
	Status      [6]int64 // by class: Status[2] counts 2xx
	Replays     int64    // answers given again under an idempotency key
	Mismatches  int64    // keys used again with another request
	InProgress  int64    // 409 idempotency_in_progress
	RateLimited int64
	Crowded     int64 // 429 concurrency_limited
	Pressed     int64 // 503 before a body was read
	Panics      int64
	OnceWait    time.Duration // time twins spent waiting for one another
	BodyBytes   int64         // of bodies over 1 MB, held now
}

// New builds a Door.
func New(o Options) *Door {
	if o.Limits == nil && o.Access != nil {
		o.Limits = o.Access.Limits()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 128 << 20
	}
	if o.PatienceForRoom == 0 {
		o.PatienceForRoom = 2 * time.Second
	}
	if o.PatienceForTwin == 0 {
		o.PatienceForTwin = 2 * time.Second
	}
	publicURL := strings.TrimSuffix(o.PublicURL, "/")
	return &Door{sessions: o.Sessions, pressure: o.Pressure, origins: newOrigins(publicURL), secure: strings.HasPrefix(publicURL, "https://"), access: o.Access, limits: o.Limits, memory: o.Memory, publicURL: publicURL, now: o.Now, log: o.Log,
		maxBody: o.MaxBody, gate: newGate(max(o.MaxMemory, o.MaxBody), o.PatienceForRoom), inflight: inflight{patience: o.PatienceForTwin, open: map[onceID]chan struct{}{}}}
}

// Stats tells what was counted.
func (d *Door) Stats() Stats {
	c := &d.counts
	s := Stats{Requests: c.requests.Load(), Replays: c.replays.Load(), Mismatches: c.mismatches.Load(), InProgress: c.inProgress.Load(),
		RateLimited: c.limited.Load(), Crowded: c.crowded.Load(), Pressed: c.pressed.Load(), Panics: c.panics.Load(), OnceWait: time.Duration(c.waited.Load()), BodyBytes: d.gate.held.Load()}
	for i := range s.Status {
		s.Status[i] = c.status[i].Load()
	}
	return s
}

// PublicURL is what links begin with.
func (d *Door) PublicURL() string { return d.publicURL }

// Now is the door's clock.
func (d *Door) Now() time.Time { return d.now() }

// Log is where the door's handlers log.
func (d *Door) Log() *slog.Logger { return d.log }

// Deadlines against clients that send or read too slowly. A body must make progress of
// 64 KB, an answer of 256 KB, within them.
const (
	headerTimeout = 10 * time.Second
	paceTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// Server gives an http.Server with deadlines and header limits for these handlers; the
// caller gives it a listener and shuts it down.
func (d *Door) Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: paceTimeout, WriteTimeout: 2 * paceTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
}

// Handler serves a dialect's routes. Whatever is not among them is answered in JSON.
func (d *Door) Handler(routes []Route) http.Handler {
	r := newRouter(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { d.serve(r, nil, w, req) })
}

var calls = sync.Pool{New: func() any { return new(Call) }}

func (d *Door) serve(r *router, in *Dialect, w http.ResponseWriter, req *http.Request) {
	c := calls.Get().(*Call)
	*c = Call{door: d, dialect: in, W: w, R: req, Arrived: d.now(), IP: clientAddress(req.RemoteAddr)}
	c.RequestID = requestID(req.Header, c.Arrived)
	d.counts.requests.Add(1)
	defer d.close(c)
	if !r.match(c) {
		c.identify()
		c.refuseRoute()
		return
	}
	if !c.enter() || !c.roomy() || !c.readBody() {
		return
	}
	c.audited()
	if !c.route.Once && !c.Admit() {
		return
	}
	c.route.Handle(c)
	if !c.wrote {
		c.Fail(errNoAnswer)
	}
}

// close ends a call whatever happened in it. A panic of ours is a 500 in JSON as long
// as nothing was written.
func (d *Door) close(c *Call) {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		d.counts.panics.Add(1)
		d.log.Error("panic in a handler", "request_id", c.RequestID, "panic", v, "stack", string(debug.Stack()))
		if c.wrote {
			c.release()
			panic(http.ErrAbortHandler) // the client must see that the answer is not whole
		}
		c.Problem(Problem{Code: "internal_error"})
	}
	c.release()
	*c = Call{}
	calls.Put(c)
}

// clientAddress is the socket's peer; proxies are not trusted to name another.
func clientAddress(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// requestID is the caller's X-Request-Id when it is safe to echo and to log, else ours.
func requestID(h http.Header, now time.Time) string {
	if v := h["X-Request-Id"]; len(v) == 1 && safeID(v[0]) {
		return v[0]
	}
	return mail.NewID(now).Text(mail.PrefixRequest)
}

func safeID(s string) bool {
	if len(s) == 0 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.:/+=@~", c) >= 0) {
			return false
		}
	}
	return true
}

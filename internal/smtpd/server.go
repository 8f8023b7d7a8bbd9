package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// MaxSize is how large a message may be: 50 MB.
const MaxSize = 52_428_800

// MaxRecipients is how many recipients one transaction may have (the minimum of RFC 5321
// §4.5.3.1.8); more are asked for in the next one.
const MaxRecipients = 100

// Submitter is the way in. submit.Service is one; a test can look at what is handed in.
type Submitter interface {
	Hold(ctx context.Context, r io.Reader, room int64) (mail.Content, error)
	Drop(c mail.Content)
	SubmitRaw(ctx context.Context, who project.Principal, r *submit.RawRequest) (*submit.Accepted, error)
}

// Memory keeps the answers given under idempotency keys.
type Memory interface {
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
}

// Options are the parts a Server works with. Access and Submitter are needed.
type Options struct {
	Access    *project.Access
	Submitter Submitter
	Memory    Memory // nil: nothing is remembered before it is done
	// Pressure tells why no mail is taken in now, before any content is read; nil: there is
	// always room.
	Pressure func(now time.Time) *mail.Error
	TLS      *tls.Config // nil: no TLS, and so AUTH on loopback only
	Hostname string      // who greets
	Now      func() time.Time
	Log      *slog.Logger

	MaxSize     int64 // octets of a message; 0 = MaxSize
	Connections int   // at a time; 0 = 1000
	PerAddress  int   // of them from one client address; 0 = 100
	Large       int   // messages over 64 KB taken in at the same time; 0 = 64

	// How long a client may take. Zero: the defaults, in this order 1 m, 5 m, 1 m, 30 m.
	Unknown time.Duration // from the greeting to AUTH
	Idle    time.Duration // for one command (RFC 5321 §4.5.3.2.7)
	Pace    time.Duration // for each 64 KB of content
	Content time.Duration // for a whole content
}

func (o Options) orDefaults() Options {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Unknown, time.Minute}, {&o.Idle, 5 * time.Minute}, {&o.Pace, time.Minute}, {&o.Content, 30 * time.Minute}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&o.Connections, 1000}, {&o.PerAddress, 100}, {&o.Large, 64}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.MaxSize == 0 {
		o.MaxSize = MaxSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server is the door. Its methods may be called from any goroutine.
type Server struct {
	kind
	o       Options
	limits  *project.Limits
	crowd   *crowd
	guesses *guesses            // nil where nobody has a password
	large   *semaphore.Weighted // contents put aside by submit
	counts  counts

	kill    context.Context // ends everything at once
	cut     context.CancelFunc
	running sync.WaitGroup // sessions

	mu        sync.Mutex
	stopping  bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
}

type counts struct {
	connections, refused, wrongKeys, accepted, replays, rejected, deferred, limited, unwelcome, panics atomic.Int64
}

// Stats is what a Server counted since it was made.
type Stats struct {
	Connected   int   // now
	Connections int64 // taken
	Refused     int64 // connections: too many
	WrongKeys   int64 // AUTHs with a key that is unknown or over
	Accepted    int64 // messages
	Replays     int64 // messages accepted before
	Rejected    int64 // messages refused for good
	Deferred    int64 // messages refused for now, those of the limits included
	RateLimited int64
	Unwelcome   int64 // recipients that are none of the inbound door
	Panics      int64
}

// New builds a Server.
func New(o Options) *Server {
	s := newServer(forSubmission, o)
	s.limits, s.guesses, s.large = o.Access.Limits(), newGuesses(), semaphore.NewWeighted(int64(s.o.Large))
	return s
}

func newServer(k kind, o Options) *Server {
	o = o.orDefaults()
	s := &Server{kind: k, o: o, crowd: newCrowd(o.Connections, o.PerAddress, k.grace), listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}}
	s.kill, s.cut = context.WithCancel(context.Background())
	return s
}

// Stats tells what was counted.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{Connected: s.crowd.size(), Connections: c.connections.Load(), Refused: c.refused.Load(), WrongKeys: c.wrongKeys.Load(),
		Accepted: c.accepted.Load(), Replays: c.replays.Load(), Rejected: c.rejected.Load(), Deferred: c.deferred.Load(),
		RateLimited: c.limited.Load(), Unwelcome: c.unwelcome.Load(), Panics: c.panics.Load()}
}

// Serve takes connections from a listener until Shutdown; then it gives nil. With implicit
// set they begin with TLS.
func (s *Server) Serve(l net.Listener, implicit bool) error {
	if !s.add(l) {
		_ = l.Close()
		return nil
	}
	if implicit && s.o.TLS == nil {
		return errors.New("TLS from the start needs a certificate")
	}
	wait := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.take(conn, implicit)
		case s.isStopping():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of files, most likely: sessions that end make room
			wait = min(max(2*wait, 10*time.Millisecond), time.Second)
			s.o.Log.Warn("take an SMTP connection", "error", err, "again_in", wait.String())
			select {
			case <-time.After(wait):
			case <-s.kill.Done():
			}
		}
	}
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// pressure tells why no mail is taken in now; nil: it is.
func (s *Server) pressure() *mail.Error {
	if s.o.Pressure == nil {
		return nil
	}
	return s.o.Pressure(s.o.Now())
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// take begins a session, or says that there is no place for it.
func (s *Server) take(conn net.Conn, implicit bool) {
	x := newSession(s, conn, implicit)
	if !s.crowd.enter(x, x.began) {
		s.counts.refused.Add(1)
		refuse(conn, implicit)
		return
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		s.crowd.leave(x)
		_ = conn.Close()
		return
	}
	s.sessions[x] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	s.counts.connections.Add(1)
	go s.serve(x)
}

// refuse says a last word to somebody whose place is taken; it never waits.
func refuse(conn net.Conn, implicit bool) {
	if !implicit {
		w := &wire{conn: conn, patience: 100 * time.Millisecond}
		w.say(replyCrowded)
		_ = w.flush()
	}
	_ = conn.Close()
}

func (s *Server) serve(x *session) {
	defer s.running.Done()
	defer func() {
		s.crowd.leave(x)
		s.mu.Lock()
		delete(s.sessions, x)
		s.mu.Unlock()
	}()
	defer func() { x.wire.close(x.linger) }()
	defer func() {
		if v := recover(); v != nil {
			s.counts.panics.Add(1)
			s.o.Log.Error("panic in an SMTP session", "panic", v, "stack", string(debug.Stack()))
			x.wire.say(replyFailed)
		}
	}()
	x.run()
}

// Shutdown takes no more connections, says 421 to everybody who waits, and lets finish
// what is being sent until ctx ends; then that is cut too. It returns when all sessions
// are gone.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.stopping = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for x := range s.sessions {
		x.wire.interrupt(errStopping)
	}
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() { s.running.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		s.cutAll()
		<-gone
	}
	s.cut()
}

// cutAll closes what is still connected. What was handed in is still decided, but nobody
// is told.
func (s *Server) cutAll() {
	s.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.sessions {
		_ = x.wire.raw.Close() // what is under TLS would say goodbye first, and wait for that
	}
}

// clientAddress is the socket's peer.
func clientAddress(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

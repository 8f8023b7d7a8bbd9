package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// site is a recipient's site of one or more hosts, each a persona on its own loopback
// address at the same port, with a carrier that reaches it.
type site struct {
	t       *testing.T
	port    uint16
	servers map[string]*persona.Server // by host
	route   *route.Route
	names   resolver
	begin   *beginner
	o       deliver.Options
	carrier *deliver.Carrier
}

// second is the time-out of the one step at which a script is silent; all others have patience, which
// no machine stalls for.
const (
	second   = time.Second
	patience = time.Minute
)

// timeouts are short for what a script does not do in time, and only for that.
func timeouts(scripts []string) smtp.Timeouts {
	t := smtp.Timeouts{Connect: patience, Banner: patience, Command: patience, DataInit: patience, DataBlock: patience, DataDone: patience}
	for _, script := range scripts {
		switch {
		case script == "slowbanner", strings.Contains(script, "on connect: sleep"), strings.Contains(script, "on connect: drip 200ms"):
			t.Banner = second
		case strings.Contains(script, "on content: sleep"):
			t.DataBlock = second
		case strings.Contains(script, "on dot: sleep"):
			t.DataDone = second
		}
	}
	return t
}

// nobody is the script of a host whose address refuses connections.
const nobody = "nobody"

// newSite starts hosts mx1, mx2 … in the order of preference. A script is a persona's name, or
// the text of one if it has several words.
func newSite(t *testing.T, change func(*deliver.Options), scripts ...string) *site {
	t.Helper()
	s := &site{t: t, servers: map[string]*persona.Server{}, names: resolver{}, begin: &beginner{}}
	s.route = &route.Route{Destination: "example.test", Site: "mx1.example.test", Source: route.Source{Name: "default", EHLO: "out.sender.test"}}
	for i, script := range scripts {
		host := fmt.Sprintf("mx%d.example.test", i+1)
		s.route.Hosts = append(s.route.Hosts, route.Host{Name: host, Preference: uint16(10 * (i + 1))})
		s.names[host] = []string{fmt.Sprintf("127.0.0.%d", i+1)}
		if script != nobody {
			s.start(host, script)
		}
	}
	if s.port == 0 {
		s.port = freePort(t)
	}
	s.o = deliver.Options{
		Hostname: "out.sender.test", Port: s.port, Begin: s.begin, Resolver: s.names,
		Timeouts: timeouts(scripts),
	}
	if change != nil {
		change(&s.o)
	}
	s.carrier = deliver.New(s.o)
	return s
}

func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// start plays a script as a host.
func (s *site) start(host, script string) *persona.Server {
	s.t.Helper()
	parsed, err := persona.Load(script)
	if strings.Contains(script, " ") {
		parsed, err = persona.Parse("test", "host "+host+"\n"+script)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for range 20 {
		port := s.port
		if port == 0 {
			port = freePort(s.t)
		}
		var server *persona.Server
		server, err = persona.Listen(netip.AddrPortFrom(netip.MustParseAddr(s.names[host][0]), port).String(), parsed, persona.Options{Keep: true, Count: true})
		if err == nil {
			s.port, s.servers[host] = port, server
			s.t.Cleanup(func() { _ = server.Close() })
			return server
		}
		if s.port != 0 {
			break
		}
	}
	s.t.Fatal(err)
	return nil
}

func (s *site) mx(n int) *persona.Server { return s.servers[fmt.Sprintf("mx%d.example.test", n)] }

// job makes a job of a message to these recipients.
func (s *site) job(content string, to ...string) *lane.Job {
	id := mail.NewID(time.Now())
	m := &mail.Message{ID: id, Row: 7, From: mail.Address{Email: "billing@sender.test"}, RFCID: id.UUID() + "@sender.test"}
	raw := "Message-ID: <" + m.RFCID + ">\r\nSubject: test\r\n\r\n" + content
	job := &lane.Job{Message: m, Route: s.route, Offered: time.Now()}
	for i, address := range to {
		job.Works = append(job.Works, &mail.Work{
			Lease: mail.Lease{Delivery: int64(i + 1)}, Message: m, Content: mail.Bytes(raw),
			Delivery: mail.Delivery{Row: int64(i + 1), Address: address, Destination: "example.test"},
		})
	}
	return job
}

func (s *site) session() lane.Session {
	session := s.carrier.Session(lane.Key{Site: s.route.Site}, s.route)
	s.t.Cleanup(session.Close)
	return session
}

// carry sends one message to these recipients over a session of its own.
func (s *site) carry(to ...string) []mail.Attempt {
	s.t.Helper()
	session := s.session()
	defer session.Close()
	return s.carryOver(session, to...)
}

func (s *site) carryOver(session lane.Session, to ...string) []mail.Attempt {
	s.t.Helper()
	attempts := session.Carry(s.t.Context(), nil, s.job("hello\r\n", to...))
	if len(attempts) != len(to) {
		s.t.Fatalf("%d attempts for %d recipients", len(attempts), len(to))
	}
	return attempts
}

// outcomes writes attempts shortly: "delivered 250", "deferred 451 greylisted".
func outcomes(attempts []mail.Attempt) []string {
	var out []string
	for _, a := range attempts {
		text := fmt.Sprintf("%s %d", a.Outcome, a.Reply.Code)
		if a.Class != "" {
			text += " " + string(a.Class)
		}
		out = append(out, text)
	}
	return out
}

func want(t *testing.T, attempts []mail.Attempt, expected ...string) {
	t.Helper()
	if got := outcomes(attempts); !slices.Equal(got, expected) {
		t.Errorf("got %q, want %q\n%s", got, expected, transcript(attempts))
	}
}

func transcript(attempts []mail.Attempt) string {
	var b strings.Builder
	for i, a := range attempts {
		fmt.Fprintf(&b, "attempt %d: %q %s\n", i, a.Reply.Text, a.Advice)
		for _, l := range a.Transcript {
			fmt.Fprintf(&b, "  %s %s\n", l.From, l.Text)
		}
	}
	return b.String()
}

// said tells whether a transcript has a line that contains a text.
func said(a mail.Attempt, text string) bool {
	return slices.ContainsFunc(a.Transcript, func(l mail.Line) bool { return strings.Contains(l.Text, text) })
}

type resolver map[string][]string

func (r resolver) Addresses(_ context.Context, host string) ([]netip.Addr, error) {
	texts, ok := r[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

// beginner says yes unless told otherwise, and counts.
type beginner struct {
	mu       sync.Mutex
	calls    int
	verdicts map[string]deliver.Verdict // by address
	err      error
}

func (b *beginner) Begin(_ context.Context, works []*mail.Work, _ string) ([]deliver.Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.err != nil {
		return nil, b.err
	}
	out := make([]deliver.Verdict, len(works))
	for i, w := range works {
		v, ok := b.verdicts[w.Delivery.Address]
		if !ok {
			v.Go = true
		}
		out[i] = v
	}
	return out, nil
}

func (b *beginner) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

package dnstest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Mode is how a name misbehaves.
type Mode int

const (
	OK       Mode = iota // it does not
	ServFail             // SERVFAIL
	NXDomain             // "no such name", whatever the zone says
	Refused              // REFUSED
	Drop                 // no answer at all: the asker times out
	Truncate             // over UDP only the TC bit; all of it over TCP
	Lame                 // a referral to the root, as servers give that do not serve the zone
	Garbage              // bytes that are no DNS message
	WrongID              // the right answer under another identifier
)

// Server is a running name server.
type Server struct {
	udp, tcp *dns.Server
	addr     string

	mu    sync.RWMutex
	zone  *zone
	fails map[string]failure // by lower-case absolute name; "*.x." is all below x
	asked map[string]int     // by "name TYPE"
	total int
}

type failure struct {
	mode  Mode
	types []string // of questions; empty = all
}

// TB is the part of testing.TB that [Start] needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Start serves zone on a free port of 127.0.0.1 until the test ends.
func Start(t TB, zone string) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", zone)
	if err != nil {
		t.Fatalf("dnstest: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Listen serves zone at addr, a "host:port" whose port may be 0. It is ready to answer
// when Listen returns; stop it with [Server.Close].
func Listen(addr, zone string) (*Server, error) {
	records, err := parse(zone)
	if err != nil {
		return nil, err
	}
	packets, stream, err := listenBoth(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{zone: records, fails: map[string]failure{}, asked: map[string]int{}, addr: packets.LocalAddr().String()}
	s.udp = &dns.Server{PacketConn: packets, Handler: s}
	s.tcp = &dns.Server{Listener: stream, Handler: s}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		failed := make(chan error, 1)
		go func() { failed <- server.ActivateAndServe() }() // ends with Close
		select {
		case <-ready:
		case err := <-failed:
			_, _ = packets.Close(), stream.Close()
			return nil, err
		}
	}
	return s, nil
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth(addr string) (net.PacketConn, net.Listener, error) {
	var last error
	for range 20 {
		packets, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, nil, err
		}
		stream, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, stream, nil
		}
		_ = packets.Close()
		last = err
	}
	return nil, nil, fmt.Errorf("no port is free for both UDP and TCP: %w", last)
}

// Addr is where it listens: "127.0.0.1:port".
func (s *Server) Addr() string { return s.addr }

// Close stops answering.
func (s *Server) Close() error { return errors.Join(s.udp.Shutdown(), s.tcp.Shutdown()) }

// Set exchanges all records. A zone that cannot be read changes nothing.
func (s *Server) Set(zone string) error {
	records, err := parse(zone)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = records
	return nil
}

// Add adds records to those that are there.
func (s *Server) Add(zone string) error {
	s.mu.RLock()
	text := s.zone.text
	s.mu.RUnlock()
	return s.Set(text + "\n" + zone)
}

// Fail makes questions about a name misbehave from now on; "*.x" means every name below
// x. With types ("MX", "AAAA" …) only questions of these are meant. [OK] ends it.
func (s *Server) Fail(name string, mode Mode, types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name = canonical(name); mode == OK {
		delete(s.fails, name)
		return
	}
	s.fails[name] = failure{mode, types}
}

// Asked counts the questions of one type ("MX") about a name, and with an empty type
// those of all types.
func (s *Server) Asked(name, qtype string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name = canonical(name); qtype != "" {
		return s.asked[name+" "+qtype]
	}
	n := 0
	for key, count := range s.asked {
		if strings.HasPrefix(key, name+" ") {
			n += count
		}
	}
	return n
}

// Total counts all questions.
func (s *Server) Total() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.total
}

func canonical(name string) string { return dns.CanonicalName(name) }

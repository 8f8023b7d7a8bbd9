package persona

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a [Server].
type Options struct {
	Keep  bool // hold every message received, with its bytes, for Messages
	Count bool // hold each Message-ID and how often it was received, for Counts

	OnMessage func(Received) // called for each message received, before it is answered; may be called concurrently
	Trace     io.Writer      // the dialogue is printed here, without the content
	Pace      float64        // factor on every sleep and drip of the script; 0 = 1
}

// Received is a message a persona said yes to.
type Received struct {
	At        time.Time
	Remote    netip.AddrPort
	Session   int64 // number of the connection, from 1
	Hello     string
	From      string
	To        []string // those that were accepted
	UTF8      bool     // declared with SMTPUTF8
	TLS       string   // version, "" = in clear
	MessageID string   // without angle brackets
	Size      int64    // of the content, dots removed
	Data      []byte   // the content; nil unless Options.Keep or OnMessage is set
	Bare      int      // CR or LF that stood alone in it: always a fault of the sender
}

// Server plays one script on one address. Its methods may be called at any time, from any goroutine.
type Server struct {
	script   *Script
	o        Options
	listener net.Listener
	rules    [events][]*rule
	tls      *tls.Config
	roots    *x509.CertPool

	sessions, commands atomic.Int64
	trace              sync.Mutex
	running            sync.WaitGroup
	done               chan struct{} // closed by Close

	mu       sync.Mutex
	closed   bool
	conns    map[net.Conn]struct{}
	messages []Received
	counts   map[string]int
	total    int
	twice    int
	changed  chan struct{} // closed and made anew when total grows and somebody waits
}

// Listen plays a script on an address such as "127.0.0.1:0".
func Listen(addr string, script *Script, o Options) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	cert, leaf, err := newCertificate(script.cert, script.host)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	s := &Server{
		script: script, o: o, listener: listener, rules: newRules(script.rules),
		tls:   &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		roots: x509.NewCertPool(), conns: map[net.Conn]struct{}{}, counts: map[string]int{},
		done: make(chan struct{}),
	}
	s.roots.AddCert(leaf)
	s.running.Add(1)
	go s.accept()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort {
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Roots trusts the server's own certificate.
func (s *Server) Roots() *x509.CertPool { return s.roots }

// Sessions tells how many connections were made.
func (s *Server) Sessions() int { return int(s.sessions.Load()) }

// Close ends all connections and waits for what served them.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	if !s.closed {
		close(s.done)
	}
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files, most likely: sessions that end make room
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		closed := s.closed
		if !closed {
			s.conns[conn] = struct{}{}
			s.running.Add(1)
		}
		s.mu.Unlock()
		if closed {
			_ = conn.Close()
			return
		}
		go s.serve(conn)
	}
}

func (s *Server) serve(conn net.Conn) {
	defer s.running.Done()
	newSession(s, conn).run()
	_ = conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
}

// Messages gives what was received, in order. Nothing without Options.Keep.
func (s *Server) Messages() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.messages...)
}

// Total tells how many messages were received.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Duplicates tells how many messages came again after the first of their Message-ID. 0
// without Options.Count.
func (s *Server) Duplicates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.twice
}

// Counts gives each Message-ID and how often it was received. Empty without Options.Count.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.counts))
	for id, n := range s.counts {
		out[id] = n
	}
	return out
}

// Wait waits until n messages were received, or for so long; it tells whether they were.
func (s *Server) Wait(n int, timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.total >= n {
			s.mu.Unlock()
			return true
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// received takes a message in. id is borrowed; m is nil when nobody wants to see the message.
func (s *Server) received(id []byte, m *Received) {
	if m != nil && s.o.OnMessage != nil {
		s.o.OnMessage(*m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if s.o.Keep {
		s.messages = append(s.messages, *m)
	}
	if s.o.Count {
		n := s.counts[string(id)]
		if n > 0 {
			s.twice++
		}
		s.counts[string(id)] = n + 1
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

package sink

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Behaviour says how a sink treats those who deliver. The zero value takes everything
// at once.
type Behaviour struct {
	// Silent accepts the connection and never says a word: the stuck destination.
	Silent bool
	// Think is how long each message takes between its final dot and the reply.
	Think time.Duration
	// OnMessage, when set, is called after the final dot and before the reply, by the
	// connection's goroutine. The slices are borrowed.
	OnMessage func(recipient, messageID []byte)
}

// Sink is one listening server.
type Sink struct {
	behaviour Behaviour
	listener  net.Listener
	received  atomic.Int64
	repeated  atomic.Int64
	nameless  atomic.Int64
	signed    atomic.Int64
	opened    atomic.Int64
	ids       [shards]shard
	closing   chan struct{}
	done      sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]struct{}
}

// Shards keep a hundred connections from meeting in one lock.
const shards = 16

type shard struct {
	sync.Mutex
	count map[string]int32
}

// Listen opens a sink, e.g. at "127.0.0.1:0".
func Listen(address string, b Behaviour) (*Sink, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the sink: %w", err)
	}
	s := &Sink{behaviour: b, listener: l, closing: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	for i := range s.ids {
		s.ids[i].count = map[string]int32{}
	}
	s.done.Add(1)
	go s.accept()
	return s, nil
}

// Addr is where it listens, host:port.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Port is the port it listens at.
func (s *Sink) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close ends all connections and waits for them.
func (s *Sink) Close() {
	s.mu.Lock()
	select {
	case <-s.closing:
		s.mu.Unlock()
		return
	default:
	}
	close(s.closing)
	_ = s.listener.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// Received is how many messages were taken, repeated ones counted each time.
func (s *Sink) Received() int64 { return s.received.Load() }

// Repeated is how many of them came with a Message-ID that had been there before.
func (s *Sink) Repeated() int64 { return s.repeated.Load() }

// Distinct is how many different Message-IDs arrived.
func (s *Sink) Distinct() int64 { return s.received.Load() - s.repeated.Load() - s.nameless.Load() }

// Nameless is how many messages had no Message-ID.
func (s *Sink) Nameless() int64 { return s.nameless.Load() }

// Signatures is how many DKIM-Signature fields the messages had together.
func (s *Sink) Signatures() int64 { return s.signed.Load() }

// Connections is how many connections were ever opened.
func (s *Sink) Connections() int64 { return s.opened.Load() }

// Counts tells how often each Message-ID (without angle brackets) arrived.
func (s *Sink) Counts() map[string]int {
	all := make(map[string]int, s.Distinct())
	for i := range s.ids {
		sh := &s.ids[i]
		sh.Lock()
		for id, n := range sh.count {
			all[id] = int(n)
		}
		sh.Unlock()
	}
	return all
}

// Reset forgets what was counted.
func (s *Sink) Reset() {
	for i := range s.ids {
		s.ids[i].Lock()
		clear(s.ids[i].count)
		s.ids[i].Unlock()
	}
	s.received.Store(0)
	s.repeated.Store(0)
	s.nameless.Store(0)
	s.signed.Store(0)
}

// ErrTooFew says that fewer messages came than were waited for.
var ErrTooFew = errors.New("fewer messages arrived than expected")

// Wait returns when n different messages have arrived. It gives up when for patience
// nothing new came, with [ErrTooFew].
func (s *Sink) Wait(n int64, patience time.Duration) error {
	last, since := int64(-1), time.Now()
	for {
		have := s.Distinct()
		if have >= n {
			return nil
		}
		if have != last {
			last, since = have, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("%w: %d of %d", ErrTooFew, have, n)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

func (s *Sink) accept() {
	defer s.done.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.closing:
				return
			case <-time.After(5 * time.Millisecond): // too many open files: others will close
				continue
			}
		}
		if !s.admit(c) {
			return
		}
		go s.serve(c)
	}
}

// admit books the connection, so that Close finds it; false once the sink closes.
func (s *Sink) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		_ = c.Close()
		return false
	default:
	}
	s.conns[c] = struct{}{}
	s.opened.Add(1)
	s.done.Add(1)
	return true
}

func (s *Sink) serve(c net.Conn) {
	defer s.done.Done()
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	(&talk{sink: s, conn: c}).run()
}

// record counts one message.
func (s *Sink) record(id []byte) {
	if len(id) == 0 {
		s.nameless.Add(1)
		s.received.Add(1)
		return
	}
	sh := &s.ids[sum(id)%shards]
	sh.Lock()
	n := sh.count[string(id)] // no allocation on reading
	sh.count[string(id)] = n + 1
	sh.Unlock()
	if n > 0 {
		s.repeated.Add(1)
	}
	s.received.Add(1)
}

func sum(b []byte) uint32 {
	h := uint32(2166136261) // FNV-1a
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

package smtpd

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// crowd counts who is connected, and knows whose place is given away first. Nothing in it
// outlives a connection.
type crowd struct {
	most, mostEach int
	grace          time.Duration // how long a new session keeps its place

	mu      sync.Mutex
	total   int
	each    map[netip.Addr]int
	unknown *list.List // sessions without AUTH, those that did nothing for longest first
}

// graceForUnknown is how long a session without AUTH keeps its place when there is no
// other: longer than anybody needs who has a key.
const graceForUnknown = 2 * time.Second

func newCrowd(most, mostEach int, grace time.Duration) *crowd {
	return &crowd{most: most, mostEach: mostEach, grace: grace, each: map[netip.Addr]int{}, unknown: list.New()}
}

// enter counts a connection. When all places are taken, the session that has been there
// longest without AUTH, or without doing what it is there for (renew), gives up its own:
// connections that never speak cannot keep out those that do. False: there is no place.
func (c *crowd) enter(s *session, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := network(s.ip)
	if c.each[from] >= c.mostEach {
		return false
	}
	if c.total >= c.most {
		oldest := c.unknown.Front()
		if oldest == nil {
			return false
		}
		s := oldest.Value.(*session)
		if now.Sub(s.useful) < c.grace {
			return false
		}
		c.remove(s) // its place is free at once; leave finds it gone
		s.wire.cut(errEvicted)
	}
	c.total++
	c.each[from]++
	s.counted, s.useful = true, now
	s.place = c.unknown.PushBack(s)
	return true
}

// know takes a session out of those that can lose their place.
func (c *crowd) know(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.place != nil {
		c.unknown.Remove(s.place)
		s.place = nil
	}
}

// renew puts a session behind all the others that can lose their place.
func (c *crowd) renew(s *session, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.place != nil {
		c.unknown.MoveToBack(s.place)
		s.useful = now
	}
}

func (c *crowd) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(s)
}

func (c *crowd) remove(s *session) {
	if !s.counted {
		return
	}
	s.counted = false
	if s.place != nil {
		c.unknown.Remove(s.place)
		s.place = nil
	}
	c.total--
	from := network(s.ip)
	if c.each[from]--; c.each[from] <= 0 {
		delete(c.each, from)
	}
}

func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// network is what counts as one client: an IPv6 client has a /64.
func network(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

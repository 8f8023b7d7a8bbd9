package deliver

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures = 4096             // addresses remembered; the oldest are forgotten first
	maxFresh    = 10 * time.Second // a probe's failure serves others at most so long
)

// memory is what all sessions know of addresses that did not answer.
//
// While a site has an address that is not in here, those that are are passed over. When all
// are, somebody must look whether one is back: one session at a time for a site (a
// probe), so that a dead site is not dialled by all its sessions at once. The others wait for its
// result and share it, as do those that come as long after it as it took, at most maxFresh:
// a site whose connections time out is asked again every minute or so, not by every message.
type memory struct {
	forget time.Duration

	mu     sync.Mutex
	failed map[failure]time.Time
	probes map[string]*probe
}

// failure is what failed: an address as such, or only TLS with it.
type failure struct {
	addr netip.AddrPort
	tls  bool
}

// probe is one session's look at a site all of whose addresses failed lately.
type probe struct {
	done  chan struct{} // closed at its end; the fields below are set before
	began time.Time
	until time.Time // its failure serves others until then
	back  bool      // the site talks again
	found trouble
}

func newMemory(forget time.Duration) *memory {
	return &memory{forget: forget, failed: map[failure]time.Time{}, probes: map[string]*probe{}}
}

// since tells when something failed; false when it did not lately.
func (m *memory) since(f failure, now time.Time) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.failed[f]
	if ok && now.Sub(at) >= m.forget {
		delete(m.failed, f)
		ok = false
	}
	return at, ok
}

// remember that something failed now.
func (m *memory) remember(f failure, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.failed) >= maxFailures {
		m.makeRoom(now)
	}
	m.failed[f] = now
}

// makeRoom forgets what is over, and the oldest when nothing is.
func (m *memory) makeRoom(now time.Time) {
	var oldest failure
	var when time.Time
	for f, at := range m.failed {
		if now.Sub(at) >= m.forget {
			delete(m.failed, f)
		} else if when.IsZero() || at.Before(when) {
			oldest, when = f, at
		}
	}
	if len(m.failed) >= maxFailures {
		delete(m.failed, oldest)
	}
}

// talks forgets the failure of an address: it answers.
func (m *memory) talks(f failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.failed, f)
}

// probe gives the running or fresh probe of a site, or a new one which is the caller's to end.
func (m *memory) probe(site string, now time.Time) (p *probe, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.probes[site]; p != nil && (p.until.IsZero() || now.Before(p.until)) {
		return p, false
	}
	for name, old := range m.probes { // few: one per dead site of the last seconds
		if !old.until.IsZero() && !now.Before(old.until) {
			delete(m.probes, name)
		}
	}
	p = &probe{done: make(chan struct{}), began: now}
	m.probes[site] = p
	return p, true
}

// end tells those who wait how a probe ended. A success is not kept.
func (m *memory) end(site string, p *probe, back bool, found trouble, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.back, p.found = back, found
	p.until = now.Add(min(now.Sub(p.began), maxFresh))
	if back {
		delete(m.probes, site)
	}
	close(p.done)
}

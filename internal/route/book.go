package route

import (
	"hash/maphash"
	"sync"
	"time"
)

// book remembers routes by destination: read for every message, written rarely. It is
// cut into parts so that readers on many cores do not meet.
type book struct {
	seed  maphash.Seed
	max   int // of one part
	parts [32]part
}

type part struct {
	mu     sync.RWMutex
	routes map[string]*Route
	_      [64]byte // each part's lock on its own cache line
}

func newBook(max int) *book {
	b := &book{seed: maphash.MakeSeed(), max: max/32 + 1}
	for i := range b.parts {
		b.parts[i].routes = map[string]*Route{}
	}
	return b
}

func (b *book) part(destination string) *part {
	return &b.parts[maphash.String(b.seed, destination)%uint64(len(b.parts))]
}

func (b *book) get(destination string, now time.Time) *Route {
	p := b.part(destination)
	p.mu.RLock()
	r := p.routes[destination]
	p.mu.RUnlock()
	if r == nil || !now.Before(r.Until) {
		return nil
	}
	return r
}

func (b *book) put(destination string, r *Route) {
	p := b.part(destination)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.routes[destination]; !known && len(p.routes) >= b.max {
		p.evict()
	}
	p.routes[destination] = r
}

// evict makes room: of a few routes picked at random the one that ends first.
func (p *part) evict() {
	var worst *Route
	seen := 0
	for _, r := range p.routes {
		if worst == nil || r.Until.Before(worst.Until) {
			worst = r
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(p.routes, worst.Destination)
}

func (b *book) clear() {
	for i := range b.parts {
		p := &b.parts[i]
		p.mu.Lock()
		clear(p.routes)
		p.mu.Unlock()
	}
}

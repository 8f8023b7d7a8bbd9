package queue

import (
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// place names one queue of waiting mail.
type place struct {
	owner       mail.Owner
	tier        mail.Tier
	destination string
}

func placeOf(d *mail.Delivery) place { return place{d.Owner, d.Tier, d.Destination} }

// backlog is the places known to have due mail waiting in the store: new mail there
// must wait too, so that it does not overtake. A place is entered when mail was accepted
// or given back without a lease, or when a claim had to pass it over, and taken off when
// a claim found it empty.
//
// At the start nothing is known, and after more than [maxBacklogs] places not everything:
// then everything counts as backlog until a claim has walked all that is due.
type backlog struct {
	mu      sync.Mutex
	places  map[place]uint64 // when it was last entered, by clock
	clock   uint64
	unknown bool
	pruned  time.Time
}

// maxBacklogs bounds the places remembered; about 100 bytes each.
const maxBacklogs = 100_000

func (b *backlog) init() { b.places, b.unknown = make(map[place]uint64), true }

// has tells whether older mail may wait there.
func (b *backlog) has(p place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unknown {
		return true
	}
	if len(b.places) == 0 {
		return false
	}
	_, waits := b.places[p]
	return waits
}

// enter says that mail waits there.
func (b *backlog) enter(p place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.places[p]; !known && len(b.places) >= maxBacklogs {
		b.unknown = true
		return
	}
	b.clock++
	b.places[p] = b.clock
}

// mark is a moment to compare entries with.
func (b *backlog) mark() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

// empty says that a claim begun at mark found nothing more there.
func (b *backlog) empty(p place, mark uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if entered, ok := b.places[p]; ok && entered <= mark {
		delete(b.places, p)
	}
}

// walked says that a claim begun at mark looked at all that is due, and asked for room
// in these places only: nothing waits in the others.
func (b *backlog) walked(asked map[place]*grant, mark uint64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.unknown && now.Sub(b.pruned).Abs() < time.Second {
		return // places are taken off one by one as they empty; this is for the odd one
	}
	b.pruned = now
	for p, entered := range b.places {
		if entered <= mark && asked[p] == nil {
			delete(b.places, p)
		}
	}
	b.unknown = false
}

func (b *backlog) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.places)
}

package queue

import (
	"sync"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
)

// load is one message's deliveries to one site (while that is being looked up: to one
// destination), from admission until its results are on disk.
type load struct {
	lane.Job
	works [1]*mail.Work // backs Job.Works of the usual load

	prev, next *load     // in the ledger, by until
	until      time.Time // end of its leases
	content    int64     // bytes of content it keeps in memory
	listed     bool
}

// ledger is all loads, the one whose leases end first in front, and the count of what
// is held. Deliveries that are reserved count as held already.
type ledger struct {
	mu           sync.Mutex
	first, last  *load
	held         int
	max          int
	contentBytes int64
	maxContent   int64
	tighten      func(bool) // told, with every change, whether more than half is taken
}

// Of what may be held, the share each tier may fill: less urgent mail never takes the
// last places from more urgent.
var tierShare = [mail.Tiers]int{mail.Urgent: 100, mail.Normal: 90, mail.Bulk: 70}

// reserve takes n places for mail of a tier, or none.
func (g *ledger) reserve(n int, tier mail.Tier) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held+n > g.max*tierShare[tier]/100 {
		return false
	}
	g.count(n)
	return true
}

// count is called with the lock held.
func (g *ledger) count(n int) {
	g.held += n
	g.tighten(g.held > g.max/2)
}

// free tells how many places a tier may take.
func (g *ledger) free(tier mail.Tier) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.max*tierShare[tier]/100-g.held, 0)
}

// take counts n deliveries that were claimed.
func (g *ledger) take(n int) {
	g.mu.Lock()
	g.count(n)
	g.mu.Unlock()
}

// release gives n places back; it tells whether that leaves the ledger roomy.
func (g *ledger) release(n int) (roomy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(-n)
	return g.held <= g.max/2
}

// add lists a load. Content in memory is let go of once too much of it is held: the
// store gives it again when it is needed.
func (g *ledger) add(l *load) {
	var size int64
	if b, ok := l.Works[0].Content.(mail.Bytes); ok {
		size = int64(len(b))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.contentBytes+size > g.maxContent {
		for _, w := range l.Works {
			w.Content = nil
		}
		size = 0
	}
	l.content = size
	g.contentBytes += size
	g.insert(l)
}

// insert puts a load where its lease's end belongs: at the end, nearly always.
func (g *ledger) insert(l *load) {
	after := g.last
	for after != nil && after.until.After(l.until) {
		after = after.prev
	}
	l.prev, l.listed = after, true
	if after == nil {
		l.next, g.first = g.first, l
	} else {
		l.next, after.next = after.next, l
	}
	if l.next == nil {
		g.last = l
	} else {
		l.next.prev = l
	}
}

func (g *ledger) unlink(l *load) {
	if l.prev == nil {
		g.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		g.last = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.prev, l.next, l.listed = nil, nil, false
}

// remove takes a load out whose results are on disk.
func (g *ledger) remove(l *load) (roomy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.listed {
		g.unlink(l)
	}
	g.contentBytes -= l.content
	g.count(-len(l.Works))
	return g.held <= g.max/2
}

// ending gives the leases, at most about max, that end before a time.
func (g *ledger) ending(before time.Time, max int) (loads []*load, leases []mail.Lease) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := g.first; l != nil && l.until.Before(before) && len(leases) < max; l = l.next {
		loads = append(loads, l)
		for _, w := range l.Works {
			leases = append(leases, w.Lease)
		}
	}
	return loads, leases
}

// renewed moves loads whose leases now end later; those that were settled meanwhile
// are no longer listed.
func (g *ledger) renewed(loads []*load, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range loads {
		if l.listed {
			g.unlink(l)
			l.until = until
			g.insert(l)
		}
	}
}

func (g *ledger) totals() (held int, content int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held, g.contentBytes
}

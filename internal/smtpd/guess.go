package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

const (
	guessersKept   = 4096 // addresses remembered
	guessForgotten = 10 * time.Minute
	// guessesAtOnce is how many wrong passwords of one address are being answered at a
	// time; further AUTHs of it are not looked at meanwhile.
	guessesAtOnce = 8
	firstDelay    = 250 * time.Millisecond
	longestDelay  = 5 * time.Second
	// wrongInSession is the wrong password that ends a session.
	wrongInSession = 3
)

// guesses slows down who tries passwords, by client address. A right password is never
// delayed and never refused for the wrong ones before it, unless guessesAtOnce others are
// being answered: many programs may come from one address, and one of them may have an
// old key. So an address gets at most guessesAtOnce/longestDelay = 1.6 answers a second.
// Tries that come all at once may be looked at before any of them is counted; of those
// the wrong ones beyond guessesAtOnce are not told so.
type guesses struct {
	mu sync.Mutex
	of map[netip.Addr]*guesser
}

type guesser struct {
	wrong   int
	waiting int
	last    time.Time
}

func newGuesses() *guesses { return &guesses{of: map[netip.Addr]*guesser{}} }

// crowded tells that too many wrong passwords of this address are being answered.
func (g *guesses) crowded(ip netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.of[network(ip)]
	return one != nil && one.waiting >= guessesAtOnce
}

// wrong counts a wrong password and tells how long its answer is held back; done ends
// the waiting. False: too many are being answered, and this one is not to be.
func (g *guesses) wrong(ip netip.Addr, now time.Time) (delay time.Duration, done func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ip = network(ip)
	one := g.of[ip]
	if one == nil {
		g.makeRoom(now)
		one = &guesser{}
		g.of[ip] = one
	} else if one.waiting == 0 && now.Sub(one.last) > guessForgotten {
		one.wrong = 0
	}
	if one.waiting >= guessesAtOnce {
		return 0, nil, false
	}
	delay = min(firstDelay<<min(one.wrong, 10), longestDelay)
	one.wrong++
	one.waiting++
	one.last = now
	return delay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		one.waiting--
	}, true
}

// makeRoom forgets who stopped guessing long ago, or else anybody who is not waiting.
func (g *guesses) makeRoom(now time.Time) {
	if len(g.of) < guessersKept {
		return
	}
	for ip, one := range g.of {
		if one.waiting == 0 && now.Sub(one.last) > guessForgotten {
			delete(g.of, ip)
		}
	}
	for ip, one := range g.of {
		if len(g.of) < guessersKept*3/4 { // so that the next thousand cost nothing
			return
		}
		if one.waiting == 0 {
			delete(g.of, ip)
		}
	}
}

package smtpd

import (
	"net/netip"
	"testing"
	"time"
)

func TestWhoGuessesIsRememberedForAWhileAndNeverWithoutBound(t *testing.T) {
	t.Parallel()
	g, now := newGuesses(), time.Unix(1e9, 0)
	one := netip.MustParseAddr("192.0.2.1")
	for i, want := range []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000} {
		delay, done, _ := g.wrong(one, now)
		if done(); delay != want*time.Millisecond {
			t.Errorf("the %d. wrong key waits %v", i+1, delay)
		}
	}
	if delay, done, _ := g.wrong(one, now.Add(guessForgotten+time.Second)); delay != firstDelay {
		t.Errorf("after a while: %v", delay)
	} else {
		done()
	}
	// An IPv6 client has a /64 to choose addresses from.
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:2")
	for range guessesAtOnce {
		if _, _, ok := g.wrong(a, now); !ok {
			t.Fatal("too few are answered at a time")
		}
	}
	if _, _, ok := g.wrong(b, now); ok {
		t.Error("one that was looked at together with the others is answered too")
	}
	if !g.crowded(b) || g.crowded(one) {
		t.Error("who is crowded?")
	}
	for i := range 3 * guessersKept {
		_, done, _ := g.wrong(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		done()
	}
	if n := g.size(); n > guessersKept || !g.crowded(a) {
		t.Errorf("%d remembered; those being answered: %v", n, g.crowded(a))
	}
}

func (g *guesses) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.of)
}

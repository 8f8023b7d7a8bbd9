package project

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAPasswordFitsItselfOnly(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	kept, err := p.hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(kept, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(kept, "horse") {
		t.Fatal(kept, err)
	}
	if again, _ := p.hash(t.Context(), "correct horse"); again == kept {
		t.Error("no salt")
	}
	for password, want := range map[string]bool{"correct horse": true, "Correct horse": false, "": false, "correct horse ": false} {
		if ok, err := p.fits(t.Context(), kept, password); err != nil || ok != want {
			t.Errorf("%q: %v %v", password, ok, err)
		}
	}
	if ok, err := p.fits(t.Context(), "", ""); ok || err != nil {
		t.Errorf("nobody's password: %v %v", ok, err)
	}
	for _, bad := range []string{"x", "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=19456,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=19456,t=2,p=1$!$AAAA"} {
		if ok, err := p.fits(t.Context(), bad, "x"); ok || err == nil {
			t.Errorf("%s: %v %v", bad, ok, err)
		}
	}
}

func TestOnlyTwoPasswordsAreReckonedAtATime(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	p.turn <- struct{}{}
	p.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.hash(ctx, "x"); err == nil {
		t.Fatal("a third one had a turn")
	}
	p.leave()
	if _, err := p.hash(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
}

func TestAttemptsSlowDownByAddressAndHaveABoundForAll(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Unix(1_000_000, 0)
	ip := netip.MustParseAddr("192.0.2.1")
	free := 0
	for a.begin(ip, now) == 0 {
		free++
	}
	if free != freeTries {
		t.Errorf("%d at once", free)
	}
	var waits []time.Duration
	for range 12 {
		wait := a.begin(ip, now)
		waits = append(waits, wait)
		now = now.Add(wait)
		if left := a.begin(ip, now); left != 0 {
			t.Fatalf("after the wait: %v", left)
		}
	}
	for i, w := range waits {
		if want := min(time.Second<<i, longestDelay); w != want {
			t.Errorf("wait %d is %v, want %v", i, w, want)
		}
	}
	if a.begin(netip.MustParseAddr("192.0.2.2"), now) != 0 {
		t.Error("another address waits too")
	}
	a.succeed(ip)
	if a.begin(ip, now) != 0 {
		t.Error("a success is not the end of waiting")
	}

	b := newAttempts()
	passed := 0
	for i := range 500 {
		if b.begin(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now) == 0 {
			passed++
		}
	}
	if passed > triesOfAll {
		t.Errorf("%d attempts of many addresses in one moment", passed)
	}
	now = now.Add(time.Hour)
	for i := range 3 * triesKept { // memory stays bounded
		b.begin(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		now = now.Add(time.Second)
	}
	if len(b.by) > triesKept {
		t.Errorf("%d addresses are held", len(b.by))
	}
}

func TestWrongPasswordsSentAtOnceDoNotPassAtOnce(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Unix(1_000_000, 0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	passed := 0
	for range 50 {
		wg.Go(func() {
			if a.begin(netip.MustParseAddr("2001:db8::1"), now) == 0 {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if passed != freeTries {
		t.Errorf("%d passed", passed)
	}
	if a.begin(netip.MustParseAddr("2001:db8::ffff:1"), now) == 0 {
		t.Error("an address of the same /64 is somebody else")
	}
}

func FuzzSenderPattern(f *testing.F) {
	for _, seed := range []string{"*@acme.test", "billing@acme.io", "*@*.acme.test", "a-*@acme.test", "x@bücher.example", "@", "*@*", "a@b@c.d", "\x00@x.y"} {
		f.Add(seed, "billing@acme.io")
	}
	f.Fuzz(func(t *testing.T, pattern, address string) {
		p, ok := parseSender(pattern)
		if !ok {
			return
		}
		if !p.covers(p) {
			t.Errorf("%q does not cover itself", pattern)
		}
		if w, ok := parseSender(address); ok && p.covers(w) && !w.wild && !w.below {
			k := Key{AllowedFrom: []string{pattern}}
			if !k.MayFrom(w.local + "@" + w.host) {
				t.Errorf("%q covers %q and does not let it pass", pattern, address)
			}
		}
	})
}

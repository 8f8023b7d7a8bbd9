package route_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

const zone = `
	acme.test.       MX 20 mx2.acme.test.
	acme.test.       MX 10 mx1.acme.test.
	sister.test.     MX 10 mx1.acme.test.
	sister.test.     MX 20 mx2.acme.test.
	turned.test.     MX 10 mx2.acme.test.
	turned.test.     MX 20 mx1.acme.test.
	equal.test.      MX 10 a.equal.test.
	equal.test.      MX 10 b.equal.test.
	equal.test.      MX 10 c.equal.test.
	equal.test.      MX 10 c.equal.test.
	bare.test.       A  192.0.2.1
	six.test.        AAAA 2001:db8::1
	text.test.       TXT "no address here"
	alias.test.      CNAME acme.test.
	null.test.       MX 0 .
	mixed.test.      MX 0 .
	mixed.test.      MX 10 mx1.acme.test.
	nullish.test.    MX 0 .
	nullish.test.    MX 0 192.0.2.1.
	backup.test.     MX 10 mx1.acme.test.
	backup.test.     MX 20 Mx.Post.Test.
	backup.test.     MX 20 equal.acme.test.
	backup.test.     MX 30 worse.acme.test.
	ours.test.       MX 10 mx.post.test.
	ours.test.       MX 20 worse.acme.test.
	mx.post.test.    A  192.0.2.25
	corp.test.       MX 1 aspmx.l.google.com.
	corp.test.       MX 5 alt1.aspmx.l.google.com.
	tenant.test.     MX 0 tenant-test.mail.protection.outlook.com.
	notgoogle.test.  MX 0 mx.notgoogle.com.
	xn--bcher-kva.test. MX 0 mx1.acme.test.
	short.test. 1    MX 0 mx1.acme.test.
	*.many.test.     MX 0 mx1.acme.test.
	`

type world struct {
	*route.Decider
	server *dnstest.Server
	mu     sync.Mutex
	now    time.Time
}

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }
func (w *world) clock() time.Time     { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

// start gives a decider whose name server is waited for so long: a minute, which no machine stalls for.
func start(t *testing.T, patience ...time.Duration) *world {
	t.Helper()
	patience = append(patience, time.Minute)
	w := &world{server: dnstest.Start(t, zone), now: time.Now()}
	resolver := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(w.server.Addr())}, PerTry: patience[0], Budget: 2 * patience[0], Now: w.clock})
	t.Cleanup(func() { _ = resolver.Close() })
	w.Decider = route.New(route.Options{Resolver: resolver, Hostname: "MX.post.test", Now: w.clock, Entries: 320})
	return w
}

func names(r *route.Route) []string {
	var list []string
	for _, h := range r.Hosts {
		list = append(list, h.Name)
	}
	return list
}

func TestARouteLeadsToTheMailExchangersBestFirst(t *testing.T) {
	t.Parallel()
	w := start(t)
	for destination, want := range map[string]struct {
		site     string
		implicit bool
		hosts    []string
	}{
		"acme.test":       {"mx1.acme.test", false, []string{"mx1.acme.test", "mx2.acme.test"}},
		"alias.test":      {"mx1.acme.test", false, []string{"mx1.acme.test", "mx2.acme.test"}},
		"sister.test":     {"mx1.acme.test", false, []string{"mx1.acme.test", "mx2.acme.test"}},
		"bare.test":       {"bare.test", true, []string{"bare.test"}},
		"six.test":        {"six.test", true, []string{"six.test"}},
		"mixed.test":      {"mx1.acme.test", false, []string{"mx1.acme.test"}},
		"backup.test":     {"mx1.acme.test", false, []string{"mx1.acme.test"}},
		"corp.test":       {"google", false, []string{"aspmx.l.google.com", "alt1.aspmx.l.google.com"}},
		"tenant.test":     {"microsoft", false, []string{"tenant-test.mail.protection.outlook.com"}},
		"notgoogle.test":  {"mx.notgoogle.com", false, []string{"mx.notgoogle.com"}},
		"bücher.test":     {"mx1.acme.test", false, []string{"mx1.acme.test"}},
		"Sister.TEST.":    {"mx1.acme.test", false, []string{"mx1.acme.test", "mx2.acme.test"}},
		"below.many.test": {"mx1.acme.test", false, []string{"mx1.acme.test"}},
	} {
		r, err := w.Route(t.Context(), mail.Live, destination)
		if err != nil {
			t.Errorf("%s: %v", destination, err)
			continue
		}
		if r.Site != want.site || r.Implicit != want.implicit || !slices.Equal(names(r), want.hosts) || r.Capture {
			t.Errorf("%s: %+v", destination, r)
		}
		if len(r.Why) < 4 || r.Source != (route.Source{Name: "default", EHLO: "mx.post.test"}) {
			t.Errorf("%s: source %+v, why %v", destination, r.Source, r.Why)
		}
	}
}

func TestWhatCannotBeRoutedSaysWhyAndForHowLong(t *testing.T) {
	t.Parallel()
	w, hasty := start(t), start(t, 200*time.Millisecond)
	w.server.Fail("servfail.test", dnstest.ServFail)
	hasty.server.Fail("slow.test", dnstest.Drop)
	w.server.Fail("bare.test", dnstest.ServFail, "MX")   // has an address, but that is no way out
	w.server.Fail("text.test", dnstest.ServFail, "AAAA") // no MX for certain, perhaps an address
	w.server.Fail("empty.test", dnstest.OK)
	if err := w.server.Add("empty.test. TXT x"); err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string]route.Refusal{
		"null.test":     {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.10"}},
		"nobody.test":   {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.2"}},
		"empty.test":    {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.2"}},
		"[192.0.2.1]":   {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.2"}},
		"192.0.2.1":     {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.2"}},
		"no such name":  {Permanent: true, Class: mail.ClassBadDomain, Reply: mail.Reply{Enhanced: "5.1.2"}},
		"ours.test":     {Permanent: true, Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "5.4.6"}},
		"mx.post.test":  {Permanent: true, Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "5.4.6"}},
		"servfail.test": {Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "4.4.3"}},
		"slow.test":     {Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "4.4.3"}},
		"bare.test":     {Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "4.4.3"}},
		"text.test":     {Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "4.4.3"}},
		"nullish.test":  {Class: mail.ClassNetwork, Reply: mail.Reply{Enhanced: "4.4.4"}},
	} {
		d := w
		if destination == "slow.test" {
			d = hasty
		}
		r, err := d.Route(t.Context(), mail.Live, destination)
		var got *route.Refusal
		if !errors.As(err, &got) {
			t.Errorf("%s: %+v, %v", destination, r, err)
			continue
		}
		if got.Permanent != want.Permanent || got.Class != want.Class || got.Reply.Enhanced != want.Reply.Enhanced || got.Reply.Code != 0 || got.Reply.Text == "" {
			t.Errorf("%s: %+v", destination, got)
		}
		if w.Cached(mail.Live, destination) != nil {
			t.Errorf("%s: a refusal is remembered as a route", destination)
		}
	}
}

func TestEqualsAreTriedByChanceAndOnceEach(t *testing.T) {
	t.Parallel()
	w := start(t)
	firsts := map[string]int{}
	for range 200 {
		w.Forget()
		r, err := w.Route(t.Context(), mail.Live, "equal.test")
		if err != nil || len(r.Hosts) != 3 || r.Site != "a.equal.test" {
			t.Fatalf("%+v, %v", r, err)
		}
		firsts[r.Hosts[0].Name]++
	}
	for _, host := range []string{"a.equal.test", "b.equal.test", "c.equal.test"} {
		if firsts[host] < 20 {
			t.Errorf("%s came first %d times of 200", host, firsts[host])
		}
	}
}

func TestTheSameHostsAreOneSiteHoweverTheyAreRanked(t *testing.T) {
	t.Parallel()
	w := start(t)
	var sites []string
	for _, destination := range []string{"turned.test", "acme.test", "sister.test"} {
		r, err := w.Route(t.Context(), mail.Live, destination)
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, r.Site)
	}
	if len(slices.Compact(sites)) != 1 {
		t.Errorf("sites %v", sites)
	}
}

func TestTestMailAndTheSandboxNeverAskTheDNS(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		env         mail.Env
		destination string
	}{{mail.Test, "acme.test"}, {mail.Test, "nobody.test"}, {mail.Test, "sandbox.test"}, {mail.Live, "sandbox.test"}, {mail.Live, "deep.sandbox.test"}, {mail.Live, "Sandbox.Test."}} {
		r, err := w.Route(t.Context(), c.env, c.destination)
		if err != nil || !r.Capture || r.Site != "sandbox" || len(r.Hosts) != 0 || len(r.Why) == 0 {
			t.Errorf("%v %s: %+v, %v", c.env, c.destination, r, err)
		}
	}
	if r := w.Cached(mail.Test, "new.test"); r == nil || !r.Capture || r.Destination != "new.test" {
		t.Errorf("a capture must be known at once: %+v", r)
	}
	if r, err := w.Route(t.Context(), mail.Live, "notsandbox.test"); err == nil {
		t.Errorf("notsandbox.test: %+v", r)
	}
	if n := w.server.Asked("notsandbox.test", "") - w.server.Total(); n != 0 {
		t.Errorf("%d other questions were asked", -n)
	}
	if r, _ := w.Route(t.Context(), mail.Live, "acme.test"); r == nil || r.Capture {
		t.Errorf("live mail after test mail of the same destination: %+v", r)
	}
}

func TestARouteIsRememberedAsLongAsItsRecords(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		destination string
		still, gone time.Duration
	}{{"short.test", 29 * time.Second, 2 * time.Second}, {"acme.test", 59 * time.Second, 2 * time.Second}} {
		if _, err := w.Route(t.Context(), mail.Live, c.destination); err != nil {
			t.Fatal(err)
		}
		w.pass(c.still)
		if w.Cached(mail.Live, c.destination) == nil {
			t.Errorf("%s is forgotten after %v", c.destination, c.still)
		}
		if w.pass(c.gone); w.Cached(mail.Live, c.destination) != nil {
			t.Errorf("%s is still remembered", c.destination)
		}
	}
}

func TestConcurrentRoutingAsksOnceAndStaysBounded(t *testing.T) {
	t.Parallel()
	w := start(t)
	var wait sync.WaitGroup
	for range 40 {
		wait.Go(func() { _, _ = w.Route(context.Background(), mail.Live, "acme.test") })
	}
	wait.Wait()
	if n := w.server.Asked("acme.test", "MX"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	known := 0
	for i := range 1000 {
		_, _ = w.Route(t.Context(), mail.Live, fmt.Sprintf("n%d.many.test", i))
	}
	for i := range 1000 {
		if w.Cached(mail.Live, fmt.Sprintf("n%d.many.test", i)) != nil {
			known++
		}
	}
	if known < 200 || known > 352 {
		t.Errorf("%d routes are remembered, want about 320", known)
	}
}

func TestTheFastWayDoesNotAllocate(t *testing.T) {
	w := start(t)
	if _, err := w.Route(t.Context(), mail.Live, "acme.test"); err != nil {
		t.Fatal(err)
	}
	w.Cached(mail.Test, "acme.test")
	if n := testing.AllocsPerRun(1000, func() {
		if w.Cached(mail.Live, "acme.test") == nil || w.Cached(mail.Test, "acme.test") == nil {
			t.Fatal("forgotten")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCached(b *testing.B) {
	d := route.New(route.Options{Hostname: "mx.post.test"})
	d.Cached(mail.Test, "acme.test")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Cached(mail.Test, "acme.test")
		}
	})
}

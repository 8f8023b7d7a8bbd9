package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
)

const acme = `
	acme.test.        MX    10 mx1.acme.test.
	acme.test.        MX    20 MX2.Acme.Test.
	acme.test.        TXT   "v=spf1 " "a:mx.post.test -all"
	mx1.acme.test.    A     192.0.2.1
	mx1.acme.test.    A     192.0.2.2
	mx1.acme.test.    AAAA  2001:db8::1
	six.acme.test.    AAAA  2001:db8::6
	www.acme.test.    CNAME web.acme.test.
	web.acme.test.    A     192.0.2.80
	alias.acme.test.  CNAME acme.test.
	loop1.test.       CNAME loop2.test.
	loop2.test.       CNAME loop1.test.
	null.test.        MX    0 .
	quiet.test.       TXT   "here"
	1.2.0.192.in-addr.arpa. PTR mx1.acme.test.
	odd.test.         TXT   "a\"b\\c\000\255"
	*.wild.test.      MX    5 mx1.acme.test.
`

// patience is how long a server that answers is waited for: no machine stalls so long.
const patience = time.Minute

// hasty is for servers that stay silent.
func hasty(o *dns.Options) { o.PerTry, o.Budget = 300*time.Millisecond, 2*time.Second }

// start gives a resolver that asks only a server with this zone.
func start(t *testing.T, zone string, change ...func(*dns.Options)) (*dns.Resolver, *dnstest.Server) {
	t.Helper()
	server := dnstest.Start(t, zone)
	o := dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(server.Addr())}, PerTry: patience, Budget: 2 * patience}
	for _, f := range change {
		f(&o)
	}
	r := dns.New(o)
	t.Cleanup(func() { _ = r.Close() })
	return r, server
}

func TestRecordsAreReadAsTheZoneHasThem(t *testing.T) {
	t.Parallel()
	r, _ := start(t, acme)
	ctx := t.Context()

	mx, until, err := r.MX(ctx, "Acme.Test")
	slices.SortFunc(mx, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	if want := []dns.MX{{"mx1.acme.test", 10}, {"mx2.acme.test", 20}}; err != nil || !slices.Equal(mx, want) {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if d := time.Until(until); d < 20*time.Second || d > time.Minute {
		t.Errorf("MX may be believed for %v, want a minute", d)
	}
	if txt, err := r.TXT(ctx, "acme.test"); err != nil || !slices.Equal(txt, []string{"v=spf1 a:mx.post.test -all"}) {
		t.Errorf("TXT: %q, %v", txt, err)
	}
	if txt, err := r.TXT(ctx, "odd.test"); err != nil || !slices.Equal(txt, []string{"a\"b\\c\x00\xff"}) {
		t.Errorf("TXT of unusual bytes: %q, %v", txt, err)
	}
	if name, err := r.CNAME(ctx, "www.acme.test"); err != nil || name != "web.acme.test" {
		t.Errorf("CNAME: %q, %v", name, err)
	}
	if names, err := r.PTR(ctx, netip.MustParseAddr("192.0.2.1")); err != nil || !slices.Equal(names, []string{"mx1.acme.test"}) {
		t.Errorf("PTR: %q, %v", names, err)
	}
	if mx, _, err := r.MX(ctx, "alias.acme.test"); err != nil || len(mx) != 2 {
		t.Errorf("MX through an alias: %v, %v", mx, err)
	}
	if mx, _, err := r.MX(ctx, "null.test"); err != nil || len(mx) != 1 || mx[0].Host != "." {
		t.Errorf("null MX: %v, %v", mx, err)
	}
	if mx, _, err := r.MX(ctx, "any.wild.test"); err != nil || len(mx) != 1 {
		t.Errorf("MX of a wildcard: %v, %v", mx, err)
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, six := range []bool{true, false} {
		r, _ := start(t, acme, func(o *dns.Options) { o.IPv6 = func() bool { return six } })
		addrs, err := r.Addresses(t.Context(), "mx1.acme.test")
		if err != nil || len(addrs) != 3 {
			t.Fatalf("got %v, %v", addrs, err)
		}
		if at := slices.IndexFunc(addrs, netip.Addr.Is6); six && at != 0 || !six && at != 2 {
			t.Errorf("IPv6 reachable %v: tried in the order %v", six, addrs)
		}
		if addrs, err := r.Addresses(t.Context(), "six.acme.test"); err != nil || len(addrs) != 1 {
			t.Errorf("IPv6 only: %v, %v", addrs, err)
		}
		if addrs, err := r.Addresses(t.Context(), "www.acme.test"); err != nil || len(addrs) != 1 || addrs[0] != netip.MustParseAddr("192.0.2.80") {
			t.Errorf("alias: %v, %v", addrs, err)
		}
	}
}

func TestFailuresHaveTheirKind(t *testing.T) {
	t.Parallel()
	r, server := start(t, acme)
	quick := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(server.Addr())}, PerTry: 300 * time.Millisecond, Budget: 2 * time.Second})
	t.Cleanup(func() { _ = quick.Close() })
	for mode, name := range map[dnstest.Mode]string{
		dnstest.ServFail: "servfail.test", dnstest.Refused: "refused.test", dnstest.Drop: "drop.test", dnstest.Lame: "lame.test",
		dnstest.Garbage: "garbage.test", dnstest.WrongID: "forged.test",
	} {
		server.Fail(name, mode)
	}
	server.Fail("*.gone.test", dnstest.NXDomain)
	for name, want := range map[string]error{
		"servfail.test": dns.ErrTemporary, "refused.test": dns.ErrTemporary, "drop.test": dns.ErrTemporary, "lame.test": dns.ErrTemporary,
		"garbage.test": dns.ErrTemporary, "forged.test": dns.ErrTemporary, "loop1.test": dns.ErrTemporary,
		"a.gone.test": dns.ErrNotFound, "nobody.test": dns.ErrNotFound, "quiet.test": dns.ErrNoData, "web.acme.test": dns.ErrNoData,
		"no such name": dns.ErrBadName, "a..b": dns.ErrBadName, "": dns.ErrBadName,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := r
			if want == dns.ErrTemporary { // some of them by silence
				ask = quick
			}
			mx, _, err := ask.MX(t.Context(), name)
			if !errors.Is(err, want) {
				t.Errorf("%q: got %v, %v; want %v", name, mx, err, want)
			}
		})
	}
}

func TestAHostIsMissingOnlyWhenBothFamiliesSaySo(t *testing.T) {
	t.Parallel()
	r, server := start(t, "a.test. A 192.0.2.1\nb.test. A 192.0.2.1\nc.test. TXT x\n")
	server.Fail("a.test", dnstest.ServFail, "AAAA")
	server.Fail("b.test", dnstest.ServFail, "A")
	server.Fail("c.test", dnstest.ServFail, "AAAA")
	if addrs, err := r.Addresses(t.Context(), "a.test"); err != nil || len(addrs) != 1 {
		t.Errorf("one family answers, with addresses: %v, %v", addrs, err)
	}
	for _, name := range []string{"b.test", "c.test"} {
		if addrs, err := r.Addresses(t.Context(), name); !errors.Is(err, dns.ErrTemporary) {
			t.Errorf("%s, whose other family could not be asked: %v, %v", name, addrs, err)
		}
	}
	if _, err := r.Addresses(t.Context(), "d.test"); !errors.Is(err, dns.ErrNotFound) {
		t.Errorf("no such host: %v", err)
	}
}

func TestAnswersCutOffComeOverTCP(t *testing.T) {
	t.Parallel()
	var zone string
	for i := range 200 {
		zone += fmt.Sprintf("big.test. TXT \"%03d %060d\"\n", i, i)
	}
	r, server := start(t, zone+"small.test. TXT here\n")
	server.Fail("small.test", dnstest.Truncate)
	for name, want := range map[string]int{"big.test": 200, "small.test": 1} {
		if txt, err := r.TXT(t.Context(), name); err != nil || len(txt) != want {
			t.Errorf("%s: %d texts, %v; want %d", name, len(txt), err, want)
		}
	}
}

func TestAnswersAreRememberedAsLongAsTheyMay(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	r, server := start(t, `
		$TTL 100
		a.test.   TXT here
		zone.test. 900 SOA ns. me. 1 1 1 1 40
		long.test. 999999 TXT here
		`, func(o *dns.Options) { o.Now = clock })
	server.Fail("bad.test", dnstest.ServFail)
	ask := func(name string, want int) {
		t.Helper()
		for range 3 {
			_, _ = r.TXT(t.Context(), name)
		}
		if got := server.Asked(name, "TXT"); got != want {
			t.Errorf("%s was asked %d times, want %d", name, got, want)
		}
	}
	for _, name := range []string{"a.test", "not.zone.test", "long.test", "bad.test"} {
		ask(name, 1)
	}
	pass(3 * time.Second) // failures are forgotten soon
	ask("bad.test", 2)
	pass(38 * time.Second) // the SOA's minimum is 40 s
	ask("not.zone.test", 2)
	pass(50 * time.Second)
	ask("a.test", 1)
	pass(10 * time.Second) // 101 s
	ask("a.test", 2)
	ask("long.test", 1)
	pass(time.Hour) // the longest anything is believed
	ask("long.test", 2)
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	r, server := start(t, "*.wild.test. TXT here", func(o *dns.Options) { o.Entries = 50 })
	for i := range 300 {
		if _, err := r.TXT(t.Context(), fmt.Sprintf("n%d.wild.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Remembered(); n != 50 {
		t.Errorf("%d answers are remembered, want 50", n)
	}
	if server.Total() != 300 {
		t.Errorf("%d questions were asked", server.Total())
	}
}

func TestConcurrentAskersShareOneQuestion(t *testing.T) {
	t.Parallel()
	r, server := start(t, acme, hasty, func(o *dns.Options) { o.FailureTTL = time.Hour })
	server.Fail("slow.test", dnstest.Drop)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { _, _ = r.TXT(t.Context(), "slow.test") })
	}
	wait.Wait()
	if n := server.Asked("slow.test", "TXT"); n != 2 { // one question, sent twice
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestAnAskerMayLeaveWithoutHurtingTheOthers(t *testing.T) {
	t.Parallel()
	r, server := start(t, "late0.test. TXT here\nlate1.test. TXT here\nlate2.test. TXT here", hasty)
	told := errors.New("not asked")
	for round := 0; told != nil && round < 3; round++ { // a machine that stalls may come too late for the second try
		name := fmt.Sprintf("late%d.test", round)
		server.Fail(name, dnstest.Drop)
		first, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := r.TXT(first, name); left <- err }()
		for server.Asked(name, "TXT") == 0 {
			time.Sleep(time.Millisecond)
		}
		stayed := make(chan error, 1)
		go func() { _, err := r.TXT(t.Context(), name); stayed <- err }()
		leave()
		if err := <-left; !errors.Is(err, dns.ErrTemporary) {
			t.Errorf("who left was told %v", err)
		}
		server.Fail(name, dnstest.OK) // the second try is answered
		told = <-stayed
	}
	if told != nil {
		t.Errorf("who stayed was told %v", told)
	}
}

func TestAServerThatIsSilentIsAskedLast(t *testing.T) {
	t.Parallel()
	// A machine that stalls makes the others silent, too, so that this is looked at again.
	silent, broken := 0, 0
	for round := 0; (silent != 1 || broken != 5) && round < 3; round++ {
		silent, broken = askSilentFirst(t, 5)
	}
	if silent != 1 {
		t.Errorf("the silent server was asked %d times, want once", silent)
	}
	if broken != 5 {
		t.Errorf("the server that answers SERVFAIL was asked %d times, want 5", broken)
	}
}

// askSilentFirst asks n questions of a server that is silent, one that fails and one that answers,
// and tells how often the first two were asked.
func askSilentFirst(t *testing.T, n int) (silent, failing int) {
	t.Helper()
	mute, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var reading sync.WaitGroup
	reading.Go(func() {
		for buffer := make([]byte, 2048); ; asked.Add(1) {
			if _, _, err := mute.ReadFrom(buffer); err != nil {
				return
			}
		}
	})
	good, broken := dnstest.Start(t, "*.test. TXT here"), dnstest.Start(t, "")
	broken.Fail("*.test", dnstest.ServFail)
	r := dns.New(dns.Options{PerTry: 400 * time.Millisecond, Servers: []netip.AddrPort{
		netip.MustParseAddrPort(mute.LocalAddr().String()), netip.MustParseAddrPort(broken.Addr()), netip.MustParseAddrPort(good.Addr()),
	}})
	for i := range n {
		if _, err := r.TXT(t.Context(), fmt.Sprintf("n%d.test", i)); err != nil {
			t.Log(err)
		}
	}
	_ = r.Close()
	_ = mute.Close()
	reading.Wait()
	return int(asked.Load()), broken.Total()
}

func TestFreshAnswersComeFromTheZonesOwnServers(t *testing.T) {
	t.Parallel()
	authority := dnstest.Start(t, `
		acme.test.        TXT "new"
		alias.acme.test.  CNAME elsewhere.test.`)
	port := netip.MustParseAddrPort(authority.Addr()).Port()
	// A recursive server that still has the old text.
	recursive := dnstest.Start(t, `
		acme.test.      NS  ns1.acme.test.
		ns1.acme.test.  A   127.0.0.1
		acme.test.      TXT "old"
		elsewhere.test. TXT "there"
		priv.test.      NS  ns1.priv.test.
		ns1.priv.test.  A   127.0.0.2
		priv.test.      TXT "recursive"`)
	r := dns.NewAsSystem(dns.Options{AuthorityPort: port, PerTry: time.Second, Guard: func(server netip.AddrPort) error {
		if server.Addr() != netip.MustParseAddr("127.0.0.1") {
			return errors.New("not there")
		}
		return nil
	}}, netip.MustParseAddrPort(recursive.Addr()))
	defer r.Close()

	if txt, err := r.TXT(t.Context(), "acme.test"); err != nil || txt[0] != "old" {
		t.Fatalf("from the recursive server: %q, %v", txt, err)
	}
	if txt, server, err := r.Fresh(t.Context(), "acme.test").TXT(t.Context(), "acme.test"); err != nil || txt[0] != "new" || server != "ns1.acme.test" {
		t.Errorf("fresh: %q from %s, %v", txt, server, err)
	}
	authority.Fail("elsewhere.test", dnstest.Lame)
	if txt, _, err := r.Fresh(t.Context(), "acme.test").TXT(t.Context(), "alias.acme.test"); err != nil || txt[0] != "there" {
		t.Errorf("an alias that leads out of the zone: %q, %v", txt, err)
	}
	authority.Fail("acme.test", dnstest.Drop)
	if txt, _, err := r.Fresh(t.Context(), "acme.test").TXT(t.Context(), "acme.test"); err != nil || txt[0] != "old" {
		t.Errorf("with the zone's servers out of reach: %q, %v", txt, err)
	}
	if txt, _, err := r.Fresh(t.Context(), "priv.test").TXT(t.Context(), "priv.test"); err != nil || txt[0] != "recursive" {
		t.Errorf("servers that may not be asked: %q, %v", txt, err)
	}
}

func TestFreshAsksOnlyTheServersTheOperatorFixed(t *testing.T) {
	t.Parallel()
	r, server := start(t, "acme.test. NS ns1.acme.test.\nns1.acme.test. A 127.0.0.1\nacme.test. TXT one", func(o *dns.Options) {
		o.Guard = func(netip.AddrPort) error { return nil }
	})
	if _, err := r.TXT(t.Context(), "acme.test"); err != nil {
		t.Fatal(err)
	}
	if err := server.Set("acme.test. TXT two"); err != nil {
		t.Fatal(err)
	}
	if txt, _, err := r.Fresh(t.Context(), "acme.test").TXT(t.Context(), "acme.test"); err != nil || txt[0] != "two" {
		t.Errorf("got %q, %v", txt, err)
	}
	if server.Asked("acme.test", "NS") != 0 {
		t.Error("the zone's own servers were looked for")
	}
}

func TestAClosedResolverSaysSo(t *testing.T) {
	t.Parallel()
	r, _ := start(t, acme)
	_ = r.Close()
	if _, err := r.TXT(t.Context(), "acme.test"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

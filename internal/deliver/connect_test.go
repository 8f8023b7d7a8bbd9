package deliver_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

func TestHostsAreTriedInOrderUntilOneTalks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scripts []string
		want    string
		host    string
	}{
		"second host after a refused connection": {[]string{nobody, "plain"}, "delivered 250", "mx2.example.test"},
		"second host after a 554 banner":         {[]string{"on connect: 554 5.7.1 go away", "plain"}, "delivered 250", "mx2.example.test"},
		"second host after a 421 banner":         {[]string{"on connect: 421 4.7.0 busy; close", "plain"}, "delivered 250", "mx2.example.test"},
		"second host after EHLO refused":         {[]string{"on EHLO: 550 5.7.1 no", "plain"}, "delivered 250", "mx2.example.test"},
		"second host after a silent banner":      {[]string{"slowbanner", "plain"}, "delivered 250", "mx2.example.test"},
		"second host after closing at MAIL":      {[]string{"on MAIL: close", "plain"}, "delivered 250", "mx2.example.test"},
		"no second host after closing at RCPT":   {[]string{"on RCPT: close", "plain"}, "deferred 0 network", "mx1.example.test"},
		"no second host after the dot":           {[]string{"on dot: close", "plain"}, "uncertain 0 network", "mx1.example.test"},
		"554 of all is deferred":                 {[]string{"on connect: 554 5.7.1 go away", "on connect: 554 5.7.1 me too"}, "deferred 554 policy", "mx2.example.test"},
		"what was said counts more than silence": {[]string{"on connect: 421 4.7.0 busy; close", nobody}, "deferred 421 other", "mx1.example.test"},
		"nobody there":                           {[]string{nobody, nobody}, "deferred 0 network", "mx2.example.test"},
		"not SMTP at all":                        {[]string{"on connect: raw SSH-2.0-OpenSSH\\r\\n"}, "deferred 0 protocol", "mx1.example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, c.scripts...)
			attempts := s.carry("a@example.test")
			want(t, attempts, c.want)
			if attempts[0].Host != c.host {
				t.Errorf("host %q, want %q\n%s", attempts[0].Host, c.host, transcript(attempts))
			}
			if s.begin.count() != 1 {
				t.Errorf("begun %d times, want once: an attempt that counts is begun", s.begin.count())
			}
		})
	}
}

func TestEveryAddressOfAHostIsTried(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	s.names["mx1.example.test"] = []string{"127.0.0.9", "127.0.0.8", "127.0.0.1"}
	attempts := s.carry("a@example.test")
	want(t, attempts, "delivered 250")
	if attempts[0].IP != "127.0.0.1" || !said(attempts[0], "connection refused") {
		t.Errorf("got %s", transcript(attempts))
	}
}

func TestASiteWithIPv6OnlyIsReached(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, nobody)
	s.names["mx1.example.test"] = []string{"::1"}
	server := s.start("mx1.example.test", "plain")
	want(t, s.carry("a@example.test"), "delivered 250")
	if server.Total() != 1 {
		t.Error("nothing received")
	}
}

func TestAnAddressThatFailedIsPassedOverWhileThereAreOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, nobody, "plain")
	want(t, s.carry("a@example.test"), "delivered 250")
	second := s.carry("a@example.test")
	want(t, second, "delivered 250")
	if !said(second[0], "passed over mx1") {
		t.Errorf("the second session dialled again:\n%s", transcript(second))
	}
}

func TestASiteWhollyDownIsProbedAndFoundBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, nobody)
	want(t, s.carry("a@example.test"), "deferred 0 network")
	want(t, s.carry("a@example.test"), "deferred 0 network")
	s.start("mx1.example.test", "plain")
	attempts := s.carry("a@example.test")
	for end := time.Now().Add(patience); attempts[0].Outcome != mail.OutcomeDelivered && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond) // the last probe serves others for as long as it took
		attempts = s.carry("a@example.test")
	}
	want(t, attempts, "delivered 250")
}

func TestOneSessionAtATimeProbesASite(t *testing.T) {
	t.Parallel()
	// A probe serves for as long as it took, a second: a session that a stalled machine begins later
	// makes one of its own, so that this is looked at again.
	n := 0
	for round := 0; n != 1 && round < 3; round++ {
		s := newSite(t, nil, "on connect: sleep 1h")
		want(t, s.carry("a@example.test"), "deferred 0 network")
		before := s.mx(1).Sessions()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { want(t, s.carry("a@example.test"), "deferred 0 network") })
		}
		group.Wait()
		n = s.mx(1).Sessions() - before
	}
	if n != 1 {
		t.Errorf("%d connections for ten sessions, want one probe", n)
	}
}

type guard struct{ refused netip.Addr }

func (g guard) Allow(addr netip.AddrPort) error {
	if addr.Addr() == g.refused {
		return errors.New("this address is not public")
	}
	return nil
}

func TestTheGuardKeepsAnAddressFromBeingDialled(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *deliver.Options) { o.Guard = guard{netip.MustParseAddr("127.0.0.1")} }, "plain")
	attempts := s.carry("a@example.test")
	want(t, attempts, "deferred 0 network")
	if s.mx(1).Sessions() != 0 || attempts[0].Reply.Text != "this address is not public" {
		t.Errorf("%d connections, %s", s.mx(1).Sessions(), transcript(attempts))
	}
	s.names["mx1.example.test"] = []string{"::ffff:127.0.0.1"}
	want(t, s.carry("a@example.test"), "deferred 0 network")
	if s.mx(1).Sessions() != 0 {
		t.Error("a mapped address went past the guard")
	}
}

func TestTheSourceAddressIsDialledFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	s.route.Source = route.Source{Name: "127.0.0.77", Local: "127.0.0.77", EHLO: "seventy-seven.sender.test"}
	s.names["mx1.example.test"] = []string{"::1", "127.0.0.1"}
	attempts := s.carry("a@example.test")
	want(t, attempts, "delivered 250")
	got := s.mx(1).Messages()[0]
	if got.Remote.Addr().String() != "127.0.0.77" || got.Hello != "seventy-seven.sender.test" || attempts[0].Source != "127.0.0.77" {
		t.Errorf("from %s, EHLO %s, source %s", got.Remote, got.Hello, attempts[0].Source)
	}
}

func TestTLSIsOpportunisticUnlessRequired(t *testing.T) {
	t.Parallel()
	trust := func(s *site) { // a carrier that trusts the host's own certificate
		s.o.RootCAs = s.mx(1).Roots()
		s.carrier = deliver.New(s.o)
	}
	for name, c := range map[string]struct {
		script   string
		required bool
		prepare  func(*site)
		want     string
		tls      string // "clear", "unverified", "verified"
	}{
		"good":                  {"plain", false, trust, "delivered 250", "unverified"}, // its name is another
		"named":                 {"host mx1.example.test", false, trust, "delivered 250", "verified"},
		"required and good":     {"host mx1.example.test", true, trust, "delivered 250", "verified"},
		"required, wrong name":  {"host mx1.example.test\ncert wrong-name", true, trust, "deferred 0 tls", "clear"},
		"required, expired":     {"badcert", true, trust, "deferred 0 tls", "clear"},
		"expired":               {"badcert", false, nil, "delivered 250", "unverified"},
		"broken":                {"tls-broken", false, nil, "delivered 250", "clear"},
		"required and broken":   {"tls-broken", true, nil, "deferred 0 tls", "clear"},
		"refused":               {"starttls-refused", false, nil, "delivered 250", "clear"},
		"required and refused":  {"starttls-refused", true, nil, "deferred 454 tls", "clear"},
		"stripped":              {"starttls-stripped", false, nil, "delivered 250", "clear"},
		"required and stripped": {"starttls-stripped", true, nil, "deferred 0 tls", "clear"},
		"text after STARTTLS":   {"on STARTTLS: tls inject", false, nil, "delivered 250", "clear"},
		"required, injected":    {"on STARTTLS: tls inject", true, nil, "deferred 0 tls", "clear"},
		"421 to STARTTLS":       {"on STARTTLS once: 421 4.3.0 no; close", false, nil, "deferred 421 tls", "clear"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, strings.Join([]string{c.script}, ""))
			if strings.HasPrefix(c.script, "host mx1.example.test") {
				_ = s.mx(1).Close()
				s.start("mx1.example.test", c.script+"\n# text")
			}
			if c.prepare != nil {
				c.prepare(s)
			}
			if c.required {
				s.route.TLS = route.Required
			}
			attempts := s.carry("a@example.test")
			want(t, attempts, c.want)
			got := "clear"
			if f := attempts[0].TLS; f != nil {
				got = map[bool]string{true: "verified", false: "unverified"}[f.Verified]
			}
			if got != c.tls {
				t.Errorf("TLS %s, want %s\n%s", got, c.tls, transcript(attempts))
			}
			if received := s.mx(1).Total(); (received == 1) != (attempts[0].Outcome == mail.OutcomeDelivered) {
				t.Errorf("%d received with outcome %s", received, attempts[0].Outcome)
			}
		})
	}
}

func TestAHostWhoseTLSBrokeIsNotAskedForItAgainAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "tls-broken")
	want(t, s.carry("a@example.test"), "delivered 250")
	again := s.carry("a@example.test")
	want(t, again, "delivered 250")
	if said(again[0], "STARTTLS\n") || s.mx(1).Sessions() != 3 {
		t.Errorf("%d connections, want 3\n%s", s.mx(1).Sessions(), transcript(again))
	}
}

// Two tenants of one operator are one site, so one lane and its sessions, but the server of
// one does not take mail for the other.
func TestASessionIsNotUsedForADestinationWithOtherHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain", "plain")
	both := s.route
	tenant := func(n int) *route.Route { r := *both; r.Hosts = both.Hosts[n : n+1]; return &r }
	session := s.session()
	for i, n := range []int{0, 0, 1, 0} {
		s.route = tenant(n)
		attempts := s.carryOver(session, "a@example.test")
		want(t, attempts, "delivered 250")
		if attempts[0].Host != both.Hosts[n].Name {
			t.Errorf("job %d went to %s, want %s", i, attempts[0].Host, both.Hosts[n].Name)
		}
	}
	if a, b := s.mx(1).Sessions(), s.mx(2).Sessions(); a != 2 || b != 1 {
		t.Errorf("%d and %d connections, want 2 and 1", a, b)
	}
}

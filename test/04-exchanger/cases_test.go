package exchanger

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/test/harness"
)

// cases are what sites do, in the order of the project's list. The domain of each is
// its name with ".test"; "mx1" of it is where its script plays.
var cases = []scenario{
	{
		name: "plain", script: "about takes everything",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "greylisting", script: "on RCPT once per recipient: 451 4.7.1 <{to}>: Greylisted, try again in 5 minutes",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1, classes: "greylisted -",
	},
	{
		name: "tarpit", script: "on connect: drip 4ms",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "slow-banner", script: "on connect: sleep 1s",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "421-midsession", script: "on RCPT once: 421 4.4.2 closing; close",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "421-in-the-banner", script: "on connect once: 421 4.7.0 too busy; close",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "closes-at-data", script: "on DATA once: close",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1, outcomes: "deferred delivered", classes: "network -",
	},
	{
		// So large that the close comes while content is still being written.
		name: "closes-before-the-dot", script: "on content once: close", bytes: 24 << 20,
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1, outcomes: "deferred delivered", classes: "network -",
	},
	{
		name: "closes-after-the-dot", script: "on dot once: take; close",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 2, outcomes: "uncertain delivered",
	},
	{
		name: "deferred-after-the-dot", script: "on dot once: 451 4.3.0 try again",
		want:   map[string]string{"ada": "queued accepted deferred delivered"},
		status: "delivered", arrives: 1, outcomes: "deferred delivered",
	},
	{
		name: "mixed-replies",
		script: `on RCPT <nobody@*>: 550 5.1.1 <{to}>: User unknown
			on RCPT <full@*>: 452 4.2.2 <{to}>: Mailbox full
			on RCPT <later@*> once: 451 4.3.0 Try again later
			on RCPT <moved@*>: 251 2.1.5 User not local\; will forward
			on RCPT <many@*> once: 452 4.5.3 Too many recipients`,
		want: map[string]string{
			"ok":     "queued accepted delivered",
			"nobody": "queued accepted bounced",
			"full":   "queued accepted deferred deferred bounced",
			"later":  "queued accepted deferred delivered",
			"moved":  "queued accepted delivered",
			"many":   "queued accepted delivered", // asked again at once (RFC 5321 §4.5.3.1.10)
		},
		status: "bounced", arrives: 3, // ok and moved; many; later
	},
	{
		name: "not-utf8", script: `on RCPT: 550 5.1.1 Empf\xe4nger unbekannt\x00\x1b[31m rot`,
		want:   map[string]string{"ada": "queued accepted bounced"},
		status: "bounced", classes: "unknown_user",
		then: func(t *testing.T, s *stage, _ string, a []harness.Attempt) {
			text := a[0].Reply.Text
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b") || !strings.Contains(text, "nger unbekannt") {
				t.Errorf("the reply's text is %q", text)
			}
			s.expectSuppressed(t, "ada@not-utf8.test", "hard_bounce")
		},
	},
	{
		name: "several-lines", script: `on RCPT: 550 5.7.1 Our system has detected that this message is\n5.7.1 likely unsolicited mail.\n5.7.1 Go away`,
		want:   map[string]string{"ada": "queued accepted bounced"},
		status: "bounced",
		then: func(t *testing.T, s *stage, _ string, a []harness.Attempt) {
			r := a[0].Reply
			if r.Code != 550 || r.Enhanced != "5.7.1" || !strings.Contains(r.Text, "likely unsolicited mail") || !strings.Contains(r.Text, "Go away") {
				t.Errorf("reply is %+v", r)
			}
			s.expectSuppressed(t, "ada@several-lines.test", "") // policy blames nobody's address
		},
	},
	{
		name: "bad-certificate", script: "cert expired",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
		then: func(t *testing.T, _ *stage, _ string, a []harness.Attempt) {
			if a[0].TLS == nil || a[0].TLS.Version == "" || a[0].TLS.Verified {
				t.Errorf("TLS of the attempt: %+v; want encrypted and not verified", a[0].TLS)
			}
		},
	},
	{
		name: "broken-tls", script: "on STARTTLS: tls broken",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1, then: inClear,
	},
	{
		name: "starttls-refused", script: "on STARTTLS: 454 4.7.0 TLS not available",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1, then: inClear,
	},
	{
		name: "starttls-stripped", script: "on EHLO: starttls hide",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1, then: inClear,
	},
	{
		name: "null-mx", zone: "null-mx.test. MX 0 .\nnull-mx.test. A {ip}", script: "about never asked",
		want:   map[string]string{"ada": "queued bounced"},
		status: "bounced", unasked: true,
	},
	{
		name: "nxdomain", zone: "other.test. A {ip}",
		want:   map[string]string{"ada": "queued bounced"},
		status: "bounced",
	},
	{
		name: "servfail", zone: "servfail.test. A {ip}", script: "about never asked", servfail: true,
		want:   map[string]string{"ada": "queued deferred deferred bounced"},
		status: "bounced", unasked: true,
		then: func(t *testing.T, s *stage, id string, _ []harness.Attempt) { s.expectExhausted(t, id) },
	},
	{
		name: "no-mx", zone: "no-mx.test. A {ip}", script: "about its own exchanger (RFC 5321 §5.1)",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "v6-only", zone: "v6-only.test. MX 10 mx1.v6-only.test.\nmx1.v6-only.test. AAAA ::1", script: "about at ::1", ip: "::1",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "second-address", zone: "second-address.test. MX 10 mx1.second-address.test.\nmx1.second-address.test. A {dead}\nmx1.second-address.test. A {ip}",
		script: "about the other address of its name is dead",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1, outcomes: "delivered",
	},
	{
		name:   "second-host",
		zone:   "second-host.test. MX 10 mx1.second-host.test.\nsecond-host.test. MX 20 mx2.second-host.test.\nmx1.second-host.test. A {dead}\nmx2.second-host.test. A {ip}",
		script: "about the first host is dead",
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1, outcomes: "delivered",
		then: func(t *testing.T, _ *stage, _ string, a []harness.Attempt) {
			if a[0].MX.Used != "mx2.second-host.test" {
				t.Errorf("delivered to %q", a[0].MX.Used)
			}
		},
	},
	{
		name: "251", script: `on RCPT: 251 2.1.5 User not local\; will forward to <forward@another.example>`,
		want:   map[string]string{"ada": "queued accepted delivered"},
		status: "delivered", arrives: 1,
	},
	{
		name: "552", script: "on dot: 552 5.3.4 Message size exceeds fixed limit",
		want:   map[string]string{"ada": "queued accepted bounced"},
		status: "bounced", classes: "size",
		then: func(t *testing.T, s *stage, _ string, _ []harness.Attempt) {
			s.expectSuppressed(t, "ada@552.test", "")
		},
	},
	{
		name: "size-offered", script: "offer PIPELINING 8BITMIME SIZE=1000", bytes: 5000,
		want:   map[string]string{"ada": "queued accepted bounced"},
		status: "bounced", classes: "size",
	},
	{
		name: "data-refused", script: "on DATA: 554 5.7.1 No mail from you today",
		want:   map[string]string{"ada": "queued accepted bounced"},
		status: "bounced",
	},
	{
		name: "exhausted", script: "on MAIL: 450 4.3.2 System not accepting network messages",
		want:   map[string]string{"ada": "queued accepted deferred deferred bounced"},
		status: "bounced", outcomes: "deferred deferred deferred",
		then: func(t *testing.T, s *stage, id string, _ []harness.Attempt) {
			s.expectExhausted(t, id)
			s.expectSuppressed(t, "ada@exhausted.test", "")
		},
	},
	{
		name: "nobody-home", zone: "nobody-home.test. MX 10 mx1.nobody-home.test.\nmx1.nobody-home.test. A {dead}",
		want:   map[string]string{"ada": "queued accepted deferred deferred bounced"},
		status: "bounced", classes: "network network network",
		then: func(t *testing.T, s *stage, id string, _ []harness.Attempt) { s.expectExhausted(t, id) },
	},
}

func inClear(t *testing.T, _ *stage, _ string, a []harness.Attempt) {
	if a[len(a)-1].TLS != nil && a[len(a)-1].TLS.Version != "" {
		t.Errorf("TLS of the attempt: %+v; want none", a[len(a)-1].TLS)
	}
}

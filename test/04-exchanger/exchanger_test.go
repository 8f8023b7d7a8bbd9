package exchanger

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/test/harness"
)

// scenario is one site and what must come of a message to it.
type scenario struct {
	name     string
	script   string // of the exchanger; "" = nobody listens
	zone     string // "" = MX 10 to the exchanger; {ip} is its address, {dead} one where nobody listens
	ip       string // "" = one of its own
	servfail bool
	bytes    int // of an attached file

	want     map[string]string // events by recipient (local part)
	status   string            // of the message in the end
	arrives  int               // messages taken by the exchanger
	unasked  bool              // the exchanger must not be connected to
	outcomes string            // of the attempts, in order; "" = not looked at
	classes  string            // of the attempts, "-" for none; "" = not looked at
	then     func(t *testing.T, s *stage, id string, attempts []harness.Attempt)
}

// stage is what all scenarios share.
type stage struct {
	p     *harness.Postroad
	world *harness.World
}

func TestSites(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_RETRY_SCHEDULE", "400ms,400ms")})
	if err := world.Verify(p, "acme.test", ""); err != nil {
		t.Fatal(err)
	}
	s := &stage{p, world}
	for i, c := range cases {
		if c.ip == "" {
			c.ip = fmt.Sprintf("127.0.1.%d", i+1)
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.play(t, c, fmt.Sprintf("127.0.2.%d", i+1))
		})
	}
}

func (s *stage) play(t *testing.T, c scenario, dead string) {
	domain := c.name + ".test"
	exchanger := s.listen(t, c)
	zone := c.zone
	if zone == "" {
		zone = fmt.Sprintf("%s. MX 10 mx1.%s.\nmx1.%s. A {ip}", domain, domain, domain)
	}
	if err := s.world.Records(strings.NewReplacer("{ip}", c.ip, "{dead}", dead).Replace(zone)); err != nil {
		t.Fatal(err)
	}
	if c.servfail {
		s.world.DNS.Fail(domain, dnstest.ServFail)
	}

	id := s.p.Send(t, harness.LiveKey, c.message(domain))
	for local, want := range c.want {
		s.p.ExpectEvents(t, harness.LiveKey, id, local+"@"+domain, want, 20*time.Second)
	}
	if got := s.p.Status(t, harness.LiveKey, id); got != c.status {
		t.Errorf("status is %q, want %q", got, c.status)
	}
	attempts := s.p.Attempts(t, harness.LiveKey, id)
	c.compareAttempts(t, attempts)
	c.compareArrivals(t, exchanger)
	if c.then != nil {
		c.then(t, s, id, attempts)
	}
	if t.Failed() {
		for _, a := range attempts {
			t.Logf("attempt %d: %s %s %s %+v %v", a.Number, a.Outcome, a.Class, a.MX.Used, a.Reply, a.Transcript)
		}
	}
}

func (s *stage) listen(t *testing.T, c scenario) *persona.Server {
	t.Helper()
	if c.script == "" {
		return nil
	}
	if c.ip == "::1" {
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skipf("no IPv6 on loopback here: %v", err)
		}
		_ = l.Close()
	}
	return s.world.Exchanger(t, c.ip, c.script)
}

func (c scenario) message(domain string) map[string]any {
	var to []string
	for local := range c.want {
		to = append(to, local+"@"+domain)
	}
	slices.Sort(to)
	m := map[string]any{"from": "Acme <hello@acme.test>", "to": to, "subject": "Your order", "text": "Thank you, it is on its way.\n.\n..dots\n"}
	if c.bytes > 0 {
		m["attachments"] = []map[string]any{{
			"filename": "file.bin", "content": base64.StdEncoding.EncodeToString(make([]byte, c.bytes*3/4)),
		}}
	}
	return m
}

func (c scenario) compareAttempts(t *testing.T, attempts []harness.Attempt) {
	t.Helper()
	var outcomes, classes []string
	for _, a := range attempts {
		outcomes = append(outcomes, a.Outcome)
		if a.Class == "" {
			a.Class = "-"
		}
		classes = append(classes, a.Class)
	}
	if got := strings.Join(outcomes, " "); c.outcomes != "" && got != c.outcomes {
		t.Errorf("outcomes %q, want %q", got, c.outcomes)
	}
	if got := strings.Join(classes, " "); c.classes != "" && got != c.classes {
		t.Errorf("classes %q, want %q", got, c.classes)
	}
}

func (c scenario) compareArrivals(t *testing.T, exchanger *persona.Server) {
	t.Helper()
	if exchanger == nil {
		return
	}
	received := exchanger.Messages()
	if len(received) != c.arrives {
		t.Errorf("%d messages arrived, want %d", len(received), c.arrives)
	}
	if n := exchanger.Sessions(); c.unasked && n != 0 {
		t.Errorf("it was connected to %d times", n)
	}
	for _, m := range received {
		if m.Bare != 0 {
			t.Errorf("%d bare CR or LF in what arrived", m.Bare)
		}
		if m.MessageID != received[0].MessageID || !strings.HasSuffix(m.MessageID, "@acme.test") {
			t.Errorf("Message-IDs %q and %q", m.MessageID, received[0].MessageID)
		}
		if !strings.Contains(string(m.Data), "\r\n.\r\n..dots\r\n") {
			t.Error("lines that begin with dots did not arrive as they were written")
		}
	}
}

// expectSuppressed looks at the list: reason "" means that the address is not on it.
func (s *stage) expectSuppressed(t *testing.T, address, reason string) {
	t.Helper()
	var list struct {
		Data []struct {
			Reason string `json:"reason"`
		} `json:"data"`
	}
	a := s.p.Must(t, 200, "GET", "/v1/suppressions?recipient="+address, harness.LiveKey, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatal(err)
	}
	switch {
	case reason == "" && len(list.Data) > 0:
		t.Errorf("%s is suppressed: %s", address, a.Body)
	case reason != "" && (len(list.Data) != 1 || list.Data[0].Reason != reason):
		t.Errorf("%s: want suppressed for %s: %s", address, reason, a.Body)
	}
}

// expectExhausted looks at the bounce of a message that used up its ladder.
func (s *stage) expectExhausted(t *testing.T, id string) {
	t.Helper()
	var m struct {
		Recipients []struct {
			Bounce *struct {
				Type     string `json:"type"`
				Reason   string `json:"reason"`
				Attempts int    `json:"attempts"`
			} `json:"bounce"`
		} `json:"recipients"`
	}
	a := s.p.Must(t, 200, "GET", "/v1/messages/"+id, harness.LiveKey, nil)
	if err := json.Unmarshal(a.Body, &m); err != nil {
		t.Fatal(err)
	}
	if b := m.Recipients[0].Bounce; b == nil || b.Type != "soft" || b.Reason != "retries_exhausted" || b.Attempts != 3 {
		t.Errorf("bounce is %+v, want soft, retries_exhausted, 3 attempts", b)
	}
}

// TestAReusedConnectionThatSays421CostsNothing: a site that closes with 421 after two
// messages is common; the third message goes over a new connection at once.
func TestAReusedConnectionThatSays421CostsNothing(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_RETRY_SCHEDULE", "5s,5s", "POSTROAD_SITE_CONNECTIONS", "1")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	exchanger := world.Exchanger(t, "127.0.0.1", "on MAIL after 2 per session: 421 4.4.2 {host} Too many messages; close")
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 7 {
		ids = append(ids, p.Send(t, harness.LiveKey, map[string]any{
			"from": "hello@acme.test", "recipient": "ada@site.test", "subject": "Your order", "text": "Thank you.",
		}))
	}
	for _, id := range ids {
		p.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted delivered", 10*time.Second)
	}
	if n := exchanger.Sessions(); n != 4 {
		t.Errorf("%d connections for seven messages, want 4", n)
	}
}

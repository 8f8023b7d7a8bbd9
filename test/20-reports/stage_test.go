package reports

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/test/harness"
)

const (
	hostname = "mail.postroad.test" // the harness' own
	patience = 60 * time.Second
)

// stage is a Postroad with its door for reports open, a sending domain, and a site that takes all.
type stage struct {
	*testing.T
	p    *harness.Postroad
	site *persona.Server

	dataDir string // of the next commands; "" = the server's
}

func open(t *testing.T) *stage {
	t.Helper()
	world := harness.OpenWorld(t)
	site := world.Exchanger(t, "127.0.0.1", "about Takes everything.")
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	return &stage{T: t, p: start(t, world), site: site}
}

func start(t *testing.T, world *harness.World) *harness.Postroad {
	t.Helper()
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_INBOUND_ADDR", "127.0.0.1:0")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	return p
}

// sent is a message that was delivered.
type sent struct {
	id   string
	path string // its return path
	data string // as it arrived
}

// send has a message delivered to recipients in one transaction.
func (s *stage) send(to ...string) sent {
	s.Helper()
	before := s.site.Total()
	id := s.p.Send(s, harness.LiveKey, map[string]any{"from": "Acme <hello@acme.test>", "to": to, "subject": "Your order", "text": "Thank you.", "topic": "orders"})
	for _, address := range to {
		s.p.ExpectEvents(s, harness.LiveKey, id, address, "queued accepted delivered", patience)
	}
	m := s.site.Messages()[before]
	return sent{id, m.From, string(m.Data)}
}

// together has a message delivered to several in one transaction: without tokens of each one's own.
func (s *stage) together(to ...string) sent {
	s.Helper()
	before := s.site.Total()
	id := s.p.Send(s, harness.LiveKey, map[string]any{"from": "Acme <hello@acme.test>", "to": to, "subject": "Your order", "text": "Thank you."})
	for _, address := range to {
		s.p.ExpectEvents(s, harness.LiveKey, id, address, "queued accepted delivered", patience)
	}
	got := s.site.Messages()[before:]
	if len(got) != 1 {
		s.Fatalf("%d transactions for one message", len(got))
	}
	return sent{id, got[0].From, string(got[0].Data)}
}

func (s *stage) tells(m sent, recipient, want string) {
	s.Helper()
	s.p.ExpectEvents(s, harness.LiveKey, m.id, recipient, want, patience)
}

// conversation is an SMTP client that says what it is told to.
type conversation struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (s *stage) dial() *conversation { s.Helper(); return dial(s.T, s.p.Inbound) }

func dial(t *testing.T, address string) *conversation {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	c := &conversation{t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.says("EHLO mx.site.test", "250")
	return c
}

// says sends a line and reads the reply to it, which must begin so.
func (c *conversation) says(line, want string) {
	c.Helper()
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		c.Fatal(err)
	}
	c.want(want)
}

func (c *conversation) want(code string) {
	c.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.Fatalf("waiting for %s: %v", code, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, code) {
			c.Fatalf("it said %q, not %s", strings.TrimSpace(line), code)
		}
		return
	}
}

// brings hands in a letter as it is, which must be answered so.
func (c *conversation) brings(from, to, content, want string) {
	c.Helper()
	c.says("MAIL FROM:<"+from+">", "250")
	c.says("RCPT TO:<"+to+">", "250")
	c.says("DATA", "354")
	c.says(strings.TrimSuffix(content, "\r\n")+"\r\n.", want)
}

// dsn is a bounce report as sites write it, with CRLF.
func dsn(groups ...string) string {
	return crlf("From: MAILER-DAEMON@mx.site.test (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"4F2A1.1\"\n\nThis is a MIME-encapsulated message.\n\n--4F2A1.1\nContent-Type: text/plain; charset=us-ascii\n\n" +
		"I'm sorry to have to inform you.\n\n--4F2A1.1\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n" +
		"Reporting-MTA: dns; mx.site.test\nArrival-Date: Sun, 19 Apr 2026 14:30:00 +0000 (UTC)\n\n" + strings.Join(groups, "\n") + "\n--4F2A1.1--\n")
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func group(final, action, status, diagnostic string) string {
	return fmt.Sprintf("Final-Recipient: rfc822; %s\nAction: %s\nStatus: %s\nDiagnostic-Code: smtp; %s\n", final, action, status, diagnostic)
}

// arf is a complaint as feedback loops write it (RFC 5965 §B.2).
func arf(fields, returned string) string {
	return crlf("From: <abusedesk@site.test>\nSubject: FW: Your order\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report;\n\tboundary=\"part1_13d.2e68ed54\"\n\n" +
		"--part1_13d.2e68ed54\nContent-Type: text/plain; charset=\"US-ASCII\"\nContent-Transfer-Encoding: 7bit\n\nThis is an email abuse report.\n\n" +
		"--part1_13d.2e68ed54\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n" + fields +
		"\n--part1_13d.2e68ed54\nContent-Type: message/rfc822\nContent-Disposition: inline\n\n" + returned + "From: <hello@acme.test>\nSubject: Your order\n\nThank you.\n--part1_13d.2e68ed54--\n")
}

// suppressed are the kinds of what stands against an address, in a text.
func (s *stage) suppressed(address, want string) {
	s.Helper()
	var list struct {
		Data []struct {
			Kind string `json:"kind"`
		} `json:"data"`
	}
	a := s.p.Must(s, 200, "GET", "/v1/suppressions?recipient="+address, harness.LiveKey, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		s.Fatal(err)
	}
	got := ""
	for _, x := range list.Data {
		got += x.Kind + " "
	}
	if strings.TrimSpace(got) != want {
		s.Errorf("%s is suppressed for %q, want %q", address, got, want)
	}
}

// command runs a command of the binary beside the server.
func (s *stage) command(args ...string) string {
	s.Helper()
	binary, err := harness.Binary()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), binary, args...)
	cmd.Env = []string{"POSTROAD_DATA_DIR=" + cmp.Or(s.dataDir, filepath.Join(s.p.Dir, "data"))}
	said := &strings.Builder{}
	cmd.Stderr = said
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%v: %v: %s", args, err, said)
	}
	return string(out)
}

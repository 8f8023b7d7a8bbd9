package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// sites say these bytes after the connection is made, whatever they are told, and then
// take what comes for as long as it comes.
var sites = map[string]func(c net.Conn){
	"a megabyte in one line": func(c net.Conn) { _, _ = io.WriteString(c, "220 "+strings.Repeat("x", 1<<20)+"\r\n") },
	"a megabyte of lines": func(c net.Conn) {
		_, _ = io.WriteString(c, strings.Repeat("220-mx.test with much to say about itself\r\n", 25_000)+"220 done\r\n")
	},
	"lines without end": func(c net.Conn) {
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			if _, err := io.WriteString(c, strings.Repeat("220-more\r\n", 1000)); err != nil {
				return
			}
		}
	},
	"a megabyte for EHLO": talk(func(verb string) string {
		if verb == "EHLO" {
			return strings.Repeat("250-X-LIMIT "+strings.Repeat("y", 500)+"\r\n", 2000) + "250 PIPELINING\r\n"
		}
		return "250 ok\r\n"
	}),
	"a megabyte for RCPT": talk(func(verb string) string {
		switch verb {
		case "RCPT":
			return strings.Repeat("550-no "+strings.Repeat("z", 500)+"\r\n", 2000) + "550 no\r\n"
		case "EHLO":
			return "250-mx.test\r\n250 PIPELINING\r\n"
		}
		return "250 ok\r\n"
	}),
	"codes that change within a reply": talk(func(string) string { return "250-one\r\n451-two\r\n550 three\r\n" }),
	"no codes":                         talk(func(string) string { return "hello there\r\n" }),
	"NULs":                             talk(func(string) string { return strings.Repeat("\x00", 4096) + "\r\n" }),
	"354 to everything":                talk(func(string) string { return "354 go on\r\n" }),
	"999":                              talk(func(string) string { return "999 out of range\r\n" }),
	"replies before they are asked for": func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mx.test\r\n"+strings.Repeat("250 ok\r\n", 100))
		_, _ = io.Copy(io.Discard, c)
	},
	"noise": func(c net.Conn) {
		noise := make([]byte, 1<<20)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		_, _ = c.Write(noise)
	},
}

// talk greets and answers each command line.
func talk(answer func(verb string) string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, "220 mx.test\r\n"); err != nil {
			return
		}
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				if _, err := io.WriteString(c, answer(strings.ToUpper(line[:min(4, len(line))]))); err != nil {
					return
				}
			}
		}
	}
}

// TestNoSiteSticksTheQueue: mail to each hostile site ends its ladder, and mail to a good one
// is delivered all the while.
func TestNoSiteSticksTheQueue(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	world.Exchanger(t, "127.0.0.1", "about takes everything")
	if err := world.Route("good.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_RETRY_SCHEDULE", "200ms")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	send := func(t *testing.T, to string) string {
		return p.Send(t, harness.LiveKey, map[string]any{"from": "hello@acme.test", "recipient": to, "subject": "Order", "text": "Thank you."})
	}
	ids, n := map[string]string{}, 0
	for name, play := range sites {
		n++
		ip, domain := fmt.Sprintf("127.0.3.%d", n), fmt.Sprintf("site%d.test", n)
		serve(t, world.At(ip), play)
		if err := world.Route(domain, ip); err != nil {
			t.Fatal(err)
		}
		ids[name] = send(t, "ada@"+domain)
	}
	for range 5 {
		p.ExpectEvents(t, harness.LiveKey, send(t, "ada@good.test"), "", "queued accepted delivered", 5*time.Second)
	}
	for name, id := range ids {
		t.Run(name, func(t *testing.T) {
			for end := time.Now().Add(2 * harness.Patience); ; time.Sleep(50 * time.Millisecond) {
				status := p.Status(t, harness.LiveKey, id)
				if status == "bounced" {
					break
				}
				if status == "delivered" || time.Now().After(end) {
					t.Fatalf("status is %q: %v", status, p.Events(t, harness.LiveKey, id))
				}
			}
			for _, a := range p.Attempts(t, harness.LiveKey, id) {
				if len(a.Reply.Text) > 2<<10 || len(a.Transcript) > 500 {
					t.Errorf("the attempt keeps a reply of %d bytes and %d lines of transcript", len(a.Reply.Text), len(a.Transcript))
				}
			}
		})
	}
	if high := harness.PeakMemory(p.Pid()); high > 300<<20 && !harness.Raced() {
		t.Errorf("peak memory %d MB", high>>20)
	}
}

func serve(t *testing.T, addr string, play func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				play(c)
				_ = c.Close()
			}()
		}
	}()
}

package persona_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/persona"
)

// play starts a script and gives a function that says lines and gives the answers to them.
func play(t *testing.T, text string, o persona.Options) (*persona.Server, *talk) {
	t.Helper()
	script, err := persona.Load(text)
	if err != nil {
		script, err = persona.Parse("test", text)
	}
	if err != nil {
		t.Fatal(err)
	}
	server, err := persona.Listen("127.0.0.1:0", script, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server, dial(t, server)
}

type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, server *persona.Server) *talk {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { _ = conn.Close() })
	return &talk{t, conn, bufio.NewReader(conn)}
}

// hear reads one whole reply; "" is the end of the connection.
func (c *talk) hear() string {
	var all []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return strings.Join(all, "|")
		}
		all = append(all, strings.TrimRight(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(all, "|")
		}
	}
}

// says checks a dialogue: what is said, and how the answer begins.
func (c *talk) says(pairs ...string) {
	c.t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != "" {
			_, _ = c.conn.Write([]byte(pairs[i] + "\r\n"))
		}
		if got := c.hear(); !strings.HasPrefix(got, pairs[i+1]) || got != "" && pairs[i+1] == "" {
			c.t.Errorf("%q: got %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestEveryBuiltInPersonaIsReadableAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	names := persona.Names()
	if len(names) < 20 {
		t.Errorf("only %d personas: %v", len(names), names)
	}
	for _, name := range names {
		script, err := persona.Load(name)
		if err != nil || script.Name != name || script.About == "" {
			t.Errorf("%s: %+v, %v", name, script, err)
		}
	}
}

func TestAFileIsAPersonaTooAndAnUnknownNameIsExplained(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mine.persona")
	if err := os.WriteFile(file, []byte("about mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if script, err := persona.Load(file); err != nil || script.Name != "mine" || script.About != "mine" {
		t.Errorf("%+v, %v", script, err)
	}
	if _, err := persona.Load("gmial"); err == nil || !strings.Contains(err.Error(), "gmail") {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfAScriptNameTheirLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"hello", "on RCPT 451", "on FOO: close", "on RCPT: frobnicate", "on RCPT:", "on RCPT twice: close", "on RCPT times 0: close",
		"on RCPT per planet: close", "on RCPT <a: close", `on RCPT: 451 a\q`, `on RCPT: 451 a\x1`, "on RCPT: sleep soon", "cert stolen", "on RCPT: 45 x", `on RCPT: 451 a\`,
	} {
		if _, err := persona.Parse("bad", "# comment\n\n"+text); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestADialogueOfThePlainPersona(t *testing.T) {
	t.Parallel()
	server, c := play(t, "plain", persona.Options{Keep: true, Count: true})
	c.says("", "220 ", "EHLO me", "250-mx.persona.test greets me|250-PIPELINING|", "RCPT TO:<a@b.test>", "503", "MAIL FROM:<s@t.test> SMTPUTF8", "250",
		"MAIL FROM:<s@t.test>", "503", "DATA", "554", "rcpt to: <a@b.test>", "250", "RCPT TO:a@b.test", "501", "NOOP", "250", "WHAT", "500",
		"DATA", "354", "Message-Id: <1@t.test>\r\n\r\n..a\r\n.\n.\r\n.\rb\r\n.", "250 2.0.0 Ok: queued as 1", "RSET", "250", "QUIT", "221")
	got := server.Messages()
	if len(got) != 1 || string(got[0].Data) != "Message-Id: <1@t.test>\r\n\r\n.a\r\n\n.\r\n\rb\r\n" || got[0].MessageID != "1@t.test" || !got[0].UTF8 ||
		got[0].Bare != 2 || got[0].From != "s@t.test" || got[0].To[0] != "a@b.test" || got[0].Hello != "me" || got[0].Size != int64(len(got[0].Data)) {
		t.Errorf("got %+v %q", got, got[0].Data)
	}
	if server.Counts()["1@t.test"] != 1 || server.Duplicates() != 0 {
		t.Errorf("counts %v", server.Counts())
	}
}

func TestRulesCountInTheirScope(t *testing.T) {
	t.Parallel()
	server, c := play(t, strings.Join([]string{
		"on RCPT <once@*> once: 451 1", "on RCPT <two@*> times 2: 451 2", "on RCPT <after@*> after 1: 451 3", "on RCPT <third@*> every 3: 451 4",
		"on RCPT <*@each.test> once per recipient: 451 5", "on RCPT <s@*> once per session: 451 6", "on RCPT <c@*> once per client: 451 7",
	}, "\n"), persona.Options{})
	c.says("", "220", "EHLO x", "250", "MAIL FROM:<>", "250")
	var said []string
	for rcpt, answers := range map[string]string{
		"once@x": "451 250 250", "two@x": "451 451 250", "after@x": "250 451 451", "third@x": "250 250 451 250 250 451", "a@each.test": "451 250", "b@each.test": "451 250",
		"s@x": "451 250", "c@x": "451 250",
	} {
		for _, answer := range strings.Fields(answers) {
			said = append(said, "RCPT TO:<"+rcpt+">", answer)
		}
	}
	c.says(said...)
	other := dial(t, server)
	other.says("", "220", "EHLO x", "250", "MAIL FROM:<>", "250", "RCPT TO:<s@x>", "451", "RCPT TO:<c@x>", "250", "RCPT TO:<once@x>", "250")
}

func TestActionsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	server, c := play(t, `host mx.here
on MAIL: 250 {host} {client} <{from}> {fill 5}\; a\nb
on RCPT <raw@*>: raw 250-x\r\n250 y\r\n
on dot once: take; close
on QUIT: 221 bye; close`, persona.Options{})
	c.says("", "220 mx.here", "EHLO x", "250", "MAIL FROM:<me@x>", "250-mx.here 127.0.0.1 <me@x> xxxxx; a|250 b", "RCPT TO:<raw@x>", "250-x|250 y",
		"RCPT TO:<a@x>", "250", "DATA", "354", "x\r\n.", "")
	if server.Total() != 1 {
		t.Errorf("%d taken", server.Total())
	}
	c = dial(t, server)
	c.says("", "220", "QUIT", "221 bye", "", "")
}

func TestChunksAreReceived(t *testing.T) {
	t.Parallel()
	server, c := play(t, "offer CHUNKING", persona.Options{Keep: true})
	c.says("", "220", "EHLO x", "250", "BDAT 5\r\nabc", "503", "MAIL FROM:<>", "250", "RCPT TO:<a@x>", "250")
	_, _ = fmt.Fprintf(c.conn, "BDAT 20\r\nMessage-ID: <9@x>\r\n\r")
	c.says("", "250")
	_, _ = fmt.Fprintf(c.conn, "BDAT 6 LAST\r\n\n.\r\nab")
	c.says("", "250 2.0.0")
	if got := server.Messages(); len(got) != 1 || string(got[0].Data) != "Message-ID: <9@x>\r\n\r\n.\r\nab" || got[0].MessageID != "9@x" || got[0].Bare != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestDuplicatesAreCountedWithoutKeepingMessages(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	server, c := play(t, "plain", persona.Options{Count: true, OnMessage: func(r persona.Received) { seen.Store(r.MessageID, len(r.Data)) }})
	c.says("", "220", "EHLO x", "250")
	for _, id := range []string{"1", "2", "1", "3", "1"} {
		_, _ = fmt.Fprintf(c.conn, "MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\n")
		c.says("", "250", "", "250", "", "354", "message-id:  "+id+"\r\n\r\nMessage-ID: no\r\n.", "250")
	}
	if server.Total() != 5 || server.Duplicates() != 2 || server.Counts()["1"] != 3 || len(server.Messages()) != 0 {
		t.Errorf("total %d, twice %d, %v", server.Total(), server.Duplicates(), server.Counts())
	}
	if n, ok := seen.Load("2"); !ok || n.(int) == 0 {
		t.Error("the hook saw nothing")
	}
	if !server.Wait(5, time.Minute) || server.Wait(6, time.Millisecond) {
		t.Error("Wait")
	}
}

func TestItsCertificateIsOfTheKindAsked(t *testing.T) {
	t.Parallel()
	for script, good := range map[string]bool{"host mx.here": true, "host mx.here\ncert expired": false, "host mx.here\ncert wrong-name": false} {
		server, c := play(t, script, persona.Options{Keep: true})
		c.says("", "220", "EHLO x", "250", "STARTTLS", "220")
		conn := tls.Client(c.conn, &tls.Config{ServerName: "mx.here", RootCAs: server.Roots()})
		if err := conn.Handshake(); (err == nil) != good {
			t.Errorf("%q: %v", script, err)
		}
		if good {
			c = &talk{t, conn, bufio.NewReader(conn)}
			c.says("EHLO x", "250-mx.here greets x|250-PIPELINING|250-SIZE 52428800|250-8BITMIME|250-SMTPUTF8|250 ENHANCEDSTATUSCODES")
		}
	}
}

func TestTheTraceShowsTheDialogueAndNotTheContent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	server, c := play(t, "plain", persona.Options{Trace: &out})
	c.says("", "220", "EHLO x", "250", "MAIL FROM:<>", "250", "RCPT TO:<a@x>", "250", "DATA", "354", "secret\r\n.", "250", "QUIT", "221")
	_ = server.Close()
	if text := out.String(); !strings.Contains(text, `1 C: "RCPT TO:<a@x>"`) || !strings.Contains(text, `1 S: "221 2.0.0 Bye"`) || strings.Contains(text, "secret") {
		t.Errorf("trace:\n%s", text)
	}
}

func TestCloseEndsSessionsThatSleep(t *testing.T) {
	t.Parallel()
	server, _ := play(t, "slowbanner", persona.Options{Pace: 60}) // ten minutes
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	if err := server.Close(); err != nil || time.Since(began) > time.Minute {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if err := server.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestPaceHurriesAScript(t *testing.T) {
	t.Parallel()
	took := time.Hour
	for round := 0; took > 5*time.Second && round < 3; round++ { // ten seconds in earnest; a machine that stalls is measured again
		began := time.Now()
		_, c := play(t, "slowbanner", persona.Options{Pace: 0.001})
		c.says("", "220")
		took = time.Since(began)
	}
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("host a\noffer nothing\non RCPT <*@x> once per recipient: 451 4.7.1 a\\nb\\x41; sleep 2s; close\n")
	f.Add("on connect every 3: reset")
	f.Fuzz(func(t *testing.T, text string) {
		if script, err := persona.Parse("fuzz", text); (script == nil) == (err == nil) {
			t.Fatalf("%v, %v", script, err)
		}
	})
}

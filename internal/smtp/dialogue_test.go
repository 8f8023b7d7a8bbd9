package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

// recording is a connection on which the site has said everything already.
type recording struct {
	net.Conn
	said   io.Reader
	heard  bytes.Buffer
	writes int
}

func (c *recording) Read(p []byte) (int, error) { return c.said.Read(p) }
func (c *recording) Write(p []byte) (int, error) {
	c.writes++
	return c.heard.Write(p)
}
func (c *recording) SetDeadline(time.Time) error { return nil }
func (c *recording) Close() error                { return nil }

// play lets a site that says this hear one message to two recipients.
func play(said string) (*recording, *Client, *Result) {
	conn := &recording{said: strings.NewReader(said)}
	log := &Transcript{}
	log.Start(time.Now())
	c := New(conn, "out.sender.test", Timeouts{}, log)
	ctx := context.Background()
	if banner, err := c.Greet(ctx); err != nil || banner.Code != 220 {
		return conn, c, nil
	}
	if hello, err := c.Hello(ctx); err != nil || hello.Code != 250 {
		return conn, c, nil
	}
	return conn, c, c.Send(ctx, &Transaction{
		From: "a@sender.test", To: []string{"x@example.test", "y@example.test"},
		Header: []byte("DKIM-Signature: v=1\r\n"), Content: mail.Bytes("Subject: x\r\n\r\n.dot\r\n"),
	})
}

const hello = "220 mx\r\n250-mx\r\n250-SIZE 1000000\r\n250-8bitmime\r\n250 PIPELINING\r\n"

func TestASmallMessageIsTwoWrites(t *testing.T) {
	t.Parallel()
	conn, c, r := play(hello + "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 queued as 7\r\n")
	if r.Fault != nil || r.Recipients[0] != (Verdict{mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "queued as 7"}, StageDot}) ||
		r.Recipients[1] != (Verdict{mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no"}, StageRcpt}) {
		t.Errorf("got %+v", r)
	}
	want := "EHLO out.sender.test\r\nMAIL FROM:<a@sender.test> SIZE=41 BODY=8BITMIME\r\nRCPT TO:<x@example.test>\r\nRCPT TO:<y@example.test>\r\nDATA\r\n" +
		"DKIM-Signature: v=1\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"
	if conn.heard.String() != want || conn.writes != 3 {
		t.Errorf("%d writes: %q, want 3: %q", conn.writes, conn.heard.String(), want)
	}
	var text strings.Builder
	for _, l := range c.Log.Lines() {
		text.WriteString(l.From + ":" + l.Text + "\n")
	}
	if got := text.String(); !strings.Contains(got, "C:DATA\nS:250 ok\n") || !strings.HasSuffix(got, "C:(41 bytes)\nS:250 2.0.0 queued as 7\n") || strings.Contains(got, "dot") {
		t.Errorf("transcript:\n%s", got)
	}
}

func TestTheRightPlaceIsNamedWhenAConversationBreaks(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		stage    Stage
		answered bool
		afterDot bool
	}{
		hello:                                    {StageMail, false, false},
		hello + "250 ok\r\n":                     {StageRcpt, true, false},
		hello + "250 ok\r\n250 ok\r\n25":         {StageRcpt, true, false},
		hello + "250 ok\r\n250 ok\r\n250 ok\r\n": {StageData, true, false},
		hello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n":       {StageDot, true, true},
		hello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250":    {StageDot, true, true},
		hello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\nhm\r\n": {StageDot, true, true},
		hello + "hm\r\n": {StageMail, false, false},
	} {
		_, c, r := play(said)
		if r.Fault == nil || r.Fault.Stage != want.stage || r.Answered != want.answered || r.AfterDot != want.afterDot || c.Usable() {
			t.Errorf("%q: got %+v, fault %v", said, r, r.Fault)
		}
		if r.Recipients[0].Reply.Code != 0 {
			t.Errorf("%q: a reply out of nowhere: %+v", said, r.Recipients[0])
		}
	}
}

func TestAnEHLOReplyTellsWhatIsOffered(t *testing.T) {
	t.Parallel()
	_, c, _ := play("220 mx\r\n250-PIPELINING is the name of this host\r\n250-size\r\n250-StartTLS\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 8BITMIME\r\n")
	if got := c.Offers(); got != (Offers{EightBit: true, UTF8: true, Chunking: true, StartTLS: true, size: true}) {
		t.Errorf("got %+v", got)
	}
	_, c, _ = play("220 mx\r\n250-mx\r\n250 SIZE -5\r\n")
	if got := c.Offers(); got != (Offers{size: true}) {
		t.Errorf("got %+v", got)
	}
}

func TestAStepHasOneDeadlineHoweverTheReplyDrips(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	go func() {
		for {
			if _, err := theirs.Write([]byte("220-still here\r\n")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	began := time.Now()
	c := New(ours, "x", Timeouts{Banner: 200 * time.Millisecond}, nil)
	_, err := c.Greet(t.Context())
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(began) > time.Minute {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestAnEndedContextCutsAtOnce(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := New(ours, "x", Timeouts{}, nil).Greet(ctx)
	var fault *Fault
	if !errors.As(err, &fault) || !fault.Cut {
		t.Errorf("got %v", err)
	}
}

func TestATranscriptIsBounded(t *testing.T) {
	t.Parallel()
	var log Transcript
	log.Start(time.Now())
	for range 10000 {
		log.Note(strings.Repeat("x", 100))
	}
	lines, size := log.Lines(), 0
	for _, l := range lines {
		size += len(l.Text)
	}
	if size > maxTranscript+100 || lines[len(lines)-1].Text != "the rest of the transcript was left out" {
		t.Errorf("%d bytes, last %q", size, lines[len(lines)-1].Text)
	}
}

func FuzzDialogue(f *testing.F) {
	f.Add([]byte(hello + "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 queued\r\n"))
	f.Add([]byte(hello + "421 4.7.0 bye\r\n"))
	f.Add([]byte(hello + "250 ok\r\n550 a\r\n550 b\r\n354 go\r\n554 none\r\n"))
	f.Add([]byte("220 mx\r\n500 what\r\n250 mx\r\n250 ok\r\n250 ok\r\n252 ok\r\n354 go\r\n451 4.3.0 later\r\n"))
	f.Add([]byte("220-\xff\r\n220 mx\r\n250-mx\r\n250 SIZE 99999999999999999999\r\n354 x\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		conn, c, r := play(string(said))
		for _, l := range c.Log.Lines() {
			if !utf8.ValidString(l.Text) || strings.ContainsAny(l.Text, "\r\n\x00") {
				t.Fatalf("unclean transcript line %q", l.Text)
			}
		}
		if r == nil {
			return
		}
		dot := bytes.HasSuffix(conn.heard.Bytes(), []byte("..dot\r\n.\r\n"))
		if len(r.Recipients) != 2 || r.AfterDot && (!dot || r.Fault == nil) {
			t.Fatalf("dot sent %v, result %+v", dot, r)
		}
		for _, v := range r.Recipients {
			switch code := v.Reply.Code; {
			case code == 0 && r.Fault == nil:
				t.Fatalf("neither a reply nor a fault: %+v", r)
			case code/100 == 2 && (v.Stage != StageDot || !dot):
				t.Fatalf("accepted without a dot: %+v", r)
			case code/100 == 3:
				t.Fatalf("an intermediate reply decided: %+v", r)
			}
		}
		if !c.Usable() && r.Fault == nil && !bytes.Contains(said, []byte("421")) {
			t.Fatalf("ended without a reason: %+v", r)
		}
	})
}

func TestAuthSaysPlainOrLoginAndNoTranscriptShowsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ offers, replies, heard, want string }{
		"plain":        {"AUTH LOGIN PLAIN", "235 2.7.0 ok\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "235"},
		"login":        {"AUTH XOAUTH2 LOGIN", "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n", "AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n", "235"},
		"login early":  {"AUTH LOGIN", "334 VXNlcm5hbWU6\r\n535 5.7.8 who?\r\n", "AUTH LOGIN\r\ndXNlcg==\r\n", "535"},
		"refused":      {"AUTH PLAIN", "535 5.7.8 no\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "535"},
		"no mechanism": {"AUTH GSSAPI", "", "", "neither AUTH PLAIN nor AUTH LOGIN"},
		"lost":         {"AUTH PLAIN", "", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "waiting for the reply to AUTH"},
	} {
		conn := &recording{said: strings.NewReader("220 mx\r\n250-mx\r\n250 " + c.offers + "\r\n" + c.replies)}
		log := &Transcript{}
		log.Start(time.Now())
		client := New(conn, "out.sender.test", Timeouts{}, log)
		if _, err := client.Greet(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn.heard.Reset()
		got, err := client.Auth(t.Context(), "user", "secret")
		told := fmt.Sprint(got.Code, " ", err)
		if !strings.Contains(told, c.want) || conn.heard.String() != c.heard {
			t.Errorf("%s: got %s, heard %q", name, told, conn.heard.String())
		}
		for _, line := range log.Lines() {
			if strings.Contains(line.Text, "c2VjcmV0") || strings.Contains(line.Text, "dXNlcg") || strings.Contains(line.Text, "AHVzZXI") {
				t.Errorf("%s: the transcript shows %q", name, line.Text)
			}
		}
	}
}

package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/internal/project"
)

func TestASiteThatEndsASessionCostsNoMessageAnAttempt(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"421 at MAIL":        "421-midsession",
		"421 without a word": "on MAIL after 2 per session: close",
		"421 after a reply":  `on dot every 2: raw 250 2.0.0 Ok\r\n421 4.4.2 bye\r\n; take; close`,
		"reset at MAIL":      "on MAIL after 1 per session: reset",
		"421 at RSET":        "on RCPT <no@*>: 550 5.1.1 no\non RSET: 421 4.0.0 bye; close",
		"RSET refused":       "on RCPT <no@*>: 550 5.1.1 no\non RSET: 500 5.5.1 what",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, classify, script)
			session := s.session()
			for i := range 5 {
				if strings.Contains(script, "RSET") {
					want(t, s.carryOver(session, "no@example.test"), "bounced 550 unknown_user")
				}
				attempts := s.carryOver(session, "a@example.test")
				want(t, attempts, "delivered 250")
				if s.mx(1).Total() != i+1 {
					t.Fatalf("%d received after %d", s.mx(1).Total(), i+1)
				}
			}
			if n := s.mx(1).Sessions(); n < 3 {
				t.Errorf("%d connections: the script did not end any", n)
			}
		})
	}
}

func TestAnIdleConnectionTheSiteClosedIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	session := s.session()
	want(t, s.carryOver(session, "a@example.test"), "delivered 250")
	_ = s.mx(1).Close()
	s.start("mx1.example.test", "plain")
	attempts := s.carryOver(session, "b@example.test")
	want(t, attempts, "delivered 250")
	if !said(attempts[0], "connecting again") {
		t.Errorf("transcript:\n%s", transcript(attempts))
	}
}

func TestALastLookStopsWhatMayNotGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	s.begin.verdicts = map[string]deliver.Verdict{
		"gone@example.test": {Outcome: mail.OutcomeCancelled}, "not@example.test": {Outcome: mail.OutcomeSuppressed}, "lost@example.test": {Outcome: mail.Untried},
	}
	attempts := s.carry("gone@example.test", "a@example.test", "not@example.test", "lost@example.test")
	want(t, attempts, "cancelled 0", "delivered 250", "suppressed 0", "untried 0")
	if got := s.mx(1).Messages()[0].To; len(got) != 1 || got[0] != "a@example.test" {
		t.Errorf("sent to %q", got)
	}
	session := s.session()
	want(t, s.carryOver(session, "gone@example.test"), "cancelled 0")
	if !session.Reusable() || s.mx(1).Total() != 1 {
		t.Errorf("reusable %v, %d received", session.Reusable(), s.mx(1).Total())
	}
}

func TestAnExpiredMessageIsNotSent(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	job := s.job("x\r\n", "a@example.test")
	job.Message.ExpiresAt = time.Now().Add(-time.Second)
	want(t, s.session().Carry(t.Context(), nil, job), "expired 0")
	if s.mx(1).Sessions() != 0 || s.begin.count() != 0 {
		t.Error("it was dialled or begun")
	}
}

func TestFaultsOfOursAreUntriedAndWait(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, change := range map[string]func(*deliver.Options){
		"keys": func(o *deliver.Options) { o.Keys = keys{err: boom} },
		"sign": func(o *deliver.Options) {
			o.Keys = keys{}
			o.Sign = func(mail.Content, []dkim.Key, time.Time) ([]byte, error) { return nil, boom }
		},
		"begin":   func(o *deliver.Options) { o.Begin = &beginner{err: boom} },
		"content": func(o *deliver.Options) { o.Contents = contents{err: boom} },
		"reading": func(o *deliver.Options) { o.Contents = contents{content: &broken{size: 1 << 20, readable: 200 << 10}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, change, "plain")
			job := s.job("x\r\n", "a@example.test", "b@example.test")
			if s.o.Contents != nil {
				job.Works[0].Content, job.Works[1].Content = nil, nil
			}
			attempts := s.session().Carry(t.Context(), nil, job)
			want(t, attempts, "untried 0", "untried 0")
			if attempts[0].RetryAfter < time.Second || attempts[0].Wait != mail.WaitRetry {
				t.Errorf("it would be tried again at once: %+v", attempts[0])
			}
			if s.mx(1).Total() != 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestLostContentAndUnspeakableAddressesFailForGood(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *deliver.Options) { o.Contents = contents{err: mail.ErrNoContent} }, "plain")
	job := s.job("x\r\n", "a@example.test")
	job.Works[0].Content = nil
	want(t, s.session().Carry(t.Context(), nil, job), "failed 0")

	for _, address := range []string{"a@example.test>\r\nRSET\r\nMAIL FROM:<x@y", "a b@example.test", "a\x00@example.test", "", "\"open@example.test"} {
		s = newSite(t, nil, "plain")
		want(t, s.carry(address), "failed 0")
		if s.mx(1).Total() != 0 {
			t.Errorf("%q was sent", address)
		}
	}
}

func TestAQuotedLocalPartIsSentAsItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	want(t, s.carry(`"a <\"> b"@example.test`), "delivered 250")
	if got := s.mx(1).Messages()[0].To[0]; got != `"a <\"> b"@example.test` {
		t.Errorf("got %q", got)
	}
}

func TestTheSignatureGoesFirstAndTheReturnPathIsTheDomains(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *deliver.Options) {
		o.Keys = keys{signing: project.Signing{Keys: []dkim.Key{{Domain: "sender.test", Selector: "s1"}, {Selector: "s2"}}, ReturnPath: "bounce.sender.test"}}
		o.Sign = func(c mail.Content, keys []dkim.Key, _ time.Time) ([]byte, error) {
			return []byte("DKIM-Signature: d=" + keys[0].Domain + "\r\n"), nil
		}
		o.ReturnPaths = returnPaths{}
	}, "plain")
	attempts := s.carry("a@example.test")
	want(t, attempts, "delivered 250")
	got := s.mx(1).Messages()[0]
	if !bytes.HasPrefix(got.Data, []byte("DKIM-Signature: d=sender.test\r\nMessage-ID:")) || got.From != "bounces+1@bounce.sender.test" {
		t.Errorf("from %s: %q", got.From, got.Data)
	}
	if strings.Join(attempts[0].Signed, " ") != "s1 s2" {
		t.Errorf("signed %q", attempts[0].Signed)
	}
}

func TestTheReturnPathIsOfADeliveryThatGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *deliver.Options) { o.ReturnPaths = returnPaths{} }, "plain")
	s.begin.verdicts = map[string]deliver.Verdict{"not@example.test": {Outcome: mail.OutcomeSuppressed}}
	want(t, s.carry("not@example.test", "a@example.test"), "suppressed 0", "delivered 250")
	if got := s.mx(1).Messages()[0].From; got != "bounces+2@out.sender.test" {
		t.Errorf("got %s", got)
	}
}

func TestASenderThatRequiresTLSDoesNotUseAConnectionInClear(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *deliver.Options) { o.Keys = keys{required: "strict.test"} }, "offer PIPELINING")
	session := s.session()
	want(t, s.carryOver(session, "a@example.test"), "delivered 250")
	job := s.job("x\r\n", "b@example.test")
	job.Message.From.Email = "x@strict.test"
	want(t, session.Carry(t.Context(), nil, job), "deferred 0 tls")
	if s.mx(1).Total() != 1 {
		t.Error("it was sent in clear")
	}
}

func TestALargeContentIsStreamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	data := bytes.Repeat([]byte("Subject: x\r\n.leading dot and some text to fill the line\r\n"), 50000)
	data = append([]byte("Subject: x\r\n\r\n"), data...)
	job := s.job("", "a@example.test")
	job.Works[0].Content = file{data}
	attempts := s.session().Carry(t.Context(), nil, job)
	want(t, attempts, "delivered 250")
	if got := s.mx(1).Messages()[0]; !bytes.Equal(got.Data, data) {
		t.Errorf("%d bytes received of %d", len(got.Data), len(data))
	}
}

// Not parallel: it counts what the whole process allocates.
func TestFiftyMegabytesAreNeverInMemory(t *testing.T) {
	s := newSite(t, nil, nobody)
	script, err := persona.Load("plain")
	if err != nil {
		t.Fatal(err)
	}
	server, err := persona.Listen(fmt.Sprintf("127.0.0.1:%d", s.port), script, persona.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	job := s.job("", "a@example.test")
	job.Works[0].Content = generated(50 << 20)
	// The system's root certificates are loaded on the way: some 4 MB.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	want(t, s.session().Carry(t.Context(), nil, job), "delivered 250")
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 || server.Total() != 1 {
		t.Errorf("%d bytes allocated for a message of 50 MB, %d received", used, server.Total())
	}
}

// generated is content of so many bytes that exists only while it is read.
type generated int64

func (g generated) Size() int64 { return int64(g) }
func (g generated) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(&lines{}, int64(g))), nil
}

// lines is the same line without end.
type lines struct{ at int }

func (l *lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "Name: value\r\n"[l.at%13]
		l.at++
	}
	return len(p), nil
}

func TestAConnectionLostInALargeContentIsBeforeTheDot(t *testing.T) {
	t.Parallel()
	for script, expected := range map[string]string{
		"on content: close":    "deferred 0 network",
		"on content: sleep 1h": "deferred 0 network",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, classify, "offer PIPELINING\n"+script)
			data := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\r\n"), 400000)
			job := s.job("", "a@example.test")
			job.Works[0].Content = file{data}
			want(t, s.session().Carry(t.Context(), nil, job), expected)
		})
	}
}

func TestBareLineEndsNeverLeave(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	job := s.job("", "a@example.test")
	job.Works[0].Content = mail.Bytes("Subject: x\n\nhello\r.\r\n\n.\nMAIL FROM:<evil@x>\n.\r\nlast\r")
	want(t, s.session().Carry(t.Context(), nil, job), "delivered 250")
	got := s.mx(1).Messages()
	if len(got) != 1 || got[0].Bare != 0 {
		t.Fatalf("%d messages, bare line ends in the first: %d", len(got), got[0].Bare)
	}
	if expected := "Subject: x\r\n\r\nhello\r\n.\r\n\r\n.\r\nMAIL FROM:<evil@x>\r\n.\r\nlast\r\n"; string(got[0].Data) != expected {
		t.Errorf("got %q, want %q", got[0].Data, expected)
	}
}

func TestAHardStopTellsWhetherTheSiteMayHaveTheMessage(t *testing.T) {
	t.Parallel()
	for script, expected := range map[string]string{
		"on RCPT: sleep 1h": "untried 0", "on dot: sleep 1h": "uncertain 0 network", "on connect: sleep 1h": "untried 0",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(o *deliver.Options) { o.Timeouts = timeouts(nil) }, script)
			var attempts []mail.Attempt
			// The stop may come before a slow machine is where the site falls silent.
			for _, after := range []time.Duration{200 * time.Millisecond, 2 * time.Second, 15 * time.Second} {
				ctx, cancel := context.WithTimeout(t.Context(), after)
				began := time.Now()
				attempts = s.session().Carry(ctx, nil, s.job("x\r\n", "a@example.test"))
				took := time.Since(began)
				cancel()
				if took > patience {
					t.Errorf("it took %s", took)
				}
				if slices.Equal(outcomes(attempts), []string{expected}) {
					break
				}
			}
			want(t, attempts, expected)
		})
	}
}

func TestASoftStopBeginsNothingAndLetsTheBegunEnd(t *testing.T) {
	t.Parallel()
	for script, expected := range map[string]string{
		"on RCPT: sleep 300ms": "delivered 250", "on dot: sleep 300ms": "delivered 250", "on connect: sleep 1h": "untried 0",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(o *deliver.Options) { o.Timeouts = timeouts(nil) }, script)
			soft := make(chan struct{})
			go func() { // stops what has begun, but at connect what has not
				defer close(soft)
				begun := func() bool { return s.begin.count() > 0 }
				if strings.HasPrefix(script, "on connect") {
					begun = func() bool { return s.mx(1).Sessions() > 0 }
				}
				for end := time.Now().Add(patience); !begun() && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
			}()
			session := s.session()
			want(t, session.Carry(t.Context(), soft, s.job("x\r\n", "a@example.test")), expected)
			want(t, session.Carry(t.Context(), soft, s.job("x\r\n", "a@example.test")), "untried 0")
		})
	}
}

type keys struct {
	signing  project.Signing
	required string
	err      error
}

func (k keys) Signing(_ context.Context, _ int64, domain string) (project.Signing, error) {
	out := k.signing
	out.RequireTLS = k.required == domain
	if out.Keys == nil {
		out.Keys = []dkim.Key{{Selector: "s1"}}
	}
	return out, k.err
}

type returnPaths struct{}

func (returnPaths) ReturnPath(host string, _ *mail.Message, d *mail.Delivery) string {
	return "bounces+" + string(rune('0'+d.Row)) + "@" + host
}

type contents struct {
	content mail.Content
	err     error
}

func (c contents) Content(context.Context, int64) (mail.Content, error) { return c.content, c.err }

// file is content that is not in memory, as far as the carrier can tell.
type file struct{ data []byte }

func (f file) Size() int64                  { return int64(len(f.data)) }
func (f file) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.data)), nil }

// broken is content whose disk fails after so many bytes.
type broken struct{ size, readable int64 }

func (b *broken) Size() int64 { return b.size }
func (b *broken) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader("A: b\r\n\r\n"), io.LimitReader(zeros{}, b.readable), failing{})), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

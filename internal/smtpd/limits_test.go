package smtpd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/smtpd"
)

// keyOf makes a key that may send.
func (h *house) keyOf(k project.NewKey) (secret string, who project.Principal) {
	h.t.Helper()
	live, fault := h.access.Authenticate(h.t.Context(), liveKey, netip.Addr{}, time.Now())
	if fault != nil {
		h.t.Fatal(fault)
	}
	k.Name, k.Scopes, k.By, k.Project = "app", []string{"messages.send"}, &live, live.Project
	_, secret, err := h.access.CreateKey(h.t.Context(), k, nil, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if who, fault = h.access.Authenticate(h.t.Context(), secret, netip.Addr{}, time.Now()); fault != nil {
		h.t.Fatal(fault)
	}
	return secret, who
}

func TestADaysQuotaIsARefusalForNowThatSaysUntilWhen(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	two := 2
	secret, _ := h.keyOf(project.NewKey{DailyMessages: &two})
	c := h.known(secret)
	first := c.transaction(hello("Idempotency-Key: k"), "ada@customer.io")
	c.want250(first)
	c.want250(c.transaction(hello(), "ada@customer.io"))
	got := c.transaction(hello(), "ada@customer.io")
	if !strings.HasPrefix(got, "451 4.7.0 the daily quota of the key is used up: 2 messages a day (UTC); retry in ") {
		t.Errorf("got %q", got)
	}
	if got := c.transaction(hello("Idempotency-Key: k"), "ada@customer.io"); got != strings.Replace(first, "queued", "already accepted", 1) {
		t.Errorf("what was accepted before: %q", got)
	}
	if s := h.Stats(); s.Deferred != 1 || s.Rejected != 0 || s.RateLimited != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWhileThereIsNoRoomNoContentIsRead(t *testing.T) {
	t.Parallel()
	var short atomic.Bool
	h := build(t, 0, func(o *smtpd.Options) {
		o.Pressure = func(time.Time) *mail.Error {
			if short.Load() {
				return &mail.Error{Code: "storage_unavailable", Status: 503, Message: "The server's disk is nearly full."}
			}
			return nil
		}
	})
	c := h.known(liveKey)
	short.Store(true)
	c.say("MAIL FROM:<> SIZE=40000000", "451 4.3.0 The server's disk is nearly full. (req_")
	c.say("RCPT TO:<ada@customer.io>", "503")
	c.say("DATA", "503")
	short.Store(false)
	c.want250(c.transaction(hello(), "ada@customer.io"))
	if s := h.Stats(); s.Deferred != 1 || s.Rejected != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAKeyHandsInAsManyAtTheSameTimeAsItMayInTheAPI(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	h.access.Limits().AtOnce(2)
	secret, who := h.keyOf(project.NewKey{})
	if !h.access.Limits().Enter(who) { // a request over HTTP
		t.Fatal("no entry")
	}
	sending, other := h.known(secret), h.known(secret)
	sending.say("MAIL FROM:<>", "250")
	sending.say("RCPT TO:<ada@customer.io>", "250")
	sending.say("DATA", "354")
	const want = "451 4.7.0 this API key hands in too many messages at the same time; retry in 1 s"
	other.say("MAIL FROM:<>", "250")
	other.say("RCPT TO:<ada@customer.io>", "250")
	other.say("DATA", want)
	other.send("MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\nBDAT 3\r\nabcBDAT 3 LAST\r\ndefRSET\r\n")
	for _, want := range []string{"250", "250", want, "451 4.3.0", "250"} {
		other.want(want)
	}
	sending.send(hello() + ".\r\n")
	sending.want("250 2.0.0 msg_")
	other.want250(other.transaction(hello(), "ada@customer.io"))
	other.say("MAIL FROM:<>", "250")
	other.say("RCPT TO:<ada@customer.io>", "250")
	other.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(hello()), hello()))
	other.want("250 2.0.0 msg_")
	h.access.Limits().Leave(who)
	for range 2 { // all that entered have left
		if !h.access.Limits().Enter(who) {
			t.Error("somebody who left is still counted")
		}
	}
}

// A content has its time in all, whatever is said between its chunks.
func TestChunksDoNotHoldTheirPlaceForEver(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"a little more": "BDAT 1\r\nx", "nothing more": "NOOP\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 0, func(o *smtpd.Options) { o.Content = 400 * time.Millisecond })
			c := h.known(liveKey)
			c.send("MAIL FROM:<>\r\nRCPT TO:<a@customer.io>\r\nBDAT 3\r\nabc")
			began, last := time.Now(), ""
			go func() {
				for {
					if _, err := io.WriteString(c.conn, more); err != nil {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			for {
				reply, err := readReply(c.r)
				if err != nil {
					break
				}
				last = reply
			}
			if took := time.Since(began); !strings.HasPrefix(last, "421 4.4.2 ") || took > time.Minute {
				t.Errorf("after %v: %q", took, last)
			}
		})
	}
}

// fails is a way in that breaks.
type fails struct{ smtpd.Submitter }

func (fails) Drop(mail.Content) { panic("broken") }

func TestAPanicEndsOneConversationAndSaysSo(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { o.Submitter = fails{o.Submitter} })
	c := h.known(liveKey)
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	c.say("DATA", "354")
	c.send(letter("To: nobody", "", "x") + ".\r\n")
	c.want("550")
	c.want("421 4.3.0")
	c.wantEnd()
	h.known(liveKey).say("NOOP", "250")
	if s := h.Stats(); s.Panics != 1 {
		t.Errorf("%+v", s)
	}
}

// Who loses their place, or is told to go, loses the connection too, also in the middle of
// a handshake.
func TestAHandshakeThatNeverEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { withTLS(o); o.Connections, o.Unknown = 2, time.Hour })
	addr := h.listen(true)
	first := dialTo(t, addr)
	second := dialTo(t, addr)
	for end := time.Now().Add(time.Minute); h.Stats().Connected < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2100 * time.Millisecond) // the grace of those who came first
	third := dialTo(t, addr)
	third.secure()
	third.want("220")
	began := time.Now()
	first.wantEnd() // its place is the third's
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	h.Shutdown(ctx)
	second.wantEnd()
	third.want("421 4.3.2")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// A client that is known and then begins TLS has time to say again who it is.
func TestWhoWasKnownInClearHasTimeAfterSTARTTLS(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { withTLS(o); o.Unknown = 3 * time.Second })
	c := h.known(liveKey)
	time.Sleep(3100 * time.Millisecond)
	c.say("STARTTLS", "220")
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn = net.Conn(conn)
	c.r.Reset(conn)
	c.say("EHLO x", "250")
	c.say("AUTH PLAIN "+plain(liveKey), "235")
}

func TestASuspendedProjectIsToldSoAndGoesOnWhenItIsResumed(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	_, who := h.keyOf(project.NewKey{})
	c := h.known(liveKey)
	c.want250(c.transaction(hello(), "ada@customer.io"))
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	if _, err := h.access.Suspend(t.Context(), who.Project.Name, "unpaid"); err != nil {
		t.Fatal(err)
	}
	c.say("RSET", "250")
	c.say("MAIL FROM:<>", "550 5.7.1 This project is suspended (unpaid)")
	late := h.dial()
	late.want("220")
	late.say("EHLO x", "250")
	late.say("AUTH PLAIN "+plain(liveKey), "550 5.7.1 This project is suspended (unpaid)")
	if _, err := h.access.Resume(t.Context(), who.Project.Name); err != nil {
		t.Fatal(err)
	}
	c.want250(c.transaction(hello(), "ada@customer.io"))
	late.say("AUTH PLAIN "+plain(liveKey), "235")
}

// forgetful cannot tell what a key's first message was told.
type forgetful struct{}

func (forgetful) Remembered(context.Context, mail.Owner, string, string, time.Time) (mail.Answer, error) {
	return mail.Answer{}, errors.New("disk trouble")
}

// What may have been accepted before is not refused for good while nobody can tell.
func TestARefusalThatMayBeOfSomethingAcceptedIsForNow(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { o.Memory = forgetful{} })
	c := h.known(liveKey)
	unverified := func(fields ...string) string {
		return letter(append(fields, "From: hello@new.test", "", "x")...)
	}
	if got := c.transaction(unverified(), "ada@customer.io"); !strings.HasPrefix(got, "550 5.7.1 ") {
		t.Errorf("without a key: %q", got)
	}
	if got := c.transaction(unverified("Idempotency-Key: k"), "ada@customer.io"); !strings.HasPrefix(got, "451 4.3.0 ") {
		t.Errorf("got %q", got)
	}
}

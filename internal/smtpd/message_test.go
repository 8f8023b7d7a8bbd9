package smtpd_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/smtpd"
)

func TestTheBytesAreKeptAndWhatIsForUsIsTakenOut(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	c := h.known(liveKey)
	body := "\r\n. \r\n..\r\n.a\r\n" + strings.Repeat("x", 5000) + "\r\nGr\xc3\xbc\xc3\x9fe \xff\r\n\r\n.\t\r\nend"
	head := letter("Date: Sun, 19 Apr 2026 14:30:00 +0000", "Message-ID: <a@b>", "From: Acme", "\t<hello@acme.test>", "To: ada@customer.io", "Cc: Bob <bob@customer.io>")
	extra := letter("Bcc: secret@hidden.io", "Resent-Bcc: secret@hidden.io", "X-Postroad-Tag: first", "x-postroad-tag: second", "X-Postroad-Metadata: order=42", "X-Postroad-Priority: high", "Idempotency-Key: k1")
	for _, stuffed := range []bool{true, false} {
		var reply string
		content := extra + head + body + "\r\n"
		to := []string{"ada@customer.io", "bob@customer.io", "secret@hidden.io"}
		if stuffed {
			reply = c.transaction(strings.ReplaceAll(content, "\r\n.", "\r\n.."), to...)
		} else {
			content = strings.Replace(content, "k1", "k2", 1)
			c.say("MAIL FROM:<x@y.test>", "250")
			for _, a := range to {
				c.say("RCPT TO:<"+a+">", "250")
			}
			c.send(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", 100, content[:100], len(content)-100, content[100:]))
			c.want("250 2.0.0 the chunk")
			reply = c.reply()
		}
		if !strings.HasPrefix(reply, "250 2.0.0 msg_") || !strings.HasSuffix(reply, " queued") {
			t.Fatalf("%v: %q", stuffed, reply)
		}
		if got := h.stored(reply); got != head+body+"\r\n" {
			t.Errorf("%v: got\n%q", stuffed, got)
		}
	}
	m := h.seen.accepted[0]
	if m.Message.Via != "smtp" || m.Message.Tier != mail.Urgent || m.Message.IdempotencyKey != "k1" || fmt.Sprint(m.Message.Tags) != "[first second]" ||
		m.Message.Metadata["order"] != "42" || len(m.Deliveries) != 3 || m.Deliveries[0].Type != mail.To || m.Deliveries[1].Type != mail.Cc || m.Deliveries[2].Type != mail.Bcc {
		t.Errorf("%+v\n%+v", m.Message, m.Deliveries)
	}
	bare := h.stored(c.transaction(letter("From: hello@acme.test", "", "x"), "ada@customer.io"))
	if !strings.Contains(bare, "\r\nDate: ") && !strings.HasPrefix(bare, "Date: ") || !strings.Contains(bare, "Message-ID: <") || !strings.HasSuffix(bare, "From: hello@acme.test\r\n\r\nx\r\n") {
		t.Errorf("got %q", bare)
	}
}

func TestWhatIsWrongWithAMessageIsTold(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	c := h.known(liveKey)
	for content, want := range map[string]string{
		letter("To: a@customer.io", "", "x"):                                                   "550 5.6.0 headers.From",
		letter("From: a@b.test, c@d.test", "", "x"):                                            "550 5.6.0 headers.From",
		letter("From: hello@unknown.test", "", "x"):                                            "550 5.7.1 headers.From: The domain 'unknown.test' is not registered",
		letter("From: hello@new.test", "", "x"):                                                "550 5.7.1 headers.From: The domain 'new.test' is not verified",
		letter("From: hello@acme.test", "X-Postroad-Priority: soon", "", "x"):                  "550 5.6.0 priority",
		letter("From: hello@acme.test", "X-Postroad-Send-At: tomorrow", "", "x"):               "550 5.6.0 headers.X-Postroad-Send-At",
		letter("From: hello@acme.test", "X-Postroad-Template: welcome", "", "x"):               "550 5.6.0 template",
		letter("From: hello@acme.test", "Idempotency-Key: a", "X-Idempotency-Key: b", "", "x"): "550 5.6.0 The request carries two different",
		letter("From: hello@acme.test", "Idempotency-Key:", "", "x"):                           "550 5.6.0 An idempotency key is",
		"no header at all\r\n": "550 5.6.0 message: The message's line 1 is no header field",
		"":                     "550 5.6.0 message: The message has no header",
		strings.Repeat("X-Much: "+strings.Repeat("y", 900)+"\r\n", 1300) + letter("From: a@b.c", ""):  "550 5.6.0 message: The message's header has more than 1 MB",
		letter("From: x", "Subject: a", "Subject: b", "Date: c", "Date: d", "X-Postroad-Priority: e"): "550-5.6.0 ",
	} {
		got := c.transaction(content, "ada@customer.io")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: got %q, want %q", content, got, want)
		}
		if strings.HasPrefix(want, "550-") && (strings.Count(got, "\n") != 3 || !strings.HasSuffix(got, " more")) {
			t.Errorf("got %q", got)
		}
	}
	if h.seen.count() != 0 {
		t.Error("something was accepted")
	}
	c.want250(c.transaction(hello(), "ada@customer.io"))
}

func (c *client) want250(got string) {
	c.t.Helper()
	if !strings.HasPrefix(got, "250 2.0.0 msg_") {
		c.t.Fatalf("got %q", got)
	}
}

func TestNothingTemporaryIsRefusedForGood(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	c := h.known(liveKey)
	for _, trouble := range []error{
		errors.New("disk full"), fmt.Errorf("accept: %w", context.DeadlineExceeded), &mail.Error{Code: "overloaded", Status: 503, Message: "no"},
		&mail.Error{Code: "idempotency_in_progress", Status: 409, Message: "no"}, &mail.Error{Code: "internal_error", Status: 500, Message: "no"},
	} {
		h.seen.fail(trouble)
		if got := c.transaction(hello(), "ada@customer.io"); !strings.HasPrefix(got, "451 4.3.0 ") || strings.Contains(got, "disk") || !strings.Contains(got, "(req_") {
			t.Errorf("%v: %q", trouble, got)
		}
	}
	h.seen.fail(&mail.Error{Code: "quota_exceeded", Status: 429, Message: "no"})
	if got := c.transaction(hello(), "ada@customer.io"); !strings.HasPrefix(got, "451 4.7.0 ") {
		t.Errorf("got %q", got)
	}
	h.seen.fail(nil)
	h.seen.holding = errors.New("disk full")
	if got := c.transaction(hello()+strings.Repeat("x\r\n", 100_000), "ada@customer.io"); !strings.HasPrefix(got, "451 4.3.0 ") {
		t.Errorf("got %q", got)
	}
	h.seen.holding = nil
	c.want250(c.transaction(hello(), "ada@customer.io"))
	_ = h.store.Close() // the store is gone: who is known nobody can tell
	time.Sleep(1100 * time.Millisecond)
	c.say("MAIL FROM:<>", "451 4.3.0 ")
	other := h.dial()
	other.want("220")
	other.say("EHLO x", "250")
	other.say("AUTH PLAIN "+plain("unknown-key-of-somebody"), "451 4.3.0 ")
}

// Every mail library gives each message it builds another Date, Message-ID, boundary and
// Content-ID: what runs a job twice means one mail all the same.
func TestAMessageBuiltTwiceForOneKeyIsOneMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	built := func(n int, body, file string) string {
		b := fmt.Sprintf("=_%d_part", n)
		return letter("Idempotency-Key: receipt/91", "From: Acme <hello@acme.test>", "To: ada@customer.io", "Subject: Hello",
			fmt.Sprintf("Date: Mon, 20 Apr 2026 14:30:0%d +0000", n), fmt.Sprintf("Message-ID: <%d@acme.test>", n), "MIME-Version: 1.0",
			`Content-Type: multipart/related; boundary="`+b+`"`, "", "--"+b, "Content-Type: text/html", "",
			fmt.Sprintf(`<p>%s</p><img src="cid:logo%d">`, body, n), "--"+b, "Content-Type: image/png; name=logo.png",
			fmt.Sprintf("Content-ID: <logo%d>", n), "Content-Disposition: inline; filename=logo.png", "Content-Transfer-Encoding: base64", "", file, "--"+b+"--")
	}
	c := h.known(liveKey)
	first := c.transaction(built(1, "Thank you.", "AAAA"), "ada@customer.io")
	c.want250(first)
	if got, want := c.transaction(built(2, "Thank you.", "AAAA"), "ada@customer.io"), strings.Replace(first, "queued", "already accepted", 1); got != want {
		t.Errorf("built again: %q, want %q", got, want)
	}
	for what, other := range map[string]string{"text": built(3, "No thanks.", "AAAA"), "file": built(4, "Thank you.", "BBBB")} {
		if got := c.transaction(other, "ada@customer.io"); !strings.HasPrefix(got, "550 5.6.0 ") {
			t.Errorf("another %s: %q", what, got)
		}
	}
}

func TestOneKeyIsOneMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	c := h.known(liveKey)
	first := c.transaction(hello("Idempotency-Key: receipt/1"), "ada@customer.io", "bob@customer.io")
	c.want250(first)
	again := strings.Replace(first, "queued", "already accepted", 1)
	for _, same := range []string{
		c.transaction(hello("Idempotency-Key: receipt/1"), "ada@customer.io", "bob@customer.io"),
		c.transaction(hello(`X-Idempotency-Key: "receipt/1"`), "BOB@customer.io", "ada@customer.io"),
		h.known(liveKey).transaction(hello("Idempotency-Key: receipt/1"), "ada@customer.io", "bob@customer.io", "ada@customer.io"),
	} {
		if same != again {
			t.Errorf("got %q, want %q", same, again)
		}
	}
	if got := c.transaction(hello("Idempotency-Key: receipt/1", "X-More: 1"), "ada@customer.io", "bob@customer.io"); !strings.HasPrefix(got, "550 5.6.0 ") {
		t.Errorf("other content: %q", got)
	}
	// The rest of the recipients of one message, which did not fit into the first transaction.
	c.want250(c.transaction(hello("Idempotency-Key: receipt/1"), "eve@customer.io"))
	c.want250(h.known(testKey).transaction(hello("Idempotency-Key: receipt/1"), "ada@customer.io", "bob@customer.io"))
	if n := h.seen.count(); n != 6 { // three that were queued, three replays
		t.Errorf("%d answers", n)
	}
	if s := h.Stats(); s.Accepted != 3 || s.Replays != 3 || s.Rejected != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTwinsAtTheSameTimeAreOneMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	replies := make([]string, 40)
	var all sync.WaitGroup
	for i := range replies {
		c := h.known(liveKey)
		all.Go(func() { replies[i] = c.transaction(hello("Idempotency-Key: k"), "ada@customer.io") })
	}
	all.Wait()
	ids, queued := map[string]int{}, 0
	for _, r := range replies {
		words := strings.Fields(r)
		if len(words) < 4 || words[0] != "250" {
			t.Fatalf("got %q", r)
		}
		if ids[words[2]]++; words[3] == "queued" {
			queued++
		}
	}
	if len(ids) != 1 || queued != 1 {
		t.Errorf("%d messages, %d times queued", len(ids), queued)
	}
}

func TestTheLimitsAreThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	h := build(t, 3, nil)
	who, fault := h.access.Authenticate(t.Context(), liveKey, netip.Addr{}, time.Now())
	if fault != nil {
		t.Fatal(fault)
	}
	h.access.Limits().Take(who, time.Now()) // a request over HTTP
	c := h.known(liveKey)
	first := c.transaction(hello("Idempotency-Key: k"), "ada@customer.io")
	c.want250(first)
	c.want250(c.transaction(hello(), "ada@customer.io"))
	for range 2 {
		if got := c.transaction(hello(), "ada@customer.io"); !strings.HasPrefix(got, "451 4.7.0 ") || !strings.Contains(got, "retry in ") {
			t.Fatalf("got %q", got)
		}
	}
	// A refusal never hides what was accepted before.
	if got := c.transaction(hello("Idempotency-Key: k"), "ada@customer.io"); got != strings.Replace(first, "queued", "already accepted", 1) {
		t.Fatalf("got %q", got)
	}
	for range 2 {
		c.transaction(hello(), "ada@customer.io")
	}
	if got := c.transaction(hello(), "ada@customer.io"); !strings.HasPrefix(got, "421 4.7.0 ") {
		t.Fatalf("got %q", got)
	}
	c.wantEnd()
	h.known(testKey).want250(h.known(testKey).transaction(hello(), "ada@customer.io")) // counted apart
}

func TestReplaysCostNothing(t *testing.T) {
	t.Parallel()
	h := build(t, 3, nil)
	c := h.known(liveKey)
	for range 10 {
		if got := c.transaction(hello("Idempotency-Key: k"), "ada@customer.io"); !strings.HasPrefix(got, "250") {
			t.Fatalf("got %q", got)
		}
	}
	c.want250(c.transaction(hello(), "ada@customer.io"))
}

func TestMoreThanAHundredRecipientsComeInTheNextTransaction(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	c := h.known(liveKey)
	c.say("MAIL FROM:<>", "250")
	for i := range 100 {
		c.say(fmt.Sprintf("RCPT TO:<user%d@customer.io>", i), "250")
	}
	for range 200 {
		c.say("RCPT TO:<one.more@customer.io>", "452 4.5.3")
	}
	c.say("DATA", "354")
	c.send(hello() + ".\r\n")
	c.want("250 2.0.0 msg_")
	if n := len(h.seen.accepted[0].Deliveries); n != 100 {
		t.Errorf("%d deliveries", n)
	}
}

func TestAKeyIsAskedAboutForEachTransaction(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	live, _ := h.access.Authenticate(t.Context(), liveKey, netip.Addr{}, time.Now())
	makeKey := func(k project.NewKey) (string, project.Key) {
		k.By, k.Project = &live, live.Project
		made, secret, err := h.access.CreateKey(t.Context(), k, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return secret, made
	}
	secret, key := makeKey(project.NewKey{Name: "app", Scopes: []string{"messages.send"}})
	c := h.known(secret)
	c.want250(c.transaction(hello(), "ada@customer.io"))
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	if err := h.access.RevokeKey(t.Context(), live, key.ID); err != nil {
		t.Fatal(err)
	}
	c.say("RSET", "250")
	c.say("MAIL FROM:<>", "535 5.7.8 This API key was revoked")
	c.say("MAIL FROM:<>", "530 5.7.0")
	c.say("AUTH PLAIN "+plain(secret), "535 5.7.8")

	for _, one := range []struct {
		key  project.NewKey
		want string
	}{
		{project.NewKey{Name: "reader", Scopes: []string{"messages.read"}}, "550 5.7.1 This API key lacks the scope 'messages.send'"},
		{project.NewKey{Name: "elsewhere", Scopes: []string{"messages.send"}, IPAllowlist: []string{"192.0.2.0/24"}}, "550 5.7.1 This API key may not be used from"},
	} {
		secret, _ := makeKey(one.key)
		c := h.dial()
		c.want("220")
		c.say("EHLO x", "250")
		c.say("AUTH PLAIN "+plain(secret), one.want)
	}
	secret, _ = makeKey(project.NewKey{Name: "narrow", Scopes: []string{"messages.send"}, AllowedFrom: []string{"billing@acme.test"}})
	if got := h.known(secret).transaction(hello(), "ada@customer.io"); !strings.HasPrefix(got, "550 5.7.1 This API key may not send as") {
		t.Errorf("got %q", got)
	}
}

func TestTLSFromTheStart(t *testing.T) {
	t.Parallel()
	h := build(t, 0, withTLS)
	c := dialTo(t, h.listen(true, afar))
	c.secure()
	c.want("220")
	if offers := c.say("EHLO x", "250"); strings.Contains(offers, "STARTTLS") || !strings.Contains(offers, "AUTH PLAIN LOGIN") {
		t.Errorf("offers %q", offers)
	}
	c.say("AUTH PLAIN "+plain(liveKey), "235")
	c.want250(c.transaction(hello(), "ada@customer.io"))
	c.say("QUIT", "221")
	c.wantEnd()
	clear := build(t, 0, nil)
	if err := smtpd.New(smtpd.Options{Access: clear.access}).Serve(nil, true); err == nil {
		t.Error("TLS without a certificate")
	}
	c = clear.dial()
	c.want("220")
	if offers := c.say("EHLO x", "250"); strings.Contains(offers, "STARTTLS") {
		t.Errorf("offers %q", offers)
	}
	c.say("STARTTLS", "502")
}

func TestEqualMessagesAreOneWhereTheProjectHasAWindow(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	who, fault := h.access.Authenticate(t.Context(), liveKey, netip.Addr{}, time.Now())
	if fault != nil {
		t.Fatal(fault)
	}
	if _, err := h.access.UpdateProject(t.Context(), who, 0, func(s *project.Settings) { s.DedupeSeconds = 3600 }); err != nil {
		t.Fatal(err)
	}
	c := h.known(liveKey)
	first := c.transaction(hello("Message-ID: <1@x.test>"), "ada@customer.io")
	c.want250(first)
	if got := c.transaction(hello("Message-ID: <2@x.test>"), "ada@customer.io"); got != strings.Replace(first, "queued", "already accepted", 1) {
		t.Errorf("got %q", got)
	}
	for _, other := range []string{c.transaction(hello(), "bob@customer.io"), c.transaction(hello("Comments: other"), "ada@customer.io"), c.transaction(hello("Idempotency-Key: k"), "ada@customer.io")} {
		if !strings.HasSuffix(other, " queued") {
			t.Errorf("got %q", other)
		}
	}
}

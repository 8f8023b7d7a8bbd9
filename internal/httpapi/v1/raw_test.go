package v1_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

const rawPath = "/v1/messages/raw"

// letter is a message with CRLF at the lines' ends.
func letter(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func (h *house) raw(message string, query string, headers ...string) answer {
	h.t.Helper()
	return h.ask(testKey, "POST", rawPath+query, message, append([]string{"Content-Type: message/rfc822"}, headers...)...)
}

func (h *house) bytesOf(a answer) string {
	h.t.Helper()
	return h.ask(testKey, "GET", a.at("/links/self")+"/raw", "").is(200, "").Body.String()
}

func TestARawMessageComesBackByteForByte(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	message := letter("Received: from elsewhere", "DATE: Sun, 19 Apr 2026 14:30:00 +0000", "Message-id:<own.id@elsewhere.test>", "From:  =?utf-8?q?=C3=9Cn=C3=AF?= <onboarding@sandbox.test>",
		"To: Ada <ada@example.com>,", "\t\"Bob, B.\" <bob@example.com>", "Cc: team: cy@example.com;", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "  and more", "X-Odd :kept", "MIME-Version: 1.0",
		"Content-Type: multipart/mixed; boundary=b", "", "preamble \xff", "--b", "Content-Type: text/plain", "", ".a dot", "..", "--b",
		"Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"a.pdf\"", "Content-Transfer-Encoding: base64", "", "aGVsbG8=", "--b--", "")
	a := h.raw(message, "").is(202, "")
	if got := h.bytesOf(a); got != message {
		t.Errorf("got\n%q\nwant\n%q", got, message)
	}
	m := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "")
	for pointer, want := range map[string]string{"/rfc_message_id": "<own.id@elsewhere.test>", "/subject": "Grüße  and more", "/from/email": "onboarding@sandbox.test", "/from/name": "Ünï",
		"/recipients/0/email": "ada@example.com", "/recipients/0/name": "Ada", "/recipients/1/name": "Bob, B.", "/recipients/2/email": "cy@example.com", "/recipients/2/type": "cc", "/headers/X-Odd": "kept",
		"/attachments/0/filename": "a.pdf", "/attachments/0/size_bytes": "5", "/size_bytes": fmt.Sprint(len(message))} {
		if got := m.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
}

func TestWhatIsNotForTheRecipientsIsTakenOutAndWhatMustBeThereAdded(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	rest := letter("From: onboarding@sandbox.test", "To: ada@example.com", "Subject: s") + letter("", "x", "no end")
	message := letter("Bcc: secret@example.com", "X-Postroad-Tag: receipt", "x-postroad-tag: second", "X-Postroad-Metadata: {\"order_id\":\"42\"}", "X-Postroad-Metadata: user = 7",
		"X-Postroad-Priority: high", "X-Postroad-Send-At: 2026-04-20T09:00:00Z", "X-Postroad-Nonsense: 1", "Idempotency-Key: \"k 1\"", "Message-ID:", "BCC:", "\tother@example.com") + rest
	a := h.raw(message, "").is(202, "")
	id := a.at("/message_id")
	m := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "")
	for pointer, want := range map[string]string{"/tags/0": "receipt", "/tags/1": "second", "/metadata/order_id": "42", "/metadata/user": "7", "/priority": "urgent",
		"/scheduled_time": "2026-04-20T09:00:00.000Z", "/idempotency_key": "k 1", "/recipients/1/type": "bcc", "/recipients/2/email": "other@example.com", "/recipients/2/type": "bcc", "/headers": "{}"} {
		if got := m.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	want := "Date: Sun, 19 Apr 2026 14:30:00 +0000\r\nMessage-ID: " + m.at("/rfc_message_id") + "\r\n" + rest
	if got := h.bytesOf(a); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if a.at("/warnings/0/code") != "unknown_field" || a.at("/warnings/0/pointer") != "#/headers/X-Postroad-Nonsense" {
		t.Errorf("%s", a.Body)
	}
	if again := h.raw(message, "", "Idempotency-Key: k 1").is(202, ""); again.at("/message_id") != id || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s", again.Body)
	}
	h.raw(message, "", "Idempotency-Key: other").is(400, "idempotency_key_conflict")
	h.raw(message+"more\r\n", "").is(422, "idempotency_key_reused")
	h.raw(message, "?recipient=ada@example.com").is(422, "idempotency_key_reused")
	if h.count() != 1 {
		t.Errorf("%d messages", h.count())
	}
}

func TestTheEnvelopeGoesBeforeTheHeader(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	message := letter("From: onboarding@sandbox.test", "To: Ada <ADA@example.com>", "Cc: undisclosed-recipients:;", "", "x")
	q := url.Values{"from": {"bounces@elsewhere.test"}, "recipient": {"ada@EXAMPLE.com", "list@example.org", "Ada@example.com"}}
	a := h.raw(message, "?"+q.Encode()).is(202, "")
	m := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "")
	if m.at("/recipients/0/type") != "to" || m.at("/recipients/0/name") != "Ada" || m.at("/recipients/1/type") != "bcc" || m.at("/recipients/1/email") != "list@example.org" || m.at("/recipients/2") != "" {
		t.Errorf("%s", m.Body)
	}
	unreadable := letter("From: onboarding@sandbox.test", "To: <<<", "", "x")
	h.raw(unreadable, "?recipient=ada@example.com").is(202, "")
	if f := faultsOf(t, h.raw(unreadable, "").is(422, "validation_failed")); f[0].Pointer != "#/headers/To" {
		t.Errorf("%v", f)
	}
	if f := faultsOf(t, h.raw(message, "?from=x&recipient=bad@&recipient=reject@sandbox.test").is(422, "validation_failed")); len(f) != 3 || f[0].Field != "recipient[0]" || f[2].Field != "from" {
		t.Errorf("%v", f)
	}
}

func TestRawFaultsAreTold(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	good := letter("From: onboarding@sandbox.test", "To: ada@example.com")
	for name, c := range map[string]struct{ message, want string }{
		"a bare LF":           {good + "\r\nx\ny\r\n", "invalid_value # line 4 ends in LF alone"},
		"a bare CR":           {good + "\r\nx\ry\r\n", "invalid_value # line 4 has a CR without an LF"},
		"a CR at the end":     {good + "\r\nx\r", "invalid_value # line 4 has a CR"},
		"LF in the header":    {strings.ReplaceAll(good, "\r\n", "\n"), "invalid_value # line 1 ends in LF alone"},
		"a smuggled end":      {good + "\r\nx\n.\n\r\nMAIL FROM:<a@b.test>\r\n", "invalid_value # line 4 ends in LF"},
		"a NUL":               {good + "\r\n\x00\r\n", "invalid_value # line 4 has a NUL"},
		"no field":            {"hello\r\n\r\nx\r\n", "invalid_value # line 1 is no header field"},
		"a lone continuation": {" x: y\r\n\r\n", "invalid_value # line 1 continues"},
		"a blank in a name":   {"From x: a@b.test\r\n\r\n", "invalid_value # line 1 is no header field"},
		"nothing":             {"\r\n", "invalid_value # no header"},
		"an empty body":       {"", "invalid_value # no header"},
		"no From":             {letter("To: ada@example.com", "", "x"), "missing_required_field #/headers/From"},
		"two From fields":     {letter("From: onboarding@sandbox.test") + good + "\r\n", "invalid_value #/headers/From"},
		"two authors":         {letter("From: onboarding@sandbox.test, b@sandbox.test", "To: ada@example.com", ""), "too_many #/headers/From"},
		"two subjects":        {good + letter("Subject: a", "subject: b", ""), "invalid_value #/headers/Subject"},
		"no recipients":       {letter("From: onboarding@sandbox.test", ""), "missing_required_field #/recipient"},
		"bad metadata":        {good + letter("X-Postroad-Metadata: {\"a\":1}", "X-Postroad-Metadata: a", ""), "invalid_value #/headers/X-Postroad-Metadata"},
		"a bad time":          {good + letter("X-Postroad-Send-At: soon", ""), "invalid_value #/headers/X-Postroad-Send-At"},
		"a bad priority":      {good + letter("X-Postroad-Priority: x", ""), "invalid_value #/priority"},
		"a template":          {good + letter("X-Postroad-Template: welcome", "", ""), "template_not_found #/template"},
		"a blocked file": {good + letter("Content-Type: application/octet-stream", "Content-Disposition: attachment; filename=run.EXE", "", "x"),
			"attachment_type_blocked #/attachments/0"},
	} {
		a := h.raw(c.message, "")
		f := append(faultsOf(t, a), fault{})[0]
		code, pointer, _ := strings.Cut(c.want, " ")
		pointer, words, _ := strings.Cut(pointer, " ")
		if a.Code != 422 || f.Code != code || f.Pointer != pointer || !strings.Contains(f.Message, words) {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
	h.ask(testKey, "POST", rawPath, `{"raw":"x"}`).is(415, "unsupported_media_type")
	h.ask(testKey, "POST", rawPath, good, "Content-Type: text/plain").is(415, "unsupported_media_type")
	if h.count() != 0 {
		t.Error("something was kept")
	}
	h.ask(liveKey, "POST", rawPath, letter("From: a@unknown.test", "To: ada@customer.io", "", "x"), "Content-Type: message/rfc822").is(422, "validation_failed")
	long := h.raw(letter("From: onboarding@sandbox.test", "To: ada@example.com", "", strings.Repeat("x", 999)), "").is(202, "")
	if long.at("/warnings/0/code") != "line_too_long" || !strings.Contains(long.at("/warnings/0/message"), "Line 4 ") {
		t.Errorf("%s", long.Body)
	}
}

func TestALargeRawMessageIsKeptAsItCame(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range 60_000 {
		fmt.Fprintf(&b, "%076x\r\n", random.Uint64())
	}
	head := letter("Date: Sun, 19 Apr 2026 14:30:00 +0000", "Message-ID: <a@b.test>", "From: onboarding@sandbox.test", "To: ada@example.com", "")
	whole := head + b.String()
	if got := h.bytesOf(h.raw(whole, "").is(202, "")); got != whole {
		t.Errorf("%d of %d bytes", len(got), len(whole))
	}
	changed := h.raw("Bcc: x@example.com\r\n"+whole, "").is(202, "")
	if got := h.bytesOf(changed); got != whole || changed.at("/recipients/1/type") != "bcc" {
		t.Errorf("%d of %d bytes", len(got), len(whole))
	}
	if a := h.ask(testKey, "POST", rawPath+"?dry_run=true", whole, "Content-Type: message/rfc822").is(200, ""); a.at("/object") != "dry_run" || a.at("/preview/size_bytes") != fmt.Sprint(len(whole)) {
		t.Errorf("%.300s", a.Body)
	}
	before := h.count()
	big := strings.Repeat("x", 76)
	h.raw(head+strings.Repeat(big+"\r\n", 680_000), "").is(413, "payload_too_large")
	if h.count() != before {
		t.Error("it was kept")
	}
	if left := h.spooledFiles(); left != 2 {
		t.Errorf("%d files are left, want those of two messages", left)
	}
}

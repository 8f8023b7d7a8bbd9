package v1_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// The list of api-v1.md §15, as far as one process and HTTP go.

func TestAHundredParallelRequestsAreOneMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	got := make([]string, 100)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			a := h.send(hello, "Idempotency-Key: otp/42")
			got[i] = fmt.Sprint(a.Code, " ", a.at("/message_id"), " ", a.Header().Get("Location"))
		})
	}
	all.Wait()
	for _, g := range got {
		if g != got[0] || !strings.HasPrefix(g, "202 msg_") {
			t.Fatalf("%q and %q", got[0], g)
		}
	}
	if n := h.count(); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestAReplayIsByteForByteAndSaysSo(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	first := h.send(hello, "Idempotency-Key: k", "X-Request-Id: the-first")
	h.pass(time.Hour)
	again := h.send(hello, "Idempotency-Key: k", "X-Request-Id: the-second")
	if again.Code != 202 || again.Body.String() != first.Body.String() || again.Header().Get("Location") != first.Header().Get("Location") {
		t.Errorf("%d %s\n%s", again.Code, first.Body, again.Body)
	}
	for name, want := range map[string]string{"Idempotency-Key": "k", "Idempotency-Replayed": "true", "Idempotency-Original-Request": "the-first",
		"X-Idempotency-Short-Circuit": "true", "X-Request-Id": "the-second"} {
		if got := again.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if first.Header().Get("Idempotency-Replayed") != "false" {
		t.Error("the first says it is a replay")
	}
	h.deliver(false)
	if a := h.send(hello, "Idempotency-Key: k"); a.at("/status") != "queued" {
		t.Errorf("a replay is history: %s", a.Body)
	}
}

func TestWhatIsTheSameRequestAndWhatIsNot(t *testing.T) {
	t.Parallel()
	const attached = `{"recipient":"ada@example.com","subject":"s","text":"x","attachments":[{"filename":"a.txt","content":"aGVsbG8="}],"expires_in_seconds":900}`
	for name, c := range map[string]struct {
		first, second string
		header        bool // the key stands in the header, both times
		code          string
	}{
		"the same":                   {hello, hello, true, ""},
		"another key order":          {hello, `{"text":"Your code is 482913. https://acme.test/v?t=1","subject":"Your code","recipient":"ada@example.com"}`, true, ""},
		"white space":                {hello, strings.ReplaceAll(hello, ",\"", " ,\n\t\""), true, ""},
		"escapes":                    {hello, strings.ReplaceAll(hello, "Your", `\u0059our`), true, ""},
		"another number's form":      {attached, strings.ReplaceAll(attached, "900", "9e2"), true, ""},
		"null is absent":             {hello, hello[:len(hello)-1] + `,"html":null}`, true, ""},
		"the key in the body too":    {hello, hello[:len(hello)-1] + `,"idempotency_key":"k"}`, true, ""},
		"in the mail's headers":      {hello, hello[:len(hello)-1] + `,"headers":{"X-Idempotency-Key":"k"}}`, true, ""},
		"in the body only":           {hello[:len(hello)-1] + `,"idempotency_key":"k"}`, hello[:len(hello)-1] + `,"headers":{"Idempotency-Key":"k"}}`, false, ""},
		"a slash escaped in base64":  {strings.Replace(attached, "aGVsbG8=", "+/8=", 1), strings.Replace(attached, "aGVsbG8=", `+\/8=`, 1), true, ""},
		"another body":               {hello, strings.Replace(hello, "482913", "482914", 1), true, "idempotency_key_reused"},
		"one field more":             {hello, hello[:len(hello)-1] + `,"tags":["a"]}`, true, "idempotency_key_reused"},
		"another attachment":         {attached, strings.Replace(attached, "aGVsbG8=", "aGVsbG9v", 1), true, "idempotency_key_reused"},
		"a header of the mail":       {hello, hello[:len(hello)-1] + `,"headers":{"X-A":"1"}}`, true, "idempotency_key_reused"},
		"a string is not its number": {attached, strings.Replace(attached, "900", `"900"`, 1), true, "idempotency_key_reused"},
		"another key in the body":    {hello, hello[:len(hello)-1] + `,"idempotency_key":"other"}`, true, "idempotency_key_conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 0)
			var headers []string
			if c.header {
				headers = []string{"Idempotency-Key: k"}
			}
			first := h.send(c.first, headers...).is(202, "")
			second := h.send(c.second, headers...)
			if c.code == "" && (second.Code != 202 || second.at("/message_id") != first.at("/message_id")) || c.code != "" && second.at("/code") != c.code {
				t.Errorf("%d %s, want %q", second.Code, second.Body, c.code)
			}
			if n := h.count(); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestAQuotedKeyIsTheBareOne(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	first := h.send(hello, "Idempotency-Key: k")
	if h.send(hello, `Idempotency-Key: "k"`).at("/message_id") != first.at("/message_id") || h.send(hello, "X-Idempotency-Key:  k ").at("/message_id") != first.at("/message_id") {
		t.Error("not the same message")
	}
	h.send(hello, "Idempotency-Key: k", "X-Idempotency-Key: l").is(400, "idempotency_key_conflict")
	h.send(hello, "Idempotency-Key: "+strings.Repeat("x", 257)).is(400, "invalid_idempotency_key")
}

func TestAFaultIsNotRememberedAndAMendedBodyIsProcessed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.send(`{"recipient":"ada@","subject":"s","text":"x"}`, "Idempotency-Key: k").is(422, "validation_failed")
	h.send(`{"recipient":`, "Idempotency-Key: k").is(400, "invalid_json")
	h.send(hello, "Idempotency-Key: k").is(202, "")
	// What was accepted once is replayed though it would be refused now, and another
	// request is a reused key though it is invalid, too.
	h.ask(testKey, "PATCH", "/v1/project", `{"on_suppressed":"reject"}`).is(200, "")
	h.ask(testKey, "POST", "/v1/suppressions", `{"recipient":"ada@example.com"}`).is(201, "")
	h.send(hello).is(422, "validation_failed")
	if a := h.send(hello, "Idempotency-Key: k").is(202, ""); a.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("it was judged again")
	}
	h.send(`{"recipient":"ada@","subject":"s","text":"x"}`, "Idempotency-Key: k").is(422, "idempotency_key_reused")
}

func TestLimitsAndReplays(t *testing.T) {
	t.Parallel()
	h := build(t, 2)
	first := h.send(hello, "Idempotency-Key: a").is(202, "")
	for range 5 {
		if a := h.send(hello, "Idempotency-Key: a").is(202, ""); a.Header().Get("X-RateLimit-Remaining") != "1" {
			t.Errorf("a replay cost something: %s left", a.Header().Get("X-RateLimit-Remaining"))
		}
	}
	h.send(hello, "Idempotency-Key: b").is(202, "")
	h.send(hello, "Idempotency-Key: c").is(429, "rate_limited")
	if h.send(hello, "Idempotency-Key: a").is(202, "").at("/message_id") != first.at("/message_id") {
		t.Error("a replay over quota was another message")
	}
	h.send(strings.Replace(hello, "code", "kode", 1), "Idempotency-Key: a").is(422, "idempotency_key_reused")
	h.pass(time.Minute)
	h.send(hello, "Idempotency-Key: c").is(202, "")
}

func TestTheKeyBelongsToTheProjectAndEnvironmentNotToTheAPIKey(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	first := h.send(hello, "Idempotency-Key: k").is(202, "")
	rotated := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"rotated","scopes":["messages.send"]}`).is(201, "").at("/secret")
	if a := h.ask(rotated, "POST", "/v1/messages", hello, "Idempotency-Key: k").is(202, ""); a.at("/message_id") != first.at("/message_id") {
		t.Error("a rotated key made another message")
	}
	// The live environment knows nothing of it: there the request is judged.
	h.ask(liveKey, "POST", "/v1/messages", hello, "Idempotency-Key: k").is(422, "validation_failed")
}

func TestAKeyIsNewAfterADayAndScheduledMailKeepsItLonger(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	first := h.send(hello, "Idempotency-Key: k").is(202, "")
	later := hello[:len(hello)-1] + `,"scheduled_time":"2026-04-22T14:30:00Z"}` // in three days
	scheduled := h.send(later, "Idempotency-Key: l").is(202, "")
	h.pass(24*time.Hour + time.Minute)
	if h.send(hello, "Idempotency-Key: k").is(202, "").at("/message_id") == first.at("/message_id") {
		t.Error("a day later the key is not new")
	}
	h.pass(24 * time.Hour)
	if h.send(later, "Idempotency-Key: l").is(202, "").at("/message_id") != scheduled.at("/message_id") {
		t.Error("day 2 of mail scheduled for day 3 is not a replay")
	}
	h.pass(3 * 24 * time.Hour)
	if a := h.ask(testKey, "GET", "/v1/messages?idempotency_key=l", "").is(200, ""); a.at("/data/0/message_id") != scheduled.at("/message_id") {
		t.Errorf("the message is not found by its key: %s", a.Body)
	}
}

func TestNoIdempotencyHeaderReachesTheMail(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(hello[:len(hello)-1]+`,"headers":{"x-idempotency-key":"k/1","X-Kept":"yes"}}`, "Idempotency-Key: k/1").is(202, "")
	raw := h.ask(testKey, "GET", a.at("/links/self")+"/raw", "").is(200, "").Body.String()
	if strings.Contains(strings.ToLower(raw), "idempotency") || strings.Contains(raw, "k/1") || !strings.Contains(raw, "X-Kept: yes") {
		t.Errorf("%s", raw)
	}
	if got := h.ask(testKey, "GET", a.at("/links/self"), ""); got.at("/idempotency_key") != "k/1" {
		t.Errorf("the key is not stored: %s", got.Body)
	}
}

func TestOtherMethodsIgnoreAKey(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "GET", "/v1/me", "", "Idempotency-Key: "+strings.Repeat("x", 300)).is(200, "")
	h.ask(testKey, "PATCH", "/v1/project", `{"strict_fields":false}`, "Idempotency-Key: a", "X-Idempotency-Key: b").is(200, "")
}

func TestEveryCreatingPostCanBeRepeated(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(hello).is(202, "")
	scheduled := h.send(hello[:len(hello)-1]+`,"scheduled_time":"2026-04-22T14:30:00Z"}`).is(202, "")
	for path, c := range map[string]struct{ body, other, id string }{
		"/v1/suppressions":                        {`{"recipient":"x@example.com"}`, `{"recipient":"y@example.com"}`, "/suppression_id"},
		"/v1/api-keys":                            {`{"name":"a","scopes":["messages.send"]}`, `{"name":"b","scopes":["messages.send"]}`, "/key_id"},
		"/v1/domains":                             {`{"name":"acme.test","dkim":{"algorithm":"ed25519"}}`, `{"name":"other.test"}`, "/domain_id"},
		sent.at("/links/self") + "/resend":        {"", `{"to":"b@example.com"}`, "/message_id"},
		scheduled.at("/links/self") + "/send-now": {"{}", `{"x":1}`, "/message_id"},
	} {
		first := h.ask(testKey, "POST", path, c.body, "Idempotency-Key: k")
		if first.Code/100 != 2 || first.at(c.id) == "" {
			t.Fatalf("%s: %d %s", path, first.Code, first.Body)
		}
		again := h.ask(testKey, "POST", path, c.body, "Idempotency-Key: k")
		if again.Code != first.Code || again.at(c.id) != first.at(c.id) || again.Header().Get("Idempotency-Replayed") != "true" ||
			again.Header().Get("Location") != first.Header().Get("Location") {
			t.Errorf("%s: %d %v %s", path, again.Code, again.Header(), again.Body)
		}
		if path != "/v1/api-keys" && again.Body.String() != first.Body.String() {
			t.Errorf("%s: not byte for byte:\n%s\n%s", path, first.Body, again.Body)
		}
		if path == "/v1/api-keys" && (again.at("/secret") != "null" || again.at("/warnings/0/code") != "secret_not_shown" || len(first.at("/secret")) != 66) {
			t.Errorf("a replayed key: %s", again.Body)
		}
		h.ask(testKey, "POST", path, c.other, "Idempotency-Key: k").is(422, "idempotency_key_reused")
	}
}

func TestTheStoreHasTheLastWordNotTheDoor(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(hello, "Idempotency-Key: k").is(202, "")
	kept, err := h.store.Remembered(t.Context(), h.owner(mail.Test), "POST /v1/messages", "k", h.clock())
	body, _ := io.ReadAll(a.Result().Body)
	if err != nil || string(kept.Body) != string(body) || kept.Status != 202 || kept.Location != a.Header().Get("Location") {
		t.Errorf("%+v %v", kept, err)
	}
}

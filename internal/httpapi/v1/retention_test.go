package v1_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// forgets has all that is due now forgotten.
func (h *house) forgets() {
	h.t.Helper()
	if _, err := h.forget.Sweep(h.t.Context(), h.clock()); err != nil {
		h.t.Fatal(err)
	}
}

const plainLetter = `"from":"hello@acme.test","subject":"Hi","text":"Hello"`

func TestContentIsGivenUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(`{`+plainLetter+`,"recipient":"ada@sandbox.test"}`).is(202, "")
	path := a.at("/links/self")
	if got := h.ask(testKey, "GET", path, ""); got.at("/content/until") != "null" || got.at("/content/available") != "true" {
		t.Errorf("while it is open: %s", got.at("/content"))
	}
	h.deliver(false)
	if got := h.ask(testKey, "GET", path, "").at("/content/until"); got != "2026-05-19T14:30:00.000Z" {
		t.Errorf("until %s", got)
	}
	h.pass(30*24*time.Hour - time.Second)
	h.forgets()
	for _, part := range []string{"/content", "/raw"} {
		h.ask(testKey, "GET", path+part, "").is(200, "")
	}
	h.pass(time.Second) // over, and not yet removed
	expired := func() {
		t.Helper()
		for _, part := range []string{"/content", "/raw", "/attachments/0"} {
			h.ask(testKey, "GET", path+part, "").is(404, "content_expired")
		}
		h.ask(testKey, "POST", path+"/resend", `{}`).is(404, "content_expired")
		if got := h.ask(testKey, "GET", path, ""); got.at("/content/available") != "false" || got.at("/actions/resend") != "false" {
			t.Errorf("when it is over: %s", got.Body)
		}
		if got := h.ask(testKey, "GET", "/v1/messages", "").at("/data/0/content/available"); got != "false" && got != "" {
			t.Errorf("in the list: %s", got)
		}
	}
	expired()
	h.ask(testKey, "PATCH", "/v1/project", `{"event_retention_days":60}`).is(200, "")
	h.forgets()
	expired()
	h.pass(31 * 24 * time.Hour)
	h.forgets()
	h.ask(testKey, "GET", path, "").is(404, "message_not_found")
}

func TestAMessageMayKeepItsContentForLess(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(`{`+plainLetter+`,"recipient":"ada@sandbox.test","content_retention_seconds":0}`).is(202, "")
	if got := a.at("/warnings"); strings.Contains(got, "content_retention") {
		t.Errorf("warnings %s", got)
	}
	path := a.at("/links/self")
	h.ask(testKey, "GET", path+"/raw", "").is(200, "")
	h.deliver(false)
	h.ask(testKey, "GET", path+"/raw", "").is(404, "content_expired")
	h.pass(time.Second)
	h.forgets()
	h.ask(testKey, "GET", path+"/raw", "").is(404, "content_expired")
	h.ask(testKey, "GET", path, "").is(200, "")
	for _, bad := range []string{"-1", "315360001", "1.5", `"x"`} {
		got := h.send(`{`+plainLetter+`,"recipient":"ada@sandbox.test","content_retention_seconds":`+bad+`}`).is(422, "validation_failed")
		if got.at("/errors/0/pointer") != "#/content_retention_seconds" {
			t.Errorf("%s: %s", bad, got.Body)
		}
	}
}

func TestAResendKeepsTheOldTime(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.send(`{`+plainLetter+`,"recipient":"ada@sandbox.test","content_retention_seconds":60}`).is(202, "").at("/links/self")
	h.deliver(false)
	again := h.ask(testKey, "POST", path+"/resend", `{}`).is(202, "").at("/links/self")
	h.deliver(false)
	if got := h.ask(testKey, "GET", again, "").at("/content/until"); got != "2026-04-19T14:31:00.000Z" {
		t.Errorf("until %s", got)
	}
}

func TestAnAddressIsErased(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.send(`{`+plainLetter+`,"recipient":"Ada <Ada@sandbox.test>","metadata":{"user":"4711"}}`, "Idempotency-Key: k1").is(202, "").at("/links/self")
	h.deliver(true)
	a := h.ask(testKey, "POST", "/v1/erasures", `{"recipient":"ada@SANDBOX.test"}`, "Idempotency-Key: e1").is(202, "")
	self := a.Header().Get("Location")
	if a.at("/status") != "running" || !strings.HasPrefix(self, "/v1/erasures/era_") || strings.Contains(strings.ToLower(a.Body.String()), "ada@") {
		t.Errorf("%s %s", self, a.Body)
	}
	h.forgets()
	done := h.ask(testKey, "GET", self, "").is(200, "")
	if done.at("/status") != "done" || done.at("/counts/deliveries") != "1" || done.at("/counts/answers") != "1" {
		t.Errorf("%s", done.Body)
	}
	for _, part := range []string{"", "/events", "/attempts"} {
		got := h.ask(testKey, "GET", path+part, "").is(200, "").Body.String()
		if low := strings.ToLower(got); strings.Contains(low, "ada@") || strings.Contains(low, `"ada`) || strings.Contains(got, "4711") || strings.Contains(got, "captured") {
			t.Errorf("%s still tells: %s", part, got)
		}
	}
	got := h.ask(testKey, "GET", path, "")
	if got.at("/recipient") != done.at("/token") || got.at("/erased") != "true" || got.at("/status") != "bounced" || got.at("/subject") != "" {
		t.Errorf("%s", got.Body)
	}
	h.ask(testKey, "GET", path+"/raw", "").is(404, "content_expired")
	replay := h.send(`{`+plainLetter+`,"recipient":"Ada <Ada@sandbox.test>","metadata":{"user":"4711"}}`, "Idempotency-Key: k1").is(202, "")
	if replay.at("/links/self") != path || replay.at("/recipient") != done.at("/token") || replay.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("the replay: %s", replay.Body)
	}
	again := h.ask(testKey, "POST", "/v1/erasures", `{"recipient":"ada@SANDBOX.test"}`, "Idempotency-Key: e1").is(202, "")
	if again.Body.String() != a.Body.String() {
		t.Errorf("the replay: %s, want %s", again.Body, a.Body)
	}
	h.ask(liveKey, "GET", self, "").is(200, "") // orders are of the project, not of an environment
	h.ask(testKey, "GET", "/v1/erasures/"+mail.NewID(h.clock()).Text("era"), "").is(404, "not_found")
	h.ask(testKey, "GET", "/v1/erasures/x", "").is(404, "not_found")
}

func TestAnErasureIsAskedForRightly(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for body, pointer := range map[string]string{
		`{}`:                   "#/recipient",
		`{"recipient":"nope"}`: "#/recipient",
		`{"recipient":"ada@one.test","include_suppressions":"x"}`: "#/include_suppressions",
	} {
		if a := h.ask(testKey, "POST", "/v1/erasures", body).is(422, "validation_failed"); a.at("/errors/0/pointer") != pointer {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	if a := h.ask(testKey, "POST", "/v1/erasures", `{"recipient":"ada@one.test","include_supressions":true}`).is(202, ""); a.at("/warnings/0/code") != "unknown_field" {
		t.Errorf("%s", a.Body)
	}
	key := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"x","scopes":["project.read","messages.write"]}`).is(201, "").at("/secret")
	if a := h.ask(key, "POST", "/v1/erasures", `{"recipient":"ada@one.test"}`).is(403, "insufficient_scope"); a.at("/required_scope") != "project.write" {
		t.Errorf("%s", a.Body)
	}
}

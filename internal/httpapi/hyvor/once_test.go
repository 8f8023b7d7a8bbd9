package hyvor_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// A hundred twins of one key, of which half say it in other words: one message, one answer.
func TestParallelTwinsOfOneKeyAreOneMessage(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	const twins = 100
	answers := make([]answer, twins)
	var all sync.WaitGroup
	for i := range twins {
		all.Go(func() {
			body := plainSend
			if i%2 == 1 {
				body = strings.ReplaceAll(plainSend, "Hello", "Other words")
			}
			answers[i] = h.ask(liveKey, "POST", "/api/console/sends", body, "X-Idempotency-Key: order-1")
		})
	}
	all.Wait()
	first := 0
	for _, a := range answers {
		if a.Code != 200 || a.Body.String() != answers[0].Body.String() {
			t.Errorf("%d %s, another was told %s", a.Code, a.Body, answers[0].Body)
		}
		if a.Header().Get("X-Idempotency-Short-Circuit") == "" {
			first++
		}
	}
	if n := h.count(mail.Live); n != 1 || first != 1 {
		t.Errorf("%d messages, %d first answers", n, first)
	}
}

// Twins that are refused get the same refusal, kept once.
func TestParallelTwinsOfARefusalAreToldTheSame(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			h.must(422, "not a valid email", liveKey, "POST", "/api/console/sends", fmt.Sprintf(`{"from":"a@acme.test","to":"nobody %d","body_text":"x"}`, i), "X-Idempotency-Key: k")
		})
	}
	all.Wait()
	if a := h.ask(liveKey, "POST", "/api/console/sends", plainSend, "X-Idempotency-Key: k"); a.Code != 422 || a.Header().Get("X-Idempotency-Short-Circuit") != "true" {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

// C12: mail of 10 MB passes, of one byte more does not; the size is that of the mail.
func TestTenMegabytesPassAndOneByteMoreDoesNot(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	file := base64.StdEncoding.EncodeToString(make([]byte, 3<<20))
	send := func(text int) answer {
		return h.ask(liveKey, "POST", "/api/console/sends", `{"from":"a@acme.test","to":"b@example.org","body_text":"`+strings.Repeat(strings.Repeat("x", 70)+`\n`, text/71)+strings.Repeat("y", text%71)+
			`","attachments":[{"content":"`+file+`","name":"a.bin"},{"content":"`+file+`","name":"b.bin"}]}`)
	}
	size := func(a answer) (n int) {
		t.Helper()
		id := 0
		if _, err := fmt.Sscanf(a.Body.String(), `{"id":%d`, &id); err != nil || a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		got := h.must(200, `"size_bytes":`, liveKey, "GET", fmt.Sprintf("/api/console/sends/%d", id), "").Body.String()
		_, rest, _ := strings.Cut(got, `"size_bytes":`)
		_, _ = fmt.Sscanf(rest, "%d", &n)
		return n
	}
	const most = 10 << 20
	// A character more is a byte more while the last line has room: the rest is the same.
	base := 71 * 20_000
	lines := (most - size(send(base))) / 72 // "\n" becomes CR LF
	near := base + 71*lines
	missing := most - size(send(near))
	if missing < 0 || missing > 72 {
		t.Fatalf("%d bytes are missing", missing)
	}
	if missing > 70 {
		near, missing = near+71, missing-72
	}
	fits := send(near + missing)
	if fits.Code == 400 { // an unfinished last line costs its end
		missing -= 2
		fits = send(near + missing)
	}
	if n := size(fits); n > most || n < most-2 {
		t.Fatalf("the mail has %d bytes, %d are allowed", n, most)
	}
	over := send(near + missing + 1 + most - size(fits))
	if over.Code != 400 || !strings.Contains(over.Body.String(), "Email size exceeds the maximum allowed size of 10MB.") {
		t.Errorf("%d %s", over.Code, over.Body)
	}
}

// A body in gzip counts unpacked, and one that is larger than a request may be is told so.
func TestARequestThatIsTooLargeIsToldSo(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	r := httptest.NewRequest("POST", "/api/console/sends", strings.NewReader("{}"))
	r.ContentLength = 60 << 20
	r.Header.Set("Authorization", "Bearer "+liveKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), `"status":413`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// How many keys there may be is decided where one is kept: of many at the same time not one
// is too many.
func TestParallelRequestsMakeNoMoreKeysThanMayBe(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{Keys: 4})
	var made atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			a := h.ask(liveKey, "POST", "/api/console/api-keys", `{"name":"k","scopes":["project.read"]}`)
			switch {
			case a.Code == 200:
				made.Add(1)
			case a.Code != 400 || !strings.Contains(a.Body.String(), "maximum number of API keys"):
				t.Errorf("%d %s", a.Code, a.Body)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 3 { // and the caller's own
		t.Errorf("%d keys were made", n)
	}
}

func TestThereAreThirteenScopes(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	all := []string{"sends.send", "sends.read", "domains.read", "domains.write", "webhooks.read", "webhooks.write", "api_keys.read", "api_keys.write", "suppressions.read", "suppressions.write",
		"analytics.read", "project.read", "project.write"}
	body, _ := json.Marshal(map[string]any{"name": "all", "scopes": all})
	a := h.must(200, "", liveKey, "POST", "/api/console/api-keys", string(body))
	var key struct {
		Scopes []string `json:"scopes"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &key); err != nil || len(key.Scopes) != 13 {
		t.Errorf("%v %s", err, a.Body)
	}
	for _, scope := range all {
		if !slices.Contains(key.Scopes, scope) {
			t.Errorf("the key lacks %s", scope)
		}
	}
	h.must(422, "not a valid choice", liveKey, "POST", "/api/console/api-keys", `{"name":"x","scopes":["messages.send"]}`)
}

// What doors do for every dialect holds here as well: audit, back-pressure, suspension, and
// the number of requests at the same time.
func TestWhatHoldsForEveryDoorHoldsHere(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	h.must(200, "", liveKey, "POST", "/api/console/api-keys", `{"name":"audited","scopes":["project.read"]}`)
	h.must(200, "", liveKey, "POST", "/api/console/webhooks", `{"url":"https://app.acme.test/","events":["domain.created"]}`)
	for _, action := range []string{"api_keys.create", "webhooks.create"} {
		found, err := h.store.AuditEntries(t.Context(), audit.Query{Project: h.project.Row, Action: action, Limit: 10})
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %d entries, %v", action, len(found), err)
		}
	}

	sent := h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	h.carry(always(exhausted))
	h.mu.Lock()
	h.fault = func() *mail.Error {
		return &mail.Error{Code: "overloaded", Status: 503, Message: "The disk is nearly full."}
	}
	h.mu.Unlock()
	if a := h.must(503, "nearly full", liveKey, "POST", "/api/console/sends", plainSend, "X-Idempotency-Key: k"); a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.must(200, "", liveKey, "GET", "/api/console/sends", "")
	h.mu.Lock()
	h.fault = nil
	h.mu.Unlock()
	h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend, "X-Idempotency-Key: k")

	p, err := h.store.ProjectByRow(t.Context(), h.project.Row)
	if err != nil {
		t.Fatal(err)
	}
	p.Suspended = true
	if _, err := h.store.UpdateProject(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	h.pass(2 * time.Second)
	h.must(403, "suspended", liveKey, "POST", "/api/console/sends", plainSend)
	id, _, _ := strings.Cut(strings.TrimPrefix(sent.Body.String(), `{"id":`), ",")
	h.must(403, "suspended", liveKey, "POST", "/api/console/sends/"+id+"/retry", "{}")
	h.must(200, "", liveKey, "GET", "/api/console/sends/"+id, "")
}

func TestEqualSendsAreOneWhereTheProjectHasAWindow(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	p, err := h.store.ProjectByName(t.Context(), project.DefaultProject)
	if err != nil {
		t.Fatal(err)
	}
	p.Settings.DedupeSeconds = 600
	if _, err := h.store.UpdateProject(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	first := h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	again := h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	if first.Body.String() != again.Body.String() || again.Header().Get("X-Idempotency-Payload-Mismatch") != "" {
		t.Errorf("%s\n%s %v", first.Body, again.Body, again.Header())
	}
}

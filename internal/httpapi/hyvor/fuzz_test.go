package hyvor_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi/hyvor"
)

// answers fails the test on what no client may see: a 5xx, or an answer that is no JSON, or
// an error without message and status.
func answers(t *testing.T, h *house, method, path, body string) {
	t.Helper()
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '%' || r == '#' }) {
		return // a request line cannot say it
	}
	r := httptest.NewRequest(method, "/api/console/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+liveKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	v := jsontext.Value(w.Body.Bytes())
	switch {
	case w.Code >= 500:
		t.Errorf("%s %s %q: %d %s", method, path, body, w.Code, v)
	case !v.IsValid():
		t.Errorf("%s %s %q: no JSON: %s", method, path, body, v)
	case w.Code >= 400 && !(strings.Contains(string(v), `"message":"`) && strings.Contains(string(v), `"status":`)):
		t.Errorf("%s %s %q: %d %s", method, path, body, w.Code, v)
	}
}

// C9: whatever a body holds, the answer is one of the contract.
func FuzzSend(f *testing.F) {
	for _, body := range []string{plainSend, `{}`, `[]`, `{"from":[[]],"to":{"email":[]},"headers":[1],"attachments":[{"content":"A"}]}`, `{"to":[""],"from":"a@acme.test","body_html":"x"}`,
		`{"from":"a@acme.test","to":["b@c.de","b@c.de"],"body_text":"x","headers":{"X-Postroad-Metadata":"{\"a\":1}","Reply-To":"<"}}`, "{\"subject\":\"\xff\"}", `{"from":"a@acme.test","from":5}`,
		`{"from":{"email":"a@acme.test","name":"\ud800"},"to":"b@c.de","body_text":"x"}`} {
		f.Add(body)
	}
	h := build(f, hyvor.Bounds{})
	f.Fuzz(func(t *testing.T, body string) { answers(t, h, "POST", "sends", body) })
}

// Every endpoint with any path, query and body.
func FuzzEndpoints(f *testing.F) {
	paths := []string{"sends", "sends/1", "sends/1/retry", "sends/uuid/x/content", "domains", "domains/verify", "domains/by", "domains/x", "webhooks", "webhooks/1", "webhooks/deliveries", "api-keys", "api-keys/1",
		"suppressions", "suppressions/1", "analytics/stats", "analytics/sends/chart", "project", "project-users", "init/project"}
	for i, path := range paths {
		for m := range 4 {
			f.Add(m, path+"?limit=1&offset=2&status=failed&to_search=a&date_from_search=1&period=7d&webhook_id=1&before_id=5", `{"id":1,"name":"x","scopes":["sends.send"],"recipient_ids":[1]}`)
		}
		f.Add(i, path, `[{"id":null}]`)
	}
	f.Add(1, "domains", `{"domain":"x.test","dkim_selector":"a","dkim_private_key":"b"}`)
	h := build(f, hyvor.Bounds{Keys: 1 << 30})
	f.Fuzz(func(t *testing.T, method int, path, body string) {
		if strings.HasPrefix(path, "domains") && method&3 == 1 && strings.Contains(body, "domain") && !strings.Contains(body, "private_key") && !strings.Contains(path, "/") {
			body = strings.Replace(body, "domain", "domain_", 1) // making RSA keys is dear and shows nothing
		}
		answers(t, h, []string{"GET", "POST", "PATCH", "DELETE"}[method&3], strings.TrimPrefix(path, "/"), body)
	})
}

// C9: what gave a 500 there.
func TestWhatFailedThereIsAnsweredHere(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	send := "/api/console/sends"
	h.must(200, "", liveKey, "POST", send, `{"from":"a@acme.test","to":["b@example.org","b@example.org"],"cc":"b@example.org","body_text":"x"}`)
	h.must(422, "valid email", liveKey, "POST", send, `{"from":"a@acme.test","to":[""],"body_text":"x"}`)
	h.must(200, `"description":null`, liveKey, "POST", "/api/console/webhooks", `{"url":"https://app.acme.test/","events":["domain.created"]}`)
	h.must(200, "[", liveKey, "GET", send+"?status=accepted&to_search=b", "")
	h.must(422, "date", liveKey, "GET", send+"?date_from_search=never", "")
	h.must(403, "not available", liveKey, "GET", "/api/console/init", "")
	h.must(422, "not a valid domain", liveKey, "POST", "/api/console/domains", `{"domain":"`+strings.Repeat("long.", 60)+`test"}`)
	h.domain("one.test", "pending") // another domain with a selector that is taken
	h.domain("two.test", "pending")
	h.must(200, "", liveKey, "GET", "/api/console/domains/two.test", "")
}

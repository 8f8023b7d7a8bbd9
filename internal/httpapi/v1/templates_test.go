package v1_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// template makes one with a first draft, and publishes that.
func (h *house) template(body string) answer {
	h.t.Helper()
	a := h.ask(testKey, "POST", "/v1/templates", body).is(201, "")
	return h.publishVersion(a.at("/alias"), 1)
}

func (h *house) publishVersion(alias string, version int) answer {
	h.t.Helper()
	return h.ask(testKey, "POST", fmt.Sprintf("/v1/templates/%s/versions/%d/publish", alias, version), "{}").is(200, "")
}

// sent is the content of a message just accepted.
func (h *house) sent(a answer) answer {
	h.t.Helper()
	a.is(202, "")
	return h.ask(testKey, "GET", "/v1/messages/"+a.at("/message_id")+"/content", "").is(200, "")
}

// keyWith makes a test key with these scopes.
func (h *house) keyWith(scopes ...string) string {
	h.t.Helper()
	p, err := h.store.ProjectByName(h.t.Context(), project.DefaultProject)
	if err != nil {
		h.t.Fatal(err)
	}
	env := mail.Test
	_, secret, err := h.access.CreateKey(h.t.Context(), project.NewKey{Project: &p, Name: "k", Env: &env, Scopes: scopes}, nil, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

const welcome = `{"alias":"welcome","name":"Welcome","subject":"Welcome, {{name}}","html":"<p>Hello {{name}}, <a href=\"{{url}}\">begin</a></p>"}`

func TestATemplateIsMadeReadChangedAndArchived(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(testKey, "POST", "/v1/templates", `{"alias":"welcome","name":"Welcome","description":"d","default_from":"Acme <hello@sandbox.test>","subject":"Hi {{name}}",
		"html":"<p>{{name}}{{#if plan}}{{plan}}{{/if}}","variables":[{"name":"name","example":"Ada"}],"note":"first"}`).is(201, "")
	if a.at("/published_version") != "null" || a.at("/draft_version") != "1" || a.at("/engine") != "handlebars" || a.at("/draft/html") != "<p>{{name}}{{#if plan}}{{plan}}{{/if}}" ||
		a.at("/variables/0/name") != "name" || a.at("/variables/0/type") != "string" || a.at("/variables/0/required") != "true" || a.at("/variables/0/example") != "Ada" || a.at("/variables/1/required") != "false" {
		t.Errorf("made: %s", a.Body)
	}
	if a.Header().Get("Location") != "/v1/templates/"+a.at("/template_id") || !strings.HasPrefix(a.at("/template_id"), "tmpl_") {
		t.Errorf("location %q", a.Header().Get("Location"))
	}
	byID := h.ask(testKey, "GET", "/v1/templates/"+a.at("/template_id"), "").is(200, "")
	read := h.ask(liveKey, "GET", "/v1/templates/welcome", "").is(200, "")
	if read.Body.String() != byID.Body.String() || read.at("/draft/note") != "first" || read.at("/draft/state") != "draft" || len(read.at("/draft/sha256")) != 64 || read.at("/published") != "" {
		t.Errorf("read: %s", read.Body)
	}
	etag := read.Header().Get("ETag")
	patched := h.ask(testKey, "PATCH", "/v1/templates/welcome", `{"alias":"hello","name":null,"default_from":null}`, "If-Match: "+etag).is(200, "")
	if patched.at("/alias") != "hello" || patched.at("/name") != "hello" || patched.at("/description") != "d" || patched.at("/default_from") != "null" || patched.Header().Get("ETag") == etag {
		t.Errorf("patched: %s", patched.Body)
	}
	h.ask(testKey, "PATCH", "/v1/templates/hello", `{"name":"x"}`, "If-Match: "+etag).is(412, "precondition_failed")
	h.ask(testKey, "DELETE", "/v1/templates/hello", "", "If-Match: "+etag).is(412, "precondition_failed")
	h.ask(testKey, "GET", "/v1/templates/welcome", "").is(404, "not_found")
	h.ask(testKey, "DELETE", "/v1/templates/hello", "").is(204, "")
	h.ask(testKey, "DELETE", "/v1/templates/hello", "").is(404, "not_found")
	id := "/v1/templates/" + a.at("/template_id")
	if gone := h.ask(testKey, "GET", id, "").is(200, ""); gone.at("/archived_at") == "null" {
		t.Errorf("archived: %s", gone.Body)
	}
	h.ask(testKey, "PATCH", id, `{"name":"x"}`).is(409, "state_conflict")
	h.ask(testKey, "POST", id+"/versions", `{"html":"x"}`).is(409, "state_conflict")
	h.send(`{"recipient":"ada@example.com","template":"`+a.at("/template_id")+`"}`).is(422, "validation_failed")
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"hello","html":"x"}`).is(201, "")
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"hello","html":"x"}`).is(409, "already_exists")
}

func TestEveryFaultOfATemplateIsNamed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"base","html":"x"}`).is(201, "")
	a := h.ask(testKey, "POST", "/v1/templates", `{"alias":"We lcome","name":"`+strings.Repeat("n", 101)+`","engine":"liquid","default_from":"nobody","layout":"bsae","text":7,
		"locales":{"p":{},"pt_br":{"html":"x"},"pt-BR":{"html":"y"},"de":{}},"variables":[{"type":"date"},{"name":"a.b","default":1},{"name":"x"},{"name":"x"}]}`)
	// What reading finds comes first; the rest is judged when all could be read.
	pointers := func(a answer) (out []string) {
		for _, f := range faultsOf(t, a.is(422, "validation_failed")) {
			out = append(out, f.Pointer+" "+f.Code)
		}
		return out
	}
	for _, want := range []string{"#/engine invalid_value", "#/text invalid_type", "#/locales/p invalid_value", "#/locales/pt-BR invalid_value"} {
		if !strings.Contains(strings.Join(pointers(a), "\n"), want) {
			t.Errorf("%s is not in %q", want, pointers(a))
		}
	}
	a = h.ask(testKey, "POST", "/v1/templates", `{"alias":"We lcome","name":"`+strings.Repeat("n", 101)+`","default_from":"nobody","layout":"bsae",
		"locales":{"de":{}},"variables":[{"type":"date"},{"name":"a.b","default":1},{"name":"x"},{"name":"x"}]}`)
	for _, want := range []string{"#/alias invalid_value", "#/name too_long", "#/default_from invalid_email", "#/layout template_not_found", "#/html missing_required_field", "#/locales/de missing_required_field",
		"#/variables/0/name missing_required_field", "#/variables/0/type invalid_value", "#/variables/1/default invalid_value", "#/variables/3/name invalid_value"} {
		if !strings.Contains(strings.Join(pointers(a), "\n"), want) {
			t.Errorf("%s is not in %q", want, pointers(a))
		}
	}
	if !strings.Contains(a.Body.String(), `"suggestion":"base"`) {
		t.Errorf("no suggestion: %s", a.Body)
	}
	for _, alias := range []string{"preview", "tmpl_x", "-a", "Ä", strings.Repeat("a", 65), ""} {
		h.ask(testKey, "POST", "/v1/templates", `{"alias":"`+alias+`","html":"x"}`).is(422, "validation_failed")
	}
	if a := h.ask(testKey, "POST", "/v1/templates", `{"alias":"typo","htlm":"x","html":"y"}`).is(201, ""); a.at("/warnings/0/message") != "Did you mean 'html'?" {
		t.Errorf("warnings: %s", a.Body)
	}
}

func TestAVersionIsPublishedAtOnceAndTellsIt(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "POST", "/v1/templates", welcome).is(201, "")
	first := h.publishVersion("welcome", 1)
	if first.at("/published_version") != "1" || first.at("/draft_version") != "null" || first.at("/published/published_by") == "null" || first.at("/published/state") != "published" {
		t.Errorf("published: %s", first.Body)
	}
	draft := h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"based_on":1,"html":"<p>{{name}} {{plan}}","note":"plan"}`).is(201, "")
	if draft.at("/version") != "2" || draft.at("/subject") != "Welcome, {{name}}" || draft.at("/html") != "<p>{{name}} {{plan}}" || draft.at("/state") != "draft" || draft.Header().Get("Location") == "" {
		t.Errorf("draft: %s", draft.Body)
	}
	h.send(`{"recipient":"ada@example.com","template":"welcome","template_data":{"name":"Ada","url":"/x"}}`).is(202, "")
	second := h.publishVersion("welcome", 2)
	if second.at("/warnings/0/code") != "variable_newly_required" || !strings.Contains(second.at("/warnings/0/message"), "'plan'") {
		t.Errorf("warnings: %s", second.Body)
	}
	if a := h.send(`{"recipient":"ada@example.com","template":"welcome","template_data":{"name":"Ada","url":"/x"}}`).is(422, ""); a.at("/errors/0/pointer") != "#/template_data/plan" {
		t.Errorf("the new version does not hold: %s", a.Body)
	}
	h.publishVersion("welcome", 2) // it is so already
	h.ask(testKey, "POST", "/v1/templates/welcome/versions/1/publish", "").is(409, "state_conflict")
	h.ask(testKey, "POST", "/v1/templates/welcome/versions/9/publish", "").is(404, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/versions/x/publish", "").is(404, "")

	back := h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":1}`).is(200, "")
	if back.at("/published_version") != "3" || back.at("/published/html") != first.at("/published/html") || back.at("/published/note") != "Rollback to version 1" {
		t.Errorf("rolled back: %s", back.Body)
	}
	h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":3}`).is(409, "state_conflict")
	h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":77}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"html":"never"}`).is(201, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":4}`).is(422, "")

	versions := h.ask(testKey, "GET", "/v1/templates/welcome/versions?limit=3", "").is(200, "")
	if versions.at("/data/0/version") != "4" || versions.at("/data/1/state") != "published" || versions.at("/data/2/state") != "archived" || versions.at("/has_more") != "true" || versions.at("/data/0/html") != "" {
		t.Errorf("versions: %s", versions.Body)
	}
	if rest := h.ask(testKey, "GET", "/v1/templates/welcome/versions?limit=3&cursor="+versions.at("/next_cursor"), "").is(200, ""); rest.at("/data/0/version") != "1" || rest.at("/has_more") != "false" {
		t.Errorf("the rest: %s", rest.Body)
	}
	if v := h.ask(testKey, "GET", "/v1/templates/welcome/versions/2", "").is(200, ""); v.at("/html") != "<p>{{name}} {{plan}}" || v.at("/inferred_variables/1") != "plan" {
		t.Errorf("version 2: %s", v.Body)
	}
	if d := h.ask(testKey, "GET", "/v1/templates/welcome/versions/2/diff", "").is(200, ""); d.at("/from") != "1" || d.at("/parts/0/part") != "html" || !strings.Contains(d.at("/parts/0/diff"), "+<p>{{name}} {{plan}}") || d.at("/parts/1") != "" {
		t.Errorf("diff: %s", d.Body)
	}
	if d := h.ask(testKey, "GET", "/v1/templates/welcome/versions/3/diff?against=1", "").is(200, ""); d.at("/parts") != "[]" {
		t.Errorf("diff of equal ones: %s", d.Body)
	}
	h.ask(testKey, "GET", "/v1/templates/welcome/versions/3/diff?against=99", "").is(400, "invalid_parameter")
	h.ask(testKey, "GET", "/v1/templates/welcome/versions/1/diff", "").is(400, "invalid_parameter")
}

func TestTemplatesAreListedByPageAndFilter(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for _, alias := range []string{"one", "two", "three"} {
		h.ask(testKey, "POST", "/v1/templates", `{"alias":"`+alias+`","name":"Name `+alias+`","html":"x"}`).is(201, "")
	}
	h.publishVersion("two", 1)
	first := h.ask(testKey, "GET", "/v1/templates?limit=2", "").is(200, "")
	if first.at("/data/0/alias") != "three" || first.at("/data/1/alias") != "two" || first.at("/has_more") != "true" {
		t.Errorf("first: %s", first.Body)
	}
	if rest := h.ask(testKey, "GET", "/v1/templates?limit=2&cursor="+first.at("/next_cursor"), "").is(200, ""); rest.at("/data/0/alias") != "one" || rest.at("/data/1") != "" {
		t.Errorf("rest: %s", rest.Body)
	}
	for query, want := range map[string]string{"q=NAME+T": "three", "published=true": "two", "published=false": "three", "q=zzz": ""} {
		if a := h.ask(testKey, "GET", "/v1/templates?"+query, "").is(200, ""); a.at("/data/0/alias") != want {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	h.ask(testKey, "GET", "/v1/templates?published=maybe", "").is(400, "invalid_parameter")
}

func TestTemplatesNeedTheirScopes(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	read, write, publish, send := h.keyWith("templates.read"), h.keyWith("templates.write"), h.keyWith("templates.publish"), h.keyWith("messages.send")
	for _, c := range []struct{ may, not, method, path, body string }{
		{read, write, "GET", "/v1/templates", ""}, {read, write, "GET", "/v1/templates/welcome", ""}, {read, write, "GET", "/v1/templates/welcome/versions", ""},
		{read, write, "POST", "/v1/templates/welcome/preview", "{}"}, {read, write, "POST", "/v1/templates/preview", `{"html":"x"}`}, {read, write, "POST", "/v1/templates/welcome/validate", "{}"},
		{write, read, "POST", "/v1/templates", `{"alias":"x","html":"x"}`}, {write, publish, "POST", "/v1/templates/welcome/versions", `{"html":"x"}`}, {write, read, "PATCH", "/v1/templates/welcome", `{"name":"x"}`},
		{publish, write, "POST", "/v1/templates/welcome/versions/2/publish", ""}, {publish, write, "POST", "/v1/templates/welcome/rollback", `{"to":1}`},
		{send, write, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","template_data":{"name":"A","url":"/"}}`}, {write, read, "DELETE", "/v1/templates/x", ""},
	} {
		h.ask(c.not, c.method, c.path, c.body).is(403, "insufficient_scope")
		if a := h.ask(c.may, c.method, c.path, c.body); a.Code >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Code, a.Body)
		}
	}
}

func TestAnIdempotencyKeyMakesOneTemplateVersionAndPublication(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for _, c := range []struct{ path, body, other string }{
		{"/v1/templates", welcome, strings.Replace(welcome, "Hello", "Bye", 1)},
		{"/v1/templates/welcome/versions", `{"html":"2"}`, `{"html":"3"}`},
		{"/v1/templates/welcome/versions/1/publish", `{}`, `{"note":"x"}`},
		{"/v1/templates/welcome/versions/2/publish", `{}`, `{"note":"x"}`},
		{"/v1/templates/welcome/rollback", `{"to":1}`, `{"to":2}`},
	} {
		first := h.ask(testKey, "POST", c.path, c.body, "Idempotency-Key: k")
		again := h.ask(testKey, "POST", c.path, c.body, "Idempotency-Key: k")
		if first.Code >= 300 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || again.Header().Get("Location") != first.Header().Get("Location") {
			t.Errorf("%s: %d %s, then %d %s", c.path, first.Code, first.Body, again.Code, again.Body)
		}
		h.ask(testKey, "POST", c.path, c.other, "Idempotency-Key: k").is(422, "idempotency_key_reused")
	}
	if a := h.ask(testKey, "GET", "/v1/templates/welcome/versions", "").is(200, ""); a.at("/data/0/version") != "3" {
		t.Errorf("versions: %s", a.Body)
	}
	a := h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","template_data":{"name":"A","url":"/"}}`, "Idempotency-Key: t").is(202, "")
	if again := h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","template_data":{"name":"A","url":"/"}}`, "Idempotency-Key: t"); again.Body.String() != a.Body.String() || h.count() != 1 {
		t.Errorf("%s, then %s; %d messages", a.Body, again.Body, h.count())
	}
}

func TestATemplateThatScheduledMailUsesIsArchivedByForce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	a := h.send(`{"recipient":"ada@example.com","template":"welcome","template_data":{"name":"Ada","url":"/x"},"scheduled_time":"`+h.clock().Add(time.Hour).Format(time.RFC3339)+`"}`).is(202, "")
	if c := h.ask(testKey, "DELETE", "/v1/templates/welcome", "").is(409, "state_conflict"); c.at("/current_state") != "in_use" {
		t.Errorf("%s", c.Body)
	}
	h.ask(testKey, "DELETE", "/v1/templates/welcome?force=true", "").is(204, "")
	if m := h.sent(a); m.at("/subject") != "Welcome, Ada" {
		t.Errorf("the message: %s", m.Body)
	}
}

func TestATemplateIsSentToTryIt(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"subject":"Draft","text":"two {{name}}"}`).is(201, "")
	a := h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","template_data":{"name":"Ada"}}`)
	if m := h.sent(a); m.at("/subject") != "Draft" || !strings.Contains(m.at("/text"), "two Ada") {
		t.Errorf("the draft: %s", m.Body)
	}
	if m := h.ask(testKey, "GET", "/v1/messages/"+a.at("/message_id"), "").is(200, ""); m.at("/tags/0") != "test" || m.at("/template/version") != "2" || m.at("/template/alias") != "welcome" {
		t.Errorf("the message: %s", m.Body)
	}
	a = h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","version":1,"template_data":{"name":"Ada","url":"/x"}}`)
	if m := h.sent(a); m.at("/subject") != "Welcome, Ada" {
		t.Errorf("version 1: %s", m.Body)
	}
	h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","version":"x"}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/test-send", `{"version":1}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/nothing/test-send", `{"recipient":"ada@example.com"}`).is(404, "")
	if a := h.ask(liveKey, "POST", "/v1/templates/welcome/test-send", `{"recipient":"ada@example.com","version":"draft","template_data":{}}`).is(422, ""); a.at("/errors/0/code") != "template_not_published" {
		t.Errorf("a draft with a live key: %s", a.Body)
	}
}

func TestTheVersionsOfOneTemplateMadeAtTheSameTimeAllCount(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	done := make(chan int)
	for range 4 {
		go func() { done <- h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"html":"x"}`).Code }()
	}
	for range 4 {
		if code := <-done; code != 201 {
			t.Errorf("status %d", code)
		}
	}
	var out struct {
		Data []struct {
			Version int `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(h.ask(testKey, "GET", "/v1/templates/welcome/versions", "").Body.Bytes(), &out); err != nil || len(out.Data) != 5 || out.Data[0].Version != 5 {
		t.Errorf("versions: %+v %v", out, err)
	}
}

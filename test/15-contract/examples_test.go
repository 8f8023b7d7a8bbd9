package contract

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/test/contract"
	"github.com/postroad/postroad/test/harness"
)

// things are what a path's parameter may name: one that is there, and for operations that
// use it up, or need it in some state, one of their own.
func (s *stage) things() map[string]func() string {
	fixed := func(v string) func() string { return func() string { return v } }
	once := sync.OnceValue[string]
	suppressed := func() string { return s.suppressed("suppressions") }
	return map[string]func() string{
		"message": once(s.delivered), "n": fixed("0"), "template": fixed("welcome"), "version": fixed("1"), "domain": once(s.domain), "selector": fixed("s1"),
		"suppression": once(suppressed), "erasure": once(s.erasure), "token": s.link, "webhook": once(s.webhook), "delivery": once(s.hook), "event": s.event,
		"id": once(s.key), "id getJob": s.job, "project": once(s.project),

		"message deleteMessage": s.scheduled, "message updateMessage": s.scheduled, "message cancelMessage": s.scheduled, "message sendMessageNow": s.scheduled, "message releaseSandboxMessage": s.releasable,
		"template deleteTemplate":         func() string { return s.template(s.fresh("t"), `{"text":"x"}`) },
		"template publishTemplateVersion": s.draft, "template rollbackTemplate": s.twice, "version diffTemplateVersions": fixed("2"),
		"suppression deleteSuppression": suppressed, "suppression deleteUnsubscribe": func() string { return s.suppressed("unsubscribes") },
		"domain deleteDomain": s.domain, "domain rotateDKIM": s.signing, "domain deleteDKIM": s.rotated, "selector deleteDKIM": fixed("s9"), "domain activateDKIM": s.rotated, "selector activateDKIM": fixed("s9"),
		"webhook deleteWebhook": s.webhook, "id revokeAPIKey": s.key, "id rotateAPIKey": s.key, "project deleteProject": s.suspended, "project resumeProject": s.suspended,
	}
}

// browsed are operations of the console's sessions, which keys do not have.
var browsed = []string{"getSession", "listSessions", "endSession", "logOut", "changePassword"}

// queries are what an operation needs to succeed besides its example.
var queries = map[string]string{"activateDKIM": "?force=true", "waitForSandboxMessage": "?timeout=10", "streamEvents": "-", "cancelJob": "-", "clearSandbox": "-", "setUp": "-"}

// ofLive are operations that only a live key may ask for.
var ofLive = []string{"releaseSandboxMessage"}

// releasable is a captured message that could be live: its sender's domain is verified.
func (s *stage) releasable() string {
	return s.do("POST", "/v1/messages", `{"from":"hello@acme.test","recipient":"ada@example.com","subject":"s","text":"x"}`)["message_id"].(string)
}

func (s *stage) draft() string {
	alias := s.fresh("t")
	s.do("POST", "/v1/templates", `{"alias":"`+alias+`","text":"x"}`)
	return alias
}

func (s *stage) twice() string {
	alias := s.template(s.fresh("t"), `{"text":"x"}`)
	s.do("POST", "/v1/templates/"+alias+"/versions", `{"text":"y"}`)
	s.do("POST", "/v1/templates/"+alias+"/versions/2/publish", `{}`)
	return alias
}

// signing is a domain whose key signs.
func (s *stage) signing() string {
	name := s.domain()
	s.do("POST", "/v1/domains/"+name+"/dkim/s1/activate?force=true", "")
	return name
}

func (s *stage) rotated() string {
	name := s.signing()
	s.do("POST", "/v1/domains/"+name+"/dkim/rotate", `{"algorithm":"ed25519","selector":"s9"}`)
	return name
}

// filled is the path with something there for each parameter.
func (s *stage) filled(things map[string]func() string, op operation) string {
	s.t.Helper()
	path := op.path
	for _, v := range list(op.fields["parameters"]) {
		p := contract.Load().Resolve(v)
		if p["in"] != "path" {
			continue
		}
		name := p["name"].(string)
		thing := things[name+" "+op.id]
		if thing == nil {
			thing = things[name]
		}
		if thing == nil {
			s.t.Fatalf("%s: nothing stands for {%s}: add it to things()", op.id, name)
		}
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(thing()))
	}
	return path + queries[op.id]
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// request is one example.
type request struct {
	name, kind string
	body       []byte
}

func requestsOf(op operation) (all []request) {
	body := contract.Load().Resolve(op.fields["requestBody"])
	content, _ := body["content"].(map[string]any)
	for kind, v := range content {
		media := v.(map[string]any)
		examples, _ := media["examples"].(map[string]any)
		for name, e := range examples {
			text, _ := json.Marshal(contract.Load().Resolve(e)["value"])
			all = append(all, request{name, kind, text})
		}
		if e, ok := media["example"].(string); ok {
			all = append(all, request{kind, kind, []byte(e)})
		}
	}
	if all == nil {
		all = []request{{name: "plain", kind: "application/json"}}
	}
	return all
}

func TestEveryDocumentedExampleWorks(t *testing.T) {
	t.Parallel()
	s := open(t)
	things, ran := s.things(), 0
	for _, op := range operations() {
		if queries[op.id] == "-" { // shown by tests of their own
			continue
		}
		for _, r := range requestsOf(op) {
			if op.id == "waitForSandboxMessage" {
				s.message("") // else there is nothing to wait for
			}
			headers := []string{"Content-Type", r.kind}
			if slices.Contains(browsed, op.id) {
				cookie, id := s.session()
				headers, things["session"] = append(headers, "Cookie", cookie), func() string { return id }
			}
			path := s.filled(things, op)
			var body any
			if r.body != nil {
				body = r.body
			}
			key := harness.TestKey
			if security, said := op.fields["security"].([]any); said && len(security) == 0 || slices.Contains(browsed, op.id) {
				key = ""
			}
			if slices.Contains(ofLive, op.id) {
				key = harness.LiveKey
			}
			a := s.p.Call(t, op.method, path, key, body, headers...)
			if a.Status/100 != 2 {
				t.Errorf("%s, example %s: %s %s answered %d: %.600s", op.id, r.name, op.method, path, a.Status, a.Body)
			}
			if op.id == "changePassword" {
				cookie, _, _ := strings.Cut(s.p.Must(t, 201, "POST", "/v1/session", "", map[string]any{"password": "staple battery horse"}).Header.Get("Set-Cookie"), ";")
				s.p.Must(t, 204, op.method, path, "", map[string]any{"password": "staple battery horse", "new_password": password}, "Cookie", cookie)
			}
			if op.id == "setSandboxBehaviour" {
				s.do("PUT", "/v1/sandbox/behaviour", `{}`) // the mail of the other examples is delivered
			}
			ran++
		}
	}
	t.Logf("%d examples of %d operations", ran, len(operations()))
}

func TestEveryExampleOfAnAnswerFitsItsSchema(t *testing.T) {
	t.Parallel()
	d, n := contract.Load(), 0
	fits := func(where string, media map[string]any, pointer string) {
		all := map[string]any{}
		if e := media["example"]; e != nil {
			all["example"] = e
		}
		examples, _ := media["examples"].(map[string]any)
		for name, e := range examples {
			all[name] = d.Resolve(e)["value"]
		}
		for name, v := range all {
			n++
			if _, text := v.(string); text {
				continue
			}
			if err := d.Validate(pointer+"/schema", v); err != nil {
				t.Errorf("%s, example %s: %v", where, name, err)
			}
		}
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1").Replace
	for _, op := range operations() {
		at := "/paths/" + escape(op.path) + "/" + strings.ToLower(op.method)
		content, _ := d.Resolve(op.fields["requestBody"])["content"].(map[string]any)
		for kind, media := range content {
			fits(op.id, media.(map[string]any), at+"/requestBody/content/"+escape(kind))
		}
		for status, r := range op.fields["responses"].(map[string]any) {
			if r.(map[string]any)["$ref"] != nil {
				continue
			}
			content, _ := r.(map[string]any)["content"].(map[string]any)
			for kind, media := range content {
				fits(op.id+" "+status, media.(map[string]any), at+"/responses/"+status+"/content/"+escape(kind))
			}
		}
	}
	for status, r := range d.Root["components"].(map[string]any)["responses"].(map[string]any) {
		for kind, media := range r.(map[string]any)["content"].(map[string]any) {
			fits("answer "+status, media.(map[string]any), fmt.Sprintf("/components/responses/%s/content/%s", status, escape(kind)))
		}
	}
	hooks, _ := d.Root["webhooks"].(map[string]any)
	for name, item := range hooks {
		at := "/webhooks/" + escape(name) + "/post/requestBody/content/application~1json"
		media := item.(map[string]any)["post"].(map[string]any)["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"]
		fits(name, media.(map[string]any), at)
	}
	if n < 60 {
		t.Errorf("only %d examples", n)
	}
	t.Logf("%d examples", n)
}

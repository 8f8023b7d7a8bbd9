package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/test/contract"
	"github.com/postroad/postroad/test/harness"
)

// stage is a Postroad with something of everything in it.
type stage struct {
	t     testing.TB
	p     *harness.Postroad
	count atomic.Int64
}

// password is the one the examples have, of the console's first user.
const password = "correct horse battery"

func open(t testing.TB, env ...string) *stage {
	t.Helper()
	world := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: world.Env(append([]string{"POSTROAD_LOG_LEVEL", "warn", "POSTROAD_ADMIN_PASSWORD", password}, env...)...)})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, p: p}
	s.template("otp-code", `{"subject":"Your code","text":"{{code}}, good for {{expires_in}}."}`)
	s.template("welcome", `{"subject":"Welcome, {{name}}","html":"<p>Hello {{name}}.</p>","text":"Hello {{name}}."}`)
	s.do("POST", "/v1/templates/welcome/versions", `{"based_on":1,"subject":"Hello, {{name}}"}`)
	return s
}

// do makes a request that must be good, with the test key.
func (s *stage) do(method, path, body string, headers ...string) map[string]any {
	s.t.Helper()
	var in any
	if body != "" {
		in = []byte(body)
	}
	a := s.p.Call(s.t, method, path, harness.TestKey, in, headers...)
	if a.Status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	var out map[string]any
	_ = json.Unmarshal(a.Body, &out) // some have no body
	return out
}

// fresh is a name nobody has yet.
func (s *stage) fresh(prefix string) string { return fmt.Sprintf("%s-%d", prefix, s.count.Add(1)) }

func (s *stage) template(alias, content string) string {
	s.do("POST", "/v1/templates", `{"alias":"`+alias+`",`+strings.TrimPrefix(content, "{"))
	s.do("POST", "/v1/templates/"+alias+"/versions/1/publish", `{}`)
	return alias
}

// message sends one with a file; more are members of its JSON.
func (s *stage) message(more string) string {
	return s.do("POST", "/v1/messages", `{"recipient":"ada@example.com","subject":"Hi","text":"Your code is 482913.","attachments":[{"filename":"a.txt","content":"aGVsbG8="}]`+more+`}`)["message_id"].(string)
}

func (s *stage) delivered() string {
	id := s.message("")
	s.p.ExpectEvents(s.t, harness.TestKey, id, "", "queued accepted delivered", 10*time.Second)
	return id
}

func (s *stage) scheduled() string {
	return s.message(`,"scheduled_time":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"`)
}

func (s *stage) suppressed(door string) string {
	address := s.fresh("user") + "@example.com"
	s.do("POST", "/v1/"+door, `{"recipient":"`+address+`"}`)
	return address
}

func (s *stage) domain() string {
	name := s.fresh("d") + ".test"
	s.do("POST", "/v1/domains", `{"name":"`+name+`","dkim":{"selector":"s1","algorithm":"ed25519"}}`)
	return name
}

func (s *stage) key() string {
	return s.do("POST", "/v1/api-keys", `{"name":"`+s.fresh("k")+`","environment":"test","scopes":["messages.read"]}`)["key_id"].(string)
}

func (s *stage) job() string {
	return s.do("POST", "/v1/suppressions/import", "email\n"+s.fresh("i")+"@example.com\n", "Content-Type", "text/csv")["job_id"].(string)
}

func (s *stage) erasure() string {
	return s.do("POST", "/v1/erasures", `{"recipient":"`+s.fresh("e")+`@example.com"}`)["erasure_id"].(string)
}

func (s *stage) webhook() string {
	return s.do("POST", "/v1/webhooks", `{"url":"https://app.example.com/`+s.fresh("h")+`","events":["*"]}`)["webhook_id"].(string)
}

// hook is a delivery of an endpoint, which nobody takes.
func (s *stage) hook() string {
	id := s.webhook()
	s.delivered()
	for end := time.Now().Add(harness.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		list := s.do("GET", "/v1/webhooks/"+id+"/deliveries", "")["data"].([]any)
		if len(list) > 0 {
			return list[0].(map[string]any)["delivery_id"].(string)
		}
	}
	s.t.Fatal("the endpoint is owed nothing")
	return ""
}

func (s *stage) project() string {
	return s.do("POST", "/v1/projects", `{"name":"`+s.fresh("p")+`"}`)["project_id"].(string)
}

func (s *stage) suspended() string {
	id := s.project()
	s.do("POST", "/v1/projects/"+id+"/suspend", `{"reason":"x"}`)
	return id
}

// session logs in, and gives the cookie and the session's id.
func (s *stage) session() (cookie, id string) {
	s.t.Helper()
	a := s.p.Must(s.t, http.StatusCreated, "POST", "/v1/session", "", map[string]any{"password": password})
	cookie, _, _ = strings.Cut(a.Header.Get("Set-Cookie"), ";")
	return cookie, a.Text(s.t, "session_id")
}

func (s *stage) event() string {
	s.message("")
	return s.do("GET", "/v1/events?wait=10", "")["data"].([]any)[0].(map[string]any)["id"].(string)
}

var hosted = regexp.MustCompile(`/f/([A-Za-z0-9_-]+)`)

// link is the token of a hosted file.
func (s *stage) link() string {
	id := s.do("POST", "/v1/messages", `{"recipient":"ada@example.com","subject":"Hi","html":"<a href=\"hosted:a.zip\">a</a>","attachments":[{"filename":"a.zip","content":"aGVsbG8=","hosted":true}]}`)["message_id"].(string)
	content := s.do("GET", "/v1/messages/"+id+"/content", "")
	return hosted.FindStringSubmatch(content["html"].(string))[1]
}

// operation is one of the document.
type operation struct {
	id, method, path string
	fields           map[string]any
}

// operations are all of them, by their ids.
func operations() (all []operation) {
	for path, item := range contract.Load().Root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			fields := op.(map[string]any)
			all = append(all, operation{fields["operationId"].(string), strings.ToUpper(method), path, fields})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

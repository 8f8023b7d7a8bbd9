package contract

import (
	"net/http"
	"strings"
	"testing"
)

// good is an answer as the server gives it.
func good() Answer {
	h := http.Header{}
	for name, v := range map[string]string{"X-Request-Id": "req_1", "X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999", "X-RateLimit-Reset": "37",
		"RateLimit-Policy": `"project";q=1000;w=60`, "RateLimit": `"project";r=999;t=37`, "Server-Timing": "total;dur=1.0", "X-Should-Retry": "false",
		"Content-Type": "application/json; charset=utf-8"} {
		h.Set(name, v)
	}
	return Answer{Method: "GET", Path: "/v1/version?x=1", Status: 200, Header: h, Body: []byte(`{"version":"1","commit":"c","go":"go"}`)}
}

func refusal(status int, body string) Answer {
	a := good()
	a.Status, a.Body = status, []byte(body)
	a.Header.Set("Content-Type", "application/problem+json")
	return a
}

const notFound = `{"type":"https://h/docs/errors#not_found","title":"Not found","status":404,"code":"not_found","detail":"d","message":"d","request_id":"req_1","instance":"/v1/logs/req_1"}`

// Every way in which an answer can differ from the document is met here once: a check that
// finds nothing would hold nothing.
func TestAnswersThatDifferFromTheDocumentAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Answer)
		want   string
	}{
		"nothing":                   {func(*Answer) {}, ""},
		"a slash at the end":        {func(a *Answer) { a.Path = "/v1/version/" }, ""},
		"HEAD":                      {func(a *Answer) { a.Method, a.Body = "HEAD", nil }, ""},
		"a field too many":          {func(a *Answer) { a.Body = []byte(`{"version":"1","commit":"c","go":"go","more":1}`) }, "additional properties 'more'"},
		"a field too few":           {func(a *Answer) { a.Body = []byte(`{"version":"1","commit":"c"}`) }, "missing property 'go'"},
		"a field of another type":   {func(a *Answer) { a.Body = []byte(`{"version":1,"commit":"c","go":"go"}`) }, "want string"},
		"no JSON":                   {func(a *Answer) { a.Body = []byte(`hello`) }, "not JSON"},
		"another status":            {func(a *Answer) { a.Status = 201 }, "status is not documented"},
		"another media type":        {func(a *Answer) { a.Header.Set("Content-Type", "text/html") }, "content type text/html"},
		"no rate header":            {func(a *Answer) { a.Header.Del("X-RateLimit-Limit") }, "X-RateLimit-Limit is missing"},
		"an epoch in a rate header": {func(a *Answer) { a.Header.Set("RateLimit", "yes") }, "header RateLimit"},
		"no request id":             {func(a *Answer) { a.Header.Del("X-Request-Id") }, "X-Request-Id is missing"},
		"an unknown path":           {func(a *Answer) { a.Path = "/v1/nowhere" }, "not documented"},
		"an unknown method":         {func(a *Answer) { a.Method = "PUT" }, "not documented"},
		"a refused unknown path":    {func(a *Answer) { *a = refusal(404, notFound); a.Path = "/v1/nowhere" }, ""},
		"a refusal without Allow": {func(a *Answer) {
			*a = refusal(405, strings.NewReplacer("not_found", "method_not_allowed", "Not found", "The method is not allowed here", "404", "405").Replace(notFound))
			a.Method = "PUT"
		}, "no Allow"},
		"an unknown word":          {func(a *Answer) { a.Path, a.Body = "/v1/health", []byte(`{"status":"fine","checks":[]}`) }, "value must be one of"},
		"a body where none may be": {func(a *Answer) { a.Method, a.Path, a.Status = "DELETE", "/v1/domains/x", 204 }, "a body where none"},
		"a code that is not listed": {func(a *Answer) {
			*a = refusal(404, strings.ReplaceAll(notFound, "not_found", "lost"))
			a.Path = "/v1/jobs/x"
		}, "not in the list of codes"},
		"a code of another status": {func(a *Answer) {
			*a = refusal(404, strings.ReplaceAll(notFound, "not_found", "link_expired"))
			a.Path = "/v1/jobs/x"
		}, "documented with 410"},
		"another request id": {func(a *Answer) {
			*a = refusal(404, notFound)
			a.Path = "/v1/jobs/x"
			a.Header.Set("X-Request-Id", "req_2")
		}, "request_id"},
		"a fault without errors": {func(a *Answer) {
			*a = refusal(422, strings.NewReplacer("not_found", "validation_failed", "Not found", "The request has invalid fields", "404", "422").Replace(notFound))
			a.Method, a.Path = "POST", "/v1/erasures"
		}, "without errors[]"},
		"what net/http says itself": {func(a *Answer) {
			*a = Answer{Method: "GET", Path: "/v1/version", Status: 400, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}}
		}, ""},
		"a page beside the API": {func(a *Answer) { a.Path, a.Header = "/console.css", http.Header{} }, ""},
		"a limit without Retry-After": {func(a *Answer) {
			*a = refusal(429, strings.NewReplacer("not_found", "rate_limited", "Not found", "Too many requests", "404", "429").Replace(notFound))
			a.Path = "/v1/jobs/x"
		}, "no Retry-After"},
	} {
		a := good()
		c.change(&a)
		err := Check(a)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

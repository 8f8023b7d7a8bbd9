package hostile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// judge holds what is true for every answer, and gives its code.
func judge(t *testing.T, a harness.Answer) string {
	t.Helper()
	if a.Status >= 500 {
		t.Errorf("status %d: %.500s", a.Status, a.Body)
	}
	var problem struct {
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
		Errors    []struct {
			Code    string `json:"code"`
			Pointer string `json:"pointer"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &problem); err != nil {
		t.Fatalf("status %d, not JSON: %v: %.500s", a.Status, err, a.Body)
	}
	if a.Header.Get("X-Request-Id") == "" || a.Header.Get("X-RateLimit-Limit") == "" {
		t.Errorf("headers are missing: %v", a.Header)
	}
	if a.Status >= 400 && (problem.Code == "" || problem.RequestID == "") {
		t.Errorf("status %d without code or request_id: %.500s", a.Status, a.Body)
	}
	if a.Status == 422 && len(problem.Errors) == 0 && problem.Code == "validation_failed" {
		t.Errorf("422 without errors: %.500s", a.Body)
	}
	for _, e := range problem.Errors {
		if e.Code == "" || a.Status == 422 && !strings.HasPrefix(e.Pointer, "#") { // a query has no pointer
			t.Errorf("fault without code or pointer: %.500s", a.Body)
		}
	}
	return problem.Code
}

// bodies are requests that must be refused; code "" = any.
var bodies = []struct{ name, body, code string }{
	{"nothing", "", "invalid_json"},
	{"not JSON", "recipient=ada", "invalid_json"},
	{"half", `{"recipient":"ada@site.test"`, "invalid_json"},
	{"two values", `{"recipient":"a@site.test","text":"x","subject":"x"} {}`, "invalid_json"},
	{"an array", `[]`, ""},
	{"null", `null`, ""},
	{"a number", `1e999999`, ""},
	{"deep arrays", strings.Repeat("[", 100_000), "invalid_json"},
	{"deep objects", `{"metadata":` + strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000) + "}", ""},
	{"deep unknown field", `{"recipient":"a@site.test","subject":"x","text":"x","x":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "}", ""},
	{"the same name twice", `{"recipient":"a@site.test","recipient":"b@site.test","subject":"x","text":"x"}`, "invalid_json"},
	{"not UTF-8", "{\"recipient\":\"a@site.test\",\"subject\":\"\xff\xfe\",\"text\":\"x\"}", "invalid_json"},
	{"a lone surrogate", `{"recipient":"a@site.test","subject":"\ud800","text":"x"}`, ""},
	{"a surrogate pair upside down", `{"recipient":"a@site.test","subject":"\udc00\ud800","text":"x"}`, ""},
	{"NUL in the recipient", `{"recipient":"a\u0000@site.test","subject":"x","text":"x"}`, ""},
	{"NUL in the subject", `{"recipient":"a@site.test","subject":"x\u0000","text":"x"}`, ""},
	{"numbers for texts", `{"recipient":1,"from":2,"subject":3,"text":4,"html":5,"tags":6,"metadata":7,"headers":8,"attachments":9,"priority":10,"cc":11}`, "validation_failed"},
	{"objects for texts", `{"recipient":[[]],"from":{"email":{}},"subject":{},"text":[],"html":{},"tags":{},"metadata":[],"headers":[1],"attachments":{"a":1}}`, "validation_failed"},
	{"null for everything", `{"recipient":null,"from":null,"subject":null,"text":null,"html":null,"tags":null,"metadata":null,"headers":null,"attachments":null}`, ""},
	{"bad base64", `{"recipient":"a@site.test","subject":"x","text":"x","attachments":[{"filename":"a","content":"!!!!"}]}`, "validation_failed"},
	{"half base64", `{"recipient":"a@site.test","subject":"x","text":"x","attachments":[{"filename":"a","content":"AAAAA"}]}`, "validation_failed"},
	{"a time that is none", `{"recipient":"a@site.test","subject":"x","text":"x","scheduled_time":"yesterday"}`, "validation_failed"},
	{"a time beyond all times", `{"recipient":"a@site.test","subject":"x","text":"x","scheduled_time":99999999999999999999}`, ""},
	{"expiry below zero", `{"recipient":"a@site.test","subject":"x","text":"x","expires_in_seconds":-1}`, "validation_failed"},
	{"expiry beyond int64", `{"recipient":"a@site.test","subject":"x","text":"x","expires_in_seconds":1e40}`, ""},
	{"a thousand recipients", `{"to":["` + strings.Repeat(`a@site.test","`, 999) + `a@site.test"],"subject":"x","text":"x"}`, "validation_failed"},
	{"an address of a megabyte", `{"recipient":"` + strings.Repeat("a", 1<<20) + `@site.test","subject":"x","text":"x"}`, "validation_failed"},
	{"an address literal", `{"recipient":"root@[127.0.0.1]","subject":"x","text":"x"}`, "validation_failed"},
	{"a source route", `{"recipient":"@a.test:b@site.test","subject":"x","text":"x"}`, "validation_failed"},
	{"a command in an address", `{"recipient":"a@site.test>\r\nRCPT TO:<b@site.test","subject":"x","text":"x"}`, "validation_failed"},
}

func TestTheDoorAnswersEverythingWithACode(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := p.Call(t, "POST", "/v1/messages", harness.TestKey, []byte(c.body))
			if a.Status < 400 {
				t.Fatalf("accepted: %s", a.Body)
			}
			if code := judge(t, a); c.code != "" && code != c.code {
				t.Errorf("code %q, want %q: %.500s", code, c.code, a.Body)
			}
		})
	}
	for _, c := range []struct {
		method, path, key string
		status            int
		code              string
	}{
		{"GET", "/v1/messages", "", 401, "missing_api_key"},
		{"GET", "/v1/messages", "sk_live_nobodyxx_0000", 401, "invalid_api_key"},
		{"GET", "/v1/messages", strings.Repeat("k", 8000), 401, "invalid_api_key"},
		{"GET", "/v1/messages?cursor=nonsense", harness.TestKey, 400, "invalid_cursor"},
		{"GET", "/v1/messages?cursor=" + strings.Repeat("A", 4000), harness.TestKey, 400, ""},
		{"GET", "/v1/messages?limit=-1", harness.TestKey, 400, "invalid_parameter"},
		{"GET", "/v1/messages?limit=99999999999999999999", harness.TestKey, 400, "invalid_parameter"},
		{"GET", "/v1/messages?status=nonsense", harness.TestKey, 400, "invalid_parameter"},
		{"GET", "/v1/messages?created_after=%ff", harness.TestKey, 400, "invalid_parameter"},
		{"GET", "/v1/messages/msg_00000000000000000000000000", harness.TestKey, 404, "message_not_found"},
		{"GET", "/v1/messages/msg_", harness.TestKey, 404, "message_not_found"},
		{"GET", "/v1/messages/%2e%2e%2f%2e%2e%2fetc%2fpasswd", harness.TestKey, 404, ""},
		{"GET", "/v1/messages/%00", harness.TestKey, 404, "message_not_found"},
		{"GET", "/v1/nothing", harness.TestKey, 404, "not_found"},
		{"PUT", "/v1/messages", harness.TestKey, 405, "method_not_allowed"},
		{"BREW", "/v1/messages", harness.TestKey, 405, "method_not_allowed"},
	} {
		t.Run(c.method+" "+c.path[:min(len(c.path), 60)], func(t *testing.T) {
			t.Parallel()
			a := p.Call(t, c.method, c.path, c.key, nil)
			if code := judge(t, a); a.Status != c.status || c.code != "" && code != c.code {
				t.Errorf("status %d, code %q; want %d, %q: %.300s", a.Status, code, c.status, c.code, a.Body)
			}
		})
	}
	t.Cleanup(func() { stillWorks(t, p) })
}

// stillWorks sends a message through the sandbox.
func stillWorks(t *testing.T, p *harness.Postroad) {
	t.Helper()
	id := p.Send(t, harness.TestKey, map[string]any{"recipient": "ada@site.test", "subject": "x", "text": "still here"})
	p.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", 10*time.Second)
}

// TestNoFieldCarriesAHeaderIntoTheMail puts a line break and a header into every text of
// a request. Where that is not refused, the mail must not have the header.
func TestNoFieldCarriesAHeaderIntoTheMail(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	for _, breaks := range []string{"\r\n", "\n", "\r", "\r\n ", "\x0b", "\u0085", "\u2028"} {
		evil := "a" + breaks + "X-Injected: yes" + breaks + "b"
		for name, change := range map[string]func(m map[string]any){
			"recipient":            func(m map[string]any) { m["recipient"] = evil + "@site.test" },
			"recipient name":       func(m map[string]any) { m["recipient"] = map[string]any{"email": "a@site.test", "name": evil} },
			"recipient as written": func(m map[string]any) { m["recipient"] = evil + " <a@site.test>" },
			"from":                 func(m map[string]any) { m["from"] = evil + " <onboarding@sandbox.test>" },
			"from name":            func(m map[string]any) { m["from"] = map[string]any{"email": "onboarding@sandbox.test", "name": evil} },
			"cc":                   func(m map[string]any) { m["cc"] = []any{map[string]any{"email": "b@site.test", "name": evil}} },
			"reply_to":             func(m map[string]any) { m["reply_to"] = []any{map[string]any{"email": "b@site.test", "name": evil}} },
			"subject":              func(m map[string]any) { m["subject"] = evil },
			"header value":         func(m map[string]any) { m["headers"] = map[string]any{"X-Entity-Ref": evil} },
			"header name":          func(m map[string]any) { m["headers"] = map[string]any{"X-A: b" + breaks + "X-Injected": "yes"} },
			"file name": func(m map[string]any) {
				m["attachments"] = []any{map[string]any{"filename": evil, "content": "QUJD"}}
			},
			"content type": func(m map[string]any) {
				m["attachments"] = []any{map[string]any{"filename": "a", "content_type": "text/plain;" + evil, "content": "QUJD"}}
			},
			"content id": func(m map[string]any) {
				m["attachments"] = []any{map[string]any{"filename": "a", "content_id": evil, "disposition": "inline", "content": "QUJD"}}
			},
			"tag":        func(m map[string]any) { m["tags"] = []any{evil} },
			"metadata":   func(m map[string]any) { m["metadata"] = map[string]any{"k": evil} },
			"topic":      func(m map[string]any) { m["topic"] = evil },
			"supersedes": func(m map[string]any) { m["supersedes"] = evil },
		} {
			m := map[string]any{"recipient": "a@site.test", "subject": "x", "text": "x"}
			change(m)
			a := p.Call(t, "POST", "/v1/messages", harness.TestKey, m)
			code := judge(t, a)
			if a.Status == http.StatusAccepted {
				expectNoHeader(t, p, fmt.Sprintf("%s with %q", name, breaks), a.Text(t, "message_id"))
			} else if a.Status != 422 && a.Status != 400 {
				t.Errorf("%s with %q: status %d, code %s", name, breaks, a.Status, code)
			}
		}
	}
}

// expectNoHeader looks at every line of the mail that begins a header field, in its head
// and in the heads of its parts.
func expectNoHeader(t *testing.T, p *harness.Postroad, what, id string) {
	t.Helper()
	raw := p.Must(t, 200, "GET", "/v1/messages/"+id+"/raw", harness.TestKey, nil).Body
	for line := range bytes.Lines(bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))) {
		if bytes.HasPrefix(line, []byte("X-Injected")) {
			t.Errorf("%s carried a header into the mail:\n%s", what, raw)
			return
		}
	}
}

// TestRequestsThatAreNoHTTP are answered by a 4xx or by the end of the connection, and
// harm nobody else. net/http's own plain 400 and 431 are allowed to be plain.
func TestRequestsThatAreNoHTTP(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	auth := "Host: x\r\nAuthorization: Bearer " + harness.TestKey + "\r\n"
	for name, request := range map[string]string{
		"headers of two megabytes":  "GET /v1/messages HTTP/1.1\r\n" + auth + "X-Long: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		"ten thousand headers":      "GET /v1/nothing HTTP/1.1\r\n" + auth + strings.Repeat("X-Many: x\r\n", 10_000) + "\r\n",
		"a negative length":         "POST /v1/messages HTTP/1.1\r\n" + auth + "Content-Length: -1\r\n\r\n",
		"two lengths":               "POST /v1/messages HTTP/1.1\r\n" + auth + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a length and chunks":       "POST /v1/messages HTTP/1.1\r\n" + auth + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a chunk without end":       "POST /v1/messages HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
		"bytes":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a request line without it": "\r\n\r\n\r\n\r\nGET\r\n\r\n",
		"gzip that is none":         "POST /v1/messages HTTP/1.1\r\n" + auth + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(harness.Patience))
			go func() {
				_, _ = io.WriteString(c, request)
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // it hung up, which is an answer too
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); res.StatusCode < 400 || res.StatusCode >= 500 {
				t.Errorf("status %d: %.300s", res.StatusCode, body)
			}
		})
	}
	t.Cleanup(func() { stillWorks(t, p) })
}

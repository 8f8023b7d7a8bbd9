// Package postroadtest stands in for a Postroad server in the tests of programs that use
// the client: a transport in memory, no port and no process.
//
//	server := postroadtest.New()
//	client := server.Client()
//	… // code under test sends with client
//	if sent := server.Sent(); len(sent) != 1 || sent[0].Message.Recipient != "ada@example.com" { … }
//
// It accepts messages, remembers them, keeps idempotency keys, and tells of each message
// that it was delivered: with the objects that the API's reference shows as examples.
// Everything else is answered by [Server.Answer], or 404. Trouble is
// made with it, too: an answer of 503, or [Server.Fail] for a connection that breaks.
package postroadtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	postroad "github.com/postroad/postroad/clients/go"
)

// Key is what clients of a Server have.
const Key = "sk_test_memory01_000000000000000000000000000000000000000000000000"

// Server is a [http.RoundTripper]. It may be used by many goroutines.
type Server struct {
	mu       sync.Mutex
	requests []Request
	sent     []Sent
	once     map[string]kept
	answers  []planned
}

// Request is one attempt as it arrived.
type Request struct {
	Method string
	Path   string // with its query
	Header http.Header
	Body   []byte
}

// Sent is a message that was accepted.
type Sent struct {
	MessageID      string
	IdempotencyKey string
	Message        postroad.Message
}

type kept struct {
	body   []byte
	answer []byte
}

type planned struct {
	method, path string
	status       int
	header       http.Header
	body         []byte
	err          error
}

// New makes an empty one.
func New() *Server { return &Server{once: map[string]kept{}} }

// Client makes a client that speaks to it. Options come after its own.
func (s *Server) Client(options ...postroad.Option) *postroad.Client {
	all := append([]postroad.Option{postroad.WithBaseURL("http://postroad.invalid"), postroad.WithAPIKey(Key), postroad.WithHTTPClient(&http.Client{Transport: s})}, options...)
	c, err := postroad.New(all...)
	if err != nil {
		panic(err) // an option of the test's is wrong
	}
	return c
}

// Answer has the next request of this method and path answered so, once. The path is
// without its query; "" stands for any. body is JSON, or something to write as JSON.
// Headers come in pairs.
func (s *Server) Answer(method, path string, status int, body any, headers ...string) {
	text, ok := body.([]byte)
	if str, is := body.(string); is {
		text, ok = []byte(str), true
	}
	if !ok && body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			panic(err)
		}
	}
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, planned{method: method, path: path, status: status, header: h, body: text})
}

// Fail has the next request of this method and path meet an error of the network.
func (s *Server) Fail(method, path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, planned{method: method, path: path, err: err})
}

// Requests are all attempts so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Sent are the messages accepted so far.
func (s *Server) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Sent(nil), s.sent...)
}

// RoundTrip implements [http.RoundTripper].
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
	p, ok := s.plan(r)
	switch {
	case ok && p.err != nil:
		return nil, p.err
	case !ok && r.Header.Get("Authorization") == "":
		p = refused(http.StatusUnauthorized, "missing_api_key", "The request has no API key.")
	case !ok:
		p = s.serve(r, body)
	}
	if !ok {
		p = finished(p, r, len(s.requests))
	}
	return answer(r, p, len(s.requests)), nil
}

// finished adds to an answer of our own what all the API's have.
func finished(p planned, r *http.Request, n int) planned {
	h := p.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-Should-Retry", "false")
	p.header = h
	if p.status >= 400 {
		p.body = with(p.body, map[string]any{"request_id": requestID(n), "instance": r.URL.Path})
	}
	return p
}

func requestID(n int) string { return fmt.Sprintf("req_%026d", n) }

// plan takes the first planned answer that fits.
func (s *Server) plan(r *http.Request) (planned, bool) {
	for i, p := range s.answers {
		if (p.method == "" || p.method == r.Method) && (p.path == "" || p.path == r.URL.Path) {
			s.answers = append(s.answers[:i:i], s.answers[i+1:]...)
			return p, true
		}
	}
	return planned{}, false
}

func answer(r *http.Request, p planned, n int) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {requestID(n)}, "X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {"999"},
		"X-Ratelimit-Reset": {"60"}, "Ratelimit-Policy": {`"default";q=1000;w=60`}, "Ratelimit": {`"default";r=999;t=60`}, "Server-Timing": {"total;dur=1"}}
	for name, values := range p.header {
		h[name] = values
	}
	return &http.Response{StatusCode: p.status, Status: fmt.Sprintf("%d %s", p.status, http.StatusText(p.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)), Request: r}
}

// refused is an answer to what cannot be done, as the API's problems are written.
func refused(status int, code, message string, faults ...any) planned {
	problem := map[string]any{"type": "http://postroad.invalid/docs/errors#" + code, "title": examples.Titles[code], "status": status, "code": code, "detail": message, "message": message}
	if len(faults) > 0 {
		problem["errors"] = faults
	}
	h := http.Header{"Content-Type": {"application/problem+json"}}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return planned{status: status, body: written(problem), header: h}
}

// serve is what it can do by itself.
func (s *Server) serve(r *http.Request, body []byte) planned {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case r.Method == http.MethodPost && path == "messages":
		return s.send(r.Header.Get("Idempotency-Key"), body)
	case r.Method == http.MethodGet && path == "messages":
		return s.list()
	case r.Method == http.MethodGet && strings.HasPrefix(path, "messages/"):
		return s.look(strings.TrimPrefix(path, "messages/"))
	}
	return refused(http.StatusNotFound, "not_found", "postroadtest has no answer for "+r.Method+" "+r.URL.Path+": plan one with Answer.")
}

// ErrReset is a connection that broke, for [Server.Fail].
var ErrReset = errors.New("connection reset by peer")

package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// keeper is an AccessStore of one project and its keys; every other method panics.
type keeper struct {
	project.AccessStore
	p    project.Project
	keys map[[32]byte]project.Key
}

func (k *keeper) ProjectByRow(context.Context, int64) (project.Project, error) { return k.p, nil }
func (k *keeper) KeyByID(context.Context, string) (project.Key, error) {
	return project.Key{}, mail.ErrNotFound
}
func (k *keeper) KeyByHash(_ context.Context, hash [32]byte) (project.Key, error) {
	key, ok := k.keys[hash]
	if !ok {
		return key, mail.ErrNotFound
	}
	return key, nil
}

// memory remembers answers.
type memory struct {
	mu sync.Mutex
	by map[string]mail.Answer
}

func (m *memory) Remembered(_ context.Context, _ mail.Owner, route, key string, now time.Time) (mail.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.by[route+" "+key]
	if !ok || !a.Expires.After(now) {
		return mail.Answer{}, mail.ErrNotFound
	}
	return a, nil
}

func (m *memory) keep(o *mail.Once, a mail.Answer) mail.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o != nil {
		a.RequestID, a.Fingerprint, a.Expires = o.RequestID, o.Fingerprint, o.Expires
		m.by[o.Route+" "+o.Key] = a
	}
	return a
}

type door struct {
	*httpapi.Door
	http.Handler
	memory *memory
	now    time.Time
	mu     sync.Mutex
	worked int
	slow   time.Duration
	hold   chan struct{} // work tells it that it began, and waits for it; nil: it does not
}

// patience bounds what a slow machine must not end: who waits longer waits for ever.
const patience = time.Minute

func newDoor(t *testing.T, perMinute int, o httpapi.Options) *door {
	t.Helper()
	d := &door{memory: &memory{by: map[string]mail.Answer{}}, now: time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)}
	store := &keeper{p: project.Project{Row: 1, Name: "acme"}, keys: map[[32]byte]project.Key{}}
	for secret, scope := range map[string]string{"reader": "messages.read", "sender": "messages.send"} {
		store.keys[project.HashSecret(secret)] = project.Key{ID: secret, Project: 1, Scopes: []string{scope}}
	}
	o.Access = project.NewAccess(project.AccessOptions{Store: store, Limits: project.NewLimits(perMinute)})
	o.Memory, o.PublicURL, o.Now = d.memory, "https://mail.acme.test", func() time.Time { return d.now }
	d.Door = httpapi.New(o)
	d.Handler = d.Door.Handler([]httpapi.Route{
		{Method: "GET", Pattern: "/v1/things", Scope: "messages.read", Handle: func(c *httpapi.Call) { c.JSON(200, []byte(`{}`)) }},
		{Method: "GET", Pattern: "/v1/things/{id}", Handle: func(c *httpapi.Call) { c.JSON(200, []byte(`"`+c.Param(0)+`"`)) }},
		{Method: "GET", Pattern: "/v1/open", Public: true, Handle: func(c *httpapi.Call) { c.JSON(200, []byte(`{}`)) }},
		{Method: "GET", Pattern: "/v1/panic", Handle: func(*httpapi.Call) { panic("a secret") }},
		{Method: "GET", Pattern: "/v1/silent", Handle: func(*httpapi.Call) {}},
		{Method: "GET", Pattern: "/v1/broken", Handle: func(c *httpapi.Call) { c.Fail(errors.New("a secret")) }},
		{Method: "POST", Pattern: "/v1/echo", Handle: func(c *httpapi.Call) { c.JSON(200, []byte(strconv.Itoa(len(c.Body)))) }},
		{Method: "POST", Pattern: "/v1/things", Scope: "messages.send", Once: true, Handle: d.work},
	})
	return d
}

// work is a POST that can be repeated; a body of "bad" is a fault.
func (d *door) work(c *httpapi.Call) {
	keys := httpapi.KeysOf(c.R.Header)
	key, fault := keys.Key()
	if fault != nil {
		c.Refuse(fault)
		return
	}
	turn, ok := c.Begin("POST /v1/things", key, sha256.Sum256(c.Body))
	if !ok {
		return
	}
	defer turn.Leave()
	if string(c.Body) == `"bad"` {
		c.Fail(mail.Faults{{Code: "invalid_value", Field: "a", Pointer: "#/a", Message: "bad"}})
		return
	}
	time.Sleep(d.slow)
	if d.hold != nil {
		d.hold <- struct{}{}
		<-d.hold
	}
	d.mu.Lock()
	d.worked++
	made := strconv.Itoa(d.worked)
	d.mu.Unlock()
	c.Finish(turn, d.memory.keep(turn.Once, mail.Answer{Status: 202, Location: "/v1/things/" + made, Body: []byte(`{"made":` + made + `}`)}), nil)
}

// ask makes one request; headers are "Name: value".
func (d *door) ask(method, path, key, body string, headers ...string) *httptest.ResponseRecorder {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	return d.send(httptest.NewRequest(method, path, in), key, headers...)
}

func (d *door) send(r *http.Request, key string, headers ...string) *httptest.ResponseRecorder {
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var p struct {
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
		Message   string `json:"message"`
		Status    int    `json:"status"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("not JSON: %q", w.Body)
	}
	if w.Code >= 400 && (p.Code == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Message == "" || p.Status != w.Code ||
		w.Header().Get("Content-Type") != "application/problem+json") {
		t.Errorf("%d is not a whole problem: %s", w.Code, w.Body)
	}
	return p.Code
}

func TestEveryAnswerIsJSONWithACodeAndTheHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 1000, httpapi.Options{MaxBody: 100})
	for _, c := range []struct {
		method, path, key, body string
		status                  int
		code                    string
	}{
		{"GET", "/v1/things", "reader", "", 200, ""},
		{"GET", "/v1/things/", "reader", "", 200, ""},
		{"HEAD", "/v1/things", "reader", "", 200, ""},
		{"GET", "/v1/open", "", "", 200, ""},
		{"GET", "/v1/things", "", "", 401, "missing_api_key"},
		{"GET", "/v1/things", "guess", "", 401, "invalid_api_key"},
		{"GET", "/v1/things", "sender", "", 403, "insufficient_scope"},
		{"GET", "/nowhere", "", "", 404, "not_found"},
		{"GET", "/v1//things", "reader", "", 404, "not_found"},
		{"GET", "/v1/things/a/b/c/d/e/f", "reader", "", 404, "not_found"},
		{"PUT", "/v1/things", "reader", "x", 405, "method_not_allowed"},
		{"OPTIONS", "/v1/things", "", "", 405, "method_not_allowed"},
		{"GET", "/v1/panic", "reader", "", 500, "internal_error"},
		{"GET", "/v1/silent", "reader", "", 500, "internal_error"},
		{"GET", "/v1/broken", "reader", "", 500, "internal_error"},
		{"POST", "/v1/echo", "reader", strings.Repeat("x", 101), 413, "payload_too_large"},
		{"POST", "/v1/echo", "reader", strings.Repeat("x", 100), 200, ""},
	} {
		w := d.ask(c.method, c.path, c.key, c.body)
		if w.Code != c.status || c.status >= 400 && code(t, w) != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.code)
		}
		for _, h := range []string{"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit",
			"Server-Timing", "X-Should-Retry", "X-Content-Type-Options", "Cache-Control"} {
			if w.Header().Get(h) == "" {
				t.Errorf("%s %s: %d without %s", c.method, c.path, w.Code, h)
			}
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s shows our insides: %s", c.method, c.path, w.Body)
		}
	}
	if got := d.ask("PUT", "/v1/things", "", "").Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
	if got := d.ask("GET", "/v1/things", "", "").Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate: %q", got)
	}
	if w := d.ask("GET", "/v1/things/%3Ca%2Fb@c%3E", "reader", ""); w.Body.String() != `"<a/b@c>"` {
		t.Errorf("an escaped parameter: %s", w.Body)
	}
}

func TestARequestIDIsEchoedWhenItIsSafe(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 1000, httpapi.Options{})
	for given, echoed := range map[string]bool{"abc-123": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\"b": false, "é": false} {
		got := d.ask("GET", "/v1/open", "", "", "X-Request-Id: "+given).Header().Get("X-Request-Id")
		if (got == given) != echoed || !echoed && !strings.HasPrefix(got, "req_") {
			t.Errorf("%q: %q", given, got)
		}
	}
}

func TestLimitsRefuseWith429AndSayWhen(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 2, httpapi.Options{})
	for i := range 3 {
		w := d.ask("GET", "/v1/things", "reader", "")
		if i < 2 {
			if w.Code != 200 || w.Header().Get("X-RateLimit-Remaining") != strconv.Itoa(1-i) {
				t.Errorf("request %d: %d, %s left", i, w.Code, w.Header().Get("X-RateLimit-Remaining"))
			}
			continue
		}
		if code(t, w) != "rate_limited" || w.Header().Get("Retry-After") != "60" || w.Header().Get("X-Should-Retry") != "true" ||
			!strings.Contains(w.Body.String(), `"violated_policies":["project"]`) || !strings.Contains(w.Body.String(), `"retry_after_seconds":60`) ||
			w.Header().Get("RateLimit") != `"project";r=0;t=60` || w.Header().Get("RateLimit-Policy") != `"project";q=2;w=60` {
			t.Errorf("429: %v %s", w.Header(), w.Body)
		}
	}
	// Without a valid key the client's address pays, and guessing is slowed.
	var last *httptest.ResponseRecorder
	for range 3 {
		last = d.ask("GET", "/v1/things", "guess", "")
	}
	if code(t, last) != "rate_limited" || !strings.Contains(last.Body.String(), `"violated_policies":["address"]`) {
		t.Errorf("the third guess: %s", last.Body)
	}
}

func TestUnlimitedIsSaidInNumbers(t *testing.T) {
	t.Parallel()
	h := newDoor(t, 0, httpapi.Options{}).ask("GET", "/v1/things", "reader", "").Header()
	if h.Get("X-RateLimit-Limit") != "2147483647" || h.Get("X-RateLimit-Remaining") != "2147483647" || h.Get("X-RateLimit-Reset") != "0" {
		t.Errorf("%v", h)
	}
}

func TestBodiesAreCountedUnpackedAndCutOff(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 1000, httpapi.Options{MaxBody: 3 << 20})
	chunked := func(n int) *http.Request {
		r := httptest.NewRequest("POST", "/v1/echo", io.MultiReader(strings.NewReader(strings.Repeat("x", n)))) // no length known
		r.ContentLength = -1
		return r
	}
	packed := func(n int) *http.Request {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(bytes.Repeat([]byte("x"), n))
		_ = z.Close()
		return httptest.NewRequest("POST", "/v1/echo", &b)
	}
	for name, c := range map[string]struct {
		r       *http.Request
		headers []string
		want    string
	}{
		"chunked":         {chunked(100_000), nil, "100000"},
		"chunked, all":    {chunked(3 << 20), nil, "3145728"},
		"chunked, more":   {chunked(3<<20 + 1), nil, "payload_too_large"},
		"gzip":            {packed(2 << 20), []string{"Content-Encoding: gzip"}, "2097152"},
		"a bomb":          {packed(300 << 20), []string{"Content-Encoding: gzip"}, "payload_too_large"},
		"not gzip":        {chunked(100), []string{"Content-Encoding: gzip"}, "invalid_header"},
		"another packing": {chunked(100), []string{"Content-Encoding: br"}, "unsupported_media_type"},
		"a form":          {chunked(100), []string{"Content-Type: application/x-www-form-urlencoded"}, "unsupported_media_type"},
		"a charset":       {chunked(100), []string{"Content-Type: application/json; charset=latin1"}, "unsupported_media_type"},
		"utf-8":           {chunked(100), []string{"Content-Type: application/json; charset=UTF-8"}, "100"},
	} {
		w := d.send(c.r, "reader", c.headers...)
		got := w.Body.String()
		if w.Code >= 400 {
			got = code(t, w)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if held := d.Stats().BodyBytes; held != 0 {
		t.Errorf("%d bytes of bodies held after the last", held)
	}
}

func TestLargeBodiesWaitForRoomAndThenAreTurnedAway(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 1000, httpapi.Options{MaxBody: 4 << 20, MaxMemory: 4 << 20, PatienceForRoom: 50 * time.Millisecond})
	first, pipe := io.Pipe()
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		r := httptest.NewRequest("POST", "/v1/echo", first)
		r.ContentLength = 3 << 20
		done <- d.send(r, "reader")
	}()
	_, _ = pipe.Write([]byte("x")) // returns when the first is being read, so it has its room
	body := strings.Repeat("x", 2<<20)
	if w := d.ask("POST", "/v1/echo", "reader", body); code(t, w) != "overloaded" || w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second: %d %s", w.Code, w.Body)
	}
	if w := d.ask("POST", "/v1/echo", "reader", "small"); w.Code != 200 {
		t.Errorf("a small one: %d", w.Code)
	}
	_, _ = io.Copy(pipe, strings.NewReader(strings.Repeat("x", 3<<20-1)))
	_ = pipe.Close()
	if w := <-done; w.Code != 200 || w.Body.String() != strconv.Itoa(3<<20) {
		t.Errorf("the first: %d %s", w.Code, w.Body)
	}
	if w := d.ask("POST", "/v1/echo", "reader", body); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}

func TestIdempotencyKeysAreReadFromWhereverTheyStand(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 1000, httpapi.Options{})
	for name, c := range map[string]struct {
		headers []string
		key     string
		code    string
	}{
		"bare":             {[]string{"Idempotency-Key: a/1"}, "a/1", ""},
		"quoted":           {[]string{`Idempotency-Key: "a/1"`}, "a/1", ""},
		"the other name":   {[]string{"X-Idempotency-Key:  a/1 "}, "a/1", ""},
		"both, equal":      {[]string{"Idempotency-Key: a/1", `X-Idempotency-Key: "a/1"`}, "a/1", ""},
		"both, different":  {[]string{"Idempotency-Key: a/1", "X-Idempotency-Key: a/2"}, "", "idempotency_key_conflict"},
		"twice, different": {[]string{"Idempotency-Key: a/1", "Idempotency-Key: a/2"}, "", "idempotency_key_conflict"},
		"empty":            {[]string{"Idempotency-Key: "}, "", "invalid_idempotency_key"},
		"256":              {[]string{"Idempotency-Key: " + strings.Repeat("k", 256)}, strings.Repeat("k", 256), ""},
		"257":              {[]string{"Idempotency-Key: " + strings.Repeat("k", 257)}, "", "invalid_idempotency_key"},
		"not ASCII":        {[]string{"Idempotency-Key: schlüssel"}, "", "invalid_idempotency_key"},
	} {
		w := d.ask("POST", "/v1/things", "sender", `"`+name+`"`, c.headers...)
		d.memory.by = map[string]mail.Answer{}
		if w.Code == 202 && w.Header().Get("Idempotency-Key") != c.key || c.code != "" && code(t, w) != c.code {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header().Get("Idempotency-Key"), w.Body)
		}
	}
}

func TestAReplayIsTheFirstAnswerAndCostsNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 2, httpapi.Options{})
	first := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k", "X-Request-Id: first")
	if first.Header().Get("Idempotency-Replayed") != "false" {
		t.Errorf("%v", first.Header())
	}
	for range 5 {
		w := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k")
		h := w.Header()
		if w.Code != 202 || w.Body.String() != first.Body.String() || h.Get("Location") != "/v1/things/1" || h.Get("Idempotency-Replayed") != "true" ||
			h.Get("Idempotency-Original-Request") != "first" || h.Get("X-Idempotency-Short-Circuit") != "true" || h.Get("X-RateLimit-Remaining") != "1" {
			t.Fatalf("%d %v %s", w.Code, h, w.Body)
		}
	}
	d.ask("POST", "/v1/things", "sender", `2`) // the last of the limit
	if w := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k"); w.Code != 202 {
		t.Errorf("a replay over quota: %d", w.Code)
	}
	if w := d.ask("POST", "/v1/things", "sender", `3`, "Idempotency-Key: new"); w.Code != 429 {
		t.Errorf("a new one over quota: %d", w.Code)
	}
	if w := d.ask("POST", "/v1/things", "sender", `4`, "Idempotency-Key: k"); w.Code != 422 || code(t, w) != "idempotency_key_reused" {
		t.Errorf("another body: %d %s", w.Code, w.Body)
	}
	d.now = d.now.Add(time.Minute)
	if w := d.ask("POST", "/v1/things", "sender", `3`, "Idempotency-Key: new"); w.Code != 202 {
		t.Errorf("429, then the same key: %d", w.Code)
	}
	if w := d.ask("POST", "/v1/things", "sender", `"bad"`, "Idempotency-Key: mended"); w.Code != 422 {
		t.Errorf("a bad one: %d", w.Code)
	}
	d.now = d.now.Add(time.Minute)
	if w := d.ask("POST", "/v1/things", "sender", `"good"`, "Idempotency-Key: mended"); w.Code != 202 {
		t.Errorf("422, then a mended body: %d", w.Code)
	}
	d.now = d.now.Add(25 * time.Hour)
	if w := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k"); w.Code != 202 || w.Body.String() == first.Body.String() {
		t.Errorf("a day later the key is new: %d %s", w.Code, w.Body)
	}
}

func TestAHundredTwinsAreOne(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 10, httpapi.Options{PatienceForTwin: patience})
	d.slow = 20 * time.Millisecond
	bodies := make([]string, 100)
	var all sync.WaitGroup
	for i := range bodies {
		all.Go(func() {
			w := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: twins")
			bodies[i] = strconv.Itoa(w.Code) + w.Body.String()
		})
	}
	all.Wait()
	for _, b := range bodies {
		if b != `202{"made":1}` {
			t.Fatalf("a twin was told %s", b)
		}
	}
	if s := d.Stats(); s.Replays != 99 {
		t.Errorf("%d replays", s.Replays)
	}
}

func TestATwinThatWaitsTooLongIsToldSo(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 10, httpapi.Options{PatienceForTwin: 50 * time.Millisecond})
	d.hold = make(chan struct{})
	done := make(chan int)
	go func() { done <- d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k").Code }()
	<-d.hold // the first is being worked on
	w := d.ask("POST", "/v1/things", "sender", `1`, "Idempotency-Key: k")
	if w.Code != 409 || code(t, w) != "idempotency_in_progress" || w.Header().Get("Retry-After") != "1" || w.Header().Get("X-Should-Retry") != "true" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	d.hold <- struct{}{}
	if got := <-done; got != 202 {
		t.Errorf("the first: %d", got)
	}
}

func TestABodyTooLargeIsRefusedUnread(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 10, httpapi.Options{MaxBody: 1000})
	s := httptest.NewUnstartedServer(nil)
	s.Config = d.Server(d)
	s.Start()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
	for _, expect := range []string{"", "100-continue"} { // who waits for leave, and who just sends
		r, _ := http.NewRequest("POST", s.URL+"/v1/echo", io.LimitReader(endless{}, 1<<30))
		r.ContentLength = 1 << 30
		r.Header.Set("Authorization", "Bearer reader")
		if expect != "" {
			r.Header.Set("Expect", expect)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatalf("expect %q: %v", expect, err)
		}
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("expect %q: %d", expect, res.StatusCode)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

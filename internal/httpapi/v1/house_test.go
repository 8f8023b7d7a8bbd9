package v1_test

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/retention"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/tracking"
	"github.com/postroad/postroad/internal/webhook"
	"github.com/postroad/postroad/test/contract"
)

const (
	testKey = "test-key-of-the-operator"
	liveKey = "live-key-of-the-operator"
)

var tokens = tracking.NewTokens([32]byte{3})

// house is the API over real parts: the embedded store, the real way in, a name server
// of our own, and a clock that stands still until it is moved.
type house struct {
	http.Handler
	t      *testing.T
	store  *sqlite.Store
	access *project.Access
	door   *httpapi.Door
	forget *retention.Service
	dns    *dnstest.Server
	jobs   *job.Service
	time   *still
	dir    string
	limits *project.Limits
	hooks  *webhook.Service

	streamTime, streamBeat time.Duration
	readersPerKey          int // of the log; 0: as many as there may be
	sessions               *project.Sessions
	pressure               *submit.Pressure
	room                   submit.Room
	strain                 submit.Strain
}

// still is a clock that moves when it is told to.
type still struct {
	mu  sync.Mutex
	now time.Time
}

func (s *still) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (h *house) clock() time.Time { return h.time.Now() }

func (h *house) pass(d time.Duration) {
	h.time.mu.Lock()
	defer h.time.mu.Unlock()
	h.time.now = h.time.now.Add(d)
}

// build makes a house with a limit of requests per minute (0 = none).
func build(t *testing.T, perMinute int) *house {
	t.Helper()
	h := &house{t: t, room: submit.Room{DiskBytes: 1 << 30, DiskFiles: -1}, time: &still{now: time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)}}
	var err error
	dir := t.TempDir()
	h.dir = dir
	if h.store, err = sqlite.Open(sqlite.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	if err := h.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	limits := project.NewLimits(perMinute)
	h.access = project.NewAccess(project.AccessOptions{Store: h.store, Limits: limits, Now: h.clock, BootstrapLive: liveKey, BootstrapTest: testKey})
	if _, err := h.access.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.limits = limits
	h.dns = dnstest.Start(t, "")
	h.serve()
	return h
}

// node is another node of the same store: with memory of its own.
func (h *house) node() *house {
	other := *h
	other.serve()
	return &other
}

// serve builds the API over the store.
func (h *house) serve() {
	h.t.Helper()
	ring, err := seal.Open(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	resolver := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(h.dns.Addr())}, MinTTL: 1, FailureTTL: 1})
	domains := project.NewDomains(project.DomainsOptions{Store: h.store, Ring: ring, Hostname: "mx.postroad.test", Now: h.clock, Resolver: resolver})
	links := submit.NewLinks("https://mail.acme.test", [32]byte{2})
	library := render.NewLibrary(render.LibraryOptions{Store: h.store, Now: h.clock})
	sub := submit.NewService(submit.Options{Store: h.store, Domains: domains, Renderer: render.New(library), Now: h.clock, Links: links, Marking: submit.Marking{Base: "https://mail.acme.test"}})
	h.jobs = job.NewService(job.Options{Store: h.store, Dir: filepath.Join(h.dir, "jobs"), Node: "one", Now: h.clock})
	h.sessions = project.NewSessions(project.SessionsOptions{Store: h.store, Limits: h.limits, Now: h.clock})
	h.pressure = submit.NewPressure(submit.PressureOptions{DiskFloor: 1 << 20, Room: func() (submit.Room, error) { return h.room, nil }, Strain: func() submit.Strain { return h.strain }})
	h.door = httpapi.New(httpapi.Options{Access: h.access, Sessions: h.sessions, Pressure: h.pressure.Refuse, Memory: h.store, PublicURL: "https://mail.acme.test", Now: h.clock, PatienceForTwin: patience})
	guard := route.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil)
	client := webhook.NewClient(webhook.ClientOptions{Guard: guard, Resolver: resolver, PublicURL: "https://mail.acme.test"})
	h.t.Cleanup(client.Close)
	h.hooks = webhook.New(webhook.Options{Store: h.store, Log: h.store, Memory: h.store, Poster: client, Ring: ring, Formats: map[string]webhook.Format{webhook.FormatStandard: webhook.Standard{BaseURL: "https://mail.acme.test"}, webhook.FormatHyvor: envelopes{}},
		Check: client.Check, Wake: h.store.Wake, Node: "one", Now: h.clock})
	h.forget = retention.New(retention.Options{Store: h.store, Now: h.clock})
	reading := archive.NewService(h.store, tokens)
	reading.Now = h.clock
	events := eventlog.NewService(eventlog.Options{Store: h.store, Wake: h.store.Wake, BaseURL: "https://mail.acme.test", PerKey: h.readersPerKey})
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- events.Run(running) }()
	h.t.Cleanup(func() { stop(); h.ends("the readers of the log", ended) })
	h.Handler = v1.New(v1.Options{Sessions: h.sessions, Audit: h.store, Door: h.door, Access: h.access, Limits: h.limits, Submitter: sub, Resender: sub, Links: links, Archive: reading,
		Orders: h.store, Domains: domains, Suppressions: feedback.NewService(h.store, h.clock), Jobs: h.jobs, Templates: library, Erasures: h.forget, Webhooks: h.hooks, HookURLs: client, Events: events,
		Secret: [32]byte{1}, Wake: h.store.Wake, StreamTime: h.streamTime, StreamBeat: h.streamBeat})
}

// envelopes is what hooks hold here.
type envelopes struct{}

func (envelopes) Speaks(mail.EventType) bool { return true }

func (envelopes) Body(n *eventlog.Entry, e *webhook.Endpoint) ([]byte, error) {
	return eventlog.Envelope(*n, "https://mail.acme.test", e.Redact)
}

// runHooks has the hooks posted until the test ends; the clock goes on meanwhile.
func (h *house) runHooks() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.hooks.Run(ctx) }()
	go func() {
		for ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
			h.pass(5 * time.Millisecond)
		}
	}()
	h.t.Cleanup(func() {
		cancel()
		h.ends("the hooks", ended)
	})
}

// patience bounds every wait of a test: whoever waits longer waits for ever.
const patience = 3 * time.Minute

// ends waits for what was told to stop.
func (h *house) ends(what string, ended <-chan error) {
	h.t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			h.t.Error(err)
		}
	case <-time.After(patience):
		h.t.Errorf("%s do not stop", what)
	}
}

// answer is what a request got.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// at reads one value of the answer by its JSON pointer; strings without quotes, "" when
// it is not there.
func (a answer) at(pointer string) string {
	a.t.Helper()
	v := jsontext.Value(a.Body.Bytes())
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		var list []jsontext.Value
		var object map[string]jsontext.Value
		switch v.Kind() {
		case '[':
			_ = json.Unmarshal(v, &list)
			i := int(step[0] - '0')
			if i >= len(list) {
				return ""
			}
			v = list[i]
		case '{':
			_ = json.Unmarshal(v, &object)
			v = object[step]
		default:
			return ""
		}
	}
	if v.Kind() == '"' {
		b, _ := jsontext.AppendUnquote(nil, v)
		return string(b)
	}
	return string(v)
}

// is fails the test unless the answer has this status and, where one is named, code.
func (a answer) is(status int, code string) answer {
	a.t.Helper()
	if a.Code != status || code != "" && a.at("/code") != code {
		a.t.Errorf("%d %s, want %d %s", a.Code, a.Body, status, code)
	}
	return a
}

// ask makes one request; headers are "Name: value". One that is not answered ends: a stream that
// should have been refused would go on for half an hour.
func (h *house) ask(key, method, path, body string, headers ...string) answer {
	h.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, in)
	r.Header.Set("Authorization", "Bearer "+key)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 500 {
		h.t.Errorf("%s %s %.200s: %d %s", method, path, body, w.Code, w.Body)
	}
	h.judge(r, w)
	a := answer{w, h.t}
	if w.Code >= 400 && (a.at("/code") == "" || a.at("/request_id") == "") {
		h.t.Errorf("%s %s: %d without code and request id: %s", method, path, w.Code, w.Body)
	}
	if w.Header().Get("X-RateLimit-Limit") == "" || w.Header().Get("X-Request-Id") == "" {
		h.t.Errorf("%s %s: %d without the headers of every answer", method, path, w.Code)
	}
	return a
}

// judge holds an answer against the API's description.
func (h *house) judge(r *http.Request, w *httptest.ResponseRecorder) {
	h.t.Helper()
	if err := contract.Check(contract.Answer{Method: r.Method, Path: r.URL.EscapedPath(), Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}); err != nil {
		h.t.Error(err)
	}
}

// send posts a message with the test key.
func (h *house) send(body string, headers ...string) answer {
	h.t.Helper()
	return h.ask(testKey, "POST", "/v1/messages", body, headers...)
}

// count tells how many messages the test environment has.
func (h *house) count() int {
	h.t.Helper()
	records, err := h.store.Messages(context.Background(), archive.Query{Owner: h.owner(mail.Test), Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return len(records)
}

// spooledFiles counts the bodies and hosted files on disk.
func (h *house) spooledFiles() (n int) {
	h.t.Helper()
	for _, dir := range []string{"bodies", "files"} {
		_ = filepath.WalkDir(filepath.Join(h.dir, dir), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return nil
		})
	}
	return n
}

func (h *house) owner(env mail.Env) mail.Owner {
	p, err := h.store.ProjectByName(context.Background(), project.DefaultProject)
	if err != nil {
		h.t.Fatal(err)
	}
	return mail.Owner{Project: p.Row, Env: env}
}

// deliver carries everything that is due as a perfect site would; bounce refuses it.
func (h *house) deliver(bounce bool) {
	h.t.Helper()
	now := h.clock()
	works, err := h.store.Claim(context.Background(), queue.ClaimParams{Node: "test", Now: now, Until: now.Add(time.Minute), Max: 1000,
		Room: func(string, mail.Owner, mail.Tier) int { return 1000 }})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, w := range works {
		event := func(kind mail.EventType, d mail.Detail) mail.Event {
			return mail.Event{ID: mail.NewID(now), Owner: w.Delivery.Owner, Type: kind, At: now, Message: w.Message.Row, Delivery: w.Delivery.Row, Detail: d}
		}
		accepted := event(mail.EventAccepted, mail.Detail{Summary: "Queue sandbox", Site: "sandbox"})
		if _, err := h.store.Begin(context.Background(), now, []queue.Beginning{{Lease: w.Lease, Message: w.Message.Row, Address: mail.FoldAddress(w.Delivery.Address),
			Owner: w.Delivery.Owner, Accepted: &accepted, Site: "sandbox"}}); err != nil {
			h.t.Fatal(err)
		}
		reply := mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "captured"}
		r := queue.Result{Lease: w.Lease, Status: mail.Delivered, Tries: 1, Site: "sandbox",
			Attempt: &mail.Attempt{ID: mail.NewID(now), Number: 1, At: now, Duration: 12 * time.Millisecond, Outcome: mail.OutcomeDelivered, Reply: reply,
				Site: "sandbox", Host: "mx.sandbox.test", Transcript: []mail.Line{{From: "C", Text: "EHLO x"}, {From: "S", Text: "250 \xff hello", Code: 250}}},
			Events: []mail.Event{event(mail.EventDelivered, mail.Detail{Summary: "250 2.0.0 captured", Reply: &reply, Attempt: 1})}}
		if bounce {
			r.Status, r.Attempt.Outcome = mail.Bounced, mail.OutcomeBounced
			r.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 1, Reply: &reply}
			r.Events[0].Type = mail.EventBounced
		}
		if lost, err := h.store.Settle(context.Background(), now, []queue.Result{r}); err != nil || len(lost) > 0 {
			h.t.Fatal(lost, err)
		}
	}
}

package hyvor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// The keys of a house's default project, in this dialect's shape, with every scope.
const (
	liveKey = "0123456789abcdef0123456789abcdef"
	testKey = "fedcba9876543210fedcba9876543210"
)

// house is the dialect over real parts: the embedded store, the real way in, a name server
// of our own, and a clock that stands still until it is moved.
type house struct {
	http.Handler
	t       testing.TB
	store   *sqlite.Store
	access  *project.Access
	domains *project.Domains
	dns     *dnstest.Server
	submits *recorder
	reads   *reads
	hooks   *webhook.Service
	posts   *receiver
	limits  *project.Limits
	fault   func() *mail.Error // why no mail is taken in; nil: it is
	project project.Project

	mu  sync.Mutex
	now time.Time
}

// patience bounds every wait of a test: whoever waits longer waits for ever.
const patience = time.Minute

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pressed(time.Time) *mail.Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault == nil {
		return nil
	}
	return h.fault()
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// recorder keeps the requests that reach the way in.
type recorder struct {
	*submit.Service
	mu   sync.Mutex
	last *submit.Request
	n    int
	fail error // what to answer in place of the work
}

func (r *recorder) Submit(ctx context.Context, who project.Principal, in *submit.Request) (*submit.Accepted, error) {
	r.mu.Lock()
	r.last, r.n = in, r.n+1
	fail := r.fail
	r.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return r.Service.Submit(ctx, who, in)
}

// reads is the archive, and a disk that may fail.
type reads struct {
	*archive.Service
	fail error // why contents cannot be read
}

func (r *reads) Copy(ctx context.Context, m *archive.Record) (mail.Content, error) {
	if r.fail != nil {
		return nil, r.fail
	}
	return r.Service.Copy(ctx, m)
}

// build makes a house; the domain acme.test is registered and verified.
func build(t testing.TB, bounds hyvor.Bounds) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)}
	dir := t.TempDir()
	var err error
	if h.store, err = sqlite.Open(sqlite.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	if err := h.store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	limits := project.NewLimits(0).AtOnce(100_000)
	h.limits = limits
	h.access = project.NewAccess(project.AccessOptions{Store: h.store, Limits: limits, Now: h.clock, BootstrapLive: liveKey, BootstrapTest: testKey})
	first, err := h.access.Bootstrap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	h.project = first.Project
	ring, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h.dns = dnstest.Start(t, "")
	h.domains = project.NewDomains(project.DomainsOptions{Store: h.store, Ring: ring, Hostname: "mx.postroad.test", Now: h.clock,
		Resolver: dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(h.dns.Addr())}, MinTTL: 1, FailureTTL: 1, PerTry: patience, Budget: patience})})
	h.submits = &recorder{Service: submit.NewService(submit.Options{Store: h.store, Domains: h.domains, Renderer: render.New(render.NoTemplates{}), Now: h.clock})}
	reading := archive.NewService(h.store, nil)
	reading.Now = h.clock
	h.reads = &reads{Service: reading}
	h.posts = &receiver{answer: func(webhook.Request) (int, string) { return 200, "" }, got: make(chan webhook.Request, 1000)}
	h.hooks = webhook.New(webhook.Options{Store: h.store, Log: h.store, Memory: h.store, Poster: h.posts, Ring: ring, Wake: h.store.Wake, Node: "test", Now: h.clock,
		Formats: map[string]webhook.Format{webhook.FormatStandard: webhook.Standard{BaseURL: "https://mail.acme.test"},
			webhook.FormatHyvor: &hyvor.Format{Archive: archive.NewService(h.store, nil), Domains: h.domains, Suppressions: h.store}}})
	h.Handler = hyvor.New(hyvor.Options{Door: httpapi.New(httpapi.Options{Access: h.access, Pressure: h.pressed, Memory: h.store, PublicURL: "https://mail.acme.test", Now: h.clock, PatienceForTwin: patience}),
		Access: h.access, Limits: limits, Submitter: h.submits, Archive: h.reads, Orders: h.store, Domains: h.domains,
		Suppressions: feedback.NewService(h.store, h.clock), Webhooks: h.hooks, Store: h.store, Bounds: bounds})
	h.domain("acme.test", project.DomainVerified)
	return h
}

// receiver is what endpoints' URLs lead to.
type receiver struct {
	mu     sync.Mutex
	answer func(webhook.Request) (int, string)
	got    chan webhook.Request
}

func (r *receiver) Post(_ context.Context, q webhook.Request) webhook.Try {
	r.mu.Lock()
	defer r.mu.Unlock()
	status, body := r.answer(q)
	r.got <- q
	if status == 0 {
		return webhook.Try{At: q.At, Error: body}
	}
	return webhook.Try{At: q.At, Status: status, Response: body}
}

// runHooks posts what is owed, until the test ends.
func (h *house) runHooks() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.hooks.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
}

// domain registers a domain of the default project in a state.
func (h *house) domain(name, status string) project.Domain {
	h.t.Helper()
	d, err := h.domains.Create(context.Background(), h.project.Row, project.NewDomain{Name: name, PrivateKey: privateKey}, nil, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if status != d.Status {
		d.Status = status
		if d, err = h.store.UpdateDomain(context.Background(), d, 0, nil); err != nil {
			h.t.Fatal(err)
		}
	}
	return d
}

// answer is what a request got.
type answer struct {
	*httptest.ResponseRecorder
}

// ask makes one request; headers are "Name: value". Every answer must have the headers
// that all have.
func (h *house) ask(key, method, path, body string, headers ...string) answer {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"} {
		if w.Header().Get(name) == "" {
			h.t.Errorf("%s %s: %d without %s", method, path, w.Code, name)
		}
	}
	return answer{w}
}

// must is ask where the answer has to have this status and this text in it.
func (h *house) must(status int, part, key, method, path, body string, headers ...string) answer {
	h.t.Helper()
	a := h.ask(key, method, path, body, headers...)
	if a.Code != status || !strings.Contains(a.Body.String(), part) {
		h.t.Errorf("%s %s %.200s: %d %.500s, want %d with %q", method, path, body, a.Code, a.Body, status, part)
	}
	return a
}

const plainSend = `{"from":"hello@acme.test","to":"ada@example.org","subject":"Hi","body_text":"Hello"}`

// count tells how many messages an environment has.
func (h *house) count(env mail.Env) int {
	h.t.Helper()
	records, err := h.store.Messages(context.Background(), archive.Query{Owner: mail.Owner{Project: h.project.Row, Env: env}, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return len(records)
}

// outcome is how a site answers in carry.
type outcome struct {
	status mail.Status
	reply  mail.Reply
	bounce *mail.Bounce
}

var (
	taken     = outcome{status: mail.Delivered, reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "2.0.0 Ok"}}
	refused   = outcome{mail.Bounced, mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "5.1.1 No such user"}, &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 1}}
	later     = outcome{status: mail.Deferred, reply: mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "4.7.1 Later"}}
	exhausted = outcome{mail.Bounced, mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "4.7.1 Later"}, &mail.Bounce{Type: "soft", Reason: mail.BounceExhausted, Attempts: 1}}
	silent    = outcome{mail.Deferred, mail.Reply{Text: "dial tcp: connection refused"}, nil}
)

// carry does all work that is due; each recipient's site answers as by says.
func (h *house) carry(by func(address string) outcome) int {
	h.t.Helper()
	ctx, now := context.Background(), h.clock()
	works, err := h.store.Claim(ctx, queue.ClaimParams{Node: "test", Now: now, Until: now.Add(time.Minute), Max: 1000,
		Room: func(string, mail.Owner, mail.Tier) int { return 1000 }})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, w := range works {
		d := &w.Delivery
		event := func(kind mail.EventType, detail mail.Detail) mail.Event {
			return mail.Event{ID: mail.NewID(now), Owner: d.Owner, Type: kind, At: now, Message: w.Message.Row, Delivery: d.Row, Detail: detail}
		}
		accepted := event(mail.EventAccepted, mail.Detail{Site: "example"})
		if _, err := h.store.Begin(ctx, now, []queue.Beginning{{Lease: w.Lease, Message: w.Message.Row, Address: mail.FoldAddress(d.Address), Owner: d.Owner, Accepted: &accepted, Site: "example"}}); err != nil {
			h.t.Fatal(err)
		}
		o := by(d.Address)
		attempt := &mail.Attempt{ID: mail.NewID(now), Number: d.Tries + 1, At: now, Duration: 120 * time.Millisecond, Reply: o.reply, Site: "example", Class: mail.ClassOther,
			MX: []string{"mx." + d.Destination}, Host: "mx." + d.Destination, Transcript: dialogue(d, o)}
		r := queue.Result{Lease: w.Lease, Status: o.status, Tries: d.Tries + 1, Site: "example", Attempt: attempt, Bounce: o.bounce}
		kind := mail.EventDelivered
		switch o.status {
		case mail.Delivered:
			attempt.Outcome = mail.OutcomeDelivered
		case mail.Deferred:
			kind, attempt.Outcome, r.Wait, r.Due = mail.EventDeferred, mail.OutcomeDeferred, mail.WaitRetry, now.Add(time.Hour)
		default:
			kind, attempt.Outcome = mail.EventBounced, mail.OutcomeBounced
			if o.bounce.Reason == mail.BounceExhausted {
				attempt.Outcome = mail.OutcomeDeferred
			}
			attempt.Class = o.bounce.Class
		}
		if o.reply.Code == 0 {
			attempt.Host = ""
		}
		r.Events = []mail.Event{event(kind, mail.Detail{Attempt: r.Tries, Reply: &attempt.Reply, Bounce: o.bounce, AttemptID: attempt.ID.Text(mail.PrefixAttempt)})}
		if lost, err := h.store.Settle(ctx, now, []queue.Result{r}); err != nil || len(lost) > 0 {
			h.t.Fatal(lost, err)
		}
	}
	return len(works)
}

func always(o outcome) func(string) outcome { return func(string) outcome { return o } }

// dialogue is what the carrier would have written down.
func dialogue(d *mail.Delivery, o outcome) []mail.Line {
	if o.reply.Code == 0 {
		return []mail.Line{{From: "!", At: time.Millisecond, Text: o.reply.Text}}
	}
	lines := []mail.Line{
		{From: "!", At: 2 * time.Millisecond, Text: "connected to mx." + d.Destination + " (192.0.2.1)"},
		{From: "S", At: 5 * time.Millisecond, Text: "220 mx ready", Code: 220},
		{From: "C", At: 5 * time.Millisecond, Text: "EHLO mx.postroad.test"},
		{From: "S", At: 9 * time.Millisecond, Text: "250-mx", Code: 250}, {From: "S", At: 9 * time.Millisecond, Text: "250 PIPELINING", Code: 250},
		{From: "C", At: 10 * time.Millisecond, Text: "MAIL FROM:<b@acme.test>"},
		{From: "C", At: 10 * time.Millisecond, Text: "RCPT TO:<" + d.Address + ">"},
		{From: "C", At: 10 * time.Millisecond, Text: "DATA"},
		{From: "S", At: 20 * time.Millisecond, Text: "250 2.1.0 Ok", Code: 250},
	}
	if o.status != mail.Delivered {
		return append(lines, mail.Line{From: "S", At: 21 * time.Millisecond, Text: fmt.Sprintf("%d %s", o.reply.Code, o.reply.Text), Code: o.reply.Code})
	}
	return append(lines, mail.Line{From: "S", At: 21 * time.Millisecond, Text: "250 2.1.5 Ok", Code: 250}, mail.Line{From: "S", At: 22 * time.Millisecond, Text: "354 Go on", Code: 354},
		mail.Line{From: "C", At: 23 * time.Millisecond, Text: "(512 bytes)"}, mail.Line{From: "C", At: 23 * time.Millisecond, Text: "."},
		mail.Line{From: "S", At: 90 * time.Millisecond, Text: "250 2.0.0 Ok", Code: 250})
}

func (h *house) hooksArchive() *archive.Service { return archive.NewService(h.store, nil) }

// lastEntry is the newest event of a message, as the log has it.
func (h *house) lastEntry() *eventlog.Entry {
	h.t.Helper()
	entries, _, err := h.store.Log(context.Background(), eventlog.Query{Owner: mail.Owner{Project: h.project.Row}, Types: []string{"message.*"}, Limit: 1000})
	if err != nil || len(entries) == 0 {
		h.t.Fatal(len(entries), err)
	}
	return &entries[len(entries)-1]
}

func matches(t *testing.T, f *hyvor.Format, n *eventlog.Entry, pattern string) {
	t.Helper()
	body, err := f.Body(n, &webhook.Endpoint{Format: webhook.FormatHyvor})
	if err != nil {
		t.Fatal(err)
	}
	if said := (&script{t: t, vars: map[string]string{}}).match("", jsontext.Value(pattern), body); said != "" {
		t.Errorf("%s in %s", said, body)
	}
}

package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// world is a service on a real store, with a clock that can be moved.
type world struct {
	*testing.T
	dir     string
	store   *sqlite.Store
	ring    *seal.Ring
	owner   mail.Owner
	ahead   atomic.Int64 // of the clock, ns
	o       webhook.Options
	service *webhook.Service
	log     journal
	stopped func()
}

// journal is what was logged.
type journal struct {
	sync.Mutex
	text strings.Builder
}

func (l *journal) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(b)
}

func (l *journal) String() string {
	l.Lock()
	defer l.Unlock()
	return l.text.String()
}

// newWorld makes a world whose service runs.
func newWorld(t *testing.T, change ...func(*webhook.Options)) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), stopped: func() {}}
	var err error
	if w.ring, err = seal.Open(w.dir); err != nil {
		t.Fatal(err)
	}
	w.open()
	p, err := w.store.CreateProject(t.Context(), project.Project{ID: mail.NewID(w.now()), Name: "default", Settings: project.DefaultSettings(), CreatedAt: w.now()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.owner = mail.Owner{Project: p.Row, Env: mail.Live}
	w.start(change...)
	t.Cleanup(func() {
		w.stopped()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) open() {
	w.Helper()
	var err error
	if w.store, err = sqlite.Open(sqlite.Options{Dir: filepath.Join(w.dir, "data")}); err != nil {
		w.Fatal(err)
	}
	if err := w.store.Migrate(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// start makes a service and runs it; stop first what runs.
func (w *world) start(change ...func(*webhook.Options)) {
	w.Helper()
	w.o = webhook.Options{Store: w.store, Log: w.store, Memory: w.store, Poster: local(w.T), Ring: w.ring, Node: "one", Wake: w.store.Wake, Now: w.now,
		Formats: map[string]webhook.Format{webhook.FormatStandard: webhook.Standard{BaseURL: "https://mail.acme.test"}},
		Logger:  slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, f := range change {
		f(&w.o)
	}
	w.service = webhook.New(w.o)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := w.service.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	w.stopped = func() { cancel(); run.Wait() }
}

// restart is the next life, of the store too.
func (w *world) restart(change ...func(*webhook.Options)) {
	w.Helper()
	w.stopped()
	if err := w.store.Close(); err != nil {
		w.Fatal(err)
	}
	w.open()
	w.start(change...)
}

func quick(waits ...time.Duration) func(*webhook.Options) {
	return func(o *webhook.Options) { o.Schedule, o.Probe = waits, 50*time.Millisecond }
}

func (w *world) create(url string, edit ...func(*webhook.NewEndpoint)) webhook.Endpoint {
	w.Helper()
	n := webhook.NewEndpoint{URL: url, Events: []string{"*"}, MaxPerSecond: 5000, By: "key_x"}
	for _, f := range edit {
		f(&n)
	}
	e, _, err := w.service.Create(w.Context(), w.owner, n, nil, nil)
	if err != nil {
		w.Fatal(err)
	}
	return e
}

func wants(types ...string) func(*webhook.NewEndpoint) {
	return func(n *webhook.NewEndpoint) { n.Events = types }
}

func (w *world) get(e webhook.Endpoint) webhook.Endpoint {
	w.Helper()
	got, err := w.service.Get(w.Context(), w.owner, e.ID)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

// letter is a message to one recipient, waiting.
func (w *world) letter() *submit.Acceptance {
	now := w.now()
	m := &mail.Message{ID: mail.NewID(now), Owner: w.owner, From: mail.Address{Email: "hello@acme.test"}, Subject: "Hello", Tier: mail.Normal, Via: "api", CreatedAt: now, Size: 5}
	m.RFCID = m.ID.UUID() + "@acme.test"
	a := &submit.Acceptance{Message: m, Content: mail.Bytes("hello"), Lease: submit.Lease{Node: "one", Until: now.Add(time.Minute)}}
	a.Deliveries = []submit.NewDelivery{{Delivery: mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: w.owner, Address: "ada@example.com", Destination: "example.com",
		Tier: mail.Normal, Status: mail.Queued, Wait: mail.WaitNew, Due: now}, Events: []mail.Event{w.event(mail.EventQueued)}}}
	return a
}

func (w *world) event(t mail.EventType) mail.Event {
	return mail.Event{ID: mail.NewID(w.now()), Owner: w.owner, Type: t, At: w.now()}
}

// accept makes n events message.queued.
func (w *world) accept(n int) (events []string) {
	w.Helper()
	all := make([]*submit.Acceptance, n)
	for i := range all {
		all[i] = w.letter()
		events = append(events, all[i].Deliveries[0].Events[0].ID.Text(mail.PrefixEvent))
	}
	if _, err := w.store.Accept(w.Context(), all); err != nil {
		w.Fatal(err)
	}
	return events
}

// deliver takes all that waits to its end: accepted, delivered.
func (w *world) deliver() {
	w.Helper()
	now := w.now()
	works, err := w.store.Claim(w.Context(), queue.ClaimParams{Node: "one", Now: now, Until: now.Add(time.Minute), Max: 1000, Room: func(string, mail.Owner, mail.Tier) int { return 1000 }})
	if err != nil {
		w.Fatal(err)
	}
	for _, work := range works {
		accepted := w.event(mail.EventAccepted)
		if _, err := w.store.Begin(w.Context(), now, []queue.Beginning{{Lease: work.Lease, Message: work.Message.Row, Address: work.Delivery.Address, Owner: w.owner, Accepted: &accepted}}); err != nil {
			w.Fatal(err)
		}
		a := &mail.Attempt{ID: mail.NewID(now), Number: 1, At: now, Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Text: "ok"}, Host: "mx.example.com"}
		if _, err := w.store.Settle(w.Context(), now, []queue.Result{{Lease: work.Lease, Attempt: a, Status: mail.Delivered, Tries: 1, Events: []mail.Event{w.event(mail.EventDelivered)}}}); err != nil {
			w.Fatal(err)
		}
	}
}

// patience bounds every wait: whoever waits longer waits for ever.
const patience = time.Minute

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("%s: it did not come to that\n%s", what, w.log.String())
		}
	}
}

func (w *world) deliveries(e webhook.Endpoint, status string) []webhook.Delivery {
	w.Helper()
	all, err := w.service.Deliveries(w.Context(), webhook.DeliveryQuery{Owner: w.owner, Endpoint: e.ID, Status: status, Ascending: true, Limit: 100_000})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// one gives an endpoint's only delivery with its tries.
func (w *world) one(e webhook.Endpoint) webhook.Delivery {
	w.Helper()
	all := w.deliveries(e, "")
	if len(all) == 0 {
		return webhook.Delivery{} // not yet
	}
	if len(all) > 1 {
		w.Fatalf("%d deliveries", len(all))
	}
	d, err := w.service.Delivery(w.Context(), w.owner, all[0].ID)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// inbox is a receiver that remembers.
type inbox struct {
	url string
	mu  sync.Mutex
	got []posted
	// answer is asked for each request, under no lock; nil is 204.
	answer func(w http.ResponseWriter, p posted)
}

type posted struct {
	at      time.Time
	header  http.Header
	id      string
	body    []byte
	message string
	kind    string
	when    time.Time // of the event
	nth     int       // request with this id, from 1
}

func newInbox(t *testing.T, answer func(http.ResponseWriter, posted)) *inbox {
	t.Helper()
	in := &inbox{answer: answer}
	s := httptest.NewServer(in)
	t.Cleanup(s.Close)
	in.url = s.URL + "/hooks"
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := posted{at: time.Now(), header: r.Header.Clone(), id: r.Header.Get("webhook-id"), nth: 1}
	p.body, _ = io.ReadAll(r.Body)
	var e struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			MessageID string `json:"message_id"`
		} `json:"data"`
	}
	_ = json.Unmarshal(p.body, &e)
	p.kind, p.message, p.when = e.Type, e.Data.MessageID, e.Timestamp
	in.mu.Lock()
	for i := range in.got {
		if in.got[i].id == p.id {
			p.nth++
		}
	}
	in.got = append(in.got, p)
	in.mu.Unlock()
	if in.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	in.answer(w, p)
}

func (in *inbox) all() []posted {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]posted{}, in.got...)
}

func (in *inbox) count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.got)
}

// each counts requests by id.
func (in *inbox) each() map[string]int {
	out := map[string]int{}
	for _, p := range in.all() {
		out[p.id]++
	}
	return out
}

// always answers every request alike.
func always(status int, headers ...string) func(http.ResponseWriter, posted) {
	return func(w http.ResponseWriter, _ posted) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

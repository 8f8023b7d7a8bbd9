package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/sandbox"
	"github.com/postroad/postroad/internal/store"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// whole is a queue on a real store, with the sandbox as its carrier: from acceptance to
// the last event nothing is played but the recipients' server.
type whole struct {
	t     testing.TB
	store store.Store
	q     *queue.Queue
	owner mail.Owner
	stop  func()
}

func openStore(t testing.TB, dir string) store.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func newWhole(t testing.TB, s store.Store, change ...func(*queue.Options)) *whole {
	t.Helper()
	w := &whole{t: t, store: s, owner: mail.Owner{Project: 1, Env: mail.Test}}
	var play *sandbox.Carrier
	o := queue.Options{
		Store: s, Router: route.New(route.Options{Hostname: "mx.here.test"}), Schedule: []time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
		Carrier: func(*route.Route) lane.Carrier { return play },
		Limits:  func(lane.Key) lane.Limits { return lane.Limits{Connections: 20, Reserved: 2, Depth: 8000} },
		Log:     slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	w.q = queue.New(o)
	play = sandbox.New(sandbox.Options{Begin: w.q})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.q.Run(ctx) }()
	w.stop = sync.OnceFunc(func() { stop(); <-ended })
	t.Cleanup(w.stop)
	return w
}

// send accepts one message as submit does, and gives its row.
func (w *whole) send(tier mail.Tier, addresses ...string) int64 {
	now := time.Now()
	m := &mail.Message{ID: mail.NewID(now), Owner: w.owner, From: mail.Address{Email: "me@acme.test"}, Tier: tier, CreatedAt: now}
	a := &submit.Acceptance{Message: m, Content: mail.Bytes("Subject: x\r\n\r\nx\r\n"),
		Lease: submit.Lease{Node: w.q.Node(), Until: now.Add(w.q.LeaseTime())}}
	for _, address := range addresses {
		d := mail.Address{Email: address}.Domain()
		a.Deliveries = append(a.Deliveries, submit.NewDelivery{
			Delivery: mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: w.owner, Address: address, Destination: d, Tier: tier, Status: mail.Queued, Wait: mail.WaitNew, Due: now},
			Leased:   w.q.Reserve(w.owner, d, tier),
			Events:   []mail.Event{{ID: mail.NewID(now), Owner: w.owner, Type: mail.EventQueued, At: now}},
		})
	}
	receipts, err := w.store.Accept(context.Background(), []*submit.Acceptance{a})
	if err != nil {
		w.t.Fatal(err)
	}
	r := receipts[0]
	m.Row = r.Row
	var works []*mail.Work
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		d.Row = r.Deliveries[i]
		if d.Leased {
			works = append(works, &mail.Work{Lease: r.Leases[i], Message: m, Delivery: d.Delivery, Content: a.Content})
			continue
		}
		w.q.Waiting(w.owner, d.Destination, tier, now)
	}
	w.q.Dispatch(works)
	return r.Row
}

// story is the events of a message, in order.
func (w *whole) story(row int64) string {
	events, err := w.store.Events(context.Background(), w.owner, row)
	if err != nil {
		w.t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, strings.TrimPrefix(string(e.Type), "message."))
	}
	return strings.Join(types, " ")
}

// waitFor waits until a message's events are those wanted.
func (w *whole) waitFor(row int64, want string) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for w.story(row) != want {
		if time.Now().After(deadline) {
			w.t.Fatalf("message %d: %q, want %q", row, w.story(row), want)
		}
		wake := w.store.Wake()
		select {
		case <-wake:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestTheSandboxsRecipientsTellTheirStoriesOnARealStore(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	defer func() { _ = s.Close() }()
	w := newWhole(t, s)
	for address, want := range map[string]string{
		"ada@example.com":            "queued accepted delivered",
		"bounced@sandbox.test":       "queued accepted bounced",
		"deferred+2@sandbox.test":    "queued accepted deferred deferred delivered",
		"deferred+9@sandbox.test":    "queued accepted deferred deferred bounced",
		"complained@sandbox.test":    "queued accepted delivered complained",
		"tlsfail@sandbox.test":       "queued accepted deferred deferred bounced",
		"bounced+5.7.1@sandbox.test": "queued accepted bounced",
	} {
		t.Run(address, func(t *testing.T) { w.waitFor(w.send(mail.Normal, address), want) })
	}
	for address, want := range map[string]string{"bounced@sandbox.test": mail.KindHardBounce, "complained@sandbox.test": mail.KindComplaint, "bounced+5.7.1@sandbox.test": "", "tlsfail@sandbox.test": ""} {
		got, err := s.SuppressionsOf(t.Context(), w.owner, address)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case want == "" && len(got) == 0:
		case want == "" || len(got) != 1 || got[0].Kind != want || got[0].ExpiresAt.Sub(got[0].CreatedAt) != time.Hour:
			t.Errorf("%s: suppressions %+v", address, got)
		}
	}
	w.waitFor(w.send(mail.Normal, "bounced@sandbox.test"), "queued suppressed") // found before the wire
	w.stop()
}

func TestAStoppedQueueIsGoneOnWithWhereItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	w := newWhole(t, s)
	slow := w.send(mail.Normal, "slow+10m@sandbox.test")
	w.waitFor(slow, "queued accepted")
	var rows []int64
	for range 20 {
		rows = append(rows, w.send(mail.Bulk, "ada@example.com"))
	}
	w.stop()
	later := w.send(mail.Normal, "bob@example.com") // the doors were not closed yet
	if got := w.story(slow); got != "queued accepted" {
		t.Errorf("given back, it tells %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, dir)
	defer func() { _ = s.Close() }()
	again := newWhole(t, s)
	for _, row := range append(rows, later) {
		again.waitFor(row, "queued accepted delivered")
	}
	again.stop()
}

func TestWhatHadBegunBeforeACrashIsUncertain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	w := newWhole(t, s, func(o *queue.Options) { o.SettleLimit = 50 * time.Millisecond })
	row := w.send(mail.Normal, "slow+10m@sandbox.test")
	w.waitFor(row, "queued accepted")
	_ = s.Close() // as a crash: the queue can settle nothing any more

	s = openStore(t, dir)
	defer func() { _ = s.Close() }()
	again := newWhole(t, s, func(o *queue.Options) { o.Schedule = []time.Duration{time.Hour} })
	again.waitFor(row, "queued accepted deferred")
	events, _ := s.Events(t.Context(), again.owner, row)
	attempts, _ := s.Attempts(t.Context(), again.owner, row)
	if events[2].Detail.Reason != "uncertain_after_data" || len(attempts) != 1 || attempts[0].Outcome != mail.OutcomeUncertain {
		t.Errorf("%+v, %+v", events[2].Detail, attempts)
	}
	again.stop()
}

func TestMessagesOfAllTiersAreEachDeliveredOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	defer func() { _ = s.Close() }()
	w := newWhole(t, s, func(o *queue.Options) {
		o.MaxHeld = 60
		o.Limits = func(lane.Key) lane.Limits { return lane.Limits{Connections: 8, Reserved: 1, Depth: 10, PerSession: 5} }
	})
	const senders, each = 8, 40
	rows := make([][]int64, senders)
	var all sync.WaitGroup
	for g := range senders {
		all.Go(func() {
			for i := range each {
				rows[g] = append(rows[g], w.send(mail.Tier(i%mail.Tiers), fmt.Sprintf("u%d@d%d.example", i, (g+i)%7)))
			}
		})
	}
	all.Wait()
	for deadline := time.Now().Add(time.Minute); w.q.Stats().Delivered < senders*each && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	for _, row := range slices.Concat(rows...) {
		w.waitFor(row, "queued accepted delivered")
	}
	w.stop()
	if st := w.q.Stats(); st.Delivered != senders*each || st.Lost != 0 || st.Held != 0 {
		t.Errorf("%+v", st)
	}
}

// BenchmarkAcceptToDelivered is the whole path of one message but for the network: 64
// callers accept, the queue carries to the sandbox.
func BenchmarkAcceptToDelivered(b *testing.B) {
	s := openStore(b, b.TempDir())
	defer func() { _ = s.Close() }()
	w := newWhole(b, s, func(o *queue.Options) {
		o.Limits = func(lane.Key) lane.Limits { return lane.Limits{Connections: 20, Reserved: 2, Depth: 8000} }
	})
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for next.Add(1) <= int64(b.N) {
				w.send(mail.Normal, "ada@example.com")
			}
		})
	}
	all.Wait()
	accepted := b.Elapsed()
	for w.q.Stats().Delivered < int64(b.N) || w.q.Stats().Held > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "delivered/s")
	w.stop()
}

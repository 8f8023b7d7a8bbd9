package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/store"
	"github.com/postroad/postroad/internal/submit"
)

// world is one store with a clock that stands still until it is moved.
type world struct {
	*testing.T
	s     store.Store
	ctx   context.Context
	now   time.Time
	owner mail.Owner
}

func newWorld(t *testing.T, s store.Store) *world {
	w := &world{T: t, s: s, ctx: context.Background(), now: time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC), owner: mail.Owner{Project: 1, Env: mail.Live}}
	w.must(s.Migrate(w.ctx))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) wantErr(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got error %v, want %v", err, want)
	}
}

func equal[T comparable](w *world, what string, got, want T) {
	w.Helper()
	if got != want {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func equalList[T comparable](w *world, what string, got, want []T) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// letter makes an acceptance: one message to these addresses, waiting and due now.
func (w *world) letter(to ...string) *submit.Acceptance {
	m := &mail.Message{ID: mail.NewID(w.now), Owner: w.owner, From: mail.Address{Name: "Acme", Email: "hello@acme.test"},
		Subject: "Hello", Tier: mail.Normal, KeyID: "k7f2q9xm", Via: "api", CreatedAt: w.now, Size: 5}
	m.RFCID = m.ID.UUID() + "@acme.test"
	a := &submit.Acceptance{Message: m, Content: mail.Bytes("hello"), Lease: submit.Lease{Node: "one", Until: w.now.Add(time.Minute)}}
	for _, address := range to {
		a.Deliveries = append(a.Deliveries, submit.NewDelivery{
			Delivery: mail.Delivery{ID: mail.NewID(w.now), Message: m.ID, Owner: w.owner, Address: address,
				Destination: address[strings.LastIndexByte(address, '@')+1:], Tier: m.Tier, Status: mail.Queued, Wait: mail.WaitNew, Due: w.now},
			Events: []mail.Event{w.event(mail.EventQueued)},
		})
	}
	return a
}

func (w *world) event(kind mail.EventType) mail.Event {
	return mail.Event{ID: mail.NewID(w.now), Owner: w.owner, Type: kind, At: w.now}
}

// at puts all deliveries of a letter off until a time.
func scheduled(a *submit.Acceptance, at time.Time) *submit.Acceptance {
	a.Message.ScheduledAt = at
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		d.Status, d.Wait, d.Due = mail.Scheduled, mail.WaitScheduled, at
		d.Events[0].Type = mail.EventScheduled
	}
	return a
}

func tiered(a *submit.Acceptance, tier mail.Tier) *submit.Acceptance {
	a.Message.Tier = tier
	for i := range a.Deliveries {
		a.Deliveries[i].Tier = tier
	}
	return a
}

func leased(a *submit.Acceptance) *submit.Acceptance {
	for i := range a.Deliveries {
		a.Deliveries[i].Leased = true
	}
	return a
}

func keyed(w *world, a *submit.Acceptance, key string) *submit.Acceptance {
	a.Once = w.once(key)
	a.Message.IdempotencyKey = key
	a.Answer = func(r submit.Receipt) mail.Answer {
		return mail.Answer{Status: 202, Location: "/v1/messages/" + a.Message.ID.Text("msg"), Body: fmt.Appendf(nil, `{"row":%d}`, r.Row)}
	}
	return a
}

func (w *world) once(key string) *mail.Once {
	return &mail.Once{Owner: w.owner, Route: "POST /v1/messages", Key: key, Fingerprint: [32]byte{1, 2, 3}, RequestID: "req_" + key,
		Created: w.now, Expires: w.now.Add(24 * time.Hour)}
}

func (w *world) accept(a *submit.Acceptance) submit.Receipt {
	w.Helper()
	r, err := w.s.Accept(w.ctx, []*submit.Acceptance{a})
	w.must(err)
	return r[0]
}

// acceptAll accepts many at once, so that they share commits.
func (w *world) acceptAll(all []*submit.Acceptance) []submit.Receipt {
	w.Helper()
	r, err := w.s.Accept(w.ctx, all)
	w.must(err)
	return r
}

// send accepts a letter and claims all that is due: the works of that letter.
func (w *world) send(a *submit.Acceptance) []*mail.Work {
	w.Helper()
	r := w.accept(a)
	var works []*mail.Work
	for _, work := range w.claim(1000) {
		if work.Message.Row == r.Row {
			works = append(works, work)
		}
	}
	if len(works) != len(a.Deliveries) {
		w.Fatalf("claimed %d of %d deliveries", len(works), len(a.Deliveries))
	}
	return works
}

func roomy(string, mail.Owner, mail.Tier) int { return 1 << 20 }

func (w *world) claim(max int) []*mail.Work {
	w.Helper()
	return w.claimRoom(max, roomy)
}

func (w *world) claimRoom(max int, room queue.Room) []*mail.Work {
	w.Helper()
	works, err := w.s.Claim(w.ctx, queue.ClaimParams{Node: "one", Now: w.now, Until: w.now.Add(time.Minute), Max: max, Room: room})
	w.must(err)
	return works
}

func addresses(works []*mail.Work) []string {
	var out []string
	for _, work := range works {
		out = append(out, work.Delivery.Address)
	}
	return out
}

func (w *world) beginning(work *mail.Work) queue.Beginning {
	e := w.event(mail.EventAccepted)
	return queue.Beginning{Lease: work.Lease, Message: work.Message.Row, Address: mail.FoldAddress(work.Delivery.Address),
		Topic: work.Message.Topic, Owner: work.Message.Owner, Accepted: &e, Site: "example"}
}

func (w *world) begin(work *mail.Work) queue.Verdict {
	w.Helper()
	v, err := w.s.Begin(w.ctx, w.now, []queue.Beginning{w.beginning(work)})
	w.must(err)
	return v[0]
}

func (w *world) goes(work *mail.Work) {
	w.Helper()
	if v := w.begin(work); !v.Go {
		w.Fatalf("Begin: got %+v, want Go", v)
	}
}

func (w *world) attempt(outcome mail.Outcome, reply mail.Reply) *mail.Attempt {
	return &mail.Attempt{ID: mail.NewID(w.now), Number: 1, At: w.now, Duration: 5 * time.Millisecond, Outcome: outcome, Reply: reply,
		Host: "mx.example.com", Site: "example", Transcript: []mail.Line{{From: "S", At: time.Millisecond, Text: reply.Text, Code: reply.Code}}}
}

func (w *world) delivered(work *mail.Work) queue.Result {
	return queue.Result{Lease: work.Lease, Attempt: w.attempt(mail.OutcomeDelivered, mail.Reply{Code: 250, Text: "ok"}),
		Status: mail.Delivered, Tries: work.Delivery.Tries + 1, Site: "example", Events: []mail.Event{w.event(mail.EventDelivered)}}
}

func (w *world) deferred(work *mail.Work, due time.Time) queue.Result {
	return queue.Result{Lease: work.Lease, Attempt: w.attempt(mail.OutcomeDeferred, mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "later"}),
		Status: mail.Deferred, Wait: mail.WaitRetry, Due: due, Tries: work.Delivery.Tries + 1, Site: "example", Events: []mail.Event{w.event(mail.EventDeferred)}}
}

// backed is a delivery given back untried.
func (w *world) backed(work *mail.Work, status mail.Status) queue.Result {
	return queue.Result{Lease: work.Lease, Status: status, Wait: mail.WaitLaneFull, Due: w.now, Tries: work.Delivery.Tries}
}

func (w *world) settle(results ...queue.Result) {
	w.Helper()
	lost, err := w.s.Settle(w.ctx, w.now, results)
	w.must(err)
	if len(lost) > 0 {
		w.Fatalf("Settle: lost %v", lost)
	}
}

func (w *world) settleLost(results ...queue.Result) {
	w.Helper()
	lost, err := w.s.Settle(w.ctx, w.now, results)
	w.must(err)
	if len(lost) != len(results) {
		w.Fatalf("Settle: lost %v of %d, want all", lost, len(results))
	}
}

func (w *world) record(id mail.ID) *archive.Record {
	w.Helper()
	r, err := w.s.Message(w.ctx, w.owner, id)
	w.must(err)
	return r
}

// status gives the only delivery of a message.
func (w *world) delivery(id mail.ID) mail.Delivery {
	w.Helper()
	r := w.record(id)
	if len(r.Deliveries) != 1 {
		w.Fatalf("message has %d deliveries, want 1", len(r.Deliveries))
	}
	return r.Deliveries[0]
}

func (w *world) events(row int64) []mail.Event {
	w.Helper()
	events, err := w.s.Events(w.ctx, w.owner, row)
	w.must(err)
	return events
}

// story is the whole list of a message's event types.
func (w *world) story(row int64, want ...mail.EventType) {
	w.Helper()
	var got []mail.EventType
	for i, e := range w.events(row) {
		got = append(got, e.Type)
		equal(w, "sequence", e.Sequence, i+1)
	}
	equalList(w, "events", got, want)
}

func (w *world) rescue(own bool) ([]*mail.Work, int) {
	w.Helper()
	begun, returned, err := w.s.Rescue(w.ctx, queue.RescueParams{Node: "one", Own: own, Now: w.now, Until: w.now.Add(time.Minute), Max: 1000})
	w.must(err)
	return begun, returned
}

func (w *world) change(id mail.ID) queue.Change {
	return queue.Change{Owner: w.owner, Message: id, Now: w.now, Reason: "asked", By: "key_k7f2q9xm"}
}

func (w *world) content(row int64) []byte {
	w.Helper()
	c, err := w.s.Content(w.ctx, row)
	w.must(err)
	r, err := c.Open()
	w.must(err)
	defer r.Close()
	b, err := io.ReadAll(r)
	w.must(err)
	equal(w, "content size", c.Size(), int64(len(b)))
	return b
}

// waiting counts what Depth says for one wait reason.
func (w *world) waiting(wait mail.Wait) (n int64) {
	w.Helper()
	all, err := w.s.Depth(w.ctx)
	w.must(err)
	for _, d := range all {
		if d.Wait == wait {
			n += d.Count
		}
	}
	return n
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// endpoint makes one of the world's owner that wants all.
func (w *world) endpoint(edit ...func(*webhook.Endpoint)) webhook.Endpoint {
	w.Helper()
	e := webhook.Endpoint{ID: mail.NewID(w.now), Owner: w.owner, URL: "https://app.acme.test/hooks", Events: []string{"*"}, Payload: webhook.PayloadV1,
		Format: webhook.FormatStandard, Ordering: webhook.OrderNone, MaxPerSecond: 50, Status: webhook.Enabled, Secret: []byte("sealed"), CreatedAt: w.now}
	for _, f := range edit {
		f(&e)
	}
	made, err := w.s.CreateEndpoint(w.ctx, e, 50, nil, nil)
	w.must(err)
	return made
}

func ordered(e *webhook.Endpoint) { e.Ordering = webhook.OrderPerMessage }

// wantsAll plans as the service does.
type wantsAll struct {
	w   *world
	all []webhook.Endpoint
}

func (p wantsAll) Wants(mail.Owner, mail.EventType) bool { return true }

func (p wantsAll) Hooks(entries []eventlog.Entry) (out []webhook.Hook) {
	for i := range p.all {
		e := &p.all[i]
		for j := range entries {
			n := &entries[j]
			if !e.Owed(n.Position) || !e.Wants(n) {
				continue
			}
			h := webhook.Hook{Endpoint: e.Row, Position: n.Position, CreatedAt: p.w.now, Due: p.w.now, Entry: n}
			if e.Ordering == webhook.OrderPerMessage {
				h.Message = n.Event.Message
			}
			out = append(out, h)
		}
	}
	return out
}

func (w *world) plan(ctx context.Context, revision int64) (webhook.Planner, error) {
	all, have, err := w.s.AllEndpoints(ctx)
	if err == nil && have < revision {
		err = fmt.Errorf("endpoints are at revision %d, which was %d before", have, revision)
	}
	return wantsAll{w: w, all: all}, err
}

// relays relays all there is, and gives the hooks.
func (w *world) relays() (hooks []webhook.Hook) {
	w.Helper()
	for {
		did, err := w.s.Relay(w.ctx, w.now, 3, w.plan)
		w.must(err)
		if did.Passed == 0 {
			return hooks
		}
		hooks = append(hooks, did.Hooks...)
	}
}

// leased takes all endpoints for a node.
func (w *world) leases(node string) map[int64]webhook.Lease {
	w.Helper()
	all, err := w.s.LeaseEndpoints(w.ctx, node, w.now, w.now.Add(time.Minute))
	w.must(err)
	out := map[int64]webhook.Lease{}
	for _, l := range all {
		out[l.Endpoint] = l
	}
	return out
}

func (w *world) dueHooks(d webhook.Due) (page []webhook.Hook, next time.Time) {
	w.Helper()
	if d.Now.IsZero() {
		d.Now = w.now
	}
	if d.Limit == 0 {
		d.Limit = 100
	}
	page, next, err := w.s.DueHooks(w.ctx, d)
	w.must(err)
	return page, next
}

func positions(hooks []webhook.Hook) (out []int64) {
	for _, h := range hooks {
		out = append(out, h.Position)
	}
	return out
}

func (w *world) answered(h webhook.Hook, status string) webhook.Result {
	r := webhook.Result{Position: h.Position, Status: status, Tries: h.Tries + 1, Record: webhook.Record{At: w.now, Duration: 30 * time.Millisecond,
		RequestHeaders: []mail.Header{{Name: "webhook-id", Value: "evt_x"}}, Status: 200, Response: "thanks, " + "ada@one.test"}}
	if status != webhook.Delivered {
		r.Record.Status = 500
	}
	if status == webhook.Pending {
		r.Due = w.now.Add(30 * time.Second)
	}
	return r
}

func (w *world) settleHooks(l webhook.Lease, state webhook.State, results ...webhook.Result) {
	w.Helper()
	lost, err := w.s.SettleHooks(w.ctx, w.now, []webhook.Settlement{{Endpoint: l.Endpoint, Token: l.Token, State: state, Results: results}})
	w.must(err)
	equal(w, "lost", len(lost), 0)
}

func (w *world) hook(id mail.ID) webhook.Delivery {
	w.Helper()
	d, _, err := w.s.Delivery(w.ctx, w.owner, id)
	w.must(err)
	return d
}

func (w *world) hooksOf(q webhook.DeliveryQuery) []webhook.Delivery {
	w.Helper()
	q.Owner = w.owner
	if q.Limit == 0 {
		q.Limit = 100
	}
	all, err := w.s.Deliveries(w.ctx, q)
	w.must(err)
	return all
}

func (w *world) backlog(e webhook.Endpoint) int64 {
	w.Helper()
	now, err := w.s.Endpoint(w.ctx, w.owner, e.ID)
	w.must(err)
	return now.State.Backlog
}

func (w *world) sweep(deliveredBefore time.Time) {
	w.Helper()
	for range 10_000 {
		more, err := w.s.SweepHooks(w.ctx, w.now, deliveredBefore)
		w.must(err)
		if !more {
			return
		}
	}
	w.Fatal("the sweep does not come to an end")
}

var webhookClauses = []clause{
	{"endpoints are made, found, changed at their version, and removed", func(w *world) {
		e := w.endpoint(func(e *webhook.Endpoint) {
			e.Filters, e.Redact, e.Headers = webhook.Filters{Tags: []string{"a"}, Domains: []string{"acme.test"}}, []string{"subject"}, map[string]string{"X-Env": "prod"}
			e.OldSecret, e.OldExpires, e.Description, e.CreatedBy = []byte("old"), w.now.Add(time.Hour), "prod", "key_x"
		})
		got, err := w.s.Endpoint(w.ctx, w.owner, e.ID)
		w.must(err)
		equal(w, "endpoint", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", e))
		got.URL = "https://other.test/"
		changed, err := w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: got})
		w.must(err)
		equal(w, "version", changed.Version, got.Version+1)
		_, err = w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: got})
		w.wantErr(err, mail.ErrStale)
		other := mail.Owner{Project: w.owner.Project, Env: mail.Test}
		_, err = w.s.Endpoint(w.ctx, other, e.ID)
		w.wantErr(err, mail.ErrNotFound)
		w.wantErr(w.s.DeleteEndpoint(w.ctx, w.owner, e.ID, 1), mail.ErrStale)
		w.must(w.s.DeleteEndpoint(w.ctx, w.owner, e.ID, changed.Version))
		w.wantErr(w.s.DeleteEndpoint(w.ctx, w.owner, e.ID, 0), mail.ErrNotFound)
		all, err := w.s.Endpoints(w.ctx, w.owner)
		w.must(err)
		equal(w, "endpoints", len(all), 0)
	}},
	{"a project has so many endpoints in both environments together, others are not counted", func(w *world) {
		w.endpoint()
		w.endpoint(func(e *webhook.Endpoint) { e.Owner.Env = mail.Test })
		e := webhook.Endpoint{ID: mail.NewID(w.now), Owner: w.owner, CreatedAt: w.now}
		_, err := w.s.CreateEndpoint(w.ctx, e, 2, nil, nil)
		w.wantErr(err, mail.ErrExists)
		e.Owner.Project = 2
		_, err = w.s.CreateEndpoint(w.ctx, e, 2, nil, nil)
		w.must(err)
	}},
	{"an endpoint's twin under one key is not made", func(w *world) {
		make := func() error {
			_, err := w.s.CreateEndpoint(w.ctx, webhook.Endpoint{ID: mail.NewID(w.now), Owner: w.owner, CreatedAt: w.now}, 50, w.once("k"),
				func(e webhook.Endpoint) mail.Answer { return mail.Answer{Status: 201, Body: []byte(e.ID.Text("wh"))} })
			return err
		}
		w.must(make())
		var replayed *mail.Replayed
		if err := make(); !errors.As(err, &replayed) || replayed.Answer.Status != 201 {
			w.Fatalf("got %v", err)
		}
		all, err := w.s.Endpoints(w.ctx, w.owner)
		w.must(err)
		equal(w, "endpoints", len(all), 1)
	}},
	{"an endpoint is owed what commits after it was made, once", func(w *world) {
		w.arrived(w.letter("ada@one.test"))
		equal(w, "hooks without an endpoint", len(w.relays()), 0)
		e := w.endpoint()
		equal(w, "hooks of what was before", len(w.relays()), 0)
		row := w.arrived(w.letter("ada@one.test"))
		hooks := w.relays()
		var types []mail.EventType
		for _, h := range hooks {
			types = append(types, h.Entry.Type)
			equal(w, "message", h.Entry.Message.Row, row)
			equal(w, "endpoint", h.Endpoint, e.Row)
		}
		equalList(w, "types", types, []mail.EventType{mail.EventQueued, mail.EventAccepted, mail.EventDelivered})
		equal(w, "again", len(w.relays()), 0)
		equal(w, "backlog", w.backlog(e), 3)
		w.arrived(w.letter("ada@one.test"))
		second := w.endpoint()
		equal(w, "hooks of the first", len(w.relays()), 3)
		equal(w, "backlog of the second", w.backlog(second), 0)
	}},
	{"concurrent relays under concurrent commits make each hook once", func(w *world) {
		e := w.endpoint()
		const letters = 60
		var wait sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			wait.Go(func() {
				for i := range letters / 2 {
					a := w.letter(fmt.Sprintf("u%d@one.test", i))
					if _, err := w.s.Accept(w.ctx, []*submit.Acceptance{a}); err != nil {
						w.Error(err)
					}
				}
			})
		}
		var mu sync.Mutex
		made := map[int64]int{}
		var relays sync.WaitGroup
		for range 3 {
			relays.Go(func() {
				for {
					var over bool
					select {
					case <-done:
						over = true
					default:
					}
					did, err := w.s.Relay(w.ctx, w.now, 7, w.plan)
					if err != nil {
						w.Error(err)
						return
					}
					mu.Lock()
					for _, h := range did.Hooks {
						made[h.Position]++
					}
					mu.Unlock()
					if over && did.Passed == 0 {
						return
					}
				}
			})
		}
		wait.Wait()
		close(done)
		relays.Wait()
		equal(w, "hooks", len(made), letters)
		for position, n := range made {
			if n != 1 {
				w.Fatalf("event %d made %d hooks", position, n)
			}
		}
		equal(w, "backlog", w.backlog(e), letters)
	}},
	{"a disabled endpoint is owed what was before, misses the rest, and a job is told what", func(w *world) {
		e := w.endpoint()
		w.accept(w.letter("ada@one.test"))
		e.Status = webhook.Disabled
		off, err := w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: e, Disable: true})
		w.must(err)
		w.accept(w.letter("bob@two.test"))
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 1)
		off.Status = webhook.Enabled
		j := job.Job{ID: mail.NewID(w.now), Owner: w.owner, Type: job.ReplayWebhook, Status: job.Queued, CreatedAt: w.now, Facts: job.Facts{Replay: &job.Replay{}}}
		on, err := w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: off, Enable: true, Job: &j})
		w.must(err)
		equal(w, "until", on.Until, 0)
		w.accept(w.letter("cyd@two.test"))
		equal(w, "hooks after", len(w.relays()), 1)
		kept, err := w.s.Job(w.ctx, w.owner, j.ID)
		w.must(err)
		equal(w, "missed from", kept.Facts.Replay.From, hooks[0].Position+1)
		equal(w, "missed to", kept.Facts.Replay.To, on.From)
	}},
	{"what both environments share is told to both", func(w *world) {
		live, test := w.endpoint(), w.endpoint(func(e *webhook.Endpoint) { e.Owner.Env = mail.Test })
		w.project("first") // whose these two are
		p := w.project("shared")
		w.owner.Project = p.Row
		mine := w.endpoint(func(e *webhook.Endpoint) { e.Owner.Env = mail.Test })
		_, err := w.s.CreateDomain(w.ctx, project.Domain{ID: mail.NewID(w.now), Project: p.Row, Name: "acme.test", CreatedAt: w.now}, nil, nil)
		w.must(err)
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 1)
		equal(w, "endpoint", hooks[0].Endpoint, mine.Row)
		equal(w, "others", live.Row == mine.Row || test.Row == mine.Row, false)
	}},
	{"an endpoint is one node's until its lease is over, and its past life's token is void", func(w *world) {
		e := w.endpoint()
		mine := w.leases("one")[e.Row]
		equal(w, "mine", mine.Token > 0, true)
		equal(w, "another's", len(w.leases("two")), 0)
		equal(w, "renewed", w.leases("one")[e.Row].Token, mine.Token)
		w.accept(w.letter("ada@one.test"))
		h := w.relays()[0]
		w.now = w.now.Add(2 * time.Minute)
		theirs := w.leases("two")[e.Row]
		equal(w, "taken", theirs.Token > mine.Token, true)
		equal(w, "lost", len(w.leases("one")), 0)
		lost, err := w.s.SettleHooks(w.ctx, w.now, []webhook.Settlement{{Endpoint: e.Row, Token: mine.Token, Results: []webhook.Result{w.answered(h, webhook.Delivered)}}})
		w.must(err)
		equalList(w, "lost", lost, []int64{e.Row})
		equal(w, "still open", w.hook(h.ID()).Status, webhook.Pending)
		w.settleHooks(theirs, webhook.State{}, w.answered(h, webhook.Delivered))
		equal(w, "settled", w.hook(h.ID()).Status, webhook.Delivered)
	}},
	{"due hooks come in the order they are due, a page at a time, with what they tell", func(w *world) {
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		for range 5 {
			w.accept(w.letter("ada@one.test"))
		}
		hooks := w.relays()
		page, _ := w.dueHooks(webhook.Due{Endpoint: e.Row, Limit: 2})
		equalList(w, "page", positions(page), positions(hooks[:2]))
		equal(w, "entry", page[0].Entry.Message.Subject, "Hello")
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Pending))
		page, next := w.dueHooks(webhook.Due{Endpoint: e.Row})
		equalList(w, "without the one tried", positions(page), positions(hooks[1:]))
		equal(w, "next", next, w.now.Add(30*time.Second))
		page, _ = w.dueHooks(webhook.Due{Endpoint: e.Row, Probe: true})
		equal(w, "for a probe", len(page), 5)
		page, next = w.dueHooks(webhook.Due{Endpoint: e.Row, Now: w.now.Add(time.Minute)})
		equalList(w, "later", positions(page), append(positions(hooks[1:]), hooks[0].Position))
		equal(w, "tries", page[4].Tries, 1)
		equal(w, "nothing further", next.IsZero(), true)
	}},
	{"in order, a message's next event waits for the one before, but not for ever", func(w *world) {
		e := w.endpoint(ordered)
		l := w.leases("one")[e.Row]
		w.arrived(w.letter("ada@one.test"))
		w.accept(w.letter("bob@two.test"))
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 4)
		d := webhook.Due{Endpoint: e.Row, Ordered: true, Patience: w.now.Add(-time.Hour)}
		page, _ := w.dueHooks(d)
		equalList(w, "first", positions(page), []int64{hooks[0].Position, hooks[3].Position})
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Pending))
		page, _ = w.dueHooks(d)
		equalList(w, "it waits while the first is tried again", positions(page), []int64{hooks[3].Position})
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Delivered))
		page, _ = w.dueHooks(d)
		equalList(w, "second", positions(page), []int64{hooks[1].Position, hooks[3].Position})
		w.settleHooks(l, webhook.State{}, w.answered(hooks[1], webhook.Failed))
		page, _ = w.dueHooks(d)
		equalList(w, "third", positions(page), []int64{hooks[2].Position, hooks[3].Position})
		w.arrived(w.letter("cyd@two.test"))
		w.relays()
		d.Patience = w.now
		page, _ = w.dueHooks(d)
		equal(w, "out of patience", len(page), 5)
	}},
	{"what came of posts is kept with its tries, and counted", func(w *world) {
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.arrived(w.letter("ada@one.test"))
		hooks := w.relays()
		state := webhook.State{Failures: 2, FailingAt: w.now, LastError: "500", Breaker: webhook.BreakerOpen}
		w.settleHooks(l, state, w.answered(hooks[0], webhook.Pending), w.answered(hooks[1], webhook.Delivered), w.answered(hooks[2], webhook.Failed))
		equal(w, "backlog", w.backlog(e), 1)
		kept, err := w.s.Endpoint(w.ctx, w.owner, e.ID)
		w.must(err)
		state.Backlog = 1
		equal(w, "state", fmt.Sprintf("%+v", kept.State), fmt.Sprintf("%+v", state))
		equal(w, "state with the lease", w.leases("one")[e.Row].State.Failures, 2)
		d := w.hook(hooks[0].ID())
		equal(w, "parked while the breaker is open", d.Status, webhook.Parked)
		equal(w, "tries", len(d.Tries), 1)
		equal(w, "try", fmt.Sprintf("%+v", d.Tries[0]), fmt.Sprintf("%+v", w.answered(hooks[0], webhook.Pending).Record))
		w.settleHooks(l, webhook.State{}, w.answered(webhook.Hook{Position: hooks[0].Position, Tries: 1}, webhook.Delivered))
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Failed)) // it is over: too late
		d = w.hook(hooks[0].ID())
		equal(w, "status", d.Status, webhook.Delivered)
		equal(w, "attempts", d.Attempts, 2)
		equal(w, "tries", len(d.Tries), 2)
		equal(w, "backlog", w.backlog(e), 0)
		counts, err := w.s.HookCounts(w.ctx, []int64{1 << 40, e.Row}, w.now.Add(-time.Hour))
		w.must(err)
		hours := counts[e.Row]
		equal(w, "endpoints with counts", len(counts), 1)
		equal(w, "hours", len(hours), 1)
		equal(w, "delivered", hours[0].Delivered, 2)
		equal(w, "tries that failed", hours[0].Tries, 2)
		equal(w, "given up", hours[0].Failed, 1)
		equal(w, "durations", hours[0].Durations[webhook.DurationBucket(30*time.Millisecond)], 2)
	}},
	{"of many probes the last one is kept", func(w *world) {
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.accept(w.letter("ada@one.test"))
		h := w.relays()[0]
		w.settleHooks(l, webhook.State{}, w.answered(h, webhook.Pending))
		for i := range 3 {
			r := w.answered(h, webhook.Pending)
			r.Tries, r.Record.Probe, r.Record.Status = 1, true, 500+i
			w.settleHooks(l, webhook.State{}, r)
		}
		d := w.hook(h.ID())
		equal(w, "tries", len(d.Tries), 2)
		equal(w, "the last", d.Tries[1].Status, 502)
		equal(w, "attempts", d.Attempts, 1)
	}},
	{"events about an endpoint commit with what it came of", func(w *world) {
		e := w.endpoint()
		other := w.endpoint()
		l := w.leases("one")[e.Row]
		w.accept(w.letter("ada@one.test"))
		h := w.relays()[0]
		told := w.event(mail.EventWebhookFailing)
		told.Detail.Object = e.ID.Text(webhook.PrefixEndpoint)
		_, err := w.s.SettleHooks(w.ctx, w.now, []webhook.Settlement{{Endpoint: e.Row, Token: l.Token, Results: []webhook.Result{w.answered(h, webhook.Pending)}, Events: []mail.Event{told}}})
		w.must(err)
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 1)
		equal(w, "told to the other", hooks[0].Endpoint, other.Row)
	}},
	{"a hook is found by its name, by nobody else's, and begins again when asked", func(w *world) {
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.accept(w.letter("ada@one.test"))
		h := w.relays()[0]
		w.settleHooks(l, webhook.State{}, w.answered(h, webhook.Failed))
		_, _, err := w.s.Delivery(w.ctx, mail.Owner{Project: w.owner.Project, Env: mail.Test}, h.ID())
		w.wantErr(err, mail.ErrNotFound)
		_, _, err = w.s.Delivery(w.ctx, w.owner, webhook.HookID(h.Endpoint, h.Position, h.Entry.At.Add(time.Second)))
		w.wantErr(err, mail.ErrNotFound)
		_, _, err = w.s.Delivery(w.ctx, w.owner, webhook.HookID(h.Endpoint, h.Position+1, h.Entry.At))
		w.wantErr(err, mail.ErrNotFound)
		answer := func(d webhook.Delivery) mail.Answer { return mail.Answer{Status: 202, Body: []byte(d.Status)} }
		d, err := w.s.ReopenHook(w.ctx, w.owner, h.ID(), w.now, w.once("again"), answer)
		w.must(err)
		equal(w, "status", d.Status, webhook.Pending)
		equal(w, "attempts", d.Attempts, 0)
		equal(w, "backlog", w.backlog(e), 1)
		_, err = w.s.ReopenHook(w.ctx, w.owner, h.ID(), w.now, w.once("again"), answer)
		var replayed *mail.Replayed
		equal(w, "replayed", errors.As(err, &replayed), true)
		w.settleHooks(l, webhook.State{}, w.answered(h, webhook.Pending))
		_, err = w.s.ReopenHook(w.ctx, w.owner, h.ID(), w.now, nil, nil)
		w.must(err)
		equal(w, "backlog", w.backlog(e), 1)
		page, _ := w.dueHooks(webhook.Due{Endpoint: e.Row})
		equal(w, "due at once", len(page), 1)
		e.Status = webhook.Disabled
		_, err = w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: e, Disable: true})
		w.must(err)
		_, err = w.s.ReopenHook(w.ctx, w.owner, h.ID(), w.now, nil, nil)
		w.wantErr(err, mail.ErrStale)
	}},
	{"deliveries are found by status, type, message and place", func(w *world) {
		first, second := w.letter("ada@one.test"), w.letter("bob@two.test")
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.arrived(first)
		w.arrived(second)
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 6)
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Delivered), w.answered(hooks[1], webhook.Failed))
		count := func(what string, q webhook.DeliveryQuery, want ...int) {
			w.Helper()
			q.Endpoint = e.ID
			var got, wanted []int64
			for _, d := range w.hooksOf(q) {
				got = append(got, d.Position)
			}
			for _, i := range want {
				wanted = append(wanted, hooks[i].Position)
			}
			equalList(w, what, got, wanted)
		}
		count("newest first", webhook.DeliveryQuery{}, 5, 4, 3, 2, 1, 0)
		count("a page", webhook.DeliveryQuery{After: hooks[4].Position, Limit: 2}, 3, 2)
		count("oldest first", webhook.DeliveryQuery{Ascending: true, After: hooks[1].Position, Limit: 2}, 2, 3)
		count("failed", webhook.DeliveryQuery{Status: webhook.Failed}, 1)
		count("delivered", webhook.DeliveryQuery{Status: webhook.Delivered}, 0)
		count("pending", webhook.DeliveryQuery{Status: webhook.Pending}, 5, 4, 3, 2)
		count("parked", webhook.DeliveryQuery{Status: webhook.Parked})
		count("types", webhook.DeliveryQuery{Types: []string{"message.queued", "suppression.*"}}, 3, 0)
		count("family", webhook.DeliveryQuery{Types: []string{"message.*"}, Status: webhook.Failed}, 1)
		count("message", webhook.DeliveryQuery{Message: second.Message.ID}, 5, 4, 3)
		count("another's message", webhook.DeliveryQuery{Message: mail.NewID(w.now)})
		for i, d := range w.hooksOf(webhook.DeliveryQuery{Last: true, Bodies: true}) {
			one, entry, err := w.s.Delivery(w.ctx, w.owner, d.ID)
			w.must(err)
			equal(w, fmt.Sprintf("tries of %d", i), len(d.Tries), min(len(one.Tries), 1))
			if len(d.Tries) > 0 {
				equal(w, "the last one", d.Tries[0].Response, one.Tries[len(one.Tries)-1].Response)
			}
			equal(w, "what it tells", d.Entry.ID, entry.ID)
		}
		all := w.hooksOf(webhook.DeliveryQuery{})
		equal(w, "of all endpoints", len(all), 6)
		equal(w, "message", all[0].Message, second.Message.ID)
		equal(w, "id", all[5].ID, hooks[0].ID())
	}},
	{"a replay opens hooks with its job, whether there were any or not", func(w *world) {
		w.arrived(w.letter("ada@one.test")) // before there was the endpoint
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.accept(w.letter("bob@two.test"))
		w.accept(w.letter("cyd@two.test"))
		hooks := w.relays()
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Delivered))
		j := job.Job{ID: mail.NewID(w.now), Owner: w.owner, Type: job.ReplayWebhook, Status: job.Queued, CreatedAt: w.now, Facts: job.Facts{Replay: &job.Replay{}}}
		w.must(w.s.CreateJob(w.ctx, j, nil, nil))
		j.Status, j.Facts.Replay.At = job.Running, hooks[1].Position
		list := []webhook.Hook{{Endpoint: e.Row, Position: hooks[0].Position - 1}, {Endpoint: e.Row, Position: hooks[0].Position}, {Endpoint: e.Row, Position: hooks[1].Position}}
		added, err := w.s.ReplayHooks(w.ctx, j, e.Row, list, w.now)
		w.must(err)
		equal(w, "opened", added, 2)
		equal(w, "backlog", w.backlog(e), 3)
		kept, err := w.s.Job(w.ctx, w.owner, j.ID)
		w.must(err)
		equal(w, "at", kept.Facts.Replay.At, hooks[1].Position)
		equal(w, "created", kept.Facts.Created, 2)
		equal(w, "existing", kept.Facts.Existing, 1)
		page, _ := w.dueHooks(webhook.Due{Endpoint: e.Row})
		equal(w, "due", len(page), 3)
		// What is only to be made due is left alone once it is over.
		w.settleHooks(w.leases("one")[e.Row], webhook.State{}, w.answered(hooks[1], webhook.Delivered))
		added, err = w.s.ReplayHooks(w.ctx, j, e.Row, []webhook.Hook{{Endpoint: e.Row, Position: hooks[1].Position, Hasten: true}}, w.now)
		w.must(err)
		equal(w, "opened by haste", added, 0)
		equal(w, "backlog", w.backlog(e), 2)
		kept.Status = job.Cancelled
		w.must(w.s.SaveJob(w.ctx, kept))
		_, err = w.s.ReplayHooks(w.ctx, j, e.Row, list, w.now)
		w.wantErr(err, mail.ErrStale)
	}},
	{"a deleted project's endpoints go with it, others stay", func(w *world) {
		other := w.endpoint(func(e *webhook.Endpoint) { e.Owner.Project = 999 })
		p := w.keeps(10, 30)
		live, test := w.endpoint(), w.endpoint(func(e *webhook.Endpoint) { e.Owner.Env = mail.Test })
		w.leases("one")
		w.must(w.s.DeleteProject(w.ctx, p.Row, "key_x", w.now))
		for _, e := range []webhook.Endpoint{live, test} {
			_, err := w.s.Endpoint(w.ctx, e.Owner, e.ID)
			w.wantErr(err, mail.ErrNotFound)
		}
		held := w.leases("one")
		equal(w, "leases", len(held), 1)
		equal(w, "the other's", held[other.Row].Token > 0, true)
	}},
	{"what is not kept any longer is swept: old deliveries, what lost its event or its endpoint", func(w *world) {
		w.keeps(1, 3)
		e, gone := w.endpoint(), w.endpoint()
		l := w.leases("one")[e.Row]
		w.arrived(w.letter("ada@one.test"))
		hooks := w.relays()
		equal(w, "hooks", len(hooks), 6)
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Delivered), w.answered(hooks[1], webhook.Failed))
		w.must(w.s.DeleteEndpoint(w.ctx, w.owner, gone.ID, 0))
		w.now = w.now.Add(2 * day)
		w.sweep(w.now.Add(-14 * day))
		equal(w, "kept", len(w.hooksOf(webhook.DeliveryQuery{})), 3)
		w.sweep(w.now.Add(-day))
		equal(w, "without the delivered", len(w.hooksOf(webhook.DeliveryQuery{})), 2)
		equal(w, "backlog", w.backlog(e), 1)
		w.now = w.now.Add(2 * day)
		equal(w, "messages forgotten", w.forget().Messages, 1)
		w.sweep(w.now.Add(-14 * day))
		equal(w, "backlog without its events", w.backlog(e), 0)
		page, _ := w.dueHooks(webhook.Due{Endpoint: e.Row})
		equal(w, "due", len(page), 0)
	}},
	{"what an endpoint was enabled without is given up", func(w *world) {
		e := w.endpoint()
		w.accept(w.letter("ada@one.test"))
		e.Status = webhook.Disabled
		off, err := w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: e, Disable: true})
		w.must(err)
		h := w.relays()[0]
		equal(w, "parked", w.hook(h.ID()).Status, webhook.Parked)
		off.Status, off.Discard = webhook.Enabled, off.Until
		_, err = w.s.ChangeEndpoint(w.ctx, webhook.Change{Endpoint: off, Enable: true})
		w.must(err)
		w.accept(w.letter("bob@two.test"))
		next := w.relays()
		page, _ := w.dueHooks(webhook.Due{Endpoint: e.Row})
		equalList(w, "due", positions(page), positions(next))
		w.sweep(w.now)
		d := w.hook(h.ID())
		equal(w, "status", d.Status, webhook.Failed)
		equal(w, "says why", strings.Contains(d.Tries[0].Error, "enabled without it"), true)
		equal(w, "backlog", w.backlog(e), 1)
	}},
	{"events wait for the relay before they are forgotten", func(w *world) {
		w.keeps(1, 1)
		w.endpoint()
		w.arrived(w.letter("ada@one.test"))
		w.now = w.now.Add(day + time.Minute)
		equal(w, "messages forgotten", w.forget().Messages, 0)
		equal(w, "hooks", len(w.relays()), 3)
		w.now = w.now.Add(2 * time.Minute)
		equal(w, "messages forgotten", w.forget().Messages, 1)
	}},
	{"an erasure takes what receivers answered along", func(w *world) {
		w.keeps(10, 30)
		e := w.endpoint()
		l := w.leases("one")[e.Row]
		w.arrived(w.letter("ada@one.test"))
		hooks := w.relays()
		w.settleHooks(l, webhook.State{}, w.answered(hooks[0], webhook.Delivered), w.answered(hooks[2], webhook.Failed))
		w.order("ada@one.test", false)
		w.erase()
		for _, i := range []int{0, 2} {
			d, entry, err := w.s.Delivery(w.ctx, w.owner, hooks[i].ID())
			w.must(err)
			equal(w, "tries", len(d.Tries), 1)
			equal(w, "response", d.Tries[0].Response, "")
			equal(w, "status", d.Tries[0].Status != 0, true)
			equal(w, "recipient", strings.HasPrefix(entry.Recipient, "erased-"), true)
		}
	}},
}

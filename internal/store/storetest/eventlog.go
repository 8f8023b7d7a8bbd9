package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

// follow reads a query to its end, in steps as small as its limit.
func (w *world) follow(q eventlog.Query) (all []eventlog.Entry) {
	w.Helper()
	for {
		page, seen, err := w.s.Log(w.ctx, q)
		w.must(err)
		if q.Limit > 0 && len(page) > q.Limit {
			w.Fatalf("%d entries, asked for %d", len(page), q.Limit)
		}
		all = append(all, page...)
		for _, e := range page {
			if e.Position <= q.After || e.Position > seen {
				w.Fatalf("position %d was given, asked for those behind %d, seen up to %d", e.Position, q.After, seen)
			}
		}
		if seen == q.After {
			equal(w, "entries where there is nothing behind", len(page), 0)
			return all
		}
		if seen < q.After {
			w.Fatalf("seen %d goes back behind %d", seen, q.After)
		}
		q.After = seen
	}
}

// told is a line for each entry: "message.queued ada@example.com".
func told(all []eventlog.Entry) (out []string) {
	for _, e := range all {
		line := string(e.Type)
		if e.Recipient != "" {
			line += " " + e.Recipient
		}
		out = append(out, line)
	}
	return out
}

func (w *world) logged(q eventlog.Query, want ...string) {
	w.Helper()
	equalList(w, fmt.Sprintf("log of %+v", q), told(w.follow(q)), want)
}

func tagged(a *submit.Acceptance, tags ...string) *submit.Acceptance {
	a.Message.Tags = tags
	return a
}

var eventlogClauses = []clause{
	{"the log has every event with what it is about, in the order of commits", func(w *world) {
		p := w.keeps(30, 30)
		a := tagged(w.letter("Ada@example.com", "bob@example.com"), "welcome")
		w.arrived(a)
		all := w.follow(eventlog.Query{Owner: w.owner})
		equalList(w, "log", told(all), []string{"message.queued Ada@example.com", "message.queued bob@example.com", "message.accepted Ada@example.com",
			"message.delivered Ada@example.com", "message.accepted bob@example.com", "message.delivered bob@example.com"})
		for i, e := range all {
			equal(w, "sequence", e.Sequence, i+1)
			equal(w, "project", e.Project, p.ID)
			equal(w, "message", e.MessageID, a.Message.ID)
			equal(w, "subject", e.Message.Subject, "Hello")
			equal(w, "recipient of the delivery", e.Delivery.Address, e.Recipient)
			equal(w, "shared", e.Message == all[0].Message, true)
		}
		w.logged(eventlog.Query{Owner: w.owner, After: all[4].Position}, "message.delivered bob@example.com")
	}},
	{"the log is read in pages of any size without a gap", func(w *world) {
		for i := range 5 {
			w.arrived(w.letter(fmt.Sprintf("a%d@example.com", i)))
		}
		whole := told(w.follow(eventlog.Query{Owner: w.owner}))
		equal(w, "events", len(whole), 15)
		for _, limit := range []int{1, 2, 7} {
			equalList(w, fmt.Sprint("in pages of ", limit), told(w.follow(eventlog.Query{Owner: w.owner, Limit: limit})), whole)
		}
	}},
	{"the log can be narrowed to types, message, recipient, tag and time", func(w *world) {
		w.accept(tagged(w.letter("ada@example.com"), "welcome", "x"))
		w.now = w.now.Add(2 * time.Hour)
		later, b := w.now, tagged(w.letter("bob@example.com"), "welcome_2")
		w.accept(b)
		w.suppress("ada@example.com", "manual", "")
		o := w.owner
		w.logged(eventlog.Query{Owner: o, Types: []string{"message.queued"}}, "message.queued ada@example.com", "message.queued bob@example.com")
		w.logged(eventlog.Query{Owner: o, Types: []string{"suppression.*", "message.bounced"}}, "suppression.created ada@example.com")
		w.logged(eventlog.Query{Owner: o, Types: []string{"*"}}, "message.queued ada@example.com", "message.queued bob@example.com", "suppression.created ada@example.com")
		w.logged(eventlog.Query{Owner: o, Message: b.Message.ID}, "message.queued bob@example.com")
		w.logged(eventlog.Query{Owner: o, Message: b.Message.ID, Types: []string{"message.bounced"}})
		w.logged(eventlog.Query{Owner: o, Message: mail.NewID(w.now)})
		w.logged(eventlog.Query{Owner: mail.Owner{Project: o.Project, Env: mail.Test}, Message: b.Message.ID})
		w.logged(eventlog.Query{Owner: o, Recipient: "ada@example.com"}, "message.queued ada@example.com", "suppression.created ada@example.com")
		w.logged(eventlog.Query{Owner: o, Tag: "welcome"}, "message.queued ada@example.com")
		w.logged(eventlog.Query{Owner: o, Tag: "tags"})
		w.logged(eventlog.Query{Owner: o, CreatedAfter: later}, "message.queued bob@example.com", "suppression.created ada@example.com")
		w.logged(eventlog.Query{Owner: o, CreatedBefore: later}, "message.queued ada@example.com")
	}},
	{"a log is its owner's, what environments share is in both, and the relay reads all", func(w *world) {
		p := w.keeps(30, 30)
		live, test := w.owner, mail.Owner{Project: w.owner.Project, Env: mail.Test}
		w.accept(w.letter("live@example.com"))
		d := w.register(p.Row, "acme.test")
		w.owner = test
		w.accept(w.letter("test@example.com"))
		w.owner = mail.Owner{Project: p.Row + 1}
		w.accept(w.letter("other@example.com"))
		w.logged(eventlog.Query{Owner: live}, "message.queued live@example.com", "domain.created")
		w.logged(eventlog.Query{Owner: test}, "domain.created", "message.queued test@example.com")
		w.logged(eventlog.Query{Owner: w.owner}, "message.queued other@example.com")
		w.logged(eventlog.Query{All: true}, "message.queued live@example.com", "domain.created", "message.queued test@example.com", "message.queued other@example.com")
		created := w.follow(eventlog.Query{Owner: test})[0]
		equal(w, "facts", string(created.Detail.Facts), string(eventlog.AboutDomain(&d)))
		got, err := w.s.LogEntry(w.ctx, test, created.ID)
		w.must(err)
		equal(w, "entry", got.Position, created.Position)
	}},
	{"an entry is found by its id, by its owner only", func(w *world) {
		w.arrived(w.letter("ada@example.com"))
		w.now = w.now.Add(24 * time.Hour)
		w.arrived(w.letter("bob@example.com"))
		for _, e := range w.follow(eventlog.Query{Owner: w.owner}) {
			got, err := w.s.LogEntry(w.ctx, w.owner, e.ID)
			w.must(err)
			equal(w, "entry", got.Position, e.Position)
			equal(w, "recipient", got.Recipient, e.Recipient)
			_, err = w.s.LogEntry(w.ctx, mail.Owner{Project: w.owner.Project, Env: mail.Test}, e.ID)
			w.wantErr(err, mail.ErrNotFound)
		}
		_, err := w.s.LogEntry(w.ctx, w.owner, mail.NewID(w.now))
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"the log's bounds tell what retention has removed", func(w *world) {
		p := w.keeps(1, 1)
		oldest, newest, err := w.s.LogBounds(w.ctx, w.owner)
		w.must(err)
		equal(w, "oldest of an empty log", oldest, 1)
		equal(w, "newest of an empty log", newest, 0)
		w.register(p.Row, "acme.test")
		w.arrived(w.letter("ada@example.com"))
		before := w.follow(eventlog.Query{Owner: w.owner})
		w.now = w.now.Add(25 * time.Hour)
		w.forget()
		w.logged(eventlog.Query{Owner: w.owner})
		oldest, newest, err = w.s.LogBounds(w.ctx, w.owner)
		w.must(err)
		equal(w, "newest", newest, before[3].Position)
		equal(w, "oldest", oldest, newest+1)
		oldest, _, err = w.s.LogBounds(w.ctx, mail.Owner{Project: p.Row, Env: mail.Test})
		w.must(err)
		equal(w, "oldest of the other environment, which saw the domain", oldest, before[0].Position+1)
		w.accept(w.letter("bob@example.com"))
		w.logged(eventlog.Query{Owner: w.owner, After: before[0].Position}, "message.queued bob@example.com")
	}},
	{"many events of others do not hide one's own", func(w *world) {
		mine := w.owner
		w.accept(w.letter("first@example.com"))
		w.owner = mail.Owner{Project: 2}
		for range 20 {
			var many []*submit.Acceptance
			for range 500 {
				many = append(many, w.letter("noise@example.com"))
			}
			w.acceptAll(many)
		}
		w.owner = mine
		w.accept(w.letter("last@example.com"))
		w.logged(eventlog.Query{Owner: mine, Limit: 10}, "message.queued first@example.com", "message.queued last@example.com")
	}},
	{"readers at their own pace see what many writers commit, once and in order", func(w *world) {
		const writers, each = 8, 40
		ctx, stop := context.WithTimeout(w.ctx, time.Minute)
		defer stop()
		var writing, reading sync.WaitGroup
		for g := range writers {
			writing.Go(func() {
				for i := range each {
					a := leased(w.letter(fmt.Sprintf("w%d-%d@example.com", g, i), fmt.Sprintf("x%d-%d@example.com", g, i)))
					if err := w.through(ctx, a); err != nil {
						w.Error(err)
						return
					}
				}
			})
		}
		for _, r := range []struct {
			limit int
			pause time.Duration
		}{{1000, 0}, {7, 0}, {50, 3 * time.Millisecond}, {1, 0}} {
			reading.Go(func() { w.readAll(ctx, r.limit, r.pause, writers*each*6) })
		}
		writing.Wait()
		reading.Wait()
	}},
}

func (w *world) register(owner int64, name string) project.Domain {
	w.Helper()
	d, err := w.s.CreateDomain(w.ctx, project.Domain{ID: mail.NewID(w.now), Project: owner, Name: name, Status: project.DomainPending, CreatedAt: w.now}, nil, nil)
	w.must(err)
	return d
}

// through takes an accepted letter to its end, each delivery in commits of its own.
func (w *world) through(ctx context.Context, a *submit.Acceptance) error {
	r, err := w.s.Accept(ctx, []*submit.Acceptance{a})
	if err != nil {
		return err
	}
	for i, l := range r[0].Leases {
		work := &mail.Work{Lease: l, Message: a.Message, Delivery: a.Deliveries[i].Delivery}
		b := w.beginning(work)
		b.Message = r[0].Row
		if _, err := w.s.Begin(ctx, w.now, []queue.Beginning{b}); err != nil {
			return err
		}
		if lost, err := w.s.Settle(ctx, w.now, []queue.Result{w.delivered(work)}); err != nil || len(lost) > 0 {
			return fmt.Errorf("settle: %v %w", lost, err)
		}
	}
	return nil
}

// readAll follows the log until it has seen so many events.
func (w *world) readAll(ctx context.Context, limit int, pause time.Duration, want int) {
	q := eventlog.Query{Owner: w.owner, Limit: limit}
	last, ids, total := map[mail.ID]int{}, map[mail.ID]bool{}, 0
	for total < want {
		woken := w.s.Wake()
		page, seen, err := w.s.Log(ctx, q)
		if err != nil {
			w.Errorf("after %d of %d events: %v", total, want, err)
			return
		}
		for _, e := range page {
			total++
			if ids[e.ID] || e.Sequence != last[e.MessageID]+1 {
				w.Errorf("event %d of its message follows %d, seen before: %v", e.Sequence, last[e.MessageID], ids[e.ID])
				return
			}
			ids[e.ID], last[e.MessageID] = true, e.Sequence
		}
		if seen == q.After {
			select {
			case <-woken:
			case <-ctx.Done():
			}
		}
		q.After = seen
		time.Sleep(pause)
	}
	if total != want {
		w.Errorf("%d events, want %d", total, want)
	}
}

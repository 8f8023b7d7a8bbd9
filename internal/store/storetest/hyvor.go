package storetest

import (
	"errors"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
)

// exhaust is a delivery whose retries are used up.
func (w *world) exhaust(work *mail.Work) queue.Result {
	return queue.Result{Lease: work.Lease, Attempt: w.attempt(mail.OutcomeDeferred, mail.Reply{Code: 451, Text: "later"}), Status: mail.Bounced, Tries: 3, Site: "example",
		Bounce: &mail.Bounce{Type: "soft", Reason: mail.BounceExhausted, Attempts: 3}, Events: []mail.Event{w.event(mail.EventBounced)}}
}

func (w *world) refuse(work *mail.Work) queue.Result {
	r := w.exhaust(work)
	r.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 1}
	return r
}

var hyvorClauses = []clause{
	{"a refusal is kept under its key, and whatever was first stands", func(w *world) {
		once := w.once("k1")
		refusal := mail.Answer{Status: 422, Body: []byte(`{"no":1}`), Fingerprint: once.Fingerprint, Expires: once.Expires}
		w.must(w.s.Remember(w.ctx, once, refusal))
		got, err := w.s.Remembered(w.ctx, w.owner, once.Route, "k1", w.now)
		w.must(err)
		equal(w, "status", got.Status, 422)
		equal(w, "body", string(got.Body), `{"no":1}`)
		var replayed *mail.Replayed
		if err := w.s.Remember(w.ctx, once, mail.Answer{Status: 400}); !errors.As(err, &replayed) || replayed.Answer.Status != 422 {
			w.Fatalf("a second time: %v", err)
		}
		a := keyed(w, w.letter("ada@example.com"), "k1")
		if r := w.accept(a); r.Replayed == nil || r.Replayed.Status != 422 {
			w.Fatalf("a message under the key of a refusal: %+v", r)
		}
		w.now = w.now.Add(25 * time.Hour)
		once.Created, once.Expires = w.now, w.now.Add(time.Hour)
		w.must(w.s.Remember(w.ctx, once, mail.Answer{Status: 400}))
	}},
	{"no more keys are made than an environment may have, revoked ones not counted", func(w *world) {
		p := w.project("default")
		first, err := w.s.CreateKeyBelow(w.ctx, w.key(p, "aaaaaaaa"), 2)
		w.must(err)
		_, err = w.s.CreateKeyBelow(w.ctx, w.key(p, "bbbbbbbb"), 2)
		w.must(err)
		_, err = w.s.CreateKeyBelow(w.ctx, w.key(p, "cccccccc"), 2)
		w.wantErr(err, project.ErrKeysFull)
		other := w.key(p, "dddddddd")
		other.Env = 1 - first.Env
		_, err = w.s.CreateKeyBelow(w.ctx, other, 2)
		w.must(err)
		w.must(w.s.RevokeKey(w.ctx, p.Row, first.ID, "x", w.now))
		_, err = w.s.CreateKeyBelow(w.ctx, w.key(p, "cccccccc"), 2)
		w.must(err)
	}},
	{"whose something is can be told by its number", func(w *world) {
		a := w.letter("ada@example.com")
		row := w.accept(a).Row
		owner, err := w.s.Whose(w.ctx, hyvor.ThingSend, row)
		w.must(err)
		equal(w, "owner of a send", owner, w.owner)
		owner, err = w.s.WhoseMessage(w.ctx, a.Message.ID)
		w.must(err)
		equal(w, "owner of a message", owner, w.owner)
		s, _, err := w.s.AddSuppression(w.ctx, mail.Suppression{ID: mail.NewID(w.now), Owner: mail.Owner{Project: 7, Env: mail.Test}, Address: "a@example.com", Kind: mail.KindManual, Reason: "manual", CreatedAt: w.now}, nil, nil)
		w.must(err)
		owner, err = w.s.Whose(w.ctx, hyvor.ThingSuppression, s.Row)
		w.must(err)
		equal(w, "owner of a suppression", owner, s.Owner)
		for _, thing := range []hyvor.Thing{hyvor.ThingSend, hyvor.ThingDomain, hyvor.ThingKey, hyvor.ThingSuppression, hyvor.ThingWebhook} {
			_, err = w.s.Whose(w.ctx, thing, 1<<40)
			w.wantErr(err, mail.ErrNotFound)
		}
		_, err = w.s.WhoseMessage(w.ctx, mail.NewID(w.now))
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"recipients are counted by day and status", func(w *world) {
		w.accept(w.letter("early@example.com"))
		w.now = w.now.Add(24 * time.Hour)
		works := w.send(w.letter("ada@example.com", "bob@example.com", "carl@example.com"))
		for _, work := range works {
			w.goes(work)
		}
		w.settle(w.delivered(works[0]), w.exhaust(works[1]), w.refuse(works[2]))
		got, err := w.s.Tally(w.ctx, w.owner, w.now.Add(-48*time.Hour))
		w.must(err)
		equalList(w, "counts", got, []hyvor.Count{{Day: "2026-04-19", Status: mail.Queued, Count: 1}, {Day: "2026-04-20", Status: mail.Delivered, Count: 1},
			{Day: "2026-04-20", Status: mail.Bounced, Count: 1}, {Day: "2026-04-20", Status: mail.Bounced, Exhausted: true, Count: 1}})
		got, err = w.s.Tally(w.ctx, w.owner, w.now)
		w.must(err)
		equal(w, "counts since now", len(got), 3)
		got, err = w.s.Tally(w.ctx, mail.Owner{Project: w.owner.Project, Env: mail.Test}, time.Time{})
		w.must(err)
		equal(w, "of the other environment", len(got), 0)
	}},
	{"retry puts back what was given up, and nothing else", func(w *world) {
		a := w.letter("ada@example.com", "bob@example.com", "carl@example.com")
		works := w.send(a)
		for _, work := range works {
			w.goes(work)
		}
		w.settle(w.delivered(works[0]), w.refuse(works[1]), w.exhaust(works[2]))
		change := w.change(a.Message.ID)
		got, err := w.s.Retry(w.ctx, change, []int64{works[0].Delivery.Row, works[1].Delivery.Row})
		w.must(err)
		equal(w, "of those that were not given up", got.Count, 0)
		change.To = w.now.Add(time.Hour)
		got, err = w.s.Retry(w.ctx, change, nil)
		w.must(err)
		equal(w, "put back", got.Count, 1)
		equal(w, "claimed too early", len(w.claim(10)), 0)
		w.now = change.To
		again := w.claim(10)
		equalList(w, "claimed", addresses(again), []string{"carl@example.com"})
		equal(w, "tries", again[0].Delivery.Tries, 0)
		w.goes(again[0])
		w.settle(w.delivered(again[0]))
		r, err := w.s.Message(w.ctx, w.owner, a.Message.ID)
		w.must(err)
		equal(w, "status", r.Deliveries[2].Status, mail.Delivered)
		if r.Deliveries[2].Bounce != nil {
			w.Fatalf("it is still said to have bounced: %+v", r.Deliveries[2].Bounce)
		}
		got, err = w.s.Retry(w.ctx, change, nil)
		w.must(err)
		equal(w, "a second time", got.Count, 0)
		change.Message = mail.NewID(w.now)
		_, err = w.s.Retry(w.ctx, change, nil)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"a cancelled message can be retried", func(w *world) {
		a := w.letter("ada@example.com")
		r := w.accept(a)
		_, err := w.s.Cancel(w.ctx, w.change(a.Message.ID))
		w.must(err)
		got, err := w.s.Retry(w.ctx, w.change(a.Message.ID), nil)
		w.must(err)
		equal(w, "put back", got.Count, 1)
		equal(w, "claimed", len(w.claim(10)), 1)
		events := w.events(r.Row)
		equal(w, "the last event", events[len(events)-1].Type, mail.EventQueued)
		equal(w, "what it was before", events[len(events)-1].Detail.Previous, "cancelled")
	}},
	{"messages are found by parts of texts, and by how their bounce came", func(w *world) {
		first := w.letter("ada@example.com")
		first.Message.Subject = "First Letter"
		second := w.letter("bob@example.net", "carl@example.net")
		second.Message.From.Email = "Other@acme.test"
		rows := []int64{w.accept(first).Row, w.accept(second).Row}
		for _, work := range w.claim(10) {
			w.goes(work)
			if work.Delivery.Address == "carl@example.net" {
				w.settle(w.exhaust(work))
			} else {
				w.settle(w.refuse(work))
			}
		}
		yes, no := true, false
		for _, c := range []struct {
			q    archive.Query
			want []int64
		}{
			{archive.Query{SubjectPart: "LETTER"}, rows[:1]},
			{archive.Query{FromPart: "oTHER@"}, rows[1:]},
			{archive.Query{RecipientPart: "ARL@"}, rows[1:]},
			{archive.Query{RecipientPart: "%"}, nil},
			{archive.Query{Statuses: []mail.Status{mail.Bounced, mail.Failed}, Exhausted: &yes}, rows[1:]},
			{archive.Query{Statuses: []mail.Status{mail.Bounced}, Exhausted: &no}, []int64{rows[1], rows[0]}},
			{archive.Query{Statuses: []mail.Status{mail.Bounced}, Exhausted: &no, RecipientPart: "carl"}, nil},
		} {
			c.q.Owner, c.q.Limit = w.owner, 10
			found, err := w.s.Messages(w.ctx, c.q)
			w.must(err)
			var got []int64
			for i := range found {
				got = append(got, found[i].Message.Row)
			}
			equalList(w, "found", got, c.want)
		}
	}},
	{"suppressions are listed by kinds, from an offset", func(w *world) {
		for _, kind := range []string{mail.KindComplaint, mail.KindUnsubscribe, mail.KindManual, mail.KindHardBounce} {
			_, _, err := w.s.AddSuppression(w.ctx, mail.Suppression{ID: mail.NewID(w.now), Owner: w.owner, Address: kind + "@example.com", Kind: kind, Reason: kind, CreatedAt: w.now}, nil, nil)
			w.must(err)
		}
		list := func(q feedback.Query) (kinds []string) {
			q.Owner, q.Limit = w.owner, 10
			found, err := w.s.Suppressions(w.ctx, q)
			w.must(err)
			for i := range found {
				kinds = append(kinds, found[i].Kind)
			}
			return kinds
		}
		equalList(w, "of kinds", list(feedback.Query{Kinds: []string{mail.KindComplaint, mail.KindUnsubscribe}}), []string{mail.KindUnsubscribe, mail.KindComplaint})
		equalList(w, "not of kinds", list(feedback.Query{NotKinds: []string{mail.KindComplaint, mail.KindUnsubscribe}}), []string{mail.KindHardBounce, mail.KindManual})
		equalList(w, "from an offset", list(feedback.Query{Offset: 2}), []string{mail.KindUnsubscribe, mail.KindComplaint})
	}},
	{"content of what is retried stays until it ends again", func(w *world) {
		w.keeps(10, 30)
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		w.settle(w.exhaust(work))
		w.now = w.now.Add(9 * day)
		w.forget()
		change := w.change(a.Message.ID)
		change.To = w.now.Add(5 * day)
		got, err := w.s.Retry(w.ctx, change, nil)
		w.must(err)
		equal(w, "put back", got.Count, 1)
		w.now = w.now.Add(6 * day)
		w.forget()
		again := w.claim(10)
		equal(w, "claimed", len(again), 1)
		w.goes(again[0])
		w.settle(w.delivered(again[0]))
		equal(w, "content is kept until", w.record(a.Message.ID).ContentUntil, w.now.Add(10*day))
	}},
	{"a retry needs the content", func(w *world) {
		w.keeps(10, 30)
		a := keptFor(w.letter("ada@example.com"), 60)
		work := w.send(a)[0]
		w.goes(work)
		w.settle(w.exhaust(work))
		w.now = w.now.Add(2 * time.Hour)
		w.forget()
		_, err := w.s.Retry(w.ctx, w.change(a.Message.ID), nil)
		w.wantErr(err, mail.ErrNoContent)
	}},
}

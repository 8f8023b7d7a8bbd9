package storetest

import (
	"errors"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

var orderClauses = []clause{
	{"cancel ends what waits", func(w *world) {
		for _, a := range []*submit.Acceptance{w.letter("ada@example.com"), scheduled(w.letter("bob@example.com"), w.now.Add(time.Hour))} {
			r := w.accept(a)
			c, err := w.s.Cancel(w.ctx, w.change(a.Message.ID))
			w.must(err)
			equalChange(w, "changed", c, 1, mail.Cancelled)
			d := w.delivery(a.Message.ID)
			equal(w, "status", d.Status, mail.Cancelled)
			equal(w, "completed", d.CompletedAt, w.now)
			events := w.events(r.Row)
			equal(w, "event", events[1].Type, mail.EventCancelled)
			equal(w, "reason", events[1].Detail.Reason, "asked")
			equal(w, "by", events[1].Detail.By, "key_k7f2q9xm")
			c, err = w.s.Cancel(w.ctx, w.change(a.Message.ID))
			w.must(err)
			equal(w, "a second time", c.Count, 0)
			equal(w, "status after", c.Status, mail.Cancelled)
			equal(w, "events after", len(w.events(r.Row)), 2)
		}
		w.now = w.now.Add(2 * time.Hour)
		equal(w, "claimed", len(w.claim(10)), 0)
	}},
	{"cancel takes the lease of what has not begun", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		c, err := w.s.Cancel(w.ctx, w.change(a.Message.ID))
		w.must(err)
		equal(w, "changed", c.Count, 1)
		if v := w.begin(work); !v.Lost || v.Go {
			w.Fatalf("Begin: got %+v, want Lost", v)
		}
		w.settleLost(w.delivered(work))
		w.story(work.Message.Row, mail.EventQueued, mail.EventCancelled)
	}},
	{"cancel forbids a retry of what has begun", func(w *world) {
		a, b := w.letter("ada@example.com"), w.letter("bob@example.com")
		works := []*mail.Work{w.send(a)[0], w.send(b)[0]}
		for _, work := range works {
			w.goes(work)
			c, err := w.s.Cancel(w.ctx, w.change(work.Message.ID))
			w.must(err)
			equalChange(w, "changed", c, 1, mail.Accepted)
			c, err = w.s.Cancel(w.ctx, w.change(work.Message.ID))
			w.must(err)
			equal(w, "a second time", c.Count, 0)
		}
		w.settle(w.deferred(works[0], w.now.Add(time.Minute)), w.delivered(works[1]))
		w.story(works[0].Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventCancelled)
		w.story(works[1].Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered)
		events := w.events(works[0].Message.Row)
		equal(w, "reason", events[2].Detail.Reason, "asked")
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Cancelled)
		equal(w, "the attempt is kept", d.Tries, 1)
		equal(w, "status", w.delivery(b.Message.ID).Status, mail.Delivered)
		w.now = w.now.Add(time.Hour)
		equal(w, "claimed", len(w.claim(10)), 0)
	}},
	{"what was cancelled on the wire does not begin anew", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		_, err := w.s.Cancel(w.ctx, w.change(a.Message.ID))
		w.must(err)
		if v := w.begin(work); !v.Lost {
			w.Fatalf("Begin: got %+v, want Lost", v)
		}
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Cancelled)
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventCancelled)
	}},
	{"cancel of the untried is all or nothing", func(w *world) {
		a := w.letter("ada@one.test", "bob@two.test")
		works := w.send(a)
		w.goes(works[0])
		c := w.change(a.Message.ID)
		c.OnlyUntried = true
		got, err := w.s.Cancel(w.ctx, c)
		w.must(err)
		equalChange(w, "changed", got, 0, mail.Queued)
		w.settle(w.deferred(works[0], w.now), w.backed(works[1], mail.Queued))
		got, err = w.s.Cancel(w.ctx, c)
		w.must(err)
		equal(w, "changed", got.Count, 0)
		c.OnlyUntried = false
		got, err = w.s.Cancel(w.ctx, c)
		w.must(err)
		equalChange(w, "changed", got, 2, mail.Cancelled)

		b := w.letter("cy@one.test", "di@two.test")
		w.send(b)
		c = w.change(b.Message.ID)
		c.OnlyUntried = true
		got, err = w.s.Cancel(w.ctx, c)
		w.must(err)
		equalChange(w, "changed", got, 2, mail.Cancelled)
	}},
	{"reschedule moves what is scheduled, and nothing else", func(w *world) {
		at, later := w.now.Add(time.Hour), w.now.Add(2*time.Hour)
		a := scheduled(w.letter("ada@one.test", "bob@two.test"), at)
		a.Message.ExpiresAt = at.Add(10 * time.Minute)
		r := w.accept(a)
		c := w.change(a.Message.ID)
		c.To, c.Tags, c.Metadata = later, &[]string{"new"}, &map[string]string{"k": "v"}
		got, err := w.s.Reschedule(w.ctx, c)
		w.must(err)
		equalChange(w, "changed", got, 2, mail.Scheduled)
		rec := w.record(a.Message.ID)
		equal(w, "due", rec.Deliveries[1].Due, later)
		equal(w, "scheduled", rec.Message.ScheduledAt, later)
		equal(w, "expiry moves along", rec.Message.ExpiresAt, later.Add(10*time.Minute))
		equalList(w, "tags", rec.Message.Tags, []string{"new"})
		equal(w, "metadata", rec.Message.Metadata["k"], "v")
		w.story(r.Row, mail.EventScheduled, mail.EventScheduled, mail.EventRescheduled, mail.EventRescheduled)
		equal(w, "told time", *w.events(r.Row)[2].Detail.ScheduledTime, later)
		w.now = at
		equal(w, "claimed at the old time", len(w.claim(10)), 0)
		due, _, err := w.s.NextDue(w.ctx, roomy)
		w.must(err)
		equal(w, "next due", due, later)
		w.now = later
		equal(w, "claimed", len(w.claim(10)), 2)
		c = w.change(a.Message.ID)
		c.To = later.Add(time.Hour)
		got, err = w.s.Reschedule(w.ctx, c)
		w.must(err)
		equal(w, "changed", got.Count, 0)
	}},
	{"reschedule to an earlier time is found in time", func(w *world) {
		a := scheduled(w.letter("ada@one.test"), w.now.Add(time.Hour))
		w.accept(a)
		c := w.change(a.Message.ID)
		c.To = w.now.Add(time.Minute)
		_, err := w.s.Reschedule(w.ctx, c)
		w.must(err)
		w.now = w.now.Add(time.Minute)
		equal(w, "claimed", len(w.claim(10)), 1)
	}},
	{"send now makes scheduled and deferred mail due", func(w *world) {
		a := scheduled(w.letter("ada@example.com"), w.now.Add(time.Hour))
		r := w.accept(a)
		got, err := w.s.SendNow(w.ctx, w.change(a.Message.ID))
		w.must(err)
		equalChange(w, "changed", got, 1, mail.Queued)
		work := w.claim(1)[0]
		w.goes(work)
		got, err = w.s.SendNow(w.ctx, w.change(a.Message.ID))
		w.must(err)
		equal(w, "changed on the wire", got.Count, 0)
		w.settle(w.deferred(work, w.now.Add(time.Hour)))
		equal(w, "claimed early", len(w.claim(1)), 0)
		got, err = w.s.SendNow(w.ctx, w.change(a.Message.ID))
		w.must(err)
		equalChange(w, "changed", got, 1, mail.Deferred)
		w.settle(w.delivered(w.claim(1)[0]))
		got, err = w.s.SendNow(w.ctx, w.change(a.Message.ID))
		w.must(err)
		equalChange(w, "changed at the end", got, 0, mail.Delivered)
		w.story(r.Row, mail.EventScheduled, mail.EventQueued, mail.EventAccepted, mail.EventDeferred, mail.EventDelivered)
	}},
	{"an order with a used key is replayed; one that did nothing keeps its key", func(w *world) {
		a := w.letter("ada@example.com")
		w.accept(a)
		c := w.change(a.Message.ID)
		c.Once = w.once("k")
		c.Answer = func(ch queue.Changed) mail.Answer { return mail.Answer{Status: 200, Body: []byte(ch.Status.String())} }
		got, err := w.s.SendNow(w.ctx, c) // it is not scheduled
		w.must(err)
		equal(w, "changed", got.Count, 0)
		got, err = w.s.Cancel(w.ctx, c)
		w.must(err)
		equal(w, "answer", string(got.Answer.Body), "cancelled")
		_, err = w.s.Cancel(w.ctx, c)
		var replayed *mail.Replayed
		if !errors.As(err, &replayed) {
			w.Fatalf("got %v, want a replay", err)
		}
		equal(w, "answer", string(replayed.Answer.Body), "cancelled")
	}},
	{"orders about another's message find nothing", func(w *world) {
		a := w.letter("ada@example.com")
		w.accept(a)
		c := w.change(a.Message.ID)
		c.Owner.Env = mail.Test
		for _, order := range []func() error{
			func() error { _, err := w.s.Cancel(w.ctx, c); return err },
			func() error { _, err := w.s.Reschedule(w.ctx, c); return err },
			func() error { _, err := w.s.SendNow(w.ctx, c); return err },
		} {
			w.wantErr(order(), mail.ErrNotFound)
		}
		equal(w, "claimed", len(w.claim(10)), 1)
	}},
}

func superseding(a *submit.Acceptance, key string) *submit.Acceptance {
	a.Message.Supersedes = key
	return a
}

var supersedeClauses = []clause{
	{"a newer message cancels older ones of its key and recipient", func(w *world) {
		waits := superseding(w.letter("ada@example.com"), "otp")
		sched := superseding(scheduled(w.letter("Ada@example.com"), w.now.Add(time.Hour)), "otp")
		otherKey := superseding(w.letter("ada@example.com"), "other")
		otherTo := superseding(w.letter("bob@example.com"), "otp")
		done := superseding(w.letter("ada@example.com"), "otp")
		foreign := superseding(w.letter("ada@example.com"), "otp")
		foreign.Message.Owner.Env = mail.Test
		w.settle(w.delivered(w.send(done)[0]))
		for _, a := range []*submit.Acceptance{sched, otherKey, otherTo, foreign} {
			w.accept(a)
		}
		// waits supersedes sched itself
		r := w.accept(waits)
		equalList(w, "superseded", r.Superseded, []mail.ID{sched.Message.ID})
		newest := superseding(w.letter("ada@example.com"), "otp")
		r = w.accept(newest)
		equalList(w, "superseded", r.Superseded, []mail.ID{waits.Message.ID})
		old := w.record(waits.Message.ID)
		equal(w, "status", old.Deliveries[0].Status, mail.Cancelled)
		equal(w, "superseded by", old.Message.SupersededBy, newest.Message.ID)
		w.story(old.Message.Row, mail.EventQueued, mail.EventCancelled)
		detail := w.events(old.Message.Row)[1].Detail
		equal(w, "reason", detail.Reason, "superseded")
		equal(w, "told by", detail.SupersededBy, newest.Message.ID.Text(mail.PrefixMessage))
		equal(w, "delivered stays", w.delivery(done.Message.ID).Status, mail.Delivered)
		equal(w, "claimed", len(w.claim(10)), 4) // newest, otherKey, otherTo, foreign
	}},
	{"a newer message takes the lease of what has not begun", func(w *world) {
		a := superseding(w.letter("ada@example.com"), "otp")
		work := w.send(a)[0]
		r := w.accept(superseding(w.letter("ada@example.com"), "otp"))
		equalList(w, "superseded", r.Superseded, []mail.ID{a.Message.ID})
		if v := w.begin(work); !v.Lost {
			w.Fatalf("Begin: got %+v, want Lost", v)
		}
	}},
	{"a newer message forbids the retry of what has begun", func(w *world) {
		a := superseding(w.letter("ada@example.com"), "otp")
		work := w.send(a)[0]
		w.goes(work)
		next := superseding(w.letter("ada@example.com"), "otp")
		r := w.accept(next)
		equalList(w, "superseded", r.Superseded, []mail.ID{a.Message.ID})
		r = w.accept(superseding(w.letter("ada@example.com"), "otp"))
		equalList(w, "superseded once only", r.Superseded, []mail.ID{next.Message.ID})
		w.settle(w.deferred(work, w.now))
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Cancelled)
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventCancelled)
		equal(w, "told by", w.events(work.Message.Row)[2].Detail.SupersededBy, next.Message.ID.Text(mail.PrefixMessage))
	}},
	{"only the recipients of the newer message are superseded", func(w *world) {
		a := superseding(w.letter("ada@one.test", "bob@two.test"), "otp")
		w.accept(a)
		w.accept(superseding(w.letter("bob@two.test"), "otp"))
		r := w.record(a.Message.ID)
		equal(w, "ada", r.Deliveries[0].Status, mail.Queued)
		equal(w, "bob", r.Deliveries[1].Status, mail.Cancelled)
	}},
	{"a deferred message is superseded too", func(w *world) {
		a := superseding(w.letter("ada@one.test"), "otp")
		w.settle(w.deferred(w.send(a)[0], w.now.Add(time.Hour)))
		r := w.accept(superseding(w.letter("ada@one.test"), "otp"))
		equalList(w, "superseded", r.Superseded, []mail.ID{a.Message.ID})
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Cancelled)
	}},
}

func equalChange(w *world, what string, got queue.Changed, count int, status mail.Status) {
	w.Helper()
	equal(w, what+": count", got.Count, count)
	equal(w, what+": status", got.Status, status)
}

package storetest

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

var leaseClauses = []clause{
	{"Begin makes it accepted, once", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Accepted)
		equal(w, "site", d.Site, "example")
		equal(w, "accepted at", d.AcceptedAt, w.now)
		w.now = w.now.Add(time.Second)
		w.goes(work)
		equal(w, "accepted at", w.delivery(a.Message.ID).AcceptedAt, w.now.Add(-time.Second))
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted)
	}},
	{"Begin looks at the suppression list once more", func(w *world) {
		a, b, c := w.letter("Ada@example.com"), w.letter("bob@example.com"), w.letter("cy@example.com")
		b.Message.Topic, c.Message.Topic = "news", "news"
		works := []*mail.Work{w.send(a)[0], w.send(b)[0], w.send(c)[0]}
		w.suppress("ada@example.com", "unsubscribe", "news") // another topic than hers: none
		w.suppress("bob@example.com", "unsubscribe", "news")
		s := w.suppress("bob@example.com", "complaint", "")
		gone := w.suppression("cy@example.com", "manual", "")
		gone.ExpiresAt = w.now
		_, _, err := w.s.AddSuppression(w.ctx, gone, nil, nil)
		w.must(err)
		w.goes(works[0])
		v := w.begin(works[1])
		if v.Go || v.Lost || v.Suppressed == nil {
			w.Fatalf("got %+v, want Suppressed", v)
		}
		equal(w, "weightiest", v.Suppressed.ID, s.ID)
		w.goes(works[2]) // his has expired
		r := queue.Result{Lease: works[1].Lease, Status: mail.Suppressed, Blocked: v.Suppressed, Events: []mail.Event{w.event(mail.EventSuppressed)}}
		w.settle(r)
		d := w.delivery(b.Message.ID)
		equal(w, "status", d.Status, mail.Suppressed)
		equal(w, "suppression", d.Suppression.ID, s.ID)
		equal(w, "kind", d.Suppression.Kind, mail.KindComplaint)
		got, err := w.s.Suppression(w.ctx, w.owner, s.ID)
		w.must(err)
		equal(w, "blocked", got.BlockedCount, 1)
	}},
	{"a lease of another token is lost", func(w *world) {
		work := w.send(w.letter("ada@example.com"))[0]
		stranger := *work
		stranger.Lease.Token++
		if v := w.begin(&stranger); !v.Lost || v.Go {
			w.Fatalf("got %+v, want Lost", v)
		}
		w.settleLost(w.delivered(&stranger))
		w.story(work.Message.Row, mail.EventQueued)
		lost, err := w.s.Renew(w.ctx, []mail.Lease{work.Lease, stranger.Lease}, w.now.Add(time.Hour))
		w.must(err)
		equalList(w, "lost", lost, []mail.Lease{stranger.Lease})
	}},
	{"a renewed lease does not run out", func(w *world) {
		a, b := w.send(w.letter("ada@example.com"))[0], w.send(w.letter("bob@example.com"))[0]
		w.goes(a)
		_, err := w.s.Renew(w.ctx, []mail.Lease{a.Lease}, w.now.Add(time.Hour))
		w.must(err)
		w.now = w.now.Add(2 * time.Minute)
		begun, returned := w.rescue(false)
		equal(w, "begun", len(begun), 0)
		equal(w, "returned", returned, 1)
		w.settle(w.delivered(a))
		w.settleLost(w.delivered(b))
	}},
}

var settleClauses = []clause{
	{"a settled event exists if and only if its state change does", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		stale := w.delivered(work)
		stale.Lease.Token += 7
		w.settleLost(stale)
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted)
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Accepted)
		w.now = w.now.Add(time.Second)
		w.settle(w.delivered(work))
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered)
		w.settleLost(w.delivered(work)) // a second time
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered)
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Delivered)
		equal(w, "delivered at", d.DeliveredAt, w.now)
		equal(w, "completed at", d.CompletedAt, w.now)
		equal(w, "tries", d.Tries, 1)
		equal(w, "reply", *d.LastReply, mail.Reply{Code: 250, Text: "ok"})
		equal(w, "its time", d.LastReplyAt, w.now.Add(5*time.Millisecond))
		equal(w, "host", d.LastHost, "mx.example.com")
		equal(w, "waits", d.Wait, mail.NoWait)
	}},
	{"one lost lease in a batch does not hold up the others", func(w *world) {
		a, b := w.send(w.letter("ada@example.com"))[0], w.send(w.letter("bob@example.com"))[0]
		stale := w.delivered(a)
		stale.Lease.Token++
		lost, err := w.s.Settle(w.ctx, w.now, []queue.Result{stale, w.delivered(b)})
		w.must(err)
		equalList(w, "lost", lost, []mail.Lease{stale.Lease})
		equal(w, "status", w.delivery(b.Message.ID).Status, mail.Delivered)
	}},
	{"a deferred delivery is claimed again when it is due", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		first := w.now
		w.settle(w.deferred(work, w.now.Add(30*time.Second)))
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Deferred)
		equal(w, "wait", d.Wait, mail.WaitRetry)
		equal(w, "due", d.Due, w.now.Add(30*time.Second))
		equal(w, "first tried", d.FirstTriedAt, first)
		w.now = w.now.Add(29 * time.Second)
		equal(w, "claimed early", len(w.claim(10)), 0)
		w.now = w.now.Add(time.Second)
		again := w.claim(10)
		equal(w, "claimed", len(again), 1)
		equal(w, "tries", again[0].Delivery.Tries, 1)
		equal(w, "status", again[0].Delivery.Status, mail.Deferred)
		b := w.beginning(again[0])
		b.Accepted = nil
		v, err := w.s.Begin(w.ctx, w.now, []queue.Beginning{b})
		w.must(err)
		equal(w, "goes", v[0].Go, true)
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Deferred)
		w.settle(w.delivered(again[0]))
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDeferred, mail.EventDelivered)
		attempts, err := w.s.Attempts(w.ctx, w.owner, work.Message.Row)
		w.must(err)
		equal(w, "attempts", len(attempts), 2)
		equal(w, "first", attempts[0].Outcome, mail.OutcomeDeferred)
		equal(w, "second", attempts[1].Outcome, mail.OutcomeDelivered)
		equal(w, "recipient", attempts[0].Recipient, d.ID)
		equal(w, "transcript", attempts[0].Transcript[0], mail.Line{From: "S", At: time.Millisecond, Text: "later", Code: 451})
		equal(w, "first tried", w.delivery(a.Message.ID).FirstTriedAt, first)
		equal(w, "attempts counted", w.record(a.Message.ID).Attempts, 2)
	}},
	{"what is given back untried leaves no trace and comes again", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		w.settle(w.deferred(work, w.now))
		work = w.claim(1)[0]
		w.settle(w.backed(work, mail.Deferred))
		d := w.delivery(a.Message.ID)
		equal(w, "wait", d.Wait, mail.WaitLaneFull)
		equal(w, "tries", d.Tries, 1)
		equal(w, "the last reply stays", d.LastReply.Code, 451)
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDeferred)
		equal(w, "claimed", len(w.claim(10)), 1)
	}},
	{"a hard bounce suppresses in the same commit, once", func(w *world) {
		a, b := w.letter("ada@example.com"), w.letter("ada@example.com")
		first, second := w.send(a)[0], w.send(b)[0]
		s1 := w.suppression("ada@example.com", "hard_bounce", "")
		s1.Message = a.Message.ID
		w.settle(w.bounced(first, &s1))
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "Ada@Example.com")
		w.must(err)
		equal(w, "suppressions", len(all), 1)
		equal(w, "id", all[0].ID, s1.ID)
		equal(w, "cause", all[0].Message, a.Message.ID)
		s2 := w.suppression("ada@example.com", "hard_bounce", "")
		w.settle(w.bounced(second, &s2))
		all, err = w.s.SuppressionsOf(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "suppressions", len(all), 1)
		events := w.events(second.Message.Row)
		equal(w, "the event names the entry that stands", events[len(events)-1].Detail.SuppressionID, s1.ID.Text(mail.PrefixSuppression))
		d := w.delivery(b.Message.ID)
		equal(w, "bounce", d.Bounce.Type, "hard")
		equal(w, "bounce's reply", d.Bounce.Reply.Code, 550)
	}},
	{"a result without an attempt keeps what the last one left", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		w.settle(w.deferred(work, w.now))
		work = w.claim(1)[0]
		w.settle(queue.Result{Lease: work.Lease, Status: mail.Bounced, Tries: 1,
			Bounce: &mail.Bounce{Type: "soft", Reason: "retries_exhausted", Attempts: 1}, Events: []mail.Event{w.event(mail.EventBounced)}})
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Bounced)
		equal(w, "reply", d.LastReply.Code, 451)
		equal(w, "site", d.Site, "example")
		equal(w, "bounce", d.Bounce.Reason, "retries_exhausted")
	}},
	{"events of several recipients are counted through", func(w *world) {
		works := w.send(w.letter("a@one.test", "b@one.test"))
		for _, work := range works {
			w.goes(work)
		}
		w.settle(w.delivered(works[0]), w.deferred(works[1], w.now.Add(time.Minute)))
		w.story(works[0].Message.Row, mail.EventQueued, mail.EventQueued, mail.EventAccepted, mail.EventAccepted, mail.EventDelivered, mail.EventDeferred)
		events := w.events(works[0].Message.Row)
		equal(w, "recipient", events[5].Recipient, "b@one.test")
		equal(w, "message", events[5].MessageID, works[0].Message.ID)
		for i := 1; i < len(events); i++ {
			if events[i].Position <= events[i-1].Position {
				w.Fatal("positions do not grow")
			}
		}
	}},
}

func (w *world) bounced(work *mail.Work, s *mail.Suppression) queue.Result {
	reply := mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "user unknown"}
	e := w.event(mail.EventBounced)
	e.Detail.SuppressionID = s.ID.Text(mail.PrefixSuppression)
	return queue.Result{Lease: work.Lease, Attempt: w.attempt(mail.OutcomeBounced, reply), Status: mail.Bounced, Tries: 1, Site: "example",
		Bounce: &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 1, Reply: &reply}, Suppress: s, Events: []mail.Event{e}}
}

var rescueClauses = []clause{
	{"after a rescue the late settle loses", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.now = w.now.Add(time.Minute)
		begun, returned := w.rescue(false)
		equal(w, "begun", len(begun), 0)
		equal(w, "returned", returned, 1)
		equal(w, "wait", w.delivery(a.Message.ID).Wait, mail.WaitRescued)
		w.settleLost(w.delivered(work))
		if v := w.begin(work); !v.Lost {
			w.Fatalf("Begin: got %+v, want Lost", v)
		}
		again := w.claim(10)
		equal(w, "claimed again", len(again), 1)
		w.settleLost(w.delivered(work))
		w.settle(w.delivered(again[0]))
	}},
	{"what had begun is given back begun, under a fresh lease", func(w *world) {
		a := w.letter("ada@example.com")
		a.Message.Topic = "news"
		work := w.send(a)[0]
		w.goes(work)
		equal(w, "too early", len(first(w.rescue(false))), 0)
		w.now = w.now.Add(time.Minute)
		begun, returned := w.rescue(false)
		equal(w, "returned", returned, 0)
		equal(w, "begun", len(begun), 1)
		equal(w, "message", begun[0].Message.ID, a.Message.ID)
		equal(w, "topic", begun[0].Message.Topic, "news")
		if begun[0].Lease.Token == work.Lease.Token {
			w.Fatal("the token is the old one")
		}
		again, _ := w.rescue(false)
		equal(w, "given back twice", len(again), 0)
		w.settleLost(w.delivered(work))
		uncertain := w.deferred(begun[0], w.now.Add(time.Minute))
		uncertain.Attempt.Outcome = mail.OutcomeUncertain
		w.settle(uncertain)
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Deferred)
	}},
	{"rescuing one's own takes no lease of this life", func(w *world) {
		w.send(w.letter("ada@example.com"))
		begun, returned := w.rescue(true)
		equal(w, "taken", len(begun)+returned, 0)
	}},
	{"a rescue takes no more than asked", func(w *world) {
		for range 5 {
			w.send(w.letter("ada@example.com"))
		}
		w.now = w.now.Add(time.Hour)
		p := queue.RescueParams{Node: "two", Now: w.now, Until: w.now.Add(time.Minute), Max: 2}
		for _, want := range []int{2, 2, 1, 0} {
			_, returned, err := w.s.Rescue(w.ctx, p)
			w.must(err)
			equal(w, "returned", returned, want)
		}
	}},
}

func first[A, B any](a A, _ B) A { return a }

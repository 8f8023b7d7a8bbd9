package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/retention"
	"github.com/postroad/postroad/internal/submit"
)

const day = 24 * time.Hour

// keeps makes a project that keeps contents and messages so many days, and acts for it.
func (w *world) keeps(content, events int) project.Project {
	w.Helper()
	settings := project.DefaultSettings()
	settings.ContentDays, settings.EventDays = content, events
	id := mail.NewID(w.now)
	p, err := w.s.CreateProject(w.ctx, project.Project{ID: id, Name: id.Text("p"), Settings: settings, CreatedAt: w.now}, nil, nil)
	w.must(err)
	w.owner = mail.Owner{Project: p.Row, Env: mail.Live}
	return p
}

// steps calls until there is nothing more to do now.
func (w *world) steps(step func(context.Context, time.Time) (retention.Step, error)) (all retention.Step) {
	w.Helper()
	for range 10000 {
		did, err := step(w.ctx, w.now)
		w.must(err)
		all.Contents, all.Messages, all.Events, all.Erased = all.Contents+did.Contents, all.Messages+did.Messages, all.Events+did.Events, all.Erased+did.Erased
		if all.Next = did.Next; did.Next.IsZero() || did.Next.After(w.now) {
			return all
		}
	}
	w.Fatal("it does not come to an end")
	return all
}

func (w *world) forget() retention.Step { w.Helper(); return w.steps(w.s.Forget) }
func (w *world) erase() retention.Step  { w.Helper(); return w.steps(w.s.Erase) }

// arrived sends a letter and has it delivered now.
func (w *world) arrived(a *submit.Acceptance) int64 {
	w.Helper()
	for _, work := range w.send(a) {
		w.goes(work)
		w.settle(w.delivered(work))
	}
	return w.record(a.Message.ID).Message.Row
}

func (w *world) hasContent(id mail.ID, want bool) {
	w.Helper()
	r := w.record(id)
	_, err := w.s.Content(w.ctx, r.Message.Row)
	if want {
		w.must(err)
	} else {
		w.wantErr(err, mail.ErrNoContent)
	}
	equal(w, "has content", r.HasContent, want)
}

func (w *world) gone(id mail.ID) {
	w.Helper()
	_, err := w.s.Message(w.ctx, w.owner, id)
	w.wantErr(err, mail.ErrNotFound)
}

func keptFor(a *submit.Acceptance, seconds int64) *submit.Acceptance {
	a.Message.ContentSeconds = &seconds
	return a
}

func (w *world) order(address string, suppressions bool) retention.Erasure {
	w.Helper()
	e, err := w.s.CreateErasure(w.ctx, retention.Erasure{ID: mail.NewID(w.now), Project: w.owner.Project, Address: address, Token: "erased-1@erased.invalid",
		Suppressions: suppressions, By: "key_k7f2q9xm", CreatedAt: w.now}, nil, nil)
	w.must(err)
	return e
}

func (w *world) erasure(e retention.Erasure) retention.Erasure {
	w.Helper()
	got, err := w.s.Erasure(w.ctx, w.owner.Project, e.ID)
	w.must(err)
	return got
}

var retentionClauses = []clause{
	{"content goes when its time after the last end is over, and not before", func(w *world) {
		w.keeps(10, 30)
		a := w.letter("ada@one.test", "bob@two.test")
		works := w.send(a)
		w.settle(w.delivered(works[0]))
		w.now = w.now.Add(2 * day)
		w.settle(w.deferred(works[1], w.now))
		works = w.claim(1)
		w.settle(w.delivered(works[0]))
		until := w.now.Add(10 * day)
		equal(w, "until", w.record(a.Message.ID).ContentUntil, until)
		w.now = until.Add(-time.Second)
		equal(w, "removed", w.forget().Contents, 0)
		w.hasContent(a.Message.ID, true)
		w.now = until
		equal(w, "removed", w.forget().Contents, 1)
		w.hasContent(a.Message.ID, false)
		equal(w, "removed again", w.forget().Removed(), false)
		r := w.record(a.Message.ID)
		equal(w, "subject", r.Message.Subject, "Hello")
		equal(w, "deliveries", len(r.Deliveries), 2)
		equal(w, "until", r.ContentUntil.IsZero(), true)
	}},
	{"a message's own time goes before the project's, 0 is at once", func(w *world) {
		w.keeps(10, 30)
		atOnce, hour, usual := keptFor(w.letter("ada@one.test"), 0), keptFor(w.letter("ada@one.test"), 3600), w.letter("ada@one.test")
		works := append(append(w.send(atOnce), w.send(hour)...), w.send(usual)...)
		w.now = w.now.Add(time.Minute)
		equal(w, "removed while open", w.forget().Contents, 0)
		for _, work := range works {
			w.settle(w.delivered(work))
		}
		w.now = w.now.Add(2 * time.Second)
		equal(w, "removed at once", w.forget().Contents, 1)
		w.hasContent(atOnce.Message.ID, false)
		w.hasContent(hour.Message.ID, true)
		w.now = w.now.Add(time.Hour)
		w.forget()
		w.hasContent(hour.Message.ID, false)
		w.now = w.now.Add(9 * day)
		w.forget()
		w.hasContent(usual.Message.ID, true)
		w.now = w.now.Add(day)
		w.forget()
		w.hasContent(usual.Message.ID, false)
	}},
	{"a message's own time may be longer than the project's, never than the message's", func(w *world) {
		w.keeps(1, 5)
		a := keptFor(w.letter("ada@one.test"), 100*24*3600)
		w.arrived(a)
		end := w.now.Add(5 * day)
		equal(w, "until", w.record(a.Message.ID).ContentUntil, end)
		w.now = w.now.Add(4 * day)
		w.forget()
		w.hasContent(a.Message.ID, true)
		w.now = end
		equal(w, "messages removed", w.forget().Messages, 1)
		w.gone(a.Message.ID)
	}},
	{"a project that keeps nothing loses content as soon as all is final", func(w *world) {
		w.keeps(0, 30)
		slow, quick := w.letter("ada@one.test"), w.letter("bob@two.test")
		works := w.send(slow)
		w.arrived(quick)
		w.forget()
		w.now = w.now.Add(11 * time.Second) // no longer held up by the one before it
		w.forget()
		w.hasContent(quick.Message.ID, false)
		w.hasContent(slow.Message.ID, true)
		w.settle(w.deferred(works[0], w.now.Add(time.Minute)))
		w.now = w.now.Add(time.Minute)
		w.settle(w.delivered(w.claim(1)[0]))
		w.now = w.now.Add(2 * time.Second)
		w.forget()
		w.hasContent(slow.Message.ID, false)
	}},
	{"a message goes whole, and what it was cannot be found any more", func(w *world) {
		w.keeps(10, 30)
		a := keyed(w, w.letter("ada@one.test", "bob@two.test"), "key/1")
		a.Message.RFCID = "foreign@id.test"
		works := w.send(a)
		w.settle(w.deferred(works[0], w.now))
		w.settle(w.delivered(works[1]))
		w.settle(w.delivered(w.claim(1)[0]))
		row := w.record(a.Message.ID).Message.Row
		w.now = w.now.Add(30*day - time.Second)
		w.forget()
		w.hasContent(a.Message.ID, false)
		w.now = w.now.Add(time.Second)
		equal(w, "messages removed", w.forget().Messages, 1)
		w.gone(a.Message.ID)
		_, err := w.s.MessageByRFCID(w.ctx, w.owner, "foreign@id.test")
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.Events(w.ctx, w.owner, row)
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.Attempts(w.ctx, w.owner, row)
		w.wantErr(err, mail.ErrNotFound)
		for _, q := range []archive.Query{{}, {Recipient: "ada@one.test"}, {Statuses: []mail.Status{mail.Delivered}}, {Idempotency: "key/1"}} {
			equal(w, "found", len(w.found(q)), 0)
		}
		w.cameBack(queue.EffectGone, queue.Returned{Delivery: works[0].Delivery.Row, Status: mail.Complained})
		if next := w.accept(w.letter("ada@one.test")).Row; next <= row {
			w.Fatalf("row %d was given out again", next)
		}
	}},
	{"what is open stays, however old, and holds up nothing behind it", func(w *world) {
		w.keeps(1, 1)
		held := scheduled(w.letter("ada@one.test"), w.now.Add(90*day))
		w.accept(held)
		var later []*submit.Acceptance
		for range 200 {
			a := w.letter("bob@two.test")
			w.arrived(a)
			later = append(later, a)
		}
		w.now = w.now.Add(day + time.Minute)
		did := w.forget()
		equal(w, "messages removed", did.Messages, len(later))
		w.hasContent(held.Message.ID, true)
		w.now = w.now.Add(89 * day)
		w.forget()
		w.hasContent(held.Message.ID, true)
		w.settle(w.delivered(w.claim(1)[0]))
		w.now = w.now.Add(day - time.Second)
		w.forget()
		w.hasContent(held.Message.ID, true)
		w.now = w.now.Add(6 * time.Hour)
		w.forget()
		w.gone(held.Message.ID)
	}},
	{"projects have their own times, and new ones reach what is there", func(w *world) {
		long := w.keeps(30, 30)
		longOwner := w.owner
		a := w.letter("ada@one.test")
		w.arrived(a)
		w.keeps(3, 3)
		shortOwner := w.owner
		b := w.letter("ada@one.test")
		w.arrived(b)
		w.now = w.now.Add(3 * day)
		w.forget()
		w.gone(b.Message.ID)
		w.owner = longOwner
		w.hasContent(a.Message.ID, true)
		long.Settings.ContentDays = 2
		_, err := w.s.UpdateProject(w.ctx, long, 0)
		w.must(err)
		w.forget()
		w.hasContent(a.Message.ID, false)
		w.owner = shortOwner
		c := w.letter("ada@one.test")
		w.arrived(c)
		w.forget()
		w.hasContent(c.Message.ID, true)
	}},
	{"hosted files go with their message, if they have not expired before", func(w *world) {
		w.keeps(1, 3)
		a := w.letter("ada@one.test")
		id := w.file(a, "hosted", w.now.Add(100*day))
		w.arrived(a)
		w.now = w.now.Add(3*day - time.Second)
		w.forget()
		w.hasContent(a.Message.ID, false)
		equal(w, "the file", w.fileContent(id), "hosted")
		w.now = w.now.Add(time.Second)
		w.forget()
		w.gone(a.Message.ID)
		_, _, err := w.s.OpenFile(w.ctx, id)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"both environments are walked", func(w *world) {
		w.keeps(1, 2)
		w.owner.Env = mail.Test
		a := w.letter("ada@one.test")
		w.arrived(a)
		w.now = w.now.Add(day)
		w.forget()
		w.hasContent(a.Message.ID, false)
		w.now = w.now.Add(day)
		w.forget()
		w.gone(a.Message.ID)
	}},
	{"events that are about no message go by their project's time", func(w *world) {
		w.keeps(1, 9)
		w.suppress("long@one.test", mail.KindManual, "")
		w.keeps(1, 2)
		w.suppress("short@one.test", mail.KindManual, "")
		w.arrived(w.letter("bob@two.test"))
		w.now = w.now.Add(2 * day)
		equal(w, "events removed", w.forget().Events, 1)
		w.now = w.now.Add(7*day - time.Second)
		equal(w, "events removed", w.forget().Events, 0)
		w.now = w.now.Add(time.Second)
		equal(w, "events removed", w.forget().Events, 1)
	}},
	{"many are forgotten in steps, and it can be told when to look again", func(w *world) {
		w.keeps(1, 30)
		for range 300 {
			w.arrived(w.letter("bob@two.test"))
		}
		w.now = w.now.Add(day - 500*time.Millisecond)
		equal(w, "next look", w.forget().Next, w.now.Add(500*time.Millisecond))
		w.now = w.now.Add(500 * time.Millisecond)
		first, err := w.s.Forget(w.ctx, w.now)
		w.must(err)
		if first.Contents == 0 || first.Contents == 300 {
			w.Fatalf("one step removed %d contents of 300", first.Contents)
		}
		equal(w, "removed", first.Contents+w.forget().Contents, 300)
		w.must(w.s.Scrub(w.ctx))
	}},
}

var erasureClauses = []clause{
	{"an erased address is nowhere, and what counts stays", func(w *world) {
		w.keeps(30, 30)
		a := keyed(w, w.letter("Ada@One.test"), "welcome/ada@one.test")
		m := a.Message
		m.Metadata, m.Tags = map[string]string{"user": "4711"}, []string{"welcome", "to:ada@one.test"}
		m.ReplyTo, m.Headers = []mail.Address{{Email: "x@y.test"}}, []mail.Header{{Name: "X-User", Value: "4711"}}
		m.Attachments = []mail.Attachment{{Filename: "ada.pdf", ContentType: "application/pdf", Size: 9}}
		a.Deliveries[0].Name, a.Deliveries[0].Type = "Ada", mail.Cc
		work := w.send(a)[0]
		w.goes(work)
		reply := mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "<ada@one.test> unknown"}
		r := w.delivered(work)
		r.Status, r.Attempt.Outcome, r.Attempt.Reply = mail.Bounced, mail.OutcomeBounced, reply
		r.Attempt.Transcript = []mail.Line{{From: "C", Text: "RCPT TO:<Ada@One.test>"}}
		r.Bounce = &mail.Bounce{Type: "hard", Class: mail.ClassUnknownUser, Reply: &reply}
		r.Events[0].Type, r.Events[0].Detail = mail.EventBounced, mail.Detail{Summary: "550 <ada@one.test>", Reply: &reply, Bounce: r.Bounce}
		w.settle(r)
		e := w.order("ada@one.test", false)
		equal(w, "erased", w.erase().Erased, 1)
		got := w.erasure(e)
		equal(w, "finished", got.FinishedAt, w.now)
		equal(w, "the address in the order", got.Address, "")
		equal(w, "counts", got.Counts, retention.Counts{Messages: 1, Deliveries: 1, Contents: 1, Answers: 1})

		w.hasContent(m.ID, false)
		record := w.record(m.ID)
		equal(w, "erased", record.Message.Erased, true)
		equal(w, "text of the message", fmt.Sprintf("%q %q %v %v %v %q", record.Message.Subject, record.Message.IdempotencyKey, record.Message.Metadata,
			record.Message.ReplyTo, record.Message.Headers, record.Message.Tags), `"" "" map[] [] [] ["welcome"]`)
		equal(w, "attachment", record.Message.Attachments[0], mail.Attachment{ContentType: "application/pdf", Size: 9})
		d := record.Deliveries[0]
		equal(w, "delivery", fmt.Sprint(d.Address, d.Name, d.Type, d.Status, d.Tries, d.Bounce.Class, d.Bounce.Reply.Code, d.Bounce.Reply.Text),
			fmt.Sprint("erased-1@erased.invalid", "", mail.Cc, mail.Bounced, 1, mail.ClassUnknownUser, 550, ""))
		w.story(record.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventBounced)
		for _, event := range w.events(record.Message.Row) {
			equal(w, "summary", event.Detail.Summary, "")
		}
		attempts, err := w.s.Attempts(w.ctx, w.owner, record.Message.Row)
		w.must(err)
		equal(w, "attempt", fmt.Sprint(attempts[0].Reply.Code, attempts[0].Reply.Text, attempts[0].Transcript, attempts[0].Host), "550[]")
		equal(w, "found", len(w.found(archive.Query{Recipient: "ada@one.test"})), 0)
		equal(w, "found by the token", len(w.found(archive.Query{Recipient: "erased-1@erased.invalid"})), 1)
		_, err = w.s.Remembered(w.ctx, w.owner, "POST /v1/messages", "welcome/ada@one.test", w.now)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"other recipients keep their rows; content goes as soon as nobody needs it", func(w *world) {
		w.keeps(30, 30)
		a := w.letter("ada@one.test", "bob@two.test")
		works := w.send(a)
		w.settle(w.delivered(works[0]))
		late := w.deferred(works[1], w.now.Add(time.Minute))
		late.Attempt.Transcript = []mail.Line{{From: "C", Text: "RCPT TO:<ADA@one.test>"}, {From: "C", Text: "RCPT TO:<nevada@one.test>"}}
		late.Events[0].Detail.Summary = "not ada@one.test, bob"
		w.settle(late)
		e := w.order("ada@one.test", false)
		w.erase()
		equal(w, "contents", w.erasure(e).Counts.Contents, 0)
		w.now = w.now.Add(time.Minute)
		w.forget()
		w.hasContent(a.Message.ID, true)
		again := w.claim(1)
		equal(w, "bob is tried again", again[0].Delivery.Address, "bob@two.test")
		w.settle(w.delivered(again[0]))
		w.now = w.now.Add(2 * time.Second)
		w.forget()
		w.hasContent(a.Message.ID, false)
		r := w.record(a.Message.ID)
		equalList(w, "recipients", []string{r.Deliveries[0].Address, r.Deliveries[1].Address}, []string{"erased-1@erased.invalid", "bob@two.test"})
		attempts, err := w.s.Attempts(w.ctx, w.owner, r.Message.Row)
		w.must(err)
		equalList(w, "bob's transcript", []string{attempts[1].Transcript[0].Text, attempts[1].Transcript[1].Text},
			[]string{"RCPT TO:<erased-1@erased.invalid>", "RCPT TO:<nevada@one.test>"})
		for _, event := range w.events(r.Message.Row) {
			if event.Type == mail.EventDeferred {
				equal(w, "bob's event", event.Detail.Summary, "not erased-1@erased.invalid, bob")
			}
		}
	}},
	{"what is open is cancelled first", func(w *world) {
		w.keeps(30, 30)
		waits, later, leasedOne := w.letter("ada@one.test"), w.letter("ada@one.test"), leased(w.letter("ada@one.test"))
		w.accept(waits)
		w.accept(scheduled(later, w.now.Add(day)))
		lease := w.accept(leasedOne)
		e := w.order("ada@one.test", false)
		w.erase()
		equal(w, "cancelled", w.erasure(e).Counts.Cancelled, 3)
		for _, a := range []*submit.Acceptance{waits, later, leasedOne} {
			equal(w, "status", w.delivery(a.Message.ID).Status, mail.Cancelled)
			w.hasContent(a.Message.ID, false)
		}
		events := w.events(lease.Row)
		equal(w, "reason", events[len(events)-1].Detail.Reason, "erased")
		equal(w, "claimed", len(w.claim(10)), 0)
		v, err := w.s.Begin(w.ctx, w.now, []queue.Beginning{{Lease: lease.Leases[0], Message: lease.Row, Address: "ada@one.test", Owner: w.owner}})
		w.must(err)
		equal(w, "lost", v[0].Lost, true)
	}},
	{"what is on the wire is waited for, and not tried again", func(w *world) {
		w.keeps(30, 30)
		a, other := w.letter("ada@one.test"), w.letter("ada@one.test")
		work := w.send(a)[0]
		w.goes(work)
		w.arrived(other)
		e := w.order("ada@one.test", false)
		w.erase()
		got := w.erasure(e)
		equal(w, "finished", got.FinishedAt.IsZero(), true)
		equal(w, "counts", got.Counts, retention.Counts{Messages: 1, Deliveries: 1, Contents: 1, OnTheWire: 1})
		w.now = w.now.Add(time.Second)
		w.erase()
		equal(w, "finished", w.erasure(e).FinishedAt.IsZero(), true)
		w.settle(w.deferred(work, w.now))
		w.now = w.now.Add(time.Second)
		w.erase()
		equal(w, "counts", w.erasure(e).Counts, retention.Counts{Messages: 2, Deliveries: 2, Contents: 2})
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Cancelled)
		equal(w, "address", w.delivery(a.Message.ID).Address, "erased-1@erased.invalid")
	}},
	{"both environments, only this project, only what came before", func(w *world) {
		w.keeps(30, 30)
		foreign, foreignOwner := w.letter("ada@one.test"), w.owner
		w.arrived(foreign)
		w.keeps(30, 30)
		live := w.letter("ada@one.test")
		w.arrived(live)
		w.owner.Env = mail.Test
		test := w.letter("ada@one.test")
		w.arrived(test)
		e := w.order("ada@one.test", false)
		after := w.letter("ada@one.test")
		w.arrived(after)
		w.erase()
		equal(w, "deliveries", w.erasure(e).Counts.Deliveries, 2)
		equal(w, "after", w.delivery(after.Message.ID).Address, "ada@one.test")
		w.hasContent(after.Message.ID, true)
		w.hasContent(test.Message.ID, false)
		w.owner = foreignOwner
		w.hasContent(foreign.Message.ID, true)
		_, err := w.s.Erasure(w.ctx, foreignOwner.Project, e.ID)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"suppressions stay and work, unless they are to go too", func(w *world) {
		w.keeps(30, 30)
		w.suppress("ada@one.test", mail.KindManual, "")
		e := w.order("ada@one.test", false)
		w.erase()
		equal(w, "events masked", w.erasure(e).Counts.Events, 1)
		found, err := w.s.Suppressed(w.ctx, w.owner, []string{"ada@one.test"}, "", w.now)
		w.must(err)
		equal(w, "suppressed", len(found), 1)
		e = w.order("ada@one.test", true)
		w.erase()
		equal(w, "suppressions removed", w.erasure(e).Counts.Suppressions, 1)
		found, err = w.s.Suppressed(w.ctx, w.owner, []string{"ada@one.test"}, "", w.now)
		w.must(err)
		equal(w, "suppressed", len(found), 0)
	}},
	{"who was erased is not visited, and can be unsubscribed from nothing", func(w *world) {
		w.keeps(30, 30)
		a := w.letter("ada@one.test")
		row := w.arrived(a)
		delivery := w.delivery(a.Message.ID).Row
		visit := feedback.Visit{Delivery: delivery, Event: mail.Event{ID: mail.NewID(w.now), Type: mail.EventClicked, At: w.now,
			Detail: mail.Detail{URL: "https://acme.test/u/4711", UserAgent: "Ada's own", Summary: "clicked"}}}
		w.must(w.s.Visited(w.ctx, []feedback.Visit{visit}))
		w.order("ada@one.test", false)
		w.erase()
		w.must(w.s.Visited(w.ctx, []feedback.Visit{visit}))
		w.story(row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered, mail.EventClicked)
		events := w.events(row)
		equal(w, "of the click", fmt.Sprint(events[3].Detail.URL, events[3].Detail.UserAgent, events[3].Detail.Summary), "")
		_, _, err := w.s.Unsubscribe(w.ctx, feedback.Unsubscription{Delivery: delivery, Suppress: w.suppression("", mail.KindUnsubscribe, "")})
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"an order's key is used once", func(w *world) {
		w.keeps(30, 30)
		made := 0
		answer := func(e retention.Erasure) mail.Answer {
			made++
			return mail.Answer{Status: 202, Body: []byte(e.ID.Text("era")), Fingerprint: [32]byte{1, 2, 3}, Expires: w.now.Add(day)}
		}
		for i := range 2 {
			_, err := w.s.CreateErasure(w.ctx, retention.Erasure{ID: mail.NewID(w.now), Project: w.owner.Project, Address: "a@b.test", Token: "t", CreatedAt: w.now}, w.once("k"), answer)
			if i == 0 {
				w.must(err)
			} else if _, replayed := err.(*mail.Replayed); !replayed {
				w.Fatalf("the second got %v", err)
			}
		}
		equal(w, "made", made, 1)
	}},
}

package storetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// cameBack records one outcome without a mail, and looks at what it did.
func (w *world) cameBack(want queue.Effect, r queue.Returned) {
	w.Helper()
	out, err := w.s.Report(w.ctx, w.now, queue.Report{Outcomes: []queue.Returned{r}})
	w.must(err)
	equalList(w, "effects", out.Effects, []queue.Effect{want})
}

// bounceOf is a bounce report about a delivery.
func (w *world) bounceOf(work *mail.Work, s *mail.Suppression) queue.Returned {
	r := queue.Returned{Delivery: work.Delivery.Row, Status: mail.Bounced, Suppress: s, Events: []mail.Event{w.event(mail.EventBounced)},
		Bounce: &mail.Bounce{Type: "hard", Reason: mail.BounceReported, Class: mail.ClassUnknownUser, Attempts: 1,
			Report: &mail.BounceReport{Action: "failed", Status: "5.1.1", Diagnostic: "550 <ada@one.test>: unknown"}}}
	r.Events[0].Detail.Bounce = r.Bounce
	if s != nil {
		r.Events[0].Detail.SuppressionID = s.ID.Text(mail.PrefixSuppression)
	}
	return r
}

func (w *world) complaintOf(work *mail.Work) queue.Returned {
	return queue.Returned{Delivery: work.Delivery.Row, Status: mail.Complained, Events: []mail.Event{w.event(mail.EventComplained)}}
}

// came is a record of a mail that came back.
func (w *world) came(text string, message int64) *feedback.Record {
	return &feedback.Record{ID: mail.NewID(w.now), At: w.now, Kind: feedback.KindBounce, Digest: sha256.Sum256([]byte(text)), Size: int64(len(text)),
		Message: message, Why: "nobody knows", Letter: []byte(text)}
}

func (w *world) keepBack(r *feedback.Record, outcomes ...queue.Returned) queue.Recorded {
	w.Helper()
	out, err := w.s.Report(w.ctx, w.now, queue.Report{Record: r, Outcomes: outcomes})
	w.must(err)
	return out
}

// letter gives what is kept of a record's mail, and whether there is a record.
func (w *world) letterOf(r *feedback.Record) (letter string, kept bool) {
	w.Helper()
	got, err := w.s.ReportByID(w.ctx, r.ID)
	if err == mail.ErrNotFound {
		return "", false
	}
	w.must(err)
	equal(w, "readable", got.Readable, got.Letter != nil)
	return string(got.Letter), true
}

// path has an attempt's transcript say a return path.
func path(r queue.Result, local string) queue.Result {
	r.Attempt.Transcript = []mail.Line{{From: "S", Code: 220, Text: `MAIL FROM:<bounces+forged@x>`}, {From: "C", Text: "MAIL FROM:<" + local + "@bounce.acme.test> SIZE=5"}}
	return r
}

var reportClauses = []clause{
	{"a report makes what was delivered bounced and then complained, each once", func(w *world) {
		a := w.letter("ada@example.com")
		work := w.send(a)[0]
		w.goes(work)
		s := w.suppression("ada@example.com", "hard_bounce", "")
		_, err := w.s.Report(w.ctx, w.now, queue.Report{Outcomes: []queue.Returned{w.bounceOf(work, &s)}})
		w.wantErr(err, mail.ErrStale) // on the wire
		w.settle(w.delivered(work))
		at := w.now
		w.now = w.now.Add(time.Hour)
		w.cameBack(queue.EffectDone, w.bounceOf(work, &s))
		w.cameBack(queue.EffectNone, w.bounceOf(work, &s))
		d := w.delivery(a.Message.ID)
		equal(w, "status", d.Status, mail.Bounced)
		equal(w, "completed at", d.CompletedAt, at)
		equal(w, "reported", *d.Bounce.Report, mail.BounceReport{Action: "failed", Status: "5.1.1", Diagnostic: "550 <ada@one.test>: unknown"})
		c := w.complaintOf(work)
		w.cameBack(queue.EffectDone, c)
		w.cameBack(queue.EffectNone, c)
		w.cameBack(queue.EffectNone, w.bounceOf(work, &s))
		equal(w, "status", w.delivery(a.Message.ID).Status, mail.Complained)
		w.story(work.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered, mail.EventBounced, mail.EventComplained)
		events := w.events(work.Message.Row)
		equal(w, "before the bounce", events[3].Detail.Previous, "delivered")
		equal(w, "before the complaint", events[4].Detail.Previous, "bounced")
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "suppressions", len(all), 1)
		c.Delivery = 4711
		w.cameBack(queue.EffectGone, c)
	}},
	{"two mails to one bad address: one suppression, which both events name", func(w *world) {
		works := append(w.send(w.letter("ada@example.com")), w.send(w.letter("ada@example.com"))...)
		for _, work := range works {
			w.goes(work)
			w.settle(w.delivered(work))
		}
		var named []string
		for _, work := range works {
			s := w.suppression("ada@example.com", "hard_bounce", "")
			w.cameBack(queue.EffectDone, w.bounceOf(work, &s))
			events := w.events(work.Message.Row)
			named = append(named, events[len(events)-1].Detail.SuppressionID)
		}
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "suppressions", len(all), 1)
		equalList(w, "named", named, []string{all[0].ID.Text(mail.PrefixSuppression), all[0].ID.Text(mail.PrefixSuppression)})
	}},
	{"a report ends what waits, and what no lane has begun", func(w *world) {
		a := w.letter("ada@one.test", "bob@one.test", "cyd@one.test")
		works := w.send(a)
		w.goes(works[0])
		w.settle(w.deferred(works[0], w.now.Add(time.Minute)))
		w.settle(w.backed(works[1], mail.Queued))
		for _, work := range works {
			w.cameBack(queue.EffectDone, w.bounceOf(work, nil))
		}
		w.now = w.now.Add(time.Hour)
		equal(w, "claimed", len(w.claim(10)), 0)
		depth, err := w.s.Depth(w.ctx)
		w.must(err)
		for _, d := range depth {
			equal(w, "in the queue", d.Count, 0)
		}
		w.settleLost(w.deferred(works[2], w.now))
		for _, d := range w.record(a.Message.ID).Deliveries {
			equal(w, "status", d.Status, mail.Bounced)
		}
	}},
	{"what the site never had cannot be complained of; what it may have had can", func(w *world) {
		refused := w.send(w.letter("ada@one.test"))[0]
		s := w.suppression("ada@one.test", "hard_bounce", "")
		w.settle(w.bounced(refused, &s))
		w.cameBack(queue.EffectNone, w.complaintOf(refused))
		w.cameBack(queue.EffectNone, w.bounceOf(refused, nil))
		gave := w.send(w.letter("bob@one.test"))[0]
		w.goes(gave)
		w.settle(w.deferred(gave, w.now.Add(time.Hour)))
		_, err := w.s.Cancel(w.ctx, w.change(gave.Message.ID))
		w.must(err)
		w.cameBack(queue.EffectNone, w.bounceOf(gave, nil))
		w.cameBack(queue.EffectDone, w.complaintOf(gave))
		untried := w.send(w.letter("cyd@one.test"))[0]
		_, err = w.s.Cancel(w.ctx, w.change(untried.Message.ID))
		w.must(err)
		w.cameBack(queue.EffectNone, w.complaintOf(untried))
	}},
	{"an outcome without a status only adds its events, boundedly", func(w *world) {
		work := w.send(w.letter("ada@one.test"))[0]
		w.goes(work)
		w.settle(w.delivered(work))
		r := queue.Returned{Delivery: work.Delivery.Row, Events: []mail.Event{w.event(mail.EventDeferred)}}
		w.cameBack(queue.EffectDone, r)
		equal(w, "status", w.delivery(work.Message.ID).Status, mail.Delivered)
		events := w.events(work.Message.Row)
		equal(w, "before", events[3].Detail.Previous, "delivered")
		for range feedback.MaxVisits - 4 {
			w.cameBack(queue.EffectDone, r)
		}
		w.cameBack(queue.EffectNone, r)
		equal(w, "events", len(w.events(work.Message.Row)), feedback.MaxVisits)
	}},
	{"a record, its outcomes and their suppressions are one fact", func(w *world) {
		a := w.letter("ada@one.test", "bob@one.test", "cyd@one.test")
		works := w.send(a)
		for _, work := range works {
			w.goes(work)
		}
		w.settle(w.delivered(works[0]), w.delivered(works[1]))
		s := w.suppression("ada@one.test", "hard_bounce", "")
		r := w.came("one", works[0].Message.Row)
		r.Items = []feedback.RecordItem{{Delivery: works[0].Delivery.Row, Action: "failed", Status: "5.1.1", Class: mail.ClassUnknownUser}, {Delivery: works[1].Delivery.Row, Action: "delivered"}}
		_, err := w.s.Report(w.ctx, w.now, queue.Report{Record: r, Outcomes: []queue.Returned{w.bounceOf(works[0], &s), w.bounceOf(works[2], nil)}})
		w.wantErr(err, mail.ErrStale) // the third is on the wire: nothing of it stands
		w.story(works[0].Message.Row, mail.EventQueued, mail.EventQueued, mail.EventQueued, mail.EventAccepted, mail.EventAccepted, mail.EventAccepted, mail.EventDelivered, mail.EventDelivered)
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "ada@one.test")
		w.must(err)
		equal(w, "suppressions", len(all), 0)
		_, kept := w.letterOf(r)
		equal(w, "kept", kept, false)

		out := w.keepBack(r, w.bounceOf(works[0], &s))
		equalList(w, "effects", out.Effects, []queue.Effect{queue.EffectDone})
		got, err := w.s.ReportByID(w.ctx, r.ID)
		w.must(err)
		equal(w, "row", got.Row, out.Row)
		equal(w, "message", got.MessageID, a.Message.ID)
		equal(w, "owner", got.Owner, w.owner)
		equal(w, "facts", fmt.Sprint(got.At, got.Kind, got.Size, got.Why, got.Digest == r.Digest), fmt.Sprint(r.At, r.Kind, r.Size, r.Why, true))
		equal(w, "items", len(got.Items), 2)
		equal(w, "first", got.Items[0], feedback.RecordItem{Delivery: works[0].Delivery.Row, Action: "failed", Status: "5.1.1", Class: mail.ClassUnknownUser, Effect: string(queue.EffectDone)})
		events := w.events(works[0].Message.Row)
		equal(w, "the event names the record", events[len(events)-1].Detail.Report, out.Row)

		equal(w, "again", w.keepBack(w.came("one", works[0].Message.Row), w.bounceOf(works[1], nil)).Again, true)
		equal(w, "status of the second", w.record(a.Message.ID).Deliveries[1].Status, mail.Delivered)
		list, err := w.s.Reports(w.ctx, 0, 10)
		w.must(err)
		equal(w, "records", len(list), 1)
		list, err = w.s.Reports(w.ctx, list[0].Row, 10)
		w.must(err)
		equal(w, "records before it", len(list), 0)
	}},
	{"copies are what went out under one return path", func(w *world) {
		a := w.letter("Ada@one.test", "bob@one.test", "cyd@two.test", "dan@one.test")
		works := w.send(a)
		works[2], works[3] = works[3], works[2] // those of a destination stand together
		for _, work := range works {
			w.goes(work)
		}
		w.settle(path(w.delivered(works[0]), "bounces+aaa"), path(w.deferred(works[1], w.now), "bounces+aaa"), path(w.delivered(works[2]), "bounces+ccc"),
			path(w.delivered(works[3]), "bounces+aaab"))
		for _, work := range w.claim(10) {
			w.goes(work)
			w.settle(path(w.delivered(work), "bounces+bbb"))
		}
		copies := func(work *mail.Work, path string) (out []string) {
			w.Helper()
			c, err := w.s.Copies(w.ctx, work.Delivery.Row, path)
			w.must(err)
			equal(w, "message", fmt.Sprint(c.Message, c.MessageID, c.Owner), fmt.Sprint(work.Message.Row, a.Message.ID, w.owner))
			for _, one := range c.All {
				out = append(out, one.Address)
			}
			return out
		}
		equalList(w, "of the first", copies(works[0], "bounces+aaa"), []string{"ada@one.test", "bob@one.test"})
		equalList(w, "of the second's own try", copies(works[1], "bounces+bbb"), []string{"bob@one.test"})
		equalList(w, "of another site", copies(works[2], "bounces+ccc"), []string{"cyd@two.test"})
		equalList(w, "without a path", copies(works[0], ""), []string{"ada@one.test"})
		equalList(w, "what a site said is no proof", copies(works[2], "bounces+forged"), []string{"cyd@two.test"})
		_, err := w.s.Copies(w.ctx, 4711, "bounces+aaa")
		w.wantErr(err, mail.ErrNotFound)

		apart := w.letter("ada@one.test", "bob@one.test")
		apart.Message.Stamp = "marker"
		both := w.send(apart)
		w.settle(path(w.delivered(both[0]), "bounces+ddd"), path(w.delivered(both[1]), "bounces+ddd"))
		c, err := w.s.Copies(w.ctx, both[0].Delivery.Row, "bounces+ddd")
		w.must(err)
		equal(w, "of a message with tokens of each recipient's", len(c.All), 1)
	}},
	{"copies tell whether others may share them: on the wire, cut off by a crash, erased", func(w *world) {
		w.keeps(30, 30)
		a := w.letter("ada@one.test", "bob@one.test")
		works := w.send(a)
		doubts := func(pending, forgotten bool) {
			w.Helper()
			c, err := w.s.Copies(w.ctx, works[0].Delivery.Row, "bounces+aaa")
			w.must(err)
			equal(w, "copies, on the wire, forgotten", fmt.Sprint(len(c.All), c.Pending, c.Forgotten), fmt.Sprint(1, pending, forgotten))
		}
		w.goes(works[0])
		w.settle(path(w.delivered(works[0]), "bounces+aaa"))
		doubts(false, false)
		w.goes(works[1])
		doubts(true, false)
		cut := w.deferred(works[1], w.now)
		cut.Attempt.Outcome = mail.OutcomeUncertain
		w.settle(cut)
		doubts(false, true)
		for _, work := range w.claim(10) {
			w.goes(work)
			w.settle(path(w.delivered(work), "bounces+bbb"))
		}
		w.order("ada@one.test", false)
		w.erase()
		c, err := w.s.Copies(w.ctx, works[1].Delivery.Row, "bounces+bbb")
		w.must(err)
		equal(w, "of the other", fmt.Sprint(len(c.All), c.All[0].Address, c.Pending, c.Forgotten), fmt.Sprint(1, "bob@one.test", false, true))
		_, err = w.s.Copies(w.ctx, works[0].Delivery.Row, "bounces+aaa")
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"what nobody understood is kept for a week, and so many", func(w *world) {
		first := w.came("first", 0)
		w.keepBack(first)
		equal(w, "again", w.keepBack(w.came("first", 0)).Again, true)
		text, kept := w.letterOf(first)
		equal(w, "letter", text, "first")
		equal(w, "kept", kept, true)
		w.now = w.now.Add(feedback.LetterDays*day - time.Second)
		second := w.came("second", 0)
		w.keepBack(second)
		w.forget()
		_, kept = w.letterOf(first)
		equal(w, "kept for a week", kept, true)
		w.now = w.now.Add(time.Second)
		w.forget()
		_, kept = w.letterOf(first)
		equal(w, "kept after a week", kept, false)
		_, kept = w.letterOf(second)
		equal(w, "kept", kept, true)
		var all sync.WaitGroup // together, so that they share commits
		for g := range 20 {
			all.Go(func() {
				for i := range feedback.MaxLetters / 20 {
					if _, err := w.s.Report(w.ctx, w.now, queue.Report{Record: w.came(fmt.Sprint("many ", g, i), 0)}); err != nil {
						w.Error(err)
					}
				}
			})
		}
		all.Wait()
		_, kept = w.letterOf(second)
		equal(w, "kept when there are too many", kept, false)
		list, err := w.s.Reports(w.ctx, 0, 2*feedback.MaxLetters)
		w.must(err)
		equal(w, "records", len(list), feedback.MaxLetters)
	}},
	{"records of one message are bounded, their effects are not", func(w *world) {
		work := w.send(w.letter("ada@one.test"))[0]
		w.goes(work)
		w.settle(w.delivered(work))
		for i := range feedback.MaxRecords {
			if w.keepBack(w.came(fmt.Sprint("many ", i), work.Message.Row)).Row == 0 {
				w.Fatalf("record %d was not kept", i)
			}
		}
		out := w.keepBack(w.came("one more", work.Message.Row), w.bounceOf(work, nil))
		equal(w, "record", out.Row, 0)
		equalList(w, "effects", out.Effects, []queue.Effect{queue.EffectDone})
	}},
	{"a letter goes with its message's content, a record with its message", func(w *world) {
		w.keeps(1, 3)
		work := w.send(w.letter("ada@one.test"))[0]
		w.goes(work)
		w.settle(w.delivered(work))
		r := w.came("with the message in it", work.Message.Row)
		w.keepBack(r)
		text, _ := w.letterOf(r)
		equal(w, "letter", text, "with the message in it")
		w.now = w.now.Add(day)
		w.forget()
		text, kept := w.letterOf(r)
		equal(w, "letter after the content", text, "")
		equal(w, "record after the content", kept, true)
		late := w.came("brings it back", work.Message.Row)
		w.keepBack(late)
		text, kept = w.letterOf(late)
		equal(w, "letter of a content that is gone", text, "")
		equal(w, "its record", kept, true)
		w.now = w.now.Add(2 * day)
		w.forget()
		w.gone(work.Message.ID)
		for _, r := range []*feedback.Record{r, late} {
			_, kept = w.letterOf(r)
			equal(w, "record after the message", kept, false)
		}
		out := w.keepBack(w.came("too late", work.Message.Row), w.bounceOf(work, nil))
		equal(w, "record of what is gone", out.Row, 0)
		equalList(w, "effects", out.Effects, []queue.Effect{queue.EffectGone})
	}},
	{"an erasure takes what came back about the address", func(w *world) {
		w.keeps(30, 30)
		work := w.send(w.letter("ada@one.test"))[0]
		w.goes(work)
		w.settle(w.delivered(work))
		about := w.came("about it", work.Message.Row)
		w.keepBack(about, w.bounceOf(work, nil))
		naming, other := w.came("Final-Recipient: rfc822;Ada@One.Test\r\n", 0), w.came("Final-Recipient: rfc822;nevada@one.test\r\n", 0)
		w.keepBack(naming)
		w.keepBack(other)
		for i := range 50 {
			w.keepBack(w.came(strings.Repeat("x", i), 0))
		}
		w.order("ada@one.test", false)
		w.erase()
		for _, c := range []struct {
			r    *feedback.Record
			want bool
		}{{about, false}, {naming, false}, {other, true}} {
			_, kept := w.letterOf(c.r)
			equal(w, string(c.r.Letter)+" kept", kept, c.want)
		}
		for _, e := range w.events(work.Message.Row) {
			if b := e.Detail.Bounce; b != nil {
				equal(w, "status", b.Report.Status, "5.1.1")
				equal(w, "diagnostic", b.Report.Diagnostic, "")
			}
		}
		_, err := w.s.Copies(w.ctx, work.Delivery.Row, "")
		w.wantErr(err, mail.ErrNotFound)
		w.cameBack(queue.EffectGone, w.complaintOf(work))
	}},
	{"an erased recipient does not come back with a letter, though the content is still needed for another", func(w *world) {
		w.keeps(30, 30)
		works := w.send(w.letter("ada@one.test", "bob@one.test"))
		for _, work := range works {
			w.goes(work)
		}
		w.settle(w.delivered(works[0]), w.deferred(works[1], w.now.Add(day)))
		w.order("ada@one.test", false)
		w.erase()
		w.hasContent(works[0].Message.ID, true)
		late := w.came("Final-Recipient: rfc822;ada@one.test\r\n", works[0].Message.Row)
		w.keepBack(late)
		text, kept := w.letterOf(late)
		equal(w, "letter", text, "")
		equal(w, "its record", kept, true)
	}},
	{"a letter is copied as it came, whatever is in it", func(w *world) {
		all := make([]byte, feedback.LetterKept)
		for i := range all {
			all[i] = byte(i * 7)
		}
		r := w.came("", 0)
		r.Letter = all
		w.keepBack(r)
		got, err := w.s.ReportByID(w.ctx, r.ID)
		w.must(err)
		equal(w, "the same", bytes.Equal(got.Letter, all), true)
	}},
}

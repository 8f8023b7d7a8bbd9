package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

func (w *world) suppression(address, reason, topic string) mail.Suppression {
	return mail.Suppression{ID: mail.NewID(w.now), Owner: w.owner, Address: address, Reason: reason, Kind: mail.KindOf(reason), Topic: topic,
		Source: "api", Detail: "550", Note: "ticket", CreatedAt: w.now}
}

func (w *world) suppress(address, reason, topic string) mail.Suppression {
	w.Helper()
	s, created, err := w.s.AddSuppression(w.ctx, w.suppression(address, reason, topic), nil, nil)
	w.must(err)
	equal(w, "created", created, true)
	return s
}

// bare is a suppression without its row.
func bare(s mail.Suppression) mail.Suppression {
	s.Row = 0
	return s
}

var feedbackClauses = []clause{
	{"a suppression is entered once per address, kind and topic", func(w *world) {
		s := w.suppression("ada@example.com", "user_unsubscribed", "news")
		s.ExpiresAt, s.Message = w.now.Add(time.Hour), mail.NewID(w.now)
		got, created, err := w.s.AddSuppression(w.ctx, s, nil, nil)
		w.must(err)
		equal(w, "created", created, true)
		equal(w, "suppression", bare(got), s)
		again, created, err := w.s.AddSuppression(w.ctx, w.suppression("ada@example.com", "unsubscribe", "news"), nil, nil)
		w.must(err)
		equal(w, "created", created, false)
		equal(w, "the first stands", again, got)
		w.suppress("ada@example.com", "unsubscribe", "other")
		w.suppress("ada@example.com", "complaint", "")
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "entries", len(all), 3)
		equal(w, "weightiest first", all[0].Kind, mail.KindComplaint)
		read, err := w.s.Suppression(w.ctx, w.owner, s.ID)
		w.must(err)
		equal(w, "read", bare(read), s)
	}},
	{"many suppressions are read at once by their ids", func(w *world) {
		first := w.suppress("ada@example.com", "manual", "")
		second := w.suppress("bob@example.com", "complaint", "")
		w.suppress("carl@example.com", "manual", "")
		ids := []mail.ID{second.ID, mail.NewID(w.now), first.ID}
		got, err := w.s.SuppressionsByID(w.ctx, w.owner, ids)
		w.must(err)
		slices.SortFunc(got, func(a, b mail.Suppression) int { return cmp.Compare(a.Row, b.Row) })
		equalList(w, "found", got, []mail.Suppression{first, second})
		got, err = w.s.SuppressionsByID(w.ctx, mail.Owner{Project: w.owner.Project, Env: mail.Test}, ids)
		w.must(err)
		equal(w, "found by another", len(got), 0)
	}},
	{"an expired suppression makes room for a new one", func(w *world) {
		s := w.suppression("ada@example.com", "manual", "")
		s.ExpiresAt = w.now.Add(time.Hour)
		_, _, err := w.s.AddSuppression(w.ctx, s, nil, nil)
		w.must(err)
		w.now = w.now.Add(time.Hour)
		fresh := w.suppress("ada@example.com", "manual", "")
		all, err := w.s.SuppressionsOf(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "entries", len(all), 1)
		equal(w, "entry", all[0].ID, fresh.ID)
	}},
	{"Suppressed knows owner, topic, expiry and weight", func(w *world) {
		w.suppress("any@example.com", "manual", "")
		bounce := w.suppress("any@example.com", "hard_bounce", "")
		w.suppress("news@example.com", "unsubscribe", "news")
		soon := w.suppression("soon@example.com", "manual", "")
		soon.ExpiresAt = w.now.Add(time.Minute)
		_, _, err := w.s.AddSuppression(w.ctx, soon, nil, nil)
		w.must(err)
		asked := []string{"any@example.com", "news@example.com", "soon@example.com", "free@example.com"}
		check := func(owner mail.Owner, topic string, want ...string) {
			w.Helper()
			got, err := w.s.Suppressed(w.ctx, owner, asked, topic, w.now)
			w.must(err)
			equal(w, "suppressed", len(got), len(want))
			for _, a := range want {
				if _, ok := got[a]; !ok {
					w.Fatalf("%s is not suppressed", a)
				}
			}
			if s, ok := got["any@example.com"]; ok {
				equal(w, "weightiest", s.ID, bounce.ID)
			}
		}
		check(w.owner, "", "any@example.com", "soon@example.com")
		check(w.owner, "news", "any@example.com", "soon@example.com", "news@example.com")
		check(w.owner, "other", "any@example.com", "soon@example.com")
		check(mail.Owner{Project: 1, Env: mail.Test}, "news")
		check(mail.Owner{Project: 2}, "news")
		w.now = w.now.Add(time.Minute)
		check(w.owner, "", "any@example.com")
		_, err = w.s.DeleteSuppression(w.ctx, w.owner, bounce.ID, "key_x", w.now)
		w.must(err)
		got, err := w.s.Suppressed(w.ctx, w.owner, asked[:1], "", w.now)
		w.must(err)
		equal(w, "next in weight", got["any@example.com"].Kind, mail.KindManual)
	}},
	{"a deleted suppression is gone, and only its owner can delete it", func(w *world) {
		s := w.suppress("ada@example.com", "manual", "")
		_, err := w.s.DeleteSuppression(w.ctx, mail.Owner{Project: 2}, s.ID, "key_x", w.now)
		w.wantErr(err, mail.ErrNotFound)
		wake := w.s.Wake()
		got, err := w.s.DeleteSuppression(w.ctx, w.owner, s.ID, "key_x", w.now)
		w.must(err)
		equal(w, "deleted", got, s)
		<-wake // suppression.deleted
		_, err = w.s.DeleteSuppression(w.ctx, w.owner, s.ID, "key_x", w.now)
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.Suppression(w.ctx, w.owner, s.ID)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"suppressions are listed, filtered and paged", func(w *world) {
		var rows []int64
		for i := range 5 {
			rows = append(rows, w.suppress(fmt.Sprintf("a%d@example.com", i), "manual", "").Row)
		}
		w.suppress("z@other.test", "user_unsubscribed", "news")
		list := func(q feedback.Query) (out []string) {
			w.Helper()
			q.Owner = w.owner
			all, err := w.s.Suppressions(w.ctx, q)
			w.must(err)
			for _, s := range all {
				out = append(out, s.Address)
			}
			return out
		}
		equalList(w, "first page", list(feedback.Query{Limit: 2}), []string{"z@other.test", "a4@example.com"})
		equalList(w, "next page", list(feedback.Query{Limit: 2, After: rows[4]}), []string{"a3@example.com", "a2@example.com"})
		equalList(w, "ascending", list(feedback.Query{Limit: 2, Ascending: true}), []string{"a0@example.com", "a1@example.com"})
		equalList(w, "by kind", list(feedback.Query{Reason: "unsubscribe"}), []string{"z@other.test"})
		equalList(w, "by reason", list(feedback.Query{Reason: "user_unsubscribed"}), []string{"z@other.test"})
		equalList(w, "by topic", list(feedback.Query{Topic: "news"}), []string{"z@other.test"})
		equalList(w, "by recipient", list(feedback.Query{Recipient: "a1@example.com"}), []string{"a1@example.com"})
		equalList(w, "by part", list(feedback.Query{Search: "OTHER"}), []string{"z@other.test"})
		equalList(w, "by source", list(feedback.Query{Source: "system"}), nil)
		equalList(w, "by time", list(feedback.Query{CreatedAfter: w.now.Add(time.Second)}), nil)
	}},
	{"a bypass is of unsubscribes only, at Begin too", func(w *world) {
		w.suppress("news@example.com", "unsubscribe", "")
		w.suppress("both@example.com", "unsubscribe", "")
		w.suppress("both@example.com", "hard_bounce", "")
		for _, work := range w.send(w.letter("news@example.com", "both@example.com", "free@example.com")) {
			b := w.beginning(work)
			v, err := w.s.Begin(w.ctx, w.now, []queue.Beginning{b})
			w.must(err)
			equal(w, work.Delivery.Address+" stopped", v[0].Suppressed != nil, b.Address != "free@example.com")
			if b.Bypass = true; b.Address == "free@example.com" {
				continue
			}
			v, err = w.s.Begin(w.ctx, w.now, []queue.Beginning{b})
			w.must(err)
			equal(w, work.Delivery.Address+" goes", v[0].Go, b.Address == "news@example.com")
		}
	}},
	{"a recipient's own wish is one fact with both its events", func(w *world) {
		a := w.letter("ada@example.com", "bob@example.com")
		a.Message.Topic, a.Message.Stamp, a.Message.Bypass = "news", "marker", true
		works := w.send(a)
		equal(w, "stamp", works[0].Message.Stamp, "marker")
		equal(w, "bypass", works[0].Message.Bypass, true)
		row := works[0].Delivery.Row
		found, err := w.s.Recipients(w.ctx, []int64{row, row + 1000})
		w.must(err)
		equal(w, "found", len(found), 1)
		to := found[row]
		equal(w, "recipient", to, feedback.Recipient{Delivery: row, Message: a.Message.ID, Owner: w.owner, Address: "ada@example.com", From: a.Message.From, Topic: "news"})
		u := feedback.Unsubscription{Delivery: row, Method: "one_click", Suppress: w.suppression("someone@else.test", "unsubscribe", "news")}
		got, created, err := w.s.Unsubscribe(w.ctx, u)
		w.must(err)
		equal(w, "created", created, true)
		equal(w, "address", got.Address, "ada@example.com")
		equal(w, "message", got.Message, a.Message.ID)
		again, created, err := w.s.Unsubscribe(w.ctx, u)
		w.must(err)
		equal(w, "created", created, false)
		equal(w, "the first stands", again.ID, got.ID)
		events, err := w.s.Events(w.ctx, w.owner, works[0].Message.Row)
		w.must(err)
		last := events[len(events)-1]
		equal(w, "events", len(events), 3)
		equal(w, "type", last.Type, mail.EventUnsubscribed)
		equal(w, "sequence", last.Sequence, 3)
		equal(w, "recipient", last.Recipient, "ada@example.com")
		equal(w, "suppression", last.Detail.SuppressionID, got.ID.Text(mail.PrefixSuppression))
		_, _, err = w.s.Unsubscribe(w.ctx, feedback.Unsubscription{Delivery: row + 1000, Suppress: u.Suppress})
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"visits are events of their delivery, and bounded", func(w *world) {
		works := w.send(w.letter("ada@example.com"))
		visit := func(row int64) feedback.Visit {
			e := w.event(mail.EventClicked)
			machine := true
			e.Detail = mail.Detail{Machine: &machine, UserAgent: "curl/8", URL: "https://x.example/?a=1&b=2", Reason: "script"}
			return feedback.Visit{Delivery: row, Event: e}
		}
		w.must(w.s.Visited(w.ctx, []feedback.Visit{visit(works[0].Delivery.Row), visit(works[0].Delivery.Row + 1000)}))
		events, err := w.s.Events(w.ctx, w.owner, works[0].Message.Row)
		w.must(err)
		d := events[len(events)-1].Detail
		equal(w, "events", len(events), 2)
		equal(w, "machine", *d.Machine, true)
		equal(w, "agent", d.UserAgent, "curl/8")
		equal(w, "url", d.URL, "https://x.example/?a=1&b=2")
		var many []feedback.Visit
		for range feedback.MaxVisits + 10 {
			many = append(many, visit(works[0].Delivery.Row))
		}
		w.must(w.s.Visited(w.ctx, many))
		events, err = w.s.Events(w.ctx, w.owner, works[0].Message.Row)
		w.must(err)
		equal(w, "events", len(events), feedback.MaxVisits)
		w.goes(works[0]) // and the delivery goes on
		w.settle(w.delivered(works[0]))
	}},
	{"what is lifted or has expired is remembered", func(w *world) {
		s := w.suppression("ada@example.com", "manual", "")
		s.ExpiresAt = w.now.Add(time.Hour)
		_, _, err := w.s.AddSuppression(w.ctx, s, nil, nil)
		w.must(err)
		w.now = w.now.Add(2 * time.Hour)
		fresh := w.suppress("ada@example.com", "manual", "")
		_, err = w.s.DeleteSuppression(w.ctx, w.owner, fresh.ID, "key_x", w.now)
		w.must(err)
		past, err := w.s.PastSuppressions(w.ctx, w.owner, "ada@example.com")
		w.must(err)
		equal(w, "past", len(past), 2)
		equal(w, "first", past[0].ID, s.ID)
		equal(w, "first ended", past[0].EndedAt, s.ExpiresAt)
		equal(w, "first by", past[0].By, "")
		equal(w, "second by", past[1].By, "key_x")
		past, err = w.s.PastSuppressions(w.ctx, mail.Owner{Project: 2}, "ada@example.com")
		w.must(err)
		equal(w, "of another owner", len(past), 0)
	}},
	{"adding with a used key is replayed", func(w *world) {
		answer := func(s mail.Suppression, created bool) mail.Answer {
			return mail.Answer{Status: 201, Body: fmt.Appendf(nil, "%s %v", s.Address, created)}
		}
		_, _, err := w.s.AddSuppression(w.ctx, w.suppression("ada@example.com", "manual", ""), w.once("k"), answer)
		w.must(err)
		_, _, err = w.s.AddSuppression(w.ctx, w.suppression("bob@example.com", "manual", ""), w.once("k"), answer)
		var replayed *mail.Replayed
		if !errors.As(err, &replayed) {
			w.Fatalf("got %v, want a replay", err)
		}
		equal(w, "answer", string(replayed.Answer.Body), "ada@example.com true")
	}},
}

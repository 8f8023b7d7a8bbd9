package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
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

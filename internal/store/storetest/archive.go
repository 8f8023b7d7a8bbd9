package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// found lists the subjects of the messages a query finds.
func (w *world) found(q archive.Query) []string {
	w.Helper()
	if q.Owner == (mail.Owner{}) {
		q.Owner = w.owner
	}
	records, err := w.s.Messages(w.ctx, q)
	w.must(err)
	var out []string
	for _, r := range records {
		out = append(out, r.Message.Subject)
	}
	return out
}

var archiveClauses = []clause{
	{"lists are in order, page by page", func(w *world) {
		rows := map[string]int64{}
		for i := range 7 {
			a := w.letter("ada@example.com", "Bob@example.com")
			a.Message.Subject = fmt.Sprint(i)
			rows[a.Message.Subject] = w.accept(a).Row
		}
		for _, by := range []archive.Query{{}, {Recipient: "ada@example.com"}, {Recipient: "ada*"}, {Recipient: "*@example.com"}, {Domain: "example.com"},
			{Statuses: []mail.Status{mail.Queued}}} {
			q := by
			q.Limit = 3
			equalList(w, "first page", w.found(q), []string{"6", "5", "4"})
			q.After = rows["4"]
			equalList(w, "second page", w.found(q), []string{"3", "2", "1"})
			q.After = rows["1"]
			equalList(w, "third page", w.found(q), []string{"0"})
			q.After = rows["0"]
			equal(w, "fourth page", len(w.found(q)), 0)
			q.After, q.Ascending = 0, true
			equalList(w, "ascending", w.found(q), []string{"0", "1", "2"})
			q.After = rows["2"]
			equalList(w, "ascending", w.found(q), []string{"3", "4", "5"})
		}
	}},
	{"messages are counted as they are found, on all pages and no further than asked", func(w *world) {
		var all []*submit.Acceptance
		for i := range 12 {
			a := w.letter("ada@example.com", "Bob@example.com")
			if i%3 == 0 {
				a.Message.Tags = []string{"third"}
			}
			all = append(all, a)
		}
		w.acceptAll(all)
		for _, c := range []struct {
			q    archive.Query
			most int
			want int
		}{
			{archive.Query{}, 100, 12}, {archive.Query{Limit: 2, Ascending: true}, 100, 12}, {archive.Query{}, 5, 5}, {archive.Query{}, 12, 12},
			{archive.Query{Recipient: "bob@example.com"}, 100, 12}, {archive.Query{Recipient: "*@example.com"}, 100, 12}, {archive.Query{Recipient: "ada*"}, 100, 12},
			{archive.Query{Tag: "third"}, 100, 4}, {archive.Query{Tag: "none"}, 100, 0}, {archive.Query{CreatedAfter: w.now.Add(time.Hour)}, 100, 0},
			{archive.Query{After: 3}, 100, 12}, // the page does not matter
		} {
			c.q.Owner = w.owner
			n, whole, err := w.s.Count(w.ctx, c.q, c.most)
			w.must(err)
			equal(w, fmt.Sprintf("count of %+v", c.q), n, c.want)
			equal(w, "whole", whole, true)
		}
		n, _, err := w.s.Count(w.ctx, archive.Query{Owner: mail.Owner{Project: w.owner.Project + 1, Env: w.owner.Env}}, 100)
		w.must(err)
		equal(w, "another's", n, 0)
	}},
	{"a count whose time is over tells what it has", func(w *world) {
		w.accept(w.letter("ada@example.com"))
		ctx, cancel := context.WithDeadline(w.ctx, time.Now().Add(-time.Second))
		defer cancel()
		_, whole, err := w.s.Count(ctx, archive.Query{Owner: w.owner}, 100)
		w.must(err)
		equal(w, "whole", whole, false)
	}},
	{"each filter finds what it should, and they combine", archiveFilters},
	{"statuses are found among many, once a message", func(w *world) {
		for i := range 6 {
			a := w.letter("ada@one.test", "bob@two.test")
			a.Message.Subject = fmt.Sprint(i)
			works := w.send(a)
			s := w.suppression("x@y.test", "hard_bounce", "")
			switch i {
			case 1:
				w.settle(w.bounced(works[0], &s), w.bounced(works[1], &s))
			case 2:
				w.settle(w.delivered(works[0]), w.bounced(works[1], &s))
			case 4:
				w.settle(w.deferred(works[0], w.now.Add(time.Hour)), w.delivered(works[1]))
			default:
				w.settle(w.delivered(works[0]), w.delivered(works[1]))
			}
		}
		bounced, deferred := mail.Bounced, mail.Deferred
		equalList(w, "bounced", w.found(archive.Query{Statuses: []mail.Status{bounced}}), []string{"2", "1"})
		equalList(w, "ascending", w.found(archive.Query{Statuses: []mail.Status{bounced}, Ascending: true}), []string{"1", "2"})
		equalList(w, "either", w.found(archive.Query{Statuses: []mail.Status{bounced, deferred}}), []string{"4", "2", "1"})
		equalList(w, "delivered", w.found(archive.Query{Statuses: []mail.Status{mail.Delivered}}), []string{"5", "4", "3", "2", "0"})
		equalList(w, "class", w.found(archive.Query{Class: mail.ClassUnknownUser}), nil)
		equalList(w, "code", w.found(archive.Query{SMTPCode: 550}), []string{"2", "1"})
		equalList(w, "site", w.found(archive.Query{Site: "example", Limit: 2}), []string{"5", "4"})
	}},
	{"times are found by creation, though clocks go back", func(w *world) {
		start := w.now
		var all []*submit.Acceptance
		for i := range 2100 {
			w.now = start.Add(time.Duration(i) * time.Second)
			if i == 2000 {
				w.now = start.Add(-time.Hour) // the clock went back for one message
			}
			a := w.letter("ada@example.com")
			a.Message.Subject = fmt.Sprint(i)
			all = append(all, a)
		}
		w.acceptAll(all)
		between := archive.Query{CreatedAfter: start.Add(1000 * time.Second), CreatedBefore: start.Add(1003 * time.Second)}
		equalList(w, "between", w.found(between), []string{"1002", "1001", "1000"})
		between.Recipient = "ada@example.com"
		equalList(w, "between, of a recipient", w.found(between), []string{"1002", "1001", "1000"})
		equalList(w, "the stray", w.found(archive.Query{CreatedBefore: start}), []string{"2000"})
		equalList(w, "newest", w.found(archive.Query{CreatedAfter: start.Add(2098 * time.Second)}), []string{"2099", "2098"})
		equal(w, "none", len(w.found(archive.Query{CreatedAfter: start.Add(time.Hour)})), 0)
	}},
	{"owners never see each other's", func(w *world) {
		a := w.letter("ada@example.com")
		r := w.accept(a)
		for _, owner := range []mail.Owner{{Project: 1, Env: mail.Test}, {Project: 2, Env: mail.Live}} {
			_, err := w.s.Message(w.ctx, owner, a.Message.ID)
			w.wantErr(err, mail.ErrNotFound)
			_, err = w.s.MessageByRFCID(w.ctx, owner, a.Message.RFCID)
			w.wantErr(err, mail.ErrNotFound)
			_, err = w.s.Events(w.ctx, owner, r.Row)
			w.wantErr(err, mail.ErrNotFound)
			_, err = w.s.Attempts(w.ctx, owner, r.Row)
			w.wantErr(err, mail.ErrNotFound)
			for _, q := range []archive.Query{{}, {Recipient: "ada@example.com"}, {Statuses: []mail.Status{mail.Queued}}, {RFCID: a.Message.RFCID}} {
				q.Owner = owner
				equal(w, "found", len(w.found(q)), 0)
			}
		}
	}},
	{"many messages are read at once as they are one by one", func(w *world) {
		var ids []mail.ID
		var rows []int64
		for i := range 3 {
			a := w.letter("ada@one.test", "bob@two.test")
			works := w.send(a)
			if i > 0 {
				w.settle(w.deferred(works[0], w.now), w.delivered(works[1]))
				w.settle(w.delivered(w.claim(1)[0]))
			}
			ids, rows = append(ids, a.Message.ID), append(rows, works[0].Message.Row)
		}
		stranger := mail.NewID(w.now)
		found, err := w.s.MessagesByID(w.ctx, w.owner, append([]mail.ID{stranger}, ids[1:]...))
		w.must(err)
		equal(w, "found", len(found), 2)
		for i := range found {
			if one := w.record(found[i].Message.ID); !reflect.DeepEqual(&found[i], one) {
				w.Fatalf("one of many is %+v, alone it is %+v", found[i], one)
			}
		}
		attempts, err := w.s.AttemptsOf(w.ctx, w.owner, append(rows, 1<<40))
		w.must(err)
		equal(w, "messages with attempts", len(attempts), 2)
		for _, row := range rows {
			one, err := w.s.Attempts(w.ctx, w.owner, row)
			w.must(err)
			if !reflect.DeepEqual(attempts[row], one) {
				w.Fatalf("attempts among many are %+v, alone %+v", attempts[row], one)
			}
		}
		for _, owner := range []mail.Owner{{Project: w.owner.Project, Env: mail.Test}, {Project: 7, Env: mail.Live}} {
			found, err := w.s.MessagesByID(w.ctx, owner, ids)
			w.must(err)
			equal(w, "found by another", len(found), 0)
			attempts, err := w.s.AttemptsOf(w.ctx, owner, rows)
			w.must(err)
			equal(w, "attempts for another", len(attempts), 0)
		}
		found, err = w.s.MessagesByID(w.ctx, w.owner, nil)
		w.must(err)
		equal(w, "of none", len(found), 0)
	}},
	{"a record tells its last event and counts attempts", func(w *world) {
		a := w.letter("ada@one.test", "bob@two.test")
		works := w.send(a)
		w.settle(w.delivered(works[0]))
		w.settle(w.deferred(works[1], w.now.Add(time.Hour)))
		all, err := w.s.Messages(w.ctx, archive.Query{Owner: w.owner})
		w.must(err)
		equal(w, "records", len(all), 1)
		equal(w, "attempts", all[0].Attempts, 2)
		equal(w, "last event", all[0].LastEvent.Type, mail.EventDeferred)
		equal(w, "its recipient", all[0].LastEvent.Recipient, "bob@two.test")
	}},
}

func archiveFilters(w *world) {
	type made struct {
		row int64
		id  mail.ID
	}
	all := map[string]made{}
	add := func(subject string, change func(*mail.Message), to ...string) {
		a := w.letter(to...)
		a.Message.Subject = subject
		change(a.Message)
		all[subject] = made{w.accept(a).Row, a.Message.ID}
	}
	batch, template := mail.NewID(w.now), mail.NewID(w.now)
	add("plain", func(*mail.Message) {}, "ada@example.com")
	add("other", func(m *mail.Message) {
		m.From.Email, m.Topic, m.Tags, m.KeyID = "info@acme.test", "news", []string{"a\"b", "wk45"}, "otherkey"
		m.Batch, m.IdempotencyKey, m.Supersedes, m.Tier = batch, "key/1", "otp/1", mail.Bulk
		m.Metadata = map[string]string{"order_id": "42", "na.me": "x\"y"}
		m.RFCID = "foreign@id.test"
		m.Template = mail.TemplateRef{ID: template, Alias: "welcome", Version: 7}
	}, "adam@example.org", "cy@example.com")
	add("wildcard", func(m *mail.Message) { m.Tags = []string{"wk4"} }, "a_a%@example.net")

	bulk, normal := mail.Bulk, mail.Normal
	for _, c := range []struct {
		says string
		q    archive.Query
		want []string
	}{
		{"everything", archive.Query{}, []string{"wildcard", "other", "plain"}},
		{"recipient", archive.Query{Recipient: "ada@example.com"}, []string{"plain"}},
		{"recipient's beginning", archive.Query{Recipient: "ada*"}, []string{"other", "plain"}},
		{"short beginning", archive.Query{Recipient: "a*"}, []string{"wildcard", "other", "plain"}},
		{"beginning with wildcards of SQL", archive.Query{Recipient: "a_a%*"}, []string{"wildcard"}},
		{"recipient's domain", archive.Query{Recipient: "*@example.com"}, []string{"other", "plain"}},
		{"nobody", archive.Query{Recipient: "nobody@example.com"}, nil},
		{"domain", archive.Query{Domain: "example.org"}, []string{"other"}},
		{"part of a domain", archive.Query{Domain: "ple.org"}, nil},
		{"from", archive.Query{From: "info@acme.test"}, []string{"other"}},
		{"subject", archive.Query{Subject: "plain"}, []string{"plain"}},
		{"topic", archive.Query{Topic: "news"}, []string{"other"}},
		{"template by alias", archive.Query{Template: "welcome"}, []string{"other"}},
		{"template by id", archive.Query{Template: template.Text(mail.PrefixTemplate)}, []string{"other"}},
		{"a template nothing was made from", archive.Query{Template: "tmpl_01kpk2byj0emq8k9w39qsaekf4"}, nil},
		{"tag", archive.Query{Tag: "wk4"}, []string{"wildcard"}},
		{"tag with a quote", archive.Query{Tag: "a\"b"}, []string{"other"}},
		{"tag that is a subject", archive.Query{Tag: "plain"}, nil},
		{"tier", archive.Query{Tier: &bulk}, []string{"other"}},
		{"usual tier", archive.Query{Tier: &normal}, []string{"wildcard", "plain"}},
		{"key", archive.Query{KeyID: "otherkey"}, []string{"other"}},
		{"batch", archive.Query{Batch: batch}, []string{"other"}},
		{"idempotency key", archive.Query{Idempotency: "key/1"}, []string{"other"}},
		{"supersedes", archive.Query{Supersedes: "otp/1"}, []string{"other"}},
		{"metadata", archive.Query{Metadata: map[string]string{"order_id": "42"}}, []string{"other"}},
		{"odd metadata", archive.Query{Metadata: map[string]string{"na.me": "x\"y"}}, []string{"other"}},
		{"other value", archive.Query{Metadata: map[string]string{"order_id": "43"}}, nil},
		{"foreign Message-ID", archive.Query{RFCID: "<foreign@id.test>"}, []string{"other"}},
		{"our Message-ID", archive.Query{RFCID: all["plain"].id.UUID() + "@acme.test"}, []string{"plain"}},
		{"our Message-ID, wrong domain", archive.Query{RFCID: all["plain"].id.UUID() + "@evil.test"}, nil},
		{"two together", archive.Query{Topic: "news", Recipient: "cy@example.com"}, []string{"other"}},
		{"two that no message has", archive.Query{Topic: "news", Recipient: "ada@example.com"}, nil},
		{"recipient and status", archive.Query{Recipient: "ada@example.com", Statuses: []mail.Status{mail.Queued}}, []string{"plain"}},
		{"recipient and another status", archive.Query{Recipient: "ada@example.com", Statuses: []mail.Status{mail.Bounced}}, nil},
		{"before", archive.Query{CreatedBefore: w.now}, nil},
		{"after", archive.Query{CreatedAfter: w.now}, []string{"wildcard", "other", "plain"}},
	} {
		if got := w.found(c.q); !slices.Equal(got, c.want) {
			w.Errorf("%s: got %q, want %q", c.says, got, c.want)
		}
	}
}

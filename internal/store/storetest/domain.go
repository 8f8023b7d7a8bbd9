package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
)

func (w *world) health(since time.Time, limit int) project.Traffic {
	w.Helper()
	t, err := w.s.HealthOfDomain(w.ctx, w.owner.Project, "acme.test", since, limit)
	w.must(err)
	return t
}

func make25() (to []string) {
	for i := range 25 {
		to = append(to, fmt.Sprintf("a%d@one.test", i))
	}
	return to
}

func domainHealth(w *world) {
	equal(w, "nothing", fmt.Sprint(w.health(w.now.Add(-time.Hour), 10).Messages), "0")
	from := func(sender string) []*mail.Work {
		a := w.letter("ada@one.test", "bob@one.test", "cy@one.test", "dan@one.test")
		a.Message.From.Email = sender
		return w.send(a)
	}
	took := func(work *mail.Work, envelope string, tls *mail.TLSFacts, signed ...string) queue.Result {
		r := w.delivered(work)
		r.Attempt.TLS, r.Attempt.Signed = tls, signed
		r.Attempt.Reply.Text = `ok ,0,"MAIL FROM:<x@evil.test>`
		r.Attempt.Transcript = []mail.Line{{From: "S", Code: 220, Text: `,0,"MAIL FROM:<x@evil.test>`},
			{From: "C", Text: "MAIL FROM:<" + envelope + "> SIZE=5"}, {From: "S", Code: 250, Text: "ok"}}
		return r
	}
	works := from("Hello@acme.test")
	w.settle(took(works[0], "b.1@bounce.acme.test", &mail.TLSFacts{Version: "TLS1.3", Verified: true}, "s1", "s2"),
		took(works[1], "b.2@mx.host.test", &mail.TLSFacts{Version: "TLS1.2"}, "s1"), took(works[2], "b.3@bounce.acme.test", nil))
	s := w.suppression("dan@one.test", "hard_bounce", "")
	w.settle(w.bounced(works[3], &s))
	w.cameBack(queue.EffectDone, queue.Returned{Delivery: works[1].Delivery.Row, Status: mail.Complained})
	second := w.letter("eve@one.test", "flo@one.test")
	works = w.send(second)
	w.settle(w.deferred(works[0], w.now.Add(time.Hour)))
	for _, other := range []string{"x@sub.acme.test", "x@notacme.test", "acme.test@other.test"} {
		for _, work := range from(other) {
			w.settle(took(work, "b@other.test", nil, "s9"))
		}
	}
	live := w.owner
	w.owner.Env = mail.Test
	w.accept(w.letter("ada@one.test"))
	w.owner = mail.Owner{Project: live.Project + 1, Env: mail.Live}
	w.accept(w.letter("ada@one.test"))
	w.owner = live

	t := w.health(w.now.Add(-time.Hour), 10)
	equal(w, "traffic", fmt.Sprint(t.Messages, t.Recipients, t.Cut), "2 6 false")
	equal(w, "statuses", fmt.Sprint(t.Statuses), fmt.Sprint(map[mail.Status]int64{mail.Delivered: 2, mail.Complained: 1, mail.Bounced: 1, mail.Deferred: 1, works[1].Delivery.Status: 1}))
	equal(w, "bounces", fmt.Sprint(t.Bounces), "map[unknown_user:1]")
	equal(w, "signed", fmt.Sprint(t.Taken, t.Signed, t.Selectors), "3 2 map[s1:2 s2:1]")
	equal(w, "return paths", fmt.Sprint(t.ReturnPaths), "map[bounce.acme.test:2 mx.host.test:1]")
	equal(w, "TLS", fmt.Sprint(t.Encrypted, t.Verified), "2 1")
}

// dueAt is a domain whose check comes at a time.
func (w *world) dueAt(p project.Project, name string, at time.Time) project.Domain {
	w.Helper()
	d := w.domain(p, name)
	d.ID, d.NextCheckAt = mail.NewID(w.now), at
	d, err := w.s.CreateDomain(w.ctx, d, nil, nil)
	w.must(err)
	return d
}

// due names the domains that are due.
func (w *world) due(now time.Time, limit int) (names string, next time.Time) {
	w.Helper()
	list, next, err := w.s.DomainsDue(w.ctx, now, limit)
	w.must(err)
	var all []string
	for _, d := range list {
		all = append(all, d.Name)
	}
	return strings.Join(all, " "), next
}

var domainClauses = []clause{
	{"health counts what became of one domain's live mail, and how it went", domainHealth},
	{"health looks at the newest within its bounds, and tells when one of them ended it", func(w *world) {
		start := w.now
		for i := range 4 {
			w.now = start.Add(time.Duration(i) * time.Hour)
			w.accept(w.letter("ada@one.test", "bob@one.test"))
		}
		t := w.health(start, 4)
		equal(w, "all", fmt.Sprint(t.Messages, t.Recipients, t.Cut, t.Oldest.Equal(start)), "4 8 false true")
		t = w.health(start.Add(time.Hour), 4)
		equal(w, "since", fmt.Sprint(t.Messages, t.Recipients, t.Cut, t.Oldest.Equal(start.Add(time.Hour))), "3 6 false true")
		t = w.health(start, 2)
		equal(w, "limited", fmt.Sprint(t.Messages, t.Recipients, t.Cut, t.Oldest.Equal(start.Add(2*time.Hour))), "2 4 true true")
		for range 19 {
			a := w.letter("ada@one.test")
			a.Message.From.Email = "hello@other.test"
			w.accept(a)
		}
		t = w.health(start, 2)
		equal(w, "behind others' mail", fmt.Sprint(t.Messages, t.Cut), "1 true")
		w.accept(w.letter(make25()...))
		w.accept(w.letter(make25()...))
		t = w.health(start, 2)
		equal(w, "of many recipients", fmt.Sprint(t.Messages, t.Recipients, t.Cut), "1 25 true")
	}},
	{"domains are due in the order of their checks, of all projects, and no more than asked for", func(w *world) {
		one, two := w.project("one"), w.project("two")
		names, next := w.due(w.now, 10)
		equal(w, "due", names, "")
		equal(w, "next", next.IsZero(), true)
		w.dueAt(one, "later.test", w.now.Add(time.Hour))
		w.dueAt(one, "now.test", w.now)
		w.dueAt(two, "past.test", w.now.Add(-time.Hour))
		d := w.dueAt(two, "longest.test", w.now.Add(-2*time.Hour))
		names, next = w.due(w.now, 10)
		equal(w, "due", names, "longest.test past.test now.test")
		equal(w, "next", next, w.now.Add(time.Hour))
		names, _ = w.due(w.now, 2)
		equal(w, "the two longest due", names, "longest.test past.test")
		d.NextCheckAt = w.now.Add(2 * time.Hour)
		_, err := w.s.RecordCheck(w.ctx, d, nil)
		w.must(err)
		names, next = w.due(w.now.Add(90*time.Minute), 10)
		equal(w, "due after a check", names, "past.test now.test later.test")
		equal(w, "next", next, w.now.Add(2*time.Hour))
	}},
	{"a check moves no version, and neither it nor an edit overwrites the other", func(w *world) {
		p := w.project("default")
		read, err := w.s.CreateDomain(w.ctx, w.domain(p, "acme.test"), nil, nil)
		w.must(err)
		checked := read
		checked.Status, checked.LastCheckedAt = "verified", w.now
		e := w.event(mail.EventDomainVerified)
		checked, err = w.s.RecordCheck(w.ctx, checked, []mail.Event{e})
		w.must(err)
		equal(w, "version after a check", checked.Version, read.Version)
		edit := read
		edit.TLS = "required"
		_, err = w.s.UpdateDomain(w.ctx, edit, read.Version, nil)
		w.wantErr(err, mail.ErrStale)
		edit = checked
		edit.TLS = "required"
		edited, err := w.s.UpdateDomain(w.ctx, edit, read.Version, nil)
		w.must(err)
		equal(w, "version after an edit", edited.Version, read.Version+1)
		equal(w, "status", edited.Status, "verified")
		_, err = w.s.RecordCheck(w.ctx, checked, nil)
		w.wantErr(err, mail.ErrStale)
		_, err = w.s.UpdateDomain(w.ctx, edited, read.Version, nil)
		w.wantErr(err, mail.ErrStale)
		edited.ID = mail.NewID(w.now)
		_, err = w.s.RecordCheck(w.ctx, edited, nil)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"a domain changed under a used idempotency key is replayed, and stays", func(w *world) {
		p := w.project("default")
		d, err := w.s.CreateDomain(w.ctx, w.domain(p, "acme.test"), nil, nil)
		w.must(err)
		answer := func(d project.Domain) mail.Answer { return mail.Answer{Status: 201, Body: []byte(d.TLS)} }
		once := w.once("rotate")
		d.TLS = "required"
		kept, err := w.s.UpdateDomainOnce(w.ctx, d, once, answer)
		w.must(err)
		equal(w, "version", kept.Version, d.Version+1)
		d.TLS = "opportunistic"
		_, err = w.s.UpdateDomainOnce(w.ctx, d, once, answer)
		var replayed *mail.Replayed
		if !errors.As(err, &replayed) || string(replayed.Answer.Body) != "required" {
			w.Fatalf("got %v, want a replay", err)
		}
		_, err = w.s.UpdateDomainOnce(w.ctx, d, w.once("other"), answer)
		w.wantErr(err, mail.ErrStale)
		read, err := w.s.DomainByID(w.ctx, p.Row, d.ID)
		w.must(err)
		equal(w, "TLS", read.TLS, "required")
		equal(w, "version", read.Version, kept.Version)
	}},
}

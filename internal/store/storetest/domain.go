package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

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

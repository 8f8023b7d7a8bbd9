package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

func (w *world) project(name string) project.Project {
	w.Helper()
	p, err := w.s.CreateProject(w.ctx, project.Project{ID: mail.NewID(w.now), Name: name, CreatedAt: w.now,
		Settings: project.Settings{DefaultFrom: "Acme <hello@acme.test>", AllowedDomains: []string{"acme.test"}}}, nil, nil)
	w.must(err)
	return p
}

func (w *world) key(p project.Project, id string) project.Key {
	rate := 600
	return project.Key{ID: id, Project: p.Row, ProjectID: p.ID, Env: mail.Test, Name: "ci", Prefix: "sk_test_" + id, Hash: [32]byte{1, id[0]},
		Scopes: []string{"messages.send"}, AllowedFrom: []string{"*@acme.test"}, IPAllowlist: []string{"10.0.0.0/8"}, RatePerMinute: &rate,
		MaxRecipients: 3, CreatedBy: "usr_x", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
}

// shown is a key with the number behind its pointer, to compare.
func shown(k project.Key) string {
	rate := -1
	if k.RatePerMinute != nil {
		rate = *k.RatePerMinute
	}
	k.RatePerMinute = nil
	return fmt.Sprintf("%+v rate %d", k, rate)
}

var projectClauses = []clause{
	{"projects are made, found and changed", func(w *world) {
		p := w.project("default")
		_, err := w.s.CreateProject(w.ctx, project.Project{ID: mail.NewID(w.now), Name: "default", CreatedAt: w.now}, nil, nil)
		w.wantErr(err, mail.ErrExists)
		byName, err := w.s.ProjectByName(w.ctx, "default")
		w.must(err)
		equal(w, "by name", fmt.Sprint(byName), fmt.Sprint(p))
		rate := 5
		p.Settings.RatePerMinute, p.Suspended = &rate, true
		changed, err := w.s.UpdateProject(w.ctx, p, p.Version)
		w.must(err)
		equal(w, "version", changed.Version, p.Version+1)
		equal(w, "rate", *changed.Settings.RatePerMinute, 5)
		equal(w, "suspended", changed.Suspended, true)
		equal(w, "from", changed.Settings.DefaultFrom, "Acme <hello@acme.test>")
		_, err = w.s.UpdateProject(w.ctx, p, p.Version)
		w.wantErr(err, mail.ErrStale)
		_, err = w.s.UpdateProject(w.ctx, p, 0)
		w.must(err)
		second := w.project("second")
		second.Name = "default"
		_, err = w.s.UpdateProject(w.ctx, second, 0)
		w.wantErr(err, mail.ErrExists)
		all, err := w.s.Projects(w.ctx)
		w.must(err)
		equal(w, "projects", len(all), 2)
		_, err = w.s.ProjectByRow(w.ctx, 4711)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"keys are made, found, changed, used and revoked", func(w *world) {
		p := w.project("default")
		k, err := w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), nil, nil)
		w.must(err)
		_, err = w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), nil, nil)
		w.wantErr(err, mail.ErrExists)
		byHash, err := w.s.KeyByHash(w.ctx, k.Hash)
		w.must(err)
		equal(w, "by hash", shown(byHash), shown(k))
		k.Name, k.Disabled = "renamed", true
		changed, err := w.s.UpdateKey(w.ctx, k, k.Version)
		w.must(err)
		equal(w, "name", changed.Name, "renamed")
		equal(w, "disabled", changed.Disabled, true)
		_, err = w.s.UpdateKey(w.ctx, k, k.Version)
		w.wantErr(err, mail.ErrStale)
		w.must(w.s.TouchKeys(w.ctx, []project.KeyUse{{ID: k.ID, At: w.now, IP: "192.0.2.1", Agent: "curl"}, {ID: k.ID, At: w.now.Add(-time.Hour), IP: "old"}}))
		used, err := w.s.KeyByID(w.ctx, k.ID)
		w.must(err)
		equal(w, "used at", used.LastUsedAt, w.now)
		equal(w, "used from", used.LastUsedIP, "192.0.2.1")
		w.wantErr(w.s.RevokeKey(w.ctx, p.Row+1, k.ID, "x", w.now), mail.ErrNotFound)
		w.must(w.s.RevokeKey(w.ctx, p.Row, k.ID, "x", w.now))
		w.must(w.s.RevokeKey(w.ctx, p.Row, k.ID, "x", w.now.Add(time.Hour)))
		revoked, err := w.s.KeyByID(w.ctx, k.ID)
		w.must(err)
		equal(w, "revoked at", revoked.RevokedAt, w.now)
		second, err := w.s.CreateKey(w.ctx, w.key(p, "bbbbbbbb"), nil, nil)
		w.must(err)
		all, err := w.s.Keys(w.ctx, p.Row)
		w.must(err)
		equal(w, "keys", len(all), 2)
		equal(w, "newest first", all[0].ID, second.ID)
		_, err = w.s.KeyByID(w.ctx, "cccccccc")
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"creating a key with a used idempotency key is replayed", func(w *world) {
		p := w.project("default")
		answer := func(k project.Key) mail.Answer { return mail.Answer{Status: 201, Body: []byte(k.ID)} }
		_, err := w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), w.once("k"), answer)
		w.must(err)
		_, err = w.s.CreateKey(w.ctx, w.key(p, "bbbbbbbb"), w.once("k"), answer)
		var replayed *mail.Replayed
		if !errors.As(err, &replayed) || string(replayed.Answer.Body) != "aaaaaaaa" {
			w.Fatalf("got %v, want a replay", err)
		}
	}},
	{"domains are made, found, changed and deleted", func(w *world) {
		p := w.project("default")
		in := w.domain(p, "acme.test")
		d, err := w.s.CreateDomain(w.ctx, in, nil, nil)
		w.must(err)
		_, err = w.s.CreateDomain(w.ctx, w.domain(p, "acme.test"), nil, nil)
		w.wantErr(err, mail.ErrExists)
		read, err := w.s.DomainByName(w.ctx, p.Row, "acme.test")
		w.must(err)
		in.Row, in.Version = d.Row, d.Version
		equal(w, "domain", fmt.Sprintf("%+v", read), fmt.Sprintf("%+v", in))
		_, err = w.s.DomainByName(w.ctx, p.Row+1, "acme.test")
		w.wantErr(err, mail.ErrNotFound)
		d.Status, d.ReturnPathOK = "verified", true
		e := w.event(mail.EventDomainVerified)
		changed, err := w.s.UpdateDomain(w.ctx, d, d.Version, []mail.Event{e})
		w.must(err)
		equal(w, "status", changed.Status, "verified")
		_, err = w.s.UpdateDomain(w.ctx, d, d.Version, nil)
		w.wantErr(err, mail.ErrStale)
		w.wantErr(w.s.DeleteDomain(w.ctx, p.Row+1, d.ID, false, "x", w.now), mail.ErrNotFound)
		w.must(w.s.DeleteDomain(w.ctx, p.Row, d.ID, false, "x", w.now))
		all, err := w.s.Domains(w.ctx, p.Row)
		w.must(err)
		equal(w, "domains", len(all), 0)
	}},
	{"a domain whose mail waits is deleted by force only, and the mail fails", func(w *world) {
		p := w.project("default")
		w.owner.Project = p.Row
		d, err := w.s.CreateDomain(w.ctx, w.domain(p, "acme.test"), nil, nil)
		w.must(err)
		waits, held := w.letter("ada@one.test"), w.letter("bob@one.test")
		other := w.letter("cy@one.test")
		other.Message.From.Email = "x@sub.acme.test"
		work := w.send(held)[0]
		w.accept(waits)
		w.accept(other)
		w.wantErr(w.s.DeleteDomain(w.ctx, p.Row, d.ID, false, "x", w.now), mail.ErrExists)
		w.must(w.s.DeleteDomain(w.ctx, p.Row, d.ID, true, "x", w.now))
		for _, id := range []mail.ID{waits.Message.ID, held.Message.ID} {
			equal(w, "status", w.delivery(id).Status, mail.Failed)
			events := w.events(w.record(id).Message.Row)
			equal(w, "reason", events[len(events)-1].Detail.Reason, "domain_removed")
		}
		w.settleLost(w.delivered(work))
		equal(w, "another domain's mail", w.delivery(other.Message.ID).Status, mail.Queued)
	}},
}

func (w *world) domain(p project.Project, name string) project.Domain {
	return project.Domain{ID: mail.NewID(w.now), Project: p.Row, Name: name, Status: "pending", ReturnPath: "bounce", TLS: "opportunistic",
		DefaultFrom: "hello@" + name, Checks: map[string]string{"dkim": "unknown"}, Records: []byte(`[{"a":1}]`), CreatedAt: w.now, NextCheckAt: w.now.Add(time.Minute),
		Keys: []project.DKIMKey{{Selector: "s1", Algorithm: "rsa2048", State: "active", Sealed: []byte{0, 1, 255}, Public: []byte{2}, CreatedAt: w.now}}}
}

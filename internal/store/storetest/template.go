package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/template"
)

// template is one with a draft, as a caller makes it.
func (w *world) template(p project.Project, alias string) (render.Template, render.Version) {
	return render.Template{ID: mail.NewID(w.now), Project: p.Row, Alias: alias, Name: "Name of " + alias, Description: "d", Engine: template.Mustache,
			DefaultFrom: "hello@acme.test", Layout: "base", Draft: 1, Latest: 1, CreatedAt: w.now, UpdatedAt: w.now, UpdatedBy: "key_x",
			Variables: []render.Variable{{Name: "name", Type: "string", Required: true}, {Name: "n", Type: "array", Default: []byte(`[1]`)}}},
		render.Version{Number: 1, State: render.VersionDraft, Parts: render.Parts{Subject: "s", HTML: "<p>{{name}}\x00é", Text: "t", Preheader: "p"},
			Locales: map[string]render.Parts{"pt": {HTML: "<p>olá"}}, Declared: []render.Variable{{Name: "n", Type: "array", Default: []byte(`[1]`)}},
			Note: "first", SHA256: [32]byte{1, 2}, Variables: []render.Variable{{Name: "name", Type: "string", Required: true}}, CreatedAt: w.now, CreatedBy: "key_x"}
}

func (w *world) created(p project.Project, alias string) render.Template {
	w.Helper()
	t, v := w.template(p, alias)
	t, err := w.s.CreateTemplate(w.ctx, t, v, nil, nil)
	w.must(err)
	return t
}

// publish makes a version of a template the published one.
func (w *world) publish(t render.Template, number int, add bool) (render.Template, error) {
	v := render.Version{Number: number, State: render.VersionPublished, Parts: render.Parts{HTML: fmt.Sprint("published ", number)},
		InlineCSS: true, Inlined: map[string]string{"": "x"}, PublishedAt: w.now, PublishedBy: "key_y"}
	c := render.Change{Template: t, Publish: &v, Events: []mail.Event{w.event(mail.EventTemplatePublished)}}
	c.Template.Published, c.Template.Draft, c.Template.Latest = number, 0, max(number, t.Latest)
	if add {
		c.Add = &v
	}
	return w.s.ChangeTemplate(w.ctx, c)
}

func (w *world) states(t render.Template) (out string) {
	w.Helper()
	all, err := w.s.TemplateVersions(w.ctx, t.Row, 0, 100, true)
	w.must(err)
	for _, v := range all {
		out += fmt.Sprintf("%d %s ", v.Number, v.State)
	}
	return out
}

var templateClauses = []clause{
	{"a template is made with its first version, and both are read back whole", func(w *world) {
		p := w.project("default")
		in, first := w.template(p, "welcome")
		t, err := w.s.CreateTemplate(w.ctx, in, first, nil, nil)
		w.must(err)
		in.Row, in.Revision = t.Row, 1
		for what, read := range map[string]func() (render.Template, error){
			"by alias": func() (render.Template, error) { return w.s.TemplateByAlias(w.ctx, p.Row, "welcome") },
			"by id":    func() (render.Template, error) { return w.s.TemplateByID(w.ctx, p.Row, t.ID) },
		} {
			got, err := read()
			w.must(err)
			equal(w, what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", in))
		}
		v, err := w.s.TemplateVersion(w.ctx, t.Row, 1)
		w.must(err)
		equal(w, "version", fmt.Sprintf("%+v", v), fmt.Sprintf("%+v", first))
		listed, err := w.s.TemplateVersions(w.ctx, t.Row, 0, 10, false)
		w.must(err)
		equal(w, "listed without parts", listed[0].Note+listed[0].HTML, "first")
		_, err = w.s.TemplateVersion(w.ctx, t.Row, 2)
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.TemplateByAlias(w.ctx, p.Row+1, "welcome")
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.TemplateByID(w.ctx, p.Row+1, t.ID)
		w.wantErr(err, mail.ErrNotFound)
		in, first = w.template(p, "welcome")
		_, err = w.s.CreateTemplate(w.ctx, in, first, nil, nil)
		w.wantErr(err, mail.ErrExists)
		other := w.created(w.project("second"), "welcome")
		equal(w, "another project's", other.Alias, "welcome")
	}},
	{"publishing a version archives the one before and the drafts it was preferred to", func(w *world) {
		t := w.created(w.project("default"), "welcome")
		for n := 2; n <= 4; n++ {
			c := render.Change{Template: t, Add: &render.Version{Number: n, State: render.VersionDraft}}
			c.Template.Draft, c.Template.Latest = n, n
			kept, err := w.s.ChangeTemplate(w.ctx, c)
			w.must(err)
			equal(w, "revision", kept.Revision, t.Revision+1)
			t = kept
		}
		t, err := w.publish(t, 2, false)
		w.must(err)
		equal(w, "states", w.states(t), "1 archived 2 published 3 draft 4 draft ")
		t, err = w.publish(t, 4, false)
		w.must(err)
		equal(w, "states", w.states(t), "1 archived 2 archived 3 archived 4 published ")
		t, err = w.publish(t, 5, true)
		w.must(err)
		equal(w, "states", w.states(t), "1 archived 2 archived 3 archived 4 archived 5 published ")
		read, err := w.s.TemplateByAlias(w.ctx, t.Project, "welcome")
		w.must(err)
		equal(w, "published", read.Published, 5)
		v, err := w.s.TemplateVersion(w.ctx, t.Row, 4)
		w.must(err)
		equal(w, "content as published", v.HTML+v.Inlined[""]+v.PublishedBy, "published 4xkey_y")
		page, err := w.s.TemplateVersions(w.ctx, t.Row, 4, 2, false)
		w.must(err)
		equal(w, "a page", fmt.Sprint(len(page), page[0].Number), "2 3")
	}},
	{"a template changes only as it was read, and a version that is not there is not published", func(w *world) {
		p := w.project("default")
		t := w.created(p, "welcome")
		w.created(p, "other")
		c := render.Change{Template: t}
		c.Template.Alias, c.Template.Name = "hello", "Hello"
		kept, err := w.s.ChangeTemplate(w.ctx, c)
		w.must(err)
		equal(w, "alias", kept.Alias, "hello")
		_, err = w.s.ChangeTemplate(w.ctx, c)
		w.wantErr(err, mail.ErrStale)
		c.Template = kept
		c.Template.Alias = "other"
		_, err = w.s.ChangeTemplate(w.ctx, c)
		w.wantErr(err, mail.ErrExists)
		if _, err := w.publish(kept, 7, false); err == nil {
			w.Fatal("a version that is not there was published")
		}
		read, err := w.s.TemplateByID(w.ctx, p.Row, t.ID)
		w.must(err)
		equal(w, "nothing of it", fmt.Sprint(read.Published, read.Revision), fmt.Sprint(0, kept.Revision))
		kept.Project++
		_, err = w.s.ChangeTemplate(w.ctx, render.Change{Template: kept})
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"a template made or changed under a used idempotency key is replayed, and stays", func(w *world) {
		p := w.project("default")
		answer := func(t render.Template) mail.Answer {
			return mail.Answer{Status: 201, Body: fmt.Append(nil, t.Alias, " ", t.Revision)}
		}
		in, v := w.template(p, "welcome")
		t, err := w.s.CreateTemplate(w.ctx, in, v, w.once("create"), answer)
		w.must(err)
		in, v = w.template(p, "other")
		_, err = w.s.CreateTemplate(w.ctx, in, v, w.once("create"), answer)
		w.replayed(err, "welcome 1")
		c := render.Change{Template: t, Add: &render.Version{Number: 2, State: render.VersionDraft}, Once: w.once("draft"), Answer: answer}
		_, err = w.s.ChangeTemplate(w.ctx, c)
		w.must(err)
		c.Add.Number = 3
		_, err = w.s.ChangeTemplate(w.ctx, c)
		w.replayed(err, "welcome 2")
		equal(w, "states", w.states(t), "1 draft 2 draft ")
	}},
	{"an archived template is found by id only, and its alias is free", func(w *world) {
		p := w.project("default")
		t := w.created(p, "welcome")
		w.wantErr(w.s.ArchiveTemplate(w.ctx, p.Row, t.ID, t.Revision+1, false, "x", w.now), mail.ErrStale)
		w.wantErr(w.s.ArchiveTemplate(w.ctx, p.Row+1, t.ID, 0, true, "x", w.now), mail.ErrNotFound)
		w.must(w.s.ArchiveTemplate(w.ctx, p.Row, t.ID, t.Revision, false, "x", w.now))
		w.wantErr(w.s.ArchiveTemplate(w.ctx, p.Row, t.ID, 0, true, "x", w.now), mail.ErrNotFound)
		_, err := w.s.TemplateByAlias(w.ctx, p.Row, "welcome")
		w.wantErr(err, mail.ErrNotFound)
		read, err := w.s.TemplateByID(w.ctx, p.Row, t.ID)
		w.must(err)
		equal(w, "archived", read.ArchivedAt, w.now)
		equal(w, "by", read.UpdatedBy, "x")
		_, err = w.publish(read, 1, false)
		w.wantErr(err, mail.ErrNotFound)
		again := w.created(p, "welcome")
		equal(w, "another", again.ID != t.ID, true)
	}},
	{"a template that scheduled messages use is archived by force only", func(w *world) {
		p := w.project("default")
		w.owner = mail.Owner{Project: p.Row, Env: mail.Test}
		used, free := w.created(p, "used"), w.created(p, "free")
		a := scheduled(w.letter("ada@one.test"), w.now.Add(time.Hour))
		a.Message.Template = mail.TemplateRef{ID: used.ID, Alias: "used", Version: 1}
		w.accept(a)
		queued := w.letter("bob@one.test")
		queued.Message.Template = mail.TemplateRef{ID: free.ID, Alias: "free", Version: 1}
		w.accept(queued)
		w.must(w.s.ArchiveTemplate(w.ctx, p.Row, free.ID, 0, false, "x", w.now))
		w.wantErr(w.s.ArchiveTemplate(w.ctx, p.Row, used.ID, 0, false, "x", w.now), mail.ErrExists)
		w.must(w.s.ArchiveTemplate(w.ctx, p.Row, used.ID, 0, true, "x", w.now))
		equal(w, "the message", w.delivery(a.Message.ID).Status, mail.Scheduled)
	}},
	{"templates are listed by page, word and whether they are published", func(w *world) {
		p := w.project("default")
		var all []render.Template
		for _, alias := range []string{"a-welcome", "receipt", "b-welcome", "gone"} {
			all = append(all, w.created(p, alias))
		}
		w.created(w.project("second"), "c-welcome")
		w.must(w.s.ArchiveTemplate(w.ctx, p.Row, all[3].ID, 0, false, "x", w.now))
		_, err := w.publish(all[1], 1, false)
		w.must(err)
		yes, no := true, false
		for want, q := range map[string]render.Query{
			"b-welcome receipt a-welcome ": {Limit: 10},
			"a-welcome receipt b-welcome ": {Limit: 10, Ascending: true},
			"receipt a-welcome ":           {Limit: 10, After: all[2].Row},
			"b-welcome ":                   {Limit: 1},
			"b-welcome a-welcome ":         {Limit: 10, Text: "WELCOME"},
			"receipt ":                     {Limit: 10, Published: &yes},
			"b-welcome a-welcome":          {Limit: 10, Published: &no},
			"":                             {Limit: 10, Text: "%"},
		} {
			q.Project = p.Row
			got, err := w.s.Templates(w.ctx, q)
			w.must(err)
			names := ""
			for _, t := range got {
				names += t.Alias + " "
			}
			if q.Published == &no {
				want += " "
			}
			equal(w, fmt.Sprintf("%+v", q), names, want)
		}
	}},
}

func (w *world) replayed(err error, body string) {
	w.Helper()
	var replayed *mail.Replayed
	if !errors.As(err, &replayed) || string(replayed.Answer.Body) != body {
		w.Fatalf("got %v, want a replay of %q", err, body)
	}
}

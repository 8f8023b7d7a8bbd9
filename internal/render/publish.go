package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/cssinline"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// Draft is a new version to make. What is nil is taken from the version it is based on.
type Draft struct {
	BasedOn                        *int // nil: it stands alone
	Subject, HTML, Text, Preheader *string
	Locales                        map[string]Parts
	Declared                       *[]Variable
	Note                           string
	By                             string
}

// AddDraft makes a new draft.
func (l *Library) AddDraft(ctx context.Context, project int64, ref string, d Draft, ifRevision int64, once *mail.Once, answer Answers) (Template, Version, error) {
	var v Version
	t, err := l.change(ctx, project, ref, ifRevision, func(t *Template) (*Change, error) {
		var err error
		if v, err = l.draft(ctx, t, &d); err != nil {
			return nil, err
		}
		t.Latest++
		t.Draft, t.UpdatedAt, t.UpdatedBy = t.Latest, v.CreatedAt, d.By
		v.Number = t.Latest
		if err := l.complete(ctx, t, &v); err != nil {
			return nil, err
		}
		if t.Published == 0 {
			t.Variables = v.Variables
		}
		return &Change{Template: *t, Add: &v, Once: once, Answer: answer.of(&v)}, nil
	})
	return t, v, err
}

func (l *Library) draft(ctx context.Context, t *Template, d *Draft) (v Version, err error) {
	var j judging
	if d.BasedOn != nil {
		v, err = l.store.TemplateVersion(ctx, t.Row, *d.BasedOn)
		if errors.Is(err, mail.ErrNotFound) {
			j.fault("invalid_value", "based_on", fmt.Sprintf("There is no version %d; the newest is %d.", *d.BasedOn, t.Latest))
			return v, j.verdict()
		}
		if err != nil {
			return v, err
		}
	}
	v = Version{State: VersionDraft, Parts: v.Parts, Locales: v.Locales, Declared: v.Declared, Note: d.Note, CreatedAt: l.now(), CreatedBy: d.By}
	for _, f := range []struct{ to, from *string }{{&v.Subject, d.Subject}, {&v.HTML, d.HTML}, {&v.Text, d.Text}, {&v.Preheader, d.Preheader}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if d.Locales != nil {
		v.Locales = d.Locales
	}
	if d.Declared != nil {
		v.Declared = *d.Declared
	}
	j.version(&v)
	return v, j.verdict()
}

// Publication is an order to publish.
type Publication struct {
	Number     int
	Note       *string // nil leaves the version's
	InlineCSS  bool
	By         string
	IfRevision int64
}

// Published writes what the caller of a publication is told.
type Published func(Template, *Version, []mail.Warning) mail.Answer

// Publish makes a draft the version that is sent, at once for all. One that is published
// already stays so. Warnings tell what callers and readers will notice; they are known
// before answer is called.
func (l *Library) Publish(ctx context.Context, project int64, ref string, p Publication, once *mail.Once, answer Published) (t Template, v Version, warnings []mail.Warning, err error) {
	t, err = l.change(ctx, project, ref, p.IfRevision, func(t *Template) (*Change, error) {
		if v, err = l.store.TemplateVersion(ctx, t.Row, p.Number); err != nil {
			return nil, err
		}
		switch v.State {
		case VersionPublished:
			warnings = nil
			return nil, nil
		case VersionArchived:
			return nil, &mail.Error{Code: "state_conflict", Status: 409, Message: fmt.Sprintf("Version %d is archived. Bring it back under a new number: POST …/rollback {\"to\":%d}.", v.Number, v.Number)}
		}
		if p.Note != nil {
			v.Note = *p.Note
		}
		var j judging
		j.length("note", v.Note, maxNote)
		if err := j.verdict(); err != nil {
			return nil, err
		}
		if warnings, err = l.release(ctx, t, &v, p.InlineCSS, p.By); err != nil {
			return nil, err
		}
		c := l.publication(t, &v)
		c.Once, c.Answer = once, publishAnswer(answer, &v, &warnings)
		return c, nil
	})
	return t, v, warnings, err
}

func publishAnswer(answer Published, v *Version, warnings *[]mail.Warning) func(Template) mail.Answer {
	if answer == nil {
		return nil
	}
	return func(t Template) mail.Answer { return answer(t, v, *warnings) }
}

// Rollback publishes an old version again, under a new number.
func (l *Library) Rollback(ctx context.Context, project int64, ref string, p Publication, once *mail.Once, answer Published) (t Template, v Version, warnings []mail.Warning, err error) {
	t, err = l.change(ctx, project, ref, p.IfRevision, func(t *Template) (*Change, error) {
		var j judging
		old, err := l.store.TemplateVersion(ctx, t.Row, p.Number)
		switch {
		case errors.Is(err, mail.ErrNotFound):
			j.fault("invalid_value", "to", fmt.Sprintf("There is no version %d; the newest is %d.", p.Number, t.Latest))
			return nil, j.verdict()
		case err != nil:
			return nil, err
		case old.PublishedAt.IsZero():
			j.fault("invalid_value", "to", fmt.Sprintf("Version %d was never published: there is nothing to go back to.", p.Number))
			return nil, j.verdict()
		case old.State == VersionPublished:
			return nil, &mail.Error{Code: "state_conflict", Status: 409, Suggestion: VersionPublished, Message: fmt.Sprintf("Version %d is the published one.", p.Number)}
		}
		t.Latest++
		v = Version{Number: t.Latest, Parts: old.Parts, Locales: old.Locales, Declared: old.Declared, CreatedAt: l.now(), CreatedBy: p.By,
			Note: "Rollback to version " + strconv.Itoa(old.Number)}
		if p.Note != nil {
			v.Note = *p.Note
		}
		j.length("note", v.Note, maxNote)
		if err := j.verdict(); err != nil {
			return nil, err
		}
		if warnings, err = l.release(ctx, t, &v, old.InlineCSS, p.By); err != nil {
			return nil, err
		}
		c := l.publication(t, &v)
		c.Add, c.Once, c.Answer = &v, once, publishAnswer(answer, &v, &warnings)
		return c, nil
	})
	return t, v, warnings, err
}

// release makes a version ready to be sent: it must parse, and its styles are inlined if
// that was asked for. It warns of what the version before did not need.
func (l *Library) release(ctx context.Context, t *Template, v *Version, inlineCSS bool, by string) (warnings []mail.Warning, err error) {
	c := compile(t, v)
	if c.broken {
		return nil, c.faults(func(part string) string { return part })
	}
	if inlineCSS {
		if warnings, err = inlineStyles(v); err != nil {
			return nil, err
		}
		if c = compile(t, v); c.broken { // what was inlined must still be a template
			return nil, c.faults(func(part string) string { return part })
		}
	}
	v.State, v.PublishedAt, v.PublishedBy = VersionPublished, l.now(), by
	if err := l.complete(ctx, t, v); err != nil {
		return nil, err
	}
	lost, err := l.lost(ctx, t, c)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, lost...)
	if t.Published != 0 {
		before, err := l.store.TemplateVersion(ctx, t.Row, t.Published)
		if err != nil {
			return nil, err
		}
		for _, name := range newlyRequired(v.Variables, before.Variables) {
			warnings = append(warnings, mail.Warning{Code: "variable_newly_required",
				Message: fmt.Sprintf("Version %d needs '%s', which version %d did not: requests without it will be refused.", v.Number, clip(name), before.Number)})
		}
	}
	return warnings, nil
}

// inlineStyles makes the HTML that is sent; what was written stays as it is.
func inlineStyles(v *Version) (warnings []mail.Warning, err error) {
	v.InlineCSS, v.Inlined = true, map[string]string{}
	for _, locale := range v.locales() {
		html := v.parts(locale).HTML
		if html == "" {
			continue
		}
		out, err := cssinline.Inline(html)
		if err != nil {
			var j judging
			j.fault("invalid_value", "inline_css", "The styles cannot be inlined: "+err.Error()+".")
			return nil, j.verdict()
		}
		v.Inlined[locale] = out.HTML
		if len(out.Overridden) > 0 {
			warnings = append(warnings, mail.Warning{Code: "css_overridden", Pointer: "#/inline_css",
				Message: "Rules that stay in <style> no longer hold for " + strings.Join(out.Overridden, ", ") + ", which now stand inline too: add !important to them."})
		}
	}
	return warnings, nil
}

// lost warns of partials and layouts that are not there to be sent.
func (l *Library) lost(ctx context.Context, t *Template, c *compiled) (warnings []mail.Warning, err error) {
	names := map[string]bool{}
	for i := range c.variants {
		v := &c.variants[i]
		for _, p := range []*template.Template{v.subject, v.preheader, v.html, v.text} {
			if p == nil {
				continue
			}
			for _, name := range p.Partials() {
				if !bringsItsOwn(p.Source(), name) {
					names[name] = true
				}
			}
		}
	}
	if t.Layout != "" {
		names[t.Layout] = true
	}
	r := l.lookAt(ctx, t, c)
	r.drafts = false
	for name := range names {
		if _, ok := r.include(name); !ok {
			warnings = append(warnings, mail.Warning{Code: "partial_not_published", Message: "It includes '" + clip(name) + "', which is not a published template: sending it will be refused where that is reached."})
		}
	}
	slices.SortFunc(warnings, func(a, b mail.Warning) int { return strings.Compare(a.Message, b.Message) })
	return warnings, r.err
}

// bringsItsOwn tells whether a source declares a partial itself, or says what is shown where
// there is none.
func bringsItsOwn(source, name string) bool {
	for _, before := range []string{`*inline "`, `*inline '`, `{{#>`, `{{#> `, `{{~#>`, `{{~#> `} {
		if strings.Contains(source, before+name) {
			return true
		}
	}
	return false
}

// publication moves a template to a version, with the event that tells of it. Templates
// serve both environments, an event stands in one: in the live one's log, as of domains.
func (l *Library) publication(t *Template, v *Version) *Change {
	e := mail.Event{ID: mail.NewID(v.PublishedAt), Owner: mail.Owner{Project: t.Project, Env: mail.Live}, Type: mail.EventTemplatePublished, At: v.PublishedAt,
		Detail: mail.Detail{Object: t.ID.Text(mail.PrefixTemplate), Template: t.Alias, Version: v.Number, Before: t.Published, By: v.PublishedBy, Summary: t.Alias + "@" + strconv.Itoa(v.Number)}}
	t.Published = v.Number
	if t.Draft <= v.Number {
		t.Draft = 0
	}
	t.Variables, t.UpdatedAt, t.UpdatedBy = v.Variables, v.PublishedAt, v.PublishedBy
	return &Change{Template: *t, Publish: v, Events: []mail.Event{e}}
}

// Versions lists a template's versions without their parts: below a number (0 = all),
// newest first, or above it, oldest first.
func (l *Library) Versions(ctx context.Context, t *Template, after, limit int, ascending bool) ([]Version, error) {
	return l.store.TemplateVersions(ctx, t.Row, after, limit, ascending)
}

// Version gives one version whole, by number, "published" or "draft".
func (l *Library) Version(ctx context.Context, t *Template, which string) (Version, error) {
	n := 0
	switch which {
	case VersionPublished:
		n = t.Published
	case VersionDraft:
		n = t.Draft
	default:
		n, _ = strconv.Atoi(which)
	}
	if n <= 0 {
		return Version{}, mail.ErrNotFound
	}
	return l.store.TemplateVersion(ctx, t.Row, n)
}

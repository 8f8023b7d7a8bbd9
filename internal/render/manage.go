package render

import (
	"context"
	"errors"
	"fmt"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// NewTemplate is a template to make; its content becomes draft 1.
type NewTemplate struct {
	Template Template // Alias, Name, Description, Engine, DefaultFrom, Layout
	Version  Version  // its parts, Locales, Declared, Note
	By       string
}

// Answers writes what the maker of a template or version is told.
type Answers func(Template, *Version) mail.Answer

func (f Answers) of(v *Version) func(Template) mail.Answer {
	if f == nil {
		return nil
	}
	return func(t Template) mail.Answer { return f(t, v) }
}

// Create makes a template with its first draft. Faults are mail.Faults; a taken alias is
// mail.ErrExists.
func (l *Library) Create(ctx context.Context, project int64, n NewTemplate, once *mail.Once, answer Answers) (Template, Version, error) {
	now := l.now()
	t, v := n.Template, n.Version
	t.ID, t.Project, t.Published, t.Draft, t.Latest = mail.NewID(now), project, 0, 1, 1
	t.CreatedAt, t.UpdatedAt, t.UpdatedBy = now, now, n.By
	if t.Name == "" {
		t.Name = t.Alias
	}
	v.Number, v.State, v.CreatedAt, v.CreatedBy = 1, VersionDraft, now, n.By
	var j judging
	j.template(&t)
	j.version(&v)
	if err := l.judgeLayout(ctx, &j, &t); err != nil {
		return Template{}, Version{}, err
	}
	if err := j.verdict(); err != nil {
		return Template{}, Version{}, err
	}
	if err := l.complete(ctx, &t, &v); err != nil {
		return Template{}, Version{}, err
	}
	t.Variables = v.Variables
	audit.Changed(ctx, t.ID.Text(mail.PrefixTemplate), nil, templateShape(&t))
	kept, err := l.store.CreateTemplate(ctx, t, v, once, answer.of(&v))
	if err != nil {
		return Template{}, Version{}, err
	}
	l.forget(&kept)
	return kept, v, nil
}

// complete adds what follows from a version's parts.
func (l *Library) complete(ctx context.Context, t *Template, v *Version) (err error) {
	v.SHA256 = v.sum()
	if v.Variables, err = l.inferred(ctx, t, compile(t, v)); err != nil {
		return fmt.Errorf("infer variables: %w", err)
	}
	return nil
}

// judgeLayout looks whether the layout is there. An error is ours.
func (l *Library) judgeLayout(ctx context.Context, j *judging, t *Template) error {
	if t.Layout == "" {
		return nil
	}
	h, err := l.head(ctx, t.Project, t.Layout)
	if err != nil {
		return err
	}
	if h.template == nil {
		var faults mail.Faults
		errors.As(notFound("layout", t.Layout, h.nearest), &faults)
		j.faults = append(j.faults, faults...)
	}
	return nil
}

// Find gives a template by alias or id ("tmpl_…"); an archived one by its id only.
func (l *Library) Find(ctx context.Context, project int64, ref string) (Template, error) {
	return l.find(ctx, project, ref)
}

// List gives a page of a project's templates.
func (l *Library) List(ctx context.Context, q Query) ([]Template, error) {
	return l.store.Templates(ctx, q)
}

// Edit is what may change of a description; nil leaves it.
type Edit struct {
	Alias, Name, Description, DefaultFrom, Layout *string
	By                                            string
}

// Update changes a template's description. ifRevision 0 means any, else mail.ErrStale when
// it is another by now.
func (l *Library) Update(ctx context.Context, project int64, ref string, e Edit, ifRevision int64) (Template, error) {
	return l.change(ctx, project, ref, ifRevision, func(t *Template) (*Change, error) {
		for _, f := range []struct{ to, from *string }{{&t.Alias, e.Alias}, {&t.Name, e.Name}, {&t.Description, e.Description}, {&t.DefaultFrom, e.DefaultFrom}, {&t.Layout, e.Layout}} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		if t.Name == "" {
			t.Name = t.Alias
		}
		t.UpdatedAt, t.UpdatedBy = l.now(), e.By
		var j judging
		j.template(t)
		if err := l.judgeLayout(ctx, &j, t); err != nil {
			return nil, err
		}
		return &Change{Template: *t}, j.verdict()
	})
}

// Archive takes a template out of use; its alias becomes free. Without force it is
// mail.ErrExists while scheduled messages use it: they are rendered already, and sent
// either way.
func (l *Library) Archive(ctx context.Context, project int64, ref string, ifRevision int64, force bool, by string) error {
	t, err := l.find(ctx, project, ref)
	if err != nil {
		return err
	}
	audit.Changed(ctx, t.ID.Text(mail.PrefixTemplate), templateShape(&t), nil)
	if err := l.store.ArchiveTemplate(ctx, project, t.ID, ifRevision, force, by, l.now()); err != nil {
		return err
	}
	l.forget(&t)
	return nil
}

// templateShape is a template as audits tell of it; versions by their numbers.
func templateShape(t *Template) any {
	return map[string]any{"alias": t.Alias, "name": t.Name, "description": t.Description, "engine": string(t.Engine), "default_from": t.DefaultFrom, "layout": t.Layout,
		"published_version": t.Published, "latest_version": t.Latest}
}

// errArchived is the refusal to change what is out of use.
var errArchived = &mail.Error{Code: "state_conflict", Status: 409, Message: "The template is archived: it can be read, and nothing else."}

// change applies an owner's change to the template as it is now, again when somebody
// else was faster, unless the caller insists on a revision. make may be called again.
func (l *Library) change(ctx context.Context, project int64, ref string, ifRevision int64, make func(*Template) (*Change, error)) (Template, error) {
	for try := 0; ; try++ {
		t, err := l.find(ctx, project, ref)
		switch {
		case err != nil:
			return Template{}, err
		case !t.ArchivedAt.IsZero():
			return Template{}, errArchived
		case ifRevision != 0 && t.Revision != ifRevision:
			return Template{}, mail.ErrStale
		}
		before := templateShape(&t)
		c, err := make(&t)
		if err != nil {
			return Template{}, err
		}
		if c == nil { // it is so already
			return t, nil
		}
		audit.Changed(ctx, t.ID.Text(mail.PrefixTemplate), before, templateShape(&c.Template))
		kept, err := l.store.ChangeTemplate(ctx, *c)
		if err == nil {
			l.forget(&kept)
			return kept, nil
		}
		if !errors.Is(err, mail.ErrStale) || ifRevision != 0 || try == 4 {
			return Template{}, err
		}
	}
}

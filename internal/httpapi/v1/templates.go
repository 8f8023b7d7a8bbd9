package v1

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/template"
)

// Templates keeps the templates: render.Library.
type Templates interface {
	Create(ctx context.Context, project int64, n render.NewTemplate, once *mail.Once, answer render.Answers) (render.Template, render.Version, error)
	Find(ctx context.Context, project int64, ref string) (render.Template, error)
	List(ctx context.Context, q render.Query) ([]render.Template, error)
	Update(ctx context.Context, project int64, ref string, e render.Edit, ifRevision int64) (render.Template, error)
	Archive(ctx context.Context, project int64, ref string, ifRevision int64, force bool, by string) error

	Versions(ctx context.Context, t *render.Template, after, limit int, ascending bool) ([]render.Version, error)
	Version(ctx context.Context, t *render.Template, which string) (render.Version, error)
	AddDraft(ctx context.Context, project int64, ref string, d render.Draft, ifRevision int64, once *mail.Once, answer render.Answers) (render.Template, render.Version, error)
	Publish(ctx context.Context, project int64, ref string, p render.Publication, once *mail.Once, answer render.Published) (render.Template, render.Version, []mail.Warning, error)
	Rollback(ctx context.Context, project int64, ref string, p render.Publication, once *mail.Once, answer render.Published) (render.Template, render.Version, []mail.Warning, error)

	Diff(ctx context.Context, t *render.Template, from, to int) ([]render.PartDiff, error)
	Problems(t *render.Template, v *render.Version) []render.Problem
	Preview(ctx context.Context, o render.PreviewOrder) (render.Preview, error)
	Validate(ctx context.Context, o render.PreviewOrder) (valid bool, problems []render.Problem, err error)
}

// fullTemplate is §4.
type fullTemplate struct {
	row         int64
	ID          string            `json:"template_id"`
	Object      string            `json:"object"`
	Alias       string            `json:"alias"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Engine      string            `json:"engine"`
	DefaultFrom *string           `json:"default_from"`
	Layout      *string           `json:"layout"`
	Published   *int              `json:"published_version"`
	Draft       *int              `json:"draft_version"`
	Variables   []render.Variable `json:"variables"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	UpdatedBy   *string           `json:"updated_by"`
	ArchivedAt  time.Time         `json:"archived_at"`
	// Contents, where one template is shown.
	PublishedContent *templateVersionOut `json:"published,omitempty"`
	DraftContent     *templateVersionOut `json:"draft,omitempty"`
	Problems         []problemOut        `json:"problems,omitempty"`
	Warnings         []mail.Warning      `json:"warnings,omitempty"`
}

func fullTemplateOf(t *render.Template) fullTemplate {
	out := fullTemplate{row: t.Row, ID: t.ID.Text(mail.PrefixTemplate), Object: "template", Alias: t.Alias, Name: t.Name, Description: t.Description, Engine: t.Engine.String(),
		DefaultFrom: orNull(t.DefaultFrom), Layout: orNull(t.Layout), Published: numberOrNull(t.Published), Draft: numberOrNull(t.Draft),
		Variables: t.Variables, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, UpdatedBy: orNull(t.UpdatedBy), ArchivedAt: t.ArchivedAt}
	if out.Variables == nil {
		out.Variables = []render.Variable{}
	}
	return out
}

func numberOrNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

var templateFields = []string{"alias", "name", "description", "engine", "default_from", "layout"}

func (a *API) createTemplate(c *httpapi.Call) {
	n := render.NewTemplate{By: c.Who.By()}
	in := contentForm{version: &n.Version}
	f, ok := a.readForm(c, append(templateFields, contentFields...), func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "engine":
			n.Template.Engine = readEngine(f, v)
		case !in.field(f, name, v):
			*map[string]*string{"alias": &n.Template.Alias, "name": &n.Template.Name, "description": &n.Template.Description,
				"default_from": &n.Template.DefaultFrom, "layout": &n.Template.Layout}[name], _ = f.text(name, v)
		}
	})
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(t render.Template, v *render.Version) mail.Answer {
		out := fullTemplateOf(&t)
		draft := versionOf(v)
		out.DraftContent, out.Problems, out.Warnings = &draft, problemsOf(a.o.Templates.Problems(&t, v)), warnings
		return kept(turn.Once, http.StatusCreated, "/v1/templates/"+out.ID, out, requestID)
	}
	t, v, err := a.o.Templates.Create(c.Context(), c.Who.Owner.Project, n, turn.Once, tell)
	if err != nil {
		c.Finish(turn, mail.Answer{}, aliasTaken(err, n.Template.Alias))
		return
	}
	c.ETag(t.Revision)
	c.Finish(turn, tell(t, &v), nil)
}

// kept is an answer that may be kept under an idempotency key.
func kept(once *mail.Once, status int, location string, body any, requestID string) mail.Answer {
	answer := mail.Answer{Status: status, Location: location, Body: encode(body), RequestID: requestID}
	if once != nil {
		answer.Fingerprint, answer.Expires = once.Fingerprint, once.Expires
	}
	return answer
}

func aliasTaken(err error, alias string) error {
	if errors.Is(err, mail.ErrExists) {
		return &mail.Error{Code: "already_exists", Status: http.StatusConflict, Message: "The project has a template '" + clip(alias, 64) + "' already."}
	}
	return err
}

func readEngine(f *form, v value) template.Engine {
	s, ok := f.text("engine", v)
	engine, known := template.EngineOf(s)
	if ok && (!known || s == "") {
		f.fault("engine", "invalid_value", "'engine' is 'handlebars' or 'mustache'.")
	}
	return engine
}

func (a *API) listTemplates(c *httpapi.Call) {
	l := a.list(c, "include=total", "q", "published")
	q := render.Query{Project: c.Who.Owner.Project, Text: l.text("q"), After: l.After, Limit: l.Limit + 1, Ascending: l.Ascending}
	switch v, given := l.value("published"); {
	case !given:
	case v == "true" || v == "false":
		is := v == "true"
		q.Published = &is
	default:
		l.invalid("published", "'published' is 'true' or 'false'.")
	}
	if l.failed() {
		return
	}
	all, err := a.o.Templates.List(c.Context(), q)
	count := counting(func(ctx context.Context, most int) ([]render.Template, error) {
		q.Limit, q.After = most, 0
		return a.o.Templates.List(ctx, q)
	})
	pageOf(a, l, all, err, count, fullTemplateOf, func(t *fullTemplate) int64 { return t.row })
}

func (a *API) getTemplate(c *httpapi.Call) {
	t, ok := a.findTemplate(c)
	if !ok {
		return
	}
	out := fullTemplateOf(&t)
	for _, v := range []struct {
		number int
		to     **templateVersionOut
	}{{t.Published, &out.PublishedContent}, {t.Draft, &out.DraftContent}} {
		if v.number == 0 {
			continue
		}
		content, err := a.o.Templates.Version(c.Context(), &t, strconv.Itoa(v.number))
		if err != nil {
			c.Fail(err)
			return
		}
		shown := versionOf(&content)
		*v.to = &shown
	}
	c.ETag(t.Revision)
	give(c, http.StatusOK, out)
}

// findTemplate gives the template a path names; where there is none it has answered.
func (a *API) findTemplate(c *httpapi.Call) (render.Template, bool) {
	t, err := a.o.Templates.Find(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return t, false
	}
	return t, true
}

func (a *API) patchTemplate(c *httpapi.Call) {
	e := render.Edit{By: c.Who.By()}
	f, ok := a.readForm(c, templateFields, func(f *form, name string, v value) {
		text := ""
		switch {
		case name == "engine":
			f.fault(name, "invalid_value", "A template's engine cannot change. Create another template.")
			return
		case v.isNull() && name == "alias":
			f.fault(name, "invalid_value", "'alias' cannot be null.")
			return
		case !v.isNull():
			text, _ = f.text(name, v)
		}
		*map[string]**string{"alias": &e.Alias, "name": &e.Name, "description": &e.Description, "default_from": &e.DefaultFrom, "layout": &e.Layout}[name] = &text
	})
	if !ok || f.failed() {
		return
	}
	t, err := a.o.Templates.Update(c.Context(), c.Who.Owner.Project, c.Param(0), e, c.IfMatch())
	if err != nil {
		alias := ""
		if e.Alias != nil {
			alias = *e.Alias
		}
		c.Fail(aliasTaken(err, alias))
		return
	}
	out := fullTemplateOf(&t)
	out.Warnings = f.allWarnings()
	c.ETag(t.Revision)
	give(c, http.StatusOK, out)
}

func (a *API) deleteTemplate(c *httpapi.Call) {
	err := a.o.Templates.Archive(c.Context(), c.Who.Owner.Project, c.Param(0), c.IfMatch(), truth(c.R.URL.Query().Get("force")), c.Who.By())
	switch {
	case errors.Is(err, mail.ErrExists):
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "Scheduled messages were made from this template. They are rendered already: with ?force=true it is archived and they are sent as they are.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: "in_use"}}})
	case err != nil:
		c.Fail(err)
	default:
		c.Empty()
	}
}

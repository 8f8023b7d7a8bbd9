package render

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// budget bounds the rendering of one part: a message's HTML and text have at most 10 MB each.
var budget = template.Budget{Output: 10 << 20}

// reference is what a request says of a template: "welcome", "welcome@7", "tmpl_…@draft".
type reference struct {
	name   string
	number int  // 0: the published one, or the draft
	draft  bool // @draft
	bad    bool // what follows the @ is no version
}

func readReference(s string) reference {
	name, version, pinned := strings.Cut(s, "@")
	r := reference{name: name}
	switch {
	case !pinned, version == VersionPublished:
	case version == "draft":
		r.draft = true
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(version, "v"))
		r.number, r.bad = n, err != nil || n < 1
	}
	return r
}

// Render implements [Templates].
func (l *Library) Render(ctx context.Context, s *Source) (Body, error) {
	ref := readReference(s.Template)
	h, err := l.head(ctx, s.Owner.Project, ref.name)
	if err != nil {
		return Body{}, err
	}
	if h.template == nil {
		return Body{}, notFound("template", ref.name, h.nearest)
	}
	t := h.template
	c, err := l.choose(ctx, t, ref, s.Owner.Env)
	if err != nil {
		return Body{}, err
	}
	if c.broken {
		return Body{}, c.faults(func(string) string { return "template" })
	}
	r := &rendering{l: l, ctx: ctx, project: s.Owner.Project, template: t, version: c, strict: !s.Lax, drafts: c.draft, subject: s.Subject == nil, pointer: "#/template_data"}
	if r.locale, err = sourceLocale(s.Locale); err != nil {
		return Body{}, err
	}
	if err := r.decode(s.Data); err != nil {
		return Body{}, err
	}
	return r.run()
}

func sourceLocale(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	locale, ok := Locale(s)
	if !ok {
		return "", mail.Faults{{Code: "invalid_value", Field: "locale", Pointer: "#/locale", Message: "'locale' is a language tag such as 'pt-BR'."}}
	}
	return locale, nil
}

// choose finds the version a request means, and whether it may be sent there.
func (l *Library) choose(ctx context.Context, t *Template, ref reference, env mail.Env) (*compiled, error) {
	number := ref.number
	switch {
	case ref.bad:
		return nil, templateFault("template_not_found", "A version is a number or 'draft', as in '"+t.Alias+"@7'.")
	case ref.draft && env != mail.Test:
		return nil, templateFault("template_not_published", "Drafts can be sent with test keys only. Publish the draft, or leave '@draft' out.")
	case ref.draft && t.Draft == 0:
		return nil, templateFault("template_not_found", "Template '"+t.Alias+"' has no draft.")
	case ref.draft:
		number = t.Draft
	case number == 0 && t.Published == 0:
		return nil, templateFault("template_not_published", "Template '"+t.Alias+"' has no published version. Publish one: POST /v1/templates/"+t.Alias+"/versions/"+strconv.Itoa(t.Draft)+"/publish")
	case number == 0:
		number = t.Published
	}
	c, err := l.version(ctx, t, number)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return nil, templateFault("template_not_found", fmt.Sprintf("Template '%s' has no version %d; the newest is %d.", t.Alias, number, t.Latest))
	case err != nil:
		return nil, err
	case !c.released && env != mail.Test:
		return nil, templateFault("template_not_published", fmt.Sprintf("Version %d of template '%s' was never published. Drafts can be sent with test keys only.", number, t.Alias))
	}
	return c, nil
}

func templateFault(code, message string) error {
	return mail.Faults{{Code: code, Field: "template", Pointer: "#/template", Message: message}}
}

func notFound(field, alias, nearest string) error {
	e := &mail.Error{Code: "template_not_found", Field: field, Pointer: mail.PointerTo(field), Message: "There is no template '" + clip(alias) + "'.", Suggestion: nearest}
	if nearest != "" {
		e.Message += " Did you mean '" + nearest + "'?"
	}
	return mail.Faults{e}
}

// rendering is one message's.
type rendering struct {
	l        *Library
	ctx      context.Context
	project  int64
	template *Template
	version  *compiled
	locale   string
	data     any
	strict   bool
	drafts   bool                 // templates it includes may be unpublished
	subject  bool                 // the subject is wanted
	pointer  string               // where the data lies in the request
	own      map[string]*compiled // partials of the request itself

	missing  []template.Missing
	problems []template.Problem // of values
	err      error              // ours, met while looking for a partial
}

// decode reads the data, and gives what is declared to what it lacks.
func (r *rendering) decode(raw []byte) error {
	data, err := template.Decode(raw)
	if err != nil {
		return mail.Faults{{Code: "invalid_value", Field: mail.FieldAt(r.pointer), Pointer: r.pointer, Message: "The template data cannot be used: " + err.Error() + "."}}
	}
	r.data = data
	o, ok := data.(*template.Object)
	if !ok {
		return mail.Faults{{Code: "invalid_type", Field: mail.FieldAt(r.pointer), Pointer: r.pointer, Message: "The template data must be an object."}}
	}
	for i := range r.version.declared {
		d := &r.version.declared[i]
		if !d.top {
			continue
		}
		if v, has := o.Get(d.Name); has && v != nil {
			continue
		}
		if d.Required && len(d.Default) == 0 {
			r.missing = append(r.missing, template.Missing{Path: d.Name, Pointer: r.pointer + mail.PointerStep(d.Name)})
			continue
		}
		o.Set(d.Name, d.fallback)
	}
	return nil
}

// run renders all parts, and reports what is missing in any of them at once.
func (r *rendering) run() (Body, error) {
	b := Body{DefaultFrom: r.template.DefaultFrom, Template: mail.TemplateRef{ID: r.template.ID, Alias: r.template.Alias, Version: r.version.number}}
	v := r.version.pick(r.locale)
	layout, err := r.layout()
	if err != nil {
		return Body{}, err
	}
	if r.subject {
		b.Subject, err = r.part(v.subject, nil, template.Subject)
		b.Subject = oneLine(b.Subject)
	}
	if err == nil {
		b.HTML, err = r.part(v.html, layout.html, template.HTML)
	}
	if err == nil && b.HTML != "" {
		b.Preheader, err = r.part(v.preheader, nil, template.HTML)
	}
	if err == nil {
		b.Text, err = r.part(v.text, layout.text, template.Text)
	}
	switch {
	case err != nil:
		return Body{}, err
	case r.strict && len(r.missing) > 0:
		return Body{}, r.missingFaults()
	}
	for _, p := range r.problems {
		b.Warnings = append(b.Warnings, mail.Warning{Code: "template_value_replaced", Pointer: r.pointer,
			Message: fmt.Sprintf("Template %s, line %d, column %d: %s.", p.Template, p.Line, p.Column, p.Message)})
	}
	return b, nil
}

// layout finds the template this one is shown inside of.
func (r *rendering) layout() (variant, error) {
	if r.template.Layout == "" {
		return variant{}, nil
	}
	v, ok := r.include(r.template.Layout)
	switch {
	case r.err != nil:
		return variant{}, r.err
	case !ok:
		return variant{}, templateFault("template_render_error", "The layout '"+r.template.Layout+"' of template '"+r.template.Alias+"' is not there, or not published.")
	}
	return v, nil
}

// part renders one. Missing variables are gathered; another error ends the rendering.
func (r *rendering) part(t, layout *template.Template, format template.Format) (string, error) {
	if t == nil {
		return "", nil
	}
	s, err := t.String(r.data, template.Options{
		Layout: layout, Strict: r.strict, Pointer: r.pointer, Budget: budget, Now: r.l.now,
		Partials: func(name string) (*template.Template, bool) { return r.partial(name, format) },
		Warn:     func(p template.Problem) { r.problems = append(r.problems, p) },
	})
	var missing *template.MissingError
	var broken *template.RenderError
	switch {
	case r.err != nil:
		return "", r.err
	case errors.As(err, &missing):
		r.missing = append(r.missing, missing.Missing...)
	case errors.As(err, &broken):
		return "", mail.Faults{{Code: "template_render_error", Field: "template", Pointer: "#/template", Line: broken.Line, Column: broken.Column,
			Message: fmt.Sprintf("Template %s, line %d, column %d: %s.", broken.Template, broken.Line, broken.Column, broken.Message)}}
	case err != nil:
		return "", fmt.Errorf("render template %s: %w", r.version.of, err)
	}
	return s, nil
}

// partial finds a partial: the request's own first, then the project's templates.
func (r *rendering) partial(name string, format template.Format) (*template.Template, bool) {
	v, ok := r.include(name)
	if !ok {
		return nil, false
	}
	t := v.part(format)
	return t, t != nil
}

// include finds another template's content in the language asked for.
func (r *rendering) include(name string) (variant, bool) {
	if c, ok := r.own[name]; ok {
		return c.pick(r.locale), !c.broken
	}
	h, err := r.l.head(r.ctx, r.project, name)
	if err != nil {
		r.err = err
	}
	if err != nil || h.template == nil {
		return variant{}, false
	}
	number := h.template.Published
	if number == 0 && r.drafts {
		number = h.template.Draft
	}
	if number == 0 {
		return variant{}, false
	}
	c, err := r.l.version(r.ctx, h.template, number)
	if err != nil {
		r.err = err
		return variant{}, false
	}
	return c.pick(r.locale), !c.broken
}

// missingFaults names each variable once.
func (r *rendering) missingFaults() mail.Faults {
	var out mail.Faults
	seen := map[string]bool{}
	for _, m := range r.missing {
		if seen[m.Pointer] {
			continue
		}
		seen[m.Pointer] = true
		kind := "a value"
		for _, v := range r.version.version.Variables {
			if v.Name == m.Path {
				kind = v.Type
			}
		}
		message := fmt.Sprintf("Template '%s' v%d needs '%s' (%s)", r.template.Alias, r.version.number, clip(m.Path), kind)
		if m.Line > 0 {
			message += fmt.Sprintf(": %s, line %d, column %d", m.Template, m.Line, m.Column)
		}
		out = append(out, &mail.Error{Code: "template_variable_missing", Field: mail.FieldAt(m.Pointer), Pointer: m.Pointer, Line: m.Line, Column: m.Column, Message: message + "."})
	}
	return out
}

// oneLine is a subject without line ends around or inside of it.
func oneLine(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == '\r' || c == '\n' }), " ")
}

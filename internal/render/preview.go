package render

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// PreviewOrder asks what a template makes of data. It is either of a saved one (Ref) or of
// content that is nowhere yet.
type PreviewOrder struct {
	Project  int64
	Ref      string // alias or id; "" = Template and Version are unsaved
	Which    string // a number, "published", "draft"; "" = the draft, else the published one
	Template Template
	Version  Version
	Partials map[string]Parts // go before the project's templates
	Locale   string
	Data     []byte // raw JSON
}

// Problem is one thing that is wrong with a template, or may be.
type Problem struct {
	Severity string // "error" or "warning"
	Code     string
	Part     string // "html", "locales.pt.html"; "" = the whole
	Line     int    // from 1; 0 when no place is known
	Column   int
	Message  string
}

// Preview is what a rendering would give.
type Preview struct {
	Body
	Missing  []string // variables it needs and the data lacks
	Unused   []string // names at the top of the data that nothing asks for
	Problems []Problem
}

// Preview renders and sends nothing. What is wrong with the template or lacks in the data is
// part of the answer; faults are those of the request.
func (l *Library) Preview(ctx context.Context, o PreviewOrder) (Preview, error) {
	r, err := l.lookFor(ctx, &o)
	if err != nil {
		return Preview{}, err
	}
	return r.preview(o.Data)
}

// lookFor finds or compiles what an order is about.
func (l *Library) lookFor(ctx context.Context, o *PreviewOrder) (*rendering, error) {
	t, c := &o.Template, (*compiled)(nil)
	if o.Ref == "" {
		t.Project = o.Project
		var j judging
		j.version(&o.Version)
		if err := j.verdict(); err != nil {
			return nil, err
		}
		c = compile(t, &o.Version)
	} else {
		found, err := l.find(ctx, o.Project, o.Ref)
		if err != nil {
			return nil, err
		}
		t = &found
		if c, err = l.shown(ctx, t, o.Which); err != nil {
			return nil, err
		}
	}
	r := l.lookAt(ctx, t, c)
	r.own = map[string]*compiled{}
	for name, parts := range o.Partials {
		r.own[name] = compile(&Template{Alias: name, Engine: t.Engine}, &Version{Parts: parts})
	}
	var err error
	r.locale, err = sourceLocale(o.Locale)
	return r, err
}

// shown is the version that is looked at: the draft, unless something else is asked for.
func (l *Library) shown(ctx context.Context, t *Template, which string) (*compiled, error) {
	n := t.Draft
	switch {
	case which == "" && n == 0, which == VersionPublished:
		n = t.Published
	case which == "", which == VersionDraft:
	default:
		n = readReference("x@" + which).number
	}
	c, err := (*compiled)(nil), mail.ErrNotFound
	if n > 0 {
		c, err = l.version(ctx, t, n)
	}
	if errors.Is(err, mail.ErrNotFound) {
		return nil, mail.Faults{{Code: "invalid_value", Field: "version", Pointer: "#/version",
			Message: fmt.Sprintf("The template has no version '%s': give a number, 'published' or 'draft', where there is such a one.", clip(which))}}
	}
	return c, err
}

func (r *rendering) preview(data []byte) (Preview, error) {
	p := Preview{Missing: []string{}, Unused: []string{}, Problems: r.version.listed()}
	for _, c := range r.own {
		p.Problems = append(p.Problems, c.listed()...)
	}
	if err := r.decode(data); err != nil {
		return Preview{}, err
	}
	p.Unused = unused(r.data, r.infer())
	if r.err != nil || r.version.broken {
		p.Body.Template = mail.TemplateRef{ID: r.template.ID, Alias: r.template.Alias, Version: r.version.number}
		return p, r.err
	}
	err := r.attempt(&p)
	return p, err
}

// attempt renders strictly, to learn what is missing, then without.
func (r *rendering) attempt(p *Preview) (err error) {
	r.strict = true
	p.Body, err = r.run()
	for _, m := range r.missing {
		if !slices.Contains(p.Missing, m.Path) {
			p.Missing = append(p.Missing, m.Path)
		}
	}
	if len(r.missing) > 0 {
		r.strict, r.missing, r.problems = false, nil, nil
		p.Body, err = r.run()
	}
	var faults mail.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			p.Problems = append(p.Problems, Problem{template.Severe.String(), f.Code, "", f.Line, f.Column, f.Message})
		}
		err = nil
	}
	for _, v := range r.problems {
		p.Problems = append(p.Problems, Problem{v.Severity.String(), v.Code, "", v.Line, v.Column, "Template " + v.Template + ": " + v.Message + "."})
	}
	p.Body.Warnings = nil // told as problems
	p.Body.finish(true)
	return err
}

// Problems are those of a version's parts by themselves.
func (l *Library) Problems(t *Template, v *Version) []Problem { return compile(t, v).listed() }

// listed are the problems of parsing.
func (c *compiled) listed() []Problem {
	out := []Problem{}
	for _, p := range c.problems {
		out = append(out, Problem{p.Severity.String(), p.Code, p.field, p.Line, p.Column, p.Message})
	}
	return out
}

// sample is data made of what is declared: examples, else defaults.
func (c *compiled) sample() []byte {
	b := []byte{'{'}
	for i := range c.declared {
		d := &c.declared[i]
		value := d.Example
		if len(value) == 0 {
			value = d.Default
		}
		if !d.top || len(value) == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, d.Name)
		b = append(append(b, ':'), value...)
	}
	return append(b, '}')
}

package render

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// compiled is a version ready for rendering. It never changes.
type compiled struct {
	of       string // "welcome v7"
	number   int
	state    string
	draft    bool
	released bool      // it was published at some time
	until    time.Time // of a draft: when it is looked at again
	size     int64
	variants []variant // by locale, the default ("") first
	problems []problem // every one, severe or not
	broken   bool      // some are severe: nothing can be rendered
	declared []declared
	version  *Version // without parts
}

// variant is one language of a version; parts it does not have are nil.
type variant struct {
	locale                         string
	subject, preheader, html, text *template.Template
}

// problem is one of a part's, and where the part stands in a version.
type problem struct {
	template.Problem
	field string // "html", "locales.pt-BR.html"
}

// declared is a variable with a value for data that lacks it.
type declared struct {
	Variable
	fallback any
	top      bool // a name at the top of the data
}

// overhead is about what a tree takes beside its source.
const overhead = 4

// compile parses all parts of a version.
func compile(t *Template, v *Version) *compiled {
	c := &compiled{of: t.Alias, number: v.Number, state: v.State, draft: v.State == VersionDraft, released: !v.PublishedAt.IsZero()}
	if v.Number > 0 {
		c.of += fmt.Sprintf(" v%d", v.Number)
	}
	for _, locale := range v.locales() {
		p := v.parts(locale)
		if v.InlineCSS && v.Inlined[locale] != "" {
			p.HTML = v.Inlined[locale]
		}
		c.variants = append(c.variants, variant{locale: locale,
			subject:   c.parse(t.Engine, template.Subject, locale, "subject", p.Subject),
			preheader: c.parse(t.Engine, template.HTML, locale, "preheader", p.Preheader),
			html:      c.parse(t.Engine, template.HTML, locale, "html", p.HTML),
			text:      c.parse(t.Engine, template.Text, locale, "text", p.Text)})
	}
	for _, d := range v.Declared {
		c.declare(d)
	}
	kept := *v
	kept.Parts, kept.Locales, kept.Inlined = Parts{}, nil, nil
	c.version = &kept
	return c
}

func (c *compiled) parse(engine template.Engine, format template.Format, locale, part, source string) *template.Template {
	if source == "" {
		return nil
	}
	field, name := part, c.of+", "+part
	if locale != "" {
		field, name = "locales."+locale+"."+part, name+" ("+locale+")"
	}
	t, problems := template.Parse(engine, format, name, source, template.Limits{})
	for _, p := range problems {
		c.problems = append(c.problems, problem{p, field})
		c.broken = c.broken || p.Severity == template.Severe
	}
	c.size += int64(len(source)) * overhead
	return t
}

func (c *compiled) declare(d Variable) {
	out := declared{Variable: d, top: isTop(d.Name)}
	if len(d.Default) > 0 {
		if v, err := template.Decode(d.Default); err == nil { // judged when it was saved
			out.fallback = v
		}
	} else {
		out.fallback = "" // optional and not given: prints nothing
	}
	c.declared = append(c.declared, out)
}

// faults are the severe problems as a caller is told of them, at a field of the request.
func (c *compiled) faults(field func(part string) string) mail.Faults {
	var out mail.Faults
	for _, p := range c.problems {
		if p.Severity == template.Severe {
			at := field(p.field)
			out = append(out, &mail.Error{Code: "template_render_error", Field: at, Pointer: mail.PointerTo(at), Line: p.Line, Column: p.Column,
				Message: fmt.Sprintf("Template %s, line %d, column %d: %s.", p.Template, p.Line, p.Column, p.Message)})
		}
	}
	return out
}

// pick gives what is rendered in a locale. Subject and preheader fall back by themselves;
// HTML and text come from one language together.
func (c *compiled) pick(locale string) variant {
	if len(c.variants) == 1 {
		return c.variants[0]
	}
	out := variant{locale: locale}
	bodied := false
	for _, l := range fallBack(locale) {
		for i := range c.variants {
			v := &c.variants[i]
			if v.locale != l {
				continue
			}
			if out.subject == nil {
				out.subject = v.subject
			}
			if out.preheader == nil {
				out.preheader = v.preheader
			}
			if !bodied && (v.html != nil || v.text != nil) {
				bodied = true
				out.html, out.text, out.locale = v.html, v.text, v.locale
			}
		}
	}
	return out
}

// part is what a partial or a layout of this format is.
func (v *variant) part(format template.Format) *template.Template {
	switch format {
	case template.HTML:
		return v.html
	case template.Text:
		return v.text
	default: // a subject's partial is text
		if v.text != nil {
			return v.text
		}
		return v.subject
	}
}

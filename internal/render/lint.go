package render

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/postroad/postroad/internal/template"
)

// clipSize is the size of HTML beyond which Gmail shows only its beginning.
const clipSize = 102 << 10

const maxLints = 100 // of one part

// Validate compiles a template and looks for what commonly goes wrong in mails. valid: it can
// be published. Faults are those of the request.
func (l *Library) Validate(ctx context.Context, o PreviewOrder) (valid bool, problems []Problem, err error) {
	r, err := l.lookFor(ctx, &o)
	if err != nil {
		return false, nil, err
	}
	c := r.version
	problems = c.listed()
	data := o.Data
	if len(data) == 0 {
		data = c.sample()
	}
	for i := range c.variants {
		v := &c.variants[i]
		prefix := ""
		if v.locale != "" {
			prefix = "locales." + v.locale + "."
		}
		problems = append(problems, lintParts(v, prefix)...)
		if c.broken {
			continue
		}
		r.locale, r.missing, r.problems = v.locale, nil, nil
		if err := r.decode(data); err != nil {
			return false, nil, err
		}
		p := Preview{}
		if err := r.attempt(&p); err != nil {
			return false, nil, err
		}
		problems = append(problems, lintResult(&p, prefix)...)
	}
	lost, err := l.lost(ctx, r.template, c)
	if err != nil {
		return false, nil, err
	}
	for _, w := range lost {
		problems = append(problems, Problem{Severity: template.Warning.String(), Code: w.Code, Message: w.Message})
	}
	return !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == template.Severe.String() }), problems, nil
}

// lintParts looks at what is written.
func lintParts(v *variant, prefix string) (out []Problem) {
	warn := func(part, code, message string) {
		out = append(out, Problem{Severity: template.Warning.String(), Code: code, Part: prefix + part, Message: message})
	}
	if v.locale == "" && v.subject == nil {
		warn("subject", "subject_missing", "It has no subject: each request must bring one.")
	}
	if v.html != nil && v.text == nil {
		warn("text", "text_missing", "It has no text part: one is made from the HTML.")
	}
	if v.html != nil {
		out = append(out, lintHTML(v.html.Source(), prefix+"html")...)
	}
	return out
}

// lintHTML goes through the tags of a source. Tags of the template are text to it.
func lintHTML(source, part string) (out []Problem) {
	tokens := html.NewTokenizer(strings.NewReader(source))
	offset := 0
	for len(out) < maxLints {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		at := offset
		offset += len(tokens.Raw())
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		warn := func(code, message string) {
			line, column := place(source, at)
			out = append(out, Problem{template.Warning.String(), code, part, line, column, message})
		}
		name, more := tokens.TagName()
		element := atom.Lookup(name)
		alt := false
		for more {
			var key, value []byte
			key, value, more = tokens.TagAttr()
			switch attribute := string(key); {
			case attribute == "alt":
				alt = true
			case (attribute == "href" || attribute == "src") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(string(value))), "http://"):
				warn("insecure_link", "It leads to http://, which some mail programs warn of: use https.")
			}
		}
		if element == atom.Img && !alt {
			warn("image_without_alt", "The image has no alt text, which is all many readers see.")
		}
	}
	return out
}

// lintResult looks at what sample data makes of it.
func lintResult(p *Preview, prefix string) (out []Problem) {
	for _, problem := range p.Problems {
		problem.Part = prefix + problem.Part
		out = append(out, problem)
	}
	warn := func(part, code, message string) {
		out = append(out, Problem{Severity: template.Warning.String(), Code: code, Part: prefix + part, Message: message})
	}
	for part, s := range map[string]string{"subject": p.Subject, "html": p.HTML, "text": p.Text} {
		if strings.Contains(s, "{{") || strings.Contains(s, "}}") {
			warn(part, "leftover_tag", "What is sent still holds '{{' or '}}': a tag is not closed, or written for another engine.")
		}
	}
	if len(p.HTML) > clipSize {
		warn("html", "too_large_for_gmail", fmt.Sprintf("The HTML has %d KB; Gmail shows the first 102 KB.", len(p.HTML)>>10))
	}
	if name := unbalanced(p.HTML); name != "" {
		warn("html", "element_not_closed", name)
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Part+a.Code, b.Part+b.Code) })
	return out
}

// closed are elements that mail programs get wrong when one of their tags is missing.
var closed = map[atom.Atom]bool{atom.Table: true, atom.Div: true, atom.A: true, atom.Span: true, atom.B: true, atom.Strong: true, atom.I: true, atom.Em: true,
	atom.Ul: true, atom.Ol: true, atom.Center: true, atom.Font: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.Style: true, atom.Title: true, atom.Blockquote: true}

// unbalanced names the first element whose tags do not pair; "" when all do.
func unbalanced(source string) string {
	tokens := html.NewTokenizer(strings.NewReader(source))
	var open []atom.Atom
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		name, _ := tokens.TagName()
		element := atom.Lookup(name)
		switch {
		case !closed[element]:
		case kind == html.StartTagToken:
			open = append(open, element)
		case kind == html.EndTagToken && len(open) > 0 && open[len(open)-1] == element:
			open = open[:len(open)-1]
		case kind == html.EndTagToken && slices.Contains(open, element):
			return "<" + open[len(open)-1].String() + "> is not closed before </" + element.String() + ">."
		case kind == html.EndTagToken:
			return "</" + element.String() + "> closes nothing."
		}
	}
	if len(open) > 0 {
		return "<" + open[len(open)-1].String() + "> is not closed."
	}
	return ""
}

// place is line and column, in characters, of an offset; both from 1.
func place(source string, offset int) (line, column int) {
	before := source[:offset]
	last := before[strings.LastIndexByte(before, '\n')+1:]
	return 1 + strings.Count(before, "\n"), 1 + len([]rune(last))
}

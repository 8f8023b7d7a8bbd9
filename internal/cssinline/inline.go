package cssinline

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// The bounds of what is worked on. Mails are far below.
const (
	maxBytes = 2 << 20
	maxSteps = 20_000_000 // comparisons of a selector with an element
)

// ErrTooLarge is said of a source that would take too long; it can be published as it is.
var ErrTooLarge = errors.New("the HTML is too large, or has too many styles, for inlining")

// Result is what became of a source.
type Result struct {
	HTML    string
	Styled  int // elements that got styles
	Removed int // rules that left their <style>
	Kept    int // rules that stay: media queries and other at-rules are not counted
	// Overridden are properties that rules which stay set without !important, and that now
	// also stand inline, where they win. In order, each once.
	Overridden []string
}

// edit replaces src[from:to].
type edit struct {
	from, to int
	text     string
}

// inliner is one document's work.
type inliner struct {
	source, masked string
	includes       bool
	doc            *document
	styleable      []int // the elements that show
	rules          []rule
	matched        map[int][]match
	later          []declaration
	edits          []edit
	steps          int
	result         Result
}

// match is a selector that matches an element.
type match struct {
	rule   int
	weight weight
}

// Inline makes the rules of <style> blocks inline. Doing it twice changes nothing more.
func Inline(source string) (Result, error) {
	if len(source) > maxBytes {
		return Result{}, ErrTooLarge
	}
	in := &inliner{source: source, matched: map[int][]match{}}
	in.masked, in.includes = mask(source)
	in.doc = read(in.masked)
	for i := range in.doc.elements {
		if !in.doc.elements[i].unstyled {
			in.styleable = append(in.styleable, i)
		}
	}
	for _, style := range in.doc.styles {
		in.style(style)
	}
	if in.steps > maxSteps {
		return Result{}, ErrTooLarge
	}
	in.write()
	in.result.HTML = in.apply()
	return in.result, nil
}

// style matches one block's rules and takes out those that are not needed any more.
func (in *inliner) style(block styleBlock) {
	sheet := parseSheet(in.masked, block.from, block.to, false)
	in.later = append(in.later, sheet.later...)
	var cuts []edit
	for _, r := range sheet.rules {
		if in.steps > maxSteps {
			return
		}
		if r.stays {
			in.result.Kept++
			continue
		}
		cuts = append(cuts, in.rule(r)...)
	}
	if in.isEmpty(block, cuts) {
		cuts = []edit{{from: block.start, to: block.end}}
	}
	in.edits = append(in.edits, cuts...)
}

// rule matches one rule. What of it is not needed any more comes back.
func (in *inliner) rule(r rule) []edit {
	index := len(in.rules)
	in.rules = append(in.rules, r)
	var staying []string
	for i := range r.selectors {
		sel := &r.selectors[i]
		if !sel.supported || !in.selector(sel, index) {
			staying = append(staying, sel.text)
		}
		if !sel.supported && strings.Contains(sel.text, ":") {
			in.later = append(in.later, r.declarations...)
		}
	}
	switch len(staying) {
	case 0:
		in.result.Removed++
		return []edit{{from: r.from, to: r.to}}
	case len(r.selectors):
		in.result.Kept++
		return nil
	}
	in.result.Kept++
	from := skipBlank(in.masked, r.from, r.block)
	return []edit{{from: from, to: r.block, text: strings.Join(staying, ",")}}
}

// selector notes the elements that match for certain. It is true if the selector is of no
// more use where it stands: something matches, and all that could match does.
func (in *inliner) selector(sel *selector, rule int) (spent bool) {
	found, unsure := false, in.includes
	for _, i := range in.styleable {
		e := &in.doc.elements[i]
		if in.steps > maxSteps {
			return false
		}
		switch in.doc.matches(sel, i, &in.steps) {
		case maybe:
			unsure = true
		case yes:
			if e.ghost || e.sealed || !e.takesStyle() {
				unsure = true
				continue
			}
			found = true
			ms := in.matched[i]
			if n := len(ms); n > 0 && ms[n-1].rule == rule { // by another selector of the list
				if slices.Compare(ms[n-1].weight[:], sel.weight[:]) < 0 {
					ms[n-1].weight = sel.weight
				}
				continue
			}
			in.matched[i] = append(ms, match{rule, sel.weight})
		}
	}
	return found && !unsure
}

// takesStyle: there is a place for styles: none yet, or a value to set them before.
func (e *element) takesStyle() bool {
	a := e.attr("style")
	return a == nil || a.hasValue && (a.quote != 0 || !hasMask(a.value))
}

// isEmpty tells whether nothing is left of a block but space and comments.
func (in *inliner) isEmpty(block styleBlock, cuts []edit) bool {
	if len(cuts) == 0 {
		return false
	}
	pos := block.from
	for _, c := range cuts {
		if c.text != "" || skipBlank(in.masked, pos, c.from) < c.from {
			return false
		}
		pos = c.to
	}
	return skipBlank(in.masked, pos, block.to) == block.to
}

// write makes the style attributes.
func (in *inliner) write() {
	inline := map[string]bool{}
	for i := range in.doc.elements {
		matches := in.matched[i]
		if len(matches) == 0 {
			continue
		}
		slices.SortStableFunc(matches, func(a, b match) int {
			return cmp.Or(slices.Compare(a.weight[:], b.weight[:]), cmp.Compare(a.rule, b.rule))
		})
		e := &in.doc.elements[i]
		own := e.attr("style")
		declarations := in.cascade(matches, own)
		if len(declarations) == 0 {
			continue
		}
		in.result.Styled++
		for _, d := range declarations {
			inline[d.property] = true
		}
		in.insert(e, own, declarations)
	}
	for _, d := range in.later {
		if inline[d.property] && !d.important && !slices.Contains(in.result.Overridden, d.property) {
			in.result.Overridden = append(in.result.Overridden, d.property)
		}
	}
}

// cascade joins the declarations of rules, from weak to strong. A property that a stronger
// rule sets is taken out of the weaker ones; within one rule a property may come twice, as
// a fallback. What the element's own style says anyway is left out.
func (in *inliner) cascade(matches []match, own *attr) (all []declaration) {
	for _, m := range matches {
		for _, important := range []bool{false, true} {
			before := len(all)
			for _, d := range in.rules[m.rule].declarations {
				if d.important != important {
					continue
				}
				if !important && slices.ContainsFunc(all[:before], func(o declaration) bool { return o.property == d.property && o.important }) {
					continue
				}
				kept := slices.DeleteFunc(all[:before:before], func(o declaration) bool { return o.property == d.property })
				if len(kept) < before {
					all = append(kept, all[before:]...)
					before = len(kept)
				}
				all = append(all, d)
			}
		}
	}
	if own != nil {
		said := parseDeclarations(unconditional(own.value))
		all = slices.DeleteFunc(all, func(d declaration) bool {
			return slices.ContainsFunc(said, func(o declaration) bool { return o.property == d.property && (o.important || !d.important) })
		})
	}
	return all
}

// unconditional is a masked style without what stands between block tags.
func unconditional(value string) string {
	b := []byte(value)
	depth := 0
	for i, c := range b {
		switch c {
		case maskOpen:
			depth++
		case maskClose:
			depth--
		}
		if depth > 0 {
			b[i] = maskFill
		}
	}
	return string(b)
}

// insert puts declarations before those that the element has.
func (in *inliner) insert(e *element, own *attr, declarations []declaration) {
	var b strings.Builder
	for i, d := range declarations {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(d.property)
		b.WriteByte(':')
		b.WriteString(oneLine(d.value))
		if d.important {
			b.WriteString(" !important")
		}
	}
	css := b.String()
	switch {
	case own == nil:
		in.edits = append(in.edits, edit{e.nameEnd, e.nameEnd, ` style="` + quoted(css, '"') + `"`})
	case own.quote == 0:
		in.edits = append(in.edits, edit{own.from, own.to, `"` + quoted(css, '"') + ";" + own.value + `"`})
	default:
		css = quoted(css, own.quote)
		if rest := strings.TrimLeft(own.value, " \t\r\n"); rest != "" && rest[0] != ';' {
			css += ";"
		}
		in.edits = append(in.edits, edit{own.from, own.from, css})
	}
}

func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\t\f") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// quoted makes CSS fit an attribute: texts get the other kind of quotes where they may.
func quoted(css string, quote byte) string {
	css = strings.ReplaceAll(css, "&", "&amp;")
	css = strings.ReplaceAll(css, "<", "&lt;")
	if quote == '"' {
		if !strings.Contains(css, "'") {
			return strings.ReplaceAll(css, `"`, "'")
		}
		return strings.ReplaceAll(css, `"`, "&quot;")
	}
	if !strings.Contains(css, `"`) {
		return strings.ReplaceAll(css, "'", `"`)
	}
	return strings.ReplaceAll(css, "'", "&#39;")
}

// apply writes the source with the edits made.
func (in *inliner) apply() string {
	slices.SortStableFunc(in.edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	pos := 0
	for _, e := range in.edits {
		if e.from < pos {
			continue
		}
		b.WriteString(in.source[pos:e.from])
		b.WriteString(e.text)
		pos = e.to
	}
	b.WriteString(in.source[pos:])
	return b.String()
}

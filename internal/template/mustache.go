package template

import "strings"

// mustache reads Mustache's source into a tree; see the specification, whose rules for
// lines that hold nothing but a tag are applied while reading.
type mustache struct {
	src         string
	pos         int
	left, right string // the delimiters now
	list        *problems
	limits      Limits
	root        *program
	open        []mustacheSection
	nodes       int
	fatal       bool
}

type mustacheSection struct {
	pos  int
	name string
	body *program
}

func parseMustache(src string, list *problems, limits Limits) *program {
	p := &mustache{src: src, left: "{{", right: "}}", list: list, limits: limits, root: &program{}}
	for p.pos < len(src) && !p.fatal {
		p.next()
	}
	for _, o := range p.open {
		p.fault("unclosed_block", o.pos, "the section '%s' is not closed", o.name)
	}
	return p.root
}

func (p *mustache) fault(code string, at int, format string, args ...any) {
	p.list.add(Severe, code, at, format, args...)
	p.fatal = p.fatal || p.list.full()
}

func (p *mustache) add(pos int, n node) {
	if p.nodes++; p.nodes > p.limits.Nodes {
		p.fault("too_large", pos, "the template has more than %d tags and texts", p.limits.Nodes)
		p.fatal = true
		return
	}
	b := p.root
	if n := len(p.open); n > 0 {
		b = p.open[n-1].body
	}
	b.nodes = append(b.nodes, n)
}

func (p *mustache) literal(from, to int) {
	if from < to {
		p.add(from, &literal{pos: from, text: p.src[from:to]})
	}
}

// next reads text up to a tag, and the tag.
func (p *mustache) next() {
	i := strings.Index(p.src[p.pos:], p.left)
	if i < 0 {
		p.literal(p.pos, len(p.src))
		p.pos = len(p.src)
		return
	}
	at := p.pos + i
	kind, content, end := p.scan(at)
	if end < 0 {
		p.fault("unclosed_tag", at, "the tag is not closed in '%s'", excerpt(p.src[at:]))
		p.literal(p.pos, at)
		p.pos = at + len(p.left)
		return
	}
	if strings.IndexByte("#^/!=>", kind) < 0 || kind == 0 {
		p.literal(p.pos, at)
		p.pos = end
		p.value(at, kind, content)
		return
	}
	from, after, alone := p.line(at, end)
	if alone {
		p.literal(p.pos, from)
		p.pos = after
		p.structure(at, kind, content, p.src[from:at])
	} else {
		p.literal(p.pos, at)
		p.pos = end
		p.structure(at, kind, content, "")
	}
}

// scan finds a tag's end: behind }} with what its kind adds before it.
func (p *mustache) scan(at int) (kind byte, content string, end int) {
	from := at + len(p.left)
	closer := p.right
	if from < len(p.src) && strings.IndexByte("#^/!=>&{$<", p.src[from]) >= 0 {
		kind = p.src[from]
		from++
	}
	switch kind {
	case '{':
		closer = "}" + p.right
	case '=':
		closer = "=" + p.right
	}
	i := strings.Index(p.src[from:], closer)
	if i < 0 {
		return kind, "", -1
	}
	return kind, strings.TrimSpace(p.src[from : from+i]), from + i + len(closer)
}

// line tells whether a tag is alone on its line: from is where the line begins, after where
// the next one does.
func (p *mustache) line(at, end int) (from, after int, alone bool) {
	from = strings.LastIndexByte(p.src[:at], '\n') + 1
	if strings.Trim(p.src[from:at], " \t") != "" {
		return 0, 0, false
	}
	rest := strings.TrimLeft(p.src[end:], " \t")
	after = len(p.src) - len(rest)
	switch {
	case rest == "":
	case strings.HasPrefix(rest, "\n"):
		after++
	case strings.HasPrefix(rest, "\r\n"):
		after += 2
	default:
		return 0, 0, false
	}
	return from, after, true
}

// layoutContent is how Postmark's layouts include what was put into them.
const layoutContent = "@content"

func (p *mustache) value(at int, kind byte, content string) {
	switch {
	case kind == '$' || kind == '<':
		p.fault("unknown_tag", at, "'%c' of Mustache's inheritance is not supported: use a layout", kind)
	case content == layoutContent || content == partialBlock:
		p.add(at, &partial{pos: at, name: partialBlock})
	default:
		if x, ok := p.path(at, content); ok {
			p.add(at, &output{pos: at, value: x, raw: kind == '{' || kind == '&'})
		}
	}
}

func (p *mustache) structure(at int, kind byte, content, indent string) {
	switch kind {
	case '#', '^':
		p.section(at, kind, content)
	case '/':
		p.close(at, content)
	case '>':
		if content == "" {
			p.fault("syntax", at, "the partial has no name")
			return
		}
		p.add(at, &partial{pos: at, name: content, indent: indent})
	case '=':
		marks := strings.Fields(content)
		if len(marks) != 2 || strings.ContainsRune(content, '=') {
			p.fault("syntax", at, "delimiters are changed by two marks with a space between: {{=<%% %%>=}}")
			return
		}
		p.left, p.right = marks[0], marks[1]
	}
}

func (p *mustache) section(at int, kind byte, content string) {
	b := &block{pos: at, op: opMustacheSection}
	name := content
	if list, isEach := strings.CutPrefix(content, "each "); isEach && kind == '#' {
		b.op, name = opEach, strings.TrimSpace(list)
	}
	x, ok := p.path(at, name)
	if !ok {
		x = &path{}
	}
	b.value = x
	body := &program{}
	if kind == '#' {
		b.main = body
	} else {
		b.inverse = body
	}
	p.add(at, b)
	if len(p.open) >= p.limits.Depth {
		p.fault("too_deep", at, "sections stand more than %d deep in each other", p.limits.Depth)
		p.fatal = true
		return
	}
	if b.op == opEach {
		content = "each"
	}
	p.open = append(p.open, mustacheSection{at, content, body})
}

func (p *mustache) close(at int, name string) {
	match := len(p.open) - 1
	for match >= 0 && p.open[match].name != name {
		match--
	}
	if match < 0 {
		p.fault("unexpected_close", at, "{{/%s}} closes nothing: no such section is open", name)
		return
	}
	for i := len(p.open) - 1; i > match; i-- {
		p.fault("unclosed_block", p.open[i].pos, "the section '%s' is not closed before {{/%s}}", p.open[i].name, name)
	}
	p.open = p.open[:match]
}

// path reads a dotted name; . is the context itself, ../ the one around it.
func (p *mustache) path(at int, name string) (*path, bool) {
	x := &path{pos: at, original: name}
	rest := name
	for strings.HasPrefix(rest, "../") {
		rest = rest[3:]
		x.depth++
		x.scoped = true
	}
	switch {
	case rest == "." || rest == "" && x.depth > 0:
		x.scoped = true
		return x, true
	case rest == "":
		p.fault("syntax", at, "the tag is empty")
		return nil, false
	case strings.ContainsAny(rest, " \t\r\n"):
		p.fault("syntax", at, "'%s' is not a name: Mustache knows no helpers and values; the engine 'handlebars' does", clip(rest, 60))
		return nil, false
	}
	x.parts = strings.Split(rest, ".")
	for _, part := range x.parts {
		if part == "" {
			p.fault("syntax", at, "'%s' lacks a name beside a dot", clip(rest, 60))
			return nil, false
		}
	}
	return x, true
}

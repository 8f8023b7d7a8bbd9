package template

import "strings"

// handlebars reads Handlebars' source into a tree. A tag with a fault is reported and
// left out, so that all faults of a template are told at once.
type handlebars struct {
	src    string
	pos    int
	list   *problems
	limits Limits
	root   *program
	open   []opened
	nodes  int
	tokens []token
	fatal  bool // over a limit: nothing more is read
}

// opened is a block whose end has not come yet.
type opened struct {
	pos      int
	name     string   // as its end must repeat it
	body     *program // where nodes go now
	block    *block   // or
	partial  *partial // or
	inline   *inline
	inverted bool // {{^name}}
	chained  bool // {{else if}}: ends with the block it belongs to
	hasElse  bool
}

func parseHandlebars(src string, list *problems, limits Limits) *program {
	p := &handlebars{src: src, list: list, limits: limits, root: &program{}}
	for p.pos < len(src) && !p.fatal {
		p.next()
	}
	for i := len(p.open) - 1; i >= 0; i-- {
		if o := p.open[i]; !o.chained {
			p.fault("unclosed_block", o.pos, "'%s' is not closed: {{/%s}} is missing", o.name, o.name)
		}
	}
	if !list.severe {
		controlWhitespace(p.root, true)
	}
	return p.root
}

func (p *handlebars) fault(code string, at int, format string, args ...any) {
	p.list.add(Severe, code, at, format, args...)
	p.fatal = p.fatal || p.list.full()
}

// next reads text up to a tag, and the tag. A backslash before {{ makes it text, two of
// them are one and a tag.
func (p *handlebars) next() {
	i := strings.Index(p.src[p.pos:], "{{")
	if i < 0 {
		p.literal(p.pos, p.src[p.pos:])
		p.pos = len(p.src)
		return
	}
	from, at := p.pos, p.pos+i
	text := p.src[from:at]
	switch {
	case strings.HasSuffix(text, `\\`):
		p.literal(from, text[:len(text)-1])
	case strings.HasSuffix(text, `\`):
		p.literal(from, text[:len(text)-1])
		end := p.endOfEscaped(at)
		p.literal(at, p.src[at:end])
		p.pos = end
		return
	default:
		p.literal(from, text)
	}
	p.tag(at)
}

// endOfEscaped: an escaped tag is text up to the next one, with its backslashes.
func (p *handlebars) endOfEscaped(at int) int {
	i := strings.Index(p.src[at+2:], "{{")
	if i < 0 {
		return len(p.src)
	}
	end := at + 2 + i
	for n := 0; n < 2 && end > at+2 && p.src[end-1] == '\\'; n++ {
		end--
	}
	return end
}

func (p *handlebars) literal(pos int, text string) {
	if text != "" {
		p.add(pos, &literal{pos: pos, text: text, original: text})
	}
}

func (p *handlebars) body() *program {
	if n := len(p.open); n > 0 {
		return p.open[n-1].body
	}
	return p.root
}

func (p *handlebars) add(pos int, n node) {
	if p.nodes++; p.nodes > p.limits.Nodes {
		p.fault("too_large", pos, "the template has more than %d tags and texts", p.limits.Nodes)
		p.fatal = true
		return
	}
	b := p.body()
	b.nodes = append(b.nodes, n)
}

func (p *handlebars) push(o opened) {
	if len(p.open) >= p.limits.Depth {
		p.fault("too_deep", o.pos, "blocks stand more than %d deep in each other", p.limits.Depth)
		p.fatal = true
		return
	}
	p.open = append(p.open, o)
}

// tag reads what stands at {{.
func (p *handlebars) tag(at int) {
	rest := p.src[at+2:]
	if strings.HasPrefix(rest, "{{") {
		p.rawBlock(at)
		return
	}
	rest, tilde := strings.CutPrefix(rest, "~")
	pos := len(p.src) - len(rest)
	switch {
	case strings.HasPrefix(rest, "!"):
		p.comment(at, pos, tilde)
	case strings.HasPrefix(rest, "#>"):
		p.partial(at, pos+2, tilde, true)
	case strings.HasPrefix(rest, ">"):
		p.partial(at, pos+1, tilde, false)
	case strings.HasPrefix(rest, "#*"):
		p.inline(at, pos+2, tilde)
	case strings.HasPrefix(rest, "#"):
		p.block(at, pos+1, tilde, false)
	case strings.HasPrefix(rest, "/"):
		p.close(at, pos+1, tilde)
	case strings.HasPrefix(rest, "^"):
		if end, right, ok := atEnd(p.src, skipSpace(p.src, pos+1), "}}"); ok {
			p.alternative(at, end, strip{tilde, right})
		} else {
			p.block(at, pos+1, tilde, true)
		}
	case strings.HasPrefix(rest, "{"):
		p.output(at, pos+1, tilde, "}}}", true)
	case strings.HasPrefix(rest, "&"):
		p.output(at, pos+1, tilde, "}}", true)
	default:
		p.elseOrOutput(at, pos, tilde)
	}
}

func skipSpace(src string, pos int) int { return len(src) - len(trimLeftSpace(src[pos:])) }

func (p *handlebars) elseOrOutput(at, pos int, tilde bool) {
	word := skipSpace(p.src, pos)
	after, isElse := strings.CutPrefix(p.src[word:], "else")
	if !isElse || after != "" && (after[0] == '_' || after[0]|0x20 >= 'a' && after[0]|0x20 <= 'z' || after[0] >= '0' && after[0] <= '9') {
		p.output(at, pos, tilde, "}}", false)
		return
	}
	if end, right, ok := atEnd(p.src, skipSpace(p.src, word+4), "}}"); ok {
		p.alternative(at, end, strip{tilde, right})
		return
	}
	p.chain(at, word+4, tilde)
}

func (p *handlebars) comment(at, pos int, tilde bool) {
	closer := "}}"
	if strings.HasPrefix(p.src[pos:], "!--") {
		closer = "--}}"
	}
	body := p.src[pos+1:]
	i := strings.Index(body, closer)
	right := false
	if closer == "--}}" {
		if j := strings.Index(body, "--~}}"); j >= 0 && (i < 0 || j < i) {
			i, closer, right = j, "--~}}", true
		}
	} else {
		right = i > 0 && body[i-1] == '~'
	}
	if i < 0 {
		p.fault("unclosed_tag", at, "the comment is not closed: %s is missing", closer)
		p.pos = len(p.src)
		return
	}
	p.add(at, &comment{strip{tilde, right}})
	p.pos = pos + 1 + i + len(closer)
}

// rawBlock: {{{{raw}}}} … {{{{/raw}}}}, whose content is text.
func (p *handlebars) rawBlock(at int) {
	t, ok := p.read(at, at+4, "}}}}")
	if !ok {
		return
	}
	name := t.name()
	depth, pos := 1, p.pos
	for depth > 0 {
		i := strings.Index(p.src[pos:], "{{{{")
		if i < 0 {
			p.fault("unclosed_block", at, "'%s' is not closed: {{{{/%s}}}} is missing", name, name)
			p.pos = len(p.src)
			return
		}
		pos += i + 4
		if !strings.HasPrefix(p.src[pos:], "/") {
			depth++
		} else if depth--; depth > 0 {
			pos++
		}
	}
	from, to := p.pos, pos-4
	closing := "/" + name + "}}}}"
	if !strings.HasPrefix(p.src[pos:], closing) {
		p.fault("mismatched_block", to, "'%s' ends here as something else: {{{{/%s}}}} was expected", name, name)
	}
	if name != "raw" || len(t.args) > 0 {
		p.fault("unknown_helper", at, "there is no raw block '%s': {{{{raw}}}} shows its content as it is", name)
	}
	raw := &block{pos: at, op: opRaw, main: &program{}}
	if from < to {
		raw.main.nodes = []node{&literal{pos: from, text: p.src[from:to], original: p.src[from:to]}}
	}
	p.add(at, raw)
	if i := strings.Index(p.src[pos:], "}}}}"); i >= 0 {
		p.pos = pos + i + 4
	} else {
		p.pos = len(p.src)
	}
}

func (p *handlebars) output(at, pos int, tilde bool, closer string, raw bool) {
	t, ok := p.read(at, pos, closer)
	if !ok {
		return
	}
	value, ok := p.value(t)
	if ok {
		p.add(at, &output{pos: at, value: value, raw: raw, strip: strip{tilde, t.strip}})
	}
}

func (p *handlebars) partial(at, pos int, tilde, isBlock bool) {
	t, ok := p.read(at, pos, "}}")
	if !ok {
		return
	}
	n := &partial{pos: at, name: t.name(), hash: t.hash, openStrip: strip{tilde, t.strip}}
	if c, isCall := t.callee.(*call); isCall {
		n.dynamic = c
	}
	switch {
	case len(t.args) > 1:
		p.fault("wrong_arguments", at, "the partial '%s' takes one context; other values need names: name=value", n.name)
	case len(t.args) == 1:
		n.context = t.args[0]
	}
	p.add(at, n)
	if isBlock {
		n.body = &program{}
		p.push(opened{pos: at, name: n.name, body: n.body, partial: n})
	}
}

// inline declares a partial for the block it stands in.
func (p *handlebars) inline(at, pos int, tilde bool) {
	t, ok := p.read(at, pos, "}}")
	if !ok {
		return
	}
	n := &inline{body: &program{}, openStrip: strip{tilde, t.strip}}
	if t.name() != "inline" || len(t.args) != 1 {
		p.fault("unknown_helper", at, "after #* only inline with a name is known: {{#*inline \"name\"}}")
	} else if c, isText := t.args[0].(*constant); !isText {
		p.fault("wrong_arguments", at, "the name of an inline partial must be a text in quotes")
	} else {
		n.name = text(c.value)
	}
	p.add(at, n)
	p.push(opened{pos: at, name: t.name(), body: n.body, inline: n})
}

func (p *handlebars) block(at, pos int, tilde, inverted bool) {
	t, ok := p.read(at, pos, "}}")
	if !ok {
		return
	}
	n, _ := p.blockOf(at, t)
	n.openStrip = strip{tilde, t.strip}
	n.main = &program{}
	p.add(at, n)
	p.push(opened{pos: at, name: t.name(), body: n.main, block: n, inverted: inverted})
}

// blockOf makes a block of what stands behind # or else. After a fault it is still a
// block, so that its end is not a second one.
func (p *handlebars) blockOf(at int, t tag) (*block, bool) {
	n := &block{pos: at, op: opSection, names: t.names}
	if op, known := blockOperations[t.name()]; known && t.simple {
		n.op = op
		n.hash = t.hash
		if len(t.args) != 1 {
			p.fault("wrong_arguments", at, "'%s' takes one value and got %d", t.name(), len(t.args))
			return n, false
		}
		n.value = t.args[0]
		return n, true
	}
	value, ok := p.value(t)
	n.value = value
	if _, isCall := value.(*call); isCall {
		n.op = opTest
	}
	return n, ok
}

var blockOperations = map[string]operation{"if": opIf, "unless": opUnless, "each": opEach, "with": opWith}

// alternative is {{else}} or {{^}}.
func (p *handlebars) alternative(at, end int, s strip) {
	p.pos = end
	o := p.elseOf(at)
	if o == nil {
		return
	}
	o.block.inverseStrip = s
	o.block.inverse = &program{}
	o.body = o.block.inverse
	o.hasElse = true
}

// chain is {{else if …}}: a block in the else of the one before, ending with it.
func (p *handlebars) chain(at, pos int, tilde bool) {
	t, ok := p.read(at, pos, "}}")
	if !ok {
		return
	}
	o := p.elseOf(at)
	if o == nil {
		return
	}
	n, _ := p.blockOf(at, t)
	n.openStrip = strip{tilde, t.strip}
	n.main = &program{}
	o.block.inverseStrip = n.openStrip
	o.block.inverse = &program{chained: true, nodes: []node{n}}
	o.hasElse = true
	p.push(opened{pos: at, name: t.name(), body: n.main, block: n, chained: true})
}

func (p *handlebars) elseOf(at int) *opened {
	if len(p.open) == 0 || p.open[len(p.open)-1].block == nil {
		p.fault("unexpected_else", at, "{{else}} stands outside of a block")
		return nil
	}
	o := &p.open[len(p.open)-1]
	if o.hasElse {
		p.fault("unexpected_else", at, "'%s' has an {{else}} already", o.name)
		return nil
	}
	return o
}

// close ends the innermost block; where another one is named and open, the blocks inside
// of it are reported and end too.
func (p *handlebars) close(at, pos int, tilde bool) {
	t, ok := p.read(at, pos, "}}")
	if !ok {
		return
	}
	match := -1
	for i := len(p.open) - 1; i >= 0 && match < 0; i-- {
		if !p.open[i].chained && p.open[i].name == t.name() {
			match = i
		}
	}
	if match < 0 {
		p.fault("unexpected_close", at, "{{/%s}} closes nothing: no such block is open", t.name())
		return
	}
	for i := len(p.open) - 1; i > match; i-- {
		if !p.open[i].chained {
			p.fault("unclosed_block", p.open[i].pos, "'%s' is not closed before {{/%s}}", p.open[i].name, t.name())
		}
	}
	p.open[match].end(strip{tilde, t.strip})
	p.open = p.open[:match]
}

func (o *opened) end(s strip) {
	switch {
	case o.block != nil:
		o.block.closeStrip = s
		if o.inverted {
			o.block.main, o.block.inverse = o.block.inverse, o.block.main
		}
	case o.partial != nil:
		o.partial.closeStrip = s
	case o.inline != nil:
		o.inline.closeStrip = s
	}
}

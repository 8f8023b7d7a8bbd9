package template

import "strings"

// tag is the content of a Handlebars tag: a name or path, values, named values.
type tag struct {
	pos    int
	callee expr // *path, *constant, or *call for {{> (name) }}
	simple bool // a bare name: the only kind that can be a helper's
	args   []expr
	hash   []pair
	names  []string // as |a b|
	strip  bool     // ~ before its end
}

// name is how a tag's end must repeat it.
func (t *tag) name() string {
	switch c := t.callee.(type) {
	case *path:
		return c.original
	case *constant:
		return text(c.value)
	}
	return ""
}

// read reads a tag from pos to its end and goes on behind it. After a fault it goes on
// behind the next }}.
func (p *handlebars) read(at, pos int, closer string) (t tag, ok bool) {
	tokens, fault, where := scanTag(p.src, pos, closer, p.tokens)
	p.tokens = tokens
	if fault == "" {
		c := &cursor{tokens: tokens, p: p}
		t = c.tag()
		if c.fault == "" {
			p.pos = tokens[len(tokens)-1].end
			return t, true
		}
		fault, where = c.fault, c.at
	}
	code := "syntax"
	if strings.Contains(fault, "not closed") && !strings.HasPrefix(fault, "the [") {
		code, where = "unclosed_tag", at
	}
	p.fault(code, where, "%s in '%s'", fault, excerpt(p.src[at:]))
	p.pos = afterTag(p.src, at+2)
	return t, false
}

// afterTag is where reading goes on after a fault: behind the next }}, or before the next
// {{ if that is nearer.
func afterTag(src string, pos int) int {
	end := strings.Index(src[pos:], "}}")
	if begin := strings.Index(src[pos:], "{{"); begin >= 0 && (end < 0 || begin < end) && begin > 0 {
		return pos + begin
	}
	if end < 0 {
		return len(src)
	}
	pos += end + 2
	for pos < len(src) && src[pos] == '}' {
		pos++
	}
	return pos
}

func excerpt(s string) string {
	if i := strings.Index(s, "}}"); i >= 0 && i < 60 {
		return s[:i+2]
	}
	for i := range s {
		if i >= 40 || s[i] == '\n' {
			return s[:i] + "…"
		}
	}
	return s
}

// cursor walks over a tag's tokens; the first fault ends all.
type cursor struct {
	tokens []token
	i      int
	depth  int
	p      *handlebars
	fault  string
	at     int
}

func (c *cursor) peek() token { return c.tokens[min(c.i, len(c.tokens)-1)] }

func (c *cursor) take() token {
	t := c.peek()
	if t.kind != tokEnd {
		c.i++
	}
	return t
}

func (c *cursor) fail(t token, fault string) {
	if c.fault == "" {
		c.fault, c.at = fault, t.pos
	}
}

func (c *cursor) tag() (t tag) {
	first := c.peek()
	t.pos = first.pos
	switch first.kind {
	case tokEnd:
		c.fail(first, "the tag is empty")
		return t
	case tokOpen:
		t.callee = c.value()
	default:
		t.callee = c.value()
		if path, ok := t.callee.(*path); ok {
			t.simple = len(path.parts) == 1 && !path.scoped && !path.data && path.depth == 0
		}
	}
	for c.fault == "" {
		switch next := c.peek(); {
		case next.kind == tokEnd:
			t.strip = next.strip
			return t
		case next.kind == tokAs:
			c.take()
			t.names = c.blockNames()
		case next.kind == tokName && c.i+1 < len(c.tokens) && c.tokens[c.i+1].kind == tokEquals:
			t.hash = append(t.hash, c.pair())
		case len(t.hash) > 0:
			c.fail(next, "values without a name must stand before named ones")
		case t.names != nil:
			c.fail(next, "nothing may follow the block's parameters")
		default:
			t.args = append(t.args, c.value())
		}
	}
	return t
}

func (c *cursor) pair() pair {
	name := c.take().text
	c.take()
	return pair{name, c.value()}
}

func (c *cursor) blockNames() (names []string) {
	for c.fault == "" {
		switch t := c.take(); t.kind {
		case tokName, tokBracket:
			names = append(names, t.text)
		case tokBar:
			if len(names) == 0 {
				c.fail(t, "between | and | names are expected")
			}
			return names
		default:
			c.fail(t, "the | of the block's parameters is not closed by another one")
		}
	}
	return names
}

func (c *cursor) value() expr {
	switch t := c.peek(); t.kind {
	case tokString:
		c.take()
		return &constant{t.text}
	case tokNumber:
		c.take()
		return &constant{Number(t.text)}
	case tokKeyword:
		c.take()
		return &constant{keywords[t.text]}
	case tokOpen:
		return c.subexpression()
	case tokName, tokBracket, tokAt:
		return c.path()
	case tokEnd:
		c.fail(t, "a value is missing")
	default:
		c.fail(t, "unexpected '"+t.text+"'")
	}
	return &constant{}
}

var keywords = map[string]any{"true": true, "false": false, "null": nil, "undefined": undefined{}}

// subexpression is (helper value name=value).
func (c *cursor) subexpression() expr {
	open := c.take()
	if c.depth++; c.depth > c.p.limits.Depth {
		c.fail(open, "parentheses stand too deep in each other")
		return &constant{}
	}
	defer func() { c.depth-- }()
	inner := tag{pos: open.pos}
	inner.callee = c.value()
	if path, ok := inner.callee.(*path); ok {
		inner.simple = len(path.parts) == 1 && !path.scoped && !path.data && path.depth == 0
	}
	for c.fault == "" {
		switch next := c.peek(); {
		case next.kind == tokClose:
			c.take()
			value, _ := c.p.value(inner)
			return value
		case next.kind == tokEnd:
			c.fail(open, "the ( has no )")
		case next.kind == tokName && c.i+1 < len(c.tokens) && c.tokens[c.i+1].kind == tokEquals:
			inner.hash = append(inner.hash, c.pair())
		default:
			inner.args = append(inner.args, c.value())
		}
	}
	return &constant{}
}

// path is a.b.[c d], ../a, this.a, @index.
func (c *cursor) path() expr {
	x := &path{pos: c.peek().pos}
	if c.peek().kind == tokAt {
		c.take()
		x.data = true
		x.original = "@"
	}
	for c.fault == "" {
		t := c.take()
		switch {
		case t.kind == tokName && (t.text == ".." || t.text == "." || t.text == "this"):
			if len(x.parts) > 0 {
				c.fail(t, "'"+t.text+"' may only begin a path")
			}
			x.scoped = true
			if t.text == ".." {
				x.depth++
			}
		case t.kind == tokNumber && strings.ContainsRune(t.text, '.'):
			whole, part, _ := strings.Cut(t.text, ".")
			x.parts = append(x.parts, whole, part)
		case t.kind == tokName || t.kind == tokBracket || t.kind == tokNumber || t.kind == tokKeyword:
			x.parts = append(x.parts, t.text)
		default:
			c.fail(t, "a name is missing in the path")
		}
		x.original += t.text
		if c.peek().kind != tokDot {
			break
		}
		x.original += c.take().text
	}
	return x
}

// value makes an expression of a tag that stands for a value: a helper's call if it has
// values, else a path. Helpers' names without values are names of the data's.
func (p *handlebars) value(t tag) (expr, bool) {
	if c, isConstant := t.callee.(*constant); isConstant && len(t.args)+len(t.hash) == 0 {
		name := text(c.value) // {{"a name"}} and {{12}} look it up
		switch c.value.(type) {
		case nil, undefined:
			return c, true
		}
		return &path{pos: t.pos, original: name, parts: []string{name}}, true
	}
	if len(t.args)+len(t.hash) == 0 {
		return t.callee, true
	}
	name := t.name()
	h := helpers[name]
	if h == nil || !t.simple {
		if _, isBlock := blockOperations[name]; isBlock {
			p.fault("wrong_arguments", t.pos, "'%s' is a block: {{#%s …}} … {{/%s}}", name, name, name)
		} else {
			p.fault("unknown_helper", t.pos, "there is no helper '%s'; there are %s", name, helperNames())
		}
		return t.callee, false
	}
	if n := len(t.args); n < h.least || n > h.most {
		p.fault("wrong_arguments", t.pos, "'%s' takes %s and got %d", name, h.takes, n)
		return t.callee, false
	}
	c := &call{pos: t.pos, helper: h, args: t.args, hash: t.hash}
	if h.prepare != nil {
		if fault := h.prepare(c); fault != "" {
			p.fault("wrong_arguments", t.pos, "%s", fault)
			return c, false
		}
	}
	return c, true
}

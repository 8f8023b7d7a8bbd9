package template

import (
	"strings"
)

// env is what a piece of template sees: where in the data it stands and what was
// declared around it. It is copied when something is added.
type env struct {
	scope    *scope
	root     *scope
	loop     *loop
	params   *params
	inlines  *inlines
	block    *closure // what {{> @partial-block}} shows
	template *Template
}

// scope is one context; up is what ../ means, and in Mustache where names are looked for
// next. The rest tells where in the data the value is, for the pointers of [Missing].
type scope struct {
	value any
	up    *scope

	from *scope   // the scope whose value the path began in; nil = the root
	path []string // from there
	item string   // and then this member of it
	in   bool     // item is set
}

// loop is what @index, @key, @first and @last say.
type loop struct {
	index       int
	key         any
	first, last bool
	up          *loop
}

// params are a block's |names|.
type params struct {
	names  []string
	values [2]any
	scope  *scope // whose value is values[0]
	up     *params
}

// inlines are the partials declared by a program, and the ones around it.
type inlines struct {
	declared []*inline
	env      env
	up       *inlines
}

// closure is a piece of template with what it sees.
type closure struct {
	body *program
	env  env
}

func (r *renderer) pushScope(value any) *scope {
	if r.scopesIn == len(r.scopes) {
		r.scopes = append(r.scopes, &scope{})
	}
	s := r.scopes[r.scopesIn]
	r.scopesIn++
	*s = scope{value: value}
	return s
}

func (r *renderer) popScope() { r.scopesIn-- }

// within is a new scope inside e for the value of x, or e's own where the value is the same.
func (r *renderer) within(e *env, x expr, value any) (s *scope, pushed bool) {
	if same(value, e.scope.value) {
		return e.scope, false
	}
	s = r.pushScope(value)
	s.up = e.scope
	s.from, s.path = originOf(e, x)
	return s, true
}

// originOf is the scope that a path begins in and its names from there.
func originOf(e *env, x expr) (*scope, []string) {
	p, ok := x.(*path)
	if !ok {
		if c, isCall := x.(*call); isCall && len(c.args) > 0 {
			return originOf(e, c.args[0])
		}
		return e.scope, nil
	}
	if p.data {
		if len(p.parts) > 0 && p.parts[0] == "root" {
			return nil, p.parts[1:]
		}
		return e.scope, nil
	}
	s := e.scope
	for range p.depth {
		if s == nil || s.up == nil {
			return nil, p.parts
		}
		s = s.up
	}
	if !p.scoped && len(p.parts) > 0 {
		if b := e.params.find(p.parts[0]); b != nil && b.scope != nil && b.names[0] == p.parts[0] {
			return b.scope, p.parts[1:]
		}
	}
	return s, p.parts
}

// pointer is where path from s is in the request.
func (s *scope) pointer(b *strings.Builder, path []string) {
	if s != nil {
		s.from.pointer(b, s.path)
		if s.in {
			writePointer(b, s.item)
		}
	}
	for _, p := range path {
		writePointer(b, p)
	}
}

// writePointer writes one name of a JSON pointer as a URI fragment (RFC 6901).
func writePointer(b *strings.Builder, name string) {
	b.WriteByte('/')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '~':
			b.WriteString("~0")
		case c == '/':
			b.WriteString("~1")
		case c <= ' ' || c == '%' || c == '"' || c == '<' || c == '>' || c == '#' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}' || c >= 0x7f:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		default:
			b.WriteByte(c)
		}
	}
}

// lacks notes that the value of x is needed and not there.
func (r *renderer) lacks(e *env, pos int, x expr, v any) {
	var m Missing
	if a, ok := v.(*absent); ok {
		m = a.Missing
	} else {
		p, ok := x.(*path)
		if !ok || p.data && (len(p.parts) == 0 || p.parts[0] != "root") {
			return
		}
		m = r.missed(e, pos, p)
	}
	for i := range r.missing {
		if r.missing[i].Pointer == m.Pointer {
			return
		}
	}
	if len(r.missing) >= maxMissing {
		if r.err == nil {
			r.err = errMissing
		}
		return
	}
	r.missing = append(r.missing, m)
}

func (r *renderer) missed(e *env, pos int, p *path) Missing {
	var b strings.Builder
	b.WriteString(r.options.Pointer)
	s, names := originOf(e, p)
	if e.template.engine == Mustache && !p.scoped && p.depth == 0 { // not found anywhere: meant of the outermost
		s, names = r.mustacheOrigin(e, p)
	}
	s.pointer(&b, names)
	line, column := position(e.template.source, pos)
	return Missing{p.original, b.String(), e.template.name, line, column}
}

func (r *renderer) mustacheOrigin(e *env, p *path) (*scope, []string) {
	if len(p.parts) == 0 {
		return e.scope, nil
	}
	inner := e.scope
	for s := e.scope; s != nil; s = s.up {
		if _, ok := lookup(s.value, p.parts[0]); ok && isObject(s.value) {
			return s, p.parts
		}
	}
	for inner != nil && !isObject(inner.value) && inner.up != nil {
		inner = inner.up
	}
	return inner, p.parts
}

func (p *params) find(name string) *params {
	for ; p != nil; p = p.up {
		for i, n := range p.names {
			if n == name && i < len(p.values) {
				return p
			}
		}
	}
	return nil
}

// eval gives an expression's value: [undefined] where there is none.
func (r *renderer) eval(e *env, x expr, optional bool) any {
	switch x := x.(type) {
	case *path:
		return r.find(e, x)
	case *constant:
		return x.value
	case *call:
		return r.call(e, x, optional)
	}
	return undefined{}
}

func (r *renderer) find(e *env, p *path) any {
	if p.data {
		return findData(e, p)
	}
	if e.template.engine == Mustache {
		return findMustache(e, p)
	}
	if e.params != nil && !p.scoped && len(p.parts) > 0 {
		if b := e.params.find(p.parts[0]); b != nil {
			v := b.values[0]
			if b.names[0] != p.parts[0] {
				v = b.values[1]
			}
			return descend(v, p.parts[1:])
		}
	}
	s := e.scope
	for range p.depth {
		if s = s.up; s == nil {
			return undefined{}
		}
	}
	return descend(s.value, p.parts)
}

func descend(v any, parts []string) any {
	for _, name := range parts {
		var ok bool
		if v, ok = lookup(v, name); !ok {
			return undefined{}
		}
	}
	return v
}

// findMustache looks for a path's first name in all contexts, innermost first.
func findMustache(e *env, p *path) any {
	s := e.scope
	for range p.depth {
		if s = s.up; s == nil {
			return undefined{}
		}
	}
	if len(p.parts) == 0 || p.depth > 0 {
		return descend(s.value, p.parts)
	}
	for ; s != nil; s = s.up {
		if !isObject(s.value) {
			continue
		}
		if v, ok := lookup(s.value, p.parts[0]); ok {
			if _, isAbsent := v.(*absent); !isAbsent || len(p.parts) == 1 {
				return descend(v, p.parts[1:])
			}
		}
	}
	return undefined{}
}

func findData(e *env, p *path) any {
	l := e.loop
	for range p.depth {
		if l != nil {
			l = l.up
		}
	}
	if len(p.parts) == 0 {
		return undefined{}
	}
	if p.parts[0] == "root" {
		return descend(e.root.value, p.parts[1:])
	}
	if l == nil || len(p.parts) > 1 {
		return undefined{}
	}
	switch p.parts[0] {
	case "index":
		return l.index
	case "key":
		return l.key
	case "first":
		return l.first
	case "last":
		return l.last
	}
	return undefined{}
}

// call runs a helper. Values that it needs and does not get are noted when strict.
func (r *renderer) call(e *env, c *call, optional bool) any {
	base := len(r.args)
	h := c.helper
	cost := 1
	for _, x := range c.args {
		argOptional := h.tests || h.lenient && optional
		v := r.eval(e, x, argOptional)
		if r.options.Strict && !argOptional && gone(v) {
			r.lacks(e, c.pos, x, v)
		}
		switch s := v.(type) {
		case string:
			cost += len(s) / bytesAStep
		case []any:
			cost += len(s)
		}
		r.args = append(r.args, v)
	}
	var v any = undefined{}
	if r.step(e, c.pos, cost) {
		var fault string
		if v, fault = h.run(c, r.args[base:]); fault != "" {
			if len(r.missing) == 0 { // else what is missing is the cause
				r.fail(e, c.pos, CodeArgument, "%s", fault)
			}
		}
	}
	clear(r.args[base:])
	r.args = r.args[:base]
	return v
}

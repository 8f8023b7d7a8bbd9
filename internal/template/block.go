package template

import (
	"slices"
	"strconv"
)

// program shows nodes one after the other.
func (r *renderer) program(e *env, p *program) {
	if p == nil {
		return
	}
	if len(p.inlines) > 0 {
		inner := *e
		inner.inlines = &inlines{declared: p.inlines, env: *e, up: e.inlines}
		e = &inner
	}
	for _, n := range p.nodes {
		if r.err != nil {
			return
		}
		switch n := n.(type) {
		case *literal:
			r.steps++
			r.literal(n)
		case *output:
			r.show(e, n)
		case *block:
			r.block(e, n)
		case *partial:
			r.partial(e, n)
		}
	}
}

// show prints a value.
func (r *renderer) show(e *env, n *output) {
	v := r.eval(e, n.value, false)
	if r.options.Strict && (v == nil || gone(v)) {
		r.lacksPrinted(e, n, v)
	}
	var s string
	bare := false
	switch v := v.(type) {
	case string:
		s = v
	case nil, undefined, *absent:
		bare = v == nil
		if r.format != HTML || r.state.mode == inText {
			r.step(e, n.pos, 1)
			return
		}
		if bare && r.state.mode == inRaw && r.state.element == scriptElement {
			s = "null"
		}
	case Number:
		s, bare = string(v), true
	case bool:
		s, bare = strconv.FormatBool(v), true
	case int:
		s, bare = strconv.Itoa(v), true
	default:
		if isObject(v) {
			r.warnAt(e, n.pos, "prints_object", "'%s' is an object, which prints nothing useful", describe(n.value))
		}
		b, ok := appendText(nil, v, 0)
		if !ok {
			r.fail(e, n.pos, CodeData, "the value of '%s' is too large or too deep to be printed", describe(n.value))
			return
		}
		s = string(b)
		_, bare = number(v)
	}
	if !r.step(e, n.pos, 1+len(s)/bytesAStep) {
		return
	}
	r.print(e, n, s, bare)
	if len(s) > bytesAStep {
		r.step(e, n.pos, 0) // what it wrote may have been too much
	}
}

func (r *renderer) lacksPrinted(e *env, n *output, v any) {
	if c, ok := n.value.(*call); ok {
		for _, x := range c.args {
			if a := r.eval(e, x, true); a == nil || gone(a) {
				r.lacks(e, n.pos, x, a)
			}
		}
		return
	}
	r.lacks(e, n.pos, n.value, v)
}

func describe(x expr) string {
	switch x := x.(type) {
	case *path:
		return x.original
	case *call:
		for name, h := range helpers {
			if h == x.helper {
				return name
			}
		}
	}
	return "value"
}

func (r *renderer) print(e *env, n *output, s string, bare bool) {
	r.at, r.mustache = e.template, e.template.engine == Mustache
	switch r.format {
	case Text:
		r.value(s)
	case Subject:
		r.oneLine(s)
	default:
		if !n.raw {
			r.place(n, s, bare)
			return
		}
		if r.state.attr == urlAttr && r.state.part < 2 && (r.state.mode == inDouble || r.state.mode == inSingle || r.state.mode == inBare || r.state.mode == beforeValue) && !r.state.rawURL(s) {
			r.warn(n.pos, "url_refused", "the address '%s' has a scheme that is not allowed and became %s", s, blockedURL)
			s = blockedURL
		}
		r.value(s)
		r.state = r.state.advance(s)
	}
}

// oneLine writes a value of a subject: runs of line ends become a space.
func (r *renderer) oneLine(s string) {
	from := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' && s[i] != '\n' {
			continue
		}
		r.value(s[from:i])
		r.value(" ")
		for i+1 < len(s) && (s[i+1] == '\r' || s[i+1] == '\n') {
			i++
		}
		from = i + 1
	}
	r.value(s[from:])
}

// block shows one branch of a block, or one of them many times.
func (r *renderer) block(e *env, b *block) {
	if !r.step(e, b.pos, 1) || !r.enter(e, b.pos) {
		return
	}
	defer r.leave()
	switch b.op {
	case opRaw:
		r.program(e, b.main)
	case opIf, opUnless:
		r.branch(e, b, r.condition(e, b) == (b.op == opIf))
	case opTest:
		r.branch(e, b, holds(r.eval(e, b.value, true)))
	case opWith:
		r.with(e, b)
	case opEach:
		v := r.eval(e, b.value, b.inverse != nil)
		r.needs(e, b, v)
		if isIterable(v) {
			r.each(e, b, v)
		} else {
			r.program(e, b.inverse)
		}
	case opSection:
		r.section(e, b)
	case opMustacheSection:
		r.mustacheSection(e, b)
	}
}

func (r *renderer) branch(e *env, b *block, main bool) {
	if main {
		r.program(e, b.main)
	} else {
		r.program(e, b.inverse)
	}
}

func (r *renderer) condition(e *env, b *block) bool {
	v := r.eval(e, b.value, true)
	for _, h := range b.hash {
		if h.name == "includeZero" && truthy(r.eval(e, h.value, true)) {
			return !empty(v)
		}
	}
	return holds(v)
}

// needs: a loop or a with that has no else must have its value, when strict.
func (r *renderer) needs(e *env, b *block, v any) {
	if r.options.Strict && b.inverse == nil && gone(v) {
		r.lacks(e, b.pos, b.value, v)
	}
}

func (r *renderer) with(e *env, b *block) {
	v := r.eval(e, b.value, b.inverse != nil)
	r.needs(e, b, v)
	if empty(v) {
		r.program(e, b.inverse)
		return
	}
	r.inside(e, b, v)
}

// inside shows the main branch in the context v.
func (r *renderer) inside(e *env, b *block, v any) {
	inner := *e
	s, pushed := r.within(e, b.value, v)
	inner.scope = s
	if len(b.names) > 0 {
		inner.params = &params{names: b.names, values: [2]any{v, undefined{}}, scope: s, up: e.params}
	}
	r.program(&inner, b.main)
	if pushed {
		r.popScope()
	}
}

// section is {{#name}} of Handlebars where name is no helper: a loop over a list, a
// condition on true and false, else a context. Zero and "" are contexts.
func (r *renderer) section(e *env, b *block) {
	v := r.eval(e, b.value, true)
	switch v := v.(type) {
	case nil, undefined, *absent:
		r.program(e, b.inverse)
	case bool:
		r.branch(e, b, v)
	case []any, []string:
		if empty(v) {
			r.program(e, b.inverse)
			return
		}
		r.each(e, b, v)
	default:
		r.inside(e, b, v)
	}
}

func (r *renderer) mustacheSection(e *env, b *block) {
	v := r.eval(e, b.value, true)
	switch list, _ := v.([]any); {
	case !holds(v):
		r.program(e, b.inverse)
	case list != nil:
		r.each(e, b, v)
	default:
		if _, isList := v.([]string); isList {
			r.each(e, b, v)
			return
		}
		if b.main == nil {
			return
		}
		inner := *e
		s := r.pushScope(v)
		s.up = e.scope
		s.from, s.path = r.mustacheOriginOf(e, b.value)
		inner.scope = s
		r.program(&inner, b.main)
		r.popScope()
	}
}

func (r *renderer) mustacheOriginOf(e *env, x expr) (*scope, []string) {
	if p, ok := x.(*path); ok && !p.scoped && p.depth == 0 && e.template.engine == Mustache {
		return r.mustacheOrigin(e, p)
	}
	return originOf(e, x)
}

// isIterable: {{#each}} goes over lists and objects with anything in them.
func isIterable(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) > 0
	case []string:
		return len(v) > 0
	case *Object:
		return v != nil && len(v.members) > 0
	case map[string]any:
		return len(v) > 0
	case map[string]string:
		return len(v) > 0
	case *overlay:
		return len(v.over) > 0 || isIterable(v.under)
	}
	return false
}

// each shows the main branch for every item. One scope serves all: nothing of an item
// outlives its turn.
func (r *renderer) each(e *env, b *block, v any) {
	if b.main == nil {
		return
	}
	s := r.pushScope(nil)
	defer r.popScope()
	s.from, s.path = r.mustacheOriginOf(e, b.value)
	s.in = true
	loop := loop{up: e.loop}
	inner := *e
	inner.loop = &loop
	if len(b.names) > 0 {
		inner.params = &params{names: b.names, scope: s, up: e.params}
	}
	turn := func(i, n int, key any, item any) bool {
		if !r.step(e, b.pos, 1) {
			return false
		}
		// ../ means the list's own context, also where an item is the same value.
		s.value, s.up, inner.scope = item, e.scope, s
		if e.template.engine == Handlebars && same(item, e.scope.value) {
			s.up = e.scope.up
		}
		loop.index, loop.key, loop.first, loop.last = i, key, i == 0, i == n-1
		if name, ok := key.(string); ok {
			s.item = name
		} else if r.options.Strict {
			s.item = strconv.Itoa(i)
		}
		if inner.params != e.params {
			inner.params.values = [2]any{item, key}
		}
		r.program(&inner, b.main)
		return r.err == nil
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if !turn(i, len(v), i, item) {
				return
			}
		}
	case []string:
		for i, item := range v {
			if !turn(i, len(v), i, item) {
				return
			}
		}
	default:
		members := membersOf(v, 0)
		for i, m := range members {
			if !turn(i, len(members), m.Name, m.Value) {
				return
			}
		}
	}
}

// membersOf are an object's in order; a map's sorted by name.
func membersOf(v any, depth int) (members []Member) {
	switch v := v.(type) {
	case *Object:
		return v.members
	case map[string]any:
		for name, value := range v {
			members = append(members, Member{name, value})
		}
	case map[string]string:
		for name, value := range v {
			members = append(members, Member{name, value})
		}
	case *overlay:
		merged := &Object{}
		if depth < maxPrintDepth {
			for _, m := range membersOf(v.under, depth+1) {
				merged.Set(m.Name, m.Value)
			}
		}
		for _, m := range v.over {
			merged.Set(m.Name, m.Value)
		}
		return merged.members
	}
	slices.SortFunc(members, func(a, b Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return members
}

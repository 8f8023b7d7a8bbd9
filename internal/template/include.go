package template

// partial shows another template here, an inline partial, or what a layout was given.
func (r *renderer) partial(e *env, n *partial) {
	if !r.step(e, n.pos, 1) || !r.enter(e, n.pos) {
		return
	}
	defer r.leave()
	name := n.name
	if n.dynamic != nil {
		name = text(r.eval(e, n.dynamic, false))
	}
	into := *e // what the partial sees
	value, scoped := r.partialContext(e, n)
	if n.body != nil {
		body := *e
		into.block = &closure{body: n.body, env: body}
		if len(n.body.inlines) > 0 {
			into.inlines = &inlines{declared: n.body.inlines, env: body, up: e.inlines}
		}
	}
	if n.indent != "" {
		r.indents = append(r.indents, indent{n.indent, true})
		defer func() { r.indents = r.indents[:len(r.indents)-1] }()
	}
	if name == partialBlock {
		r.partialBlock(e, n, value, scoped)
		return
	}
	for in := into.inlines; in != nil; in = in.up {
		for i := len(in.declared) - 1; i >= 0; i-- {
			if d := in.declared[i]; d.name == name {
				seen := in.env // what stood around its declaration
				seen.loop, seen.inlines, seen.block = e.loop, into.inlines, into.block
				r.enclosed(&seen, e, n, d.body, value, scoped)
				return
			}
		}
	}
	r.template(e, &into, n, name, value, scoped)
}

// template shows a partial that is a template of its own.
func (r *renderer) template(e, into *env, n *partial, name string, value any, scoped bool) {
	var t *Template
	found := false
	if r.options.Partials != nil {
		t, found = r.options.Partials(name)
	}
	switch {
	case found && t != nil:
		into.template = t
		into.params = nil
		s := r.partialScope(e, n, value, scoped)
		if t.engine == Handlebars {
			s.up = nil // a partial knows nothing of what is around its context
		}
		into.scope = s
		r.program(into, t.root)
		r.popScope()
	case n.body != nil: // it is its own substitute
		body := *e
		r.enclosed(&body, e, n, n.body, value, scoped)
	case e.template.engine == Mustache && !r.options.Strict:
	default:
		r.fail(e, n.pos, CodePartial, "there is no partial '%s'", clip(name, 60))
	}
}

// partialBlock shows what the layout was called with, which sees what stood around it,
// and the layout's context.
func (r *renderer) partialBlock(e *env, n *partial, value any, scoped bool) {
	if e.block == nil {
		if n.body != nil {
			body := *e
			r.enclosed(&body, e, n, n.body, value, scoped)
			return
		}
		r.fail(e, n.pos, CodePartial, "{{> @partial-block}} has nothing to show: this is not called as a layout")
		return
	}
	body := e.block.env
	body.loop = e.loop
	r.enclosed(&body, e, n, e.block.body, value, scoped)
}

// enclosed shows a piece of template in what it sees, with the caller's context.
func (r *renderer) enclosed(seen, e *env, n *partial, body *program, value any, scoped bool) {
	if !scoped && same(value, seen.scope.value) {
		r.program(seen, body)
		return
	}
	s := r.partialScope(e, n, value, scoped)
	s.up = seen.scope
	seen.scope = s
	r.program(seen, body)
	r.popScope()
}

// partialScope is the scope of a partial's context; up is the caller's own.
func (r *renderer) partialScope(e *env, n *partial, value any, scoped bool) *scope {
	s := r.pushScope(value)
	if n.context != nil {
		s.up = e.scope
		s.from, s.path = originOf(e, n.context)
		return s
	}
	// The caller's context under another name: the same place in the data.
	s.up, s.from, s.path, s.item, s.in = e.scope.up, e.scope.from, e.scope.path, e.scope.item, e.scope.in
	return s
}

// partialContext is what the partial is called with: a context, and arguments before it.
// An argument without value is absent in the partial, and says so where it is needed.
func (r *renderer) partialContext(e *env, n *partial) (value any, scoped bool) {
	value = e.scope.value
	if n.context != nil {
		value = r.eval(e, n.context, true)
		scoped = true
	}
	if len(n.hash) == 0 {
		return value, scoped
	}
	o := &overlay{under: value, over: make([]Member, len(n.hash))}
	for i, h := range n.hash {
		v := r.eval(e, h.value, true)
		if p, ok := h.value.(*path); ok && r.options.Strict && gone(v) {
			if _, already := v.(*absent); !already {
				v = &absent{r.missed(e, n.pos, p)}
			}
		}
		o.over[i] = Member{h.name, v}
	}
	if under, nested := value.(*overlay); nested { // one level, however deep partials call each other
		for _, m := range under.over {
			if !o.has(m.Name) {
				o.over = append(o.over, m)
			}
		}
		o.under = under.under
	}
	return o, true
}

func (o *overlay) has(name string) bool {
	for i := range o.over {
		if o.over[i].Name == name {
			return true
		}
	}
	return false
}

package template

import "strings"

// Kind is what a variable is used as.
type Kind string

// The kinds, from the one that says least to the one that says most.
const (
	KindBoolean Kind = "boolean" // only tested
	KindString  Kind = "string"  // printed, compared
	KindNumber  Kind = "number"  // compared with a number
	KindObject  Kind = "object"
	KindArray   Kind = "array"
)

var kindRank = map[Kind]int{KindBoolean: 1, KindString: 2, KindNumber: 3, KindObject: 4, KindArray: 5}

// Variable is one piece of data that a template asks for.
type Variable struct {
	Path       string // user.name; items[].price for a member of each item
	Kind       Kind
	Required   bool   // somewhere it is used without being tested and without a default
	Default    string // of {{insert name "default=…"}}
	HasDefault bool
	// Conditional: every use stands in a branch that may not be shown, so that a rendering
	// may do without it even where it is required.
	Conditional bool
}

// Variables infers what data a template asks for, in the order of first use, with the
// partials it calls if partials finds them (nil = without). In sections, {{#name}}, it
// cannot be known whether a name belongs to the section's value or to what is around it:
// there names count as members of the section's, and are not required.
func (t *Template) Variables(partials func(name string) (*Template, bool)) []Variable {
	w := &walker{partials: partials, found: map[string]int{}}
	w.program(view{template: t, context: &place{known: true}, root: &place{known: true}}, t.root)
	return w.variables
}

// walker goes through a template as rendering would, without data.
type walker struct {
	partials  func(string) (*Template, bool)
	variables []Variable
	found     map[string]int
	calls     []*Template // partials being walked through: recursion ends
	steps     int
}

// place is a context: its path in the data, if that is known.
type place struct {
	path  string
	known bool
	up    *place
}

// view is what a piece of template sees.
type view struct {
	template    *Template
	context     *place
	root        *place
	names       *placeNames
	tested      []string // by the sections around
	conditional bool
	vague       bool // inside a section: names may belong elsewhere
	body        *program
	bodyView    *view
}

type placeNames struct {
	name string
	at   *place
	up   *placeNames
}

// maxWalk bounds the walk: a template may call partials that call partials.
const maxWalk = 200_000

func (w *walker) program(v view, p *program) {
	if p == nil {
		return
	}
	for _, in := range p.inlines {
		w.program(v, in.body)
	}
	for _, n := range p.nodes {
		if w.steps++; w.steps > maxWalk {
			return
		}
		switch n := n.(type) {
		case *output:
			w.expr(v, n.value, KindString, false)
		case *block:
			w.block(v, n)
		case *partial:
			w.partial(v, n)
		}
	}
}

func (w *walker) block(v view, b *block) {
	inner := v
	switch b.op {
	case opRaw:
		return
	case opIf, opUnless, opTest:
		w.expr(v, b.value, KindBoolean, true)
		inner.tested = w.paths(v, b.value, v.tested)
		inner.conditional = true
		w.program(inner, b.main)
		w.program(inner, b.inverse)
		return
	case opEach, opWith:
		kind := KindArray
		if b.op == opWith {
			kind = KindObject
		}
		w.expr(v, b.value, kind, b.inverse != nil)
	default:
		w.expr(v, b.value, KindBoolean, true)
		inner.vague = b.main != nil
	}
	at := w.placeOf(v, b.value)
	if b.op == opEach {
		at.path += "[]"
	}
	at.up = v.context
	inner.context = at
	if len(b.names) > 0 {
		inner.names = &placeNames{b.names[0], at, v.names}
	}
	if len(b.names) > 1 {
		inner.names = &placeNames{b.names[1], &place{}, inner.names}
	}
	w.program(inner, b.main)
	v.conditional = true
	w.program(v, b.inverse)
}

func (w *walker) partial(v view, n *partial) {
	inner := v
	inner.names = nil
	if n.context != nil {
		w.expr(v, n.context, KindObject, true)
		inner.context = w.placeOf(v, n.context)
	} else if v.context.known && v.template.engine == Handlebars {
		inner.context = &place{path: v.context.path, known: true}
	}
	for i := len(n.hash) - 1; i >= 0; i-- {
		w.expr(v, n.hash[i].value, KindString, true)
		at := w.placeOf(v, n.hash[i].value)
		inner.names = &placeNames{n.hash[i].name, at, inner.names}
	}
	if n.name == partialBlock && n.dynamic == nil {
		if v.body != nil {
			seen := *v.bodyView
			seen.context = inner.context
			w.program(seen, v.body)
		}
		return
	}
	if n.dynamic != nil {
		w.expr(v, n.dynamic, KindString, false)
	}
	if n.body != nil {
		inner.body, inner.bodyView = n.body, &v
	}
	t, ok := w.lookup(n)
	if !ok {
		if n.body != nil {
			w.program(v, n.body)
		}
		return
	}
	w.calls = append(w.calls, t)
	inner.template = t
	w.program(inner, t.root)
	w.calls = w.calls[:len(w.calls)-1]
}

func (w *walker) lookup(n *partial) (*Template, bool) {
	if w.partials == nil || n.dynamic != nil {
		return nil, false
	}
	t, ok := w.partials(n.name)
	if !ok || t == nil {
		return nil, false
	}
	for _, called := range w.calls {
		if called == t {
			return nil, false
		}
	}
	return t, true
}

// expr notes the variables of a value.
func (w *walker) expr(v view, x expr, kind Kind, optional bool) {
	switch x := x.(type) {
	case *path:
		if at := w.placeOf(v, x); at.known && at.path != "" {
			w.note(v, at.path, kind, optional)
		}
	case *call:
		w.call(v, x, optional)
	}
}

func (w *walker) call(v view, c *call, optional bool) {
	if c.helper == helpers["insert"] && len(c.args) == 2 {
		if at := w.placeOf(v, c.args[0]); at.known && at.path != "" {
			w.note(v, at.path, KindString, true)
			if k, ok := c.args[1].(*constant); ok {
				found := &w.variables[w.found[at.path]]
				found.Default, found.HasDefault = text(k.value), true
			}
		}
		w.expr(v, c.args[1], KindString, true)
		return
	}
	kind := KindString
	for _, a := range c.args {
		if k, ok := a.(*constant); ok {
			if _, isNumber := number(k.value); isNumber {
				kind = KindNumber
			}
		}
	}
	if c.helper.tests {
		kind = KindBoolean
	}
	for _, a := range c.args {
		w.expr(v, a, kind, c.helper.tests || c.helper.lenient && optional)
	}
}

func (w *walker) note(v view, path string, kind Kind, optional bool) {
	for _, t := range v.tested {
		if path == t || strings.HasPrefix(path, t) && (path[len(t)] == '.' || path[len(t)] == '[') {
			optional = true
		}
	}
	required := !optional && !v.vague
	i, ok := w.found[path]
	if !ok {
		w.found[path] = len(w.variables)
		w.variables = append(w.variables, Variable{Path: path, Kind: kind, Required: required, Conditional: v.conditional})
		return
	}
	known := &w.variables[i]
	known.Required = known.Required || required
	known.Conditional = known.Conditional && v.conditional
	if kindRank[kind] > kindRank[known.Kind] {
		known.Kind = kind
	}
}

// paths adds the variables that a condition tests.
func (w *walker) paths(v view, x expr, tested []string) []string {
	switch x := x.(type) {
	case *path:
		if at := w.placeOf(v, x); at.known && at.path != "" {
			tested = append(tested[:len(tested):len(tested)], at.path)
		}
	case *call:
		if x.helper.tests || x.helper.lenient {
			for _, a := range x.args {
				tested = w.paths(v, a, tested)
			}
		}
	}
	return tested
}

// placeOf is where a value lies in the data.
func (w *walker) placeOf(v view, x expr) *place {
	p, ok := x.(*path)
	if !ok {
		return &place{}
	}
	from, parts := v.context, p.parts
	switch {
	case p.data && (len(parts) == 0 || parts[0] != "root"):
		return &place{}
	case p.data:
		from, parts = v.root, parts[1:]
	case !p.scoped && len(parts) > 0:
		for n := v.names; n != nil; n = n.up {
			if n.name == parts[0] {
				from, parts = n.at, parts[1:]
				break
			}
		}
	}
	for range p.depth {
		if from = from.up; from == nil {
			return &place{}
		}
	}
	if !from.known {
		return &place{}
	}
	at := from.path
	for _, name := range parts {
		switch {
		case indexLike(name):
			at += "[]"
		case at == "":
			at = name
		default:
			at += "." + name
		}
	}
	return &place{path: at, known: true}
}

func indexLike(name string) bool { return name != "" && digits(name) == len(name) }

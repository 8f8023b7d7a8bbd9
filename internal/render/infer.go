package render

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/template"
)

// infer gathers what data a version asks for: of all its parts in all languages, with
// the partials and the layout they have now; then what its author declared.
func (r *rendering) infer() []Variable {
	var out []Variable
	asked := r.locale
	defer func() { r.locale = asked }()
	for i := range r.version.variants {
		v := &r.version.variants[i]
		r.locale = v.locale
		layout, _ := r.layout() // one that is not there asks for nothing
		for _, p := range []struct {
			t      *template.Template
			format template.Format
		}{{v.subject, template.Subject}, {v.preheader, template.HTML}, {v.html, template.HTML}, {v.text, template.Text}, {layout.html, template.HTML}, {layout.text, template.Text}} {
			if p.t == nil {
				continue
			}
			for _, found := range p.t.Variables(func(name string) (*template.Template, bool) { return r.partial(name, p.format) }) {
				out = merge(out, found)
			}
		}
	}
	for i := range r.version.declared {
		out = declare(out, r.version.declared[i].Variable)
	}
	return out
}

// merge adds what another part asks for: required anywhere is required.
func merge(all []Variable, v template.Variable) []Variable {
	i := slices.IndexFunc(all, func(o Variable) bool { return o.Name == v.Path })
	if i < 0 {
		n := Variable{Name: v.Path, Type: string(v.Kind), Required: v.Required}
		if v.HasDefault {
			n.Default, _ = jsontext.AppendQuote(nil, v.Default)
		}
		return append(all, n)
	}
	known := &all[i]
	known.Required = known.Required || v.Required
	if slices.Index(kindOrder, string(v.Kind)) > slices.Index(kindOrder, known.Type) {
		known.Type = string(v.Kind)
	}
	return all
}

// kindOrder: what says more about a variable goes before what says less.
var kindOrder = []string{"boolean", "string", "number", "object", "array"}

// declare lets an author's word go before what was inferred.
func declare(all []Variable, d Variable) []Variable {
	i := slices.IndexFunc(all, func(o Variable) bool { return o.Name == d.Name })
	if i < 0 {
		if d.Type == "" {
			d.Type = "string"
		}
		return append(all, d)
	}
	if d.Type == "" {
		d.Type = all[i].Type
	}
	all[i] = d
	return all
}

// lookAt prepares a version for questions that send nothing.
func (l *Library) lookAt(ctx context.Context, t *Template, c *compiled) *rendering {
	return &rendering{l: l, ctx: ctx, project: t.Project, template: t, version: c, drafts: true, subject: true, pointer: "#/template_data"}
}

// inferred gives the variables of a version that is about to be kept. An error is ours.
func (l *Library) inferred(ctx context.Context, t *Template, c *compiled) ([]Variable, error) {
	r := l.lookAt(ctx, t, c)
	all := r.infer()
	return all, r.err
}

// newlyRequired are the names that a version cannot do without and another could.
func newlyRequired(now, before []Variable) (names []string) {
	for _, v := range now {
		if !v.Required || strings.Contains(v.Name, "[]") && len(before) == 0 {
			continue
		}
		if !slices.ContainsFunc(before, func(o Variable) bool { return o.Name == v.Name && o.Required }) {
			names = append(names, v.Name)
		}
	}
	return names
}

// unused are the names at the top of the data that no part asks for.
func unused(data any, all []Variable) []string {
	out := []string{}
	o, ok := data.(*template.Object)
	if !ok {
		return out
	}
	for _, m := range o.Members() {
		if !slices.ContainsFunc(all, func(v Variable) bool {
			rest, ok := strings.CutPrefix(v.Name, m.Name)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		}) {
			out = append(out, m.Name)
		}
	}
	return out
}

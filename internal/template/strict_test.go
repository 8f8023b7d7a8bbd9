package template_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postroad/postroad/internal/template"
)

func TestStrictNamesEveryMissingVariableAtOnce(t *testing.T) {
	t.Parallel()
	parts := map[string]string{
		"p": "{{title}}{{#if note}}{{note}}{{/if}}", "q": "{{x}}{{y}}", "row": "{{price}}", "lay": "{{head}}{{> @partial-block}}",
	}
	for _, c := range []struct {
		engine       template.Engine
		source, data string
		want         string // pointers
	}{
		{source: "{{name}} {{user.mail}} {{name}}", data: `{}`, want: "name user/mail"},
		{source: "{{name}}", data: `{"name":""}`, want: ""},
		{source: "{{name}}", data: `{"name":null}`, want: "name"},
		{source: "{{name}}{{no}}", data: `{"name":0,"no":false}`, want: ""},
		{source: "{{#if name}}Hi {{name}}{{else}}Hi{{/if}}", data: `{}`, want: ""},
		{source: "{{#if name}}Hi{{/if}}{{name}}", data: `{}`, want: "name"},
		{source: "{{#unless a}}x{{/unless}}{{^b}}x{{/b}}{{#c}}{{d}}{{/c}}", data: `{}`, want: ""},
		{source: `{{insert name "default=you"}} {{insert other}}`, data: `{}`, want: "other"},
		{source: `{{#if (or a b)}}x{{/if}}{{or a "b"}}{{#and a b}}{{/and}}{{not a}}`, data: `{}`, want: ""},
		{source: `{{or a b}}`, data: `{}`, want: "a b"},
		{source: `{{#equals plan "pro"}}x{{else}}y{{/equals}}`, data: `{}`, want: "plan"},
		{source: `{{#if (equals plan "pro")}}x{{/if}}`, data: `{}`, want: "plan"},
		{source: `{{#if (length items)}}x{{/if}}`, data: `{}`, want: ""},
		{source: `{{length items}}`, data: `{}`, want: "items"},
		{source: `{{#each items}}{{name}}{{/each}}`, data: `{}`, want: "items"},
		{source: `{{#each items}}{{name}}{{else}}none{{/each}}`, data: `{}`, want: ""},
		{source: `{{#each items}}{{name}}{{/each}}`, data: `{"items":[]}`, want: ""},
		{source: `{{#each items}}{{name}}{{../total}}{{/each}}`, data: `{"items":[{"name":1},{},{}]}`, want: "total items/1/name items/2/name"},
		{source: `{{#each items as |it i|}}{{it.a.b}}{{i}}{{/each}}`, data: `{"items":[{},{"a":{"b":1}}]}`, want: "items/0/a/b"},
		{source: `{{#each o}}{{@key}}{{x}}{{/each}}`, data: `{"o":{"k":{},"a/b c":{}}}`, want: "o/k/x o/a~1b%20c/x"},
		{source: `{{#with user}}{{name}}{{@root.top}}{{/with}}`, data: `{"user":{"a":1}}`, want: "user/name top"},
		{source: `{{#with user}}{{name}}{{/with}}`, data: `{}`, want: "user"},
		{source: `{{#user}}{{name}}{{/user}}`, data: `{"user":{"a":1}}`, want: "user/name"},
		{source: `{{> p}}`, data: `{}`, want: "title"},
		{source: `{{> p title=heading note=n}}`, data: `{}`, want: "heading"},
		{source: `{{#each l}}{{> q x=@index y=../z}}{{/each}}`, data: `{"l":[{},{}]}`, want: "z"},
		{source: `{{#each l}}{{> row}}{{/each}}`, data: `{"l":[{},{}]}`, want: "l/0/price l/1/price"},
		{source: `{{> row item}}`, data: `{"item":{"a":1}}`, want: "item/price"},
		{source: `{{#> lay}}{{body}}{{/lay}}`, data: `{}`, want: "head body"},
		{source: `{{#if a}}{{b}}{{/if}}`, data: `{}`, want: ""},
		{source: `{{#if a}}{{b}}{{/if}}`, data: `{"a":1}`, want: "b"},
		{source: `{{formatDate when "YYYY"}}`, data: `{}`, want: "when"},
		{source: `{{[first name]}} {{été}}`, data: `{}`, want: "first%20name %C3%A9t%C3%A9"},
		{source: `{{this}}{{@index}}{{null}}`, data: `{}`, want: ""},
		{engine: template.Mustache, source: `{{a}}{{{b.c}}}{{#d}}{{e}}{{/d}}{{^f}}x{{/f}}`, data: `{}`, want: "a b/c"},
		{engine: template.Mustache, source: `{{#items}}{{name}}{{total}}{{/items}}`, data: `{"items":[{"name":1},{}],"total":1}`, want: "items/1/name"},
		{engine: template.Mustache, source: `{{#vip}}{{name}}{{/vip}}{{#u}}{{x.y}}{{/u}}`, data: `{"vip":true,"u":{"x":{}}}`, want: "name u/x/y"},
		{engine: template.Mustache, source: `{{#each items}}{{n}}{{../t}}{{/each}}`, data: `{"items":[{}]}`, want: "items/0/n t"},
	} {
		_, err := render(c.engine, template.HTML, c.source, decode(t, c.data), template.Options{Strict: true, Partials: partialsOf(t, c.engine, parts)})
		var missing *template.MissingError
		var got []string
		switch {
		case errors.As(err, &missing):
			for _, m := range missing.Missing {
				got = append(got, strings.TrimPrefix(m.Pointer, "#/template_data/"))
				if m.Line != 1 || m.Column < 1 || m.Path == "" || m.Template == "" {
					t.Errorf("%q: %+v lacks where it is", c.source, m)
				}
			}
		case err != nil:
			t.Errorf("%q: %v", c.source, err)
		}
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q of %s misses %q, should %q", c.source, c.data, got, want)
		}
		if _, err := render(c.engine, template.HTML, c.source, decode(t, c.data), template.Options{Partials: partialsOf(t, c.engine, parts)}); err != nil && !strings.Contains(c.source, "formatDate") {
			t.Errorf("%q, not strict: %v", c.source, err)
		}
	}
}

func TestMissingVariablesAreCountedToAHundred(t *testing.T) {
	t.Parallel()
	_, err := render(template.Handlebars, template.Text, "{{#each l}}{{x}}{{/each}}", decode(t, "{\"l\":["+strings.Repeat("{},", 500)+"{}]}"), template.Options{Strict: true})
	var missing *template.MissingError
	if !errors.As(err, &missing) || len(missing.Missing) != 100 {
		t.Fatalf("%v", err)
	}
}

func TestAMissingPartialIsRefusedWhenStrict(t *testing.T) {
	t.Parallel()
	for _, engine := range []template.Engine{template.Handlebars, template.Mustache} {
		_, err := render(engine, template.HTML, "{{> nope}}", nil, template.Options{Strict: true})
		var e *template.RenderError
		if !errors.As(err, &e) || e.Code != template.CodePartial {
			t.Errorf("%s: %v", engine, err)
		}
	}
}

func TestVariablesAreInferred(t *testing.T) {
	t.Parallel()
	find := partialsOf(t, template.Handlebars, map[string]string{
		"foot": "{{company}}{{#if link}}{{link}}{{/if}}", "row": "{{name}}{{price}}", "loop": "{{x}}{{> loop}}", "lay": "{{title}}{{> @partial-block}}",
	})
	for _, c := range []struct{ source, want string }{
		{"{{name}} {{user.mail}}", "name string! user.mail string!"},
		{"{{#if name}}{{name}}{{/if}}", "name string?"},
		{"{{#if name}}{{name}}{{/if}}{{name}}", "name string!"},
		{`{{insert name "default=you"}}`, "name string=you"},
		{"{{#each items}}{{name}}{{../total}}{{@root.a}}{{this}}{{/each}}", "items array! items[].name string! total string! a string! items[] string!"},
		{"{{#each items as |it i|}}{{it.sku}}{{i}}{{/each}}", "items array! items[].sku string!"},
		{"{{#each items}}x{{else}}{{none}}{{/each}}", "items array none string!~"},
		{"{{#with user}}{{name}}{{/with}}", "user object! user.name string!"},
		{"{{#user}}{{name}}{{/user}}", "user boolean user.name string"},
		{`{{#greaterThan n 5}}{{x}}{{/greaterThan}}`, "n number! x string!~"},
		{"{{#if pro}}{{proName}}{{/if}}", "pro boolean proName string!~"},
		{"{{> foot}}{{#each items}}{{> row}}{{/each}}", "company string! link string? items array! items[].name string! items[].price string!"},
		{`{{> row name=title price=5}}`, "title string!"},
		{"{{> loop}}", "x string!"},
		{"{{#> lay}}{{body}}{{/lay}}", "title string! body string!"},
		{"{{items.0.name}}", "items[].name string!"},
		{"{{#if (and a (equals b 1))}}{{a}}{{/if}}", "a string? b number!"},
	} {
		parsed, problems := template.Parse(template.Handlebars, template.HTML, "t", c.source, template.Limits{})
		if parsed == nil {
			t.Fatal(problems)
		}
		var got []string
		for _, v := range parsed.Variables(find) {
			s := string(v.Kind)
			switch {
			case v.HasDefault:
				s += "=" + v.Default
			case v.Required:
				s += "!"
			case v.Kind == template.KindString && !strings.Contains(c.source, "{{#user}}"):
				s += "?"
			}
			if v.Required && v.Conditional {
				s += "~"
			}
			got = append(got, v.Path+" "+s)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q:\n%s", c.source, diff)
		}
	}
}

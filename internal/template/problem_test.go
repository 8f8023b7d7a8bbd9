package template_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postroad/postroad/internal/template"
)

// Every fault of a template is told at once, where it is.
func TestAllProblemsAreToldWithTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine       template.Engine
		source, want string
	}{
		{source: "{{#if a}}\n  {{nope x}}\n{{/each}}\né {{b c=}}\n{{a\n", want: "1:1 unclosed_block, 2:5 unknown_helper, 3:1 unexpected_close, 4:9 syntax, 5:1 unclosed_tag"},
		{source: "{{#if a}}{{#each b}}{{/if}}", want: "1:10 unclosed_block"},
		{source: "{{else}}{{/if}}", want: "1:1 unexpected_else, 1:9 unexpected_close"},
		{source: "{{#if}}{{else}}{{else}}{{/if}}", want: "1:1 wrong_arguments, 1:16 unexpected_else"},
		{source: `{{insert a "b"}}{{equals a}}{{#with}}{{/with}}`, want: "1:3 wrong_arguments, 1:19 wrong_arguments, 1:29 wrong_arguments"},
		{source: `{{insert a default="x" other="y"}}{{insert a "default=x" default="y"}}{{insert a b="c"}}`, want: "1:3 wrong_arguments, 1:37 wrong_arguments, 1:73 wrong_arguments"},
		{source: "{{a", want: "1:1 unclosed_tag"},
		{source: "{{a} b", want: "1:4 syntax"},
		{source: "{{{a}} b", want: "1:5 syntax"},
		{source: "x\n{{! y", want: "2:1 unclosed_tag"},
		{source: "{{{{raw}}}} x", want: "1:1 unclosed_block"},
		{source: "{{a {{b}} c", want: "1:1 unclosed_tag"},
		{source: "{{ok}}{{}}{{ok}}", want: "1:9 syntax"},
		{source: `{{a "x}}`, want: "1:5 syntax"},
		{engine: template.Mustache, source: "{{#a}}\n{{/b}}{{>}}{{#if x}}{{/if x}}", want: "1:1 unclosed_block, 2:1 unexpected_close, 2:7 syntax, 2:12 syntax"},
		{engine: template.Mustache, source: "{{a..b}}{{=x}}{{<p}}{{/p}}", want: "1:1 syntax, 1:9 unclosed_tag, 1:15 unknown_tag, 1:21 unexpected_close"},
		{engine: template.Mustache, source: "{{=| |=}}|a| |", want: "1:14 unclosed_tag"},
	} {
		parsed, problems := template.Parse(c.engine, template.HTML, "t", c.source, template.Limits{})
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Code))
			if p.Message == "" || p.Template != "t" || p.Severity != template.Severe {
				t.Errorf("%q: %+v", c.source, p)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" || parsed != nil {
			t.Errorf("%q: %v\n%s", c.source, problems, diff)
		}
	}
}

func TestRenderErrorsSayWhere(t *testing.T) {
	t.Parallel()
	partials := partialsOf(t, template.Handlebars, map[string]string{"p": "a\n  {{> gone}}"})
	_, err := render(template.Handlebars, template.HTML, "x\n{{> p}}", nil, template.Options{Partials: partials})
	if want := "p:2:3: there is no partial 'gone'"; err == nil || err.Error() != want {
		t.Errorf("%v, should be %s", err, want)
	}
}

func TestPartialsAreListed(t *testing.T) {
	t.Parallel()
	parsed, problems := template.Parse(template.Handlebars, template.HTML, "t", `{{> a}}{{#if x}}{{> b/c}}{{/if}}{{#> a}}{{> d}}{{> @partial-block}}{{/a}}{{> (lookup . "n")}}{{#*inline "i"}}{{> e}}{{/inline}}`, template.Limits{})
	if parsed == nil {
		t.Fatal(problems)
	}
	if got := strings.Join(parsed.Partials(), " "); got != "a b/c d e" {
		t.Error(got)
	}
}

func TestEnginesAreNamed(t *testing.T) {
	t.Parallel()
	for _, e := range []template.Engine{template.Handlebars, template.Mustache} {
		if got, ok := template.EngineOf(e.String()); !ok || got != e {
			t.Errorf("%s is %s", e, got)
		}
	}
	if _, ok := template.EngineOf("jinja"); ok {
		t.Error("there is no jinja")
	}
}

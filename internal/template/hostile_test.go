package template_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/template"
)

// count is a writer that keeps nothing.
type count struct{ bytes, writes, largest int }

func (c *count) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.writes++
	c.largest = max(c.largest, len(p))
	return len(p), nil
}

func (c *count) WriteString(s string) (int, error) {
	c.bytes += len(s)
	c.writes++
	return len(s), nil
}

func numbers(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }

func TestHostileTemplatesEndWithinTheirBudget(t *testing.T) {
	t.Parallel()
	cyclicMap := map[string]any{}
	cyclicMap["self"] = cyclicMap
	cyclicList := make([]any, 2)
	cyclicList[0], cyclicList[1] = cyclicList, "x"
	big := strings.Repeat("<", 12<<20)
	for _, c := range []struct {
		name, source string
		engine       template.Engine
		data         any
		partials     map[string]string
		budget       template.Budget
		code         string
	}{
		{name: "nested loops", source: strings.Repeat("{{#each @root.l}}", 8) + "x" + strings.Repeat("{{/each}}", 8), data: map[string]any{"l": decode(t, numbers(1000))}, code: template.CodeSteps},
		{name: "nested loops without content", source: strings.Repeat("{{#each @root.l}}", 8) + strings.Repeat("{{/each}}", 8), data: map[string]any{"l": decode(t, numbers(1000))}, code: template.CodeSteps},
		{name: "nested sections", engine: template.Mustache, source: strings.Repeat("{{#l}}", 9) + "{{.}}" + strings.Repeat("{{/l}}", 9), data: map[string]any{"l": decode(t, numbers(500))}, code: template.CodeSteps},
		{name: "nothing but text in loops", source: "{{#each l}}{{#each @root.l}}" + strings.Repeat("0123456789abcdef", 1<<10) + "{{/each}}{{/each}}", data: map[string]any{"l": decode(t, numbers(1000))}, code: template.CodeOutput},
		{name: "a partial calling itself", source: "{{> a}}", partials: map[string]string{"a": "{{> a}}"}, code: template.CodeDepth},
		{name: "partials calling each other", source: "{{> a}}", partials: map[string]string{"a": "x{{> b}}", "b": "y{{> a}}{{> a}}"}, code: template.CodeDepth},
		{name: "a doubling partial", source: "{{> a}}", partials: map[string]string{"a": "{{#if @root.no}}{{else}}{{> a}}{{> a}}{{/if}}"}, code: template.CodeDepth},
		{name: "doubling without depth", source: "{{> a0}}", partials: doubling(60), code: template.CodeSteps},
		{name: "recursion of Mustache, indented", engine: template.Mustache, source: "{{> a}}", partials: map[string]string{"a": "x\n  {{> a}}\n"}, code: template.CodeDepth},
		{name: "an inline partial calling itself", source: `{{#*inline "i"}}{{> i}}{{/inline}}{{> i}}`, code: template.CodeDepth},
		{name: "a layout calling itself", source: "{{#> a}}x{{/a}}", partials: map[string]string{"a": "{{#> a}}{{> @partial-block}}{{> @partial-block}}{{/a}}"}, code: template.CodeDepth},
		{name: "contexts growing with the depth", source: "{{> a x=1}}", partials: map[string]string{"a": "{{#each this}}{{> a y=this}}{{/each}}"}, code: template.CodeDepth},
		{name: "recursion by name", source: `{{> (lookup . "p")}}`, data: map[string]any{"p": "a"}, partials: map[string]string{"a": `{{> (lookup . "p")}}`}, code: template.CodeDepth},
		{name: "recursion over a map that holds itself", source: "{{#with self}}{{> a}}{{/with}}", data: cyclicMap, partials: map[string]string{"a": "{{#with self}}{{> a}}{{/with}}"}, code: template.CodeDepth},
		{name: "a list that holds itself, printed", source: "{{l}}", data: map[string]any{"l": cyclicList}, code: template.CodeData},
		{name: "a value that grows by escaping", source: "{{v}}", data: map[string]any{"v": big}, code: template.CodeOutput},
		{name: "too much in the last text", source: "{{v}}" + strings.Repeat("x", 2000), data: map[string]any{"v": "1"}, budget: template.Budget{Output: 1000}, code: template.CodeOutput},
		{name: "a large value many times", source: "{{#each l}}{{{@root.v}}}{{/each}}", data: map[string]any{"v": big, "l": decode(t, numbers(1000))}, code: template.CodeOutput},
		{name: "large values compared many times", source: "{{#each l}}{{#each @root.l}}{{#equals @root.v @root.w}}{{/equals}}{{/each}}{{/each}}", data: map[string]any{"v": big, "w": string([]byte(big)), "l": decode(t, numbers(1000))}, code: template.CodeSteps},
		{name: "a prototype's names", source: "{{__proto__}}{{constructor.constructor}}{{toString}}{{#each __proto__}}x{{/each}}{{lookup this \"__proto__\"}}", data: map[string]any{}},
		{name: "prototype names as partials", source: "{{> __proto__}}", code: template.CodePartial},
		{name: "paths out of the house", source: "{{../../../etc/passwd}}{{[../../etc/passwd]}}{{@root.[/etc/passwd]}}", data: map[string]any{}},
		{name: "files as partials", source: "{{> ../../../../etc/passwd}}", code: template.CodePartial},
		{name: "files as partials of Mustache", engine: template.Mustache, source: "{{> /etc/passwd}}|", data: map[string]any{}},
		{name: "thousands of parents", source: "{{" + strings.Repeat("../", 5000) + "x}}", data: map[string]any{"x": 1}},
		{name: "a clock that runs", source: strings.Repeat("{{x}}", 600), data: map[string]any{"x": 1}, budget: template.Budget{Time: time.Millisecond}, code: template.CodeTime},
		{name: "an unreadable time", source: `{{formatDate x "YYYY"}}`, data: map[string]any{"x": "tomorrow"}, code: template.CodeArgument},
		{name: "an enormous time", source: `{{formatDate 99999999999999999999999 "YYYY"}}`, code: template.CodeArgument},
		{name: "an enormous number", source: `{{#greaterThan x 1}}{{x}}{{/greaterThan}}`, data: map[string]any{"x": template.Number("1" + strings.Repeat("0", 5000))}},
	} {
		o := template.Options{Partials: partialsOf(t, c.engine, c.partials), Budget: c.budget}
		// The clock must not be what ends the others on a busy machine; a minute does not
		// pass if steps and bytes are counted as they should.
		if o.Budget.Time == 0 {
			o.Budget.Time = time.Minute
		}
		if o.Budget.Steps = 100_000; c.name == "nested loops" {
			o.Budget.Steps = 0 // the usual
		}
		if c.code == template.CodeTime {
			at := time.Unix(0, 0)
			o.Now = func() time.Time { at = at.Add(time.Second); return at }
		}
		for _, strict := range []bool{false, true} {
			o.Strict = strict
			began := time.Now()
			parsed, problems := template.Parse(c.engine, template.HTML, "hostile", c.source, template.Limits{})
			if parsed == nil {
				t.Errorf("%s: %v", c.name, problems)
				break
			}
			err := parsed.Render(&count{}, c.data, o)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: took %s", c.name, took)
			}
			var stopped *template.RenderError
			var missing *template.MissingError
			switch {
			case errors.As(err, &stopped):
				if stopped.Code != c.code && !(strict && stopped.Code == template.CodePartial) || stopped.Line != 1 && c.engine == template.Handlebars || stopped.Template == "" {
					t.Errorf("%s: %v (%s), should be %s", c.name, err, stopped.Code, c.code)
				}
			case err == nil && c.code != "", errors.As(err, &missing) && !strict:
				t.Errorf("%s: %v, should be %s", c.name, err, c.code)
			}
		}
	}
}

// doubling partials call the next one twice: 2^n calls, n deep.
func doubling(n int) map[string]string {
	all := map[string]string{fmt.Sprintf("a%d", n): "x"}
	for i := range n {
		all[fmt.Sprintf("a%d", i)] = fmt.Sprintf("{{> a%d}}{{> a%d}}", i+1, i+1)
	}
	return all
}

func TestHostileSourcesAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, source string
		code         string
	}{
		{"blocks in blocks", strings.Repeat("{{#if a}}", 100_000), "too_deep"},
		{"parentheses in parentheses", "{{or " + strings.Repeat("(or a ", 100_000) + "}}", "syntax"},
		{"too many tags", strings.Repeat("{{a}}", 150_000), "too_large"},
		{"too long", strings.Repeat("a", 3<<20), "too_large"},
		{"too many faults", strings.Repeat("{{/a}}", 50_000), "unexpected_close"},
		{"unclosed tags", strings.Repeat("{{", 100_000), "unclosed_tag"},
		{"unclosed comment", "{{!--" + strings.Repeat("{{!", 100_000), "unclosed_tag"},
		{"raw blocks in raw blocks", strings.Repeat("{{{{raw}}}}", 50_000), "unclosed_block"},
		{"else-chains", "{{#if a}}" + strings.Repeat("{{else if a}}", 50_000) + "{{/if}}", "too_deep"},
		{"spaces", "{{" + strings.Repeat(" ", 1<<20), "unclosed_tag"},
		{"backslashes", strings.Repeat(`\\\{{`, 100_000), "syntax"},
	} {
		for _, engine := range []template.Engine{template.Handlebars, template.Mustache} {
			began := time.Now()
			parsed, problems := template.Parse(engine, template.HTML, "hostile", c.source, template.Limits{})
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: %s took %s", c.name, engine, took)
			}
			if engine != template.Handlebars {
				continue
			}
			found := false
			for _, p := range problems {
				found = found || p.Code == c.code
			}
			if parsed != nil || !found || len(problems) > template.DefaultLimits.Problems {
				t.Errorf("%s: %d problems, should be %s: %v", c.name, len(problems), c.code, problems[:min(3, len(problems))])
			}
		}
	}
}

// What a value of 10 MB costs is its writing: pieces of it, not copies. It runs alone, so
// that what is allocated is its own.
func TestLargeValuesAreStreamed(t *testing.T) {
	big := strings.Repeat("0123456789abcde\n", 10<<20/16)
	data := map[string]any{"v": big}
	for _, c := range []struct {
		engine template.Engine
		format template.Format
		source string
	}{
		{template.Handlebars, template.HTML, "a{{{v}}}b"}, {template.Handlebars, template.HTML, "a{{v}}b"}, {template.Handlebars, template.Text, "a{{v}}b"},
		{template.Handlebars, template.Subject, "a{{v}}b"}, {template.Handlebars, template.HTML, `<p title="{{v}}">`}, {template.Mustache, template.HTML, "a{{v}}b"},
		{template.Handlebars, template.HTML, "{{#if v}}{{#with v}}{{this}}{{/with}}{{/if}}"}, {template.Handlebars, template.HTML, `{{insert v "default=x"}}`},
	} {
		parsed, problems := template.Parse(c.engine, c.format, "t", c.source, template.Limits{})
		if parsed == nil {
			t.Fatal(problems)
		}
		var before, after runtime.MemStats
		w := &count{}
		runtime.ReadMemStats(&before)
		err := parsed.Render(w, data, template.Options{Strict: true})
		runtime.ReadMemStats(&after)
		if err != nil || w.bytes < len(big) {
			t.Errorf("%s: %d bytes, %v", c.source, w.bytes, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: allocates %d bytes for a value of %d", c.source, grown, len(big))
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAFailingWriterEndsTheRendering(t *testing.T) {
	t.Parallel()
	parsed, _ := template.Parse(template.Handlebars, template.HTML, "t", "{{#each l}}0123456789abcdef0123456789abcdef{{/each}}", template.Limits{})
	err := parsed.Render(failing{}, map[string]any{"l": decode(t, numbers(100_000))}, template.Options{})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

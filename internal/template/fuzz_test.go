package template_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/template"
)

// Whatever the template and the data are: no panic, an end within the budget, the same
// result twice, and in HTML no value that leaves the text it stands in.
func FuzzParseAndRender(f *testing.F) {
	files, _ := filepath.Glob("testdata/handlebars/*.json")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var cases []handlebarsCase
		if err := json.Unmarshal(raw, &cases); err != nil {
			f.Fatal(err)
		}
		for i, c := range cases {
			if i%7 == 0 {
				f.Add(c.Template, "{{x}}", string(c.Data), uint8(i))
			}
		}
	}
	f.Add("{{#each a}}{{> p}}{{/each}}", "{{#each this}}{{> p}}{{/each}}", `{"a":[[1],{"b":[]}]}`, uint8(0))
	f.Add("{{=<% %>=}}<%#a%>\n  <%>p%>\n<%/a%>", "{{.}}\n{{^b}}x{{/b}}", `{"a":[1,2]}`, uint8(1))
	f.Add(`<a href="{{a}}" style="{{b}}"><script>{{c}}`, `<!--[if mso]>{{a}}`, `{"a":"javascript:x","b":"x","c":"</script>"}`, uint8(2))
	f.Fuzz(func(t *testing.T, source, partial, raw string, choice uint8) {
		if len(source)+len(partial)+len(raw) > 1<<14 {
			return
		}
		data, err := template.Decode([]byte(raw))
		if err != nil {
			data = map[string]any{"a": raw, "l": []any{raw, raw}}
		}
		engine, format := template.Engine(choice&1), template.Format(choice>>1%3)
		p, _ := template.Parse(engine, template.HTML, "p", partial, template.Limits{})
		parsed, problems := template.Parse(engine, format, "t", source, template.Limits{})
		if parsed == nil {
			if len(problems) == 0 {
				t.Fatal("neither a template nor a problem")
			}
			return
		}
		o := template.Options{
			Strict: choice&64 != 0, Budget: template.Budget{Steps: 5_000, Output: 1 << 20, Time: time.Minute},
			Partials: func(name string) (*template.Template, bool) { return p, p != nil && name != "none" },
		}
		once, err := parsed.String(data, o)
		again, err2 := parsed.String(data, o)
		if err == nil && once != again || (err == nil) != (err2 == nil) {
			t.Fatalf("%q and %q (%v, %v)", once, again, err, err2)
		}
		if len(once) > 2<<20 {
			t.Fatalf("%d bytes", len(once))
		}
		var stopped *template.RenderError
		var missing *template.MissingError
		if err != nil && !errors.As(err, &stopped) && !errors.As(err, &missing) {
			t.Fatalf("an error of no kind: %v", err)
		}
		parsed.Variables(o.Partials)
	})
}

// A value's markup never becomes markup, wherever the template puts it.
func FuzzEscaping(f *testing.F) {
	for _, s := range []string{"<p>", `<p title="`, "<p title=", "<!-- ", "<style>", "<script>x='", `<a href="x:`, "<textarea>", "<p ", "<", "<!--[if mso]><p title='", "<title><!--"} {
		f.Add(s, `"></style></script></textarea></title>--><mark x='`, " z")
	}
	f.Fuzz(func(t *testing.T, before, value, after string) {
		if strings.Contains(before+after, "mark") || strings.Contains(before+after, "{{") || len(before+value+after) > 4096 {
			return
		}
		value = strings.ReplaceAll(value, "&", "<mark>")
		source := strings.ReplaceAll(before, "{", "") + "{{v}}" + strings.ReplaceAll(strings.ReplaceAll(after, "{", ""), "}", "")
		got, err := render(template.Handlebars, template.HTML, strings.TrimRight(source, `\`), map[string]any{"v": value}, template.Options{})
		if err == nil && strings.Contains(strings.ToLower(got), "<mark") {
			t.Fatalf("%q of %q gives %q", source, value, got)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",null,{"b":true}]}`, `{"a":1,"a":2}`, "[[[[", ` `, `"\ud800"`, "1e999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, err := template.Decode(raw)
		if err != nil {
			return
		}
		if _, err := render(template.Handlebars, template.HTML, "{{#each this}}{{@key}}{{this}}{{/each}}", data, template.Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

package template_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/internal/template"
)

func TestValuesAreEscapedForWhereTheyStand(t *testing.T) {
	t.Parallel()
	const evil = `<b a="1">'x'</b>`
	parts := map[string]string{
		"url": "{{v}}", "open": `<a href="`, "tail": `{{v}}">`, "layout": "<title>{{> @partial-block}}</title>", "styled": "<style>p{color:{{> @partial-block}}}</style>",
		"attrs": ` href="{{v}}" `,
	}
	for _, c := range []struct{ source, value, want string }{
		{`<p>{{v}}</p>`, evil, `<p>&lt;b a&#x3D;&quot;1&quot;&gt;&#x27;x&#x27;&lt;/b&gt;</p>`},
		{`<p title="{{v}}">`, `" onload="x`, `<p title="&quot; onload&#x3D;&quot;x">`},
		{`<p title='{{v}}'>`, `' onload='x`, `<p title='&#x27; onload&#x3D;&#x27;x'>`},
		{`<p title={{v}}>`, "a b\tc\nd>e", `<p title=a&#32;b&#9;c&#10;d&gt;e>`},
		{`<p title={{v}} id=1>`, ``, `<p title="" id=1>`},
		{`<p title=x{{v}}>`, ``, `<p title=x>`},
		{`<td {{v}}>`, `nowrap`, `<td nowrap>`},
		{`<td {{v}}>`, `onclick=x`, `<td >`},
		{`<h{{v}}>`, `2`, `<h2>`},
		{`<{{v}}>`, `script src`, `<>`},
		{`<{{v}}>{{v}}`, `script`, `<script>"script"`},
		{`<p {{v}}="{{v}}">`, `onclick`, `<p onclick="">`},
		{`<!-- {{v}} -->`, `--><x>`, `<!-- --&gt;&lt;x&gt; -->`},
		{`<!DOCTYPE {{v}}>`, `><x>`, `<!DOCTYPE &gt;&lt;x&gt;>`},
		{`<title>{{v}}</title>{{v}}`, `</title>`, `<title>&lt;/title&gt;</title>&lt;/title&gt;`},
		{`<textarea><a href="{{v}}"></textarea>`, `javascript:x`, `<textarea><a href="javascript:x"></textarea>`},
		// Addresses.
		{`<a href="{{v}}">`, `https://x.test/?a=1&b=2`, `<a href="https://x.test/?a&#x3D;1&amp;b&#x3D;2">`},
		{`<a href="{{v}}">`, `HTTP://x`, `<a href="HTTP://x">`},
		{`<a href="{{v}}">`, `mailto:a@b.test`, `<a href="mailto:a@b.test">`},
		{`<a href="{{v}}">`, `tel:+1`, `<a href="tel:+1">`},
		{`<a href="{{v}}">`, `cid:x`, `<a href="cid:x">`},
		{`<a href="{{v}}">`, `hosted:f.pdf`, `<a href="hosted:f.pdf">`},
		{`<a href="{{v}}">`, `/path?x:y`, `<a href="/path?x:y">`},
		{`<a href="{{v}}">`, `#a:b`, `<a href="#a:b">`},
		{`<a href="{{v}}">`, `page`, `<a href="page">`},
		{`<a href="{{v}}">`, `//other.test`, `<a href="//other.test">`},
		{`<a href="{{v}}">`, `javascript:alert(1)`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, ` jAvA` + "\t\n" + `Script:alert(1)`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, "\x01javascript:alert(1)", `<a href="about:invalid">`},
		{`<a href="{{v}}">`, `vbscript:x`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, `data:text/html,x`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, `data:image/png;base64,AA`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, `file:///etc/passwd`, `<a href="about:invalid">`},
		{`<a href="{{v}}">`, `averyveryverylongscheme:x`, `<a href="about:invalid">`},
		{`<a href='{{v}}'>`, `javascript:x`, `<a href='about:invalid'>`},
		{`<a href={{v}}>`, `javascript:x`, `<a href=about:invalid>`},
		{`<a HREF = "{{v}}">`, `javascript:x`, `<a HREF = "about:invalid">`},
		{`<a title="x" href=" {{v}}">`, `javascript:x`, `<a title="x" href=" about:invalid">`},
		{`<a href="https://x.test/{{v}}">`, `javascript:x`, `<a href="https://x.test/javascript:x">`},
		{`<a href="java{{v}}">`, `script:x`, `<a href="javaabout:invalid">`},
		{`<a href="{{v}}:x">`, `javascript`, `<a href="about:invalid:x">`},
		{`<a href="{{a}}{{b}}">`, ``, `<a href="javaabout:invalid">`},
		{`<a href="{{{v}}}">`, `https://x.test/?a=1&b=2`, `<a href="https://x.test/?a=1&b=2">`},
		{`<a href="{{{v}}}">`, `javascript:x`, `<a href="about:invalid">`},
		{`<a href="{{&v}}">`, `&#106;avascript&colon;x`, `<a href="about:invalid">`},
		{`<img src="{{v}}">`, `data:image/png;base64,AA`, `<img src="data:image/png;base64,AA">`},
		{`<img src="{{v}}">`, `data:text/html,AA`, `<img src="about:invalid">`},
		{`<iframe src="{{v}}">`, `data:image/svg+xml,x`, `<iframe src="about:invalid">`},
		{`<form action="{{v}}">`, `javascript:x`, `<form action="about:invalid">`},
		{`<v:roundrect href="{{v}}" arcsize="8%">`, `javascript:x`, `<v:roundrect href="about:invalid" arcsize="8%">`},
		{`<a data-href="{{v}}">`, `javascript:x`, `<a data-href="javascript:x">`},
		// What decides is what was really written.
		{`<a {{#if v}}href="{{else}}title="{{/if}}{{v}}">`, `javascript:x`, `<a href="about:invalid">`},
		{`<a {{#unless v}}href="{{else}}title="{{/unless}}{{v}}">`, `javascript:x`, `<a title="javascript:x">`},
		{`<a href="{{> url}}">`, `javascript:x`, `<a href="about:invalid">`},
		{`{{> open}}{{v}}">`, `javascript:x`, `<a href="about:invalid">`},
		{`{{> open}}{{> tail}}`, `javascript:x`, `<a href="about:invalid">`},
		{`<a{{> attrs}}>`, `javascript:x`, `<a href="about:invalid" >`},
		{`{{{raw}}}{{v}}">`, `javascript:x`, `<a href="about:invalid">`},
		{`{{#> layout}}{{v}}{{/layout}}`, `<`, `<title>&lt;</title>`},
		{`{{#> styled}}{{v}}{{/styled}}`, `red}</style>`, `<style>p{color:}</style>`},
		{`<a href="{{#each l}}{{this}}{{/each}}">`, ``, `<a href="x:y">`},
		// Outlook.
		{`<!--[if mso]><v:rect href="{{v}}">{{v}}<![endif]-->`, `javascript:"`, `<!--[if mso]><v:rect href="about:invalid">javascript:&quot;<![endif]-->`},
		{`<!--[if !mso]><!--><a href="{{v}}"><!--<![endif]-->`, `javascript:"`, `<!--[if !mso]><!--><a href="about:invalid"><!--<![endif]-->`},
		{`<!--[if gte mso 9]><xml><o:x>{{v}}</o:x></xml><![endif]-->{{v}}`, `<`, `<!--[if gte mso 9]><xml><o:x>&lt;</o:x></xml><![endif]-->&lt;`},
		// Styles.
		{`<p style="color:{{v}}">`, `#fff`, `<p style="color:#fff">`},
		{`<p style="color:{{v}};x:y">`, `rgb(1, 2, 3)`, `<p style="color:rgb(1, 2, 3);x:y">`},
		{`<p style="color:{{v}}">`, `red;position:fixed`, `<p style="color:">`},
		{`<p style="{{v}}">`, `color:red;width:10px`, `<p style="color:red;width:10px">`},
		{`<p style="{{v}}">`, `width:expression(alert(1))`, `<p style="">`},
		{`<p style="{{v}}">`, `background:url(//x)`, `<p style="">`},
		{`<p style="a:b; {{v}}">`, `color:red;top:1px`, `<p style="a:b; color:red;top:1px">`},
		{`<p style="{{c}};{{v}}">`, `color:red;top:1px`, `<p style="red;color:red;top:1px">`},
		{`<p style="background:url({{v}})">`, `https://x.test/a b).png`, `<p style="background:url(https://x.test/a%20b%29.png)">`},
		{`<p style="background:url('{{v}}')">`, `javascript:x`, `<p style="background:url('about:invalid')">`},
		{`<p style='background:URL("{{v}}/x.png");color:{{c}}'>`, `https://x.test`, `<p style='background:URL("https://x.test/x.png");color:red'>`},
		{`<style>.a{color:{{v}};background:url({{v}})}</style>`, `red`, `<style>.a{color:red;background:url(red)}</style>`},
		{`<style>.a{color:{{v}} }</style>{{v}}`, `</style><script>`, `<style>.a{color: }</style>&lt;/style&gt;&lt;script&gt;`},
		// Scripts.
		{`<script>x={{v}}</script>`, `alert(1)`, `<script>x="alert(1)"</script>`},
		{`<script>x="{{v}}"</script>`, `";alert('1')</script>`, `<script>x="\u0022;alert(\u00271\u0027)\u003c/script\u003e"</script>`},
		{"<script>x=`{{v}}`</script>", "${a}`", "<script>x=`\\u0024{a}\\u0060`</script>"},
		{`<script type="application/ld+json">{"n":{{n}},"b":{{yes}},"z":{{nul}},"s":"{{v}}","q":{{v}}}</script>`, "é\n\"", `<script type="application/ld+json">{"n":1.50,"b":true,"z":null,"s":"é\u000a\u0022","q":"é\u000a\u0022"}</script>`},
		{`<script>"</script>{{v}}`, `<`, `<script>"</script>&lt;`},
		{`<p onclick="f('{{v}}')" title="{{v}}">`, `x`, `<p onclick="f('')" title="x">`},
		{`<p onpointerrawupdate="{{v}}">`, `x`, `<p onpointerrawupdate="">`},
		// What is not HTML at all stays as it is.
		{`a < b {{v}} <3 {{v}}`, `&`, `a < b &amp; <3 &amp;`},
		{`<a href="x>{{v}}">`, `"`, `<a href="x>&quot;">`},
	} {
		data := template.NewObject(
			template.Member{Name: "v", Value: c.value}, template.Member{Name: "a", Value: "java"}, template.Member{Name: "b", Value: "script:x"},
			template.Member{Name: "raw", Value: `<a href="`}, template.Member{Name: "l", Value: []any{"x", ":y"}}, template.Member{Name: "c", Value: "red"},
			template.Member{Name: "n", Value: template.Number("1.50")}, template.Member{Name: "yes", Value: true}, template.Member{Name: "nul", Value: nil},
		)
		if c.source == `<a href="{{#each l}}{{this}}{{/each}}">` {
			c.want = `<a href="xabout:invalid">` // x:y is no scheme of ours
		}
		warned := 0
		got, err := render(template.Handlebars, template.HTML, c.source, data, template.Options{
			Partials: partialsOf(t, template.Handlebars, parts), Warn: func(p template.Problem) { warned++ },
		})
		if err != nil || got != c.want {
			t.Errorf("%s of %q gives\n%s (%v), should\n%s", c.source, c.value, got, err, c.want)
		}
		if strings.Contains(got, "about:invalid") && warned == 0 {
			t.Errorf("%s of %q: nobody was warned", c.source, c.value)
		}
	}
}

// Text between tags arrives byte for byte, whatever it is.
func TestLiteralTextIsUntouched(t *testing.T) {
	t.Parallel()
	source := "\ufeff<!DOCTYPE html>\r\n<!--[if mso]>\r\n<table width=600><tr><td>\r\n<![endif]-->\t \r\n<p style='a:b' >&nbsp;&#160;\x00\xff é ☃</P>\r\r\n<!--[if !mso]><!-->\n<br/ ><!--<![endif]-->}} } { \\ "
	for _, engine := range []template.Engine{template.Handlebars, template.Mustache} {
		for _, format := range []template.Format{template.HTML, template.Text, template.Subject} {
			got, err := render(engine, format, source, nil, template.Options{Strict: true})
			if err != nil || got != source {
				t.Errorf("%s: %q (%v)", engine, got, err)
			}
		}
	}
}

// A partial that was parsed as text is escaped as HTML where HTML is made.
func TestTheFormatIsThatOfTheWhole(t *testing.T) {
	t.Parallel()
	p, _ := template.Parse(template.Handlebars, template.Text, "p", `<a href="{{v}}">`, template.Limits{})
	find := func(string) (*template.Template, bool) { return p, true }
	for format, want := range map[template.Format]string{template.HTML: `<a href="about:invalid">`, template.Text: `<a href="javascript:x">`} {
		got, err := render(template.Handlebars, format, "{{> p}}", map[string]any{"v": "javascript:x"}, template.Options{Partials: find})
		if err != nil || got != want {
			t.Errorf("%q (%v), should be %q", got, err, want)
		}
	}
}

// A template is shared by all senders at once.
func TestOneTemplateRendersManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	body, o := receipt(t)
	data := decode(t, receiptData)
	want, err := body.String(data, o)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if got, err := body.String(data, o); err != nil || got != want {
					t.Errorf("%v: %s", err, got)
				}
			}
		})
	}
	group.Wait()
}

func TestTextAndSubjectsAreNotEscaped(t *testing.T) {
	t.Parallel()
	data := decode(t, `{"v":"<a>&\"'=\r\n\r\nBcc: x","url":"javascript:x"}`)
	for _, c := range []struct {
		format       template.Format
		source, want string
	}{
		{template.Text, "{{v}}|{{{v}}}", "<a>&\"'=\r\n\r\nBcc: x|<a>&\"'=\r\n\r\nBcc: x"},
		{template.Subject, "{{v}}|{{{v}}}", "<a>&\"'= Bcc: x|<a>&\"'= Bcc: x"},
		{template.Text, `<a href="{{url}}">`, `<a href="javascript:x">`},
	} {
		got, err := render(template.Handlebars, c.format, c.source, data, template.Options{})
		if err != nil || got != c.want {
			t.Errorf("%q gives %q (%v), should %q", c.source, got, err, c.want)
		}
	}
}

func TestParsingWarnsOfPlacesForNoValue(t *testing.T) {
	t.Parallel()
	for source, code := range map[string]string{
		`<script>x={{v}}</script>`:               "value_in_script",
		`<a onclick="{{v}}">`:                    "value_in_event",
		`<{{v}}>`:                                "value_in_tag_name",
		`{{#if a}}<script>{{v}}</script>{{/if}}`: "value_in_script",
		`<p title="{{v}}">{{v}}<a href={{v}}><style>{{v}}</style>`: "",
		`<!--[if mso]><script>{{v}}</script><![endif]-->`:          "value_in_script",
	} {
		parsed, problems := template.Parse(template.Handlebars, template.HTML, "t", source, template.Limits{})
		if parsed == nil {
			t.Fatal(problems)
		}
		got := ""
		for _, p := range problems {
			got += p.Code
		}
		if got != code {
			t.Errorf("%q: %v, should be %q", source, problems, code)
		}
	}
}

// A page's layout and its body are separate templates, and the body stands in the layout's
// place with its own escaping.
func TestALayoutShowsTheTemplateInItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine             template.Engine
		layout, body, want string
	}{
		{template.Handlebars, `<a href="{{u}}">{{> @partial-block}}</a>`, "{{u}}", `<a href="about:invalid">data:&lt;</a>`},
		{template.Mustache, `<a href="{{u}}">{{{ @content }}}</a>`, "{{u}}", `<a href="about:invalid">data:&lt;</a>`},
		{template.Mustache, "<b>\n  {{> @partial-block}}\n</b>", "{{u}}\n1\n", "<b>\n  data:&lt;\n  1\n</b>"},
	} {
		layout, problems := template.Parse(c.engine, template.HTML, "layout", c.layout, template.Limits{})
		if layout == nil {
			t.Fatal(problems)
		}
		got, err := render(c.engine, template.HTML, c.body, decode(t, `{"u":"data:<"}`), template.Options{Layout: layout})
		if err != nil || got != c.want {
			t.Errorf("%q (%v), should be %q", got, err, c.want)
		}
	}
}

func TestObjectsAndNumbersStayAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	data := decode(t, `{"o":{"b":9.90,"2":1e3,"1":-0,"a":12345678901234567890.1}}`)
	got, err := render(template.Handlebars, template.HTML, "{{#each o}}{{@key}}={{this}} {{/each}}", data, template.Options{})
	if want := "b=9.90 2=1e3 1=-0 a=12345678901234567890.1 "; err != nil || got != want {
		t.Errorf("%q (%v), should be %q", got, err, want)
	}
	for _, bad := range []string{`{"a":1,"a":2}`, `{"a":`, `[1,]`, `{} {}`, "\"\xff\"", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "nul"} {
		if v, err := template.Decode([]byte(bad)); err == nil {
			t.Errorf("%.40q was read as %v", bad, v)
		}
	}
}

func TestDataOfProgramsIsTakenToo(t *testing.T) {
	t.Parallel()
	data := map[string]any{"m": map[string]any{"z": 1, "a": int64(2), "f": 2.50}, "s": []string{"x", "y"}, "t": map[string]string{"k": "v"}, "chan": make(chan int)}
	for _, c := range []struct {
		engine       template.Engine
		source, want string
	}{
		{template.Handlebars, "{{#each m}}{{@key}}{{this}} {{/each}}{{#each s}}{{this}}{{@last}}{{/each}}{{t.k}}{{s.length}}{{s.[1]}}[{{chan}}]{{#if s}}{{s}}{{/if}}", "a2 f2.5 z1 xfalseytruev2y[]x,y"},
		{template.Mustache, "{{#s}}{{.}}{{/s}}{{#m}}{{z}}{{/m}}{{t.k}}", "xy1v"},
	} {
		got, err := render(c.engine, template.HTML, c.source, data, template.Options{})
		if err != nil || got != c.want {
			t.Errorf("%s gives %q (%v), should %q", c.source, got, err, c.want)
		}
	}
}

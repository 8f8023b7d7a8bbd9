package v1_test

import (
	"strings"
	"testing"
)

func TestAPreviewShowsWhatWouldBeSentAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"footer","html":"<p>project's footer</p>"}`)
	h.template(`{"alias":"welcome","subject":"Hi {{name}}","html":"<p>{{name}} {{x}}</p>{{> footer}}","locales":{"pt":{"subject":"Olá {{name}}"}}}`)
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"subject":"Draft","html":"<a href=\"{{url}}\">x</a>"}`).is(201, "")
	a := h.ask(testKey, "POST", "/v1/templates/welcome/preview", `{"version":"published","template_data":{"name":"Ada","plan":1,"url":"x"}}`).is(200, "")
	if a.at("/subject") != "Hi Ada" || a.at("/html") != "<p>Ada </p><p>project's footer</p>" || !strings.Contains(a.at("/text"), "project's footer") || a.at("/missing") != `["x"]` ||
		a.at("/unused") != `["plan","url"]` || a.at("/problems") != "[]" || a.at("/size_bytes") != "34" || a.at("/template/version") != "1" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "POST", "/v1/templates/welcome/preview", `{"template_data":{"url":"javascript:x"}}`).is(200, ""); a.at("/subject") != "Draft" || a.at("/template/version") != "2" || a.at("/problems/0/severity") != "warning" {
		t.Errorf("the draft: %s", a.Body)
	}
	if a := h.ask(testKey, "POST", "/v1/templates/welcome/preview", `{"version":1,"locale":"pt-BR","template_data":{"name":"Ada","x":1},"partials":{"footer":"mine"}}`).is(200, ""); a.at("/subject") != "Olá Ada" || a.at("/html") != "<p>Ada 1</p>mine" {
		t.Errorf("in Portuguese: %s", a.Body)
	}
	h.ask(testKey, "POST", "/v1/templates/welcome/preview", `{"version":7}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/nothing/preview", `{}`).is(404, "")
	if n := h.count(); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestUnsavedContentIsPreviewed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"base","html":"<body>{{> @partial-block}}</body>"}`)
	a := h.ask(testKey, "POST", "/v1/templates/preview", `{"subject":"s","html":"<p>{{name}}</p>","preheader":"p","layout":"base","template_data":{"name":"<Ada>"}}`).is(200, "")
	if html := a.at("/html"); !strings.HasPrefix(html, "<body><div style=") || !strings.HasSuffix(html, "</div><p>&lt;Ada&gt;</p></body>") || a.at("/template") != "null" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(testKey, "POST", "/v1/templates/preview", `{"engine":"mustache","text":"{{#list}}{{.}};{{/list}}","template_data":{"list":[1,2]}}`).is(200, "")
	if a.at("/text") != "1;2;" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(testKey, "POST", "/v1/templates/preview", `{"html":"<p>\n{{#if x}}","template_data":{}}`).is(200, "")
	if a.at("/problems/0/severity") != "error" || a.at("/problems/0/line") != "2" || a.at("/problems/0/part") != "html" || a.at("/html") != "" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(testKey, "POST", "/v1/templates/preview", `{"html":"{{> nowhere}}"}`).is(200, "")
	if a.at("/problems/0/code") != "template_render_error" || a.at("/problems/0/column") != "1" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(testKey, "POST", "/v1/templates/preview", `{"html":"{{> self}}","partials":{"self":"{{> self}}"}}`).is(200, "")
	if a.at("/problems/0/code") != "template_render_error" || !strings.Contains(a.at("/problems/0/message"), "deep") {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "POST", "/v1/templates/preview", `{}`).is(422, "")
	h.ask(testKey, "POST", "/v1/templates/preview", `{"html":"x","partials":7,"template_data":[]}`).is(422, "")
	h.ask(testKey, "GET", "/v1/templates/preview", "").is(405, "")
}

func TestValidationFindsWhatGoesWrongInMails(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	validate := func(content string) string {
		h.ask(testKey, "POST", "/v1/templates/checked/versions", content).is(201, "")
		a := h.ask(testKey, "POST", "/v1/templates/checked/validate", `{"version":"draft"}`).is(200, "")
		return a.Body.String()
	}
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"checked","html":"x"}`).is(201, "")
	for _, c := range []struct {
		content string
		valid   bool
		want    []string
	}{
		{`{"subject":"s","html":"<p>Hi {{name}}</p>","text":"Hi"}`, true, nil},
		{`{"subject":"s","html":"<p>\n<img src=\"https://x/y.png\">\n <a HREF='http://x'>x</a></p>"}`, true,
			[]string{`"code":"image_without_alt","part":"html","line":2,"column":1`, `"code":"insecure_link","part":"html","line":3,"column":2`, `"code":"text_missing","part":"text"`}},
		{`{"html":"{{#if x}}","text":"x"}`, false, []string{`"severity":"error"`, `"part":"html","line":1,"column":1`, "subject_missing"}},
		{`{"subject":"{{raw}}","text":"x","variables":[{"name":"raw","example":"{{oops}}"}]}`, true, []string{`"code":"leftover_tag","part":"subject"`}},
		{`{"subject":"s","text":"{{> nowhere}}"}`, false, []string{"template_render_error", "partial_not_published"}},
		{`{"subject":"s","html":"<div><table></div>","text":"x"}`, true, []string{`"code":"element_not_closed"`, `\u003ctable\u003e is not closed before`}},
		{`{"subject":"s","html":"` + strings.Repeat("x", 103<<10) + `","text":"x"}`, true, []string{"too_large_for_gmail"}},
		{`{"subject":"s","html":"a","text":"x","locales":{"pt":{"html":"<img>","text":"x"}}}`, true, []string{`"code":"image_without_alt","part":"locales.pt.html"`}},
	} {
		got := validate(c.content)
		if strings.Contains(got, `"valid":true`) != c.valid || c.want == nil && !strings.Contains(got, `"problems":[]`) {
			t.Errorf("%.100s: %s", c.content, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) && !strings.Contains(got, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(want)) {
				t.Errorf("%.100s: %s is not in %.800s", c.content, want, got)
			}
		}
	}
}

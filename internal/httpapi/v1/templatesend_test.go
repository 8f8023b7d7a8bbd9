package v1_test

import (
	"strings"
	"testing"
	"time"
)

// textOf is the text of a message, with line ends as they were before they were mail's.
func textOf(m answer) string { return strings.ReplaceAll(m.at("/text"), "\r\n", "\n") }

func (h *house) sendTemplate(rest string) answer {
	h.t.Helper()
	return h.send(`{"recipient":"ada@example.com",` + rest + `}`)
}

func TestAMessageIsRenderedFromItsTemplate(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"footer","html":"<p>{{company}} <b>&copy;</b></p>","text":"{{company}} (c)"}`)
	h.template(`{"alias":"base","html":"<html><body class=\"x>y\">{{> @partial-block}}{{> footer company=\"Acme & Co\"}}</body></html>","text":"{{> @partial-block}}--\n{{> footer company=\"Acme & Co\"}}"}`)
	h.template(`{"alias":"receipt","layout":"base","default_from":"Acme Billing <billing@sandbox.test>","subject":"Your receipt,\n{{name}}","preheader":"{{total}} for {{name}}",
		"html":"<h1>Hi {{name}}</h1><a href=\"{{link}}\">see</a>{{#each items}}<i>{{name}} {{price}}</i>{{/each}}"}`)
	h.template(`{"alias":"plain","layout":"base","subject":"s","text":"Hi {{name}}\n"}`)
	a := h.sendTemplate(`"template":"receipt","template_data":{"name":"Ada <&>\r\nBcc: x","total":"9.90 €","link":"javascript:alert(1)","items":[{"name":"A","price":9.90},{"name":"B","price":1e2}]}`)
	m := h.sent(a)
	if m.at("/subject") != "Your receipt, Ada <&> Bcc: x" {
		t.Errorf("subject %q", m.at("/subject"))
	}
	html := m.at("/html")
	for _, want := range []string{`<h1>Hi Ada &lt;&amp;&gt;`, `href="about:invalid"`, `<i>A 9.90</i><i>B 1e2</i>`, `<p>Acme &amp; Co <b>&copy;</b></p></body>`, `<body class="x>y"><div style="display:none`, `>9.90 € for Ada &lt;&amp;&gt;`} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is not in\n%s", want, html)
		}
	}
	if text := m.at("/text"); !strings.Contains(text, "Hi Ada <&>") || !strings.Contains(text, "Acme & Co ©") || strings.Contains(text, "9.90 €") {
		t.Errorf("text: %s", text)
	}
	if a.at("/from") != "Acme Billing <billing@sandbox.test>" || a.at("/warnings/0/code") != "template_value_replaced" {
		t.Errorf("answer: %s", a.Body)
	}
	read := h.ask(testKey, "GET", "/v1/messages/"+a.at("/message_id"), "").is(200, "")
	if read.at("/template/alias") != "receipt" || read.at("/template/version") != "1" || !strings.HasPrefix(read.at("/template/template_id"), "tmpl_") {
		t.Errorf("message: %s", read.Body)
	}
	if l := h.ask(testKey, "GET", "/v1/messages?template=receipt", "").is(200, ""); l.at("/data/0/message_id") != a.at("/message_id") || l.at("/data/0/template/alias") != "receipt" {
		t.Errorf("by template: %s", l.Body)
	}
	if m := h.sent(h.sendTemplate(`"template":"plain","subject":"Mine {{name}}","from":"me@sandbox.test","template_data":{"name":"Ada & Bob"}`)); m.at("/subject") != "Mine {{name}}" || m.at("/html") != "null" || !strings.HasPrefix(m.at("/text"), "Hi Ada & Bob") || !strings.Contains(m.at("/text"), "Acme & Co (c)") {
		t.Errorf("text only: %s", m.Body)
	}
}

func TestMissingVariablesAreAllNamedAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"{{greeting}}","html":"<p>{{name}}\n{{#each items}}{{price}}{{/each}} {{user.first}}{{#if plan}}{{plan}}{{/if}}{{insert city \"default=town\"}}","text":"{{name}} {{[a/b]}}"}`)
	a := h.sendTemplate(`"template":"welcome","from":"?","template_data":{"items":[{"price":1},{}],"user":{},"name":null}`).is(422, "validation_failed")
	var got []string
	for _, f := range faultsOf(t, a) {
		got = append(got, f.Code+" "+f.Field+" "+f.Pointer)
	}
	want := []string{"template_variable_missing greeting", "template_variable_missing name", "template_variable_missing items[1].price", "template_variable_missing user.first",
		"template_variable_missing a/b", "invalid_email from #/from"}
	for i, field := range []string{"greeting", "name", "items/1/price", "user/first", "a~1b"} {
		code, name, _ := strings.Cut(want[i], " ")
		want[i] = code + " template_data." + name + " #/template_data/" + field
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a.at("/errors/1/message") != "Template 'welcome' v1 needs 'name' (string): welcome v1, html, line 1, column 4." || a.at("/errors/2/line") != "2" || a.at("/errors/2/column") != "16" {
		t.Errorf("%s", a.Body)
	}
}

func TestATemplateThatCannotBeSentSaysWhy(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"s","html":"<p>{{name}}"}`)
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"draft-only","subject":"s","html":"<p>draft"}`).is(201, "")
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"broken","subject":"s","html":"<p>\n  {{#if x}}"}`).is(201, "")
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"lost","subject":"s","html":"\n{{> nowhere}}"}`).is(201, "")
	if a := h.publishVersion("lost", 1); a.at("/warnings/0/code") != "partial_not_published" {
		t.Errorf("no warning: %s", a.Body)
	}
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"bare","layout":"draft-only","html":"x"}`).is(201, "")
	h.publishVersion("bare", 1)
	h.template(`{"alias":"bodies","html":"{{#if x}}x{{/if}}"}`)
	if a := h.ask(testKey, "POST", "/v1/templates/broken/versions/1/publish", ""); a.is(422, "validation_failed").at("/errors/0/code") != "template_render_error" ||
		a.at("/errors/0/pointer") != "#/html" || a.at("/errors/0/line") != "2" || a.at("/errors/0/column") != "3" {
		t.Errorf("published a broken template: %s", a.Body)
	}
	for _, c := range []struct{ key, rest, code, message string }{
		{testKey, `"template":"wellcome"`, "template_not_found", "Did you mean 'welcome'?"},
		{testKey, `"template":"nothing-like-it"`, "template_not_found", "There is no template 'nothing-like-it'."},
		{testKey, `"template":"tmpl_01kpk2byj0emq8k9w39qsaekf4"`, "template_not_found", ""},
		{testKey, `"template":"Not An Alias!"`, "template_not_found", ""},
		{testKey, `"template":"welcome@9"`, "template_not_found", "no version 9"},
		{testKey, `"template":"welcome@x"`, "template_not_found", "A version is a number"},
		{testKey, `"template":"welcome@draft"`, "template_not_found", "no draft"},
		{testKey, `"template":"draft-only"`, "template_not_published", "no published version"},
		{liveKey, `"template":"draft-only@draft"`, "template_not_published", "test keys only"},
		{liveKey, `"template":"draft-only@1"`, "template_not_published", "never published"},
		{testKey, `"template":"broken@draft"`, "template_render_error", "line 2, column 3"},
		{testKey, `"template":"lost"`, "template_render_error", "lost v1, html, line 2, column 1"},
		{testKey, `"template":"bare","subject":"s"`, "template_render_error", "layout 'draft-only'"},
		{testKey, `"template":"bodies","subject":"s"`, "missing_required_field", "neither HTML nor text"},
		{testKey, `"template":"bodies","template_data":{"x":1}`, "missing_required_field", "no subject"},
		{testKey, `"template":"welcome","locale":"?"`, "invalid_value", "language tag"},
		{testKey, `"template":"welcome","html":"x"`, "mutually_exclusive", ""},
		{testKey, `"template":"welcome@1","template_version":2`, "mutually_exclusive", "two versions"},
		{testKey, `"template":"welcome","template_version":0`, "invalid_value", ""},
		{testKey, `"template_version":1,"text":"x","subject":"s"`, "missing_required_field", ""},
		{testKey, `"template":"welcome","template_data":[]`, "invalid_type", ""},
		{testKey, `"template":"welcome","template_data":{"name":"` + strings.Repeat("x", 11<<20) + `"}`, "template_render_error", "more than"},
	} {
		a := h.ask(c.key, "POST", "/v1/messages", `{"recipient":"ada@example.com","from":"a@sandbox.test",`+c.rest+`}`)
		found := false
		for _, f := range faultsOf(t, a.is(422, "validation_failed")) {
			found = found || f.Code == c.code && strings.Contains(f.Message, c.message) && f.Pointer != ""
		}
		if !found {
			t.Errorf("%.80s: want %s %q, got %.500s", c.rest, c.code, c.message, a.Body)
		}
	}
	if n := h.count(); n != 0 {
		t.Errorf("%d messages were accepted", n)
	}
	if m := h.sent(h.sendTemplate(`"template":"draft-only@draft"`)); m.at("/html") != "<p>draft" {
		t.Errorf("a draft with a test key: %s", m.Body)
	}
}

func TestLaxVariablesPrintNothing(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"Hi {{name}}!","text":"{{a.b.c}}."}`)
	h.sendTemplate(`"template":"welcome","template_data":{}`).is(422, "")
	if m := h.sent(h.sendTemplate(`"template":"welcome","strict_variables":false`)); m.at("/subject") != "Hi !" || textOf(m) != ".\n" {
		t.Errorf("%s", m.Body)
	}
}

func TestDeclaredVariablesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"Hi {{name}}","text":"{{#each items}}{{this}},{{/each}}{{note}}.","variables":[{"name":"name","default":"friend"},{"name":"items","type":"array","default":["a","b"]},
		{"name":"note","required":false},{"name":"id","type":"number","required":true}]}`)
	if m := h.sent(h.sendTemplate(`"template":"welcome","template_data":{"id":1,"name":null}`)); m.at("/subject") != "Hi friend" || textOf(m) != "a,b,.\n" {
		t.Errorf("%s", m.Body)
	}
	if m := h.sent(h.sendTemplate(`"template":"welcome","template_data":{"id":1,"name":"Ada","items":[],"note":"n"}`)); m.at("/subject") != "Hi Ada" || textOf(m) != "n.\n" {
		t.Errorf("%s", m.Body)
	}
	if a := h.sendTemplate(`"template":"welcome"`).is(422, ""); a.at("/errors/0/message") != "Template 'welcome' v1 needs 'id' (number)." || a.at("/errors/1") != "" {
		t.Errorf("%s", a.Body)
	}
}

func TestAVariantIsFoundAlongItsLocale(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"footer","html":"bye","locales":{"pt":{"html":"tchau"}}}`)
	h.template(`{"alias":"welcome","subject":"Hello","html":"<p>Hello {{> footer}}","text":"Hello","locales":{"PT":{"subject":"Olá","html":"<p>Olá {{> footer}}"},"pt_br":{"subject":"Oi"},"de":{"html":"<p>Hallo {{> footer}}"}}}`)
	for locale, want := range map[string]string{
		"": "Hello|<p>Hello bye|Hello", "fr": "Hello|<p>Hello bye|Hello", "pt": "Olá|<p>Olá tchau|Olá tchau", "pt-PT": "Olá|<p>Olá tchau|Olá tchau",
		"PT_BR": "Oi|<p>Olá tchau|Olá tchau", "de-CH-1996": "Hello|<p>Hallo bye|Hallo bye",
	} {
		m := h.sent(h.sendTemplate(`"template":"welcome","locale":"` + locale + `"`))
		if got := m.at("/subject") + "|" + m.at("/html") + "|" + strings.TrimSpace(textOf(m)); got != want {
			t.Errorf("%q: %q, want %q", locale, got, want)
		}
	}
	if a := h.ask(testKey, "GET", "/v1/templates/welcome/versions/1", "").is(200, ""); a.at("/locales/pt-BR/subject") != "Oi" || a.at("/locales/pt/html") == "" {
		t.Errorf("%s", a.Body)
	}
}

func TestAPinnedVersionStaysWhatItWas(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"one","text":"x"}`)
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"subject":"two","text":"x"}`).is(201, "")
	h.publishVersion("welcome", 2)
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"subject":"three","text":"x"}`).is(201, "")
	for rest, want := range map[string]string{`"template":"welcome"`: "two", `"template":"welcome@1"`: "one", `"template":"welcome","template_version":1`: "one", `"template":"welcome@v2"`: "two",
		`"template":"welcome","template_version":"draft"`: "three", `"template":"welcome@3","template_version":3`: "three", `"template":"welcome@published"`: "two"} {
		if m := h.sent(h.sendTemplate(rest)); m.at("/subject") != want {
			t.Errorf("%s: %s", rest, m.at("/subject"))
		}
	}
	h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":1}`).is(200, "")
	if m := h.sent(h.sendTemplate(`"template":"welcome"`)); m.at("/subject") != "one" {
		t.Errorf("after the rollback: %s", m.at("/subject"))
	}
}

func TestWhatAnotherNodePublishedHoldsWithinASecond(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(`{"alias":"welcome","subject":"one","text":"x"}`)
	h.sendTemplate(`"template":"welcome"`).is(202, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"subject":"two","text":"x"}`).is(201, "")
	h.sendTemplate(`"template":"welcome@draft"`).is(202, "")
	other := h.node()
	other.publishVersion("welcome", 2)
	if m := h.sent(h.sendTemplate(`"template":"welcome"`)); m.at("/subject") != "one" {
		t.Errorf("what is known was not used: %s", m.at("/subject"))
	}
	h.pass(time.Second)
	if m := h.sent(h.sendTemplate(`"template":"welcome"`)); m.at("/subject") != "two" {
		t.Errorf("after a second: %s", m.at("/subject"))
	}
	if m := other.sent(other.sendTemplate(`"template":"welcome"`)); m.at("/subject") != "two" {
		t.Errorf("at the other node: %s", m.at("/subject"))
	}
}

func TestStylesAreInlinedWhenPublished(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "POST", "/v1/templates", `{"alias":"welcome","subject":"s","html":"<style>p{color:red} @media print{p{color:blue}}</style><p class=\"{{k}}\">{{name}}</p>"}`).is(201, "")
	h.sendTemplate(`"template":"welcome@draft","template_data":{"k":"a","name":"Ada"}`).is(202, "")
	a := h.ask(testKey, "POST", "/v1/templates/welcome/versions/1/publish", `{"inline_css":true}`).is(200, "")
	if a.at("/published/inline_css") != "true" || !strings.HasPrefix(a.at("/published/html"), "<style>p{color:red}") {
		t.Errorf("what was written changed: %s", a.Body)
	}
	m := h.sent(h.sendTemplate(`"template":"welcome","template_data":{"k":"a","name":"Ada"}`))
	if html := m.at("/html"); !strings.Contains(html, `style="color:red"`) && !strings.Contains(html, `style="color: red"`) || !strings.Contains(html, "@media print") || !strings.Contains(html, `class="a"`) {
		t.Errorf("html: %s", html)
	}
	h.ask(testKey, "POST", "/v1/templates/welcome/versions", `{"html":"x"}`).is(201, "")
	h.publishVersion("welcome", 2)
	if back := h.ask(testKey, "POST", "/v1/templates/welcome/rollback", `{"to":1}`).is(200, ""); back.at("/published/inline_css") != "true" {
		t.Errorf("rolled back: %s", back.Body)
	}
}

func TestABatchRendersEachItem(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	a := h.ask(testKey, "POST", "/v1/messages/batch", `{"defaults":{"template":"welcome","template_data":{"name":"friend","url":"/"}},"messages":[{"recipient":"a@example.com"},
		{"recipient":"b@example.com","template_data":{"name":"Bob"}},{"recipient":"c@example.com","template":"welcom"}]}`).is(202, "")
	if a.at("/data/0/status") != "queued" || a.at("/data/1/error/errors/0/pointer") != "#/messages/1/template_data/url" || a.at("/data/1/error/errors/0/code") != "template_variable_missing" ||
		a.at("/data/2/error/errors/0/pointer") != "#/messages/2/template" {
		t.Errorf("%s", a.Body)
	}
	if m := h.ask(testKey, "GET", "/v1/messages/"+a.at("/data/0/message_id")+"/content", "").is(200, ""); m.at("/subject") != "Welcome, friend" {
		t.Errorf("%s", m.Body)
	}
}

func TestADryRunShowsWhatATemplateMakes(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.template(welcome)
	a := h.ask(testKey, "POST", "/v1/messages?dry_run=true", `{"recipient":"ada@example.com","template":"welcome","template_data":{"name":"Ada","url":"/x"}}`).is(200, "")
	if a.at("/preview/subject") != "Welcome, Ada" || h.count() != 0 {
		t.Errorf("%s", a.Body)
	}
}

package render

import (
	"slices"
	"strings"
	"testing"
)

func TestAMailIsInspectedForWhatGoesWrongWithMails(t *testing.T) {
	t.Parallel()
	codes := func(list []Problem) (out []string) {
		for _, p := range list {
			if p.Part == "html" && p.Line < 1 && p.Code != "element_not_closed" && p.Code != "too_large_for_gmail" && p.Code != "leftover_tag" {
				t.Errorf("no place: %+v", p)
			}
			out = append(out, p.Code)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	for _, c := range []struct{ html, text, found, links string }{
		{`<p>Hello <a href="https://acme.test/x">there</a><img src="cid:logo" alt="Logo"></p>`, "Hello", "", ""},
		{`<a href="https://acme.test/v?t=1">acme.test</a> <a href="https://www.acme.test">https://acme.test/</a> <a href="mailto:a@acme.test">mail</a> <a href="#top">up</a>`, "x", "", ""},
		{`<p>Hello</p>`, " ", "text_missing", ""},
		{`<script>run()</script><form><iframe src="https://x.test"></iframe></form><svg></svg>`, "x", "element_unsupported", ""},
		{`<p onclick="run()">x</p><link rel=stylesheet href="https://x.test/a.css">`, "x", "handler_unsupported stylesheet_unsupported", ""},
		{`<img src="https://acme.test/a.png">`, "x", "image_without_alt", ""},
		{`<div style="display:flex;position:absolute;color:var(--c);background:url(x.png)">x</div>`, "x", "css_background css_flex css_position css_variable", ""},
		{`<div><b>x</div>`, "x", "element_not_closed", ""},
		{`<p>{{name}}</p>`, "x", "leftover_tag", ""},
		{"<p>" + strings.Repeat("x", 103<<10) + "</p>", "x", "too_large_for_gmail", ""},
		{`<a href="http://acme.test">x</a>`, "x", "", "insecure_link"},
		{`<a href="">x</a><a href="#">y</a>`, "x", "", "link_empty"},
		{`<a href="/login">x</a><img alt="" src="logo.png">`, "x", "", "link_relative"},
		{`<a href="javascript:run()">x</a>`, "x", "", "link_scheme"},
		{`<a href="https://a b.test/">x</a>`, "x", "", "link_invalid"},
		{`<a href="http://localhost:8080/">x</a><a href="https://10.0.0.1/">y</a><a href="https://wiki/">z</a><a href="https://db.internal">w</a>`, "x", "", "link_private"},
		{`<a href="https://evil.test/login">www.bank.test</a>`, "x", "", "link_misleads"},
		{`<a href="https://evil.test/login"><b>https://bank.test/login?a=b</b></a>`, "x", "", "link_misleads"},
	} {
		f := Inspect("Hi", c.html, c.text)
		if got := strings.Join(codes(f.HTML), " "); got != c.found {
			t.Errorf("%.80s: %s, want %s", c.html, got, c.found)
		}
		if got := strings.Join(codes(f.Links), " "); got != c.links {
			t.Errorf("%.80s: links %s, want %s", c.html, got, c.links)
		}
	}
	if f := Inspect("s", strings.Repeat(`<a href="">x</a>`, 5000), "x"); len(f.Links) > maxLints+1 {
		t.Errorf("%d problems told", len(f.Links))
	}
}

func FuzzInspect(f *testing.F) {
	for _, s := range []string{"", `<a href="https://evil.test">bank.test</a>`, "<p onclick=x><img src=//>", "<a href=\"http://[::1\">\xff", "<svg><a href='%zz'>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found := Inspect(s, s, "")
		for _, p := range append(found.HTML, found.Links...) {
			if p.Code == "" || p.Message == "" || !strings.HasSuffix(p.Message, ".") {
				t.Errorf("%+v", p)
			}
		}
	})
}

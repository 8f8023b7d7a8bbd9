package render_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/render"
)

func TestHTMLIsReadAsAPersonWould(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"", ""},
		{"<p></p> <br>", ""},
		{"plain", "plain\n"},
		{"<p>Hello   Ada,\n how are\tyou?</p><p>Bye</p>", "Hello Ada, how are you?\n\nBye\n"},
		{"a<br>b<br><br>c", "a\nb\n\nc\n"},
		{"<h1>Title</h1>text<div>one</div><div>two</div>", "Title\n\ntext\none\ntwo\n"},
		{`<p>Click <a href="https://acme.test/v?a=1&amp;b=2">here</a>.</p>`, "Click here (https://acme.test/v?a=1&b=2).\n"},
		{`<a href="https://acme.test/">acme.test</a> <a href="https://acme.test/">https://acme.test/</a>`, "acme.test https://acme.test/\n"},
		{`<a href="https://acme.test/x"><img src=x></a> <a href="https://acme.test/y"><img alt="Logo"></a>`, "https://acme.test/x Logo (https://acme.test/y)\n"},
		{`<a href="mailto:help@acme.test?subject=x">Help</a> <a href="#top">top</a> <a href="javascript:x()">js</a> <a>none</a>`, "Help (help@acme.test) top js none\n"},
		{`<a href="https://a.example"><p>text </p></a>more`, "text (https://a.example)\n\nmore\n"},
		{`<a href="https://a.example">one <a href="https://b.example">two</a>`, "one (https://a.example) two (https://b.example)\n"},
		{"<ul><li>one</li><li>two<ul><li>deep</li></ul></li></ul>after", "* one\n* two\n  * deep\n\nafter\n"},
		{"<ol start=3><li>three<li>four</ol>", "3. three\n4. four\n"},
		{"<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>2.50</td></tr></table>", "Item Price\nTea 2.50\n"},
		{"<blockquote><p>said</p><p>he</p></blockquote>me", "> said\n\n> he\n\nme\n"},
		{"<pre>  a\n    b\n\nc</pre>", "  a\n    b\n\nc\n"},
		{"a<hr>b", "a\n\n----------------------------------------\n\nb\n"},
		{"<head><title>T</title><style>p{}</style></head><body>x<script>var a='<p>y'</script></body>", "x\n"},
		{"<title>never closed", ""},
		{"<!-- c --><!--[if mso]><p>mso</p><![endif]-->x", "x\n"},
		{"1 &lt; 2 &amp;&nbsp;3 &copy; &#8364;", "1 < 2 & 3 © €\n"},
		{"x\u200b\u200c\u00ad\u034f y", "x y\n"},
		{"</p></div></ul></blockquote></pre></a>x<p", "x\n"},
		{"<b>Your code: </b><i>847291</i>", "Your code: 847291\n"},
		{"<p>Dear <b>Zoë</b>!</p>", "Dear Zoë!\n"},
		{"<li>alone", "* alone\n"},
	} {
		if got := render.PlainText(c[0]); got != c[1] {
			t.Errorf("%s\n got %q\nwant %q", c[0], got, c[1])
		}
	}
}

func FuzzPlainText(f *testing.F) {
	for _, s := range []string{"<p>a<br>b", "<a href=x>y</a>", "<ul><li><ol><li>a", "<pre>\r\n\x00", "<a href='\n'>", "<td><tr><table>&#xffffff;", strings.Repeat("<ul><li>", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := render.PlainText(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q gives invalid UTF-8 %q", s, got)
		}
		if got == "\n" || got != "" && !strings.HasSuffix(got, "\n") || strings.Contains(got, "\n\n\n") {
			t.Fatalf("%q gives %q", s, got)
		}
	})
}

func BenchmarkPlainTextOfTwoKilobytes(b *testing.B) {
	s := strings.Repeat(`<p>Hello <b>Ada</b>, <a href="https://acme.test/v">confirm</a> your code 847291.</p>`+"\n", 24)
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		render.PlainText(s)
	}
}

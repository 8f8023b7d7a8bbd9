package mime_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/postroad/postroad/internal/mime"
)

func logoOnly(id string) string {
	if id == "logo" {
		return "data:image/png;base64,AAAA"
	}
	return ""
}

func TestHarmlessKeepsWhatIsSeenAndNothingThatActs(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`<p class="x" onclick="run()">Hi &lt;Ada&gt;</p>`:                        `<p class="x">Hi &lt;Ada&gt;</p>`,
		`a<script>alert("</p>")</script>b`:                                       `ab`,
		`a<SCRIPT src=//x.test/a.js></SCRIPT >b`:                                 `ab`,
		`<a href="https://acme.test/?a=1&amp;b=2">go</a>`:                        `<a href="https://acme.test/?a=1&amp;b=2" rel="noopener noreferrer" target="_blank">go</a>`,
		`<a href=" javascript:run()">go</a>`:                                     `<a rel="noopener noreferrer" target="_blank">go</a>`,
		"<a href=\"java\tscript:run()\">go</a>":                                  `<a rel="noopener noreferrer" target="_blank">go</a>`,
		`<img src="https://track.test/1.gif" alt="Logo" srcset="x 2x">`:          `<img alt="Logo">`,
		`<img src="CID:logo"><img src=cid:other>`:                                `<img src="data:image/png;base64,AAAA"><img>`,
		`<img src="data:image/svg+xml;base64,AAAA">`:                             `<img>`,
		`<style>p{color:red}</style><p style="x">y</p>`:                          `<style>p{color:red}</style><p style="x">y</p>`,
		`<meta http-equiv=refresh content="0;url=//x.test"><base href="//x">ok`:  `ok`,
		`<form action="//x.test"><input name=a><button>Go</button></form>`:       `Go`,
		`<svg><style><img src=x onerror=run()></style></svg>`:                    `<style><img src=x onerror=run()></style>`, // a style's text, to a browser too: there is no svg any more
		`<iframe srcdoc="<p>"></iframe><object data=x>seen</object>`:             `seen`,
		`<!-- <p> --><!--[if mso]><p>x</p><![endif]--><textarea></p></textarea>`: ``,
		`<plaintext><script>`:                                                    ``,
	} {
		if got := mime.Harmless(source, logoOnly); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

// acts tells what of a text a browser would act on.
func acts(n *html.Node) string {
	switch n.Data {
	case "script", "iframe", "object", "embed", "form", "input", "meta", "base", "link", "svg", "math", "frame", "template":
		if n.Type == html.ElementNode {
			return n.Data
		}
	}
	for _, a := range n.Attr {
		scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(a.Val)), ":")
		if strings.HasPrefix(a.Key, "on") || a.Key == "srcset" || a.Key == "href" && strings.Contains(scheme, "script") || a.Key == "src" && scheme != "data" {
			return a.Key + "=" + a.Val
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if found := acts(c); found != "" {
			return found
		}
	}
	return ""
}

func FuzzHarmless(f *testing.F) {
	for _, seed := range []string{"<p>Hi</p>", "<a href=javascript:x>", "<svg><style><img onerror=x>", "<math><mtext><table><mglyph><style><img src=x onerror=y>",
		"<style><!--</style><script>x</script>", "<img src=cid:logo>", "<table><form><p>x<noscript><p title=\"</noscript><img src=x onerror=y>\">"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		got := mime.Harmless(source, logoOnly)
		doc, err := html.Parse(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if found := acts(doc); found != "" {
			t.Errorf("%q acts by %q:\n%q", source, found, got)
		}
	})
}

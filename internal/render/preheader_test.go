package render

import (
	"strings"
	"testing"
)

func TestAPreheaderStandsWhereTheBodyBegins(t *testing.T) {
	t.Parallel()
	for _, html := range []string{"|<p>x", "<html><body>|<p>x", "<BODY class=\"a>b\" id='c>d'>|x", "<!-- <body> --><body\n>|x", "|<bodyguard>x", "|<p>a < body", "|<!-- <body>", "|<body", "<body/>|x", "|"} {
		plain := strings.ReplaceAll(html, "|", "")
		got := withPreheader(plain, "P")
		want := strings.Replace(html, "|", preheaderOpen+"P"+preheaderFill+preheaderClose, 1)
		if got != want {
			t.Errorf("%q: %q", html, got)
		}
	}
}

func FuzzPreheader(f *testing.F) {
	for _, s := range []string{"<body>", "<body a='", "<!--<body>", "<", "<body class=\"x>y\">z", "\xff<BODY >"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, html string) {
		got := withPreheader(html, "P")
		if strings.Replace(got, preheaderOpen+"P"+preheaderFill+preheaderClose, "", 1) != html {
			t.Errorf("%q became %q", html, got)
		}
	})
}

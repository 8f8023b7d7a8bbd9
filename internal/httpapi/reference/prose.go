package reference

import (
	"html"
	"html/template"
	"regexp"
	"strings"
)

var (
	codeText = regexp.MustCompile("`([^`]+)`")
	boldText = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	linkText = regexp.MustCompile(`\[([^\]]+)\]\((/[a-z/#_-]*|https://[^)\s]+)\)`)
)

// prose turns a description into HTML: paragraphs, `code`, **bold** and [links](/docs).
func prose(text string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph == "" {
			continue
		}
		p := html.EscapeString(paragraph)
		p = codeText.ReplaceAllString(p, "<code>$1</code>")
		p = boldText.ReplaceAllString(p, "<strong>$1</strong>")
		p = linkText.ReplaceAllString(p, `<a href="$2">$1</a>`)
		out.WriteString("<p>" + p + "</p>")
	}
	return template.HTML(out.String())
}

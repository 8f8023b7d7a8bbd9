package render

import "strings"

// A preheader is what inboxes show beside the subject: text before all other text of the
// HTML that is not shown when the mail is open. What follows it keeps inboxes from
// showing the mail's first words behind it.
const (
	preheaderOpen  = `<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all">`
	preheaderClose = `</div>`
)

var preheaderFill = strings.Repeat("&#847;&zwnj;&nbsp;", 60)

// withPreheader puts escaped text where the body begins; before everything where there is no
// body element.
func withPreheader(html, preheader string) string {
	at := bodyStart(html)
	return html[:at] + preheaderOpen + preheader + preheaderFill + preheaderClose + html[at:]
}

// bodyStart is the offset behind <body …>, 0 where there is none.
func bodyStart(html string) int {
	for from := 0; ; {
		i := strings.IndexByte(html[from:], '<')
		if i < 0 {
			return 0
		}
		from += i + 1
		if strings.HasPrefix(html[from:], "!--") { // a comment may name a body
			end := strings.Index(html[from:], "-->")
			if end < 0 {
				return 0
			}
			from += end
			continue
		}
		if len(html) < from+5 || !strings.EqualFold(html[from:from+4], "body") || !strings.ContainsRune("> \t\r\n/", rune(html[from+4])) {
			continue
		}
		quote := byte(0)
		for j := from + 4; j < len(html); j++ {
			switch c := html[j]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '>':
				return j + 1
			}
		}
		return 0
	}
}

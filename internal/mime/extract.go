package mime

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// At most so many of each are extracted.
const maxExtracted = 100

// Extract finds what a test of a sign-up or one-time code flow is after: the codes (4
// to 8 digits standing alone; those with a word like "code" nearby first) and the http
// and https links, each in the order they appear and none twice. The texts of the HTML
// and the plain part are both looked at.
func Extract(htmlText, text string) (codes, links []string) {
	visible, hrefs := readHTML(htmlText)
	links = hrefs
	for _, source := range []string{text, visible} {
		links = appendLinks(links, source)
	}
	near, far := findCodes(text), []string(nil)
	for _, c := range append(near, findCodes(visible)...) {
		into := &far
		if c.near {
			into = &codes
		}
		*into = appendNew(*into, c.digits)
	}
	for _, c := range far {
		codes = appendNew(codes, c)
	}
	return codes, links
}

func appendNew(list []string, s string) []string {
	if len(list) >= maxExtracted || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// readHTML gives the text a reader sees and the targets of links.
func readHTML(s string) (visible string, hrefs []string) {
	var b strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(s))
	hidden := 0
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return b.String(), hrefs
		case html.TextToken:
			if hidden == 0 {
				b.Write(tokens.Text())
			}
		case html.StartTagToken:
			name, more := tokens.TagName()
			switch string(name) {
			case "script", "style", "title":
				hidden++
			case "a", "area":
				for more {
					var key, value []byte
					key, value, more = tokens.TagAttr()
					if string(key) == "href" && isLink(strings.TrimSpace(string(value))) {
						hrefs = appendNew(hrefs, strings.TrimSpace(string(value)))
					}
				}
			case "b", "i", "em", "strong", "span", "font", "u", "code":
			default:
				b.WriteByte(' ')
			}
		case html.EndTagToken:
			if name, _ := tokens.TagName(); hidden > 0 && (string(name) == "script" || string(name) == "style" || string(name) == "title") {
				hidden--
			} else if string(name) == "td" || string(name) == "p" || string(name) == "div" {
				b.WriteByte(' ')
			}
		case html.SelfClosingTagToken:
			b.WriteByte(' ')
		}
	}
}

func isLink(s string) bool {
	return len(s) > 8 && (strings.EqualFold(s[:7], "http://") || strings.EqualFold(s[:8], "https://"))
}

// appendLinks finds URLs written out in text, without the punctuation that ends the
// sentence around them.
func appendLinks(links []string, text string) []string {
	for {
		i := strings.Index(text, "http")
		if i < 0 {
			return links
		}
		text = text[i:]
		end := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("<>\"`{}|\\^\u00a0", r) })
		if end < 0 {
			end = len(text)
		}
		url := strings.TrimRight(text[:end], ".,;:!?'*_]")
		if strings.HasSuffix(url, ")") && !strings.Contains(url, "(") {
			url = strings.TrimRight(url, ").,;")
		}
		if isLink(url) {
			links = appendNew(links, url)
			text = text[end:]
		} else {
			text = text[4:]
		}
	}
}

type foundCode struct {
	digits string
	near   bool
}

// findCodes finds runs of 4 to 8 digits that are no part of a word, number, date,
// amount or URL.
func findCodes(text string) (found []foundCode) {
	for i := 0; i < len(text) && len(found) < maxExtracted; {
		if text[i] < '0' || text[i] > '9' {
			i++
			continue
		}
		start := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		if n := i - start; n >= 4 && n <= 8 && standsAlone(text, start, i) {
			found = append(found, foundCode{text[start:i], nearCodeWord(text, start, i)})
		}
	}
	return found
}

func standsAlone(text string, start, end int) bool {
	if start > 0 && joins(text[start-1]) || end < len(text) && joins(text[end]) && text[end] != '.' && text[end] != ',' {
		return false
	}
	// "4711." ends a sentence, "4711.50" is an amount.
	return end+1 >= len(text) || text[end] != '.' && text[end] != ',' || text[end+1] < '0' || text[end+1] > '9'
}

// joins tells of characters that make digits beside them part of something larger.
func joins(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || strings.IndexByte("_.,/+=%&#$@-?~", c) >= 0
}

var codeWords = [...]string{"code", "otp", "pin", "passcode", "password", "verif", "confirm", "token", "log in", "sign in", "2fa"}

func nearCodeWord(text string, start, end int) bool {
	around := strings.ToLower(text[max(0, start-60):min(len(text), end+30)])
	for _, word := range codeWords {
		if strings.Contains(around, word) {
			return true
		}
	}
	return false
}

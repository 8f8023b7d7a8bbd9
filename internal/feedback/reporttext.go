package feedback

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"

	"github.com/emersion/go-message/charset"
	"golang.org/x/net/html"
)

// decoded gives at most limit octets of a part's body, its transfer encoding undone. Only what
// is certain to be whole lines stands in it when the part is cut.
func (p *part) decoded(limit int) []byte {
	body, cut := p.body, p.cut
	switch encoding, _, _ := strings.Cut(strings.ToLower(p.head.first("content-transfer-encoding")), " "); encoding {
	case "base64":
		body = fromBase64(body, limit)
	case "quoted-printable":
		cut = cut || len(body) > 3*limit
		body = fromQuotedPrintable(body[:min(len(body), 3*limit)])
	default:
		return whole(body, limit)
	}
	if !cut && len(body) <= limit {
		body = append(body, '\n')
	}
	return whole(plainLines(body), limit)
}

// whole cuts text to the lines that fit into limit.
func whole(text []byte, limit int) []byte {
	if len(text) <= limit {
		return text
	}
	return text[:bytes.LastIndexByte(text[:limit], '\n')+1]
}

// fromBase64 decodes what there is of base64 in text, whatever stands between.
func fromBase64(text []byte, limit int) []byte {
	digits := make([]byte, 0, min(len(text), limit/3*4+8))
	for _, c := range text {
		if len(digits) == cap(digits) || c == '=' {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			digits = append(digits, c)
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)), base64.RawStdEncoding.DecodedLen(len(digits))+1)
	n, _ := base64.RawStdEncoding.Decode(out, digits) // only its own characters are left
	return out[:n]
}

// fromQuotedPrintable undoes RFC 2045 §6.7; an escape that is none stays as it stands.
func fromQuotedPrintable(text []byte) []byte {
	out := make([]byte, 0, len(text)+1)
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		line = bytes.TrimRight(line, " \t")
		soft := bytes.HasSuffix(line, []byte("="))
		line = bytes.TrimSuffix(line, []byte("="))
		for i := 0; i < len(line); i++ {
			if line[i] == '=' && i+2 < len(line) {
				high, low := hexDigit(line[i+1]), hexDigit(line[i+2])
				if high >= 0 && low >= 0 {
					out = append(out, byte(high<<4|low))
					i += 2
					continue
				}
			}
			out = append(out, line[i])
		}
		if !soft {
			out = append(out, '\n')
		}
	}
	return out
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// text gives what a text part says, as UTF-8 lines; of HTML what a reader sees.
func (p *part) text() string {
	b := p.decoded(maxReportText)
	if name := p.params["charset"]; name != "" && !strings.EqualFold(name, "utf-8") && !strings.EqualFold(name, "us-ascii") {
		if r, err := charset.Reader(name, bytes.NewReader(b)); err == nil {
			if text, err := io.ReadAll(io.LimitReader(r, maxReportText)); err == nil {
				b = plainLines(text)
			}
		}
	}
	if p.kind == "text/html" {
		return visible(b)
	}
	return string(b)
}

// visible gives the text of HTML, a line for each block.
func visible(page []byte) string {
	var b strings.Builder
	hidden := 0
	for tokens := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return b.String() + "\n"
		}
		if kind == html.TextToken {
			if hidden == 0 {
				b.WriteString(strings.ReplaceAll(string(tokens.Text()), "\n", " "))
			}
			continue
		}
		tag, _ := tokens.TagName()
		switch string(tag) {
		case "style", "script", "title":
			if kind == html.StartTagToken {
				hidden++
			} else if kind == html.EndTagToken && hidden > 0 {
				hidden--
			}
		case "a", "b", "i", "u", "em", "strong", "span", "font", "code", "tt":
		default:
			if !strings.HasSuffix(b.String(), "\n") {
				b.WriteByte('\n')
			}
		}
	}
}

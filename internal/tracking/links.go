package tracking

import (
	"html"
	"strings"

	nethtml "golang.org/x/net/html"
)

// Wanted is what a message counts.
type Wanted struct{ Opens, Clicks bool }

// Rewrite gives the HTML with links that count clicks and the image that counts opens. What
// is not changed stays byte for byte: comments, conditional ones too, styles and scripts.
// An anchor with data-postroad-track="off" keeps its link.
func (m *Marks) Rewrite(body string, w Wanted) string {
	if !w.Opens && !w.Clicks || body == "" {
		return body
	}
	var out strings.Builder
	out.Grow(len(body) + len(body)/4 + 256)
	z := nethtml.NewTokenizer(strings.NewReader(body))
	end := -1 // where in out the image goes: before the last </body>
	at := 0   // of body, given out
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			break // at the end, or in a tag that never ends: the rest stays
		}
		raw := body[at : at+len(z.Raw())] // the tokenizer unescapes its own copy in place
		at += len(raw)
		switch kind {
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			if name, _ := z.TagName(); w.Clicks && (string(name) == "a" || string(name) == "area") {
				raw = m.anchor(raw)
			}
		case nethtml.EndTagToken:
			if name, _ := z.TagName(); string(name) == "body" {
				end = out.Len()
			}
		}
		out.WriteString(raw)
	}
	out.WriteString(body[at:])
	if !w.Opens {
		return out.String()
	}
	s := out.String()
	if end < 0 {
		end = len(s)
	}
	return s[:end] + m.pixel() + s[end:]
}

// anchor rewrites the href of a tag.
func (m *Marks) anchor(tag string) string {
	var href attribute
	for rest := 1; ; {
		a, next, ok := nextAttribute(tag, rest)
		if !ok {
			break
		}
		rest = next
		switch name := strings.ToLower(tag[a.nameFrom:a.nameTo]); {
		case name == "href" && href.to == 0:
			href = a
		case name == "data-postroad-track" && strings.EqualFold(tag[a.from:a.to], "off"):
			return tag
		}
	}
	if href.to == 0 {
		return tag
	}
	to, ok := m.link(strings.TrimSpace(html.UnescapeString(tag[href.from:href.to])))
	if !ok {
		return tag
	}
	if !href.quoted {
		to = `"` + to + `"`
	}
	return tag[:href.from] + to + tag[href.to:] // a link of ours has nothing to escape
}

// attribute is where in a tag one stands.
type attribute struct {
	nameFrom, nameTo int
	from, to         int // the value, without quotes; to is 0 without one
	quoted           bool
}

// nextAttribute finds the next attribute of a tag at or after i (HTML §13.2.5.32 and
// following); ok is false behind the last one. i begins behind the '<'.
func nextAttribute(tag string, i int) (a attribute, next int, ok bool) {
	if i == 1 { // the tag's own name
		i += spanOf(tag[i:], func(c byte) bool { return !blank(c) && c != '/' && c != '>' })
	}
	i += spanOf(tag[i:], func(c byte) bool { return blank(c) || c == '/' })
	if i >= len(tag) || tag[i] == '>' {
		return a, i, false
	}
	a.nameFrom = i
	i++ // a '=' here is part of the name
	i += spanOf(tag[i:], func(c byte) bool { return !blank(c) && c != '/' && c != '>' && c != '=' })
	a.nameTo = i
	i += spanOf(tag[i:], blank)
	if i >= len(tag) || tag[i] != '=' {
		return a, i, true
	}
	i++
	i += spanOf(tag[i:], blank)
	if i >= len(tag) || tag[i] == '>' {
		return a, i, true
	}
	if q := tag[i]; q == '"' || q == '\'' {
		end := strings.IndexByte(tag[i+1:], q)
		if end < 0 {
			return a, len(tag), true
		}
		a.from, a.to, a.quoted = i+1, i+1+end, true
		return a, a.to + 1, true
	}
	a.from = i
	a.to = i + spanOf(tag[i:], func(c byte) bool { return !blank(c) && c != '>' })
	return a, a.to, true
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// spanOf is the length of the beginning of s whose bytes are all of a kind.
func spanOf(s string, is func(byte) bool) int {
	for i := 0; i < len(s); i++ {
		if !is(s[i]) {
			return i
		}
	}
	return len(s)
}

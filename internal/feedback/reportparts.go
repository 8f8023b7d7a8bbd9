package feedback

import (
	"bytes"
	stdmime "mime"
	"strings"

	"github.com/postroad/postroad/internal/mime"
)

// Bounds of what is looked at in a mail that came back. Everything behind them is passed over.
const (
	maxReportDepth  = 3        // multiparts within multiparts
	maxReportParts  = 50       // of the whole tree
	maxReportHeader = 64 << 10 // octets of one header
	maxReportValue  = 8 << 10  // octets of one field
	maxReportText   = 64 << 10 // octets of a text in which a bounce is looked for
)

// part is a mail, or a part of one, as far as it is known without reading what is in it.
// Package mime is not used to take it apart: it gives texts and files, here the parts' types
// and ends matter, and what is broken or cut off must still tell what it can.
type part struct {
	head   fields
	kind   string // media type, lower case
	params map[string]string
	body   []byte // lines end in LF; the transfer encoding is still on
	cut    bool   // the mail ended before the part did: nothing says that it is whole
}

// field is one header field, or one of a report's own fields: they look alike.
type field struct {
	name  string // lower case
	value string // unfolded, without blanks around it; valid UTF-8 is not promised
}

type fields []field

// first gives the value of the first field of that name, "" when there is none.
func (f fields) first(name string) string {
	for i := range f {
		if f[i].name == name {
			return f[i].value
		}
	}
	return ""
}

func (f fields) has(name string) bool {
	for i := range f {
		if f[i].name == name {
			return true
		}
	}
	return false
}

// plainLines makes all lines end in LF, whatever ended them, and leaves out a last line that
// has no end: cut off, it might say something else ("a@b.co" of "a@b.com").
func plainLines(content []byte) []byte {
	out := make([]byte, 0, len(content))
	for {
		i := bytes.IndexByte(content, '\n')
		if i < 0 {
			return out
		}
		out = append(append(out, bytes.TrimRight(content[:i], "\r")...), '\n')
		content = content[i+1:]
	}
}

// nextLine cuts the first line off, without its LF.
func nextLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte("\n"))
	return line, rest
}

// readFields reads fields up to an empty line, which is passed over, or to the end. Lines that
// are neither fields nor continue one are left out. ended tells that the empty line was there.
func readFields(text []byte) (f fields, rest []byte, ended bool) {
	size, inField := 0, false
	var value []byte // of the last field, which may go on
	flush := func() {
		if len(f) > 0 {
			f[len(f)-1].value = string(value)
		}
	}
	defer flush()
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		if len(line) == 0 {
			return f, text, true
		}
		if size += len(line); size > maxReportHeader {
			continue
		}
		trimmed := bytes.TrimSpace(line)
		if line[0] == ' ' || line[0] == '\t' {
			if inField && len(trimmed) > 0 && len(value)+len(line) < maxReportValue {
				if len(value) > 0 {
					value = append(value, ' ')
				}
				value = append(value, trimmed...)
			}
			continue
		}
		name, after, colon := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if inField = colon && mime.ValidName(string(name)); inField {
			flush()
			f = append(f, field{name: strings.ToLower(string(name))})
			value = append(value[:0], bytes.TrimSpace(after[:min(len(after), maxReportValue)])...)
		}
	}
	return f, nil, false
}

// partOf reads the header of a mail or of a part.
func partOf(text []byte, cut bool) part {
	p := part{cut: cut}
	p.head, p.body, _ = readFields(text)
	p.kind, p.params = mediaType(p.head.first("content-type"))
	return p
}

// mediaType reads a Content-Type. What the strict reader refuses is read piece by piece, as
// long as no quoted value holds a semicolon.
func mediaType(value string) (string, map[string]string) {
	value = value[:min(len(value), 2<<10)]
	kind, params, err := stdmime.ParseMediaType(value)
	if err == nil && kind != "" {
		return kind, params
	}
	first, rest, _ := strings.Cut(withoutComments(value), ";")
	if kind = strings.ToLower(strings.TrimSpace(first)); !strings.Contains(kind, "/") {
		return "text/plain", nil // RFC 2045 §5.2
	}
	params = map[string]string{}
	for piece := range strings.SplitSeq(rest, ";") {
		name, text, _ := strings.Cut(piece, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := params[name]; !twice {
			params[name] = strings.Trim(strings.TrimSpace(text), `"`)
		}
	}
	return kind, params
}

// withoutComments leaves out what stands in parentheses (RFC 5322 §3.2.2), but for those
// within quotes.
func withoutComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if depth == 0 {
				b.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		switch {
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// leaves gives the parts of a mail that are not made of parts, in order. Messages within it
// are leaves: what they hold was said to somebody else.
func leaves(root part) []part {
	w := walk{}
	w.visit(root, 0)
	return w.found
}

type walk struct {
	found []part
	seen  int
}

func (w *walk) visit(p part, depth int) {
	if w.seen++; w.seen > maxReportParts || depth > maxReportDepth {
		return
	}
	boundary := p.params["boundary"]
	if !strings.HasPrefix(p.kind, "multipart/") || boundary == "" {
		w.found = append(w.found, p)
		return
	}
	w.split(p, "--"+boundary, depth)
}

// split finds the parts between delimiter lines (RFC 2046 §5.1.1). The part that the mail's
// end cut off is among them.
func (w *walk) split(p part, delimiter string, depth int) {
	start := -1 // of the part that is open
	for at := 0; at < len(p.body) && w.seen <= maxReportParts; {
		line, rest := nextLine(p.body[at:])
		next := len(p.body) - len(rest)
		if after, is := bytes.CutPrefix(line, []byte(delimiter)); is {
			after = bytes.TrimRight(after, " \t")
			last := string(after) == "--"
			if last || len(after) == 0 {
				if start >= 0 {
					w.visit(partOf(p.body[start:at], false), depth+1)
				}
				if start = next; last {
					return
				}
			}
		}
		at = next
	}
	if start >= 0 {
		w.visit(partOf(p.body[start:], true), depth+1)
	}
}

package mail

import (
	"net/url"
	"strings"
)

// PointerTo turns a field's name into the pointer to it: "attachments[0].content" is
// "#/attachments/0/content" (RFC 6901 §6). It is for names of ours; a caller's own, which
// may hold anything, are added with [PointerStep].
func PointerTo(field string) string {
	if field == "" {
		return "#"
	}
	b := make([]byte, 0, len(field)+2)
	b = append(b, "#/"...)
	for i := range len(field) {
		switch c := field[i]; c {
		case '.', '[':
			b = append(b, '/')
		case ']':
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

var pointerEscape, pointerUnescape = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")

// PointerStep writes one more name, of any characters, as a step of a pointer: its "~" and
// "/" are escaped (RFC 6901 §3), and what no fragment may hold is percent-encoded (§6).
func PointerStep(name string) string { return "/" + url.PathEscape(pointerEscape.Replace(name)) }

// FieldAt is the field a pointer points to, written as we write names. Numbers behind the
// first step are taken for indexes.
func FieldAt(pointer string) string {
	var b strings.Builder
	for i, step := range strings.Split(strings.TrimPrefix(strings.TrimPrefix(pointer, "#"), "/"), "/") {
		if read, err := url.PathUnescape(step); err == nil {
			step = read
		}
		step = pointerUnescape.Replace(step)
		switch {
		case i > 0 && step != "" && strings.Trim(step, "0123456789") == "":
			b.WriteString("[" + step + "]")
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

package render

import "strings"

// pointerOf turns a field's name into the pointer to it: "variables[0].name" is
// "#/variables/0/name" (RFC 6901 §6).
func pointerOf(field string) string {
	return "#/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(field)
}

// fieldOf is the way back: numbers after the first step are taken for indexes.
func fieldOf(pointer string) string {
	var b strings.Builder
	for i, step := range strings.Split(strings.TrimPrefix(pointer, "#/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
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

func pointerEscape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// isTop tells whether a variable stands at the top of the data.
func isTop(name string) bool { return !strings.ContainsAny(name, ".[") }

// clip keeps a caller's own words in a fault short.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "…"
}

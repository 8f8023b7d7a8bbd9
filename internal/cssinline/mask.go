package cssinline

import "strings"

// A masked source is as long as the source; every template tag in it is a byte that says
// what it is, and then [maskFill]. So nothing inside a tag is taken for HTML or CSS, and
// places found in the masked source are places in the source.
const (
	maskOutput byte = 1 + iota // prints something: a value, a partial
	maskOpen                   // begins a block
	maskElse
	maskClose
	maskSilent // comment, delimiters, inline partials' ends
	maskFill
)

func isMask(c byte) bool { return c >= maskOutput && c <= maskFill }

func hasMask(s string) bool {
	for i := range len(s) {
		if isMask(s[i]) {
			return true
		}
	}
	return false
}

// mask replaces template tags. includes tells whether any prints what may be elements: a
// partial or a raw value.
func mask(source string) (masked string, includes bool) {
	b := []byte(source)
	for i, c := range b {
		if isMask(c) {
			b[i] = '?'
		}
	}
	left, right := "{{", "}}"
	for pos := 0; ; {
		i := strings.Index(source[pos:], left)
		if i < 0 {
			return string(b), includes
		}
		at := pos + i
		inner := source[at+len(left):]
		end := at + len(left) + tagEnd(inner, left, right)
		kind, include := kindOf(inner)
		includes = includes || include
		b[at] = kind
		for k := at + 1; k < end; k++ {
			b[k] = maskFill
		}
		if strings.HasPrefix(inner, "=") { // Mustache's delimiters change
			content := strings.TrimSuffix(strings.TrimSuffix(source[at+len(left)+1:end], right), "=")
			if marks := strings.Fields(content); len(marks) == 2 {
				left, right = marks[0], marks[1]
			}
		}
		pos = end
	}
}

// tagEnd is how long a tag is behind its {{, up to behind its end.
func tagEnd(inner, left, right string) int {
	closer, from := right, 0
	switch {
	case left == "{{" && strings.HasPrefix(inner, "{{"): // a raw block: text up to its end
		if i := strings.Index(inner, "{{{{/"); i >= 0 {
			if j := strings.Index(inner[i:], "}}}}"); j >= 0 {
				return i + j + 4
			}
		}
		return len(inner)
	case strings.HasPrefix(inner, "{"):
		closer = "}" + right
	case strings.HasPrefix(inner, "="):
		closer, from = "="+right, 1
	case strings.HasPrefix(inner, "!--"), strings.HasPrefix(inner, "~!--"):
		for _, c := range []string{"--" + right, "--~" + right} {
			if i := strings.Index(inner, c); i >= 0 {
				return i + len(c)
			}
		}
	case !strings.HasPrefix(inner, "!") && !strings.HasPrefix(inner, "~!"):
		if i := endOutsideQuotes(inner, right); i >= 0 {
			return i + len(right)
		}
	}
	i := strings.Index(inner[from:], closer)
	if i < 0 {
		return len(inner)
	}
	return from + i + len(closer)
}

// endOutsideQuotes finds }} where it is not in a text of Handlebars'; -1 where quotes do
// not pair, as in Mustache they need not.
func endOutsideQuotes(s, right string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], right):
			return i
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t\r\n=({&~", s[i-1]) >= 0):
			j := i + 1
			for j < len(s) && s[j] != c && s[j] != '\n' {
				if s[j] == '\\' {
					j++
				}
				j++
			}
			if j >= len(s) || s[j] != c {
				return -1
			}
			i = j
		}
	}
	return -1
}

func kindOf(inner string) (kind byte, includes bool) {
	inner = strings.TrimPrefix(inner, "~")
	switch {
	case strings.HasPrefix(inner, "!"), strings.HasPrefix(inner, "="):
		return maskSilent, false
	case strings.HasPrefix(inner, "#>"):
		return maskOpen, true
	case strings.HasPrefix(inner, "#"):
		return maskOpen, false
	case strings.HasPrefix(inner, "^"):
		if rest := strings.TrimLeft(inner[1:], " ~"); strings.HasPrefix(rest, "}}") {
			return maskElse, false
		}
		return maskOpen, false
	case strings.HasPrefix(inner, "/"):
		return maskClose, false
	case strings.HasPrefix(inner, ">"), strings.HasPrefix(inner, "{"), strings.HasPrefix(inner, "&"):
		return maskOutput, true
	}
	if word := strings.TrimLeft(inner, " \t"); strings.HasPrefix(word, "else") && len(word) > 4 && strings.IndexByte(" \t~}", word[4]) >= 0 {
		return maskElse, false
	}
	return maskOutput, false
}

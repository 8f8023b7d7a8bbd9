package cssinline

import "strings"

// rule is selectors with declarations. Places are those of the masked source.
type rule struct {
	from, to     int // the whole, with the space before it
	block        int // where its { is
	selectors    []selector
	declarations []declaration
	stays        bool // it cannot be inlined: it has template tags, or rules inside
}

type declaration struct {
	property  string // lower case, but for --custom ones
	value     string
	important bool
}

// sheet is what a <style> block says: rules, and properties that at-rules and rules with
// unsupported selectors set without !important.
type sheet struct {
	rules []rule
	later []declaration
}

// parseSheet reads rules from src[from:to]. At-rules and what it does not understand are
// passed over, so they stay; nested ones are not looked into.
func parseSheet(src string, from, to int, nested bool) (s sheet) {
	for pos := from; pos < to; {
		pos = skipBlank(src, pos, to)
		if pos >= to {
			return s
		}
		start := pos
		for start > from && isSpace(src[start-1]) {
			start--
		}
		if src[pos] == '@' {
			end := endOfAtRule(src, pos, to)
			if !nested {
				s.later = append(s.later, nestedDeclarations(src[pos:end])...)
			}
			pos = end
			continue
		}
		open := find(src, pos, to, "{;}")
		if open >= to || src[open] != '{' {
			pos = open + 1
			continue
		}
		end := endOfBlock(src, open, to)
		s.rules = append(s.rules, makeRule(src, start, pos, open, end))
		pos = end
	}
	return s
}

func makeRule(src string, start, prelude, open, end int) rule {
	r := rule{from: start, to: end, block: open}
	inside := src[open+1 : max(open+1, end-1)]
	r.stays = hasMask(src[prelude:end]) || src[end-1] != '}' || strings.Contains(stripComments(inside), "{")
	if r.stays {
		return r
	}
	for _, part := range splitTop(stripComments(src[prelude:open]), ',') {
		r.selectors = append(r.selectors, parseSelector(strings.TrimSpace(part)))
	}
	r.declarations = parseDeclarations(inside)
	return r
}

func parseDeclarations(s string) (all []declaration) {
	for _, part := range splitTop(stripComments(s), ';') {
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || hasMask(part) || name == "" || value == "" || strings.ContainsAny(name, " \t\r\n\f@&") {
			continue
		}
		d := declaration{property: name, value: value}
		if !strings.HasPrefix(name, "--") {
			d.property = strings.ToLower(name)
		}
		if i := strings.LastIndexByte(value, '!'); i >= 0 && strings.EqualFold(strings.TrimSpace(value[i+1:]), "important") {
			d.important, d.value = true, strings.TrimSpace(value[:i])
		}
		all = append(all, d)
	}
	return all
}

// nestedDeclarations are those of the rules inside a media query, one level deep.
func nestedDeclarations(s string) (all []declaration) {
	if !strings.HasPrefix(s, "@media") {
		return nil
	}
	open := strings.IndexByte(s, '{')
	if open < 0 {
		return nil
	}
	for _, r := range parseSheet(s, open+1, len(s)-1, true).rules {
		all = append(all, r.declarations...)
	}
	return all
}

// skipBlank goes over space, comments and the <!-- --> of old.
func skipBlank(src string, pos, to int) int {
	for pos < to {
		switch {
		case isSpace(src[pos]):
			pos++
		case strings.HasPrefix(src[pos:to], "/*"):
			pos = behind(src, pos+2, to, "*/")
		case strings.HasPrefix(src[pos:to], "<!--"):
			pos += 4
		case strings.HasPrefix(src[pos:to], "-->"):
			pos += 3
		default:
			return pos
		}
	}
	return pos
}

// find is where the first of the stop characters is, outside of texts, comments and
// brackets; or to.
func find(src string, pos, to int, stops string) int {
	depth := 0
	for pos < to {
		c := src[pos]
		switch {
		case c == '"' || c == '\'':
			pos = behindText(src, pos, to)
			continue
		case strings.HasPrefix(src[pos:to], "/*"):
			pos = behind(src, pos+2, to, "*/")
			continue
		case c == '\\':
			pos++
		case depth == 0 && strings.IndexByte(stops, c) >= 0:
			return pos
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth = max(0, depth-1)
		}
		pos++
	}
	return to
}

func behindText(src string, pos, to int) int {
	quote := src[pos]
	for pos++; pos < to; pos++ {
		switch src[pos] {
		case '\\':
			pos++
		case quote, '\n':
			return pos + 1
		}
	}
	return to
}

// endOfBlock is behind the } of the { at open.
func endOfBlock(src string, open, to int) int {
	depth := 0
	for pos := open; pos < to; {
		pos = find(src, pos, to, "{}")
		if pos >= to {
			break
		}
		if src[pos] == '{' {
			depth++
		} else if depth--; depth == 0 {
			return pos + 1
		}
		pos++
	}
	return to
}

func endOfAtRule(src string, pos, to int) int {
	end := find(src, pos+1, to, "{;")
	switch {
	case end >= to:
		return to
	case src[end] == ';':
		return end + 1
	}
	return endOfBlock(src, end, to)
}

// splitTop splits outside of texts and brackets.
func splitTop(s string, sep byte) (parts []string) {
	for {
		i := find(s, 0, len(s), string(rune(sep)))
		parts = append(parts, s[:i])
		if i >= len(s) {
			return parts
		}
		s = s[i+1:]
	}
}

func stripComments(s string) string {
	if !strings.Contains(s, "/*") {
		return s
	}
	var b strings.Builder
	for pos := 0; pos < len(s); {
		switch {
		case s[pos] == '"' || s[pos] == '\'':
			end := behindText(s, pos, len(s))
			b.WriteString(s[pos:min(end, len(s))])
			pos = end
		case strings.HasPrefix(s[pos:], "/*"):
			pos = behind(s, pos+2, len(s), "*/")
			b.WriteByte(' ')
		default:
			b.WriteByte(s[pos])
			pos++
		}
	}
	return b.String()
}

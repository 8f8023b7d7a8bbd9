package render

import "strings"

// maxLocale bounds a locale (RFC 5646 §4.4.1 names 35 as what suffices).
const maxLocale = 35

// Locale writes a language tag in its usual case: "PT_br" is "pt-BR". False: it is none.
// Whether such a language exists is not asked.
func Locale(s string) (string, bool) {
	if s == "" || len(s) > maxLocale {
		return "", false
	}
	parts := strings.Split(strings.ReplaceAll(s, "_", "-"), "-")
	for i, p := range parts {
		if p == "" || len(p) > 8 || strings.ContainsFunc(p, func(r rune) bool { return !alphanumeric(r) }) {
			return "", false
		}
		p = strings.ToLower(p)
		switch {
		case i == 0 && (len(p) < 2 || strings.ContainsAny(p, "0123456789")):
			return "", false
		case i > 0 && len(p) == 2: // a region
			p = strings.ToUpper(p)
		case i > 0 && len(p) == 4: // a script
			p = strings.ToUpper(p[:1]) + p[1:]
		}
		parts[i] = p
	}
	return strings.Join(parts, "-"), true
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// fallBack is where content in a locale is looked for: pt-BR, pt, then the default ("").
func fallBack(locale string) []string {
	var chain []string
	for locale != "" {
		chain = append(chain, locale)
		i := strings.LastIndexByte(locale, '-')
		locale = locale[:max(i, 0)]
	}
	return append(chain, "")
}

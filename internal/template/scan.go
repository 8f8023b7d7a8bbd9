package template

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is a kind of word inside a Handlebars tag.
type tokenKind uint8

const (
	tokName    tokenKind = iota // also .. and . standing alone
	tokBracket                  // [any text], without the brackets
	tokDot                      // . or /
	tokString                   // without its quotes
	tokNumber
	tokKeyword // true false null undefined
	tokAt
	tokEquals
	tokOpen  // (
	tokClose // )
	tokAs    // as |
	tokBar   // |
	tokEnd   // }} with what belongs to it
)

type token struct {
	kind     tokenKind
	text     string
	pos, end int
	strip    bool // tokEnd: had a ~
}

// isSpace is what a regular expression of JavaScript's means by \s: standalone lines and ~
// take such characters away.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xA0, 0xFEFF, 0x2028, 0x2029:
		return true
	}
	return r > 0xFF && unicode.Is(unicode.Zs, r)
}

func trimLeftSpace(s string) string  { return strings.TrimLeftFunc(s, isSpace) }
func trimRightSpace(s string) string { return strings.TrimRightFunc(s, isSpace) }

// isNameRune tells which characters a name may have: all but those with a meaning.
func isNameRune(r rune) bool {
	if r < 0x80 {
		return !strings.ContainsRune("!\"#%&'()*+,./;<=>@[\\]^`{|}~", r) && r > ' ' && r != 0x7f
	}
	return !isSpace(r)
}

// scanTag reads the words of a tag from pos up to its end, which is closer ("}}", "}}}" or
// "}}}}") with a ~ before the last two. A fault is told in words, at a position.
func scanTag(src string, pos int, closer string, buf []token) (tokens []token, fault string, at int) {
	tokens = buf[:0]
	for {
		for pos < len(src) {
			r, n := utf8.DecodeRuneInString(src[pos:])
			if !isSpace(r) {
				break
			}
			pos += n
		}
		if pos >= len(src) {
			return tokens, "the tag is not closed", pos
		}
		if end, strip, ok := atEnd(src, pos, closer); ok {
			return append(tokens, token{kind: tokEnd, pos: pos, end: end, strip: strip}), "", 0
		}
		t, fault := scanToken(src, pos)
		if fault != "" {
			return tokens, fault, pos
		}
		tokens = append(tokens, t)
		pos = t.end
	}
}

func atEnd(src string, pos int, closer string) (end int, strip, ok bool) {
	rest := src[pos:]
	switch closer {
	case "}}":
		if after, tilde := strings.CutPrefix(rest, "~"); tilde && strings.HasPrefix(after, "}}") {
			return pos + 3, true, true
		}
	case "}}}":
		if strings.HasPrefix(rest, "}~}}") {
			return pos + 4, true, true
		}
	}
	return pos + len(closer), false, strings.HasPrefix(rest, closer)
}

func scanToken(src string, pos int) (token, string) {
	single := func(k tokenKind) (token, string) {
		return token{kind: k, text: src[pos : pos+1], pos: pos, end: pos + 1}, ""
	}
	switch c := src[pos]; c {
	case '(':
		return single(tokOpen)
	case ')':
		return single(tokClose)
	case '@':
		return single(tokAt)
	case '=':
		return single(tokEquals)
	case '|':
		return single(tokBar)
	case '/':
		return single(tokDot)
	case '.':
		return scanDot(src, pos)
	case '"', '\'':
		return scanString(src, pos, c)
	case '[':
		return scanBracket(src, pos)
	}
	return scanName(src, pos)
}

// scanDot: .. and a . that stands alone are names, every other one separates.
func scanDot(src string, pos int) (token, string) {
	if strings.HasPrefix(src[pos:], "..") {
		return token{kind: tokName, text: "..", pos: pos, end: pos + 2}, ""
	}
	if pos+1 < len(src) {
		if r, _ := utf8.DecodeRuneInString(src[pos+1:]); isSpace(r) || strings.ContainsRune("=~}/.)]|", r) {
			return token{kind: tokName, text: ".", pos: pos, end: pos + 1}, ""
		}
	}
	return token{kind: tokDot, text: ".", pos: pos, end: pos + 1}, ""
}

func scanString(src string, pos int, quote byte) (token, string) {
	escaped := false
	for i := pos + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && i+1 < len(src) && src[i+1] == quote:
			escaped = true
			i++
		case src[i] == quote:
			text := src[pos+1 : i]
			if escaped {
				text = strings.ReplaceAll(text, `\`+string(quote), string(quote))
			}
			return token{kind: tokString, text: text, pos: pos, end: i + 1}, ""
		}
	}
	return token{}, "the text in quotes does not end"
}

func scanBracket(src string, pos int) (token, string) {
	for i := pos + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && i+1 < len(src) && (src[i+1] == ']' || src[i+1] == '\\'):
			i++
		case src[i] == ']':
			text := src[pos+1 : i]
			if strings.ContainsRune(text, '\\') {
				text = strings.NewReplacer(`\]`, "]", `\\`, `\`).Replace(text)
			}
			return token{kind: tokBracket, text: text, pos: pos, end: i + 1}, ""
		}
	}
	return token{}, "the [ is not closed"
}

func scanName(src string, pos int) (token, string) {
	if n := numberLength(src[pos:]); n > 0 && literalEnds(src, pos+n) {
		return token{kind: tokNumber, text: src[pos : pos+n], pos: pos, end: pos + n}, ""
	}
	end := pos
	for end < len(src) {
		r, n := utf8.DecodeRuneInString(src[end:])
		if !isNameRune(r) {
			break
		}
		end += n
	}
	text := src[pos:end]
	switch text {
	case "":
		r, _ := utf8.DecodeRuneInString(src[pos:])
		if r == '{' {
			return token{}, "the tag is not closed before another one begins"
		}
		return token{}, "unexpected " + quoteRune(r)
	case "true", "false", "null", "undefined":
		if literalEnds(src, end) {
			return token{kind: tokKeyword, text: text, pos: pos, end: end}, ""
		}
	case "as":
		bar := end
		for bar < len(src) && isSpace(rune(src[bar])) {
			bar++
		}
		if bar > end && bar < len(src) && src[bar] == '|' {
			return token{kind: tokAs, text: text, pos: pos, end: bar + 1}, ""
		}
	}
	return token{kind: tokName, text: text, pos: pos, end: end}, ""
}

func quoteRune(r rune) string { return "'" + string(r) + "'" }

func numberLength(s string) int {
	i := 0
	if strings.HasPrefix(s, "-") {
		i = 1
	}
	whole := digits(s[i:])
	if whole == 0 {
		return 0
	}
	i += whole
	if i < len(s) && s[i] == '.' {
		if part := digits(s[i+1:]); part > 0 {
			return i + 1 + part
		}
	}
	return i
}

func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// literalEnds: 12 and true are values only where nothing of a name follows.
func literalEnds(src string, pos int) bool {
	if pos >= len(src) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(src[pos:])
	return isSpace(r) || strings.ContainsRune("~})]", r)
}

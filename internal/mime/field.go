package mime

import (
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

const (
	foldAt   = 76  // octets of a line we aim at; RFC 5322 §2.1.1 asks for 78, RFC 2047 §2 for 76 with encoded words
	maxWord  = 900 // a longer run without a place to fold would break the 998 of RFC 5322 §2.1.1
	maxName  = 76
	wordOpen = "=?utf-8?q?"
	wordBase = "=?utf-8?b?"
	wordEnd  = "?="
)

// ValidName tells whether s may name a header field (RFC 5322 §2.2).
func ValidName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return true
}

// CleanValue tells whether s holds none of CR, LF and NUL.
func CleanValue(s string) bool {
	return strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, 0) < 0
}

func cleanAddress(a mail.Address) bool {
	return CleanValue(a.Name) && a.Email != "" && strings.IndexByte(a.Email, '>') < 0 && printable(a.Email, true)
}

// validMsgID tells whether s may stand between the angle brackets of a Message-ID or
// Content-ID (RFC 5322 §3.6.4, read leniently).
func validMsgID(s string) bool {
	return s != "" && len(s) <= 512 && !strings.ContainsAny(s, "<> ") && printable(s, false)
}

// printable tells whether s is all printable ASCII, or with wide also UTF-8 beyond it.
func printable(s string, wide bool) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f || s[i] > 0x7f && !wide {
			return false
		}
	}
	return !wide || utf8.ValidString(s)
}

// AppendField writes one unstructured field, folded, with encoded words where it is
// not printable ASCII. The caller has checked name and value.
func AppendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	value = strings.Trim(value, " \t")
	if needsEncoding(value) {
		b, _ = appendWords(b, value, len(name)+2)
	} else {
		b, _ = appendFolded(b, value, len(name)+2)
	}
	return append(b, "\r\n"...)
}

// needsEncoding tells whether a value must travel as encoded words: it is not
// printable ASCII, a reader would take it for encoded words, or it cannot be folded.
func needsEncoding(s string) bool {
	run := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' && c != '\t' || c >= 0x7f || c == '=' && i+1 < len(s) && s[i+1] == '?' {
			return true
		}
		if foldsAt(s, i) {
			run = 0
		}
		if run++; run > maxWord {
			return true
		}
	}
	return false
}

// foldsAt tells whether a line may break before s[i]: a single blank between words.
// Unfolding takes away the line break alone (RFC 5322 §2.2.3), yet many readers make one
// blank of it and all the blanks and tabs around it: runs of them, and tabs, stay on
// their line.
func foldsAt(s string, i int) bool {
	return s[i] == ' ' && i > 0 && i+1 < len(s) && !isBlank(s[i-1]) && !isBlank(s[i+1])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// appendFolded writes printable ASCII, breaking before blanks so that lines stay
// within foldAt where they can; taking the breaks out again gives the very value. It
// tells the column it ends in.
func appendFolded(b []byte, s string, column int) ([]byte, int) {
	if column+len(s) <= foldAt {
		return append(b, s...), column + len(s)
	}
	for first := true; len(s) > 0; first = false {
		end := nextFold(s)
		if column+end > foldAt && !first {
			b = append(b, "\r\n"...)
			column = 0
		}
		b = append(b, s[:end]...)
		column += end
		s = s[end:]
	}
	return b, column
}

// nextFold gives the length of the first piece of s: up to where a line may break next.
func nextFold(s string) int {
	for i := 1; i < len(s); i++ {
		if foldsAt(s, i) {
			return i
		}
	}
	return len(s)
}

// appendWords writes s as encoded words (RFC 2047) in UTF-8, in base64 where quoting
// would make much of it unreadable anyway, on lines within foldAt. No character is
// split between words.
func appendWords(b []byte, s string, column int) ([]byte, int) {
	if s == "" {
		return b, column
	}
	if column+len(wordOpen)+12+len(wordEnd) > foldAt { // not even one character of four octets
		b = append(b, "\r\n "...)
		column = 1
	}
	if 3*countEncoded(s) > len(s) {
		return appendBaseWords(b, s, column)
	}
	return appendQuotedWords(b, s, column)
}

func countEncoded(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if !wordSafe[s[i]] && s[i] != ' ' {
			n++
		}
	}
	return n
}

// wordSafe are the characters that may stand for themselves in a quoted word wherever
// it appears, phrases included (RFC 2047 §5 rule 3).
var wordSafe = func() (t [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/" {
		t[c] = true
	}
	return t
}()

func appendQuotedWords(b []byte, s string, column int) ([]byte, int) {
	b = append(b, wordOpen...)
	column += len(wordOpen)
	for i := 0; i < len(s); {
		char, size := character(s[i:])
		width := 3 * len(char)
		if size == 1 && len(char) == 1 && (wordSafe[s[i]] || s[i] == ' ') {
			width = 1
		}
		if column+width+len(wordEnd) > foldAt {
			b = append(b, wordEnd+"\r\n "+wordOpen...)
			column = 1 + len(wordOpen)
		}
		switch {
		case width == 1 && s[i] == ' ':
			b = append(b, '_')
		case width == 1:
			b = append(b, s[i])
		default:
			for j := 0; j < len(char); j++ {
				b = append(b, '=', upperHex[char[j]>>4], upperHex[char[j]&15])
			}
		}
		column += width
		i += size
	}
	return append(b, wordEnd...), column + len(wordEnd)
}

func appendBaseWords(b []byte, s string, column int) ([]byte, int) {
	var word []byte
	for i := 0; i < len(s); {
		word = word[:0]
		// What a word can hold on this line, in whole groups of three octets.
		room := max((foldAt-column-len(wordBase)-len(wordEnd))/4*3, 0)
		for i < len(s) {
			char, size := character(s[i:])
			if len(word)+len(char) > room {
				break
			}
			word = append(word, char...)
			i += size
		}
		if len(word) > 0 {
			b = append(b, wordBase...)
			b = encoding.AppendEncode(b, word)
			b = append(b, wordEnd...)
			column += len(wordBase) + encoding.EncodedLen(len(word)) + len(wordEnd)
		}
		if i < len(s) {
			b = append(b, "\r\n "...)
			column = 1
		}
	}
	return b, column
}

// character gives the UTF-8 of the first character of s, U+FFFD for octets that are
// none, and how many octets of s it takes.
func character(s string) (string, int) {
	if s[0] < utf8.RuneSelf {
		return s[:1], 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return "\ufffd", 1
	}
	return s[:size], size
}

const upperHex = "0123456789ABCDEF"

// appendAddresses writes an address list field; an empty list writes nothing.
func appendAddresses(b []byte, name string, list []mail.Address) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, name...)
	b = append(b, ": "...)
	column := len(name) + 2
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
			column++
			// Each mailbox on a line of its own unless it fits behind the last.
			if column+1+len(a.Name)+len(a.Email)+3 > foldAt {
				b = append(b, "\r\n"...)
				column = 0
			}
			b = append(b, ' ')
			column++
		}
		b, column = appendAddress(b, a, column)
	}
	return append(b, "\r\n"...)
}

func appendAddress(b []byte, a mail.Address, column int) ([]byte, int) {
	name := strings.Trim(a.Name, " \t")
	if name == "" {
		b = append(b, a.Email...)
		return b, column + len(a.Email)
	}
	b, column = appendPhrase(b, name, column)
	if column+len(a.Email)+3 > foldAt {
		b = append(b, "\r\n"...)
		column = 0
	}
	b = append(b, " <"...)
	b = append(b, a.Email...)
	return append(b, '>'), column + len(a.Email) + 3
}

// appendPhrase writes a display name: as atoms, in quotes, or as encoded words when it
// is not printable ASCII. Long ones are folded at their blanks rather than encoded: some
// readers leave the blanks between encoded words in a name (RFC 2047 §6.2 takes them out).
func appendPhrase(b []byte, name string, column int) ([]byte, int) {
	switch {
	case needsEncoding(name) || strings.IndexByte(name, '\t') >= 0:
		return appendWords(b, name, column)
	case isPhrase(name):
		return appendFolded(b, name, column)
	}
	start := len(b)
	b = appendQuoted(b, name)
	if column += len(b) - start; column <= foldAt {
		return b, column
	}
	quoted := string(b[start:])
	b, column = b[:start], column-len(quoted)
	if needsEncoding(quoted) { // its backslashes make it too long for a line
		return appendWords(b, name, column)
	}
	return appendFolded(b, quoted, column)
}

// isPhrase tells whether s is atoms with single blanks between them (RFC 5322 §3.2.5).
func isPhrase(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		blank := c == ' ' && i > 0 && s[i-1] != ' '
		if !blank && (c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;@\,."`, c) >= 0) {
			return false
		}
	}
	return true
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

package feedback

import (
	netmail "net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// Bounds of what a [Report] keeps, in octets.
const (
	maxReportSaid = 2 << 10 // of a text, a diagnostic
	maxReportName = 255     // of a host, a program
	maxReportID   = 998     // of a Message-ID: a line
)

// clean makes foreign text fit to show: valid UTF-8, no control characters but \n, nothing that
// turns its direction, no blanks at line ends, no more than one empty line together; at most
// limit octets.
func clean(text string, limit int) string {
	if len(text) > 8*limit {
		text = text[:8*limit] // room for blanks
	}
	b := make([]byte, 0, min(len(text), limit+utf8.UTFMax))
	for _, r := range text {
		if len(b) > limit {
			break
		}
		switch {
		case r == '\n':
			if b = trimBlanks(b); len(b) == 0 || strings.HasSuffix(string(b[max(0, len(b)-2):]), "\n\n") {
				continue
			}
		case unicode.IsControl(r):
			r = ' '
		case unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			r = utf8.RuneError
		}
		b = utf8.AppendRune(b, r)
	}
	for limit = min(limit, len(b)); limit < len(b) && limit > 0 && !utf8.RuneStart(b[limit]); {
		limit--
	}
	return strings.TrimSpace(string(b[:limit]))
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// saidIn cleans the value of a field for people; encoded words are decoded.
func saidIn(value string, limit int) string {
	if strings.Contains(value, "=?") {
		value = mime.DecodeWords(value)
	}
	return clean(value, limit)
}

// untyped cuts the type off a report's value: "smtp; 550 no" (RFC 3464 §2.1.2). Without one
// the whole is the value.
func untyped(value string) string {
	kind, rest, typed := strings.Cut(value, ";")
	if kind = strings.TrimSpace(kind); !typed || kind == "" || strings.ContainsAny(kind, " <>@\"()[],:") {
		return value
	}
	return strings.TrimSpace(rest)
}

// addressIn reads the address in a field of a report, in whatever way systems write it there:
// "rfc822; ada@x.example", "<ada@x.example>", "'ada@x.example' (no such user)". It gives the
// folded address, or "".
func addressIn(value string) string {
	if strings.Contains(value, "=?") {
		value = mime.DecodeWords(value)
	}
	value = strings.TrimSpace(withoutComments(value))
	for range 2 { // some write "rfc822;rfc822;…"
		value = untyped(value)
	}
	if open := strings.LastIndexByte(value, '<'); open >= 0 {
		inside, _, closed := strings.Cut(value[open+1:], ">")
		if !closed {
			return ""
		}
		value = inside
	}
	for _, scheme := range [...]string{"mailto:", "smtp:"} {
		if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
			value = value[len(scheme):]
		}
	}
	if strings.HasPrefix(value, "@") { // a source route (RFC 5321 appendix C)
		_, value, _ = strings.Cut(value, ":")
	}
	return folded(withoutXtext(withoutHexPoints(unquoted(strings.TrimSpace(value)))))
}

// folded gives an address as suppressions compare it, "" when it is none.
func folded(address string) string {
	a, err := mail.ParseAddress(strings.TrimSuffix(address, "."))
	if err != nil {
		return ""
	}
	return mail.FoldAddress(a.Email)
}

// unquoted takes off quotes around a whole address.
func unquoted(s string) string {
	if n := len(s); n > 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}

// withoutHexPoints undoes the \x{…} of utf-8-addr-xtext (RFC 6533 §3). No other address holds
// that sequence.
func withoutHexPoints(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x{`)
		digits, rest, closed := strings.Cut(after, "}")
		point, err := strconv.ParseUint(digits, 16, 32)
		if !found || !closed || err != nil || point > unicode.MaxRune {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(before)
		b.WriteRune(rune(point))
		s = rest
	}
}

// withoutXtext undoes xtext (RFC 3461 §4), which reporters should have done but often leave:
// the "+2B" and "+3D" that stand for '+' and '='. Where a '+' is followed by anything else,
// the address just has a '+' in it.
func withoutXtext(s string) string {
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "+")
		if !found {
			return xtextSigns.Replace(s)
		}
		if !strings.HasPrefix(after, "2B") && !strings.HasPrefix(after, "3D") {
			return s
		}
		rest = after
	}
}

var xtextSigns = strings.NewReplacer("+2B", "+", "+3D", "=")

// dateIn reads a date; the zero time when it is none.
func dateIn(value string) time.Time {
	value = strings.TrimSpace(withoutComments(value[:min(len(value), 128)]))
	if value == "" {
		return time.Time{}
	}
	at, err := netmail.ParseDate(value)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}
	}
	return at.UTC()
}

// verdict is what a site's words tell in numbers.
type verdict struct {
	code   int    // SMTP reply; 0: none
	status string // enhanced status, of the code's class when there is a code; "": none
	rest   string // the words, without code and status when they begin with them
}

// verdictOf looks for reply code and enhanced status in a site's words. A code counts where
// one stands in replies: at the start of a line, behind ": ", a quote and the like.
func verdictOf(text string) verdict {
	v := verdict{rest: text}
	end := 0
	for i := 0; i+3 <= len(text); i++ {
		if isReplyCode(text[i:]) && startsReply(text[:i]) {
			v.code, _ = strconv.Atoi(text[i : i+3])
			end = i + 3
			break
		}
	}
	if end > 0 {
		behind := strings.TrimLeft(text[end:], "-: '\"") // "550-'5.1.1 no'"
		if n := statusLen(behind); n > 0 && behind[0] == text[end-3] {
			v.status = behind[:n]
			end = len(text) - len(behind) + n
		}
	}
	if end > 0 && isReplyCode(text) { // the words begin with it
		v.rest = strings.TrimLeft(text[end:], " -:")
	}
	if v.status == "" {
		v.status = findStatus(text, v.code/100)
	}
	return v
}

// isReplyCode tells whether s begins with three digits that can be a reply of an SMTP server
// to what it does not do at once, and no longer number.
func isReplyCode(s string) bool {
	if len(s) < 3 || s[0] != '4' && s[0] != '5' && s[0] != '2' || s[1] < '0' || s[1] > '5' || s[2] < '0' || s[2] > '9' {
		return false
	}
	return len(s) == 3 || s[3] == ' ' || s[3] == '-' || s[3] == ':' || s[3] == '\n'
}

func startsReply(before string) bool {
	if before == "" {
		return true
	}
	switch before[len(before)-1] {
	case '\n', '"', '\'', '#', '<':
		return true
	case ' ':
		for _, lead := range [...]string{": ", "; ", "\n ", "<<< ", " error ", "# "} {
			if strings.HasSuffix(before, lead) {
				return true
			}
		}
	case ';', ':':
		return true
	}
	return strings.TrimSpace(before) == ""
}

// statusLen tells how long the enhanced status code is that s begins with, 0 = none (RFC 3463
// §2 and §3: subjects are 0 to 7). "5.1.1.2" is none, it is an IP address, nor is "4.94.2".
func statusLen(s string) int {
	if len(s) < 5 || s[0] != '5' && s[0] != '4' && s[0] != '2' || s[1] != '.' {
		return 0
	}
	subject := digitsAt(s[2:])
	if subject != 1 || s[2] > '7' || 2+subject >= len(s) || s[2+subject] != '.' {
		return 0
	}
	detail := digitsAt(s[3+subject:])
	n := 3 + subject + detail
	if detail == 0 || n < len(s) && partOfWord(s[n]) && (s[n] != '.' || digitsAt(s[n+1:]) > 0) {
		return 0
	}
	return n
}

// digitsAt counts the digits s begins with; more than three are none.
func digitsAt(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n > 3 {
		return 0
	}
	return n
}

// findStatus finds the first enhanced status of a class (0: any) that stands apart.
func findStatus(text string, class int) string {
	for i := 0; i+5 <= len(text); i++ {
		if n := statusLen(text[i:]); n > 0 && (i == 0 || !partOfWord(text[i-1])) && (class == 0 || int(text[i]-'0') == class) {
			return text[i : i+n]
		}
	}
	return ""
}

func partOfWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || strings.IndexByte("._-+@/", c) >= 0
}

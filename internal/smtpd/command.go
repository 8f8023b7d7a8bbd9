package smtpd

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// command is one line: a verb in upper case and the rest as written.
type command struct{ verb, rest string }

// maxVerb is how many octets of a verb are looked at: the longest we know is STARTTLS.
const maxVerb = 16

func parseCommand(line []byte) command {
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	if len(verb) > maxVerb {
		verb = verb[:maxVerb]
	}
	return command{strings.ToUpper(string(verb)), strings.Trim(string(rest), " ")}
}

// unreadable tells whether a line holds octets no command has: control characters, or
// bytes that are not UTF-8.
func unreadable(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return !utf8.Valid(line)
}

// parameter is one of MAIL or RCPT (RFC 5321 §4.1.2), its keyword in upper case.
type parameter struct{ name, value string }

// parsePath reads "FROM:<path> parameters" or "TO:<path> parameters". A source route is
// passed over, as RFC 5321 appendix C asks.
func parsePath(rest, word string) (path string, parameters []parameter, ok bool) {
	if len(rest) <= len(word) || !strings.EqualFold(rest[:len(word)], word) || rest[len(word)] != ':' {
		return "", nil, false
	}
	rest = strings.TrimLeft(rest[len(word)+1:], " ") // some clients leave a space there
	if !strings.HasPrefix(rest, "<") {
		return "", nil, false
	}
	end := closing(rest)
	if end < 0 {
		return "", nil, false
	}
	path = rest[1:end]
	if strings.HasPrefix(path, "@") {
		_, path, ok = strings.Cut(path, ":")
		if !ok {
			return "", nil, false
		}
	}
	for word := range strings.FieldsSeq(rest[end+1:]) {
		name, value, _ := strings.Cut(word, "=")
		parameters = append(parameters, parameter{strings.ToUpper(name), value})
	}
	if len(rest) > end+1 && rest[end+1] != ' ' {
		return "", nil, false
	}
	return path, parameters, true
}

// closing finds the '>' of a path; one inside quotes is not it.
func closing(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// parseSize reads an amount of octets of at most 20 digits (RFC 1870 §3).
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 20 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true // twenty digits: more than anybody takes
	}
	return n, true
}

// parseChunk reads "size [LAST]" of a BDAT (RFC 3030 §2).
func parseChunk(rest string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(rest, " ")
	size, ok = parseSize(number)
	if more {
		last = strings.EqualFold(strings.TrimSpace(word), "LAST")
		ok = ok && last
	}
	return size, last, ok
}

// heloName is the name a client gives, as far as it is fit to be shown.
func heloName(rest string) string {
	name, _, _ := strings.Cut(rest, " ")
	return strings.ToValidUTF8(name[:min(len(name), 100)], "")
}

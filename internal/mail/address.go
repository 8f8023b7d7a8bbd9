package mail

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of an address in octets (RFC 5321 §4.5.3.1; a path of 256 less its brackets).
const (
	maxLocal   = 64
	maxAddress = 254
	maxLabel   = 63
	maxName    = 998 // characters of a display name: what one header line would hold
)

// Address is a mailbox: what stands in a header, and where mail goes.
type Address struct {
	Name  string // display name, decoded; may be empty
	Email string // addr-spec: local part as written, '@', domain in ASCII lower case (IDNA A-labels)
}

// ErrBadAddress says that a text is not a mailbox.
var ErrBadAddress = errors.New("not an e-mail address")

// AddressError is an [ErrBadAddress] that says what is wrong and, when it can be
// guessed, what was meant. Both are safe to show.
type AddressError struct {
	Reason     string // continues "'ada@exmaple' …": "has no valid domain"
	Suggestion string // an address that would do, or ""
	Injection  bool   // it holds CR, LF or NUL: an attempt at header injection, or an accident of that look
}

func (e *AddressError) Error() string { return "not an e-mail address: it " + e.Reason }
func (e *AddressError) Unwrap() error { return ErrBadAddress }

func badAddress(reason string) error { return &AddressError{Reason: reason} }

// Domain is the part of the address after the last '@'.
func (a Address) Domain() string { return a.Email[strings.LastIndexByte(a.Email, '@')+1:] }

// Local is the part of the address before the last '@'.
func (a Address) Local() string { return a.Email[:max(strings.LastIndexByte(a.Email, '@'), 0)] }

// ASCII tells whether the address can travel without SMTPUTF8 (RFC 6531).
func (a Address) ASCII() bool { return isASCII(a.Email) }

// String writes the address as people read it: "Ada <ada@example.com>". Nothing in the
// name can break out of its place: what needs quotes has them, control characters are
// left out. It is UTF-8; header fields are written by package mime, with encoded words.
func (a Address) String() string {
	name := strings.Map(dropControl, a.Name)
	if name == "" {
		return a.Email
	}
	if strings.ContainsAny(name, `()<>[]:;@\,"`) {
		name = `"` + quoter.Replace(name) + `"`
	}
	return name + " <" + a.Email + ">"
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func dropControl(r rune) rune {
	if unicode.IsControl(r) || r == utf8.RuneError {
		return -1
	}
	return r
}

// ParseAddress reads one mailbox: "ada@example.com", "<ada@example.com>",
// "Ada <ada@example.com>" or "\"Lovelace, Ada\" <ada@example.com>". The domain comes
// out in lower-case A-labels; the local part as written, but for quotes it does not
// need. Comments, lists, address literals, domains of one label and control characters
// are refused. Errors are [*AddressError].
func ParseAddress(s string) (Address, error) {
	if i := strings.IndexAny(s, "\r\n\x00"); i >= 0 {
		return Address{}, &AddressError{Reason: "contains a line break or a NUL character", Injection: true}
	}
	s = strings.Trim(s, " \t")
	if !strings.HasSuffix(s, ">") {
		email, err := parseSpec(s)
		return Address{Email: email}, err
	}
	open := strings.LastIndexByte(s, '<')
	if open < 0 {
		return Address{}, badAddress("has a '>' without a '<'")
	}
	name, err := parseName(strings.Trim(s[:open], " \t"))
	if err != nil {
		return Address{}, err
	}
	email, err := parseSpec(strings.Trim(s[open+1:len(s)-1], " \t"))
	return Address{Name: name, Email: email}, err
}

// parseName reads a display name, quoted or not. Without quotes it may hold what
// people write there, as long as it cannot be taken for something else.
func parseName(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", badAddress("is not valid UTF-8")
	}
	if utf8.RuneCountInString(s) > maxName {
		return "", badAddress("has a display name of more than 998 characters")
	}
	if strings.HasPrefix(s, `"`) {
		text, rest, ok := unquote(s)
		if !ok || rest != "" {
			return "", badAddress("has a display name whose quotes do not match")
		}
		s = text
	} else if i := strings.IndexAny(s, `()<>[]:;@\,"`); i >= 0 {
		return "", badAddress("has '" + s[i:i+1] + "' in its display name: put the name in double quotes")
	}
	if strings.ContainsFunc(s, isUnsafe) {
		return "", badAddress("has control characters in its display name")
	}
	return strings.TrimSpace(s), nil
}

// parseSpec reads an addr-spec (RFC 5321 §4.1.2, RFC 6531 §3.3).
func parseSpec(s string) (string, error) {
	if s == "" {
		return "", badAddress("is empty")
	}
	if !utf8.ValidString(s) {
		return "", badAddress("is not valid UTF-8")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", &AddressError{Reason: "has no '@'", Suggestion: suggestAt(s)}
	}
	local, err := parseLocal(s[:at])
	if err != nil {
		return "", err
	}
	domain, err := ASCIIDomain(s[at+1:])
	if err != nil {
		return "", &AddressError{Reason: err.Error(), Suggestion: suggestDomain(local, s[at+1:])}
	}
	if len(local)+1+len(domain) > maxAddress {
		return "", badAddress("is longer than 254 octets")
	}
	if len(local) == at && domain == s[at+1:] {
		return s, nil // the usual case costs no copy
	}
	return local + "@" + domain, nil
}

// parseLocal reads a local part: a dot-atom, or a quoted string.
func parseLocal(s string) (string, error) {
	switch {
	case s == "":
		return "", badAddress("has nothing before the '@'")
	case s[0] == '"':
		text, rest, ok := unquote(s)
		if !ok || rest != "" || strings.ContainsFunc(text, isUnsafe) {
			return "", badAddress("has a quoted local part that is not well formed")
		}
		if isDotAtom(text) {
			s = text // the quotes are not needed: the same mailbox (RFC 5321 §4.1.2)
		}
	case strings.IndexByte(s, '@') >= 0:
		return "", badAddress("has more than one '@'; several addresses go in an array")
	case !isDotAtom(s):
		return "", badAddress("has characters before the '@' that are not allowed there")
	}
	if len(s) > maxLocal {
		return "", badAddress("has more than 64 octets before the '@'")
	}
	return s, nil
}

// unquote reads a quoted string at the start of s (RFC 5322 §3.2.4).
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		case '"':
			return b.String(), s[i+1:], true
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// isDotAtom tells whether s is atoms joined by single dots (RFC 5322 §3.2.3), with
// UTF-8 beyond ASCII allowed (RFC 6532 §3.2).
func isDotAtom(s string) bool {
	last := byte('.')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.':
			if last == '.' {
				return false
			}
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			if isUnsafe(r) || unicode.IsSpace(r) {
				return false
			}
			i += size - 1
		case !atext[c]:
			return false
		}
		last = c
	}
	return last != '.'
}

var atext = func() (t [utf8.RuneSelf]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~" {
		t[c] = true
	}
	return t
}()

// isUnsafe tells of characters that must not stand in names and local parts: controls,
// line separators, and those that turn the direction of the text around them.
func isUnsafe(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\ufeff'
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var errNoDomain = errors.New("has no valid domain")

// ASCIIDomain brings a domain name into the one form we compare and send: lower-case
// A-labels (IDNA 2008 as a client looks names up, underscores refused). Names of one
// label, of digits at the top, with a trailing dot, and address literals are errors,
// whose text continues a sentence.
func ASCIIDomain(s string) (string, error) {
	if ValidDomain(s) {
		return s, nil
	}
	switch {
	case strings.HasPrefix(s, "["):
		return "", errors.New("has an address literal instead of a domain")
	case strings.HasSuffix(s, "."):
		return "", errors.New("has a dot after its domain")
	}
	if lower := strings.ToLower(s); isASCII(s) && ValidDomain(lower) {
		return lower, nil
	}
	ascii, err := lookup.ToASCII(s)
	if err != nil || !validLabels(ascii) {
		return "", errNoDomain
	}
	return ascii, nil
}

var lookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.CheckJoiners(true))

// ValidDomain tells whether s is a domain name in the form [ASCIIDomain] gives.
func ValidDomain(s string) bool {
	if !validLabels(s) {
		return false
	}
	if strings.HasPrefix(s, "xn--") || strings.Contains(s, ".xn--") {
		ascii, err := lookup.ToASCII(s)
		return err == nil && ascii == s
	}
	return true
}

// validLabels checks lower-case labels of letters, digits and inner hyphens, at least
// two of them, the last with a letter (an all-digit top would be an IPv4 address).
func validLabels(s string) bool {
	if len(s) > maxAddress-2 {
		return false
	}
	start, dots, letter := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			letter = true
		case c >= '0' && c <= '9':
		case c == '-':
			if i == start || i+1 == len(s) || s[i+1] == '.' {
				return false
			}
		case c == '.':
			if i == start || i-start > maxLabel {
				return false
			}
			start, letter = i+1, false
			dots++
		default:
			return false
		}
	}
	return dots > 0 && letter && start < len(s) && len(s)-start <= maxLabel
}

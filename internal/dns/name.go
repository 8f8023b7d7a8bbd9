package dns

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// ToASCII gives a domain name as it stands in the DNS: lower case, A-labels (RFC 5891),
// no final dot. It takes host names only: letters, digits and hyphens. Errors are
// [ErrBadName].
func ToASCII(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if !isASCII(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%w: %v", ErrBadName, err)
		}
		name = ascii
	}
	name = strings.ToLower(name)
	if !IsHost(name) {
		return "", ErrBadName
	}
	return name, nil
}

// ToUnicode gives a name as people write it, for showing only.
func ToUnicode(name string) string {
	if text, err := idna.Display.ToUnicode(name); err == nil {
		return text
	}
	return name
}

// IsHost tells whether name is a host name (RFC 1123 §2.1) in lower or upper case,
// without final dot: labels of 1–63 letters, digits and inner hyphens, 253 in all.
func IsHost(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !(c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return false
			}
		}
	}
	return true
}

// isService is [IsHost] with underscores, as in "s1._domainkey.acme.test".
func isService(name string) bool { return IsHost(strings.ReplaceAll(name, "_", "x")) }

// absolute makes the name of a question: A-labels, lower case, final dot.
func absolute(name string) (string, error) {
	if !isASCII(name) {
		ascii, err := ToASCII(name)
		if err != nil {
			return "", err
		}
		name = ascii
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !isService(name) {
		return "", ErrBadName
	}
	return name + ".", nil
}

// shown is a name without its final dot; the root stays ".".
func shown(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// target reads a host name out of a record: lower case, no final dot. The library has
// written unusual bytes as escapes, so that a hostile name is text like any other.
func target(name string) string { return shown(dns.CanonicalName(name)) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

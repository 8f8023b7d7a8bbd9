package project

import (
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// A sender pattern is LOCAL@DOMAIN. LOCAL is a local part, "*" for any, or the beginning of one
// with a "*" at its end ("billing-*"). DOMAIN is a domain in A-labels or Unicode, or "*." and a domain for
// all below it (not itself). Case is folded.
type senderPattern struct {
	local string
	wild  bool // any local part that begins with local
	host  string
	below bool // domains below host
}

// parseSender reads a pattern; false: it is none.
func parseSender(s string) (p senderPattern, ok bool) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || len(s) > 254 || strings.ContainsAny(s, " \t\r\n\x00<>,\"") || strings.IndexByte(s[:at], '@') >= 0 {
		return p, false
	}
	p.local, p.wild = strings.CutSuffix(strings.ToLower(s[:at]), "*")
	if strings.IndexByte(p.local, '*') >= 0 {
		return p, false
	}
	p.host, p.below = strings.CutPrefix(s[at+1:], "*.")
	host, err := mail.ASCIIDomain(p.host)
	if err != nil || !strings.Contains(host, ".") || strings.Contains(p.host, "*") {
		return p, false
	}
	p.host = host
	return p, true
}

// covers tells whether every address w stands for is one of p's.
func (p senderPattern) covers(w senderPattern) bool {
	switch {
	case p.below && !strings.HasSuffix(w.host, "."+p.host) && !(w.below && w.host == p.host):
		return false
	case !p.below && (w.below || w.host != p.host):
		return false
	case p.wild:
		return strings.HasPrefix(w.local, p.local)
	}
	return !w.wild && w.local == p.local
}

// covers tells whether a sender pattern allows everything another one, or an address,
// stands for.
func covers(pattern, what string) bool {
	p, ok := parseSender(pattern)
	w, fits := parseSender(what)
	return ok && fits && p.covers(w)
}

// MayFrom tells whether the key may send as this address.
func (k *Key) MayFrom(address string) bool {
	if len(k.AllowedFrom) == 0 {
		return true
	}
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return false
	}
	w := senderPattern{local: strings.ToLower(address[:at]), host: strings.ToLower(address[at+1:])}
	return slices.ContainsFunc(k.AllowedFrom, func(pattern string) bool {
		p, ok := parseSender(pattern)
		return ok && p.covers(w)
	})
}

// parseDomainPattern reads "acme.test", or "*.acme.test" for what is below it.
func parseDomainPattern(s string) (host string, below, ok bool) {
	host, below = strings.CutPrefix(strings.TrimSpace(s), "*.")
	ascii, err := mail.ASCIIDomain(host)
	return ascii, below, err == nil && strings.Contains(ascii, ".")
}

// AllowsDomain tells whether the project's allowed_domains let it send as a domain; none
// let it send as any. An entry is a domain, or "*." and a domain for all below it.
func (s *Settings) AllowsDomain(name string) bool {
	return len(s.AllowedDomains) == 0 || slices.ContainsFunc(s.AllowedDomains, func(entry string) bool {
		host, below, ok := parseDomainPattern(entry)
		return ok && (!below && host == name || below && strings.HasSuffix(name, "."+host))
	})
}

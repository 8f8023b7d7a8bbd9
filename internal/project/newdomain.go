package project

import (
	"context"
	"crypto"
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
)

// NewDomain is what a caller says of a sending domain to make.
type NewDomain struct {
	Name       string // IDNs as people write them
	Selector   string // of the first key; default "s1"
	Algorithm  string // RSA2048 or Ed25519: only this one; default both
	PrivateKey string // PEM: use this key and make none
	ReturnPath string // label below the domain; default "bounce"
	By         string // who asks, see [Principal.By]
}

const (
	defaultSelector   = "s1"
	defaultReturnPath = "bounce"
)

// Create makes a pending domain with its DKIM keys: RSA-2048, which every receiver
// verifies, and Ed25519 beside it, whose record may be left out. Faults are
// [mail.Faults]; a domain the project has already is [mail.ErrExists].
func (s *Domains) Create(ctx context.Context, project int64, n NewDomain, once *mail.Once, answer func(Domain) mail.Answer) (Domain, error) {
	imported, faults := n.judge()
	if len(faults) > 0 {
		return Domain{}, faults
	}
	if once == nil { // making keys is dear; with a key the store must look first
		if _, err := s.store.DomainByName(ctx, project, n.Name); err == nil {
			return Domain{}, mail.ErrExists
		}
	}
	now := s.now()
	d := Domain{
		ID: mail.NewID(now), Project: project, Name: n.Name, Status: DomainPending, ReturnPath: n.ReturnPath, TLS: "opportunistic",
		Checks: map[string]string{}, CreatedAt: now, NextCheckAt: now.Add(firstCheck),
	}
	var err error
	if d.Keys, err = s.keysFor(ctx, n, imported, now); err != nil {
		return Domain{}, err
	}
	audit.Changed(ctx, d.ID.Text(mail.PrefixDomain), nil, domainShape(&d))
	kept, err := s.store.CreateDomain(ctx, d, once, answer)
	if err != nil {
		return Domain{}, err
	}
	s.forget(project, kept.Name)
	s.log.InfoContext(ctx, "domain created", "domain", kept.ID.Text(mail.PrefixDomain), "name", kept.Name, "by", n.By)
	s.stir()
	return kept, nil
}

// keysFor makes the keys a new domain begins with.
func (s *Domains) keysFor(ctx context.Context, n NewDomain, imported crypto.Signer, now time.Time) ([]DKIMKey, error) {
	if imported != nil {
		k, err := newDKIMKey(s.ring, n.Name, n.Selector, imported, now)
		return []DKIMKey{k}, err
	}
	var keys []DKIMKey
	for _, algorithm := range []string{RSA2048, Ed25519} {
		if n.Algorithm != "" && n.Algorithm != algorithm {
			continue
		}
		private, err := generate(ctx, algorithm)
		if err != nil {
			return nil, err
		}
		selector := n.Selector
		if len(keys) > 0 {
			selector = secondSelector(n.Selector)
		}
		k, err := newDKIMKey(s.ring, n.Name, selector, private, now)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// secondSelector is where the Ed25519 key beside an RSA key stands.
func secondSelector(first string) string {
	if first == defaultSelector {
		return "s2"
	}
	return first[:min(len(first), 60)] + "-ed"
}

// judge fills in the defaults and tells every fault at once.
func (n *NewDomain) judge() (imported crypto.Signer, faults mail.Faults) {
	fault := func(field, code, message string) {
		pointer := "#/" + strings.ReplaceAll(field, ".", "/")
		faults = append(faults, &mail.Error{Code: code, Field: field, Pointer: pointer, Message: message})
	}
	if code, message := n.judgeName(); code != "" {
		fault("name", code, message)
	}
	if n.Selector == "" {
		n.Selector = defaultSelector
	}
	if n.Selector = strings.ToLower(n.Selector); !isLabel(n.Selector) {
		fault("dkim.selector", "invalid_value", "DKIM selector must be a valid DNS label (alphanumeric and hyphens, max 63 chars)")
	}
	if n.ReturnPath == "" {
		n.ReturnPath = defaultReturnPath
	}
	if n.ReturnPath = strings.ToLower(n.ReturnPath); !isLabel(n.ReturnPath) {
		fault("return_path", "invalid_value", "The return path is one label below the domain, such as 'bounce': letters, digits and hyphens, at most 63.")
	}
	switch n.Algorithm {
	case "", RSA2048, Ed25519:
	default:
		fault("dkim.algorithm", "invalid_value", "The algorithm is 'rsa2048' or 'ed25519'; left out, both are used.")
		return nil, faults
	}
	if n.PrivateKey == "" {
		return nil, faults
	}
	imported, err := readPEM(n.PrivateKey)
	if err != nil {
		fault("dkim.private_key", err.Code, err.Message)
		return nil, faults
	}
	if _, isEd := imported.(interface{ Seed() []byte }); n.Algorithm != "" && isEd != (n.Algorithm == Ed25519) {
		fault("dkim.algorithm", "invalid_value", "The private key is of another algorithm.")
	}
	return imported, faults
}

// judgeName makes the name the form it is kept in.
func (n *NewDomain) judgeName() (code, message string) {
	written := strings.TrimSpace(n.Name)
	if written == "" {
		return "missing_required_field", "Name the domain that mail is to be sent from, such as 'acme.com'."
	}
	shown := dns.Printable(written, 100)
	name, err := dns.ToASCII(written)
	switch {
	case err != nil:
		message = "'" + shown + "' is not a domain name: give it without scheme, path or '@'."
	case !strings.Contains(name, "."):
		message = "'" + shown + "' has no dot: give the whole domain, such as 'acme.com'."
	case len(name) > 253-len("._domainkey.")-63:
		return "too_long", "The name is too long: its DKIM records would not fit into the DNS."
	case name == sandboxDomain || strings.HasSuffix(name, "."+sandboxDomain):
		message = "'" + sandboxDomain + "' is the sandbox's own and needs no registration."
	case isNumeric(name):
		message = "'" + shown + "' is an address: a sending domain is a name."
	}
	if message != "" {
		return "invalid_value", message
	}
	n.Name = name
	return "", ""
}

// sandboxDomain is route.SandboxDomain, which stands below us in the house.
const sandboxDomain = "sandbox.test"

func isLabel(s string) bool { return dns.IsHost(s) && !strings.Contains(s, ".") }

// isNumeric tells whether the top level is digits only, which no name of the DNS has.
func isNumeric(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.Trim(name[strings.LastIndexByte(name, '.')+1:], "0123456789") == ""
}

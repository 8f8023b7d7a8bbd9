package project

import (
	"context"
	"errors"
	"time"

	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/mail"
)

// What is known of a domain is asked for twice per message: on accepting and on
// signing. What this node changes holds at once.
const (
	domainFresh = 10 * time.Second // another node's change is seen within it
	domainsKept = 20_000
	absentFresh = time.Second // mail from domains nobody registered must not reach the store each time
)

type domainKey struct {
	project int64
	name    string
}

// knownDomain is a domain as it was read. It never changes.
type knownDomain struct {
	domain  Domain
	signing Signing
	err     error // mail.ErrNotFound, or what went wrong with its keys
}

// Domain gives a domain by its name in ASCII lower case, or [mail.ErrNotFound]. What it
// points to is shared: do not change it.
func (s *Domains) Domain(ctx context.Context, project int64, name string) (Domain, error) {
	k, err := s.know(ctx, project, name)
	if err != nil {
		return Domain{}, err
	}
	if errors.Is(k.err, mail.ErrNotFound) {
		return Domain{}, k.err
	}
	return k.domain, nil
}

// Signing gives what mail of a domain is signed with: its newest active key of each
// algorithm. A domain that cannot send, or is not registered, has none: such mail
// leaves unsigned, with the operator's return path. A key that cannot be opened is an
// error, ours and temporary. The result is shared: do not change it.
func (s *Domains) Signing(ctx context.Context, project int64, domain string) (Signing, error) {
	k, err := s.know(ctx, project, domain)
	if err != nil {
		return Signing{}, err
	}
	if k.err != nil && !errors.Is(k.err, mail.ErrNotFound) {
		return Signing{}, k.err
	}
	return k.signing, nil
}

// know finds a domain, reading it (again) where need be. Its error is the store's.
func (s *Domains) know(ctx context.Context, project int64, name string) (*knownDomain, error) {
	return s.known.Get(domainKey{project, name}, s.now(), func(old **knownDomain) (*knownDomain, time.Duration, error) {
		if old == nil {
			return s.read(ctx, project, name, nil)
		}
		return s.read(ctx, project, name, *old)
	})
}

// read asks the store. Keys of a revision already known are not opened again.
func (s *Domains) read(ctx context.Context, project int64, name string, old *knownDomain) (*knownDomain, time.Duration, error) {
	d, err := s.store.DomainByName(ctx, project, name)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return &knownDomain{err: mail.ErrNotFound}, absentFresh, nil
	case err != nil:
		return nil, 0, err
	}
	k := &knownDomain{domain: d}
	if old != nil && old.err == nil && old.domain.ID == d.ID && old.domain.Revision == d.Revision {
		k.signing = old.signing
		return k, domainFresh, nil
	}
	k.signing, k.err = s.signing(&d)
	if k.err != nil {
		s.log.ErrorContext(ctx, "a DKIM key cannot be used", "domain", d.ID.Text(mail.PrefixDomain), "error", k.err)
	}
	return k, domainFresh, nil
}

// forget makes a change hold at once on this node.
func (s *Domains) forget(project int64, name string) { s.known.Forget(domainKey{project, name}) }

// signing opens the keys of a domain that may send.
func (s *Domains) signing(d *Domain) (Signing, error) {
	g := Signing{RequireTLS: d.TLS == "required"}
	if !d.CanSend() {
		return g, nil
	}
	if d.ReturnPathOK {
		g.ReturnPath = d.ReturnPath + "." + d.Name
	}
	var rsaKey, edKey *DKIMKey
	for i := range d.Keys {
		k := &d.Keys[i]
		best := &edKey
		if k.isRSA() {
			best = &rsaKey
		}
		if k.State == KeyActive && (*best == nil || k.CreatedAt.After((*best).CreatedAt)) {
			*best = k
		}
	}
	for _, k := range []*DKIMKey{rsaKey, edKey} {
		if k == nil {
			continue
		}
		signer, err := k.signer(s.ring, d.Name)
		if err != nil {
			return Signing{}, err
		}
		g.Keys = append(g.Keys, dkim.Key{Domain: d.Name, Selector: k.Selector, Signer: signer})
	}
	return g, nil
}

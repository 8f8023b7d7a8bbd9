package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/recent"
)

// Where a sending domain stands:
//
//	pending ─▶ verified ─▶ degraded ─▶ failed
//	             ▲  ▲──────────┘          │
//	             └────────────────────────┘
//
// pending: its DKIM record was never found. verified: it was, at the last check that
// got an answer. degraded: it vanished; mail still goes, for a day. failed: that day is
// over. A check without an answer (the resolver was down) moves nothing. suspended: an
// operator's order, which no check lifts.
const (
	DomainPending   = "pending"
	DomainVerified  = "verified"
	DomainDegraded  = "degraded"
	DomainFailed    = "failed"
	DomainSuspended = "suspended"
)

// CanSend tells whether live mail may be sent from the domain.
func (d *Domain) CanSend() bool { return d.Status == DomainVerified || d.Status == DomainDegraded }

// DomainStore is what Domains asks to be remembered.
type DomainStore interface {
	CreateDomain(ctx context.Context, d Domain, once *mail.Once, answer func(Domain) mail.Answer) (Domain, error) // mail.ErrExists
	DomainByName(ctx context.Context, project int64, name string) (Domain, error)
	DomainByID(ctx context.Context, project int64, id mail.ID) (Domain, error)
	Domains(ctx context.Context, project int64) ([]Domain, error)
	// UpdateDomain keeps the domain as its owner changed it, with these events. It must stand at
	// d.Revision, and at ifVersion unless that is 0; else mail.ErrStale.
	UpdateDomain(ctx context.Context, d Domain, ifVersion int64, events []mail.Event) (Domain, error)
	// UpdateDomainOnce is UpdateDomain under an idempotency key: a used one is *mail.Replayed.
	UpdateDomainOnce(ctx context.Context, d Domain, once *mail.Once, answer func(Domain) mail.Answer) (Domain, error)
	// RecordCheck keeps what a check found, with its events (domain.verified …). Version stays: who
	// edits the domain is not disturbed. It must stand at d.Revision, else mail.ErrStale.
	RecordCheck(ctx context.Context, d Domain, events []mail.Event) (Domain, error)
	// DomainsDue gives domains of all projects whose NextCheckAt has come, longest due first,
	// and when the next of the others' will; zero: there are no others.
	DomainsDue(ctx context.Context, now time.Time, limit int) (due []Domain, next time.Time, err error)
	// HealthOfDomain counts the newest live messages sent from a domain and made since a time: at most
	// limit of them. It looks at no more than ten times limit messages of all domains and, but for
	// the first message, recipients of this one; Traffic.Cut tells that a bound ended it.
	HealthOfDomain(ctx context.Context, project int64, domain string, since time.Time, limit int) (Traffic, error)
	// DeleteDomain removes it; without force it is mail.ErrExists while mail of it waits. With
	// force that mail becomes Failed (domain_removed) in the same commit.
	DeleteDomain(ctx context.Context, project int64, id mail.ID, force bool, by string, now time.Time) error

	// Remembered gives the answer kept under an idempotency key, or mail.ErrNotFound.
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
}

// DomainsOptions are the parts Domains is built from.
type DomainsOptions struct {
	Store    DomainStore
	Ring     Sealer
	Resolver *dns.Resolver
	Hostname string // ours: where return paths must lead (POSTROAD_HOSTNAME)
	Now      func() time.Time
	Log      *slog.Logger
}

// Domains keeps the sending domains: makes them with their keys, tells the records they
// need, checks those, and gives what mail is signed with. Domains of a project serve
// both its environments.
type Domains struct {
	store    DomainStore
	ring     Sealer
	resolver *dns.Resolver
	hostname string
	now      func() time.Time
	log      *slog.Logger

	woken chan struct{}

	known *recent.Memory[domainKey, *knownDomain]
}

// NewDomains makes Domains. Its checks run while [Domains.Run] does.
func NewDomains(o DomainsOptions) *Domains {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Domains{
		store: o.Store, ring: o.Ring, resolver: o.Resolver, hostname: o.Hostname, now: o.Now, log: o.Log,
		woken: make(chan struct{}, 1), known: recent.New[domainKey, *knownDomain](domainsKept),
	}
}

// Find gives a domain by its name or its identifier ("dom_…").
func (s *Domains) Find(ctx context.Context, project int64, ref string) (Domain, error) {
	if id, err := mail.ParseID(mail.PrefixDomain, ref); err == nil {
		return s.store.DomainByID(ctx, project, id)
	}
	name, err := dns.ToASCII(ref)
	if err != nil {
		return Domain{}, mail.ErrNotFound
	}
	return s.store.DomainByName(ctx, project, name)
}

// List gives all domains of a project, as the store orders them.
func (s *Domains) List(ctx context.Context, project int64) ([]Domain, error) {
	return s.store.Domains(ctx, project)
}

// DomainChange is what a caller may change; nil leaves it.
type DomainChange struct {
	TLS         *string // "opportunistic" or "required"
	DefaultFrom *string // an address of the domain; the door has read it
}

// Update changes a domain. ifVersion 0 means any, else [mail.ErrStale] when it is
// another by now. Faults are [mail.Faults].
func (s *Domains) Update(ctx context.Context, project int64, ref string, c DomainChange, ifVersion int64) (Domain, error) {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return Domain{}, err
	}
	if c.TLS != nil && *c.TLS != "opportunistic" && *c.TLS != "required" {
		return Domain{}, mail.Faults{{Code: "invalid_value", Field: "tls", Pointer: "#/tls", Message: "tls is 'opportunistic' or 'required'."}}
	}
	if c.DefaultFrom != nil && *c.DefaultFrom != "" && (mail.Address{Email: *c.DefaultFrom}).Domain() != d.Name {
		return Domain{}, mail.Faults{{Code: "invalid_value", Field: "default_from", Pointer: "#/default_from", Message: "default_from must be an address of " + d.Name + "."}}
	}
	return s.change(ctx, d, ifVersion, func(d *Domain) error {
		if c.TLS != nil {
			d.TLS = *c.TLS
		}
		if c.DefaultFrom != nil {
			d.DefaultFrom = *c.DefaultFrom
		}
		return nil
	})
}

// Delete removes a domain. Without force it is [mail.ErrExists] while mail of it waits;
// with force that mail fails (domain_removed).
func (s *Domains) Delete(ctx context.Context, project int64, ref string, force bool, by string) error {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return err
	}
	audit.Changed(ctx, d.ID.Text(mail.PrefixDomain), domainShape(&d), nil)
	if err := s.store.DeleteDomain(ctx, project, d.ID, force, by, s.now()); err != nil {
		return err
	}
	s.forget(project, d.Name)
	s.log.InfoContext(ctx, "domain deleted", "domain", d.ID.Text(mail.PrefixDomain), "name", d.Name, "by", by)
	return nil
}

// change applies an owner's change to the domain as it is now, again when somebody else
// was faster, unless the caller insists on a version.
func (s *Domains) change(ctx context.Context, d Domain, ifVersion int64, f func(*Domain) error) (Domain, error) {
	return s.keep(ctx, d, func(d Domain) (Domain, error) {
		if ifVersion != 0 && d.Version != ifVersion {
			return Domain{}, fmt.Errorf("version %d: %w", d.Version, errOutdated)
		}
		before := domainShape(&d)
		if err := f(&d); err != nil {
			return Domain{}, err
		}
		audit.Changed(ctx, d.ID.Text(mail.PrefixDomain), before, domainShape(&d))
		return s.store.UpdateDomain(ctx, d, d.Version, nil)
	})
}

// domainShape is a domain as audits tell of it: as it is now, whatever becomes of d.
func domainShape(d *Domain) any {
	keys := map[string]string{}
	for i := range d.Keys {
		keys[d.Keys[i].Selector] = d.Keys[i].Algorithm + " " + d.Keys[i].State
	}
	return map[string]any{"name": d.Name, "return_path": d.ReturnPath, "tls": d.TLS, "default_from": d.DefaultFrom, "dkim": keys}
}

// errOutdated is a [mail.ErrStale] that trying again does not mend.
var errOutdated = fmt.Errorf("the caller asked for another: %w", mail.ErrStale)

// keep writes until nobody was faster: each time with the domain as it is by then.
func (s *Domains) keep(ctx context.Context, d Domain, write func(Domain) (Domain, error)) (Domain, error) {
	for try := 0; ; try++ {
		kept, err := write(d)
		if err == nil {
			s.forget(kept.Project, kept.Name)
			return kept, nil
		}
		if !errors.Is(err, mail.ErrStale) || errors.Is(err, errOutdated) || try == 4 {
			return Domain{}, err
		}
		if d, err = s.store.DomainByID(ctx, d.Project, d.ID); err != nil {
			return Domain{}, err
		}
	}
}

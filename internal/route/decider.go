package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
)

// Resolver is what deciding asks the DNS; [dns.Resolver] is one.
type Resolver interface {
	MX(ctx context.Context, domain string) ([]dns.MX, time.Time, error)
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
}

// Options of a [Decider].
type Options struct {
	Resolver Resolver
	Hostname string // ours: a mail exchanger of this name is us
	Source   Source // the way out; default {Name: "default", EHLO: Hostname}
	Entries  int    // routes remembered; default 50,000
	Now      func() time.Time
}

// Decider is the [Router]. It is safe for concurrent use.
type Decider struct {
	o        Options
	routes   *book // decided by the DNS
	captures *book // that never leave
	sites    sites
}

var _ Router = (*Decider)(nil)

// A decision is believed as long as its records, within these bounds.
const (
	minBelief = 30 * time.Second
	maxBelief = time.Hour
	// A destination without MX records: how long its having none is believed.
	implicitBelief = 5 * time.Minute
	// maxHosts bounds the exchangers of one destination that are used.
	maxHosts = 20
)

// New makes a Decider.
func New(o Options) *Decider {
	o.Entries = cmp.Or(o.Entries, 50_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Hostname = strings.ToLower(strings.TrimSuffix(o.Hostname, "."))
	o.Source.Name = cmp.Or(o.Source.Name, "default")
	o.Source.EHLO = cmp.Or(o.Source.EHLO, o.Hostname)
	return &Decider{o: o, routes: newBook(o.Entries), captures: newBook(o.Entries), sites: sites{names: map[string]string{}}}
}

// Cached gives what was decided lately, nil when the DNS would have to be asked. The
// route is shared: do not change it.
func (d *Decider) Cached(env mail.Env, destination string) *Route {
	if env == mail.Test || IsSandbox(destination) {
		return d.capture(env, destination)
	}
	return d.routes.get(destination, d.o.Now())
}

// Route decides. Errors are *[Refusal]. The route is shared: do not change it.
func (d *Decider) Route(ctx context.Context, env mail.Env, destination string) (*Route, error) {
	if r := d.Cached(env, destination); r != nil {
		return r, nil
	}
	name, err := dns.ToASCII(destination)
	if _, literal := netip.ParseAddr(name); err != nil || literal == nil {
		return nil, refuse("5.1.2", mail.ClassBadDomain, "%s is not a domain that mail can be sent to; address literals are not used.", dns.Printable(destination, 100))
	}
	if IsSandbox(name) {
		return d.capture(env, name), nil
	}
	if d.o.Source.Smart != nil {
		r := d.smart(name)
		d.routes.put(name, r)
		return r, nil
	}
	began := d.o.Now()
	r, err := d.decide(ctx, name)
	took := d.o.Now().Sub(began)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		refusal.DNS = took
	}
	if err != nil {
		return nil, err
	}
	r.DNS = took
	d.routes.put(name, r)
	return r, nil
}

// Forget drops every decision: the next one asks the DNS (whose answers may still be
// remembered there).
func (d *Decider) Forget() { d.routes.clear() }

// IsSandbox tells whether a destination is the sandbox's own domain, or below it.
func IsSandbox(destination string) bool {
	rest, ok := strings.CutSuffix(destination, SandboxDomain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

// capture is the route of what never leaves the host.
func (d *Decider) capture(env mail.Env, destination string) *Route {
	now := d.o.Now()
	if r := d.captures.get(destination, now); r != nil {
		return r
	}
	why := "mail of the test environment never leaves this host"
	if IsSandbox(destination) {
		why = SandboxDomain + " never leaves this host"
	}
	r := &Route{
		Destination: strings.Clone(destination), Site: "sandbox", Capture: true, Source: d.o.Source, Until: now.Add(maxBelief),
		Why: []Step{{"captured by the sandbox", why}},
	}
	d.captures.put(r.Destination, r)
	return r
}

// decide asks the DNS and works out a route (RFC 5321 §5.1).
func (d *Decider) decide(ctx context.Context, destination string) (*Route, error) {
	list, until, err := d.o.Resolver.MX(ctx, destination)
	r := &Route{Destination: destination, Source: d.o.Source}
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return nil, refuse("5.1.2", mail.ClassBadDomain, "The domain %s does not exist (NXDOMAIN).", destination)
	case errors.Is(err, dns.ErrNoData):
		if until, err = d.implicit(ctx, r); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, wait("4.4.3", "The mail exchangers of %s could not be looked up: %s.", destination, reason(err))
	default:
		if err := d.explicit(r, list); err != nil {
			return nil, err
		}
	}
	site, why := d.sites.name(r.Hosts)
	r.Site = site
	r.explain("site "+site, why)
	r.explain("source "+r.Source.Name, "it is the only one")
	r.explain("TLS when it is offered", "nothing asks for more")
	now := d.o.Now()
	r.Until = now.Add(min(max(until.Sub(now), minBelief), maxBelief))
	return r, nil
}

// implicit makes the destination its own host, if it has an address. That its addresses
// could not be asked for is no answer.
func (d *Decider) implicit(ctx context.Context, r *Route) (until time.Time, err error) {
	if r.Destination == d.o.Hostname {
		return until, loop(r.Destination)
	}
	_, err = d.o.Resolver.Addresses(ctx, r.Destination)
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData):
		return until, refuse("5.1.2", mail.ClassBadDomain, "The domain %s has neither a mail exchanger nor an address.", r.Destination)
	case err != nil:
		return until, wait("4.4.3", "%s has no mail exchanger, and its address could not be looked up: %s.", r.Destination, reason(err))
	}
	r.Implicit, r.Hosts = true, []Host{{Name: r.Destination}}
	r.explain("host "+r.Destination, "there is no MX record: the domain is its own mail exchanger (RFC 5321 §5.1)")
	return d.o.Now().Add(implicitBelief), nil
}

// explicit takes the hosts of the MX records.
func (d *Decider) explicit(r *Route, list []dns.MX) error {
	if len(list) == 1 && list[0].Host == "." {
		return refuse("5.1.10", mail.ClassBadDomain, "The domain %s accepts no mail (null MX, RFC 7505).", r.Destination)
	}
	for _, mx := range list {
		if _, err := netip.ParseAddr(mx.Host); err == nil || !isExchanger(mx.Host) {
			r.explain("ignored "+dns.Printable(mx.Host, 100), "an MX record must name a host")
			continue
		}
		r.Hosts = append(r.Hosts, Host{Name: mx.Host, Preference: mx.Preference})
	}
	if len(r.Hosts) == 0 {
		return wait("4.4.4", "No MX record of %s names a host.", r.Destination)
	}
	rank(r)
	if !d.dropOurselves(r) {
		return loop(r.Destination)
	}
	r.Hosts = r.Hosts[:min(len(r.Hosts), maxHosts)]
	r.explain("hosts "+words(r.Hosts), "the MX records of "+r.Destination+", best first, equals by chance")
	return nil
}

// isExchanger is [dns.IsHost], with the underscores that some zones have.
func isExchanger(host string) bool { return dns.IsHost(strings.ReplaceAll(host, "_", "x")) }

// rank sorts by preference, equals shuffled so that they share the load, each host once.
func rank(r *Route) {
	rand.Shuffle(len(r.Hosts), func(i, j int) { r.Hosts[i], r.Hosts[j] = r.Hosts[j], r.Hosts[i] })
	slices.SortStableFunc(r.Hosts, func(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) })
	seen := map[string]bool{}
	r.Hosts = slices.DeleteFunc(r.Hosts, func(h Host) bool {
		again := seen[h.Name]
		seen[h.Name] = true
		return again
	})
}

// dropOurselves takes out the hosts that are not better than we are, so that mail never
// goes in circles (RFC 5321 §5.1). It is false when none is left.
func (d *Decider) dropOurselves(r *Route) bool {
	at := slices.IndexFunc(r.Hosts, func(h Host) bool { return h.Name == d.o.Hostname })
	if at < 0 {
		return true
	}
	ours := r.Hosts[at].Preference
	r.Hosts = slices.DeleteFunc(r.Hosts, func(h Host) bool { return h.Preference >= ours })
	r.explain(fmt.Sprintf("dropped the hosts of preference %d and worse", ours), "we are one of them")
	return len(r.Hosts) > 0
}

func (r *Route) explain(what, why string) { r.Why = append(r.Why, Step{what, why}) }

func words(hosts []Host) string {
	parts := make([]string, len(hosts))
	for i, h := range hosts {
		parts[i] = fmt.Sprintf("%s (%d)", h.Name, h.Preference)
	}
	return strings.Join(parts, ", ")
}

// refuse makes a permanent refusal: nobody was asked, so the reply has no code.
func refuse(enhanced string, class mail.Class, format string, args ...any) *Refusal {
	return &Refusal{Permanent: true, Class: class, Reply: mail.Reply{Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}}
}

// wait makes a temporary one.
func wait(enhanced, format string, args ...any) *Refusal {
	r := refuse(enhanced, mail.ClassNetwork, format, args...)
	r.Permanent = false
	return r
}

func loop(destination string) *Refusal {
	return refuse("5.4.6", mail.ClassNetwork, "The mail exchanger of %s is this very server, which does not receive its mail: a loop.", destination)
}

// reason is the part of a DNS error that its sentence does not say already.
func reason(err error) string {
	var e *dns.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Fresh answers questions about one domain past the cache, at the servers of the zone
// itself where it can. It is for whoever just changed a record. Make one per check; it
// is safe for concurrent use.
type Fresh struct {
	r       *Resolver
	zone    string           // absolute
	servers []netip.AddrPort // of the zone; empty: the configured ones are asked
	names   map[netip.AddrPort]string
}

// Fresh finds the servers of the zone a domain is in. Where the operator fixed the
// servers, only those are asked; the same where the zone's servers cannot be found or
// may not be asked.
func (r *Resolver) Fresh(ctx context.Context, domain string) *Fresh {
	f := &Fresh{r: r, names: map[netip.AddrPort]string{}}
	if len(r.o.Servers) > 0 || r.o.Guard == nil {
		return f
	}
	zone, hosts := r.zoneServers(ctx, domain)
	f.zone = zone + "."
	for _, host := range hosts {
		addrs, err := r.Addresses(ctx, host)
		if err != nil {
			continue
		}
		for _, addr := range addrs[:min(len(addrs), 2)] {
			server := netip.AddrPortFrom(addr, r.o.AuthorityPort)
			if r.o.Guard(server) == nil && len(f.servers) < 4 {
				f.servers, f.names[server] = append(f.servers, server), host
			}
		}
	}
	return f
}

// zoneServers climbs from a name to the zone it is in. It stops below the top level:
// the servers of "com" know nothing of ours.
func (r *Resolver) zoneServers(ctx context.Context, name string) (zone string, hosts []string) {
	for strings.Contains(name, ".") {
		hosts, err := r.NS(ctx, name)
		if len(hosts) > 0 {
			return name, hosts
		}
		if errors.Is(err, ErrTemporary) {
			return "", nil
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return "", nil
}

// TXT is [Resolver.TXT], fresh. server names who answered: a host name or an address.
func (f *Fresh) TXT(ctx context.Context, name string) (texts []string, server string, err error) {
	a, server, err := f.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, server, err
	}
	return txtOf(a), server, nil
}

// MX is [Resolver.MX], fresh.
func (f *Fresh) MX(ctx context.Context, name string) (list []MX, server string, err error) {
	a, server, err := f.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, server, err
	}
	return mxOf(a), server, nil
}

// Addresses gives the addresses of a host, fresh, in no order, and the name they stand
// at where host is an alias.
func (f *Fresh) Addresses(ctx context.Context, host string) (addrs []netip.Addr, alias string, err error) {
	four, _, err4 := f.lookup(ctx, host, dns.TypeA)
	six, _, err6 := f.lookup(ctx, host, dns.TypeAAAA)
	for _, a := range []*answer{four, six} {
		if a != nil {
			addrs, alias = append(addrs, addrsOf(a)...), a.alias
		}
	}
	if len(addrs) == 0 {
		return nil, "", worse(err4, err6)
	}
	return addrs, alias, nil
}

func (f *Fresh) lookup(ctx context.Context, name string, qtype uint16) (*answer, string, error) {
	fqdn, err := absolute(name)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, f.r.o.Budget)
	defer cancel()
	a := f.r.find(ctx, question{fqdn, qtype}, f.ask)
	server := a.server
	if addr, err := netip.ParseAddrPort(server); err == nil && f.names[addr] != "" {
		server = f.names[addr]
	}
	a, err = a.get()
	return a, server, err
}

// ask turns to the zone's servers about names in the zone, and to the configured ones
// about others (an alias may lead there) and when the zone's are out of reach.
func (f *Fresh) ask(ctx context.Context, q question) (reply, string, *Error) {
	if len(f.servers) > 0 && dns.IsSubDomain(f.zone, q.name) {
		half, cancel := context.WithTimeout(ctx, f.r.o.Budget/2)
		defer cancel()
		rep, server, err := f.r.askOf(half, q, f.servers, func(netip.AddrPort, bool, time.Time) {})
		if err == nil {
			if rep.alias != "" && rep.code != answered {
				rep.code = elsewhere // what these servers say of the target may be hearsay
			}
			return rep, server, nil
		}
	}
	return f.r.askServers(ctx, q)
}

package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// MX is one mail exchanger. Host is "." in a null MX (RFC 7505).
type MX struct {
	Host       string
	Preference uint16
}

// MX gives the mail exchangers of a domain as the zone has them, in no order, and until
// when that may be believed.
func (r *Resolver) MX(ctx context.Context, domain string) ([]MX, time.Time, error) {
	a, err := r.lookup(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, time.Time{}, err
	}
	return mxOf(a), a.until, nil
}

func mxOf(a *answer) []MX {
	list := make([]MX, 0, len(a.records))
	for _, rr := range a.records {
		if mx, ok := rr.(*dns.MX); ok {
			list = append(list, MX{Host: target(mx.Mx), Preference: mx.Preference})
		}
	}
	return list
}

// TXT gives the texts of a name, each with its strings joined. They are bytes of
// somebody else's: see [Printable].
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	a, err := r.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	return txtOf(a), nil
}

func txtOf(a *answer) []string {
	list := make([]string, 0, len(a.records))
	for _, rr := range a.records {
		if txt, ok := rr.(*dns.TXT); ok {
			list = append(list, text(txt))
		}
	}
	return list
}

// CNAME gives what a name is an alias for, one step.
func (r *Resolver) CNAME(ctx context.Context, name string) (string, error) {
	a, err := r.lookup(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	return target(a.records[0].(*dns.CNAME).Target), nil
}

// NS gives the name servers of a zone; [ErrNoData] when name is no zone of its own.
func (r *Resolver) NS(ctx context.Context, name string) ([]string, error) {
	a, err := r.lookup(ctx, name, dns.TypeNS)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, rr := range a.records {
		if ns, ok := rr.(*dns.NS); ok {
			list = append(list, target(ns.Ns))
		}
	}
	return list, nil
}

// PTR gives the names an address claims to have.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return nil, ErrBadName
	}
	a, err := r.lookup(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, rr := range a.records {
		if ptr, ok := rr.(*dns.PTR); ok {
			list = append(list, target(ptr.Ptr))
		}
	}
	return list, nil
}

// maxAddresses bounds how many addresses of one host are given.
const maxAddresses = 16

// Addresses gives the addresses of a host in the order they should be tried: IPv6 and
// IPv4 in turns (RFC 8305 §4), each family shuffled; IPv4 first where this host has no
// way into the IPv6 Internet. An address is its own address. It fails only when neither
// family has any; when one of them could not be asked, that is [ErrTemporary].
func (r *Resolver) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	four, six := make(chan family, 1), make(chan family, 1)
	go func() { six <- r.family(ctx, host, dns.TypeAAAA) }()
	four <- r.family(ctx, host, dns.TypeA)
	v4, v6 := <-four, <-six
	if len(v4.addrs)+len(v6.addrs) == 0 {
		return nil, worse(v4.err, v6.err)
	}
	if r.o.IPv6() {
		return inTurns(v6.addrs, v4.addrs), nil
	}
	return clip(append(v4.addrs, v6.addrs...)), nil
}

type family struct {
	addrs []netip.Addr
	err   error
}

func (r *Resolver) family(ctx context.Context, host string, qtype uint16) family {
	a, err := r.lookup(ctx, host, qtype)
	if err != nil {
		return family{err: err}
	}
	addrs := addrsOf(a)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return family{addrs: addrs}
}

func addrsOf(a *answer) []netip.Addr {
	var list []netip.Addr
	for _, rr := range a.records {
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A.To4()
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, addr)
		}
	}
	return list
}

// worse picks the error to report: doubt before absence, and an empty name before one
// that does not exist.
func worse(a, b error) error {
	for _, kind := range []error{ErrTemporary, ErrNoData} {
		for _, err := range []error{a, b} {
			if errors.Is(err, kind) {
				return err
			}
		}
	}
	return a
}

func inTurns(first, second []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, 0, len(first)+len(second))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			list = append(list, first[i])
		}
		if i < len(second) {
			list = append(list, second[i])
		}
	}
	return clip(list)
}

func clip(list []netip.Addr) []netip.Addr { return list[:min(len(list), maxAddresses)] }

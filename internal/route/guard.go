package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// ErrGuarded is what every refusal of a [Guard] is.
var ErrGuarded = errors.New("this address must not be dialled")

// Guard says which addresses may be dialled: public ones, and those the operator
// allowed, but never our own listeners. Ask it about the address that is really dialled,
// after every look-up: a name proves nothing.
type Guard struct {
	allow []netip.Prefix
	own   []netip.AddrPort
}

// closed is what is not the public Internet (IANA special-purpose registries, RFC 6890),
// and what leads back into IPv4 by another door.
var closed = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier's private address (CGNAT)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a protocol's own address"},
	{netip.MustParsePrefix("192.0.2.0/24"), "a documentation address"},
	{netip.MustParsePrefix("198.51.100.0/24"), "a documentation address"},
	{netip.MustParsePrefix("203.0.113.0/24"), "a documentation address"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an old relay address (6to4)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "a benchmarking address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("::/96"), "an old form of an IPv4 address"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind a translator (NAT64)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind a translator (NAT64)"},
	{netip.MustParsePrefix("100::/64"), "a discard address"},
	{netip.MustParsePrefix("2001::/23"), "a protocol's own address"},
	{netip.MustParsePrefix("2001:db8::/32"), "a documentation address"},
	{netip.MustParsePrefix("3fff::/20"), "a documentation address"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in another form (6to4)"},
	{netip.MustParsePrefix("5f00::/16"), "a segment routing address"},
	{netip.MustParsePrefix("fc00::/7"), "a private address (ULA)"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "an old private address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
}

// global is the only part of IPv6 that is given out (RFC 4291 §2.4, IANA).
var global = netip.MustParsePrefix("2000::/3")

// NewGuard makes a guard. allow is POSTROAD_ALLOW_NETWORKS; own is where we listen, with
// an unspecified address standing for every address of this host.
func NewGuard(allow []netip.Prefix, own []netip.AddrPort) *Guard {
	g := &Guard{}
	for _, p := range allow {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		g.allow = append(g.allow, p.Masked())
	}
	for _, o := range own {
		if o.Port() == 0 {
			continue
		}
		if !o.Addr().IsUnspecified() {
			g.own = append(g.own, plain(o))
			continue
		}
		for _, addr := range localAddrs() {
			g.own = append(g.own, netip.AddrPortFrom(addr, o.Port()))
		}
	}
	return g
}

// localAddrs is every address of this host. That the kernel cannot tell leaves loopback,
// where its own are reached too.
func localAddrs() []netip.Addr {
	list := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap().WithZone(""))
		}
	}
	return list
}

// plain is an address in the one form the rules are written for.
func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

// Allow gives nil for an address that may be dialled, else an error that says why not
// and what an operator could do. It is an [ErrGuarded].
func (g *Guard) Allow(addr netip.AddrPort) error {
	if !addr.IsValid() {
		return fmt.Errorf("%w: it is none", ErrGuarded)
	}
	addr = plain(addr)
	if slices.Contains(g.own, addr) {
		return fmt.Errorf("%w: %s is this server's own listener", ErrGuarded, addr)
	}
	what := special(addr.Addr())
	if what == "" || g.Opened(addr.Addr()) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s, not a public one; an operator can allow it with POSTROAD_ALLOW_NETWORKS=%s/%d",
		ErrGuarded, addr.Addr(), what, addr.Addr(), addr.Addr().BitLen())
}

// Opened tells whether the operator named a network this address is in. That is more than
// that it may be dialled: what trusts the network asks it.
func (g *Guard) Opened(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special tells what kind of address it is, "" for a public one.
func special(addr netip.Addr) string {
	for i := range closed {
		if closed[i].prefix.Contains(addr) {
			return closed[i].what
		}
	}
	if addr.Is6() && !global.Contains(addr) {
		return "a reserved address"
	}
	return ""
}

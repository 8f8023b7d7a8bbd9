package dns

import "net/netip"

// Remembered counts the cached answers.
func (r *Resolver) Remembered() int { return r.cache.size() }

// NewAsSystem makes a resolver that takes server for the system's.
func NewAsSystem(o Options, server netip.AddrPort) *Resolver {
	r := New(o)
	r.servers.servers, r.servers.read = []netip.AddrPort{server}, r.o.Now()
	return r
}

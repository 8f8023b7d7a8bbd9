package dns

import (
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxServers is how many servers of a list are used.
const maxServers = 8

// systemFile is where the system says whom to ask (resolv.conf(5)).
const systemFile = "/etc/resolv.conf"

// SystemServers reads the system's name servers; without any it is the one on this
// host, as the C library does.
func SystemServers() []netip.AddrPort { return serversIn(systemFile) }

func serversIn(file string) []netip.AddrPort {
	var servers []netip.AddrPort
	if conf, err := dns.ClientConfigFromFile(file); err == nil {
		for _, text := range conf.Servers {
			if addr, err := netip.ParseAddr(text); err == nil && len(servers) < maxServers {
				servers = append(servers, netip.AddrPortFrom(addr, 53))
			}
		}
	}
	if len(servers) == 0 {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53))
	}
	return servers
}

// serverList is who is asked, best first: one that failed is asked last for a while.
// Without a fixed list it follows the system's file as that changes.
type serverList struct {
	mu      sync.Mutex
	fixed   bool
	servers []netip.AddrPort
	read    time.Time
	failed  map[netip.AddrPort]time.Time
}

const (
	rereadAfter = 30 * time.Second // how long the system's file is believed
	shunFor     = 30 * time.Second // how long a server that failed comes last
)

func newServerList(fixed []netip.AddrPort) *serverList {
	return &serverList{fixed: len(fixed) > 0, servers: fixed[:min(len(fixed), maxServers)], failed: map[netip.AddrPort]time.Time{}}
}

// inOrder gives the servers: those that work, then those that failed lately.
func (l *serverList) inOrder(now time.Time) []netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fixed && (l.read.IsZero() || now.Sub(l.read) > rereadAfter) {
		l.servers, l.read = SystemServers(), now
	}
	var good, bad []netip.AddrPort
	for _, server := range l.servers {
		if at, ok := l.failed[server]; ok && now.Sub(at) < shunFor {
			bad = append(bad, server)
		} else {
			good = append(good, server)
		}
	}
	return append(good, bad...)
}

// note remembers how a server did. Only silence counts as failing: a server that says
// SERVFAIL about one name may know all others.
func (l *serverList) note(server netip.AddrPort, ok bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok {
		delete(l.failed, server)
	} else if len(l.failed) < 4*maxServers || l.fixed {
		l.failed[server] = now
	}
}

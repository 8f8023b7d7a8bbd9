package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxServers is how many servers of a list are used.
const maxServers = 8

// ParseServers reads a list such as "127.0.0.1:5353, [2001:db8::1]:53, 9.9.9.9": the
// port is 53 where none is given. A host name in it is looked up once, now.
func ParseServers(ctx context.Context, list string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	var faults []error
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		server, err := parseServer(ctx, part)
		if err != nil {
			faults = append(faults, fmt.Errorf("name server %q: %w", part, err))
			continue
		}
		servers = append(servers, server)
	}
	return servers, errors.Join(faults...)
}

func parseServer(ctx context.Context, text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		host, portText = text, "53"
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, errors.New("want an address, or address:port with a port of 1 to 65535")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(addr, uint16(port)), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, errors.New("this host has no address")
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)), nil
}

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

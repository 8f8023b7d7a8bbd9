package dns

import (
	"net"
	"strings"
	"sync"
	"time"
)

// routeProbe tells whether the kernel has a way into the IPv6 Internet. No packet is
// sent: connecting a datagram socket only looks up the route.
type routeProbe struct {
	now func() time.Time
	mu  sync.Mutex
	at  time.Time
	yes bool
}

const probeAgain = time.Minute

func (p *routeProbe) reachable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); p.at.IsZero() || now.Sub(p.at) > probeAgain {
		conn, err := net.Dial("udp6", "[2001:500:2::c]:53") // c.root-servers.net
		if p.yes, p.at = err == nil, now; err == nil {
			_ = conn.Close()
		}
	}
	return p.yes
}

// Printable makes a text from the DNS fit to be shown and stored: valid UTF-8, without
// control characters, at most max bytes.
func Printable(text string, max int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	if len(text) <= max {
		return text
	}
	return strings.ToValidUTF8(text[:max], "") + "…"
}

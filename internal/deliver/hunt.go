package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// maxRestarts bounds how often a search begins anew because another session said that the
// site is back.
const maxRestarts = 3

// trouble is why there is no connection, or why a message did not go over it.
type trouble struct {
	reply mail.Reply
	stage smtp.Stage
	class mail.Class // "" = let the reply be classified
	host  string
	ip    string
}

// peer is one address of one host.
type peer struct {
	host string
	addr netip.AddrPort
	ip   string // of addr
}

// hunt is the search for a host that talks to us. It can be resumed where it stopped:
// a host that closed before MAIL was answered is behind it then.
type hunt struct {
	s        *session
	route    *route.Route
	required bool      // TLS with a good certificate, or nothing
	until    time.Time // no address is begun after it
	dns      time.Duration

	next    int          // index in route.Hosts of the next host
	host    string       // the current one
	addrs   []netip.Addr // of it, not yet tried
	skipped []peer       // failed lately
	dialled int
	found   trouble // what to report if nothing helps
}

func (s *session) newHunt(r *route.Route, required bool) *hunt {
	return &hunt{s: s, route: r, required: required, until: s.carrier.o.Now().Add(s.carrier.o.ConnectLimit)}
}

// run goes on until a host talks to us: then the session has its client. False: see found,
// unless ctx ended.
func (h *hunt) run(ctx context.Context) bool {
	for range maxRestarts {
		for ctx.Err() == nil {
			p, ok := h.candidate(ctx)
			if !ok {
				break
			}
			if h.try(ctx, p) {
				return true
			}
		}
		if ctx.Err() != nil || h.dialled > 0 || len(h.skipped) == 0 {
			break
		}
		if ready, again := h.probe(ctx); ready || !again {
			return ready
		}
		h.next, h.addrs, h.skipped = 0, nil, nil
	}
	if h.found.stage == "" {
		h.found = trouble{reply: mail.Reply{Text: "no host could be tried"}, stage: smtp.StageConnect, class: mail.ClassNetwork}
	}
	return false
}

// candidate gives the next address that may and should be dialled.
func (h *hunt) candidate(ctx context.Context) (peer, bool) {
	c := h.s.carrier
	for {
		for len(h.addrs) == 0 {
			if h.next >= len(h.route.Hosts) || !h.resolve(ctx) {
				return peer{}, false
			}
		}
		p := peer{host: h.host, addr: netip.AddrPortFrom(h.addrs[0].Unmap(), h.port())}
		p.ip, h.addrs = p.addr.Addr().String(), h.addrs[1:]
		if !h.sourceReaches(p.addr.Addr()) {
			h.trouble(p, mail.ClassNetwork, smtp.StageConnect, "the source address cannot reach "+p.ip)
			continue
		}
		if err := c.allow(p.addr); err != nil {
			h.trouble(p, mail.ClassNetwork, smtp.StageConnect, err.Error())
			continue
		}
		if at, bad := c.failed.since(failure{addr: p.addr}, c.o.Now()); bad {
			h.s.log.Note(fmt.Sprintf("passed over %s: it failed %s ago", p, c.o.Now().Sub(at).Round(time.Second)))
			h.skipped = append(h.skipped, p)
			continue
		}
		if !c.o.Now().Before(h.until) {
			h.trouble(p, mail.ClassNetwork, smtp.StageConnect, "no time is left to try more addresses")
			return peer{}, false
		}
		return p, true
	}
}

// port is where the hosts of the route listen.
func (h *hunt) port() uint16 {
	if smart := h.route.Source.Smart; smart != nil {
		return smart.Port
	}
	return h.s.carrier.o.Port
}

// resolve looks up the addresses of the next host; false ends the search.
func (h *hunt) resolve(ctx context.Context) bool {
	c := h.s.carrier
	h.host = h.route.Hosts[h.next].Name
	h.next++
	began := time.Now()
	lookup, cancel := context.WithTimeout(ctx, c.o.Timeouts.Connect)
	defer cancel()
	addrs, err := c.o.Resolver.Addresses(lookup, h.host)
	h.dns += time.Since(began)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		h.trouble(peer{host: h.host}, mail.ClassNetwork, smtp.StageConnect, "look up "+h.host+": "+err.Error())
	case len(addrs) == 0:
		h.trouble(peer{host: h.host}, mail.ClassNetwork, smtp.StageConnect, h.host+" has no address")
	}
	h.addrs = addrs
	return true
}

// sourceReaches tells whether an address is of the family we dial from.
func (h *hunt) sourceReaches(addr netip.Addr) bool {
	if h.route.Source.Local == "" {
		return true
	}
	local, err := netip.ParseAddr(h.route.Source.Local)
	return err == nil && local.Unmap().Is4() == addr.Is4()
}

func (c *Carrier) allow(addr netip.AddrPort) error {
	if c.o.Guard == nil {
		return nil
	}
	return c.o.Guard.Allow(addr)
}

// probe tries the address that failed longest ago, or shares the result of who does. again
// says that the site is back and the search can begin anew.
func (h *hunt) probe(ctx context.Context) (ready, again bool) {
	c := h.s.carrier
	p, mine := c.failed.probe(h.route.Site, c.o.Now())
	if !mine {
		select {
		case <-p.done:
		case <-ctx.Done():
			return false, false
		}
		if !p.back {
			h.found = p.found
			h.s.log.Note("another session just tried again: " + p.found.reply.Text)
		}
		return false, p.back
	}
	oldest, when := h.skipped[0], time.Time{}
	for _, candidate := range h.skipped {
		if at, bad := c.failed.since(failure{addr: candidate.addr}, c.o.Now()); !bad || when.IsZero() || at.Before(when) {
			oldest, when = candidate, at
		}
	}
	h.skipped, h.addrs = nil, nil
	ready = h.try(ctx, oldest)
	_, bad := c.failed.since(failure{addr: oldest.addr}, c.o.Now())
	// A look that was cut short found nothing: the next one looks.
	c.failed.end(h.route.Site, p, ready || !bad || ctx.Err() != nil, h.found, c.o.Now())
	return ready, false
}

// trouble writes down what to report if no host talks to us. What a site said is worth
// more than that another did not answer; of equals the last counts.
func (h *hunt) trouble(p peer, class mail.Class, stage smtp.Stage, text string) {
	h.s.log.Note(text)
	h.report(p, trouble{reply: mail.Reply{Text: text}, stage: stage, class: class})
}

func (h *hunt) report(p peer, t trouble) {
	if h.found.reply.Code != 0 && t.reply.Code == 0 {
		return
	}
	t.host, t.ip = p.host, p.ip
	h.found = t
}

func (p peer) String() string { return p.host + " (" + p.ip + ")" }

// dial connects to an address, within what is left of the search's time.
func (h *hunt) dial(ctx context.Context, p peer) (net.Conn, error) {
	c := h.s.carrier
	d := net.Dialer{
		Timeout: min(c.o.Timeouts.Connect, max(h.until.Sub(c.o.Now()), time.Second)),
		// Asked again for what is really dialled, whatever led there.
		Control: func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return c.allow(addr)
		},
	}
	if local, err := netip.ParseAddr(h.route.Source.Local); err == nil {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	h.dialled++
	conn, err := d.DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %s", p, dialError(err))
	}
	return conn, nil
}

// dialError says in words what the operating system said.
func dialError(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &netErr) && netErr.Timeout():
		return "timed out"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

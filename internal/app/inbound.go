package app

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/smtpd"
)

// inboundDoor is the door for reports with its listener; closed it has neither.
type inboundDoor struct {
	server   *smtpd.Server
	listener net.Listener
}

// openInbound takes the door's address, if it has one.
func openInbound(s *config.Settings) (*inboundDoor, error) {
	d := &inboundDoor{}
	if s.Inbound.Addr == "" {
		return d, nil
	}
	l, _, err := listen(s.Inbound.Addr, "POSTROAD_INBOUND_ADDR")
	if err != nil {
		return nil, fmt.Errorf("the door for reports: %w; 'off' closes it", err)
	}
	d.listener = l
	return d, nil
}

// build makes the server, once the parts it needs are there.
func (d *inboundDoor) build(s *config.Settings, cert keeper, o smtpd.InboundOptions) {
	if d.listener == nil {
		return
	}
	o.Hostname = s.Delivery.Hostname
	o.TLS = tlsOf(cert)
	d.server = smtpd.NewInbound(o)
}

// mailHost is where mail to unsubscribe is taken in, "" when it is not.
func (d *inboundDoor) mailHost(s *config.Settings) string {
	if d.listener == nil {
		return ""
	}
	return s.Delivery.Hostname
}

func (d *inboundDoor) run(doors *group) {
	if d.listener == nil {
		return
	}
	doors.run("reports", serving(d.server, d.listener, false))
}

// close gives the address back; the server did, unless it never ran.
func (d *inboundDoor) close() {
	if d != nil && d.listener != nil {
		_ = d.listener.Close()
	}
}

// addresses are where the door listens: mail must not be delivered there.
func (d *inboundDoor) addresses() []netip.AddrPort {
	if d.listener == nil {
		return nil
	}
	return []netip.AddrPort{d.listener.Addr().(*net.TCPAddr).AddrPort()}
}

// String tells people where the door is; "" when it is closed.
func (d *inboundDoor) String() string {
	if d.listener == nil {
		return ""
	}
	return d.listener.Addr().String()
}

// stats are the server's numbers; none while the door is closed.
func (d *inboundDoor) stats() smtpd.Stats {
	if d.server == nil {
		return smtpd.Stats{}
	}
	return d.server.Stats()
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/dns"
)

// inbound checks that reports about our mail find us: return paths lead to our name, so mail
// to that name must lead here, to a door that is open.
func (o Options) inbound(ctx context.Context) []Check {
	const id = "inbound"
	switch {
	case o.Inbound == "":
		return one(id, Skip, "Bounce and complaint reports are not taken in: the door for them is closed (POSTROAD_INBOUND_ADDR).", "")
	case o.Offline || o.Resolver == nil:
		return one(id, Skip, "The way of mail to "+o.Hostname+" was not looked up (offline).", "")
	}
	list, _, err := o.Resolver.MX(ctx, o.Hostname)
	hosts := []string{}
	for _, mx := range list {
		hosts = append(hosts, strings.TrimSuffix(strings.ToLower(mx.Host), "."))
	}
	switch {
	case errors.Is(err, dns.ErrTemporary):
		return one(id, Skip, "The mail exchanger of "+o.Hostname+" could not be looked up.", "")
	case err == nil && !slices.Contains(hosts, strings.ToLower(o.Hostname)):
		return one(id, Warn, fmt.Sprintf("Mail to %s goes to %s.", o.Hostname, strings.Join(hosts, ", ")),
			"Unless that is this host by another name, make the MX record of "+o.Hostname+" name "+o.Hostname+" itself, or remove it.")
	}
	addrs, err := o.Resolver.Addresses(ctx, o.Hostname)
	if err != nil { // the hostname's own check says more
		return one(id, Fail, o.Hostname+" has no address, so no report finds its way here.", "Give "+o.Hostname+" an A (and AAAA) record with the address of this host.")
	}
	if _, port, err := net.SplitHostPort(o.Inbound); err != nil || port != "25" {
		return one(id, Warn, "The door for reports is at "+o.Inbound+"; others bring them to port 25.", "Set POSTROAD_INBOUND_ADDR to :25, or see to it that port 25 is forwarded there.")
	}
	greeting, err := o.greeting(ctx, addrs[0])
	switch {
	case err != nil:
		return one(id, Warn, fmt.Sprintf("Port 25 of %s (%s) cannot be reached from here: %v.", o.Hostname, addrs[0], err),
			"Open port 25 for incoming connections, and try from another host: some networks cannot reach their own outer address.")
	case !strings.Contains(strings.ToLower(greeting), strings.ToLower(o.Hostname)):
		return one(id, Warn, fmt.Sprintf("Another server answers at port 25 of %s: %s", addrs[0], dns.Printable(greeting, 80)), "Make the address of "+o.Hostname+" lead to this host.")
	}
	return one(id, Pass, fmt.Sprintf("Reports find the way: %s answers at port 25.", o.Hostname), "")
}

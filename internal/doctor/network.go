package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/route"
)

// wellKnown are big receivers: if none of their exchangers answers, it is us.
var wellKnown = []string{"gmail.com", "outlook.com", "yahoo.com"}

func (o Options) resolver(ctx context.Context) []Check {
	if o.Resolver == nil || o.Offline {
		return one("resolver", Skip, "The resolver was not asked (offline).", "")
	}
	fix := "Check /etc/resolv.conf, or name servers that answer in POSTROAD_DNS_SERVERS."
	began := time.Now()
	_, _, err := o.Resolver.MX(ctx, wellKnown[0])
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData):
		return one("resolver", Warn, "The resolver answers, but knows no mail exchanger of "+wellKnown[0]+".", "Ask servers that know the Internet (POSTROAD_DNS_SERVERS), unless this is a test set-up.")
	case err != nil:
		return one("resolver", Fail, fmt.Sprintf("The resolver does not answer: %v.", err), fix)
	case took > 2*time.Second:
		return one("resolver", Warn, fmt.Sprintf("The resolver took %v for one answer.", took), "Run a caching resolver on this host or near it.")
	}
	return one("resolver", Pass, fmt.Sprintf("The resolver answers (%v).", took), "")
}

// name checks that our name, the address it has and the name that address has go
// together: receivers turn away those for whom they do not.
func (o Options) name(ctx context.Context) []Check {
	if !strings.Contains(o.Hostname, ".") || !dns.IsHost(o.Hostname) {
		return one("hostname", Fail, fmt.Sprintf("The name %q is not a full host name.", o.Hostname), "Set POSTROAD_HOSTNAME to the name your address has in the DNS, such as mx.acme.com.")
	}
	if o.Resolver == nil || o.Offline {
		return one("hostname", Skip, "The DNS was not asked about "+o.Hostname+" (offline).", "")
	}
	addrs, err := o.Resolver.Addresses(ctx, o.Hostname)
	if errors.Is(err, dns.ErrTemporary) {
		return one("hostname", Skip, "The addresses of "+o.Hostname+" could not be looked up.", "")
	}
	if err != nil {
		return one("hostname", Fail, o.Hostname+" has no address in the DNS.", "Give "+o.Hostname+" an A (and AAAA) record with the address mail leaves from.")
	}
	checks := one("hostname", Pass, fmt.Sprintf("%s has the address %s.", o.Hostname, addrs[0]), "")
	source := o.Source
	if !source.IsValid() {
		source = outgoing()
	}
	return append(checks, o.reverse(ctx, source, addrs)...)
}

// reverse checks PTR and forward-confirmed reverse DNS of the outgoing address.
func (o Options) reverse(ctx context.Context, source netip.Addr, named []netip.Addr) []Check {
	if !source.IsValid() {
		return one("ptr", Skip, "This host has no way out, so no outgoing address.", "")
	}
	if !slices.Contains(named, source) && route.NewGuard(nil, nil).Allow(netip.AddrPortFrom(source, 25)) != nil {
		return one("ptr", Skip, fmt.Sprintf("Mail leaves this host from %s, which is not public; the address the world sees is not known here.", source), "")
	}
	names, err := o.Resolver.PTR(ctx, source)
	fix := fmt.Sprintf("Ask whoever gave you %s to set its PTR record to %s.", source, o.Hostname)
	switch {
	case errors.Is(err, dns.ErrTemporary):
		return one("ptr", Skip, fmt.Sprintf("The name of %s could not be looked up.", source), "")
	case err != nil:
		return one("ptr", Fail, fmt.Sprintf("The outgoing address %s has no name (PTR); big receivers refuse such mail.", source), fix)
	case !slices.Contains(names, strings.ToLower(o.Hostname)):
		return append(one("ptr", Warn, fmt.Sprintf("The outgoing address %s is called %s, not %s.", source, names[0], o.Hostname), fix), o.forward(ctx, source, names[0])...)
	}
	return append(one("ptr", Pass, fmt.Sprintf("%s is called %s.", source, o.Hostname), ""), o.forward(ctx, source, o.Hostname)...)
}

func (o Options) forward(ctx context.Context, source netip.Addr, name string) []Check {
	addrs, err := o.Resolver.Addresses(ctx, name)
	switch {
	case errors.Is(err, dns.ErrTemporary):
		return one("fcrdns", Skip, name+" could not be looked up.", "")
	case err != nil || !slices.Contains(addrs, source):
		return one("fcrdns", Fail, fmt.Sprintf("%s is called %s, but that name does not lead back to it.", source, name), fmt.Sprintf("Give %s an address record with %s.", name, source))
	}
	return one("fcrdns", Pass, fmt.Sprintf("%s and %s lead to one another.", name, source), "")
}

// outgoing is the address the kernel would send from. No packet is sent.
func outgoing() netip.Addr {
	conn, err := net.Dial("udp4", "192.33.4.12:53") // c.root-servers.net
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	addr, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return addr.Addr().Unmap()
}

// port25 tries to reach the exchangers of some big receivers: most clouds block that.
func (o Options) port25(ctx context.Context) []Check {
	const id = "port25_egress"
	switch {
	case o.Offline || o.Resolver == nil:
		return one(id, Skip, "No mail exchanger was dialled (offline).", "")
	case o.MXPort != 0 && o.MXPort != 25:
		return one(id, Skip, fmt.Sprintf("Mail exchangers are dialled at port %d (POSTROAD_MX_PORT), so port 25 was not tried.", o.MXPort), "")
	}
	answers := make(chan string, len(wellKnown))
	for _, domain := range wellKnown {
		go func() { answers <- o.greet(ctx, domain) }()
	}
	said := ""
	for range wellKnown {
		answer := <-answers
		if greeting, ok := strings.CutPrefix(answer, "220"); ok {
			return one(id, Pass, "A mail exchanger answers at port 25:"+dns.Printable(strings.TrimPrefix(greeting, "-"), 80), "")
		}
		said = answer
	}
	return one(id, Fail, "No mail exchanger of "+strings.Join(wellKnown, ", ")+" could be reached at port 25 ("+said+").",
		"Your host or provider blocks outgoing port 25: ask them to open it.")
}

// greet dials the exchangers of a domain and gives the first greeting, or what went wrong.
func (o Options) greet(ctx context.Context, domain string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*outside)
	defer cancel()
	list, _, err := o.Resolver.MX(ctx, domain)
	if err != nil || len(list) == 0 {
		return "no mail exchanger is known"
	}
	slices.SortFunc(list, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	addrs, err := o.Resolver.Addresses(ctx, list[0].Host)
	if err != nil {
		return "no address of " + list[0].Host + " is known"
	}
	last := ""
	for _, addr := range addrs[:min(len(addrs), 2)] {
		greeting, err := o.greeting(ctx, addr)
		if err == nil {
			return greeting
		}
		last = err.Error()
	}
	return last
}

func (o Options) greeting(ctx context.Context, addr netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, outside)
	defer cancel()
	conn, err := o.Dial(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(25)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(outside))
	line, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
	_, _ = conn.Write([]byte("QUIT\r\n"))
	return strings.TrimSpace(line), err
}

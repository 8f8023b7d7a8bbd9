package dns

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Look is the answer to a question for TXT records with what surrounds it, for telling
// people what they did wrong. It is whole even where there are no records.
type Look struct {
	Texts  []string
	Alias  string // the name the answer is of, where aliases led elsewhere
	Server string // who answered: a host name or an address
	// TTL is how long somebody who asked just now may go on giving this answer, or the
	// absence of one, to others; 0 where the answer does not say.
	TTL time.Duration
}

// Look is [Fresh.TXT] with what surrounds the answer.
func (f *Fresh) Look(ctx context.Context, name string) (Look, error) { return f.look(ctx, name, f.ask) }

// LookAround asks the configured servers, which others may ask too, past our own cache:
// what the world sees, where [Fresh.Look] tells what the zone says. ok is false where
// the two are the same.
func (f *Fresh) LookAround(ctx context.Context, name string) (l Look, ok bool, err error) {
	if len(f.servers) == 0 {
		return Look{}, false, nil
	}
	l, err = f.look(ctx, name, f.r.askServers)
	return l, true, err
}

func (f *Fresh) look(ctx context.Context, name string, ask asker) (Look, error) {
	fqdn, err := absolute(name)
	if err != nil {
		return Look{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.r.o.Budget)
	defer cancel()
	a := f.r.find(ctx, question{fqdn, dns.TypeTXT}, ask)
	l := Look{Alias: a.alias, Server: a.server, TTL: a.ttl}
	if addr, err := netip.ParseAddrPort(a.server); err == nil && f.names[addr] != "" {
		l.Server = f.names[addr]
	}
	if a, err = a.get(); err == nil {
		l.Texts = txtOf(a)
	}
	return l, err
}

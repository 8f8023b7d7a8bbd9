package project

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/dns"
)

// Where people's records end up instead: in the zone's zone, in the zone above, hidden by
// an alias, behind a wildcard, or still in somebody's cache.

// nothing tells why there is no record: nobody could say, an alias is in its place, it was
// made one zone too low or too high, or there is none. l is zero where nothing is known
// of the answer but its error.
func (in *inspection) nothing(ctx context.Context, r *Record, err error, l dns.Look) {
	if !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
		r.set(RecordUnknown, "The name servers gave no answer ("+cause(err)+"). Nothing is concluded from that; it will be asked again.")
		return
	}
	if l.Alias != "" {
		r.set(RecordMissing, aliased(r, l.Alias)+", where there is no "+r.Type+" record. Nothing can stand beside a CNAME: delete it, then add this record.")
		return
	}
	if zone, found := in.tooLow(ctx, r); found {
		r.set(RecordMissing, fmt.Sprintf("The record is at %s.%s: your provider added the domain a second time. Enter only '%s' as its host.", r.FQDN, zone, hostIn(zone, r.FQDN)))
		return
	}
	if zone, found := in.tooHigh(ctx, r); found {
		r.set(RecordMissing, fmt.Sprintf("The record is at %s.%s, above the domain: your provider's zone is %s. Enter '%s' as its host.", r.Host, zone, zone, hostIn(zone, r.FQDN)))
		return
	}
	why := fmt.Sprintf("There is no %s record at %s. Add it", r.Type, r.FQDN)
	if wait := roughly(l.TTL); wait != "" {
		why += "; once you have, it is visible in at most " + wait + "."
	} else {
		why += "; if you just did, it can take until the old answer's time is over."
	}
	r.set(RecordMissing, why)
}

func aliased(r *Record, target string) string {
	name := r.FQDN
	if r.Host == "@" {
		name = "The domain itself"
	}
	return name + " is an alias (CNAME) for " + short(target)
}

// hostIn is what to enter for fqdn at a provider that adds the zone.
func hostIn(zone, fqdn string) string {
	if fqdn == zone {
		return "@"
	}
	return strings.TrimSuffix(fqdn, "."+zone)
}

// above lists the domain and the domains above it that somebody may have as a zone.
func (in *inspection) above() (zones []string) {
	for name := in.domain.Name; strings.Contains(name, ".") && len(zones) < 3; _, name, _ = strings.Cut(name, ".") {
		zones = append(zones, name)
	}
	return zones
}

// tooLow looks for the record where a provider puts it that adds the zone to a name that
// has it already: host.acme.test.acme.test.
func (in *inspection) tooLow(ctx context.Context, r *Record) (zone string, found bool) {
	for _, zone := range in.above() {
		if r.Type == "MX" {
			list, _, err := in.ask.MX(ctx, r.FQDN+"."+zone)
			if err == nil && slices.Contains(hostsOf(list), in.hostname) {
				return zone, true
			}
			continue
		}
		texts, _, err := in.ask.TXT(ctx, r.FQDN+"."+zone)
		if err == nil && slices.ContainsFunc(texts, func(t string) bool { return in.meant(r, t) }) {
			return zone, true
		}
	}
	return "", false
}

// meant tells whether a text was made for r. A policy of senders is, when it names us: a
// wildcard's may stand anywhere.
func (in *inspection) meant(r *Record, text string) bool {
	text = strings.TrimSpace(text)
	if r.Purpose == purposeSPF {
		return isSPF(text) && strings.Contains(strings.ToLower(text), in.hostname)
	}
	kind, _, _ := strings.Cut(r.Value, "1") // "v=DKIM", "v=DMARC"
	return strings.HasPrefix(text, kind)
}

// tooHigh looks for our key at the same host of a zone above: who has the zone acme.test
// must enter "s1._domainkey.news" for the domain news.acme.test.
func (in *inspection) tooHigh(ctx context.Context, r *Record) (zone string, found bool) {
	if r.Purpose != purposeDKIM {
		return "", false
	}
	for _, zone := range in.above()[1:] {
		if texts, _, err := in.ask.TXT(ctx, r.Host+"."+zone); err == nil {
			if state, _ := judgeDKIM(&in.domain.Keys[r.key], texts); state == RecordFound {
				return zone, true
			}
		}
	}
	return "", false
}

// sibling is a name beside r's that nobody made: what answers there, a wildcard does.
func sibling(r *Record) string {
	_, rest, _ := strings.Cut(r.FQDN, ".")
	return fmt.Sprintf("postroad-probe-%08x.%s", rand.Uint32(), rest)
}

// wildText tells whether texts, or the alias they came by, are a wildcard's.
func (in *inspection) wildText(ctx context.Context, r *Record, l dns.Look) bool {
	probe, err := in.ask.Look(ctx, sibling(r))
	if err != nil {
		return false
	}
	return l.Alias != "" && probe.Alias == l.Alias || sameSet(probe.Texts, l.Texts)
}

// wildHost is wildText for the addresses or exchangers of the return path.
func (in *inspection) wildHost(ctx context.Context, r *Record, list []dns.MX) bool {
	if name := sibling(r); list != nil {
		probe, _, err := in.ask.MX(ctx, name)
		return err == nil && sameSet(hostsOf(probe), hostsOf(list))
	}
	probe, _, err := in.ask.Addresses(ctx, sibling(r))
	addrs, _, ownErr := in.ask.Addresses(ctx, r.FQDN)
	return err == nil && ownErr == nil && slices.ContainsFunc(probe, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
}

func hostsOf(list []dns.MX) (hosts []string) {
	for _, mx := range list {
		hosts = append(hosts, mx.Host)
	}
	return hosts
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// surround adds to a verdict on published texts what stands around them.
func (in *inspection) surround(ctx context.Context, r *Record, l dns.Look) {
	if r.State == RecordFound {
		in.stale(ctx, r)
		return
	}
	if r.State != RecordMismatch {
		return
	}
	switch {
	case in.wildText(ctx, r, l):
		r.Diagnosis = "A wildcard record answers at " + r.FQDN + " as it does for every name there. Nothing is wrong with it: this record still has to be made, and then goes before it."
	case l.Alias != "":
		r.Diagnosis = aliased(r, l.Alias) + ", so what is found is that name's. Nothing can stand beside a CNAME: delete it, then add this record."
	default:
		if wait := roughly(l.TTL); wait != "" {
			r.Diagnosis += " A correction made just now is visible in at most " + wait + "."
		}
	}
}

// stale tells, of a record that the zone has right, that others may still be told
// otherwise: their servers keep the old answer until its time is over.
func (in *inspection) stale(ctx context.Context, r *Record) {
	around, ok, err := in.ask.LookAround(ctx, r.FQDN)
	if !ok || err != nil && !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
		return
	}
	if state, _ := judgeDKIM(&in.domain.Keys[r.key], around.Texts); err == nil && state == RecordFound {
		return
	}
	if wait := roughly(around.TTL); wait != "" {
		r.Diagnosis = strings.TrimSpace(r.Diagnosis + " The zone has it; servers that asked before still give the old answer. It is visible everywhere in at most " + wait + ".")
	}
}

// roughly words how long an answer is still kept, in whole minutes or hours, never too
// few; "" when that is not worth telling.
func roughly(d time.Duration) string {
	minutes := int((d + time.Minute - 1) / time.Minute)
	switch {
	case d <= 2*time.Second:
		return ""
	case minutes > 7*24*60: // nobody keeps it that long (RFC 8767 §4)
		return "7 days"
	case minutes > 48*60:
		return fmt.Sprintf("%d days", (minutes+24*60-1)/(24*60))
	case minutes > 120:
		return fmt.Sprintf("%d h", (minutes+59)/60)
	}
	return fmt.Sprintf("%d min", minutes)
}

package dnstest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// zone is all records, by owner name.
type zone struct {
	text   string
	names  map[string][]dns.RR
	exists map[string]bool // names with records, and those above them
	apexes []string        // names with a SOA record
}

func parse(text string) (*zone, error) {
	z := &zone{text: text, names: map[string][]dns.RR{}, exists: map[string]bool{".": true}}
	parser := dns.NewZoneParser(strings.NewReader(outdent(text)), ".", "zone")
	parser.SetDefaultTTL(60)
	for rr, more := parser.Next(); more; rr, more = parser.Next() {
		z.add(rr)
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("read the zone: %w", err)
	}
	return z, nil
}

// outdent takes away what zones written inside Go code are indented by: in a zone file
// a line that begins with a blank continues the owner of the line before.
func outdent(text string) string {
	lines := strings.Split(text, "\n")
	depth := 0
	for i, line := range lines {
		if depth == 0 {
			lines[i] = strings.TrimLeft(line, " \t")
		}
		depth += strings.Count(line, "(") - strings.Count(line, ")")
		depth = max(depth, 0)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (z *zone) add(rr dns.RR) {
	owner := canonical(rr.Header().Name)
	z.names[owner] = append(z.names[owner], rr)
	if rr.Header().Rrtype == dns.TypeSOA {
		z.apexes = append(z.apexes, owner)
	}
	for name := owner; name != "." && !z.exists[name]; name = parent(name) {
		z.exists[name] = true
	}
}

func parent(name string) string {
	if at, end := dns.NextLabel(name, 0); !end {
		return name[at:]
	}
	return "."
}

// at gives the records of a name, those of a wildcard with the name put in, and whether
// the name exists at all.
func (z *zone) at(name string) (records []dns.RR, exists bool) {
	if z.exists[name] {
		return z.names[name], true
	}
	for encloser := parent(name); ; encloser = parent(encloser) {
		if !z.exists[encloser] {
			continue
		}
		wild, ok := z.names["*."+strings.TrimPrefix(encloser, ".")]
		for _, rr := range wild {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			records = append(records, rr)
		}
		return records, ok
	}
}

// answer fills in what the zone says about a question.
func (z *zone) answer(m *dns.Msg, name string, qtype uint16) {
	m.Authoritative, m.RecursionAvailable = true, true
	for range 20 { // a CNAME loop is answered as far as this, for the asker to find
		records, exists := z.at(name)
		var alias string
		found := false
		for _, rr := range records {
			switch cname, isAlias := rr.(*dns.CNAME); {
			case rr.Header().Rrtype == qtype || qtype == dns.TypeANY:
				m.Answer, found = append(m.Answer, rr), true
			case isAlias:
				m.Answer, alias = append(m.Answer, rr), canonical(cname.Target)
			}
		}
		switch {
		case found:
			return
		case alias != "":
			name = alias
			continue
		case !exists:
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = append(m.Ns, z.soa(name))
		return
	}
}

// soa is the start of the zone a name is in; one is made up where none was written. Its
// negative TTL is one second, so that tests can change their minds.
func (z *zone) soa(name string) dns.RR {
	best := "."
	for _, apex := range z.apexes {
		if dns.IsSubDomain(apex, name) && len(apex) > len(best) {
			best = apex
		}
	}
	for _, rr := range z.names[best] {
		if rr.Header().Rrtype == dns.TypeSOA {
			return rr
		}
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: best, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 1},
		Ns:  "ns.invalid.", Mbox: "nobody.invalid.", Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 1,
	}
}

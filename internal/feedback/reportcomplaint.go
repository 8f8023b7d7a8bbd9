package feedback

import (
	"slices"
	"strings"
)

// unlamented are feedback types that do not complain about what was sent: they tell how it was
// authenticated (RFC 6591 §3.1 and what came before it).
var unlamented = [...]string{"auth-failure", "dkim", "dmarc"}

// readGrievance reads a machine-readable complaint (RFC 5965 §3). False: it has no type, which
// is its one field that must be there, or one that does not complain.
func readGrievance(text []byte, cut bool) (g Grievance, all fields, ok bool) {
	for len(text) > 0 {
		group, rest, ended := readFields(text)
		if text = rest; cut && !ended && len(group) > 0 {
			group = group[:len(group)-1]
		}
		all = append(all, group...)
	}
	kind, _, _ := strings.Cut(strings.TrimSpace(withoutComments(all.first("feedback-type"))), " ")
	g.Type = clean(strings.ToLower(kind), maxReportName)
	g.Reporter = saidIn(all.first("user-agent"), maxReportName)
	if g.Reporter == "" {
		g.Reporter = saidIn(untyped(all.first("reporting-mta")), maxReportName)
	}
	for _, name := range [...]string{"arrival-date", "received-date"} {
		if g.ArrivedAt.IsZero() {
			g.ArrivedAt = dateIn(all.first(name))
		}
	}
	for _, f := range all {
		if f.name == "original-rcpt-to" || f.name == "removal-recipient" {
			g.add(f.value)
		}
	}
	return g, all, g.Type != "" && !slices.Contains(unlamented[:], g.Type)
}

// add keeps the address in a field. Many reporters write "redacted" there instead.
func (g *Grievance) add(value string) {
	address := addressIn(value)
	if address != "" && len(g.Recipients) < maxReported && !slices.Contains(g.Recipients, address) {
		g.Recipients = append(g.Recipients, address)
	}
}

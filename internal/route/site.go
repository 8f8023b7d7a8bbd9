package route

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed sites.txt
var sitesText string

// operators is sites.txt: suffix → site.
var operators = readSites(sitesText)

// readSites reads the file's lines; it panics on one that names a suffix twice, which a
// test would meet first.
func readSites(text string) map[string]string {
	sites := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		for _, suffix := range fields[1:] {
			if other, twice := sites[suffix]; twice {
				panic("route: sites.txt gives " + suffix + " to " + other + " and " + fields[0])
			}
			sites[suffix] = fields[0]
		}
	}
	return sites
}

// operatorOf tells who runs a mail exchanger, "" when it is nobody we know.
func operatorOf(host string) string {
	for host != "" {
		if name, ok := operators[host]; ok {
			return name
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return ""
}

// sites names sets of hosts. Domains with the same set are one site, also when they rank
// the hosts differently: who comes first names it for all.
type sites struct {
	mu    sync.Mutex
	names map[string]string // by the sorted set
}

const maxSites = 20_000

// name gives the site of hosts, which are sorted by preference.
func (s *sites) name(hosts []Host) (site, why string) {
	if name := operatorOf(hosts[0].Name); name != "" {
		return name, "its mail exchanger " + hosts[0].Name + " is one of " + name + "'s"
	}
	set := setOf(hosts)
	s.mu.Lock()
	defer s.mu.Unlock()
	name, known := s.names[set]
	if !known {
		if len(s.names) >= maxSites { // names are remembered for sameness only
			clear(s.names)
		}
		name = firstOf(hosts)
		s.names[set] = name
	}
	return name, "domains with the same mail exchangers are one site, named by the best of them"
}

// firstOf is the best host; among equals, whose order is chance, the first by name.
func firstOf(hosts []Host) string {
	best := hosts[0]
	for _, h := range hosts[1:] {
		if h.Preference == best.Preference && h.Name < best.Name {
			best = h
		}
	}
	return best.Name
}

func setOf(hosts []Host) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

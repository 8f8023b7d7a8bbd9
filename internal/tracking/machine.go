package tracking

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Visit is somebody, or something, loading an image or following a link.
type Visit struct {
	Method    string
	UserAgent string
	Address   netip.Addr    // of the client
	Since     time.Duration // since the message was delivered; 0 or less: not known
}

// Machine names what made a visit if no person did, "" for a person. The rules are those
// of machines.txt.
func Machine(v *Visit) string {
	agent := strings.ToLower(strings.TrimSpace(v.UserAgent))
	for i := range rules {
		if rules[i].fits(v, agent) {
			return rules[i].name
		}
	}
	return ""
}

type rule struct {
	by     string // "agent is", "agent has", "agent none", "method", "net", "soon"
	text   string
	prefix netip.Prefix
	within time.Duration
	name   string
}

func (r *rule) fits(v *Visit, agent string) bool {
	switch r.by {
	case "agent is":
		return agent == r.text
	case "agent has":
		return strings.Contains(agent, r.text)
	case "agent none":
		return agent == ""
	case "method":
		return v.Method == r.text
	case "net":
		return v.Address.IsValid() && r.prefix.Contains(v.Address.Unmap().WithZone(""))
	}
	return v.Since > 0 && v.Since < r.within
}

//go:embed machines.txt
var machines string

var rules = func() []rule {
	all, err := readRules(machines)
	if err != nil {
		panic("tracking: machines.txt: " + err.Error()) // it is ours, and a test reads it
	}
	return all
}()

func readRules(file string) (all []rule, err error) {
	for i, line := range strings.Split(file, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		r, err := readRule(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func readRule(line string) (r rule, err error) {
	condition, name, ok := strings.Cut(line, "=>")
	words := strings.Fields(condition)
	if r.name = strings.TrimSpace(name); !ok || r.name == "" || len(words) < 2 {
		return r, fmt.Errorf("a rule is '<condition> => <name>', not %q", line)
	}
	switch words[0] {
	case "agent":
		r.by, r.text = "agent "+words[1], strings.ToLower(strings.Join(words[2:], " "))
		if r.by != "agent none" && r.text == "" || r.by != "agent none" && r.by != "agent is" && r.by != "agent has" {
			return r, fmt.Errorf("'agent' is followed by 'is <text>', 'has <text>' or 'none', not %q", condition)
		}
	case "method":
		r.by, r.text = "method", words[1]
	case "net":
		r.by = "net"
		r.prefix, err = netip.ParsePrefix(words[1])
	case "soon":
		r.by = "soon"
		r.within, err = time.ParseDuration(words[1])
	default:
		err = fmt.Errorf("unknown condition %q", words[0])
	}
	return r, err
}

package persona

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// rule is one "on" statement with what it counted. A Script may be played by several
// servers; each has its own copy (see newRules).
type rule struct {
	glob    string // "" = any
	from    int    // takes events numbered from..to of its scope, and of them every nth
	to      int    // 0 = without end
	nth     int
	scope   string // "", "session", "client", "recipient"
	actions []action

	mu     sync.Mutex
	counts map[string]int
}

// condition reads [<GLOB>] [COUNT] [SCOPE].
func (r *rule) condition(text string) error {
	r.from, r.nth = 1, 1
	if strings.HasPrefix(text, "<") {
		glob, rest, ok := strings.Cut(text[1:], ">")
		if !ok {
			return fmt.Errorf("a glob without '>'")
		}
		r.glob, text = strings.ToLower(glob), rest
	}
	words := strings.Fields(text)
	for len(words) > 0 {
		if words[0] == "once" {
			r.to, words = 1, words[1:]
			continue
		}
		if len(words) < 2 {
			return fmt.Errorf("unknown condition %q", words[0])
		}
		if words[0] == "per" {
			if words[1] != "session" && words[1] != "client" && words[1] != "recipient" {
				return fmt.Errorf("unknown scope %q", words[1])
			}
			r.scope, words = words[1], words[2:]
			continue
		}
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return fmt.Errorf("%q needs a number above 0", words[0])
		}
		switch words[0] {
		case "times":
			r.to = n
		case "after":
			r.from = n + 1
		case "every":
			r.nth = n
		default:
			return fmt.Errorf("unknown condition %q", words[0])
		}
		words = words[2:]
	}
	return nil
}

// takes counts an event that concerns subject and tells whether the rule acts on it.
func (r *rule) takes(subject string, scopeKey func(scope string) string) bool {
	if r.glob != "" && !match(r.glob, strings.ToLower(subject)) {
		return false
	}
	if r.from == 1 && r.to == 0 && r.nth == 1 {
		return true
	}
	key := scopeKey(r.scope)
	r.mu.Lock()
	r.counts[key]++
	n := r.counts[key]
	r.mu.Unlock()
	return n >= r.from && (r.to == 0 || n <= r.to) && n%r.nth == 0
}

// match tells whether text fits a pattern in which '*' is any text, also none.
func match(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], more
	}
}

// newRules copies rules for a server of its own, with nothing counted yet.
func newRules(of [events][]*rule) (out [events][]*rule) {
	for e, rules := range of {
		for _, r := range rules {
			out[e] = append(out[e], &rule{
				glob: r.glob, from: r.from, to: r.to, nth: r.nth, scope: r.scope, actions: r.actions,
				counts: map[string]int{},
			})
		}
	}
	return out
}

package project

import (
	"slices"
	"strings"
)

// AllScopes is every scope a key can have, in the order they are shown.
var AllScopes = []string{
	"messages.send", "messages.read", "messages.content", "messages.write", "messages.bypass",
	"templates.read", "templates.write", "templates.publish",
	"domains.read", "domains.write",
	"suppressions.read", "suppressions.write",
	"webhooks.read", "webhooks.write",
	"events.read",
	"keys.read", "keys.write",
	"project.read", "project.write",
	"routing.read", "routing.write",
	"queues.read", "queues.write",
	"analytics.read", "alerts.read", "alerts.write",
	"deadletters.read", "deadletters.write",
	"logs.read", "audit.read",
	"instance.read", "instance.write",
}

// ScopeAll, standing alone among a key's scopes, means all there are and all there will
// be: what the operator's own keys have.
const ScopeAll = "*"

// presets are sets of scopes by the names the console and `postroad key create` use.
var presets = map[string][]string{
	"send":      {"messages.send"},
	"send-read": {"messages.send", "messages.read"},
	"read":      readOnly(),
	"ci":        {"messages.send", "messages.read", "messages.content", "messages.write", "suppressions.read", "suppressions.write", "domains.read", "events.read"},
	"full":      {ScopeAll},
}

func readOnly() []string {
	var out []string
	for _, s := range AllScopes {
		if strings.HasSuffix(s, ".read") && !strings.HasPrefix(s, "instance.") {
			out = append(out, s)
		}
	}
	return out
}

// KnownScope tells whether a key can have this scope.
func KnownScope(s string) bool { return s == ScopeAll || slices.Contains(AllScopes, s) }

// ExpandPresets replaces the names of presets ("send", "read", "full" …) by their
// scopes and leaves everything else as it is, without doubles.
func ExpandPresets(in []string) []string {
	var out []string
	for _, s := range in {
		set, ok := presets[strings.ToLower(s)]
		if !ok {
			set = []string{s}
		}
		for _, scope := range set {
			if !slices.Contains(out, scope) {
				out = append(out, scope)
			}
		}
	}
	return out
}

// inProject writes "*" out for keys of other projects than the operator's own, less what
// is about all projects: that is given there by name or not at all.
func inProject(p *Project, scopes []string) []string {
	if p == nil || p.Name == DefaultProject || !slices.Contains(scopes, ScopeAll) {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(AllScopes), func(s string) bool {
		return strings.HasPrefix(s, "instance.") && !slices.Contains(scopes, s)
	})
}

// Has tells whether the key has a scope. The empty scope is everybody's.
func (k *Key) Has(scope string) bool {
	if scope == "" {
		return true
	}
	for _, s := range k.Scopes {
		if s == scope || s == ScopeAll {
			return true
		}
	}
	return false
}

// ShownScopes is the key's scopes one by one, "*" written out.
func (k *Key) ShownScopes() []string {
	if slices.Contains(k.Scopes, ScopeAll) {
		return AllScopes
	}
	return k.Scopes
}

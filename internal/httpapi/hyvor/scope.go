package hyvor

import (
	"slices"

	"github.com/postroad/postroad/internal/project"
)

// scopes are the 13 of this dialect with what they are here. Who has the first of v1 is
// shown as having the scope; who is given it gets all.
var scopes = []struct {
	name string
	v1   []string
}{
	{"project.read", []string{"project.read"}},
	{"project.write", []string{"project.write"}},
	{"sends.read", []string{"messages.read", "messages.content"}},
	{"sends.send", []string{"messages.send", "messages.write"}},
	{"domains.read", []string{"domains.read"}},
	{"domains.write", []string{"domains.write"}},
	{"webhooks.read", []string{"webhooks.read"}},
	{"webhooks.write", []string{"webhooks.write"}},
	{"api_keys.read", []string{"keys.read"}},
	{"api_keys.write", []string{"keys.write"}},
	{"suppressions.read", []string{"suppressions.read"}},
	{"suppressions.write", []string{"suppressions.write"}},
	{"analytics.read", []string{"analytics.read"}},
}

// v1Of gives the scopes of v1 that a scope stands for; nil: there is no such scope.
func v1Of(name string) []string {
	for _, s := range scopes {
		if s.name == name {
			return s.v1
		}
	}
	return nil
}

// has tells whether a key has all of these scopes of v1.
func has(k *project.Key, v1 []string) bool {
	for _, s := range v1 {
		if !k.Has(s) {
			return false
		}
	}
	return true
}

// shownScopes are the scopes a key is shown with.
func shownScopes(k *project.Key) []string {
	out := []string{}
	for _, s := range scopes {
		if k.Has(s.v1[0]) {
			out = append(out, s.name)
		}
	}
	return out
}

// toV1 translates scopes, each once.
func toV1(names []string) (v1 []string) {
	for _, name := range names {
		for _, s := range v1Of(name) {
			if !slices.Contains(v1, s) {
				v1 = append(v1, s)
			}
		}
	}
	return v1
}

package audit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/audit"
)

func show(changes []audit.Change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%s: %s → %s; ", c.Field, c.From, c.To)
	}
	return b.String()
}

type thing struct {
	Name   string         `json:"name"`
	Scopes []string       `json:"scopes"`
	Limit  *int           `json:"limit"`
	Secret string         `json:"signing_secret"`
	Inner  map[string]any `json:"inner,omitempty"`
}

func TestADiffHasWhatIsDifferentAndNoSecrets(t *testing.T) {
	t.Parallel()
	five := 5
	for name, c := range map[string]struct {
		before, after any
		want          string
	}{
		"nothing":       {thing{Name: "a"}, thing{Name: "a"}, ""},
		"one member":    {thing{Name: "a"}, thing{Name: "b"}, `name: "a" → "b"; `},
		"from null":     {thing{}, thing{Limit: &five}, `limit: null → 5; `},
		"to null":       {thing{Limit: &five}, thing{}, `limit: 5 → null; `},
		"made":          {nil, map[string]any{"name": "a"}, `name: null → "a"; `},
		"gone":          {map[string]any{"name": "a"}, nil, `name: "a" → null; `},
		"a secret":      {thing{Secret: "whsec_old"}, thing{Secret: "whsec_new"}, `signing_secret: "[redacted]" → "[redacted]"; `},
		"an inner one":  {thing{}, thing{Inner: map[string]any{"headers": []any{map[string]any{"token": "x", "n": 1}}}}, `inner: null → {"headers":[{"n":1,"token":"[redacted]"}]}; `},
		"a long one":    {thing{}, thing{Name: strings.Repeat("x", 5000)}, `name: "" → "[too long to be kept]"; `},
		"order of keys": {map[string]any{"o": map[string]int{"a": 1, "b": 2}}, map[string]any{"o": map[string]int{"b": 2, "a": 1}}, ""},
		"no object":     {[]int{1}, 7, ""},
	} {
		if got := show(audit.Diff(c.before, c.after)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestANoteIsTakenOnceAndOnlyWhereOneWasBegun(t *testing.T) {
	t.Parallel()
	audit.Changed(t.Context(), "key_x", nil, thing{Name: "a"}) // nobody asked: nothing to do
	if audit.From(t.Context()) != nil {
		t.Error("a note nobody began")
	}
	ctx := audit.Begin(t.Context(), audit.Entry{Action: "api_keys.create"})
	audit.Changed(ctx, "key_x", nil, map[string]any{"name": "a"})
	n := audit.From(ctx)
	if e := n.Entry(); e.Target != "key_x" || len(e.Changes) != 1 || e.Action != "api_keys.create" {
		t.Errorf("%+v", e)
	}
	n.Written()
	if audit.From(ctx) != nil {
		t.Error("the note could be written twice")
	}
}

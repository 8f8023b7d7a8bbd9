package render

import "testing"

func TestAReferenceIsNameAndVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]reference{"welcome": {name: "welcome"}, "welcome@7": {name: "welcome", number: 7}, "w@v7": {name: "w", number: 7}, "w@draft": {name: "w", draft: true},
		"w@published": {name: "w"}, "w@0": {name: "w", bad: true}, "w@": {name: "w", bad: true}, "w@-1": {name: "w", number: -1, bad: true}, "@7": {number: 7}, "w@1@2": {name: "w", bad: true}} {
		if got := readReference(in); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

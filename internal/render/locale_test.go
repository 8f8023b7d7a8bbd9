package render

import (
	"reflect"
	"testing"
)

func TestALocaleIsWrittenInItsUsualCaseAndFallsBack(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"pt": "pt", "PT_br": "pt-BR", "zh-hANT-tw": "zh-Hant-TW", "de-CH-1996": "de-CH-1996", "sl-rozaj": "sl-rozaj", "es-419": "es-419",
		"": "", "p": "", "12": "", "pt-": "", "-pt": "", "pt-BR-abcdefghi": "", "pt/BR": "", "../../etc": "", "ptäBR": "", "aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-a": ""} {
		got, ok := Locale(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
	}
	if got := fallBack("zh-Hant-TW"); !reflect.DeepEqual(got, []string{"zh-Hant-TW", "zh-Hant", "zh", ""}) {
		t.Errorf("%q", got)
	}
	if got := fallBack(""); !reflect.DeepEqual(got, []string{""}) {
		t.Errorf("%q", got)
	}
}

func FuzzLocale(f *testing.F) {
	for _, s := range []string{"pt-BR", "zh_hant_TW", "", "x-", "\xff", "de--CH"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Locale(s)
		if !ok {
			return
		}
		if again, ok := Locale(got); !ok || again != got {
			t.Errorf("%q is %q, and that is %q", s, got, again)
		}
		if chain := fallBack(got); chain[0] != got || chain[len(chain)-1] != "" {
			t.Errorf("%q falls back along %q", got, chain)
		}
	})
}

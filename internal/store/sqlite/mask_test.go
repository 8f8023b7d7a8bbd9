package sqlite

import (
	"strings"
	"testing"
)

func TestAnAddressIsTakenOutOfTexts(t *testing.T) {
	t.Parallel()
	const T = "T@erased.invalid"
	for _, c := range []struct{ address, text, want string }{
		{"ada@one.test", `RCPT TO:<ada@one.test>`, `RCPT TO:<` + T + `>`},
		{"ada@one.test", `{"recipient":"ADA@One.Test","x":"ada@one.test."}`, `{"recipient":"` + T + `","x":"` + T + `."}`},
		{"ada@one.test", `nevada@one.test ada@one.test.org ada@one.tests ada@one.test-x`, `nevada@one.test ada@one.test.org ada@one.tests ada@one.test-x`},
		{"ada@one.test", `x.ada@one.test, ada@one.test`, `x.ada@one.test, ` + T},
		{"ada@one.test", `for=ada@one.test;ada@one.testada@one.test`, `for=` + T + `;ada@one.testada@one.test`},
		{`"a\"b"@one.test`, `{"to":"\"a\\\"b\"@one.test"}`, `{"to":"` + T + `"}`},
		{"jörg@one.test", `jörg@one.test`, T},
		{"ada@one.test", ``, ``},
	} {
		m := newMask(T, c.address)
		got, found := m.over(c.text)
		if got != c.want || found != (c.want != c.text) {
			t.Errorf("%s in %s: got %s (%v), want %s", c.address, c.text, got, found, c.want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("ada@one.test", `250 <Ada@ONE.test> ok`)
	f.Add(`"a\"b"@one.test`, `{"to":"\"a\\\"b\"@one.test"}`)
	f.Add("jörg@one.test", "x JÖRG@one.test")
	f.Fuzz(func(t *testing.T, address, text string) {
		if len(address) < 3 || strings.Contains("erased-1@erased.invalid", lowerASCII(address)) {
			return
		}
		m := newMask("erased-1@erased.invalid", address)
		once, found := m.over(text)
		if !found && once != text {
			t.Errorf("%q was changed to %q", text, once)
		}
		if strings.Contains(once, "<"+address+">") && !strings.Contains("erased-1@erased.invalid", address) && strings.Contains(text, "<"+address+">") {
			t.Errorf("%q is left in %q", address, once)
		}
	})
}

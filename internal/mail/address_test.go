package mail_test

import (
	"errors"
	netmail "net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

func TestAnAddressIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for in, want := range map[string]mail.Address{
		"ada@example.com":                       {Email: "ada@example.com"},
		"  ada@example.com\t":                   {Email: "ada@example.com"},
		"<ada@example.com>":                     {Email: "ada@example.com"},
		"Ada <ada@example.com>":                 {Name: "Ada", Email: "ada@example.com"},
		"Ada Lovelace<ada@example.com>":         {Name: "Ada Lovelace", Email: "ada@example.com"},
		"J. Doe <j@example.com>":                {Name: "J. Doe", Email: "j@example.com"},
		`"Lovelace, Ada" <ada@example.com>`:     {Name: "Lovelace, Ada", Email: "ada@example.com"},
		`"Ada \"the\" \\ first" <a@b.example>`:  {Name: `Ada "the" \ first`, Email: "a@b.example"},
		"Zoë 李 <z@example.com>":                 {Name: "Zoë 李", Email: "z@example.com"},
		"Ada.L+Tag@EXAMPLE.Com":                 {Email: "Ada.L+Tag@example.com"},
		"ada@bücher.example":                    {Email: "ada@xn--bcher-kva.example"},
		"ada@BÜCHER.example":                    {Email: "ada@xn--bcher-kva.example"},
		"ada@XN--BCHER-KVA.example":             {Email: "ada@xn--bcher-kva.example"},
		"用户@例え.テスト":                             {Email: "用户@xn--r8jz45g.xn--zckzah"},
		`"ada lovelace"@example.com`:            {Email: "\"ada lovelace\"@example.com"},
		`"ada"@example.com`:                     {Email: "ada@example.com"},
		`"a@b"@example.com`:                     {Email: "\"a@b\"@example.com"},
		"!#$%&'*+-/=?^_`{|}~@example.com":       {Email: "!#$%&'*+-/=?^_`{|}~@example.com"},
		long + "@example.com":                   {Email: long + "@example.com"},
		"a@1.2.example":                         {Email: "a@1.2.example"},
		"a@ab--cd.example":                      {Email: "a@ab--cd.example"},
		"=?utf-8?q?Ada?= <ada@sub.example.com>": {Name: "=?utf-8?q?Ada?=", Email: "ada@sub.example.com"},
	} {
		got, err := mail.ParseAddress(in)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", " ", "ada", "@example.com", "ada@", "ada@example", "ada@@example.com", "a@b.example, c@d.example",
		"ada@example.com.", "ada@.example.com", "ada@example..com", "ada@-example.com", "ada@example-.com",
		"ada@[192.0.2.1]", "ada@192.0.2.1", "ada@exa_mple.com", "ada@exa mple.com", "ada lovelace@example.com",
		".ada@example.com", "ada.@example.com", "a..b@example.com", "ada(comment)@example.com", "Ada (x) <ada@example.com>",
		"Ada, L <ada@example.com>", "Ada <ada@example.com", "ada@example.com>", "<<ada@example.com>>", `"ada@example.com`,
		"Ada <ada@example.com> x", "ada@example.com\r\nBcc: x@y.example", "ada\x00@example.com", "ada\x7f@example.com",
		"Ada\nBcc: x <ada@example.com>", "ada@ex\x01ample.com", "ada\u202e@example.com", "A\u2028B <ada@example.com>",
		strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("b", 64) + ".example",
		"a@" + strings.Repeat("b.", 126) + "example", "ada\xff@example.com", "ada@xn--a.example", "ada@xn--zzzzzzz99999.example",
		strings.Repeat("x", 999) + " <ada@example.com>", "mailto:ada@example.com@", "ada@例え",
	} {
		got, err := mail.ParseAddress(in)
		var fault *mail.AddressError
		if !errors.Is(err, mail.ErrBadAddress) || !errors.As(err, &fault) || fault.Reason == "" {
			t.Errorf("%q: got %+v, %v; want an AddressError", in, got, err)
		}
	}
}

func TestAMistypedAddressIsMetWithTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada@exmaple": "ada@example.com", "ada@gmail": "ada@gmail.com", "ada@gmial": "ada@gmail.com", "ada@hotmial": "ada@hotmail.com",
		"ada@example.com.": "ada@example.com", "ada@gmail,com": "ada@gmail.com", "ada@gmail..com": "ada@gmail.com",
		"ada.gmail.com": "ada@gmail.com", "Ada <ada@exmaple>": "ada@example.com", "ada@localhost": "", "ada@[192.0.2.1]": "", "ada": "",
	} {
		var fault *mail.AddressError
		if _, err := mail.ParseAddress(in); !errors.As(err, &fault) || fault.Suggestion != want {
			t.Errorf("%q: got %+v, want the suggestion %q", in, fault, want)
		}
	}
	if got := mail.SuggestAddress("ada@gmial.com"); got != "ada@gmail.com" {
		t.Errorf("gmial.com: got %q", got)
	}
	if got := mail.SuggestAddress("ada@example.com"); got != "" {
		t.Errorf("example.com: got %q", got)
	}
}

func TestALineBreakInAnAddressIsCalledAnInjection(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"ada@example.com\nBcc: b@example.com", "a\rb <ada@example.com>", "\x00ada@example.com"} {
		var fault *mail.AddressError
		if _, err := mail.ParseAddress(in); !errors.As(err, &fault) || !fault.Injection {
			t.Errorf("%q: got %+v", in, fault)
		}
	}
}

func TestAnAddressIsWrittenSoThatItReadsBackTheSame(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]mail.Address{
		"ada@example.com":                     {Email: "ada@example.com"},
		"Ada <ada@example.com>":               {Name: "Ada", Email: "ada@example.com"},
		`"Lovelace, Ada" <ada@example.com>`:   {Name: "Lovelace, Ada", Email: "ada@example.com"},
		`"a\"b\\c" <ada@example.com>`:         {Name: `a"b\c`, Email: "ada@example.com"},
		"Zoë <z@example.com>":                 {Name: "Zoë", Email: "z@example.com"},
		`"<evil@x.example>" <z@example.com>`:  {Name: "<evil@x.example>", Email: "z@example.com"},
		`"xBcc: y@x.example" <z@example.com>`: {Name: "x\r\nBcc: y@x.example", Email: "z@example.com"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%+v: got %s, want %s", a, got, want)
		}
		back, err := mail.ParseAddress(want)
		if err != nil || back.Email != a.Email || !strings.ContainsAny(a.Name, "\r\n") && back.Name != a.Name {
			t.Errorf("%s reads back as %+v, %v", want, back, err)
		}
	}
}

func TestReadingAPlainAddressAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = mail.ParseAddress("ada.lovelace@example.com") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"ada@example.com", "Ada <ada@bücher.example>", `"Lovelace, \"A" <"a b"@example.com>`, "用户@例え.テスト",
		"a@b.example\r\nBcc: c@d.example", "<@>", `"\`, "ada@xn--bcher-kva.example", "a@b@c.example", "ada@exmaple",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mail.ParseAddress(s)
		if err != nil {
			var fault *mail.AddressError
			if !errors.As(err, &fault) {
				t.Fatalf("%q: %v is no AddressError", s, err)
			}
			if fault.Suggestion == "" {
				return
			}
			if _, err := mail.ParseAddress(fault.Suggestion); err != nil {
				t.Fatalf("%q: the suggestion %q is none: %v", s, fault.Suggestion, err)
			}
			return
		}
		if strings.ContainsAny(a.Email+a.Name, "\r\n\x00") || !utf8.ValidString(a.Email+a.Name) {
			t.Fatalf("%q: unsafe %+v", s, a)
		}
		if len(a.Email) > 254 || len(a.Local()) > 64 || !mail.ValidDomain(a.Domain()) {
			t.Fatalf("%q: out of bounds: %+v", s, a)
		}
		again, err := mail.ParseAddress(a.String())
		if err != nil || again != a {
			t.Fatalf("%q: %q reads back as %+v, %v", s, a.String(), again, err)
		}
		if a.ASCII() {
			if std, err := netmail.ParseAddress("<" + a.Email + ">"); err != nil {
				t.Fatalf("%q: net/mail refuses %q: %v (%v)", s, a.Email, err, std)
			}
		}
	})
}

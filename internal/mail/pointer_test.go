package mail_test

import (
	"testing"

	"github.com/postroad/postroad/internal/mail"
)

func TestAFieldAndItsPointerNameTheSame(t *testing.T) {
	t.Parallel()
	for field, pointer := range map[string]string{
		"template": "#/template", "template_data.items[0].price": "#/template_data/items/0/price", "to[10]": "#/to/10", "messages[3].to": "#/messages/3/to",
	} {
		if got := mail.PointerTo(field); got != pointer {
			t.Errorf("%s: %s", field, got)
		}
		if got := mail.FieldAt(pointer); got != field {
			t.Errorf("%s: %s", pointer, got)
		}
	}
	if got := mail.PointerTo(""); got != "#" {
		t.Errorf("the whole is %q", got)
	}
}

func TestAnyNameCanBeAStep(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]string{
		"plain": "/plain", "a/b~c": "/a~1b~0c", "~1": "/~01", "50%": "/50%25", "a b": "/a%20b", "ü": "/%C3%BC", "\x00\xff": "/%00%FF", "": "/", "a.b": "/a.b", `"<>`: "/%22%3C%3E",
	} {
		if got := mail.PointerStep(name); got != step {
			t.Errorf("%q: %s, want %s", name, got, step)
		}
		if got := mail.FieldAt("#/metadata" + step); got != "metadata."+name {
			t.Errorf("%s: %q", step, got)
		}
	}
	if got := mail.FieldAt("#/a%zz/b"); got != "a%zz.b" {
		t.Errorf("what is not escaped stays: %q", got)
	}
}

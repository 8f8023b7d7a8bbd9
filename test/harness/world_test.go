package harness_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/test/harness"
)

func TestTheWorldServesWhatIsPublished(t *testing.T) {
	t.Parallel()
	w := harness.OpenWorld(t)
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 700)
	if err := w.Publish([]harness.Record{
		{Type: "TXT", FQDN: "s1._domainkey.acme.test", Value: long},
		{Type: "TXT", FQDN: "acme.test.", Value: `v=spf1 include:"quoted" \ -all`},
		{Type: "MX", FQDN: "bounce.acme.test", Value: "10 mail.postroad.test"},
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"s1._domainkey.acme.test": long, "acme.test": `v=spf1 include:"quoted" \ -all`} {
		if got, err := w.LookupTXT(name); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := w.LookupTXT("nobody.acme.test"); err == nil {
		t.Error("a name that was not published is there")
	}
}

func TestAnExchangerListensBesideOthersAtTheSamePort(t *testing.T) {
	t.Parallel()
	w := harness.OpenWorld(t)
	one, two := w.Exchanger(t, "127.0.0.1", "about one"), w.Exchanger(t, "127.0.0.2", "about two")
	if one.Addr().Port() != two.Addr().Port() || one.Addr().Addr() == two.Addr().Addr() {
		t.Errorf("at %v and %v", one.Addr(), two.Addr())
	}
}

package project_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/project"
)

// record checks a domain whose zone is text and gives the record at a host.
func (w *world) record(t *testing.T, text, purpose, host string) (project.Record, project.Domain) {
	t.Helper()
	w.publish(t, hosts+text)
	d := w.verify(t)
	for _, r := range w.Records(d) {
		if r.Purpose == purpose && r.Host == host {
			return r, d
		}
	}
	t.Fatalf("no %s at %s", purpose, host)
	return project.Record{}, d
}

func TestSPFIsReadWithEverythingItIncludes(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	nested := func(n int) string { // a chain that costs n look-ups behind its first name
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "n%d.test. TXT \"v=spf1 include:n%d.test ?all\"\n", i, i+1)
		}
		return b.String() + fmt.Sprintf("n%d.test. TXT \"v=spf1 ip4:192.0.2.25 ?all\"\n", n)
	}
	wide := func(n int) string { // two includes at each of n levels: 2^n paths
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "w%d.test. TXT \"v=spf1 include:w%d.test include:w%d.test ?all\"\n", i, i+1, i+1)
		}
		return b.String() + fmt.Sprintf("w%d.test. TXT \"v=spf1 ?all\"\n", n)
	}
	for name, c := range map[string]struct{ spf, zone, state, diagnosis string }{
		"nested ten deep":            {"include:n0.test -all", nested(9), "found", ""},
		"nested eleven deep":         {"include:n0.test -all", nested(10), "mismatch", "11 look-ups (include:n0.test costs 11); receivers stop at 10"},
		"many ways":                  {"include:w0.test -all", wide(20), "mismatch", "more than 30 look-ups"},
		"a circle":                   {"include:l.test -all", `l.test. TXT "v=spf1 include:m.test"` + "\n" + `m.test. TXT "v=spf1 include:l.test -all"`, "mismatch", "'include:l.test' leads back to itself"},
		"itself":                     {"include:acme.test -all", "", "mismatch", "leads back to itself"},
		"a redirect in a circle":     {"redirect=acme.test", "", "mismatch", "leads back to itself"},
		"a redirect":                 {"redirect=r.test", `r.test. TXT "v=spf1 a:mx.post.test -all"`, "found", ""},
		"a redirect behind all":      {"a:mx.post.test -all redirect=nowhere.test", "", "found", ""},
		"a redirect that refuses":    {"redirect=r.test", `r.test. TXT "v=spf1 -all"`, "mismatch", "does not name this server"},
		"an include without SPF":     {"include:e.test -all", "e.test. TXT hello", "mismatch", "without an SPF record"},
		"an include of two":          {"include:e.test -all", "e.test. TXT \"v=spf1 -all\"\ne.test. TXT \"v=spf1 +all\"", "mismatch", "2 SPF records"},
		"an include that refuses us": {"include:e.test a:mx.post.test -all", `e.test. TXT "v=spf1 -all"`, "found", ""},
		"refused before":             {"-ip4:192.0.2.0/24 a:mx.post.test -all", "", "mismatch", "does not name"},
		"names that lead nowhere":    {"a:x.test a:y.test a:z.test a:mx.post.test -all", "", "mismatch", "3 names in the SPF record lead nowhere (x.test, y.test, z.test)"},
		"two that lead nowhere":      {"a:x.test a:y.test a:mx.post.test -all", "", "found", ""},
		"our exchanger":              {"mx -all", "acme.test. MX 10 mx.post.test.", "found", ""},
		"another exchanger":          {"mx -all", "acme.test. MX 10 mx.other.test.\nmx.other.test. A 198.51.100.7", "mismatch", "does not name"},
		"the network of a name":      {"a:o.test/24 -all", "o.test. A 192.0.2.7", "found", ""},
		"a network too small":        {"a:o.test/29 -all", "o.test. A 192.0.2.7", "mismatch", "does not name"},
		"a length that cannot be":    {"a:o.test/33 -all", "", "mismatch", "prefix length"},
		"a macro":                    {"exists:%{i}._spf.acme.test a:mx.post.test -all", "", "found", ""},
		"written with an equals":     {"include=e.test -all", "", "mismatch", "has no effect: write it with a colon"},
		"an unknown term":            {"ipv4:192.0.2.25 -all", "", "mismatch", "'ipv4:192.0.2.25' cannot be read"},
		"no address":                 {"ip4:mx.post.test -all", "", "mismatch", "address is missing"},
		"ptr":                        {"ptr a:mx.post.test -all", "", "found", "must not be used any more"},
		"everybody":                  {"+all", "", "found", ""},
	} {
		text := fmt.Sprintf("acme.test. TXT %s\n%s", quoted("v=spf1 "+c.spf), c.zone)
		if r, _ := w.record(t, text, "SPF", "@"); r.State != c.state || c.diagnosis == "" && r.Diagnosis != "" || !strings.Contains(r.Diagnosis, c.diagnosis) {
			t.Errorf("%s: %s, %q", name, r.State, r.Diagnosis)
		}
	}
}

func TestSPFThatCannotBeReadToTheEndIsNoFault(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	spf := `acme.test. TXT "v=spf1 include:down.test -all"`
	w.dns.Fail("down.test", dnstest.ServFail)
	r, d := w.record(t, spf, "SPF", "@")
	if r.State != project.RecordUnknown || !strings.Contains(r.Diagnosis, "down.test, which could not be looked up") || d.Checks["spf"] != project.CheckUnknown {
		t.Errorf("%s, %q, %v", r.State, r.Diagnosis, d.Checks)
	}
	if r, _ = w.record(t, `acme.test. TXT "v=spf1 include:down.test a:mx.post.test -all"`, "SPF", "@"); r.State != project.RecordFound {
		t.Errorf("what names us is enough: %s, %q", r.State, r.Diagnosis)
	}
	w.pass(2 * 60 * 60 * 1e9) // what is known of our own addresses is over
	w.dns.Fail("mx.post.test", dnstest.ServFail)
	if r, _ = w.record(t, `acme.test. TXT "v=spf1 ip4:192.0.2.0/24 -all"`, "SPF", "@"); r.State != project.RecordUnknown {
		t.Errorf("our own addresses unknown: %s, %q", r.State, r.Diagnosis)
	}
}

func TestSPFMustCoverEachOfOurAddresses(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	r, _ := w.record(t, "mx.post.test. AAAA 2001:db8::25\nacme.test. TXT \"v=spf1 ip4:192.0.2.25 -all\"", "SPF", "@")
	if r.State != project.RecordFound || !strings.Contains(r.Diagnosis, "covers 192.0.2.25, but not 2001:db8::25") {
		t.Errorf("%s, %q", r.State, r.Diagnosis)
	}
}

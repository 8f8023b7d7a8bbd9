package project_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/seal"
)

func (w *world) export(t *testing.T, format string) string {
	t.Helper()
	d, err := w.Find(t.Context(), 1, "acme.test")
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.Export(d, format)
	if err != nil || e.ContentType == "" || !strings.HasPrefix(e.Filename, "acme.test.") {
		t.Fatalf("%+v, %v", e, err)
	}
	return e.Text
}

func TestAZoneFileWeExportVerifiesTheDomain(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := w.Create(t.Context(), 1, project.NewDomain{Name: "acme.test"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	text := w.export(t, "bind")
	w.publish(t, hosts+text)
	d := w.verify(t)
	for _, r := range w.Records(d) {
		if r.State != project.RecordFound || len(r.Found) != 1 || r.Found[0] != strings.TrimSuffix(r.Value, ".") {
			t.Errorf("%+v", r)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		for part := range strings.SplitSeq(line, `"`) {
			if len(part) > 255 {
				t.Errorf("a string of %d characters", len(part))
			}
		}
	}
	if again := w.export(t, "bind"); again != text {
		t.Errorf("once all is published the file is another:\n%s", again)
	}
}

// joined is the text of a TXT record as zone files write it.
func joined(t *testing.T, value string) string {
	t.Helper()
	if !strings.HasPrefix(value, `"`) || !strings.HasSuffix(value, `"`) {
		t.Fatalf("not quoted: %s", value)
	}
	return strings.ReplaceAll(value[1:len(value)-1], `" "`, "")
}

func TestProvidersAreToldTheSameRecords(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, err := w.Create(t.Context(), 1, project.NewDomain{Name: "acme.test"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	records := w.Records(d)

	var batch struct {
		Posts []struct {
			Type, Name, Content, Comment string
			Priority                     *int
			TTL                          int `json:"ttl"`
		} `json:"posts"`
	}
	if err := json.Unmarshal([]byte(w.export(t, "cloudflare")), &batch, json.MatchCaseInsensitiveNames(true)); err != nil || len(batch.Posts) != len(records) {
		t.Fatalf("%+v, %v", batch, err)
	}
	var sets struct {
		Changes []struct {
			Action            string
			ResourceRecordSet struct {
				Name, Type      string
				TTL             int
				ResourceRecords []struct{ Value string }
			}
		}
	}
	if err := json.Unmarshal([]byte(w.export(t, "route53")), &sets); err != nil || len(sets.Changes) != len(records) {
		t.Fatalf("%+v, %v", sets, err)
	}
	terraform := w.export(t, "terraform")
	for i, r := range records {
		p, c := batch.Posts[i], sets.Changes[i]
		set := c.ResourceRecordSet
		if p.Name != r.FQDN || p.Type != r.Type || p.TTL != r.TTL || set.Name != r.FQDN+"." || set.Type != r.Type || len(set.ResourceRecords) != 1 {
			t.Errorf("%+v, %+v for %+v", p, c, r)
		}
		if wants := map[bool]string{true: "CREATE", false: "UPSERT"}[r.Host == "@" || r.Host == "_dmarc"]; c.Action != wants {
			t.Errorf("%s: %s", r.FQDN, c.Action)
		}
		value := set.ResourceRecords[0].Value
		if r.Type == "MX" {
			if p.Priority == nil || *p.Priority != 10 || p.Content != "mx.post.test" || value != "10 mx.post.test." || !strings.Contains(terraform, `records = ["10 mx.post.test."]`) {
				t.Errorf("%+v, %s", p, value)
			}
			continue
		}
		if joined(t, p.Content) != r.Value || joined(t, value) != r.Value {
			t.Errorf("%s: %s and %s", r.FQDN, p.Content, value)
		}
		name := "name    = \"" + r.FQDN + "\"\n  type    = \"TXT\""
		_, block, found := strings.Cut(terraform, name)
		_, block, _ = strings.Cut(block, `records = ["`)
		block, _, _ = strings.Cut(block, "\"]\n")
		if !found || strings.ReplaceAll(block, `\"\"`, "") != r.Value || len(r.Value) > 255 && !strings.Contains(block, `\"\"`) {
			t.Errorf("terraform has %q for %s", block, r.FQDN)
		}
	}
	if _, err := w.Export(d, "xml"); err == nil || !strings.Contains(err.Error(), "bind, terraform") {
		t.Errorf("a form we do not know: %v", err)
	}
}

func TestAnExportNeverUndoesWhatIsThere(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	w.publish(t, hosts+`acme.test. TXT "v=spf1 include:_spf.other.test -all"
acme.test. TXT "site=1"
_spf.other.test. TXT "v=spf1 -all"
_dmarc.acme.test. TXT "v=DMARC1; p=reject; rua=mailto:a@b.test"
bounce.acme.test. CNAME mx.post.test.
s1._domainkey.acme.test. TXT "v=DKIM1; k=rsa; p=AAAA"`)
	w.verify(t)
	for _, format := range project.ExportFormats() {
		text := w.export(t, format)
		published := ""
		for line := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(line, ";") && !strings.HasPrefix(line, "#") {
				published += line + "\n"
			}
		}
		for _, taken := range []string{"_dmarc", " MX", `"MX"`, "p=none", "bounce"} {
			if strings.Contains(published, taken) {
				t.Errorf("%s would publish %s", format, taken)
			}
		}
		if strings.Contains(published, "v=spf1") || !strings.Contains(published, "p=") || !strings.Contains(published, "s1._domainkey") {
			t.Errorf("%s:\n%s", format, published)
		}
		if format == "bind" && strings.Count(text, "is left out") != 4 {
			t.Errorf("it does not tell what it leaves out:\n%s", text)
		}
	}
}

func TestARecordInTheWrongPlaceIsFound(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, err := w.Create(t.Context(), 1, project.NewDomain{Name: "news.acme.test", Algorithm: project.Ed25519}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := quoted(w.Records(d)[0].Value)
	for name, c := range map[string]struct{ zone, host, state, words string }{
		"the zone above was added":        {"s1._domainkey.news.acme.test.acme.test. TXT " + key, "s1._domainkey", "missing", "s1._domainkey.news.acme.test.acme.test: your provider added the domain a second time. Enter only 's1._domainkey.news' as its host."},
		"the domain was added":            {"s1._domainkey.news.acme.test.news.acme.test. TXT " + key, "s1._domainkey", "missing", "Enter only 's1._domainkey' as its host."},
		"the domain was left out":         {"s1._domainkey.acme.test. TXT " + key, "s1._domainkey", "missing", "above the domain: your provider's zone is acme.test. Enter 's1._domainkey.news' as its host."},
		"another's key above":             {`s1._domainkey.acme.test. TXT "v=DKIM1; k=rsa; p=AAAA"`, "s1._domainkey", "missing", "There is no TXT record"},
		"an alias in its place":           {"s1._domainkey.news.acme.test. CNAME s1.u1.other.test.", "s1._domainkey", "missing", "is an alias (CNAME) for s1.u1.other.test, where there is no TXT record"},
		"another's key by an alias":       {"s1._domainkey.news.acme.test. CNAME s1.u1.other.test.\ns1.u1.other.test. TXT \"v=DKIM1; k=rsa; p=AAAA\"", "s1._domainkey", "mismatch", "is an alias (CNAME) for s1.u1.other.test, so what is found is that name's"},
		"a wildcard":                      {`*.acme.test. TXT "v=DKIM1; k=rsa; p=AAAA"`, "s1._domainkey", "mismatch", "A wildcard record answers"},
		"a wildcard alias":                {"*.acme.test. CNAME web.other.test.\nweb.other.test. TXT hello", "s1._domainkey", "mismatch", "A wildcard record answers"},
		"no wildcard":                     {`s1._domainkey.news.acme.test. TXT "hello"`, "s1._domainkey", "mismatch", "is no DKIM key"},
		"an old answer that is kept":      {`s1._domainkey.news.acme.test. 2460 TXT "v=DKIM1; k=rsa; p=AAAA"`, "s1._domainkey", "mismatch", "visible in at most 41 min"},
		"a missing answer that is kept":   {"news.acme.test. 2460 SOA ns.x. h.x. 1 1 1 1 2460", "s1._domainkey", "missing", "visible in at most 41 min"},
		"exchangers of a wildcard":        {"*.news.acme.test. MX 5 mx.other.test.\nmx.other.test. A 198.51.100.1", "bounce", "mismatch", "A wildcard record answers there"},
		"addresses of a wildcard":         {"*.acme.test. A 198.51.100.1", "bounce", "mismatch", "A wildcard record answers there"},
		"a flattened alias":               {"bounce.news.acme.test. A 198.51.100.1", "bounce", "mismatch", "CNAME flattening, or a proxy"},
		"a wildcard is no doubled record": {"*.acme.test. MX 5 mx.other.test.\nbounce.news.acme.test. TXT x", "bounce", "missing", "There is no MX record"},
		"the domain is an alias":          {"news.acme.test. CNAME web.other.test.\nweb.other.test. TXT hello", "@", "missing", "The domain itself is an alias (CNAME) for web.other.test, whose records count"},
		"SPF one too low":                 {`news.acme.test.acme.test. TXT "v=spf1 a:mx.post.test -all"`, "@", "missing", "One is at news.acme.test.acme.test"},
	} {
		w.publish(t, hosts+c.zone)
		d, err := w.Verify(t.Context(), 1, "news.acme.test")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range w.Records(d) {
			if r.Host == c.host {
				if r.State != c.state || !strings.Contains(r.Diagnosis, c.words) {
					t.Errorf("%s: %s, %q", name, r.State, r.Diagnosis)
				}
				break
			}
		}
	}
}

func TestARecordTheZoneHasRightCountsEvenWhileOthersGiveTheOldOne(t *testing.T) {
	t.Parallel()
	authority := dnstest.Start(t, "")
	port := netip.MustParseAddrPort(authority.Addr()).Port()
	around := dnstest.Start(t, hosts+`acme.test. NS ns1.acme.test.
ns1.acme.test. A 127.0.0.1
s1._domainkey.acme.test. 2460 TXT "v=DKIM1; k=rsa; p=AAAA"`)
	resolver := dns.New(dns.Options{System: []netip.AddrPort{netip.MustParseAddrPort(around.Addr())}, AuthorityPort: port,
		PerTry: time.Minute, Budget: 2 * time.Minute, Guard: func(netip.AddrPort) error { return nil }})
	t.Cleanup(func() { _ = resolver.Close() })
	ring, err := seal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: newShelf(), dns: authority, now: time.Now()}
	w.Domains = project.NewDomains(project.DomainsOptions{Store: w.store, Ring: ring, Resolver: resolver, Hostname: "mx.post.test", Now: w.clock})
	d := w.create(t, "acme.test")
	w.publish(t, zone(w.Records(d)))
	d = w.verify(t)
	r := w.Records(d)[0]
	if d.Status != project.DomainVerified || r.State != project.RecordFound || r.Resolver != "ns1.acme.test" || !strings.Contains(r.Diagnosis, "visible everywhere in at most 41 min") {
		t.Errorf("%s, %+v", d.Status, r)
	}
	if err := around.Set(zone(w.Records(d)) + "acme.test. NS ns1.acme.test.\nns1.acme.test. A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if r = w.Records(w.verify(t))[0]; r.Diagnosis != "" {
		t.Errorf("once everybody has it: %q", r.Diagnosis)
	}
}

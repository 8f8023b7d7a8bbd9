package project_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/project"
)

func TestThePolicyThatHoldsIsFoundByClimbingTheTree(t *testing.T) {
	t.Parallel()
	const ours = "bounce.%[1]s. MX 10 mx.post.test.\n"
	for name, c := range map[string]struct {
		domain, zone string
		policy       string // "reject by sp of acme.test in acme.test"; "" = none holds
		aligned      bool   // the return path
		check        string
		words        string
	}{
		"its own":                         {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject"`, "reject by p of acme.test in acme.test", true, "pass", ""},
		"none anywhere":                   {"acme.test", ``, "", false, "warn", "There is no TXT record"},
		"that above, for subdomains":      {"news.acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=none; sp=quarantine; np=reject"` + "\n" + `news.acme.test. TXT here`, "quarantine by sp of acme.test in acme.test", true, "pass", "the policy of acme.test holds (sp=quarantine)"},
		"that above, for itself only":     {"news.acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject"`, "reject by p of acme.test in acme.test", true, "pass", "(p=reject)"},
		"its own before that above":       {"news.acme.test", "_dmarc.news.acme.test. TXT \"v=DMARC1; p=quarantine\"\n_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"", "quarantine by p of news.acme.test in acme.test", true, "pass", ""},
		"a middle one does not hold":      {"a.news.acme.test", "_dmarc.news.acme.test. TXT \"v=DMARC1; p=none\"\n_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"", "reject by p of acme.test in acme.test", true, "pass", "policy of acme.test holds"},
		"psd=n ends the climb":            {"a.news.acme.test", "_dmarc.news.acme.test. TXT \"v=DMARC1; p=quarantine; psd=n\"\n_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"", "quarantine by p of news.acme.test in news.acme.test", true, "pass", "policy of"},
		"psd=y above, own record":         {"giant.bank.test", "_dmarc.giant.bank.test. TXT \"v=DMARC1; p=reject\"\n_dmarc.bank.test. TXT \"v=DMARC1; p=none; psd=y\"", "reject by p of giant.bank.test in giant.bank.test", true, "pass", ""},
		"psd=y above, nothing else":       {"mega.bank.test", "_dmarc.bank.test. TXT \"v=DMARC1; p=none; sp=quarantine; psd=y\"\n", "quarantine by sp of bank.test in mega.bank.test", true, "pass", "policy of"},
		"psd=y of itself":                 {"bank.test", "_dmarc.bank.test. TXT \"v=DMARC1; p=reject; psd=y\"\n", "reject by p of bank.test in bank.test", false, "pass", "another organization's"},
		"the return path has its own":     {"acme.test", "_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"\n_dmarc.bounce.acme.test. TXT \"v=DMARC1; p=none; psd=n\"", "reject by p of acme.test in acme.test", false, "pass", "bounce.acme.test counts as another organization's: only DKIM"},
		"strict":                          {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject; aspf=s; adkim=s"`, "reject by p of acme.test in acme.test", false, "pass", "aspf=s wants"},
		"a test":                          {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject; t=y"`, "reject by p of acme.test in acme.test", true, "warn", "t=y asks receivers not to act"},
		"an old percentage":               {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject; pct=20"`, "reject by p of acme.test in acme.test", true, "pass", "pct is not part"},
		"no p":                            {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; sp=reject"`, "none by p of acme.test in acme.test", true, "warn", "has no p"},
		"a bad sp with reports":           {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=reject; sp=no; rua=mailto:a@b.test"`, "none by p of acme.test in acme.test", true, "warn", "only watches"},
		"a bad p without reports":         {"acme.test", `_dmarc.acme.test. TXT "v=DMARC1; p=no"`, "", false, "warn", "no policy that receivers know"},
		"the version does not come first": {"acme.test", `_dmarc.acme.test. TXT "p=reject; v=DMARC1"`, "", false, "warn", "There is no TXT"},
		"two of them":                     {"news.acme.test", "_dmarc.news.acme.test. TXT \"v=DMARC1; p=none\"\n_dmarc.news.acme.test. TXT \"v=DMARC1; p=reject\"", "", false, "warn", "2 DMARC records"},
		"two of them above count as none": {"news.acme.test", "_dmarc.acme.test. TXT \"v=DMARC1; p=none\"\n_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"", "", false, "warn", "There is no TXT"},
		"other texts beside it":           {"acme.test", "_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"\n_dmarc.acme.test. TXT \"v=DMARC10\"", "reject by p of acme.test in acme.test", true, "pass", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			w.create(t, c.domain)
			w.publish(t, hosts+fmt.Sprintf(ours, c.domain)+c.zone)
			d, err := w.Verify(t.Context(), 1, c.domain)
			if err != nil {
				t.Fatal(err)
			}
			records := w.Records(d)
			r := records[len(records)-1]
			policy := ""
			if v := r.DMARC; v != nil {
				policy = fmt.Sprintf("%s by %s of %s in %s", v.Policy, v.Tag, v.FoundAt, v.Org)
				if !v.DKIM.Aligned || v.SPF.Aligned != c.aligned || v.SPF.Domain != "bounce."+c.domain {
					t.Errorf("alignment %+v, %+v", v.DKIM, v.SPF)
				}
			}
			if policy != c.policy || d.Checks["dmarc"] != c.check || !strings.Contains(r.Diagnosis, c.words) || c.words == "" && r.Diagnosis != "" {
				t.Errorf("%q, %s, %q; want %q, %s", policy, d.Checks["dmarc"], r.Diagnosis, c.policy, c.check)
			}
		})
	}
}

func TestAClimbAsksAtMostEightNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	const domain = "a.b.c.d.e.f.g.h.i.j.mail.example.test"
	w.create(t, domain)
	if _, err := w.Verify(t.Context(), 1, domain); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		domain: true, "b.c.d.e.f.g.h.i.j.mail.example.test": false, "f.g.h.i.j.mail.example.test": false,
		"g.h.i.j.mail.example.test": true, "h.i.j.mail.example.test": true, "i.j.mail.example.test": true, "j.mail.example.test": true,
		"mail.example.test": true, "example.test": true, "test": true,
	} {
		if got := w.dns.Asked("_dmarc."+name, "TXT") > 0; got != want {
			t.Errorf("_dmarc.%s asked for: %t", name, got)
		}
	}
}

func TestAPolicyAboveThatCannotBeAskedForIsUnknown(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "news.acme.test")
	w.dns.Fail("_dmarc.acme.test", dnstest.ServFail)
	check := func(zone, want string) project.Record {
		w.publish(t, hosts+zone)
		d, err := w.Verify(t.Context(), 1, "news.acme.test")
		if err != nil || d.Checks["dmarc"] != want {
			t.Errorf("%s, %v", d.Checks["dmarc"], err)
		}
		records := w.Records(d)
		return records[len(records)-1]
	}
	check("", project.CheckUnknown)
	r := check(`_dmarc.news.acme.test. TXT "v=DMARC1; p=reject"`, project.CheckPass)
	if r.DMARC == nil || !r.DMARC.SPF.Unknown || r.DMARC.SPF.Aligned {
		t.Errorf("the alignment hangs on what could not be asked: %+v", r.DMARC)
	}
}

func TestMailWithTheOperatorsReturnPathAlignsByDKIMOnly(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	r, _ := w.record(t, `_dmarc.acme.test. TXT "v=DMARC1; p=reject"`, "DMARC", "_dmarc")
	if r.DMARC == nil || r.DMARC.SPF.Aligned || r.DMARC.SPF.Domain != "mx.post.test" || !strings.Contains(r.Diagnosis, "only DKIM makes DMARC pass") {
		t.Errorf("%+v, %q", r.DMARC, r.Diagnosis)
	}
}

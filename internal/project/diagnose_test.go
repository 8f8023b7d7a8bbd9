package project

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/dns"
)

// FuzzDiagnose hands what anybody may publish to all judges.
func FuzzDiagnose(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=MIIB", "v=spf1 a mx -all")
	f.Add(`"v=DKIM1; p="`, "v=spf1 +a:mx.post.test/24 redirect=x ip4:1.2.3.0/33 - ~all")
	f.Add("v=DMARC1;p=none;;=;", "v=spf1")
	f.Add("v=DKIM1; k=\xff\r\n; p=YSBwdWJsaWMga2V5IHRoYXQgc3RhbmRzIGZvciBhbnkgb3RoZXI=", "v=spf1 \xff")
	f.Add("v=DKIM1; t=y:s; h=:; s=*; p=AAAA", "\x00\xff")
	f.Fuzz(func(t *testing.T, one, two string) {
		key := &DKIMKey{Algorithm: RSA2048, Public: []byte("a public key that stands for any other")}
		for _, texts := range [][]string{{one}, {two}, {one, two}} {
			for _, judged := range []func() (string, string){
				func() (string, string) { return judgeDKIM(key, texts) },
				func() (string, string) {
					return judgeSPF(t.Context(), echo(texts), "acme.test", "mx.post.test", []netip.Addr{netip.MustParseAddr("192.0.2.25")}, texts)
				},
				func() (string, string) { return fuzzDMARC(texts) },
			} {
				state, why := judged()
				if state == RecordMismatch && why == "" || len(why) > 700 || !utf8.ValidString(why) || strings.ContainsAny(why, "\x00\r\n\x1b") {
					t.Fatalf("%q: %s, %q", texts, state, why)
				}
			}
			if state, _ := judgeDKIM(key, texts); state == RecordFound && !strings.Contains(strings.Join(texts, ""), "p") && !strings.Contains(strings.Join(texts, ""), "P") {
				t.Fatalf("%q passes for our key", texts)
			}
		}
	})
}

// echo is a DNS in which every name has these texts.
type echo []string

func (e echo) TXT(context.Context, string) ([]string, string, error) { return e, "", nil }
func (e echo) MX(_ context.Context, name string) ([]dns.MX, string, error) {
	return []dns.MX{{Host: name}}, "", nil
}
func (e echo) Addresses(context.Context, string) ([]netip.Addr, string, error) {
	return nil, "", dns.ErrNoData
}

// fuzzDMARC judges texts that stand at every name of the DNS.
func fuzzDMARC(texts []string) (state, why string) {
	t := &tree{known: map[string]*dmarcRecord{}, ask: func(context.Context, string) ([]string, error) { return texts, nil }}
	d := &Domain{Name: "a.b.c.d.e.f.g.h.acme.test", ReturnPath: "bounce"}
	found, _ := t.climb(context.Background(), d.Name)
	if len(t.known) > 8 {
		panic("more than eight questions")
	}
	org := organization(d.Name, found)
	top := holding(d.Name, org, found)
	if top == nil {
		return RecordMissing, ""
	}
	policy, tag, _ := top.record.policy(top.domain == d.Name, true)
	view := &DMARC{Policy: policy, Tag: tag, FoundAt: top.domain, Org: org, SPF: Alignment{Domain: "bounce." + d.Name}}
	return RecordFound, view.words(d, top.domain == d.Name, top.record)
}

func FuzzReadPEM(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	f.Add(`-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n`)
	f.Fuzz(func(t *testing.T, text string) {
		if key, fault := readPEM(text); (key == nil) == (fault == nil) {
			t.Fatalf("%v, %v", key, fault)
		}
	})
}

package project

import (
	"strings"
	"testing"
	"unicode/utf8"
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
				func() (string, string) { return judgeSPF(texts, spfView{hostname: "mx.post.test"}) },
				func() (string, string) { state, _, why := judgeDMARC(texts); return state, why },
			} {
				state, why := judged()
				if state == RecordMismatch && why == "" || len(why) > 500 || !utf8.ValidString(why) || strings.ContainsAny(why, "\x00\r\n\x1b") {
					t.Fatalf("%q: %s, %q", texts, state, why)
				}
			}
			if state, _ := judgeDKIM(key, texts); state == RecordFound && !strings.Contains(strings.Join(texts, ""), "p") && !strings.Contains(strings.Join(texts, ""), "P") {
				t.Fatalf("%q passes for our key", texts)
			}
		}
	})
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

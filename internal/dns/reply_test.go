package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var asked = question{"acme.test.", dns.TypeMX}

// packed builds an answer to asked out of zone file lines; "!" before one puts it into
// the authority section.
func packed(t testing.TB, change func(*dns.Msg), lines ...string) []byte {
	t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: 7, Response: true}, Question: []dns.Question{{Name: "AcMe.TesT.", Qtype: dns.TypeMX, Qclass: dns.ClassINET}}}
	for _, line := range lines {
		rr, err := dns.NewRR(strings.TrimPrefix(line, "!"))
		if err != nil {
			t.Fatal(err)
		}
		if line[0] == '!' {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	if change != nil {
		change(m)
	}
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOnlyAnAnswerToTheQuestionIsBelieved(t *testing.T) {
	t.Parallel()
	mx := "acme.test. MX 10 mx.acme.test."
	for name, change := range map[string]func(*dns.Msg){
		"another identifier": func(m *dns.Msg) { m.Id = 8 },
		"a question":         func(m *dns.Msg) { m.Response = false },
		"another name":       func(m *dns.Msg) { m.Question[0].Name = "evil.test." },
		"another type":       func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA },
		"another class":      func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		"no question":        func(m *dns.Msg) { m.Question = nil },
		"two questions":      func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"another opcode":     func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
	} {
		if _, err := readReply(packed(t, change, mx), 7, asked); err != errNotOurs {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := readReply(packed(t, nil, mx), 7, asked); err != nil || len(r.records) != 1 {
		t.Errorf("the answer itself: %+v, %v", r, err)
	}
}

func TestAnAnswerIsJudgedByWhatItLeadsTo(t *testing.T) {
	t.Parallel()
	const soa = "!acme.test. SOA ns. me. 1 1 1 1 30"
	nx := func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		lines  []string
		want   verdict
		detail string
	}{
		"records of another name are not ours":   {nil, []string{"evil.test. MX 10 mx.evil.test.", soa}, empty, ""},
		"records of another type are not ours":   {nil, []string{"acme.test. A 192.0.2.1", soa}, empty, ""},
		"an alias with its records":              {nil, []string{"acme.test. CNAME B.test.", "b.TEST. MX 10 mx."}, answered, ""},
		"an alias alone":                         {nil, []string{"acme.test. CNAME b.test."}, elsewhere, ""},
		"an alias for a name that is not there":  {nx, []string{"acme.test. CNAME b.test."}, absent, ""},
		"an alias for itself":                    {nil, []string{"acme.test. CNAME acme.test."}, useless, "its aliases go in circles"},
		"aliases in a circle":                    {nil, []string{"acme.test. CNAME b.test.", "b.test. CNAME c.test.", "c.test. CNAME b.test."}, useless, "its aliases go in circles"},
		"a referral":                             {nil, []string{"!test. NS ns.test."}, useless, "it does not serve this name"},
		"an empty name with its servers named":   {func(m *dns.Msg) { m.Authoritative = true }, []string{"!acme.test. NS ns.test."}, empty, ""},
		"nothing at all":                         {nil, nil, empty, ""},
		"a failure without the question":         {func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeServerFailure, nil }, nil, useless, "SERVFAIL"},
		"a code nobody knows":                    {func(m *dns.Msg) { m.Rcode = 14 }, nil, useless, "an unknown code"},
		"a start of authority of somebody else":  {nx, []string{"!evil.test. SOA ns. me. 1 1 1 1 99999"}, absent, ""},
		"a negative answer as it ought to stand": {nx, []string{soa}, absent, ""},
	} {
		r, err := readReply(packed(t, c.change, c.lines...), 7, asked)
		if err != nil || r.code != c.want || r.detail != c.detail {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if slices.Contains(c.lines, soa) != r.hasTTL && (r.code == absent || r.code == empty) {
			t.Errorf("%s: may it be remembered? %v", name, r.hasTTL)
		}
	}
}

func TestNamesAreTakenApartAsHostNamesAre(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Acme.Test.": "acme.test", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example",
		"a_b.test": "", "-a.test": "", "a..b": "", "": "", ".": "", "a b.test": "", strings.Repeat("a", 64) + ".test": "", "a\x00.test": "",
		strings.Repeat("abcdefghi.", 26) + "test": "",
	} {
		got, err := ToASCII(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add(packed(f, nil, "acme.test. MX 10 mx.acme.test.", "acme.test. MX 0 ."))
	f.Add(packed(f, nil, "acme.test. CNAME b.test.", "b.test. CNAME acme.test."))
	f.Add(packed(f, func(m *dns.Msg) { m.Truncated = true }))
	f.Add(packed(f, nil, "!acme.test. SOA ns. me. 1 1 1 1 30"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, q := range []question{asked, {"acme.test.", dns.TypeTXT}, {"acme.test.", dns.TypeA}} {
			if r, err := readReply(raw, 7, q); err == nil {
				hold(t, q, r)
			}
		}
	})
}

// hold checks what every believed reply must keep to.
func hold(t *testing.T, q question, r reply) {
	t.Helper()
	if (r.code == answered) != (len(r.records) > 0) && !r.cut {
		t.Fatalf("verdict %d with %d records", r.code, len(r.records))
	}
	if r.ttl < 0 || r.hops > maxAliases+1 {
		t.Fatalf("ttl %v, %d aliases", r.ttl, r.hops)
	}
	for _, rr := range r.records {
		if rr.Header().Rrtype != q.qtype {
			t.Fatalf("a record of type %d", rr.Header().Rrtype)
		}
	}
	a := &answer{records: r.records}
	_, _ = mxOf(a), addrsOf(a)
	for _, text := range txtOf(a) {
		if shown := Printable(text, 200); strings.ContainsAny(shown, "\r\n\x00\x1b") {
			t.Fatalf("%q is not printable", shown)
		}
	}
}

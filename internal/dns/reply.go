package dns

import (
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// question is what is asked; name is absolute and lower case.
type question struct {
	name  string
	qtype uint16
}

// reply is what one server said, as far as it is believed.
type reply struct {
	code    verdict
	detail  string
	cut     bool     // the TC bit: ask again over TCP
	records []dns.RR // of the asked type, at the end of the aliases
	alias   string   // where the aliases in this answer ended, "" without any
	hops    int      // how many they were
	ttl     time.Duration
	hasTTL  bool // without it (RFC 2308 §5: no SOA) nothing may be remembered
}

// verdict is what a server's answer amounts to.
type verdict uint8

const (
	answered  verdict = iota // records
	empty                    // the name exists, without such records
	absent                   // the name does not exist
	elsewhere                // an alias only: ask for its target
	useless                  // this server cannot say; another may
)

// maxAliases bounds a chain of CNAMEs, over all answers of one question.
const maxAliases = 12

// errNotOurs is a datagram that is no answer to our question: a late one, or a forged one.
var errNotOurs = errors.New("not an answer to this question")

// readReply reads the bytes a server sent. A message that does not answer this very
// question (RFC 5452 §9.1: identifier, question section, opcode) is errNotOurs.
func readReply(raw []byte, id uint16, q question) (reply, error) {
	var m dns.Msg
	if err := m.Unpack(raw); err != nil {
		// A message cut off in the middle has at least a header that can be trusted
		// to say so: servers exist that cut without regard to records.
		if len(raw) >= 12 && m.Id == id && m.Response && m.Truncated && matches(&m, q) {
			return reply{cut: true}, nil
		}
		return reply{}, errNotOurs
	}
	if m.Id != id || !m.Response || m.Opcode != dns.OpcodeQuery || !matches(&m, q) {
		return reply{}, errNotOurs
	}
	if m.Truncated {
		return reply{cut: true}, nil
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return judge(&m, q), nil
	}
	return reply{code: useless, detail: rcode(m.Rcode)}, nil
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return "an unknown code"
}

// matches tells whether the question section repeats q. Servers that fail may leave it out.
func matches(m *dns.Msg, q question) bool {
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	if len(m.Question) != 1 {
		return false
	}
	got := m.Question[0]
	return got.Qtype == q.qtype && got.Qclass == dns.ClassINET && strings.EqualFold(got.Name, q.name)
}

// judge follows the aliases inside the answer and tells what stands at their end.
func judge(m *dns.Msg, q question) reply {
	end, hops, ttl, ok := follow(m.Answer, q)
	if !ok {
		return reply{code: useless, detail: "its aliases go in circles"}
	}
	r := reply{hops: hops, ttl: ttl, hasTTL: true}
	if hops > 0 {
		r.alias = end
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == q.qtype && rr.Header().Class == dns.ClassINET && strings.EqualFold(rr.Header().Name, end) {
			r.records = append(r.records, rr)
			r.ttl = min(r.ttl, seconds(rr.Header().Ttl))
		}
	}
	switch {
	case len(r.records) > 0:
		return r
	case m.Rcode == dns.RcodeNameError:
		r.code = absent
	case hops > 0 && soaOf(m.Ns, end) == nil:
		r.code = elsewhere
		return r
	case isReferral(m):
		return reply{code: useless, detail: "it does not serve this name"}
	default:
		r.code = empty
	}
	soa := soaOf(m.Ns, end)
	if r.hasTTL = soa != nil; r.hasTTL { // RFC 2308 §5
		r.ttl = min(r.ttl, seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
	}
	return r
}

// follow walks the CNAMEs of an answer from the name asked for. ok is false when they
// are too many, or a circle.
func follow(answer []dns.RR, q question) (end string, hops int, ttl time.Duration, ok bool) {
	end, ttl = q.name, maxDuration
	if q.qtype == dns.TypeCNAME {
		return end, 0, ttl, true
	}
	for {
		next := ""
		for _, rr := range answer {
			if cname, isAlias := rr.(*dns.CNAME); isAlias && strings.EqualFold(cname.Hdr.Name, end) {
				next, ttl = dns.CanonicalName(cname.Target), min(ttl, seconds(cname.Hdr.Ttl))
				break
			}
		}
		if next == "" {
			return end, hops, ttl, true
		}
		if hops++; hops > maxAliases || next == q.name {
			return end, hops, ttl, false
		}
		end = next
	}
}

// soaOf finds the SOA record of the zone that name is in.
func soaOf(authority []dns.RR, name string) *dns.SOA {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) {
			return soa
		}
	}
	return nil
}

// isReferral tells whether a server without an answer points at others.
func isReferral(m *dns.Msg) bool {
	if m.Authoritative || m.Rcode != dns.RcodeSuccess {
		return false
	}
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeNS {
			return true
		}
	}
	return false
}

const maxDuration = time.Duration(1<<63 - 1)

// seconds reads a TTL; one with the highest bit set counts as zero (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// text is the strings of a TXT record as one, as DKIM, SPF and DMARC read it (RFC 6376
// §3.6.2.2, RFC 7208 §3.3), with the bytes the zone has.
func text(rr *dns.TXT) string {
	var b strings.Builder
	for _, part := range rr.Txt {
		unescape(&b, part)
	}
	return b.String()
}

// unescape undoes the zone file notation the library keeps strings in: \DDD and \X.
func unescape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]) {
			b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0')
			i += 3
			continue
		}
		i++
		b.WriteByte(s[i])
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

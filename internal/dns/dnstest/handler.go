package dnstest

import (
	"slices"

	"github.com/miekg/dns"
)

// ServeDNS answers one question; it is called by the dns library.
func (s *Server) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	if len(request.Question) != 1 {
		m := new(dns.Msg).SetRcode(request, dns.RcodeFormatError)
		_ = w.WriteMsg(m)
		return
	}
	q := request.Question[0]
	name, qtype := canonical(q.Name), dns.TypeToString[q.Qtype]
	s.mu.Lock()
	s.asked[name+" "+qtype]++
	s.total++
	mode, z := s.mode(name, qtype), s.zone
	s.mu.Unlock()

	m := new(dns.Msg).SetReply(request)
	m.Compress = true
	datagram := w.LocalAddr().Network() == "udp"
	switch mode {
	case Drop:
		return
	case Garbage:
		_, _ = w.Write([]byte("\x00\x01this is no DNS message"))
		return
	case ServFail:
		m.Rcode = dns.RcodeServerFailure
	case Refused:
		m.Rcode = dns.RcodeRefused
	case NXDomain:
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, z.soa(name))
	case Lame:
		m.Ns = append(m.Ns, &dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "a.root-servers.net."})
	case WrongID:
		z.answer(m, name, q.Qtype)
		m.Id ^= 0xffff
	default:
		z.answer(m, name, q.Qtype)
	}
	if datagram {
		m.Truncate(roomFor(request))
	}
	if datagram && mode == Truncate {
		m.Truncated, m.Answer = true, nil
	}
	_ = w.WriteMsg(m)
}

// roomFor is how long a datagram the asker takes.
func roomFor(request *dns.Msg) int {
	if opt := request.IsEdns0(); opt != nil {
		return max(int(opt.UDPSize()), dns.MinMsgSize)
	}
	return dns.MinMsgSize
}

// mode looks the name up among the failing ones, then what is above it. The caller
// holds the lock.
func (s *Server) mode(name, qtype string) Mode {
	meant := func(f failure, ok bool) bool {
		return ok && (len(f.types) == 0 || slices.Contains(f.types, qtype))
	}
	if f, ok := s.fails[name]; meant(f, ok) {
		return f.mode
	}
	for name != "." {
		name = parent(name)
		wild := "*." + name
		if name == "." {
			wild = "*."
		}
		if f, ok := s.fails[wild]; meant(f, ok) {
			return f.mode
		}
	}
	return OK
}

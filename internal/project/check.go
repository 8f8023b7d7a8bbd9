package project

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/dns"
)

// What a check made of one side of a domain, as "checks" shows it.
const (
	CheckPass    = "pass"
	CheckWarn    = "warn"
	CheckFail    = "fail"
	CheckUnknown = "unknown"
)

// checkBudget bounds the questions of one check, all together.
const checkBudget = 20 * time.Second

// findings is what one check of a domain found.
type findings struct {
	records      []Record
	checks       map[string]string
	returnPathOK *bool // nil: nobody could say
}

// inspection is one check under way.
type inspection struct {
	domain   *Domain
	hostname string
	ask      *dns.Fresh
	ours     []netip.Addr // of our hostname, when it has any
	rp       returnPath
}

// inspect asks for every record at once; they do not depend on one another, but for the
// SPF ones, which may refer to where the return path leads.
func (s *Domains) inspect(ctx context.Context, d *Domain) findings {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	in := &inspection{domain: d, hostname: s.hostname, ask: s.resolver.Fresh(ctx, d.Name)}
	in.ours, _ = s.resolver.Addresses(ctx, s.hostname) // unknown: then only names are compared
	records := s.expected(d)
	var wait sync.WaitGroup
	judge := func(purpose string) {
		for i := range records {
			if r := &records[i]; r.Purpose == purpose {
				wait.Go(func() { in.judge(ctx, r) })
			}
		}
	}
	judge(purposeDKIM)
	judge(purposeReturnPath)
	judge(purposeDMARC)
	wait.Wait()
	judge(purposeSPF)
	wait.Wait()
	at := s.now().UTC().Format("2006-01-02T15:04:05.000Z")
	for i := range records {
		records[i].CheckedAt = &at
	}
	f := findings{records: records}
	f.sum(in)
	return f
}

func (in *inspection) judge(ctx context.Context, r *Record) {
	switch r.Purpose {
	case purposeDKIM:
		in.judgeDKIM(ctx, r)
	case purposeReturnPath:
		in.judgeReturnPath(ctx, r)
	case purposeSPF:
		in.judgeSPF(ctx, r)
	case purposeDMARC:
		in.judgeDMARC(ctx, r)
	}
}

// texts asks for the TXT records at r's name. ok is false when there is nothing to
// judge: r then says why.
func (in *inspection) texts(ctx context.Context, r *Record) (texts []string, ok bool) {
	texts, server, err := in.ask.TXT(ctx, r.FQDN)
	r.Resolver = server
	if err != nil {
		in.nothing(ctx, r, err)
		return nil, false
	}
	r.show(texts)
	return texts, true
}

// nothing tells why there is no record: nobody could say, it was made one zone too low,
// or there is none.
func (in *inspection) nothing(ctx context.Context, r *Record, err error) {
	if !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
		r.set(RecordUnknown, "The name servers gave no answer ("+cause(err)+"). Nothing is concluded from that; it will be asked again.")
		return
	}
	if doubled, found := in.doubled(ctx, r); found {
		r.set(RecordMissing, fmt.Sprintf("The record is at %s: your provider added the domain a second time. Enter only '%s' as its host.", doubled, r.Host))
		return
	}
	r.set(RecordMissing, fmt.Sprintf("There is no %s record at %s. Add it; if you just did, it can take until the old answer's time is over.", r.Type, r.FQDN))
}

// doubled looks for the record where a provider puts it that adds the zone to a name
// that has it already: host.acme.test.acme.test.
func (in *inspection) doubled(ctx context.Context, r *Record) (name string, found bool) {
	if r.Host == "@" {
		return "", false
	}
	name = r.FQDN + "." + in.domain.Name
	if r.Type == "MX" {
		list, _, err := in.ask.MX(ctx, name)
		return name, err == nil && len(list) > 0
	}
	texts, _, err := in.ask.TXT(ctx, name)
	kind, _, _ := strings.Cut(r.Value, "1") // "v=DKIM", "v=spf"
	return name, err == nil && slices.ContainsFunc(texts, func(t string) bool { return strings.HasPrefix(strings.TrimSpace(t), kind) })
}

func cause(err error) string {
	var e *dns.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return "no answer"
}

func (in *inspection) judgeDKIM(ctx context.Context, r *Record) {
	if texts, ok := in.texts(ctx, r); ok {
		r.set(judgeDKIM(&in.domain.Keys[r.key], texts))
	}
}

// returnPath is where the return path's name leads.
type returnPath struct {
	mxIsUs, aIsUs bool
	unknown       bool
}

// judgeReturnPath finds out whether mail to the return path reaches us: by its MX, or,
// without any, by its address or as an alias of our hostname.
func (in *inspection) judgeReturnPath(ctx context.Context, r *Record) {
	list, server, err := in.ask.MX(ctx, r.FQDN)
	r.Resolver = server
	var found []string
	for _, mx := range list {
		found = append(found, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
	}
	r.show(found)
	switch {
	case err == nil:
		in.judgeMX(ctx, r, list)
	case errors.Is(err, dns.ErrNoData):
		in.judgeHost(ctx, r, err)
	default:
		in.nothing(ctx, r, err)
	}
	in.rp.unknown = r.State == RecordUnknown
}

func (in *inspection) judgeMX(ctx context.Context, r *Record, list []dns.MX) {
	doubt := false
	for _, mx := range list {
		us, err := in.isUs(ctx, mx.Host)
		doubt = doubt || errors.Is(err, dns.ErrTemporary)
		if us {
			in.rp.mxIsUs = true
			r.set(RecordFound, "")
			return
		}
	}
	if doubt {
		r.set(RecordUnknown, "The mail exchangers there could not be looked up. Nothing is concluded from that; it will be asked again.")
		return
	}
	r.set(RecordMismatch, "Bounces would go to another server: its MX is not "+in.hostname+".")
}

// judgeHost looks at a name without MX: it is its own exchanger (RFC 5321 §5.1).
func (in *inspection) judgeHost(ctx context.Context, r *Record, without error) {
	us, err := in.isUs(ctx, r.FQDN)
	switch {
	case us:
		in.rp.aIsUs = true
		r.set(RecordFound, "")
	case err == nil:
		r.set(RecordMismatch, "Bounces would go to another server: the name has an address, but it is not "+in.hostname+"'s.")
	case errors.Is(err, dns.ErrTemporary):
		in.nothing(ctx, r, err)
	default:
		in.nothing(ctx, r, without)
	}
}

// isUs tells whether a host is this server: by name, as an alias, or by address.
func (in *inspection) isUs(ctx context.Context, host string) (bool, error) {
	if strings.EqualFold(host, in.hostname) {
		return true, nil
	}
	if host == "." {
		return false, nil
	}
	addrs, alias, err := in.ask.Addresses(ctx, host)
	if err != nil {
		return false, err
	}
	if strings.EqualFold(alias, in.hostname) {
		return true, nil
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(in.ours, a) }), nil
}

// judgeSPF looks at the return path's record, which is the one receivers ask for, or at
// the domain's own, which is advice.
func (in *inspection) judgeSPF(ctx context.Context, r *Record) {
	texts, ok := in.texts(ctx, r)
	if !ok {
		if r.Host == "@" && r.State == RecordMissing {
			r.optional()
		}
		return
	}
	view := spfView{hostname: in.hostname, addrs: in.ours}
	if r.Host != "@" {
		view.mxIsUs, view.aIsUs = in.rp.mxIsUs, in.rp.aIsUs
	}
	state, diagnosis := judgeSPF(texts, view)
	switch {
	case state == RecordMissing && r.Host == "@":
		r.optional()
	case state != RecordMissing:
		r.set(state, diagnosis)
	default:
		in.nothing(ctx, r, dns.ErrNoData)
	}
}

// optional is the verdict on a domain without SPF of its own.
func (r *Record) optional() {
	r.set(RecordMissing, "There is no SPF record. Receivers look for it at the return path, so it is optional here.")
	r.verdict = CheckPass
}

// judgeDMARC looks at the domain's record, else at those of the domains above it, whose
// policy then holds (RFC 9989 §4.10).
func (in *inspection) judgeDMARC(ctx context.Context, r *Record) {
	texts, ok := in.texts(ctx, r)
	state, policy, diagnosis := judgeDMARC(texts)
	if ok && state != RecordMissing {
		r.set(state, diagnosis)
		if policy == "none" {
			r.verdict = CheckWarn
		}
		return
	}
	if !ok && r.State == RecordUnknown {
		return
	}
	parent := in.domain.Name
	for range 4 {
		_, parent, _ = strings.Cut(parent, ".")
		if !strings.Contains(parent, ".") {
			break
		}
		above, _, err := in.ask.TXT(ctx, "_dmarc."+parent)
		if state, policy, _ = judgeDMARC(above); err == nil && state == RecordFound {
			r.show(above)
			r.set(RecordFound, "It has none of its own; the policy of "+parent+" holds (p="+policy+").")
			if policy == "none" {
				r.verdict = CheckWarn
			}
			return
		}
	}
	if ok {
		in.nothing(ctx, r, dns.ErrNoData)
	}
}

// sum draws the records of each side together: doubt first, then trouble.
func (f *findings) sum(in *inspection) {
	f.checks = map[string]string{"dkim": f.dkim(in.domain)}
	for i := range f.records {
		r := &f.records[i]
		side := strings.ToLower(r.Purpose)
		if r.Purpose == purposeDKIM {
			continue
		}
		if was := f.checks[side]; was == "" || was == CheckPass || r.weigh() == CheckUnknown {
			f.checks[side] = r.weigh()
		}
	}
	if !in.rp.unknown {
		ok := in.rp.mxIsUs || in.rp.aIsUs
		f.returnPathOK = &ok
	}
}

// weigh tells what the state of an advised record means for its side.
func (r *Record) weigh() string {
	switch {
	case r.verdict != "":
		return r.verdict
	case r.State == RecordFound:
		return CheckPass
	case r.State == RecordUnknown:
		return CheckUnknown
	}
	return CheckWarn
}

// dkim is pass when a needed key's record is there, fail when certainly none is.
func (f *findings) dkim(d *Domain) string {
	verdict := CheckFail
	for i := range f.records {
		r := &f.records[i]
		if r.Purpose != purposeDKIM || !r.Required {
			continue
		}
		switch r.State {
		case RecordFound:
			return CheckPass
		case RecordUnknown:
			verdict = CheckUnknown
		}
	}
	return verdict
}

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
	doubt    bool         // nobody could say which those are
	rp       returnPath
}

// inspect asks for every record at once; they do not depend on one another, but for
// DMARC, which tells whether the return path counts.
func (s *Domains) inspect(ctx context.Context, d *Domain) findings {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	in := &inspection{domain: d, hostname: s.hostname, ask: s.resolver.Fresh(ctx, d.Name)}
	var err error
	in.ours, err = s.resolver.Addresses(ctx, s.hostname) // without any only names are compared
	in.doubt = errors.Is(err, dns.ErrTemporary)
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
	judge(purposeSPF)
	wait.Wait()
	judge(purposeDMARC)
	wait.Wait()
	at := stamp(s.now())
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
	l, ok := in.look(ctx, r)
	return l.Texts, ok
}

// look is texts with what surrounds them.
func (in *inspection) look(ctx context.Context, r *Record) (l dns.Look, ok bool) {
	l, err := in.ask.Look(ctx, r.FQDN)
	r.Resolver = l.Server
	if err != nil {
		in.nothing(ctx, r, err, l)
		return l, false
	}
	r.show(l.Texts)
	return l, true
}

func cause(err error) string {
	var e *dns.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return "no answer"
}

func (in *inspection) judgeDKIM(ctx context.Context, r *Record) {
	l, ok := in.look(ctx, r)
	if ok {
		r.set(judgeDKIM(&in.domain.Keys[r.key], l.Texts))
		in.surround(ctx, r, l)
	}
	if r.KeepUntil != nil && (r.State == RecordMissing || r.State == RecordMismatch) {
		r.Diagnosis = "This key signs no more, but mail it signed is still under way: keep its record until " + *r.KeepUntil + ". " + r.Diagnosis
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
		in.nothing(ctx, r, err, dns.Look{})
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
	if r.set(RecordMismatch, "Bounces would go to another server: its MX is not "+in.hostname+"."); in.wildHost(ctx, r, list) {
		r.Diagnosis += " " + wildReturnPath
	}
}

// judgeHost looks at a name without MX: it is its own exchanger (RFC 5321 §5.1).
func (in *inspection) judgeHost(ctx context.Context, r *Record, without error) {
	addrs, alias, err := in.ask.Addresses(ctx, r.FQDN)
	us, doubt := in.leadsToUs(addrs, alias)
	if alias != "" {
		r.show([]string{aliasFound + alias})
	} else {
		r.show(textsOf(addrs))
	}
	switch {
	case err == nil && us:
		in.rp.aIsUs = true
		r.set(RecordFound, "")
	case err == nil && doubt != nil:
		in.nothing(ctx, r, doubt, dns.Look{})
	case err == nil:
		in.judgeAddress(ctx, r)
	case errors.Is(err, dns.ErrTemporary):
		in.nothing(ctx, r, err, dns.Look{})
	default:
		in.nothing(ctx, r, without, dns.Look{})
	}
}

const wildReturnPath = "A wildcard record answers there as it does for every name: this record still has to be made, and then goes before it."

// judgeAddress tells of a name with addresses that are not ours: a wildcard's, or those a
// provider gives out in place of the alias that was entered.
func (in *inspection) judgeAddress(ctx context.Context, r *Record) {
	why := "Bounces would go to another server: the name has an address, but it is not " + in.hostname + "'s. "
	if in.wildHost(ctx, r, nil) {
		r.set(RecordMismatch, why+wildReturnPath)
		return
	}
	r.set(RecordMismatch, why+"If you entered a CNAME, your provider replaces it by addresses of its own (CNAME flattening, or a proxy): turn that off for this name, or publish the MX record instead.")
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
	return in.leadsToUs(addrs, alias)
}

// leadsToUs tells whether addresses, or the name they stand at, are ours.
func (in *inspection) leadsToUs(addrs []netip.Addr, alias string) (bool, error) {
	if strings.EqualFold(alias, in.hostname) {
		return true, nil
	}
	if in.doubt {
		return false, dns.ErrTemporary
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(in.ours, a) }), nil
}

// aliasFound is before the target of an alias that stands where another record could.
const aliasFound = "CNAME "

func textsOf(addrs []netip.Addr) (texts []string) {
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

// judgeSPF looks at the return path's record, which is the one receivers ask for, or at
// the domain's own, which is advice.
func (in *inspection) judgeSPF(ctx context.Context, r *Record) {
	l, ok := in.look(ctx, r)
	if !ok {
		if r.Host == "@" && r.State == RecordMissing && l.Alias == "" {
			in.optional(ctx, r)
		}
		return
	}
	state, diagnosis := judgeSPF(ctx, in.ask, r.FQDN, in.hostname, in.ours, l.Texts)
	switch {
	case state == RecordMissing && l.Alias != "":
		r.set(state, aliased(r, l.Alias)+", whose records count: it has no SPF record. Your provider may offer to flatten the alias (ALIAS, ANAME), so that the name can have records of its own.")
	case state == RecordMissing && r.Host == "@":
		in.optional(ctx, r)
	case state == RecordMissing:
		in.nothing(ctx, r, dns.ErrNoData, l)
	case state == RecordMismatch && in.doubt && len(spfOf(l.Texts)) == 1:
		r.set(RecordUnknown, "The addresses of "+in.hostname+" could not be looked up. Nothing is concluded from that; it will be asked again.")
	default:
		r.set(state, diagnosis)
	}
}

// optional is the verdict on a domain without SPF of its own.
func (in *inspection) optional(ctx context.Context, r *Record) {
	r.set(RecordMissing, "There is no SPF record. Receivers look for it at the return path, so it is optional here.")
	r.verdict = CheckPass
	if zone, found := in.tooLow(ctx, r); found {
		r.Diagnosis += " One is at " + r.FQDN + "." + zone + ": your provider added the domain a second time."
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

// dkim is pass when a record is there that the domain is verified by, fail when certainly none is.
func (f *findings) dkim(d *Domain) string {
	verdict := CheckFail
	for i := range f.records {
		r := &f.records[i]
		if r.Purpose != purposeDKIM || !r.carries {
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

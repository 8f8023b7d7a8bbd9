package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/dns"
)

// DMARC is what the published policy comes to for mail of a domain (RFC 9989): whose
// record holds, what it asks for, and whether our two proofs count as the domain's.
type DMARC struct {
	Policy  string    `json:"policy"`                // "none", "quarantine" or "reject"
	Tag     string    `json:"tag"`                   // "p", "sp" or "np": where the record says so
	FoundAt string    `json:"found_at"`              // the domain whose record it is
	Org     string    `json:"organizational_domain"` // two names align when theirs is the same
	Testing bool      `json:"testing"`               // t=y: receivers are asked not to act yet
	DKIM    Alignment `json:"dkim"`                  // of our signature's d=
	SPF     Alignment `json:"spf"`                   // of our return path
}

// Alignment is whether a proof counts for the domain in From.
type Alignment struct {
	Domain  string `json:"domain"`
	Mode    string `json:"mode"` // "relaxed" or "strict", as the record says
	Aligned bool   `json:"aligned"`
	Unknown bool   `json:"unknown,omitempty"` // nobody could say
}

// dmarcRecord is one policy record as published. Values that cannot be are left "".
type dmarcRecord struct {
	policies             map[string]string // of p, sp and np, those given; "" where it is none we know
	psd                  string            // "y", "n" or "u"
	strictDKIM           bool
	strictSPF            bool
	testing, reports, pc bool // t=y; rua given; pct given
}

// readDMARC reads one text; nil: it is no policy record. The version stands first
// (RFC 9989 §4.8).
func readDMARC(text string) *dmarcRecord {
	first, _, _ := strings.Cut(text, ";")
	name, version, _ := strings.Cut(first, "=")
	if strings.TrimRight(name, " \t") != "v" || strings.Trim(version, " \t") != "DMARC1" {
		return nil
	}
	got := tags(text)
	r := &dmarcRecord{policies: map[string]string{}, psd: "u"}
	for _, tag := range []string{"p", "sp", "np"} {
		if value, given := got[tag]; given {
			if value = strings.ToLower(value); value != "none" && value != "quarantine" && value != "reject" {
				value = ""
			}
			r.policies[tag] = value
		}
	}
	if psd := strings.ToLower(got["psd"]); psd == "y" || psd == "n" {
		r.psd = psd
	}
	r.strictDKIM, r.strictSPF = strings.EqualFold(got["adkim"], "s"), strings.EqualFold(got["aspf"], "s")
	r.testing, r.reports = strings.EqualFold(got["t"], "y"), strings.Contains(got["rua"], ":")
	_, r.pc = got["pct"]
	return r
}

// policyRecord picks the policy record from the texts of a name: nil when there is none, or
// more than one, which count as none (RFC 9989 §4.10, step 2).
func policyRecord(texts []string) (r *dmarcRecord, several int) {
	for _, text := range texts {
		if next := readDMARC(text); next != nil {
			r = next
			several++
		}
	}
	if several > 1 {
		return nil, several
	}
	return r, several
}

// policy is what the record asks for: of the domain it stands at, or of one below that
// exists in the DNS or does not (RFC 9989 §4.10.1). valid is false where receivers do
// not apply it at all.
func (r *dmarcRecord) policy(own, exists bool) (policy, tag string, valid bool) {
	for _, value := range r.policies {
		if value == "" { // one cannot be read: as if it were none, but only for who wants reports
			return "none", "p", r.reports
		}
	}
	order := []string{"p"}
	switch {
	case !own && exists:
		order = []string{"sp", "p"}
	case !own:
		order = []string{"np", "sp", "p"}
	}
	for _, tag := range order {
		if value, given := r.policies[tag]; given {
			return value, tag, true
		}
	}
	return "none", "p", true
}

// treeTop is one record found on the way up.
type treeTop struct {
	domain string
	record *dmarcRecord
}

// treeNames are the names whose records a walk from domain looks at: itself and those
// above it, at most eight (RFC 9989 §4.10, steps 3 and 4).
func treeNames(domain string) []string {
	labels := strings.Split(domain, ".")
	list := []string{domain}
	for n := min(len(labels)-1, 7); n > 0; n-- {
		list = append(list, strings.Join(labels[len(labels)-n:], "."))
	}
	return list
}

// tree walks up the DNS, asking each name once however many walks come by.
type tree struct {
	ask   func(ctx context.Context, name string) ([]string, error)
	known map[string]*dmarcRecord
}

// climb finds the policy records at and above a domain, longest name first. An error
// is that of a name about which nobody could say.
func (t *tree) climb(ctx context.Context, domain string) (found []treeTop, err error) {
	for _, name := range treeNames(domain) {
		record, known := t.known[name]
		if !known {
			texts, err := t.ask(ctx, "_dmarc."+name)
			if err != nil && !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
				return found, err
			}
			record, _ = policyRecord(texts)
			t.known[name] = record
		}
		if record == nil {
			continue
		}
		found = append(found, treeTop{name, record})
		if record.psd != "u" {
			break
		}
	}
	return found, nil
}

// organization picks the Organizational Domain of a domain from what climb found
// (RFC 9989 §4.10.2).
func organization(domain string, found []treeTop) string {
	for _, top := range found {
		if top.record.psd == "n" {
			return top.domain
		}
		if top.record.psd == "y" && top.domain != domain {
			below := strings.TrimSuffix(domain, "."+top.domain)
			return below[strings.LastIndexByte(below, '.')+1:] + "." + top.domain
		}
	}
	if len(found) > 0 {
		return found[len(found)-1].domain
	}
	return domain
}

// holding picks the record that holds for a domain: its own, that of its Organizational
// Domain, that of the public suffix above (RFC 9989 §4.10.1).
func holding(domain, org string, found []treeTop) *treeTop {
	for _, name := range []string{domain, org} {
		if i := slices.IndexFunc(found, func(t treeTop) bool { return t.domain == name }); i >= 0 {
			return &found[i]
		}
	}
	if last := len(found) - 1; last >= 0 && found[last].record.psd == "y" {
		return &found[last]
	}
	return nil
}

// judgeDMARC finds the policy that holds for the domain and whether our proofs align.
func (in *inspection) judgeDMARC(ctx context.Context, r *Record) {
	own, ok := in.texts(ctx, r)
	if !ok && r.State == RecordUnknown {
		return
	}
	record, several := policyRecord(own)
	if several > 1 {
		r.set(RecordMismatch, fmt.Sprintf("There are %d DMARC records. Receivers then use none: keep one.", several))
		return
	}
	t := &tree{known: map[string]*dmarcRecord{in.domain.Name: record}, ask: func(ctx context.Context, name string) ([]string, error) {
		texts, _, err := in.ask.TXT(ctx, name)
		return texts, err
	}}
	found, err := t.climb(ctx, in.domain.Name)
	org := organization(in.domain.Name, found)
	top := holding(in.domain.Name, org, found)
	switch {
	case err != nil && record == nil:
		r.set(RecordUnknown, "The domain has no DMARC record of its own, and those above it could not be looked up ("+cause(err)+"). It will be asked again.")
		return
	case top == nil && ok:
		in.nothing(ctx, r, dns.ErrNoData, dns.Look{})
		return
	case top == nil:
		return
	}
	in.weighDMARC(ctx, r, t, top, org, err != nil)
}

// weighDMARC tells what the record that holds comes to.
func (in *inspection) weighDMARC(ctx context.Context, r *Record, t *tree, top *treeTop, org string, doubt bool) {
	own := top.domain == in.domain.Name
	policy, tag, valid := top.record.policy(own, own || in.exists(ctx))
	if !valid {
		r.set(RecordMismatch, "The DMARC record of "+top.domain+" has no policy that receivers know: p must be none, quarantine or reject. They ignore the record.")
		return
	}
	d := &DMARC{Policy: policy, Tag: tag, FoundAt: top.domain, Org: org, Testing: top.record.testing,
		DKIM: Alignment{Domain: in.domain.Name, Mode: mode(top.record.strictDKIM), Aligned: true}} // d= is the domain in From itself
	d.SPF = in.alignSPF(ctx, t, top.record, org, doubt)
	if !own {
		if texts, _, err := in.ask.TXT(ctx, "_dmarc."+top.domain); err == nil {
			r.show(texts)
		}
	}
	r.DMARC = d
	r.set(RecordFound, d.words(in.domain, own, top.record))
	if policy == "none" || d.Testing {
		r.verdict = CheckWarn
	}
}

func mode(strict bool) string {
	if strict {
		return "strict"
	}
	return "relaxed"
}

// exists tells whether the domain itself stands in the DNS (RFC 8020); in doubt it does.
func (in *inspection) exists(ctx context.Context) bool {
	_, _, err := in.ask.TXT(ctx, in.domain.Name)
	return !errors.Is(err, dns.ErrNotFound)
}

// alignSPF compares the return path that mail leaves with, the domain's own or, where that
// does not work, ours.
func (in *inspection) alignSPF(ctx context.Context, t *tree, record *dmarcRecord, org string, doubt bool) Alignment {
	works := in.rp.mxIsUs || in.rp.aIsUs || in.rp.unknown && in.domain.ReturnPathOK
	a := Alignment{Domain: in.hostname, Mode: mode(record.strictSPF)}
	if works {
		a.Domain = in.domain.ReturnPath + "." + in.domain.Name
	}
	if record.strictSPF {
		a.Aligned = a.Domain == in.domain.Name
		return a
	}
	found, err := t.climb(ctx, a.Domain)
	if a.Unknown = doubt || err != nil; !a.Unknown {
		a.Aligned = organization(a.Domain, found) == org
	}
	return a
}

// words tells people what the policy means for them and what to do next.
func (d *DMARC) words(domain *Domain, own bool, record *dmarcRecord) string {
	var say []string
	if !own {
		say = append(say, fmt.Sprintf("It has none of its own; the policy of %s holds (%s=%s).", short(d.FoundAt), d.Tag, d.Policy))
	}
	if d.Tag == "np" {
		say = append(say, "The domain has no record of any kind at its own name, so receivers take it for one that does not exist.")
	}
	if _, given := record.policies["p"]; !given {
		say = append(say, "The record has no p: receivers read that as none, older ones ignore the record. Write p first.")
	}
	switch {
	case d.Policy == "none":
		say = append(say, d.Tag+"=none only watches. Once the reports look right, ask for quarantine or reject.")
	case d.Testing:
		say = append(say, "t=y asks receivers not to act on it yet. Take it out once the reports look right.")
	}
	switch {
	case d.SPF.Aligned || d.SPF.Unknown:
	case d.SPF.Mode == "strict":
		say = append(say, "aspf=s wants the return path to be the domain itself, which "+short(d.SPF.Domain)+" is not: only DKIM makes DMARC pass. Without aspf both do.")
	case d.SPF.Domain == domain.ReturnPath+"."+domain.Name:
		say = append(say, "The return path "+short(d.SPF.Domain)+" counts as another organization's: only DKIM makes DMARC pass.")
	default:
		say = append(say, "Mail leaves with the return path "+short(d.SPF.Domain)+", which is not the domain's: only DKIM makes DMARC pass. The return path's MX record mends that.")
	}
	if record.pc {
		say = append(say, "pct is not part of DMARC any more (RFC 9989): take it out.")
	}
	return strings.Join(say, " ")
}

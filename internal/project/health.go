package project

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	healthTime     = 30 * 24 * time.Hour // how far back health looks
	healthMessages = 10_000              // of the domain; more are not read
	healthFew      = 100                 // recipients below which a rate says nothing worth advice

	bouncesTolerated    = 0.05  // what most receivers begin to mind
	complaintsTolerated = 0.001 // Gmail and Yahoo ask for less than 0.1 %, and never 0.3 %
)

// Traffic is what became of a domain's newest live mail. All but Messages count recipients.
type Traffic struct {
	Messages   int64
	Recipients int64
	Cut        bool      // a bound ended the walk before the time asked for
	Oldest     time.Time // how far the walk came: when the oldest message looked at was made, whoever's domain
	Statuses   map[mail.Status]int64
	Bounces    map[mail.Class]int64

	// Of the recipients whose mail a site took, by what the attempt recorded:
	Taken       int64
	Signed      int64            // by us: d= is always the domain of From
	Selectors   map[string]int64 // the keys; mail signed twice counts for both
	ReturnPaths map[string]int64 // domain of the envelope's sender, where the transcript has it
	Encrypted   int64
	Verified    int64 // encrypted, and the certificate was good for the host
}

// Rate is a share; without a Denominator there is none.
type Rate struct{ Numerator, Denominator int64 }

// Value is 0 where there is none.
func (r Rate) Value() float64 {
	if r.Denominator == 0 {
		return 0
	}
	return float64(r.Numerator) / float64(r.Denominator)
}

func (r Rate) rest() int64 { return r.Denominator - r.Numerator }

// Delivery is the share of what ended that a site took and did not send back.
func (t *Traffic) Delivery() Rate {
	s := t.Statuses
	took := s[mail.Delivered] + s[mail.Complained]
	return Rate{took, took + s[mail.Bounced] + s[mail.Expired] + s[mail.Failed]}
}

// Bounce is the share that came back of what sites took or refused.
func (t *Traffic) Bounce() Rate {
	s := t.Statuses
	return Rate{s[mail.Bounced], s[mail.Delivered] + s[mail.Complained] + s[mail.Bounced]}
}

// Complaint is the share called spam of what arrived.
func (t *Traffic) Complaint() Rate {
	s := t.Statuses
	return Rate{s[mail.Complained], s[mail.Delivered] + s[mail.Complained]}
}

// Health is how a domain's mail fares.
type Health struct {
	Domain     Domain
	From, To   time.Time // what was looked at
	Traffic    Traffic
	DKIM, SPF  Rate
	DMARC      *DMARC // as the last check found it; nil: none
	Advice     []string
	returnPath string // one that did not align
}

// Health looks at the live mail of a domain in the last 30 days, at most the newest
// 10,000 messages: what became of it and whether it aligned. It reads what attempts
// recorded; receivers' own findings (DMARC reports) and blocklists are not asked.
func (s *Domains) Health(ctx context.Context, project int64, ref string) (Health, error) {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return Health{}, err
	}
	now := s.now()
	h := Health{Domain: d, From: now.Add(-healthTime), To: now}
	if h.Traffic, err = s.store.HealthOfDomain(ctx, project, d.Name, h.From, healthMessages); err != nil {
		return Health{}, err
	}
	if h.Traffic.Cut {
		h.From = h.Traffic.Oldest
	}
	for _, r := range s.Records(d) {
		if r.DMARC != nil {
			h.DMARC = r.DMARC
		}
	}
	h.align()
	h.Advice = h.advise()
	return h, nil
}

// align judges what attempts recorded as DMARC does (RFC 9989 §5.3): of signatures d= is
// the domain of From, which aligns in either mode; return paths by the mode asked for.
func (h *Health) align() {
	h.DKIM = Rate{h.Traffic.Signed, h.Traffic.Taken}
	org, strict := h.Domain.Name, false
	if h.DMARC != nil {
		org, strict = cmp.Or(h.DMARC.Org, org), h.DMARC.SPF.Mode == mode(true)
	}
	for _, path := range slices.Sorted(maps.Keys(h.Traffic.ReturnPaths)) {
		n := h.Traffic.ReturnPaths[path]
		h.SPF.Denominator += n
		if path == h.Domain.Name || !strict && (path == org || strings.HasSuffix(path, "."+org)) {
			h.SPF.Numerator += n
		} else {
			h.returnPath = path
		}
	}
}

// advise says what to do, the worst first.
func (h *Health) advise() []string {
	say := []string{}
	add := func(when bool, format string, args ...any) {
		if when {
			say = append(say, fmt.Sprintf(format, args...))
		}
	}
	d, t := &h.Domain, &h.Traffic
	add(!d.CanSend(), "The domain is %s, so no live mail leaves from it. GET /v1/domains/%s/dns tells which record is missing; POST …/verify checks again.", d.Status, d.Name)
	add(t.Recipients == 0, "No live mail of the domain was found in this time: there is nothing to judge yet.")
	add(h.DKIM.rest() > 0, "%d of %d left without our DKIM signature: the domain was not verified then. Keep its DKIM records in place; what is sent while it is verified is signed.", h.DKIM.rest(), h.DKIM.Denominator)
	h.adviseSPF(add)
	add(h.DMARC == nil, "No DMARC policy was found at the last check: publish the TXT record at _dmarc.%s that GET /v1/domains/%s/dns shows.", d.Name, d.Name)
	bounce, complaint := t.Bounce(), t.Complaint()
	add(bounce.Denominator >= healthFew && bounce.Value() > bouncesTolerated,
		"%.1f%% bounced, most of them as %s; receivers mind more than 5%%. Write only to addresses whose owners confirmed them, and take out those that bounce.", 100*bounce.Value(), t.worst())
	add(complaint.Denominator >= healthFew && complaint.Value() > complaintsTolerated,
		"%.2f%% were reported as spam; large receivers ask for less than 0.1%%. Write only to who asked for it, and make it easy to unsubscribe.", 100*complaint.Value())
	blocked := t.Bounces[mail.ClassReputation] + t.Bounces[mail.ClassBlocklisted]
	add(blocked > 0, "%d bounced for the reputation of the sending address or a blocklist. The replies in those messages' attempts name the list and how to be taken off.", blocked)
	add(t.Bounces[mail.ClassAuth] > 0, "%d bounced because the receiver could not authenticate them. Compare the published records: POST /v1/domains/%s/verify.", t.Bounces[mail.ClassAuth], d.Name)
	plain := t.Taken - t.Encrypted
	add(plain > 0 && d.TLS != "required", "%d of %d went in clear, to sites without TLS. PATCH the domain with tls 'required' if such mail must rather not be sent.", plain, t.Taken)
	return say
}

func (h *Health) adviseSPF(add func(when bool, format string, args ...any)) {
	d, own := &h.Domain, h.Domain.ReturnPath+"."+h.Domain.Name
	misses := h.SPF.rest()
	switch {
	case misses == 0:
	case h.returnPath == own:
		add(true, "%d of %d left with the return path %s, and the DMARC record's aspf=s wants the domain itself: take aspf out of it.", misses, h.SPF.Denominator, own)
	case d.ReturnPathOK:
		add(true, "%d of %d left with a return path that is not the domain's (%s), before %s worked. It works now: nothing is to be done.", misses, h.SPF.Denominator, h.returnPath, own)
	default:
		add(true, "%d of %d left with a return path that is not the domain's (%s), so SPF does not count for it. Publish the MX and SPF records of %s.", misses, h.SPF.Denominator, h.returnPath, own)
	}
}

// worst is the class most bounces have.
func (t *Traffic) worst() mail.Class {
	worst := mail.ClassOther
	for _, class := range slices.Sorted(maps.Keys(t.Bounces)) {
		if t.Bounces[class] > t.Bounces[worst] {
			worst = class
		}
	}
	return worst
}

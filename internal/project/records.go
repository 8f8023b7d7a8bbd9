package project

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/dns"
)

// Record is one DNS record a sending domain needs or should have, and what the last
// check found in its place. Its JSON is what GET /v1/domains/{domain}/dns shows.
type Record struct {
	Purpose  string `json:"purpose"`  // "DKIM", "RETURN_PATH", "SPF", "DMARC"
	Required bool   `json:"required"` // without it the domain is not verified
	Type     string `json:"type"`     // "TXT", "MX"
	Host     string `json:"host"`     // what to type at a provider that adds the zone; "@" is the domain itself
	FQDN     string `json:"fqdn"`
	Value    string `json:"value"`
	TTL      int    `json:"ttl"` // seconds, our advice

	Found     []string `json:"found"` // what is published there; others' text, made printable
	State     string   `json:"state"`
	Diagnosis string   `json:"diagnosis"`          // what is wrong and the fix; empty when nothing is
	Resolver  string   `json:"resolver,omitempty"` // the name server that said so
	CheckedAt *string  `json:"checked_at"`         // RFC 3339 in UTC with milliseconds; nil: never

	KeepUntil *string `json:"keep_until,omitempty"` // of a key that signs no more: until then its record is needed
	DMARC     *DMARC  `json:"dmarc,omitempty"`      // what the policy comes to, where there is one

	key     int    // of Domain.Keys, for DKIM
	carries bool   // finding it verifies the domain
	verdict string // where it is not what State says
}

// What a check made of a record.
const (
	RecordUnchecked = "unchecked"
	RecordFound     = "found"
	RecordMissing   = "missing"  // certain: the name servers said that there is none
	RecordMismatch  = "mismatch" // there is something else
	RecordUnknown   = "unknown"  // nobody could say; the last known state counts
)

// The purposes of records.
const (
	purposeDKIM       = "DKIM"
	purposeReturnPath = "RETURN_PATH"
	purposeSPF        = "SPF"
	purposeDMARC      = "DMARC"
)

const recordTTL = 3600

// Records tells what the domain's zone should have, with what the last check found.
func (s *Domains) Records(d Domain) []Record {
	records := s.expected(&d)
	var last []Record
	if len(d.Records) == 0 || json.Unmarshal(d.Records, &last) != nil {
		return records
	}
	for i := range records {
		for j := range last {
			if r, was := &records[i], &last[j]; r.FQDN == was.FQDN && r.Type == was.Type && r.Value == was.Value {
				r.Found, r.State, r.Diagnosis, r.Resolver, r.CheckedAt, r.DMARC = was.Found, was.State, was.Diagnosis, was.Resolver, was.CheckedAt, was.DMARC
			}
		}
	}
	return records
}

// expected lists the records, unchecked: DKIM for each key, the return path with its
// SPF, and two pieces of advice.
func (s *Domains) expected(d *Domain) []Record {
	var records []Record
	add := func(purpose, kind, host, value string, required bool, key int) {
		fqdn := host + "." + d.Name
		if host == "@" {
			fqdn = d.Name
		}
		records = append(records, Record{
			Purpose: purpose, Required: required, Type: kind, Host: host, FQDN: fqdn, Value: value, TTL: recordTTL,
			Found: []string{}, State: RecordUnchecked, key: key,
		})
	}
	for i := range d.Keys {
		k := &d.Keys[i]
		if k.State == KeyRetired && !k.KeepUntil.After(s.now()) {
			continue
		}
		add(purposeDKIM, "TXT", k.Selector+"._domainkey", k.Record(), d.needs(k), i)
		r := &records[len(records)-1]
		r.carries = d.carries(k)
		if k.State == KeyRetired {
			until := stamp(k.KeepUntil)
			r.KeepUntil = &until
		}
	}
	add(purposeReturnPath, "MX", d.ReturnPath, "10 "+s.hostname, false, -1)
	add(purposeSPF, "TXT", d.ReturnPath, "v=spf1 a:"+s.hostname+" ~all", false, -1)
	add(purposeSPF, "TXT", "@", "v=spf1 a:"+s.hostname+" ~all", false, -1)
	add(purposeDMARC, "TXT", "_dmarc", "v=DMARC1; p=none", false, -1)
	return records
}

// carries tells whether the domain is verified by the key's record: an RSA key's, or, in a
// domain without any, an Ed25519 key's, which some big receivers do not verify. An RSA key
// that is yet to join the Ed25519 one does not count as being there.
func (d *Domain) carries(k *DKIMKey) bool {
	switch {
	case k.State == KeyRetired:
		return false
	case k.isRSA():
		return true
	}
	return !slices.ContainsFunc(d.Keys, func(o DKIMKey) bool {
		return o.isRSA() && o.State != KeyRetired && !(o.Rotated && o.waits())
	})
}

// needs is carries for those who publish: while another key of its kind signs, the record
// of the one that is to follow can wait.
func (d *Domain) needs(k *DKIMKey) bool {
	return d.carries(k) && (k.State == KeyActive || !slices.ContainsFunc(d.Keys, func(o DKIMKey) bool {
		return o.State == KeyActive && d.carries(&o)
	}))
}

// stamp is a time as records show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// show keeps what was found, fit to be shown: at most ten texts of 1 KB.
func (r *Record) show(found []string) {
	r.Found = make([]string, 0, len(found))
	for _, text := range found[:min(len(found), 10)] {
		r.Found = append(r.Found, dns.Printable(text, 1024))
	}
}

// set tells what a check made of the record.
func (r *Record) set(state, diagnosis string) {
	r.State, r.Diagnosis = state, strings.TrimSpace(diagnosis)
}

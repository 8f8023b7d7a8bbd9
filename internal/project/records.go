package project

import (
	"strings"

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

	key     int    // of Domain.Keys, for DKIM
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
				r.Found, r.State, r.Diagnosis, r.Resolver, r.CheckedAt = was.Found, was.State, was.Diagnosis, was.Resolver, was.CheckedAt
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
		if k := &d.Keys[i]; k.State != KeyRetired {
			add(purposeDKIM, "TXT", k.Selector+"._domainkey", k.Record(), d.needs(k), i)
		}
	}
	add(purposeReturnPath, "MX", d.ReturnPath, "10 "+s.hostname, false, -1)
	add(purposeSPF, "TXT", d.ReturnPath, "v=spf1 a:"+s.hostname+" ~all", false, -1)
	add(purposeSPF, "TXT", "@", "v=spf1 a:"+s.hostname+" ~all", false, -1)
	add(purposeDMARC, "TXT", "_dmarc", "v=DMARC1; p=none", false, -1)
	return records
}

// needs tells whether the domain is verified by the key's record: an RSA key's, or, in a
// domain without any, an Ed25519 key's, which some big receivers do not verify.
func (d *Domain) needs(k *DKIMKey) bool {
	if k.isRSA() {
		return true
	}
	for i := range d.Keys {
		if d.Keys[i].isRSA() && d.Keys[i].State != KeyRetired {
			return false
		}
	}
	return true
}

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

package project

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/dns"
)

// How an SPF record is judged (RFC 7208): read, with everything it includes, into a tree,
// counting what a receiver would have to ask; then tried with each of our addresses, as
// a receiver would. A receiver stops at the first match and may be spared some questions;
// we count all, since the next sender may need them.

const (
	maxLookups = 10 // questions a record may cost a receiver, RFC 7208 §4.6.4
	maxVoids   = 2  // of them without an answer, likewise
	maxMX      = 10 // hosts behind one mx, likewise
	walkLimit  = 30 // where we stop counting
)

// names answers what a walk asks: [dns.Fresh].
type names interface {
	TXT(ctx context.Context, name string) (texts []string, server string, err error)
	MX(ctx context.Context, name string) (list []dns.MX, server string, err error)
	Addresses(ctx context.Context, host string) (addrs []netip.Addr, alias string, err error)
}

// spfRecord is one record with what it leads to.
type spfRecord struct {
	terms    []spfTerm
	redirect *spfRecord
}

// spfTerm is one mechanism.
type spfTerm struct {
	passes   bool // what a match means
	all      bool // it matches whoever sends
	us       bool // it names our host
	networks []netip.Prefix
	include  *spfRecord
}

// spfWalk reads one record of one name.
type spfWalk struct {
	ask      names
	hostname string // ours

	lookups int
	costs   []string // of the record's own terms, the dear ones
	voids   []string // names that led nowhere
	trouble string   // the first permanent error, in words
	advice  string
	doubt   string // a name about which nobody could say
	path    []string
}

func isSPF(text string) bool {
	first, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(first, "v=spf1")
}

// spfOf picks the SPF records from the texts of a name.
func spfOf(texts []string) (records []string) {
	for _, text := range texts {
		if isSPF(text) {
			records = append(records, strings.ToLower(text))
		}
	}
	return records
}

// judgeSPF looks at the SPF records of a name, for mail that leaves from our addresses.
func judgeSPF(ctx context.Context, ask names, name, hostname string, ours []netip.Addr, texts []string) (state, diagnosis string) {
	records := spfOf(texts)
	switch len(records) {
	case 0:
		return RecordMissing, ""
	case 1:
	default:
		return RecordMismatch, fmt.Sprintf("There are %d SPF records. Receivers then use none (a permanent error): make them one.", len(records))
	}
	w := &spfWalk{ask: ask, hostname: hostname}
	tree := w.read(ctx, name, records[0])
	switch {
	case w.lookups > maxLookups:
		return RecordMismatch, w.tooMany()
	case w.trouble != "":
		return RecordMismatch, w.trouble + " Receivers stop there with a permanent error."
	case len(w.voids) > maxVoids:
		return RecordMismatch, fmt.Sprintf("%d names in the SPF record lead nowhere (%s); receivers stop after %d with a permanent error. Take them out.", len(w.voids), list(w.voids), maxVoids)
	}
	covered, bare := w.covers(tree, ours)
	switch {
	case len(bare) == 0:
		return RecordFound, w.advice
	case w.doubt != "":
		return RecordUnknown, "The SPF record refers to " + short(w.doubt) + ", which could not be looked up. Nothing is concluded from that; it will be asked again."
	case len(covered) > 0:
		return RecordFound, strings.TrimSpace("The SPF record covers " + list(covered) + ", but not " + list(bare) + ". " + w.advice)
	}
	return RecordMismatch, strings.TrimSpace("The SPF record does not name this server. Put 'a:" + hostname + "' in front of its 'all'. " + w.advice)
}

func (w *spfWalk) tooMany() string {
	count := strconv.Itoa(w.lookups)
	if w.lookups > walkLimit {
		count = "more than " + strconv.Itoa(walkLimit)
	}
	why := ""
	if len(w.costs) > 0 {
		why = " (" + list(w.costs) + ")"
	}
	return fmt.Sprintf("The SPF record asks for %s look-ups%s; receivers stop at %d with a permanent error. Take out what no longer sends.", count, why, maxLookups)
}

// list names at most three things.
func list(things []string) string {
	shown := make([]string, 0, 4)
	for _, t := range things[:min(len(things), 3)] {
		shown = append(shown, short(t))
	}
	if len(things) > 3 {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// read makes the tree of a record of name.
func (w *spfWalk) read(ctx context.Context, name, text string) *spfRecord {
	w.path = append(w.path, name)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	r := &spfRecord{}
	redirect, hasAll := "", false
	for _, term := range strings.Fields(text)[1:] {
		if w.lookups > walkLimit {
			return r
		}
		before := w.lookups
		if modifier, value, ok := modifierOf(term); ok {
			if modifier == "redirect" {
				redirect = value
			} else if slices.Contains(mechanisms, modifier) && w.advice == "" {
				w.advice = "'" + short(term) + "' has no effect: write it with a colon."
			}
			continue
		}
		t := w.term(ctx, name, term)
		hasAll = hasAll || t.all
		r.terms = append(r.terms, t)
		if cost := w.lookups - before; len(w.path) == 1 && cost > 1 {
			w.costs = append(w.costs, fmt.Sprintf("%s costs %d", short(term), cost))
		}
	}
	if redirect != "" && !hasAll { // RFC 7208 §6.1
		w.lookups++
		r.redirect = w.follow(ctx, "redirect="+redirect, redirect)
	}
	return r
}

var mechanisms = []string{"all", "a", "mx", "ptr", "include", "exists", "ip4", "ip6"}

// modifierOf reads "name=value", which is told from a mechanism by what stands first.
func modifierOf(term string) (name, value string, ok bool) {
	at := strings.IndexAny(term, "=:/")
	if at <= 0 || term[at] != '=' {
		return "", "", false
	}
	return term[:at], term[at+1:], true
}

// term reads one mechanism and asks what it refers to.
func (w *spfWalk) term(ctx context.Context, name, term string) spfTerm {
	t := spfTerm{passes: !strings.ContainsAny(term[:1], "-~?")}
	rest := strings.TrimLeft(term[:1], "+-~?") + term[1:]
	mechanism, value := rest, ""
	if at := strings.IndexAny(rest, ":/"); at >= 0 {
		mechanism, value = rest[:at], strings.TrimPrefix(rest[at:], ":")
	}
	switch mechanism {
	case "all":
		t.all = true
	case "ip4", "ip6":
		t.networks = w.network(term, mechanism, value)
	case "a", "mx":
		w.lookups++
		w.host(ctx, &t, mechanism, name, term, value)
	case "include":
		w.lookups++
		t.include = w.follow(ctx, term, value)
	case "exists":
		w.lookups++
		if !strings.Contains(value, "%") && value != "" {
			t.all = len(w.addresses(ctx, value)) > 0
		}
	case "ptr":
		w.lookups++
		w.advice = "'ptr' is slow and must not be used any more (RFC 7208 §5.5): take it out."
	default:
		w.fail(term, "cannot be read")
	}
	return t
}

// fail keeps the first permanent error.
func (w *spfWalk) fail(term, why string) {
	if w.trouble == "" {
		w.trouble = "In the SPF record '" + short(term) + "' " + why + "."
	}
}

func (w *spfWalk) network(term, mechanism, value string) []netip.Prefix {
	prefix, err := netip.ParsePrefix(value)
	if addr, addrErr := netip.ParseAddr(value); addrErr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4() != (mechanism == "ip4") {
		w.fail(term, "cannot be read: an "+mechanism+" address is missing")
		return nil
	}
	return []netip.Prefix{prefix.Masked()}
}

// host fills in what "a" and "mx" stand for: "a", "a/24", "a:host", "a:host/24//64".
func (w *spfWalk) host(ctx context.Context, t *spfTerm, mechanism, name, term, value string) {
	host, lengths, _ := strings.Cut(value, "/")
	if host == "" {
		host = name
	}
	four, six, ok := prefixLengths(lengths, strings.Contains(value, "/"))
	if !ok {
		w.fail(term, "has a prefix length that cannot be")
		return
	}
	if strings.Contains(host, "%") { // a macro: what it stands for, only a receiver knows
		return
	}
	hosts := []string{host}
	if mechanism == "mx" {
		hosts = w.exchangers(ctx, term, host)
	}
	for _, h := range hosts {
		t.us = t.us || strings.EqualFold(strings.TrimSuffix(h, "."), w.hostname)
		for _, addr := range w.addresses(ctx, h) {
			bits := six
			if addr.Is4() {
				bits = four
			}
			if prefix, err := addr.Prefix(bits); err == nil {
				t.networks = append(t.networks, prefix)
			}
		}
	}
}

// prefixLengths reads "24", "24//64" and "/64" (what follows the first slash).
func prefixLengths(text string, given bool) (four, six int, ok bool) {
	four, six = 32, 128
	if !given {
		return four, six, true
	}
	text4, text6, dual := strings.Cut(text, "/")
	if dual {
		text6 = strings.TrimPrefix(text6, "/")
	}
	var err4, err6 error
	if text4 != "" {
		four, err4 = strconv.Atoi(text4)
	}
	if dual {
		six, err6 = strconv.Atoi(text6)
	}
	return four, six, err4 == nil && err6 == nil && (text4 != "" || dual) && four >= 0 && four <= 32 && six >= 0 && six <= 128
}

func (w *spfWalk) exchangers(ctx context.Context, term, name string) (hosts []string) {
	mx, _, err := w.ask.MX(ctx, name)
	w.nothing(name, err)
	if len(mx) > maxMX {
		w.fail(term, fmt.Sprintf("leads to %d mail exchangers, more than %d", len(mx), maxMX))
		return nil
	}
	for _, m := range mx {
		if m.Host != "." {
			hosts = append(hosts, m.Host)
		}
	}
	return hosts
}

func (w *spfWalk) addresses(ctx context.Context, host string) []netip.Addr {
	addrs, _, err := w.ask.Addresses(ctx, host)
	w.nothing(host, err)
	return addrs
}

// nothing notes a name without an answer.
func (w *spfWalk) nothing(name string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNoData):
		w.voids = append(w.voids, name)
	default:
		w.doubt = name
	}
}

// follow reads the record that an include or a redirect leads to.
func (w *spfWalk) follow(ctx context.Context, term, name string) *spfRecord {
	name = strings.TrimSuffix(name, ".")
	switch {
	case name == "":
		w.fail(term, "leads nowhere")
		return nil
	case strings.Contains(name, "%"):
		return nil
	case slices.Contains(w.path, name):
		w.fail(term, "leads back to itself")
		return nil
	case w.lookups > walkLimit:
		return nil
	}
	texts, _, err := w.ask.TXT(ctx, name)
	if err != nil && !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNoData) {
		w.doubt = name
		return nil
	}
	switch records := spfOf(texts); len(records) {
	case 1:
		return w.read(ctx, name, records[0])
	case 0:
		w.fail(term, "leads to a name without an SPF record")
	default:
		w.fail(term, fmt.Sprintf("leads to a name with %d SPF records", len(records)))
	}
	return nil
}

// covers tells which of our addresses the record lets pass. Where none is known, our
// name stands for them.
func (w *spfWalk) covers(tree *spfRecord, ours []netip.Addr) (covered, bare []string) {
	if len(ours) == 0 {
		if tree.passes(netip.Addr{}) {
			return []string{w.hostname}, nil
		}
		return nil, []string{w.hostname}
	}
	for _, addr := range ours {
		if tree.passes(addr) {
			covered = append(covered, addr.String())
		} else {
			bare = append(bare, addr.String())
		}
	}
	return covered, bare
}

// passes is check_host of RFC 7208 §4.6 with a record already read.
func (r *spfRecord) passes(addr netip.Addr) bool {
	for ; r != nil; r = r.redirect {
		for i := range r.terms {
			if t := &r.terms[i]; t.matches(addr) {
				return t.passes
			}
		}
	}
	return false
}

func (t *spfTerm) matches(addr netip.Addr) bool {
	return t.all || t.us || t.include != nil && t.include.passes(addr) ||
		slices.ContainsFunc(t.networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

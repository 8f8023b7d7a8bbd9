package v1

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// batchItem is one message of a batch with the defaults it takes.
//
// A field of the message replaces the default of the same meaning whole, whatever name
// either has; null takes the default away. A template replaces default bodies, and html or
// text replace a default template.
type batchItem struct {
	s       *sendBody
	members []namedValue // the message as it would stand alone
	own     []string     // top fields that are the message's, the others are defaults
	broken  bool         // it is no object
}

// Fields that mean the same, or stand in each other's place.
const (
	meansRecipient = 1 << iota
	meansHTML
	meansText
	meansTemplate
	meansTime
)

func meaning(name string) int {
	switch name {
	case "recipient", "to":
		return meansRecipient
	case "html", "body_html", "html_body":
		return meansHTML
	case "text", "body_text", "text_body":
		return meansText
	case "body":
		return meansHTML | meansText
	case "template", "template_version":
		return meansTemplate
	case "scheduled_time", "scheduled_at", "send_at", "send_after":
		return meansTime
	}
	return 0
}

// sharing keeps the longer texts of a batch by where they stand in the request, so that
// those of the defaults are there once and not a thousand times.
type sharing struct {
	texts map[*byte]string
	raws  map[*byte][]byte
}

const sharedFrom = 64 // bytes from which a text is worth an entry

func (s *sharing) text(v value) string {
	if s == nil || len(v) < sharedFrom {
		return v.text()
	}
	text, known := s.texts[&v[0]]
	if !known {
		text = v.text()
		s.texts[&v[0]] = text
	}
	return text
}

func (s *sharing) raw(v value) []byte {
	if s == nil {
		return v.raw()
	}
	raw, known := s.raws[&v[0]]
	if !known {
		raw = v.raw()
		s.raws[&v[0]] = raw
	}
	return raw
}

// readItem reads a message and what it takes from the defaults.
func readItem(v, defaults value, shared *sharing) *batchItem {
	keys := &httpapi.Keys{}
	item := &batchItem{s: &sendBody{r: &submit.Request{}, keys: keys, findings: findings{shared: shared}}}
	if v.kind() != '{' {
		item.broken = true
		item.s.faultAt("", "#", "invalid_type", "A message must be an object, not "+v.kindName()+".")
		item.s.finish()
		return item
	}
	said := item.readOwn(v)
	if defaults != nil {
		item.readDefaults(defaults, said)
	}
	item.s.finish()
	key, fault := keys.Key()
	if fault != nil {
		item.s.r.Faults = append(item.s.r.Faults, &mail.Error{Code: fault.Code, Field: "idempotency_key", Pointer: "#/idempotency_key", Message: fault.Message})
	}
	item.s.r.Key = key
	return item
}

// readOwn reads the message's own fields and tells what they mean.
func (b *batchItem) readOwn(v value) (said int) {
	w := v.walk()
	for {
		name, member, ok := w.next()
		if !ok {
			break
		}
		b.own = append(b.own, string(name))
		said |= meaning(string(name))
		b.members = append(b.members, namedValue{name, member})
		b.s.member(name, member)
	}
	given := func(means int) bool { return said&means != 0 }
	switch {
	case given(meansTemplate) && !given(meansHTML|meansText):
		said |= meansHTML | meansText
	case given(meansHTML|meansText) && !given(meansTemplate):
		said |= meansTemplate
	}
	return said
}

func (b *batchItem) readDefaults(defaults value, said int) {
	w := defaults.walk()
	for {
		name, member, ok := w.next()
		if !ok {
			return
		}
		n := string(name)
		if means := meaning(n); means&said != 0 || slices.Contains(b.own, n) || n == "idempotency_key" {
			continue
		}
		b.members = append(b.members, namedValue{name, member})
		b.s.member(name, member)
	}
}

// fingerprint is that of the message sent alone: so its key and that of a single send
// are the same.
func (b *batchItem) fingerprint(q url.Values) [32]byte {
	members := make([]namedValue, 0, len(b.members))
	for _, m := range b.members {
		if string(m.name) != "idempotency_key" && !m.v.isNull() {
			members = append(members, m)
		}
	}
	return fingerprintOf(http.MethodPost, "/v1/messages", q, members)
}

// tidy leaves out faults that follow from one that was told.
func (b *batchItem) tidy(faults mail.Faults) mail.Faults {
	if b.broken {
		return b.s.faults
	}
	return b.s.withoutEchoes(faults)
}

// place is the pointer to a field of the i-th message, or to the default it came from.
func (b *batchBody) place(i int, field, pointer string) string {
	rest := strings.TrimPrefix(pointer, "#")
	if top := topField(field); top != "" && b.fromDefaults(b.items[i], top) {
		return "#/defaults" + rest
	}
	return "#/messages/" + strconv.Itoa(i) + rest
}

// fromDefaults tells whether a field of an item is one of the defaults.
func (b *batchBody) fromDefaults(item *batchItem, top string) bool {
	means := meaning(top)
	same := func(name string) bool { return name == top || means != 0 && meaning(name)&means != 0 }
	if b.defaults == nil || item.broken || slices.ContainsFunc(item.own, same) {
		return false
	}
	return slices.ContainsFunc(item.members, func(m namedValue) bool { return same(string(m.name)) })
}

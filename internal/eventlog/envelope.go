package eventlog

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// MaxEnvelope is the largest envelope in bytes. What would be larger has its longest
// parts cut, and names them in data.truncated.
const MaxEnvelope = 8000

// envelope is what every event looks like to the outside: webhooks.md §2.
type envelope struct {
	ID          string  `json:"id" doc:"Of the event; the same over retries, replays and endpoints."`
	Type        string  `json:"type" doc:"What happened."`
	Timestamp   stamp   `json:"timestamp" doc:"When it happened."`
	Version     string  `json:"api_version" doc:"Of this shape."`
	ProjectID   string  `json:"project_id" doc:"Whose event it is."`
	Environment *string `json:"environment" doc:"live or test; null where the event is about something both share: domains, templates."`
	Sequence    *int    `json:"sequence" doc:"Counts within one message from 1: apply an event only if it is greater than the one you stored. Null for events about no message."`
	Position    int64   `json:"position" doc:"The place in the event log."`
	Data        any     `json:"data" doc:"What it is about."`
}

// Envelope writes an event as webhooks, the log and the stream tell it. redact leaves out
// "subject", "recipient" (also where a reply or a reason names the address) or "metadata":
// they are null then. Links begin with baseURL, which has no slash at its end.
//
// It is never larger than [MaxEnvelope], and always valid UTF-8.
func Envelope(e Entry, baseURL string, redact []string) ([]byte, error) {
	for _, limits := range squeezes {
		b, err := write(&e, baseURL, redact, limits)
		if err != nil {
			return nil, fmt.Errorf("write the envelope of %s: %w", e.ID.Text(mail.PrefixEvent), err)
		}
		if len(b) <= MaxEnvelope {
			return b, nil
		}
	}
	return nil, fmt.Errorf("write the envelope of %s: larger than %d bytes however it is cut", e.ID.Text(mail.PrefixEvent), MaxEnvelope)
}

// squeeze is how much of the longer parts an envelope keeps, in bytes; 0 is all.
type squeeze struct {
	metadata int // names and values together
	reply    int // what others wrote: replies, reasons, user agents, URLs
	own      int // what the sender wrote: subject, tags, keys
}

// squeezes are tried in order. With the last one even texts that are all escaped fit.
var squeezes = []squeeze{{}, {metadata: 3000}, {metadata: 2000, reply: 500}, {metadata: 500, reply: 200, own: 200}, {metadata: 1, reply: 80, own: 40}}

// writing is one envelope while it is made.
type writing struct {
	e      *Entry
	base   string
	redact []string
	squeeze
	truncated []string
}

func write(e *Entry, base string, redact []string, limits squeeze) ([]byte, error) {
	w := &writing{e: e, base: strings.TrimSuffix(base, "/"), redact: redact, squeeze: limits}
	out := envelope{ID: e.ID.Text(mail.PrefixEvent), Type: string(e.Type), Timestamp: stamp(e.At), Version: "v1",
		ProjectID: e.Project.Text(mail.PrefixProject), Position: e.Position}
	if !Shared(e.Type) {
		env := e.Owner.Env.String()
		out.Environment = &env
	}
	if e.Sequence > 0 {
		out.Sequence = &e.Sequence
	}
	out.Data = w.data()
	return json.Marshal(out, marshalOptions)
}

var marshalOptions = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true))

// data is what the event is about, by its type. One that cannot be told in full, because a
// newer version left it in the log, is told as far as it is understood: it must not stop
// those behind it.
func (w *writing) data() any {
	if of := messageData[w.e.Type]; of != nil {
		return of(w)
	}
	if strings.HasPrefix(string(w.e.Type), "message.") {
		return w.message()
	}
	if of := objectData[w.e.Type]; of != nil {
		if out, err := of(w); err == nil {
			return out
		}
	}
	return anything{orNull(w.ours("object", w.e.Detail.Object))}
}

type anything struct {
	Object *string `json:"object"`
}

// Shared tells whether events of a type are about something both environments of a
// project have in common: then readers of both see them.
func Shared(t mail.EventType) bool {
	return strings.HasPrefix(string(t), "domain.") || strings.HasPrefix(string(t), "template.")
}

// Seen tells whether an owner's readers and hooks see an entry: those of its environment,
// and those that are shared.
func Seen(e *Entry, owner mail.Owner) bool {
	return e.Owner == owner || e.Owner.Project == owner.Project && Shared(e.Type)
}

func (w *writing) redacted(field string) bool {
	for _, r := range w.redact {
		if r == field {
			return true
		}
	}
	return false
}

// theirs is a text somebody else wrote: cut, and without the recipient where that is redacted.
func (w *writing) theirs(field, text string) string {
	if w.redacted("recipient") {
		text = w.mask(text)
	}
	return w.cut(field, text, w.reply)
}

// ours is a text of the sender's.
func (w *writing) ours(field, text string) string { return w.cut(field, text, w.own) }

func (w *writing) cut(field, text string, limit int) string {
	if limit == 0 || len(text) <= limit {
		return text
	}
	w.cuts(field)
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// cuts notes a field that is not whole.
func (w *writing) cuts(field string) {
	for _, f := range w.truncated {
		if f == field {
			return
		}
	}
	w.truncated = append(w.truncated, field)
}

// mask takes the recipient's address out of a text, in whatever case it stands there.
func (w *writing) mask(text string) string {
	for _, address := range w.addresses() {
		text = replaceFold(text, address, "[redacted]")
	}
	return text
}

// addresses are how the event's recipient is written.
func (w *writing) addresses() (out []string) {
	add := func(s string) {
		if strings.Contains(s, "@") {
			out = append(out, s)
		}
	}
	if w.e.Delivery != nil {
		add(w.e.Delivery.Address)
	}
	add(w.e.Recipient)
	add(w.e.Detail.Recipient)
	return out
}

// replaceFold replaces all of old in s; ASCII letters of either case are the same.
func replaceFold(s, old, with string) string {
	var out strings.Builder
	rest := 0
	for i := 0; i+len(old) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(old)], old) {
			out.WriteString(s[rest:i])
			out.WriteString(with)
			i += len(old) - 1
			rest = i + 1
		}
	}
	if rest == 0 {
		return s
	}
	out.WriteString(s[rest:])
	return out.String()
}

// stamp is a time as the contract writes it: RFC 3339 UTC with milliseconds.
type stamp time.Time

func (s stamp) MarshalJSONTo(enc *jsontext.Encoder) error {
	b := append(make([]byte, 0, 28), '"')
	b = time.Time(s).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return enc.WriteValue(append(b, '"'))
}

func (s *stamp) UnmarshalJSON(b []byte) error {
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*s = stamp(t)
	return nil
}

// stampOf makes the zero time null.
func stampOf(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func stampPtr(t *time.Time) *stamp {
	if t == nil {
		return nil
	}
	return stampOf(*t)
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

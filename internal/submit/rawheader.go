package submit

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	netmail "net/mail"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// ours begins the names of fields that are meant for us and never go out.
const ours = "x-postroad-"

func isOurs(name string) bool {
	return len(name) >= len(ours) && strings.EqualFold(name[:len(ours)], ours)
}

// rawHeader is what the header of a message that came whole says, as a Request.
type rawHeader struct {
	r       *RawRequest
	header  *mime.Original
	request *Request
}

// readRawHeader makes a request of envelope and header. What it finds wrong is in the
// request's Faults.
func readRawHeader(r *RawRequest) *rawHeader {
	h := &rawHeader{r: r, header: r.Raw.header, request: &Request{Key: r.Key, Route: r.Route, Fingerprint: r.Fingerprint, RequestID: r.RequestID,
		Via: r.Via, Arrived: r.Arrived, MaxRecipients: r.MaxRecipients, DryRun: r.DryRun, Strict: r.Strict, Answer: r.Answer}}
	for _, name := range [...]string{"From", "Sender", "Date", "Message-ID", "Subject", "Content-Type"} {
		if h.header.Count(name) > 1 {
			h.fault("invalid_value", "headers."+name, "The field stands there more than once; at most one is allowed (RFC 5322 section 3.6).")
		}
	}
	h.readFrom()
	h.readEnvelope()
	for i := range h.header.Fields {
		f := &h.header.Fields[i]
		if isOurs(f.Name) {
			h.readOurs(f)
		}
	}
	return h
}

func (h *rawHeader) fault(code, field, message string) {
	h.request.Faults = append(h.request.Faults, &mail.Error{Code: code, Field: field, Pointer: mail.PointerTo(field), Message: message})
}

// readFrom wants exactly one author: what is verified and signed for is one domain.
func (h *rawHeader) readFrom() {
	value := h.header.First("From")
	if value == "" {
		h.fault("missing_required_field", "headers.From", "The message has no From field.")
		return
	}
	list, err := mime.ReadAddresses(value)
	switch {
	case err != nil:
		h.fault("invalid_email", "headers.From", "The From field cannot be read as an address.")
	case len(list) != 1:
		h.fault("too_many", "headers.From", "The From field must have exactly one address.")
	default:
		h.request.From = &AddressIn{Text: list[0].Email, Name: list[0].Name, Field: "headers.From"}
	}
}

// readEnvelope sorts the recipients. Without an envelope they are the header's.
func (h *rawHeader) readEnvelope() {
	q := h.request
	lists := [...]struct {
		name string
		to   *[]AddressIn
	}{{"To", &q.To}, {"Cc", &q.Cc}, {"Bcc", &q.Bcc}}
	named := map[string]mail.RecipientType{}
	names := map[string]string{}
	for kind, l := range lists {
		for _, a := range h.readList(l.name) {
			if len(h.r.To) == 0 {
				*l.to = append(*l.to, a)
			} else if parsed, err := mail.ParseAddress(a.Text); err == nil && mail.RecipientType(kind) != mail.Bcc {
				folded := mail.FoldAddress(parsed.Email)
				if _, twice := named[folded]; !twice {
					named[folded], names[folded] = mail.RecipientType(kind), a.Name
				}
			}
		}
	}
	for _, in := range h.r.To {
		kind := mail.Bcc
		if a, err := mail.ParseAddress(in.Text); err == nil {
			folded := mail.FoldAddress(a.Email)
			if k, ok := named[folded]; ok {
				kind = k
			}
			if in.Name == "" && a.Name == "" {
				in.Text, in.Name = a.Email, names[folded]
			}
		}
		*lists[kind].to = append(*lists[kind].to, in)
	}
}

// readList reads an address field. One that cannot be read is a fault only where we need
// it: where there is no envelope.
func (h *rawHeader) readList(name string) (out []AddressIn) {
	for _, value := range h.header.Values(name) {
		if value == "" {
			continue
		}
		list, err := mime.ReadAddresses(value)
		if err != nil && len(h.r.To) == 0 {
			h.fault("invalid_email", "headers."+name, "The "+name+" field cannot be read as a list of addresses. Name the recipients in the envelope.")
		}
		for _, a := range list {
			out = append(out, AddressIn{Text: a.Email, Name: a.Name, Field: indexed("headers."+name, len(out))})
		}
	}
	return out
}

// readOurs reads one of the fields meant for us (api-v1.md §12).
func (h *rawHeader) readOurs(f *mime.OriginalField) {
	q, value := h.request, mime.DecodeWords(f.Value)
	switch strings.ToLower(f.Name[len(ours):]) {
	case "tag":
		q.Tags = append(q.Tags, value)
	case "metadata":
		h.readMetadata(f.Name, value)
	case "template":
		q.Template = value
	case "priority":
		q.Tier = value
	case "send-at":
		at, ok := readSendAt(value)
		if !ok {
			h.fault("invalid_value", "headers."+f.Name, "It must be a time as in 2026-04-20T09:00:00Z, unix seconds, or a date as mail writes it.")
			return
		}
		q.SendAt = at
	default:
		field := "headers." + f.Name
		q.Unknown = append(q.Unknown, mail.Warning{Code: "unknown_field", Pointer: mail.PointerTo(field),
			Message: "There is no field '" + clip(f.Name) + "'. It was taken out and ignored."})
	}
}

// readMetadata reads a JSON object of strings, or one k=v.
func (h *rawHeader) readMetadata(name, value string) {
	if !strings.HasPrefix(value, "{") {
		k, v, ok := strings.Cut(value, "=")
		if !ok {
			h.fault("invalid_value", "headers."+name, "It must be a JSON object of strings, or key=value.")
			return
		}
		h.request.Metadata = append(h.request.Metadata, mail.Header{Name: strings.TrimSpace(k), Value: strings.TrimSpace(v)})
		return
	}
	object := map[string]string{}
	if err := json.Unmarshal([]byte(value), &object, jsontext.AllowInvalidUTF8(false)); err != nil {
		h.fault("invalid_value", "headers."+name, "It must be a JSON object whose values are strings, or key=value.")
		return
	}
	from := len(h.request.Metadata)
	for k, v := range object {
		h.request.Metadata = append(h.request.Metadata, mail.Header{Name: k, Value: v})
	}
	slices.SortFunc(h.request.Metadata[from:], func(a, b mail.Header) int { return strings.Compare(a.Name, b.Name) })
}

// readSendAt reads RFC 3339, unix seconds, or the date form of mail.
func readSendAt(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), n > 0 && n < 1<<36
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), true
	}
	t, err := netmail.ParseDate(s)
	return t.UTC(), err == nil
}

// describe fills in what the message's record shows.
func (h *rawHeader) describe(m *mail.Message) {
	m.Subject = mime.DecodeWords(h.header.First("Subject"))
	m.RFCID = clipID(strings.Trim(h.header.First("Message-ID"), "<> \t"))
	for _, a := range h.readQuietly("Reply-To") {
		if parsed, err := mail.ParseAddress(a.Email); err == nil {
			m.ReplyTo = append(m.ReplyTo, mail.Address{Name: a.Name, Email: parsed.Email})
		}
	}
	m.Headers = h.custom()
}

func (h *rawHeader) readQuietly(name string) []mail.Address {
	list, err := mime.ReadAddresses(h.header.First(name))
	if err != nil {
		return nil
	}
	return list
}

// clipID keeps a Message-ID of any look searchable.
func clipID(s string) string { return strings.ToValidUTF8(s[:min(len(s), 900)], "\ufffd") }

// maxCustom bounds the fields the message's record shows, maxCustomBytes each of them;
// the bytes have them all.
const (
	maxCustom      = 50
	maxCustomBytes = 2 << 10
)

// custom are the fields that only the caller knows the meaning of.
func (h *rawHeader) custom() (out []mail.Header) {
	for i := range h.header.Fields {
		f := &h.header.Fields[i]
		lower := strings.ToLower(f.Name)
		if isReservedHeader(lower) || isKeyField(f.Name) || lower == "reply-to" || len(f.Name)+len(f.Value) > maxCustomBytes {
			continue
		}
		if out = append(out, mail.Header{Name: f.Name, Value: mime.DecodeWords(f.Value)}); len(out) == maxCustom {
			return out
		}
	}
	return out
}

// intoTemplate makes an ordinary request of a message that names a template: the body
// is the template's, its variables are the metadata, or a body that is JSON alone.
func (h *rawHeader) intoTemplate() error {
	h.intoFields()
	data, err := h.templateData()
	if err != nil {
		return err
	}
	h.request.TemplateData = data
	return nil
}

// intoFields fills in what the header says beside the envelope.
func (h *rawHeader) intoFields() {
	q := h.request
	if subject := h.header.First("Subject"); subject != "" {
		text := mime.DecodeWords(subject)
		q.Subject = &text
	}
	for i, a := range h.readQuietly("Reply-To") {
		q.ReplyTo = append(q.ReplyTo, AddressIn{Text: a.Email, Name: a.Name, Field: indexed("headers.Reply-To", i)})
	}
	q.Headers = h.custom()
}

func (h *rawHeader) templateData() ([]byte, error) {
	kind, _, _ := strings.Cut(h.header.First("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		object := make(map[string]string, len(h.request.Metadata))
		for _, m := range h.request.Metadata {
			object[m.Name] = m.Value
		}
		return json.Marshal(object, json.Deterministic(true))
	}
	in, err := h.r.Raw.content.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var out limitedBuffer
	switch err := mime.CopyAttachment(&out, in, 0, mime.Limits{}); {
	case errors.Is(err, errTooMuch):
		return nil, rawFault("The template's variables have more than 1 MB.")
	case err != nil:
		return nil, err
	}
	if v := jsontext.Value(out.b); !v.IsValid() || v.Kind() != '{' {
		return nil, rawFault("The body says it is JSON, but it is no JSON object.")
	}
	return out.b, nil
}

var errTooMuch = errors.New("too much")

// limitedBuffer takes 1 MB and no more.
type limitedBuffer struct{ b []byte }

var _ io.Writer = (*limitedBuffer)(nil)

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if len(l.b)+len(p) > 1<<20 {
		return 0, errTooMuch
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

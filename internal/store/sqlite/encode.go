package sqlite

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// object appends a JSON object member by member, leaving out what is empty. Facts are
// written by hand and not by reflection, since every message writes about six of them;
// decode.go reads them back through structs, and a test holds the two together.
type object struct{ b []byte }

func (o *object) open()  { o.b = append(o.b, '{') }
func (o *object) close() { o.b = append(o.b, '}') }

func (o *object) name(name string) {
	switch o.b[len(o.b)-1] {
	case '{', '[':
	default:
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) quote(v string) {
	o.b, _ = jsontext.AppendQuote(o.b, v) // invalid UTF-8 becomes U+FFFD
}

func (o *object) text(name, v string) {
	if v != "" {
		o.name(name)
		o.quote(v)
	}
}

func (o *object) int(name string, v int64) {
	if v != 0 {
		o.name(name)
		o.b = strconv.AppendInt(o.b, v, 10)
	}
}

func (o *object) intPtr(name string, v *int64) {
	if v != nil {
		o.name(name)
		o.b = strconv.AppendInt(o.b, *v, 10)
	}
}

func (o *object) flag(name string, v bool) {
	if v {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

func (o *object) time(name string, t *time.Time) {
	if t != nil {
		o.name(name)
		o.b = append(o.b, '"')
		o.b = t.AppendFormat(o.b, time.RFC3339Nano)
		o.b = append(o.b, '"')
	}
}

func (o *object) id(name string, id mail.ID) {
	if !id.IsZero() {
		o.name(name)
		o.b = append(o.b, '"')
		o.b = appendUUID(o.b, id)
		o.b = append(o.b, '"')
	}
}

func (o *object) texts(name string, list []string) {
	if len(list) == 0 {
		return
	}
	o.name(name)
	o.b = append(o.b, '[')
	for i, v := range list {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.quote(v)
	}
	o.b = append(o.b, ']')
}

// list opens an array; each calls of item writes one object of it.
func (o *object) list(name string, n int, item func(i int)) {
	if n == 0 {
		return
	}
	o.name(name)
	o.b = append(o.b, '[')
	for i := range n {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.open()
		item(i)
		o.close()
	}
	o.b = append(o.b, ']')
}

// appendUUID writes what [mail.ID.UUID] gives, without its allocations.
func appendUUID(b []byte, id mail.ID) []byte {
	const hex = "0123456789abcdef"
	for i, c := range id {
		switch i {
		case 4, 6, 8, 10:
			b = append(b, '-')
		}
		b = append(b, hex[c>>4], hex[c&15])
	}
	return b
}

func appendMessageFacts(b []byte, m *mail.Message) []byte {
	o := object{b}
	o.open()
	o.text("from", m.From.Email)
	o.text("from_name", m.From.Name)
	o.list("reply_to", len(m.ReplyTo), func(i int) {
		o.text("email", m.ReplyTo[i].Email)
		o.text("name", m.ReplyTo[i].Name)
	})
	o.text("subject", m.Subject)
	o.list("headers", len(m.Headers), func(i int) {
		o.text("name", m.Headers[i].Name)
		o.text("value", m.Headers[i].Value)
	})
	o.list("attachments", len(m.Attachments), func(i int) { o.attachment(&m.Attachments[i]) })
	o.int("size", m.Size)
	o.int("tier", int64(m.Tier))
	o.text("stamp", m.Stamp)
	o.text("topic", m.Topic)
	o.flag("bypass", m.Bypass)
	o.texts("tags", m.Tags)
	o.metadata(m.Metadata)
	o.id("template", m.Template.ID)
	o.text("template_alias", m.Template.Alias)
	o.int("template_version", int64(m.Template.Version))
	o.text("key", m.KeyID)
	o.text("via", m.Via)
	o.id("resent_from", m.ResentFrom)
	o.int("scheduled_at", micros(m.ScheduledAt))
	o.int("expires_at", micros(m.ExpiresAt))
	o.int("accept_us", m.AcceptTime.Microseconds())
	o.intPtr("content_seconds", m.ContentSeconds)
	o.flag("erased", m.Erased)
	o.close()
	return o.b
}

func (o *object) attachment(a *mail.Attachment) {
	o.text("filename", a.Filename)
	o.text("type", a.ContentType)
	o.text("content_id", a.ContentID)
	o.flag("inline", a.Inline)
	o.id("hosted", a.Hosted)
	o.int("size", a.Size)
	o.name("sha256")
	o.b = append(o.b, '"')
	for _, c := range a.SHA256 {
		const hex = "0123456789abcdef"
		o.b = append(o.b, hex[c>>4], hex[c&15])
	}
	o.b = append(o.b, '"')
}

func (o *object) metadata(m map[string]string) {
	if len(m) == 0 {
		return
	}
	o.name("metadata")
	o.open()
	first := true
	for k, v := range m {
		if !first {
			o.b = append(o.b, ',')
		}
		first = false
		o.quote(k)
		o.b = append(o.b, ':')
		o.quote(v)
	}
	o.close()
}

// appendDeliveryFacts writes what a delivery is besides its columns; nothing when
// there is nothing: a To recipient without a name, address written in lower case.
func appendDeliveryFacts(b []byte, d *mail.Delivery, folded string) []byte {
	if d.Type == mail.To && d.Name == "" && d.Address == folded {
		return b
	}
	o := object{b}
	o.open()
	o.int("type", int64(d.Type))
	o.text("name", d.Name)
	if d.Address != folded {
		o.text("written", d.Address)
	}
	o.close()
	return o.b
}

func appendState(b []byte, s *state) []byte {
	o := object{b}
	o.open()
	o.text("site", s.Site)
	o.bounce(s.Bounce)
	o.suppression(s.Suppression)
	o.close()
	return o.b
}

func appendDetail(b []byte, d *mail.Detail) []byte {
	o := object{b}
	o.open()
	o.text("summary", d.Summary)
	o.text("previous_status", d.Previous)
	o.text("via", d.Via)
	o.text("api_key_id", d.KeyID)
	o.intPtr("accept_ms", d.AcceptMS)
	o.time("scheduled_time", d.ScheduledTime)
	o.text("site", d.Site)
	o.text("pool", d.Pool)
	o.int("attempt", int64(d.Attempt))
	o.text("attempt_id", d.AttemptID)
	o.text("mx_host", d.Host)
	o.text("source", d.Source)
	o.tls(d.TLS)
	o.reply(d.Reply)
	o.text("class", string(d.Class))
	o.text("template", d.Template)
	o.int("version", int64(d.Version))
	o.int("previous_version", int64(d.Before))
	o.time("next_attempt_at", d.NextAttemptAt)
	if d.AttemptsLeft != nil {
		o.name("attempts_left")
		o.b = strconv.AppendInt(o.b, int64(*d.AttemptsLeft), 10)
	}
	o.intPtr("delivery_ms", d.DeliveryMS)
	o.bounce(d.Bounce)
	o.suppression(d.Suppression)
	o.text("suppression_id", d.SuppressionID)
	o.text("reason", d.Reason)
	o.text("by", d.By)
	o.text("superseded_by", d.SupersededBy)
	o.text("feedback_type", d.FeedbackType)
	o.int("report", d.Report)
	o.time("expires_at", d.ExpiresAt)
	o.text("recipient", d.Recipient)
	o.text("method", d.Method)
	o.text("topic", d.Topic)
	if d.Machine != nil {
		o.name("machine")
		o.b = strconv.AppendBool(o.b, *d.Machine)
	}
	o.text("user_agent", d.UserAgent)
	o.text("url", d.URL)
	o.text("object", d.Object)
	if len(d.Facts) > 0 {
		o.name("facts")
		o.b = append(o.b, d.Facts...)
	}
	o.close()
	return o.b
}

func (o *object) reply(r *mail.Reply) {
	if r == nil {
		return
	}
	o.name("reply")
	o.replyValue(r)
}

func (o *object) replyValue(r *mail.Reply) {
	o.open()
	o.name("code")
	o.b = strconv.AppendInt(o.b, int64(r.Code), 10)
	o.text("enhanced", r.Enhanced)
	o.name("text")
	o.quote(r.Text)
	o.close()
}

func (o *object) tls(t *mail.TLSFacts) {
	if t == nil {
		return
	}
	o.name("tls")
	o.open()
	o.text("version", t.Version)
	o.text("cipher", t.Cipher)
	o.flag("verified", t.Verified)
	o.text("error", t.Error)
	o.close()
}

func (o *object) bounce(v *mail.Bounce) {
	if v == nil {
		return
	}
	o.name("bounce")
	o.open()
	o.text("type", v.Type)
	o.text("reason", v.Reason)
	o.text("class", string(v.Class))
	o.int("attempts", int64(v.Attempts))
	o.reply(v.Reply)
	o.bounceReport(v.Report)
	o.close()
}

func (o *object) bounceReport(v *mail.BounceReport) {
	if v == nil {
		return
	}
	o.name("report")
	o.open()
	o.text("action", v.Action)
	o.text("status", v.Status)
	o.text("diagnostic", v.Diagnostic)
	o.close()
}

func (o *object) suppression(s *mail.SuppressedBy) {
	if s == nil {
		return
	}
	public := s.Public
	if public == "" {
		public = s.ID.Text(mail.PrefixSuppression)
	}
	o.name("suppression")
	o.open()
	o.text("suppression_id", public)
	o.text("reason", s.Reason)
	o.text("kind", s.Kind)
	o.time("since", &s.Since)
	o.close()
}

func appendAttempt(b []byte, a *mail.Attempt, site string) []byte {
	o := object{b}
	o.open()
	o.id("id", a.ID)
	o.int("number", int64(a.Number))
	o.int("at", micros(a.At))
	o.int("us", a.Duration.Microseconds())
	o.int("outcome", int64(a.Outcome))
	o.reply(&a.Reply)
	o.text("class", string(a.Class))
	o.text("advice", a.Advice)
	o.text("site", site)
	o.texts("mx", a.MX)
	o.text("host", a.Host)
	o.text("ip", a.IP)
	o.int("dns_us", a.DNS.Microseconds())
	o.text("source", a.Source)
	o.text("ehlo", a.EHLO)
	o.tls(a.TLS)
	o.texts("signed", a.Signed)
	o.int("retry_after_us", a.RetryAfter.Microseconds())
	o.transcript(a.Transcript)
	o.close()
	return o.b
}

// transcript writes [from, µs, code, text] per line: most of an attempt's bytes.
func (o *object) transcript(lines []mail.Line) {
	if len(lines) == 0 {
		return
	}
	o.name("transcript")
	o.b = append(o.b, '[')
	for i := range lines {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = append(o.b, '[')
		o.quote(lines[i].From)
		o.b = append(o.b, ',')
		o.b = strconv.AppendInt(o.b, lines[i].At.Microseconds(), 10)
		o.b = append(o.b, ',')
		o.b = strconv.AppendInt(o.b, int64(lines[i].Code), 10)
		o.b = append(o.b, ',')
		o.quote(lines[i].Text)
		o.b = append(o.b, ']')
	}
	o.b = append(o.b, ']')
}

package v1

import (
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// sendFields are the names POST /v1/messages knows.
var sendFields = []string{"recipient", "to", "cc", "bcc", "from", "reply_to", "subject", "html", "text", "auto_text",
	"body_html", "body_text", "html_body", "text_body", "body", "template", "template_data", "template_version", "strict_variables", "locale",
	"attachments", "headers", "scheduled_time", "scheduled_at", "send_at", "send_after", "expires_in_seconds", "supersedes",
	"priority", "topic", "tags", "metadata", "tracking", "list_unsubscribe", "bypass_unsubscribe", "pool",
	"content_retention_seconds", "idempotency_key"}

// sendBody translates the JSON of one message into a submit.Request. It judges nothing
// but types; what it finds is in findings, all of it.
type sendBody struct {
	findings
	r       *submit.Request
	keys    *httpapi.Keys
	uploads *uploads // the files of a multipart request, else nil

	recipient, to      bool // which was used
	htmlFrom, textFrom string
	timeFrom           string
	templateVersion    string
}

// readSend reads a body by itself.
func readSend(body value, r *submit.Request, keys *httpapi.Keys) *sendBody {
	s := &sendBody{r: r, keys: keys}
	s.read(body)
	return s
}

// read goes through the members of the body once. Strings are copied out of it;
// attachments' base64 stays a slice of it.
func (s *sendBody) read(body value) {
	w := body.walk()
	for {
		name, v, ok := w.next()
		if !ok {
			break
		}
		s.member(name, v)
	}
	s.finish()
}

// member reads one; null is absent.
func (s *sendBody) member(name []byte, v value) {
	if !v.isNull() {
		s.field(name, v)
	} else if !known(name) {
		s.unknownField("", name, sendFields)
	}
}

func known(name []byte) bool {
	for _, f := range sendFields {
		if f == string(name) {
			return true
		}
	}
	return false
}

func (s *sendBody) field(name []byte, v value) {
	switch n := string(name); n {
	case "recipient", "to":
		s.toField(n, v)
	case "cc":
		s.r.Cc = s.addresses("cc", v)
	case "bcc":
		s.r.Bcc = s.addresses("bcc", v)
	case "reply_to":
		s.r.ReplyTo = s.addresses("reply_to", v)
	case "from":
		if a, ok := s.address("from", v); ok {
			s.r.From = &a
		}
	case "subject":
		s.r.Subject = s.optText("subject", v)
	case "html", "body_html", "html_body":
		s.html(n, v)
	case "text", "body_text", "text_body":
		s.plain(n, v)
	case "body":
		s.body(v)
	case "auto_text":
		if is, ok := s.flag("auto_text", v); ok {
			s.r.NoAutoText = !is
		}
	case "headers":
		s.headers(v)
	case "attachments":
		s.attachments(v)
	case "scheduled_time", "scheduled_at", "send_at", "send_after":
		s.sendAt(n, v)
	case "tags":
		s.r.Tags = s.texts("tags", v)
	case "metadata":
		s.r.Metadata = s.pairs("metadata", v)
	case "idempotency_key":
		if key, ok := s.text(n, v); ok {
			s.keys.Add(key)
		}
	default:
		s.scalar(n, v)
	}
}

// scalar reads the fields that are one plain value.
func (s *sendBody) scalar(n string, v value) {
	switch n {
	case "template":
		s.r.Template, _ = s.text(n, v)
	case "template_version":
		s.templateVersion = s.version(n, v)
	case "template_data":
		if v.kind() != '{' {
			s.wrongType(n, v, "an object")
			return
		}
		s.r.TemplateData = v
	case "strict_variables":
		is, ok := s.flag(n, v)
		s.r.LaxVariables = ok && !is
	case "locale":
		s.r.Locale, _ = s.text(n, v)
	case "expires_in_seconds":
		if x, ok := s.integer(n, v); ok {
			s.r.ExpiresIn = &x
		}
	case "supersedes":
		s.r.Supersedes, _ = s.text(n, v)
	case "priority":
		s.r.Tier, _ = s.text(n, v)
	case "topic":
		s.r.Topic, _ = s.text(n, v)
	case "tracking":
		s.tracking(v)
	case "list_unsubscribe":
		s.r.ListUnsubscribe, _ = s.text(n, v)
	case "bypass_unsubscribe":
		s.r.BypassUnsubscribe, _ = s.flag(n, v)
	case "content_retention_seconds":
		if x, ok := s.integer(n, v); ok {
			s.r.ContentSeconds = &x
		}
	case "pool":
		s.later(n, v)
	default:
		s.unknownField("", []byte(n), sendFields)
	}
}

// later reads fields of the contract whose work is not built yet. Asking for what they
// would do anyway is fine; asking for more is answered with a warning, never silently
// ignored.
func (s *sendBody) later(n string, v value) {
	asks := true
	switch n {
	case "pool":
		_, asks = s.text(n, v)
	}
	if asks {
		s.warn("not_supported", n, "'"+n+"' is not supported by this version and has no effect.")
	}
}

// tracking reads {"opens":…,"clicks":…}; what is not said is as the project has it.
func (s *sendBody) tracking(v value) {
	if v.kind() != '{' {
		s.wrongType("tracking", v, "an object")
		return
	}
	w := v.walk()
	for {
		name, item, ok := w.next()
		if !ok {
			return
		}
		switch n := string(name); n {
		case "opens", "clicks":
			if item.isNull() {
				continue
			}
			if is, ok := s.flag("tracking."+n, item); ok {
				*map[string]**bool{"opens": &s.r.Tracking.Opens, "clicks": &s.r.Tracking.Clicks}[n] = &is
			}
		default:
			s.unknownField("tracking", name, []string{"opens", "clicks"})
		}
	}
}

// toField reads recipient and to, which mean the same; both together are a fault.
func (s *sendBody) toField(n string, v value) {
	if n == "to" {
		s.to = true
	} else {
		s.recipient = true
	}
	if s.to && s.recipient {
		s.fault(n, "mutually_exclusive", "Give 'recipient' or 'to', not both.")
		return
	}
	s.r.To = s.addresses(n, v)
}

// addresses reads one address or a list of them.
func (s *sendBody) addresses(field string, v value) []submit.AddressIn {
	if v.kind() != '[' {
		if a, ok := s.address(field, v); ok {
			return []submit.AddressIn{a}
		}
		return nil
	}
	var out []submit.AddressIn
	w := v.walk()
	for i := 0; len(out) < maxListKept; i++ {
		_, item, ok := w.next()
		if !ok {
			break
		}
		if a, ok := s.address(indexed(field, i), item); ok {
			out = append(out, a)
		}
	}
	return out
}

// address reads "ada@example.com", "Ada <ada@example.com>" or {"email":…,"name":…}.
func (s *sendBody) address(field string, v value) (a submit.AddressIn, ok bool) {
	a.Field = field
	switch v.kind() {
	case '"':
		a.Text, ok = s.text(field, v)
		return a, ok
	case '{':
	default:
		s.wrongType(field, v, "an address (a string) or {\"email\":…,\"name\":…}")
		return a, false
	}
	w := v.walk()
	for {
		name, item, more := w.next()
		if !more {
			break
		}
		switch n := string(name); {
		case n == "email" && !item.isNull():
			if a.Text, ok = s.text(field+".email", item); !ok {
				return a, false
			}
		case n == "name" && !item.isNull():
			a.Name, _ = s.text(field+".name", item)
		case n != "email" && n != "name":
			s.unknownField(field, name, []string{"email", "name"})
		}
	}
	if !ok {
		s.fault(field+".email", "missing_required_field", "The address lacks its 'email'.")
	}
	return a, ok
}

// html and plain read a content field under any of its names; two names are a fault.
func (s *sendBody) html(n string, v value) {
	if s.htmlFrom != "" {
		s.fault(n, "mutually_exclusive", "'"+n+"' and '"+s.htmlFrom+"' are the same field.")
		return
	}
	s.htmlFrom, s.r.HTML = n, s.optText(n, v)
}

func (s *sendBody) plain(n string, v value) {
	if s.textFrom != "" {
		s.fault(n, "mutually_exclusive", "'"+n+"' and '"+s.textFrom+"' are the same field.")
		return
	}
	s.textFrom, s.r.Text = n, s.optText(n, v)
}

// body reads {"html":…,"text":…}.
func (s *sendBody) body(v value) {
	if v.kind() != '{' {
		s.wrongType("body", v, "an object with 'html' and 'text'")
		return
	}
	w := v.walk()
	for {
		name, item, ok := w.next()
		switch {
		case !ok:
			return
		case item.isNull():
		case string(name) == "html":
			s.html("body.html", item)
		case string(name) == "text":
			s.plain("body.text", item)
		default:
			s.unknownField("body", name, []string{"html", "text"})
		}
	}
}

func (s *sendBody) sendAt(n string, v value) {
	if s.timeFrom != "" {
		s.fault(n, "mutually_exclusive", "'"+n+"' and '"+s.timeFrom+"' are the same field.")
		return
	}
	s.timeFrom = n
	if t, ok := s.moment(n, v); ok {
		s.r.SendAt = t
	}
}

// headers takes the idempotency key out of the mail's headers: it never reaches the
// mail.
func (s *sendBody) headers(v value) {
	for _, h := range s.pairs("headers", v) {
		if isKeyHeader(h.Name) {
			s.keys.Add(h.Value)
			continue
		}
		s.r.Headers = append(s.r.Headers, h)
	}
}

func isKeyHeader(name string) bool {
	return strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key")
}

// attachmentFields are the names an attachment knows.
var attachmentFields = []string{"filename", "content_type", "content", "content_id", "disposition", "hosted"}

func (s *sendBody) attachments(v value) {
	if v.kind() != '[' {
		s.wrongType("attachments", v, "an array of attachments")
		return
	}
	w := v.walk()
	for i := 0; i < maxListKept; i++ {
		_, item, ok := w.next()
		if !ok {
			return
		}
		field := indexed("attachments", i)
		if item.kind() != '{' {
			s.wrongType(field, item, "an object")
			continue
		}
		s.attachment(field, item)
	}
}

func (s *sendBody) attachment(field string, v value) {
	a := submit.AttachmentIn{Field: field}
	content := false
	w := v.walk()
	for {
		name, item, ok := w.next()
		if !ok {
			break
		}
		if item.isNull() {
			continue
		}
		switch n := string(name); n {
		case "filename":
			a.Filename, _ = s.text(field+"."+n, item)
		case "content_type":
			a.ContentType, _ = s.text(field+"."+n, item)
		case "content_id":
			a.ContentID, _ = s.text(field+"."+n, item)
		case "content":
			content = true
			if item.kind() != '"' {
				s.wrongType(field+".content", item, "a string of base64")
			} else {
				a.Base64 = s.bytesOf(item)
			}
		case "disposition":
			a.Inline = s.inline(field, item)
		case "hosted":
			a.Hosted, _ = s.flag(field+".hosted", item)
		default:
			s.unknownField(field, name, attachmentFields)
		}
	}
	if !content && !s.uploads.claim(&a) {
		s.fault(field+".content", "missing_required_field", "The attachment lacks its 'content' (base64).")
		a.Base64 = []byte{}
	}
	s.r.Attachments = append(s.r.Attachments, a)
}

func (s *sendBody) inline(field string, v value) bool {
	d, ok := s.text(field+".disposition", v)
	if ok && d != "inline" && d != "attachment" {
		s.fault(field+".disposition", "invalid_value", "'disposition' is 'attachment' or 'inline'.")
	}
	return d == "inline"
}

// finish settles what needs two fields.
func (s *sendBody) finish() {
	s.r.Attachments = s.uploads.appendRest(s.r.Attachments)
	if s.templateVersion != "" {
		s.pinTemplate()
	}
	s.r.Faults, s.r.Unknown, s.r.Warnings = s.faults, s.unknown, s.warnings
}

// pinTemplate makes "welcome" and version 7 "welcome@7".
func (s *sendBody) pinTemplate() {
	switch name, pinned, _ := strings.Cut(s.r.Template, "@"); {
	case name == "":
		s.fault("template_version", "missing_required_field", "'template_version' is of a 'template', which is missing.")
	case pinned != "" && pinned != s.templateVersion:
		s.fault("template_version", "mutually_exclusive", "'template' and 'template_version' name two versions. Give one.")
	default:
		s.r.Template = name + "@" + s.templateVersion
	}
}

// withoutEchoes leaves out what the judge says is missing where reading already said
// why it is not there.
func (s *sendBody) withoutEchoes(all mail.Faults) mail.Faults {
	var out mail.Faults
	for _, e := range all {
		if e.Code != "missing_required_field" || !s.told(e) {
			out = append(out, e)
		}
	}
	return out
}

func (s *sendBody) told(missing *mail.Error) bool {
	for _, e := range s.faults {
		if e == missing {
			return false
		}
	}
	for _, e := range s.faults {
		switch top := topField(e.Field); topField(missing.Field) {
		case "recipient", "to":
			if top == "recipient" || top == "to" {
				return true
			}
		case "html", "text", "content", "body":
			switch top {
			case "html", "text", "body", "body_html", "body_text", "html_body", "text_body", "template":
				return true
			}
		case top:
			return true
		}
	}
	return false
}

func topField(field string) string {
	if i := strings.IndexAny(field, ".["); i >= 0 {
		return field[:i]
	}
	return field
}

// expiryOf tells how long an answer is kept: scheduled mail outlives its time by a day.
func expiryOf(arrived, sendAt time.Time) time.Time {
	if sendAt.After(arrived) {
		return sendAt.Add(httpapi.OnceTime)
	}
	return arrived.Add(httpapi.OnceTime)
}

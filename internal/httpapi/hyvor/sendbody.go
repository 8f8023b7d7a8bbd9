package hyvor

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/submit"
)

const (
	maxSubject = 998             // characters
	maxBodyOf  = 2 * 1024 * 1024 // characters, of HTML and of text each
)

// emailPattern is the one HTML5 gives for <input type=email>, with a dot in the domain.
var emailPattern = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+$")

// forbiddenHeaders cannot be given as custom headers.
var forbiddenHeaders = func() map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(`from to cc bcc sender date subject content-type mime-version content-transfer-encoding
		content-disposition message-id dkim-signature return-path x-mailer x-originating-ip authentication-results`) {
		all[name] = true
	}
	return all
}()

// sendReader turns a body into a submit.Request and gathers what is wrong with it.
type sendReader struct {
	bounds Bounds
	r      *submit.Request
	faults faults
}

// readSend reads the body of POST /sends. What is judged here is what this dialect has
// words for; all else is submit's.
func readSend(f fields, bounds Bounds, r *submit.Request) faults {
	s := &sendReader{bounds: bounds, r: r}
	s.from(f["from"])
	s.r.To = s.recipients("to", f["to"])
	if v := f["to"]; isBlank(v) {
		s.faults.add("to", textBlank)
	}
	s.r.Cc = s.recipients("cc", f["cc"])
	s.r.Bcc = s.recipients("bcc", f["bcc"])
	s.subject(f)
	s.bodies(f)
	if v, ok := f["headers"]; ok {
		s.headers(v)
	}
	if v, ok := f["attachments"]; ok {
		s.attachments(v)
	}
	return s.faults
}

// isBlank tells of what is left out, null, "" or an empty list.
func isBlank(v jsontext.Value) bool {
	switch v.Kind() {
	case '[':
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	case '"':
		return len(v) == 2
	}
	return v == nil || v.Kind() == 'n'
}

func (s *sendReader) from(v jsontext.Value) {
	switch {
	case isBlank(v):
		s.faults.add("from", textBlank)
	default:
		if a, ok := s.address("from", "from", v); ok {
			s.r.From = &a
		}
	}
}

// recipients reads an address or a list of them.
func (s *sendReader) recipients(property string, v jsontext.Value) (list []submit.AddressIn) {
	if isBlank(v) {
		return nil
	}
	if v.Kind() != '[' {
		if a, ok := s.address(property, property, v); ok {
			list = append(list, a)
		}
		return list
	}
	_ = elements(v, func(i int, v jsontext.Value) error {
		if a, ok := s.address(property, fmt.Sprintf("%s[%d]", property, i), v); ok {
			list = append(list, a)
		}
		return nil
	})
	return list
}

// address reads "ada@example.com" or {"email":…,"name":…}. Faults are told of the property.
func (s *sendReader) address(property, field string, v jsontext.Value) (a submit.AddressIn, ok bool) {
	a.Field = field
	switch v.Kind() {
	case '"':
		a.Text = text(v)
	case '{':
		if ok = s.addressObject(property, v, &a); !ok {
			return a, false
		}
	case '[':
		s.faults.add(property, "Multiple email addresses are not allowed.")
		return a, false
	case 'n':
		s.faults.add(property, textBlank)
		return a, false
	default:
		s.faults.add(property, textString)
		return a, false
	}
	if !emailPattern.MatchString(a.Text) {
		s.faults.add(property, textEmail)
		return a, false
	}
	return a, true
}

func (s *sendReader) addressObject(property string, v jsontext.Value, a *submit.AddressIn) bool {
	ok := true
	email, name := jsontext.Value(nil), jsontext.Value(nil)
	_ = members(v, func(member string, v jsontext.Value) error {
		switch member {
		case "email":
			email = v
		case "name":
			name = v
		}
		return nil
	})
	switch email.Kind() {
	case '"':
		a.Text = text(email)
	case 0, 'n': // no address: what the pattern says of nothing
	default:
		s.faults.add(property, textString)
		ok = false
	}
	switch {
	case name == nil || name.Kind() == 'n':
	case name.Kind() != '"':
		s.faults.add(property, "The name must be a string.")
		ok = false
	default:
		a.Name = text(name)
	}
	return ok
}

func (s *sendReader) subject(f fields) {
	subject := ""
	if v, ok := f["subject"]; ok {
		if v.Kind() != '"' {
			s.faults.add("subject", textString)
			return
		}
		if subject = text(v); utf8.RuneCountInString(subject) > maxSubject {
			s.faults.add("subject", textTooLong(maxSubject))
		}
	}
	s.r.Subject = &subject
}

func (s *sendReader) bodies(f fields) {
	wrong := len(s.faults)
	html, _ := f.textOf("body_html", &s.faults)
	plain, _ := f.textOf("body_text", &s.faults)
	if len(s.faults) > wrong {
		return
	}
	if html == "" && plain == "" {
		s.faults.add("body_html", "body_html must not be blank if body_text is null")
		s.faults.add("body_text", "body_text must not be blank if body_html is null")
		return
	}
	for _, b := range []struct {
		name, content string
		into          **string
	}{{"body_html", html, &s.r.HTML}, {"body_text", plain, &s.r.Text}} {
		switch {
		case utf8.RuneCountInString(b.content) > maxBodyOf:
			s.faults.add(b.name, b.name+" must not exceed 2MB.")
		case b.content != "":
			*b.into = &b.content
		}
	}
}

func (s *sendReader) headers(v jsontext.Value) {
	switch v.Kind() {
	case '{':
		_ = members(v, func(name string, v jsontext.Value) error { s.header(name, v); return nil })
	case '[': // PHP writes an empty object so; in a list the keys are numbers
		_ = elements(v, func(i int, _ jsontext.Value) error {
			s.faults.add("headers", fmt.Sprintf("The header key %d must be a string.", i))
			return nil
		})
	default:
		s.faults.add("headers", textArray)
	}
}

func (s *sendReader) header(name string, v jsontext.Value) {
	lower, shown := strings.ToLower(name), clip(name)
	switch {
	case isDigits(strings.TrimPrefix(name, "-")): // PHP makes numbers of such keys
		s.faults.add("headers", "The header key "+shown+" must be a string.")
	case forbiddenHeaders[lower]:
		s.faults.add("headers", "The header "+shown+" is not allowed as a custom header.")
	case v.Kind() != '"':
		s.faults.add("headers", "The header value of "+shown+" must be a string.")
	case !mime.ValidName(name) || !mime.CleanValue(text(v)):
		s.faults.add("headers", "The header "+shown+" is not valid.")
	default:
		s.keep(name, lower, text(v))
	}
}

// keep hands a header on, unless it is one of those that say what no field of this
// contract can.
func (s *sendReader) keep(name, lower, value string) {
	switch lower {
	case "x-postroad-tag":
		s.r.Tags = append(s.r.Tags, strings.TrimSpace(value))
	case "x-postroad-metadata":
		s.metadata(value)
	case "x-postroad-priority":
		if s.r.Tier = strings.ToLower(strings.TrimSpace(value)); s.r.Tier == "" {
			s.faults.add("headers", "The header "+name+" is 'urgent', 'normal' or 'bulk'.")
		}
	case "x-postroad-send-at":
		at, _, ok := moment(strings.TrimSpace(value))
		if !ok {
			s.faults.add("headers", "The header "+name+" is a time such as 2026-04-19T14:30:00Z, or unix seconds.")
		}
		s.r.SendAt = at
	default:
		s.r.Headers = append(s.r.Headers, mail.Header{Name: name, Value: value})
	}
}

// metadata reads a JSON object of texts, or k=v.
func (s *sendReader) metadata(value string) {
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, "{") {
		k, v, ok := strings.Cut(value, "=")
		if !ok {
			s.faults.add("headers", "The header X-Postroad-Metadata is a JSON object of strings, or key=value.")
			return
		}
		s.r.Metadata = append(s.r.Metadata, mail.Header{Name: strings.TrimSpace(k), Value: strings.TrimSpace(v)})
		return
	}
	var texts map[string]string
	if err := json.Unmarshal([]byte(value), &texts); err != nil {
		s.faults.add("headers", "The header X-Postroad-Metadata is a JSON object of strings, or key=value.")
		return
	}
	_ = members(jsontext.Value(value), func(name string, v jsontext.Value) error {
		s.r.Metadata = append(s.r.Metadata, mail.Header{Name: name, Value: text(v)})
		return nil
	})
}

func (s *sendReader) attachments(v jsontext.Value) {
	if v.Kind() != '[' {
		s.faults.add("attachments", textArray)
		return
	}
	n := 0
	_ = elements(v, func(i int, v jsontext.Value) error {
		if n = i + 1; n <= s.bounds.Attachments {
			s.attachment(i, v)
		}
		return nil
	})
	if n > s.bounds.Attachments {
		s.faults.add("attachments", fmt.Sprintf("You can attach a maximum of %d files.", s.bounds.Attachments))
	}
}

func (s *sendReader) attachment(i int, v jsontext.Value) {
	property := fmt.Sprintf("attachments[%d]", i)
	if v.Kind() != '{' {
		s.faults.add(property, textArray)
		return
	}
	a := submit.AttachmentIn{Field: property, Filename: fmt.Sprintf("attachment-%d", i+1)}
	wrong, content := len(s.faults), false
	_ = members(v, func(name string, v jsontext.Value) error {
		at := property + "[" + clip(name) + "]"
		switch {
		case name == "content":
			content = true
			a.Base64 = s.content(at, v)
		case name != "name" && name != "content_type":
			s.faults.add(at, textUnexpected)
		case v.Kind() == 'n':
		case v.Kind() != '"':
			s.faults.add(at, textString)
		case name == "name" && len(v) > 2:
			a.Filename = text(v)
		case name == "content_type":
			a.ContentType = text(v)
		}
		return nil
	})
	if !content {
		s.faults.add(property+"[content]", textMissing)
	}
	if len(s.faults) == wrong {
		s.r.Attachments = append(s.r.Attachments, a)
	}
}

// content gives base64 as it stands in the body where nothing in it is escaped.
func (s *sendReader) content(at string, v jsontext.Value) []byte {
	switch {
	case v.Kind() == 'n':
		s.faults.add(at, textBlank)
	case v.Kind() != '"':
		s.faults.add(at, textString)
	case len(bytes.TrimSpace(v[1:len(v)-1])) == 0:
		s.faults.add(at, textBlank)
	default:
		b := []byte(v[1 : len(v)-1])
		if bytes.IndexByte(b, '\\') >= 0 {
			b, _ = jsontext.AppendUnquote(nil, v)
		}
		if int64(len(b)) > s.bounds.Size {
			s.faults.add(at, "Attachment content must not exceed "+megabytes(s.bounds.Size)+".")
			return nil
		}
		return padded(b)
	}
	return nil
}

// padded adds the padding that PHP does not ask for.
func padded(b []byte) []byte {
	if bytes.IndexByte(b, '=') >= 0 {
		return b
	}
	blanks := 0
	for _, c := range " \t\r\n" {
		blanks += bytes.Count(b, []byte{byte(c)})
	}
	if n := (len(b) - blanks) % 4; n > 1 {
		return append(b[:len(b):len(b)], "=="[:4-n]...)
	}
	return b
}

// megabytes is "10MB"; a bound that is not whole is told in bytes.
func megabytes(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%dMB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// clip keeps a caller's own words in a fault short and readable.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) > 100 {
		return string([]rune(s)[:100]) + "…"
	}
	return s
}

package submit

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// reserved are the fields we write ourselves or that only servers may add.
var reserved = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "sender": true, "date": true, "subject": true, "message-id": true,
	"mime-version": true, "return-path": true, "received": true, "dkim-signature": true, "authentication-results": true,
}

var reservedPrefixes = [...]string{"content-", "arc-", "resent-", "x-postroad-"}

// readHeaders judges the caller's own header fields. Reply-To among them is read as
// reply_to; an idempotency key is taken out.
func (d *draft) readHeaders() {
	in, limits := d.r.Headers, &d.s.limits
	if len(in) > limits.Headers {
		d.fault("too_many", "headers", fmt.Sprintf("At most %d headers.", limits.Headers))
		in = in[:limits.Headers]
	}
	for _, h := range in {
		lower := strings.ToLower(h.Name)
		field, pointer := "headers."+h.Name, "#/headers"+mail.PointerStep(h.Name)
		switch {
		case lower == "idempotency-key" || lower == "x-idempotency-key":
		case !mime.CleanValue(h.Name) || !mime.CleanValue(h.Value):
			d.faultAt("header_injection", clip(strings.ToValidUTF8(field, "\ufffd")), clip(pointer), "A header must not hold line breaks or NUL characters. Remove them.")
		case !mime.ValidName(h.Name):
			d.faultAt("header_not_allowed", clip(field), clip(pointer), "A header's name has 1 to 76 printable ASCII characters and no colon or space.")
		case isReservedHeader(lower):
			d.faultAt("header_not_allowed", field, pointer, "The header '"+h.Name+"' cannot be set here"+insteadOf(lower)+".")
		case len(h.Name)+len(h.Value) > limits.Header:
			d.faultAt("too_long", field, pointer, fmt.Sprintf("A header has at most %d bytes.", limits.Header))
		case lower == "reply-to":
			d.replyToHeader(h.Value, field, pointer)
		default:
			d.headers = append(d.headers, h)
		}
	}
	d.message.Headers = d.headers
}

func isReservedHeader(lower string) bool {
	if reserved[lower] {
		return true
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return false
}

// insteadOf names the field that does what a reserved header was meant to do.
func insteadOf(lower string) string {
	switch lower {
	case "from", "to", "cc", "bcc", "subject":
		return ": use the field '" + lower + "'"
	case "sender", "return-path":
		return ": use the field 'from'"
	case "x-postroad-tag", "x-postroad-metadata":
		return ": use the fields 'tags' and 'metadata'"
	}
	return ""
}

// replyToHeader reads a Reply-To header as reply_to would be; both together contradict.
func (d *draft) replyToHeader(value, field, pointer string) {
	if len(d.r.ReplyTo) > 0 {
		d.faultAt("mutually_exclusive", field, pointer, "Give 'reply_to' or the header Reply-To, not both.")
		return
	}
	for _, text := range splitAddresses(value) {
		a, err := mail.ParseAddress(text)
		if err != nil {
			d.badAddress(&AddressIn{Text: text, Field: field}, err)
			d.faults[len(d.faults)-1].Pointer = pointer
			return
		}
		d.message.ReplyTo = append(d.message.ReplyTo, a)
	}
}

// splitAddresses parts a list at its commas, but for those in quotes.
func splitAddresses(s string) []string {
	var list []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			list = append(list, s[start:i])
			start = i + 1
		}
	}
	return append(list, s[start:])
}

package dkim

import "bytes"

// signed are the fields we sign beside Content-*: what tells who wrote to whom, when,
// about what, and how to unsubscribe (RFC 6376 §5.4.1, RFC 8058 §4).
var signed = [...]string{
	"from", "to", "cc", "subject", "date", "message-id", "reply-to", "sender", "mime-version",
	"in-reply-to", "references", "list-id", "list-unsubscribe", "list-unsubscribe-post",
}

// field is one header field as it stands, without its last CRLF.
type field struct {
	raw   []byte
	colon int
}

func (f field) name() []byte { return bytes.TrimRight(f.raw[:f.colon], " \t") }

// splitHeader takes a header block apart; lines before the first field and without a
// colon are passed over.
func splitHeader(fields []field, head []byte) []field {
	for len(head) > 0 {
		end := fieldEnd(head)
		raw := bytes.TrimRight(head[:end], "\r\n")
		head = head[end:]
		if colon := bytes.IndexByte(raw, ':'); colon > 0 {
			fields = append(fields, field{raw, colon})
		}
	}
	return fields
}

// fieldEnd gives the length of the first field, its folded lines and line ends included.
func fieldEnd(head []byte) int {
	for end := 0; ; {
		nl := bytes.IndexByte(head[end:], '\n')
		if nl < 0 {
			return len(head)
		}
		if end += nl + 1; end == len(head) || head[end] != ' ' && head[end] != '\t' {
			return end
		}
	}
}

// selectFields gives those to be signed: per name from the bottom up, as verifiers
// count them (RFC 6376 §5.4.2).
func selectFields(chosen, all []field) []field {
	for _, name := range signed {
		for i := len(all) - 1; i >= 0; i-- {
			if equalFold(all[i].name(), name) {
				chosen = append(chosen, all[i])
			}
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if n := all[i].name(); len(n) > 8 && equalFold(n[:8], "content-") {
			chosen = append(chosen, all[i])
		}
	}
	return chosen
}

func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		if toLower(name[i]) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// appendRelaxed writes a field in relaxed form, without CRLF (RFC 6376 §3.4.2).
func appendRelaxed(b []byte, f field) []byte {
	for _, c := range f.name() {
		b = append(b, toLower(c))
	}
	b = append(b, ':')
	blank, start := false, len(b)
	for _, c := range f.raw[f.colon+1:] {
		if !plain[c] {
			blank = true
			continue
		}
		if blank && len(b) > start {
			b = append(b, ' ')
		}
		blank = false
		b = append(b, c)
	}
	return b
}

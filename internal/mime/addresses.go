package mime

import (
	stdmime "mime"
	netmail "net/mail"
	"strings"

	"github.com/emersion/go-message/charset"

	"github.com/postroad/postroad/internal/mail"
)

var words = &stdmime.WordDecoder{CharsetReader: charset.Reader}

// DecodeWords decodes the encoded words of a field's value (RFC 2047) as UTF-8. What
// cannot be decoded stays as it is.
func DecodeWords(s string) string {
	text, err := words.DecodeHeader(s)
	if err != nil {
		text = s
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// ReadAddresses reads the value of an address list field with all RFC 5322 §3.4 allows:
// groups, comments, quotes, encoded words. The addresses are as written, not yet in the
// form [mail.ParseAddress] gives, but it can read them.
func ReadAddresses(value string) ([]mail.Address, error) {
	parser := netmail.AddressParser{WordDecoder: words}
	list, err := parser.ParseList(value)
	if err != nil {
		return nil, err
	}
	out := make([]mail.Address, len(list))
	for i, a := range list {
		plain := netmail.Address{Address: a.Address}
		out[i] = mail.Address{Name: strings.ToValidUTF8(a.Name, "\ufffd"), Email: strings.Trim(plain.String(), "<>")}
	}
	return out, nil
}

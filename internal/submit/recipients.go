package submit

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/route"
)

// maxRead bounds how many recipients are looked at one by one, and so the faults told.
const maxRead = 1000

// readRecipients judges To, Cc and Bcc. An address that stands twice is written to
// once, in the first of the lists.
func (d *draft) readRecipients() {
	r := d.r
	total := len(r.To) + len(r.Cc) + len(r.Bcc)
	if total == 0 {
		d.fault("missing_required_field", "recipient", "Say who it goes to: 'recipient', or 'to' with a list.")
		return
	}
	most, why := cmp.Or(d.r.MaxRecipients, d.s.limits.Recipients), "At most %d recipients per message, cc and bcc included."
	if k := d.who.Key; k != nil && k.MaxRecipients > 0 && k.MaxRecipients < most {
		most, why = k.MaxRecipients, "This API key may write to at most %d recipients per message."
	}
	if total > most {
		d.fault("too_many", "to", fmt.Sprintf(why, most))
	}
	d.recipients = make([]recipient, 0, min(total, maxRead))
	for kind, list := range [...][]AddressIn{r.To, r.Cc, r.Bcc} {
		for i := range list {
			if len(d.recipients) == maxRead {
				return
			}
			d.readRecipient(&list[i], mail.RecipientType(kind))
		}
	}
}

func (d *draft) readRecipient(in *AddressIn, kind mail.RecipientType) {
	a, ok := d.readAddress(in)
	if !ok {
		return
	}
	folded := mail.FoldAddress(a.Email)
	for i := range d.recipients {
		if d.recipients[i].folded == folded {
			d.warn("duplicate_recipient", in.Field, "This address stands in the message already; it is written to once.")
			return
		}
	}
	d.recipients = append(d.recipients, recipient{Address: a, kind: kind, folded: folded, field: in.Field})
	domain := a.Domain()
	switch {
	case domain == route.SandboxDomain:
		d.readMagic(&d.recipients[len(d.recipients)-1])
	case d.who.Owner.Env == mail.Live && isReserved(domain):
		d.warn("reserved_domain", in.Field, "The domain '"+domain+"' is reserved for examples and tests: no mail arrives there. Use a test key, or an address at "+route.SandboxDomain+".")
	default:
		if meant := mail.SuggestAddress(a.Email); meant != "" {
			d.warn("possible_typo", in.Field, "Did you mean '"+meant+"'?")
		}
	}
}

// readMagic judges a recipient that plays a part; those that are refused or suppressed
// play it here, the others when they are delivered to.
func (d *draft) readMagic(to *recipient) {
	m, err := route.ParseMagic(to.Local())
	var fault *mail.Error
	switch {
	case errors.As(err, &fault):
		d.fault(fault.Code, to.field, fault.Message)
	case m.Kind == route.MagicReject:
		d.fault("invalid_value", to.field, "'"+to.Email+"' plays a recipient that is refused at once.")
	case m.Kind == route.MagicSuppressed:
		to.suppressed = &mail.SuppressedBy{Reason: mail.KindHardBounce, Kind: mail.KindHardBounce, Since: d.now}
	}
}

// isReserved tells of domains no mail server answers for (RFC 2606, RFC 6761).
func isReserved(domain string) bool {
	switch top := domain[strings.LastIndexByte(domain, '.')+1:]; top {
	case "example", "test", "invalid", "localhost":
		return true
	case "com", "net", "org":
		name := strings.TrimSuffix(domain, "."+top)
		return name == "example" || strings.HasSuffix(name, ".example")
	}
	return false
}

// readAddress judges one address; false says that it told a fault.
func (d *draft) readAddress(in *AddressIn) (mail.Address, bool) {
	a, err := mail.ParseAddress(in.Text)
	if err != nil {
		d.badAddress(in, err)
		return a, false
	}
	if in.Name == "" {
		return a, true
	}
	a.Name = strings.TrimSpace(in.Name)
	field := nameField(in.Field)
	before := len(d.faults)
	if d.label(field, in.Name, 998); !mime.CleanValue(in.Name) {
		return a, false
	}
	return a, len(d.faults) == before
}

// nameField is where the name of an address in object form stands.
func nameField(field string) string { return field + ".name" }

func (d *draft) badAddress(in *AddressIn, err error) {
	e := &mail.Error{Code: "invalid_email", Field: in.Field, Pointer: mail.PointerTo(in.Field)}
	var bad *mail.AddressError
	switch {
	case !errors.As(err, &bad):
		e.Message = "This is not an e-mail address."
	case bad.Injection:
		e.Code = "header_injection"
		e.Message = "The address " + bad.Reason + ". Remove it."
	default:
		e.Message, e.Suggestion = "'"+clip(strings.ToValidUTF8(in.Text, "\ufffd"))+"' "+bad.Reason+".", bad.Suggestion
	}
	d.faults = append(d.faults, e)
}

func (d *draft) addresses(kind mail.RecipientType) []mail.Address {
	n := 0
	for i := range d.recipients {
		if d.recipients[i].kind == kind {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	list := make([]mail.Address, 0, n)
	for i := range d.recipients {
		if d.recipients[i].kind == kind {
			list = append(list, d.recipients[i].Address)
		}
	}
	return list
}

package submit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/route"
)

// onboarding is who test mail is from when nobody else is.
const onboarding = "Postroad <onboarding@" + route.SandboxDomain + ">"

// readSender finds out who the message is from and whether they may be that. An error
// is ours.
func (d *draft) readSender(ctx context.Context) error {
	in, ok := d.sender()
	if !ok {
		d.fault("missing_required_field", "from", "Say who it is from: 'from' with an address of one of your domains, or set the project's default_from.")
		return nil
	}
	from, ok := d.readAddress(in)
	if !ok {
		return nil
	}
	d.message.From = from
	if k := d.who.Key; k != nil && !k.MayFrom(from.Email) {
		d.refusal = fromNotAllowed(k, from)
		return nil
	}
	if d.refusal = d.domainNotAllowed(); d.refusal != nil {
		return nil
	}
	return d.readSendingDomain(ctx, in.Field)
}

func fromNotAllowed(k *project.Key, from mail.Address) *mail.Error {
	return &mail.Error{Code: "from_not_allowed", Field: "from", Pointer: "#/from", Status: 403,
		Message: "This API key may not send as '" + from.Email + "': its allowed_from has " + someOf(k.AllowedFrom) + ". Use such an address, or another key."}
}

// domainNotAllowed is the refusal of a domain the project may not send as. Test mail without
// a sender of its own is from the sandbox's domain, which is everybody's.
func (d *draft) domainNotAllowed() *mail.Error {
	from := d.message.From
	if d.who.Project == nil || d.who.Project.Settings.AllowsDomain(from.Domain()) || d.who.Owner.Env == mail.Test && from.Domain() == route.SandboxDomain {
		return nil
	}
	return &mail.Error{Code: "from_not_allowed", Field: "from", Pointer: "#/from", Status: 403,
		Message: "This project may not send as '" + from.Domain() + "': its allowed_domains has " + someOf(d.who.Project.Settings.AllowedDomains) + "."}
}

// someOf names the first of a list.
func someOf(list []string) string {
	const shown = 5
	if len(list) > shown {
		return strings.Join(list[:shown], ", ") + " and others"
	}
	return strings.Join(list, ", ")
}

// sender resolves From: the request, the template, the project, and in test the sandbox.
func (d *draft) sender() (*AddressIn, bool) {
	switch {
	case d.r.From != nil:
		return d.r.From, true
	case d.body.DefaultFrom != "":
		return &AddressIn{Text: d.body.DefaultFrom, Field: "from"}, true
	case d.who.Project != nil && d.who.Project.Settings.DefaultFrom != "":
		return &AddressIn{Text: d.who.Project.Settings.DefaultFrom, Field: "from"}, true
	case d.who.Owner.Env == mail.Test:
		return &AddressIn{Text: onboarding, Field: "from"}, true
	}
	return nil, false
}

// readSendingDomain judges the domain of From: it must be a verified one of the
// project. Where that is lenient, a warning says what live mail would need.
func (d *draft) readSendingDomain(ctx context.Context, field string) error {
	e, err := d.s.judgeDomain(ctx, d.who, d.message.From.Domain())
	if err != nil || e == nil {
		return err
	}
	if e.lenient {
		d.warn(e.code, field, e.message)
	} else {
		d.fault(e.code, field, e.message)
	}
	return nil
}

// objection is what is wrong with a sending domain.
type objection struct {
	code, message string
	lenient       bool // a warning is enough
}

func (s *Service) judgeDomain(ctx context.Context, who project.Principal, name string) (*objection, error) {
	test := who.Owner.Env == mail.Test
	if name == route.SandboxDomain {
		if test {
			return nil, nil
		}
		return &objection{code: "domain_not_found", message: "Live mail cannot be from " + route.SandboxDomain + ". Use an address of a domain you registered."}, nil
	}
	domain, err := s.domains.Domain(ctx, who.Owner.Project, name)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return &objection{"domain_not_found", "The domain '" + name + "' is not registered with this project. Register it: POST /v1/domains.", test}, nil
	case err != nil:
		return nil, fmt.Errorf("look up the sending domain: %w", err)
	}
	switch domain.Status {
	case "verified", "degraded":
		return nil, nil
	case "pending":
		warn := who.Project != nil && who.Project.Settings.UnverifiedDomains == "warn"
		return &objection{"domain_not_verified", "The domain '" + name + "' is not verified yet. Publish its records: GET /v1/domains/" + name + "/dns.", test || warn}, nil
	}
	return &objection{"domain_not_verified", "The domain '" + name + "' cannot send: it is " + domain.Status + ". See GET /v1/domains/" + name + ".", test}, nil
}

// readReplyTo judges the addresses answers should go to.
func (d *draft) readReplyTo() {
	if len(d.r.ReplyTo) == 0 {
		return
	}
	if len(d.r.ReplyTo) > d.s.limits.ReplyTo {
		d.fault("too_many", "reply_to", fmt.Sprintf("At most %d addresses.", d.s.limits.ReplyTo))
		return
	}
	for i := range d.r.ReplyTo {
		if a, ok := d.readAddress(&d.r.ReplyTo[i]); ok {
			d.message.ReplyTo = append(d.message.ReplyTo, a)
		}
	}
}

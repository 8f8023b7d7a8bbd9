package submit

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
)

// ResendRequest asks for a message to be sent again, as a new one.
type ResendRequest struct {
	Key         string // as in [Request]
	Route       string
	Fingerprint [32]byte
	RequestID   string
	Via         string
	Arrived     time.Time

	Original *mail.Message // the caller's own: the door has looked it up for its owner
	Content  mail.Content
	Again    []Again    // its recipients, or some of them; ignored when To is set
	To       *AddressIn // another address instead: it then stands alone in To

	Answer func(*Accepted) mail.Answer
}

// Again is a recipient of the original.
type Again struct {
	mail.Address
	Type mail.RecipientType
}

// Resend makes a new message with the bytes of an old one but for Message-ID, Date and,
// when it goes to another address, To. Whether the sender may send and the recipients
// may be written to is judged anew. Errors are as those of [Service.Submit].
func (s *Service) Resend(ctx context.Context, who project.Principal, r *ResendRequest) (*Accepted, error) {
	d := s.newDraft(who, &Request{Key: r.Key, Route: r.Route, Fingerprint: r.Fingerprint, RequestID: r.RequestID, Via: r.Via, Arrived: r.Arrived, Answer: r.Answer})
	if err := d.judgeAgain(ctx, r); err != nil {
		return nil, err
	}
	if err := d.screen(ctx); err != nil {
		return nil, err
	}
	content, err := d.rewrite(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, d.entry(content)) // equal to another on purpose: it is never taken for one
}

// judgeAgain takes over what was judged once and looks at what may have changed.
func (d *draft) judgeAgain(ctx context.Context, r *ResendRequest) error {
	if err := d.s.refused(d.who); err != nil {
		return err
	}
	d.inherit(r.Original)
	if k := d.who.Key; k != nil && !k.MayFrom(d.message.From.Email) {
		return fromNotAllowed(k, d.message.From)
	}
	if fault := d.domainNotAllowed(); fault != nil {
		return fault
	}
	if err := d.readSendingDomain(ctx, "from"); err != nil {
		return err
	}
	if r.To != nil {
		d.r.To = []AddressIn{*r.To}
	} else {
		for _, a := range r.Again {
			in := AddressIn{Text: a.Email, Name: a.Name, Field: indexed("recipients", len(d.r.To)+len(d.r.Cc)+len(d.r.Bcc))}
			list := [...]*[]AddressIn{&d.r.To, &d.r.Cc, &d.r.Bcc}[a.Type%3]
			*list = append(*list, in)
		}
	}
	d.readRecipients()
	return d.verdict()
}

// inherit copies what the new message shares with the old one. It is due at once, never
// expires and supersedes nothing.
func (d *draft) inherit(old *mail.Message) {
	m := d.message
	m.From, m.ReplyTo, m.Subject, m.Headers, m.Attachments = old.From, old.ReplyTo, old.Subject, old.Headers, old.Attachments
	m.Tier, m.Topic, m.Tags, m.Metadata, m.Template = old.Tier, old.Topic, slices.Clone(old.Tags), old.Metadata, old.Template
	m.ContentSeconds = old.ContentSeconds
	m.Stamp, m.Bypass = old.Stamp, old.Bypass && mayBypass(d.who) // the bytes are the old ones, with their placeholders
	m.ResentFrom = old.ID
	m.RFCID = render.MessageID(m.ID, m.From)
}

// rewrite copies the old bytes with the new fields.
func (d *draft) rewrite(ctx context.Context, r *ResendRequest) (mail.Content, error) {
	fields := mime.Reissue{ID: d.message.RFCID, Date: d.now}
	if r.To != nil {
		fields.To = d.addresses(mail.To)
	}
	content, err := d.s.keep(ctx, r.Content.Size()+1024, func(w io.Writer) error {
		old, err := r.Content.Open()
		if err != nil {
			return err
		}
		defer old.Close()
		return fields.Copy(w, old)
	})
	if err != nil {
		return nil, fmt.Errorf("copy the message: %w", err)
	}
	d.message.Size = content.Size()
	return content, nil
}

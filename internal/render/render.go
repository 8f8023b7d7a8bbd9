package render

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// Templates renders the templates of projects.
type Templates interface {
	// Render gives what Source.Template makes of Source.Data. Faults of the caller's, such as a
	// template that is not there or a missing variable, are mail.Faults or a *mail.Error.
	Render(ctx context.Context, s *Source) (Body, error)
}

// NoTemplates is [Templates] where there are none.
type NoTemplates struct{}

// Render answers that the template is not there.
func (NoTemplates) Render(_ context.Context, s *Source) (Body, error) {
	return Body{}, &mail.Error{
		Code: "template_not_found", Field: "template", Pointer: "#/template",
		Message: "There is no template '" + s.Template + "'. Send html and text instead.",
	}
}

// Source is content as it was asked for: a template, or HTML and text.
type Source struct {
	Owner      mail.Owner
	Template   string // alias or id, "welcome@7" pins, "welcome@draft"; "" = as written
	Locale     string // the language wanted; "" = the template's default
	Data       []byte // raw JSON
	Lax        bool   // missing variables print nothing
	Subject    *string
	HTML       string
	Text       string
	NoAutoText bool // no text is made from the HTML
}

// Body is content as it is sent.
type Body struct {
	Subject     string
	HTML        string
	Text        string
	Preheader   string // escaped; [Renderer.Body] puts it into the HTML
	DefaultFrom string // of the template
	Template    mail.TemplateRef
	Warnings    []mail.Warning // of rendering
}

// Renderer makes bodies and messages. It has no state of its own.
type Renderer struct{ templates Templates }

// New gives a Renderer that finds templates here.
func New(templates Templates) *Renderer { return &Renderer{templates} }

// Body renders content. An explicit subject wins over the template's.
func (r *Renderer) Body(ctx context.Context, s Source) (Body, error) {
	b := Body{HTML: s.HTML, Text: s.Text}
	if s.Template != "" {
		var err error
		if b, err = r.templates.Render(ctx, &s); err != nil {
			return Body{}, err
		}
	}
	if s.Subject != nil {
		b.Subject = *s.Subject
	}
	b.finish(!s.NoAutoText)
	return b, nil
}

// finish adds what follows from the HTML: the text, and then the preheader, which is no
// part of the text.
func (b *Body) finish(autoText bool) {
	if b.Text == "" && b.HTML != "" && autoText {
		b.Text = PlainText(b.HTML)
	}
	if b.Preheader != "" {
		b.HTML, b.Preheader = withPreheader(b.HTML, b.Preheader), ""
	}
}

// Input is what a message is put together from, all of it judged already.
type Input struct {
	MessageID   string // see [MessageID]
	At          time.Time
	From        mail.Address
	ReplyTo     []mail.Address
	To          []mail.Address
	Cc          []mail.Address // those in Bcc stand nowhere in the message
	Headers     []mail.Header
	Attachments []mime.Attachment
	Body        Body
}

// MessageID is the Message-ID of a message of ours, without angle brackets: the same for
// ever, so that a second copy after an uncertain attempt is known as one.
func MessageID(id mail.ID, from mail.Address) string { return id.UUID() + "@" + from.Domain() }

// Message puts a message together; writing it is the message's own work.
func (r *Renderer) Message(in *Input) *mime.Message {
	return &mime.Message{
		ID: in.MessageID, Date: in.At, From: in.From, ReplyTo: in.ReplyTo, To: in.To, Cc: in.Cc,
		Subject: in.Body.Subject, Headers: in.Headers, HTML: in.Body.HTML, Text: in.Body.Text, Attachments: in.Attachments,
	}
}

package submit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/render"
)

// readContent judges and renders subject and bodies. An error is ours.
func (d *draft) readContent(ctx context.Context) error {
	src := render.Source{Owner: d.who.Owner, Template: d.r.Template, Data: d.r.TemplateData, Locale: d.r.Locale, Lax: d.r.LaxVariables,
		Subject: d.r.Subject, NoAutoText: d.r.NoAutoText}
	if d.r.HTML != nil {
		src.HTML = *d.r.HTML
	}
	if d.r.Text != nil {
		src.Text = *d.r.Text
	}
	before := len(d.faults)
	d.judgeSource(&src)
	if len(d.faults) > before {
		return nil
	}
	body, err := d.s.renderer.Body(ctx, src)
	if err != nil {
		return d.adopt(err)
	}
	if src.Template != "" {
		d.judgeRendered(&src, &body)
	}
	d.body = body
	d.message.Subject, d.message.Template = body.Subject, body.Template
	return nil
}

// judgeRendered looks at what only the rendering knows.
func (d *draft) judgeRendered(src *render.Source, body *render.Body) {
	switch limits := &d.s.limits; {
	case src.Subject != nil:
	case body.Subject == "":
		d.fault("missing_required_field", "subject", "The template has no subject: give one.")
	case !mime.CleanValue(body.Subject):
		d.injected("subject")
	case len(body.Subject) > limits.Subject && utf8.RuneCountInString(body.Subject) > limits.Subject:
		d.fault("too_long", "subject", fmt.Sprintf("With this data the template's subject has more than %d characters.", limits.Subject))
	}
	if most := d.s.limits.Body; len(body.HTML) > most || len(body.Text) > most {
		d.fault("too_long", "template", fmt.Sprintf("With this data the template makes more than %d bytes.", most))
	}
	if body.HTML == "" && body.Text == "" {
		d.fault("missing_required_field", "template", "With this data the template makes nothing: neither HTML nor text.")
	}
	d.warnings = append(d.warnings, body.Warnings...)
}

func (d *draft) judgeSource(src *render.Source) {
	limits := &d.s.limits
	switch written := src.HTML != "" || src.Text != ""; {
	case src.Template != "" && (d.r.HTML != nil || d.r.Text != nil):
		d.fault("mutually_exclusive", "template", "Give 'template', or 'html' and 'text', not both.")
	case src.Template == "" && !written:
		d.fault("missing_required_field", "html", "The message has no content: give 'html', 'text' or 'template'.")
	}
	if src.Subject == nil && src.Template == "" {
		d.fault("missing_required_field", "subject", "Give a 'subject'.")
	}
	if src.Subject != nil {
		if !mime.CleanValue(*src.Subject) {
			d.injected("subject")
		}
		if len(*src.Subject) > limits.Subject && utf8.RuneCountInString(*src.Subject) > limits.Subject {
			d.fault("too_long", "subject", fmt.Sprintf("At most %d characters.", limits.Subject))
		}
	}
	if len(src.HTML) > limits.Body {
		d.fault("too_long", "html", fmt.Sprintf("At most %d bytes.", limits.Body))
	}
	if len(src.Text) > limits.Body {
		d.fault("too_long", "text", fmt.Sprintf("At most %d bytes.", limits.Body))
	}
}

// readAttachments judges the files, and decodes base64 for size and digest.
func (d *draft) readAttachments() {
	in, limits := d.r.Attachments, &d.s.limits
	if len(in) == 0 {
		d.checkContentIDs(nil)
		return
	}
	if len(in) > limits.Attachments {
		d.fault("too_many", "attachments", fmt.Sprintf("At most %d attachments.", limits.Attachments))
		in = in[:limits.Attachments]
	}
	d.files = make([]mime.Attachment, 0, len(in))
	total := int64(0)
	for i := range in {
		f, ok := d.readAttachment(&in[i])
		switch {
		case !ok:
		case in[i].Hosted:
			d.hosted = append(d.hosted, hosted{Attachment: f, id: mail.NewID(d.now)})
		default:
			d.files = append(d.files, f)
			total += f.Size
		}
	}
	d.checkContentIDs(in)
	if total > limits.AttachmentBytes {
		d.warn("attachments_over_25mb", "attachments", "The attachments have more than 25 MB together: many servers refuse this. Set 'hosted' or link to the file.")
	}
}

func (d *draft) readAttachment(in *AttachmentIn) (mime.Attachment, bool) {
	f := mime.Attachment{
		Filename: in.Filename, ContentType: in.ContentType, Inline: in.Inline, Base64: in.Base64, Raw: in.Raw,
		ContentID: strings.TrimSuffix(strings.TrimPrefix(in.ContentID, "<"), ">"),
	}
	if f.ContentType == "" {
		f.ContentType = typeOf(f.Filename)
	}
	before := len(d.faults)
	switch {
	case f.Filename == "":
		d.fault("missing_required_field", in.Field+".filename", "Give the attachment a file name.")
	case !mime.CleanValue(f.Filename):
		d.injected(in.Field + ".filename")
	case utf8.RuneCountInString(f.Filename) > d.s.limits.Filename:
		d.fault("too_long", in.Field+".filename", fmt.Sprintf("At most %d characters.", d.s.limits.Filename))
	}
	if f.Base64 == nil && f.Raw == nil {
		d.fault("missing_required_field", in.Field+".content", "Give the attachment's content, in base64.")
		return f, false
	}
	if in.Hosted {
		d.checkHosted(in)
	} else {
		d.checkBlocked(&f, in.Field)
	}
	if len(d.faults) == before {
		d.checkAttachment(&f, in.Field)
	}
	return f, len(d.faults) == before
}

func (d *draft) checkAttachment(f *mime.Attachment, field string) {
	var injection *mime.InjectionError
	switch err := f.Check(); {
	case err == nil:
	case errors.Is(err, mime.ErrBase64):
		d.fault("attachment_decode_error", field+".content", "The content is "+err.Error()+". It must be standard base64 with padding, and no 'data:' before it.")
	case errors.Is(err, mime.ErrContentType):
		d.fault("invalid_value", field+".content_type", "'content_type' is no media type, such as 'application/pdf'.")
	case errors.As(err, &injection) && injection.Field == "Content-Type":
		d.injected(field + ".content_type")
	case errors.As(err, &injection) && mime.CleanValue(f.ContentID):
		d.fault("invalid_value", field+".content_id", "'content_id' is printable ASCII without spaces and angle brackets.")
	default:
		d.injected(field + ".content_id")
	}
}

// typeOf is the media type file names of this kind have. The system's table is not
// asked: two machines must write the same bytes.
func typeOf(filename string) string {
	if kind, ok := types[strings.ToLower(path.Ext(filename))]; ok {
		return kind
	}
	return "application/octet-stream"
}

var types = map[string]string{
	".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip", ".json": "application/json", ".xml": "application/xml",
	".txt": "text/plain", ".csv": "text/csv", ".html": "text/html", ".htm": "text/html", ".ics": "text/calendar", ".md": "text/markdown", ".vcf": "text/vcard",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".svg": "image/svg+xml", ".bmp": "image/bmp",
	".mp3": "audio/mpeg", ".wav": "audio/wav", ".mp4": "video/mp4", ".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

// compose puts the judged parts into a message.
func (d *draft) compose() *mime.Message {
	d.message.RFCID = render.MessageID(d.message.ID, d.message.From)
	m := d.s.renderer.Message(&render.Input{
		MessageID: d.message.RFCID, At: d.now, From: d.message.From, ReplyTo: d.message.ReplyTo, To: d.addresses(mail.To), Cc: d.addresses(mail.Cc),
		Headers: d.headers, Attachments: d.files, Body: d.body,
	})
	d.mark(m)
	return m
}

// finish writes all that is kept: the hosted files, then the message.
func (d *draft) finish(ctx context.Context) (*entry, error) {
	if err := d.host(ctx); err != nil {
		return nil, err
	}
	content, err := d.write(ctx, d.compose())
	if err != nil {
		d.s.discardFiles(d.kept)
		return nil, err
	}
	if err := d.checkSize(content.Size()); err != nil {
		d.s.discard(content)
		d.s.discardFiles(d.kept)
		return nil, err
	}
	return d.entry(content), nil
}

// checkSize holds the message to the size its door allows.
func (d *draft) checkSize(size int64) error {
	if d.r.MaxSize == 0 || size <= d.r.MaxSize {
		return nil
	}
	return mail.Faults{{Code: "message_too_large", Pointer: "#", Message: fmt.Sprintf("The message has %d bytes with its headers and encodings, more than the %d allowed here.", size, d.r.MaxSize)}}
}

// write renders the bytes that are kept and sent: in memory while they are few, else
// to the store's disk.
func (d *draft) write(ctx context.Context, m *mime.Message) (mail.Content, error) {
	estimate := m.EstimateSize()
	if d.toDisk {
		estimate = max(estimate, d.s.limits.Spool+1)
	}
	content, err := d.s.keep(ctx, estimate, func(w io.Writer) error {
		if b, ok := w.(*bytes.Buffer); ok {
			out, err := m.Append(b.AvailableBuffer())
			if err == nil {
				b.Write(out) // the same memory: no copy unless the estimate was short
			}
			return err
		}
		_, err := m.WriteTo(w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	d.record(m, content.Size())
	return content, nil
}

// record keeps in the message what is known once it is written.
func (d *draft) record(m *mime.Message, size int64) {
	d.message.Size = size
	if n := len(m.Attachments) + len(d.hosted); n > 0 {
		d.message.Attachments = make([]mail.Attachment, 0, n)
		for i := range m.Attachments {
			d.message.Attachments = append(d.message.Attachments, m.Attachments[i].Info())
		}
		for i := range d.hosted { // behind those that are in the message, whose numbers are their places in it
			d.message.Attachments = append(d.message.Attachments, d.hosted[i].info())
		}
	}
}

// keep has content written to where its size sends it.
func (s *Service) keep(ctx context.Context, estimate int64, write func(io.Writer) error) (mail.Content, error) {
	if estimate > s.limits.Spool {
		return s.store.Spool(ctx, write)
	}
	b := bytes.NewBuffer(make([]byte, 0, estimate))
	if err := write(b); err != nil {
		return nil, err
	}
	return mail.Bytes(b.Bytes()), nil
}

// preview is the answer of a dry run: all of the work but the commit.
func (d *draft) preview() (*Accepted, error) {
	m := d.compose()
	size, err := m.WriteTo(io.Discard)
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	d.record(m, size)
	e := d.entry(nil)
	out := e.accepted()
	out.Preview = &Preview{Subject: d.body.Subject, HTML: d.body.HTML, Text: d.body.Text, Size: size}
	if d.r.Answer != nil {
		out.Answer = d.r.Answer(out)
	}
	return out, nil
}

package submit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/tracking"
)

// A message that comes whole, over HTTP or SMTP, keeps its bytes: [ReadRaw] looks at
// them, rawheader.go reads what of its header is meant for us, and [Service.SubmitRaw]
// takes that out, with Bcc, and adds Date and Message-ID where they are missing.

// Raw is a message as somebody else wrote it.
type Raw struct {
	// Keys are the idempotency keys of its header, as written.
	Keys []string
	// Sum is the SHA-256 of its bytes without those: equal ones are the same request.
	Sum [32]byte

	content mail.Content
	header  *mime.Original
}

// RawRequest hands in a message that came whole.
type RawRequest struct {
	Key         string // as in [Request]
	Route       string
	Fingerprint [32]byte
	RequestID   string
	Via         string
	Arrived     time.Time

	Raw *Raw
	// From is the envelope's sender, if the caller named one. It is only looked at: the
	// return path is ours, and what must be allowed is the From field.
	From *AddressIn
	// To are the envelope's recipients; those who stand in neither To nor Cc of the header
	// are bcc. None: the header's To, Cc and Bcc.
	To            []AddressIn
	MaxRecipients int // 0 = the limit of Limits

	DryRun bool
	Strict bool

	Answer func(*Accepted) mail.Answer
}

// ReadRaw looks at a message. What is wrong with it is mail.Faults; other errors are
// those of the content. The content must live until SubmitRaw has returned.
func ReadRaw(c mail.Content) (*Raw, error) {
	header, err := mime.ReadOriginal(c, isKeyField)
	var bad *mime.LineError
	switch {
	case errors.As(err, &bad):
		return nil, rawFault("The message's " + bad.Error() + ".")
	case errors.Is(err, mime.ErrHeaderTooLarge):
		return nil, rawFault("The message's header has more than 1 MB or 2 000 fields.")
	case err != nil:
		return nil, err
	case len(header.Fields) == 0:
		return nil, rawFault("The message has no header.")
	}
	r := &Raw{Sum: header.Sum, content: c, header: header}
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		r.Keys = append(r.Keys, header.Values(name)...)
	}
	return r, nil
}

// Request is what a door that takes parts would have handed in for the same message: so
// that doors can be compared. [Service.SubmitRaw] does not need it: the bytes are kept.
func (r *RawRequest) Request() (*Request, error) {
	h := readRawHeader(r)
	if h.request.Template != "" {
		return h.request, h.intoTemplate()
	}
	h.intoFields()
	in, err := r.Raw.content.Open()
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	defer in.Close()
	parts, err := mime.Parse(in, mime.Limits{})
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	if parts.HTML != "" {
		h.request.HTML = &parts.HTML
	}
	if parts.Text != "" {
		h.request.Text = &parts.Text
	}
	for i, a := range parts.Attachments {
		content, err := r.Raw.attachment(i)
		if err != nil {
			return nil, fmt.Errorf("read an attachment: %w", err)
		}
		h.request.Attachments = append(h.request.Attachments, AttachmentIn{Filename: a.Filename, ContentType: a.ContentType,
			ContentID: a.ContentID, Inline: a.Inline, Raw: content, Field: indexed("attachments", i)})
	}
	return h.request, nil
}

// attachment reads one into memory.
func (r *Raw) attachment(n int) (mail.Bytes, error) {
	in, err := r.content.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var out bytes.Buffer
	err = mime.CopyAttachment(&out, in, n, mime.Limits{})
	return mail.Bytes(out.Bytes()), err
}

func rawFault(message string) mail.Faults {
	return mail.Faults{{Code: "invalid_value", Field: "message", Pointer: "#", Message: message}}
}

func isKeyField(name string) bool {
	return strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key")
}

// SubmitRaw validates and accepts a message that came whole. Errors are those of
// [Service.Submit].
func (s *Service) SubmitRaw(ctx context.Context, who project.Principal, r *RawRequest) (*Accepted, error) {
	h := readRawHeader(r)
	if h.request.Template != "" {
		if err := h.intoTemplate(); err != nil {
			return nil, err
		}
		return s.Submit(ctx, who, h.request)
	}
	d := s.newDraft(who, h.request)
	parts, err := d.judgeRaw(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := d.screen(ctx); err != nil {
		return nil, err
	}
	if r.DryRun {
		return d.previewRaw(parts)
	}
	content, err := d.writeRaw(ctx, r.Raw)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, d.entry(content))
}

// judgeRaw looks at the envelope, at what the header says to us, and at the files.
func (d *draft) judgeRaw(ctx context.Context, h *rawHeader) (*mime.Parts, error) {
	if err := d.s.refused(d.who); err != nil {
		return nil, err
	}
	d.readDoor()
	d.readRecipients()
	if d.r.From != nil {
		if err := d.readSender(ctx); err != nil {
			return nil, err
		}
	}
	if in := h.r.From; in != nil && in.Text != "" && in.Text != "<>" {
		d.readAddress(in)
	}
	d.readTimes()
	d.readLabels()
	d.readUnsubscribe(h.header.Count("List-Unsubscribe") > 0)
	h.describe(d.message)
	d.message.Size = h.header.Size
	if line := h.header.LongLine; line > 0 {
		d.warn("line_too_long", "message", fmt.Sprintf("Line %d has more than 998 octets: some servers refuse or break it (RFC 5322 section 2.1.1).", line))
	}
	parts, err := d.readParts(h.r)
	if err != nil {
		return nil, err
	}
	return parts, d.verdict()
}

// readParts takes the message apart for its files; texts are kept only for a dry run.
func (d *draft) readParts(r *RawRequest) (*mime.Parts, error) {
	parts, err := r.Raw.parts(r.DryRun)
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	if parts.Problem != "" {
		d.warn("mime_problem", "message", "Readers may not see the message as it is meant: "+clip(parts.Problem)+".")
	}
	total := int64(0)
	for i := range parts.Attachments {
		a := &parts.Attachments[i]
		total += a.Size
		if what := d.s.blockedAs(a.Filename, a.ContentType); what != "" {
			d.fault("attachment_type_blocked", indexed("attachments", i), "Mail servers refuse attachments of the kind '"+what+"'. Link to the file instead.")
		}
	}
	if total > d.s.limits.AttachmentBytes {
		d.warn("attachments_over_25mb", "message", "The attachments have more than 25 MB together: many servers refuse this. Link to the files instead.")
	}
	d.message.Attachments = parts.Attachments
	return parts, nil
}

// writeRaw gives the bytes that are kept: the caller's own where nothing was to change
// and they are on disk already.
func (d *draft) writeRaw(ctx context.Context, r *Raw) (mail.Content, error) {
	d.complete(r.header)
	if _, onDisk := r.content.(Spooled); onDisk && !r.header.Changed() {
		d.message.Size = r.content.Size()
		return r.content, nil
	}
	content, err := d.s.keep(ctx, r.content.Size()+512, func(w io.Writer) error {
		_, err := r.header.WriteTo(w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	d.message.Size = content.Size()
	return content, nil
}

// complete takes out what is not for the recipients and adds what must be there
// (RFC 5322 §3.6; RFC 6409 §8).
func (d *draft) complete(h *mime.Original) {
	h.Drop(func(name string) bool {
		return isKeyField(name) || strings.EqualFold(name, "Bcc") || strings.EqualFold(name, "Resent-Bcc") || isOurs(name) || strings.EqualFold(name, "Message-ID") && d.message.RFCID == ""
	})
	if d.message.RFCID == "" {
		d.message.RFCID = render.MessageID(d.message.ID, d.message.From)
		h.Put("Message-ID", "<"+d.message.RFCID+">")
	}
	if base := d.linkBase(); d.oneClick && base != "" {
		marks := tracking.NewMarks(base)
		list, post := marks.Unsubscribe(d.s.marking.MailHost)
		h.Put("List-Unsubscribe", list)
		if h.Count("List-Unsubscribe-Post") == 0 {
			h.Put("List-Unsubscribe-Post", post)
		}
		d.message.Stamp = marks.Marker()
	}
	if h.Count("Date") == 0 {
		h.Put("Date", d.now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
}

// parts takes the message apart; with whole set its texts and its subject are there too.
func (r *Raw) parts(whole bool) (*mime.Parts, error) {
	if !whole {
		return r.header.Parse(mime.Limits{Text: 1})
	}
	in, err := r.content.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return mime.Parse(in, mime.Limits{})
}

func (d *draft) previewRaw(parts *mime.Parts) (*Accepted, error) {
	if d.message.RFCID == "" {
		d.message.RFCID = render.MessageID(d.message.ID, d.message.From)
	}
	out := d.entry(nil).accepted()
	out.Preview = &Preview{Subject: parts.Subject, HTML: parts.HTML, Text: parts.Text, Size: d.message.Size}
	if d.r.Answer != nil {
		out.Answer = d.r.Answer(out)
	}
	return out, nil
}

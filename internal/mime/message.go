package mime

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Message is everything a message is written from.
type Message struct {
	ID      string // Message-ID without angle brackets; boundaries follow from it
	Date    time.Time
	From    mail.Address
	ReplyTo []mail.Address
	To      []mail.Address
	Cc      []mail.Address
	Subject string
	Headers []mail.Header // the caller's own, written after ours

	HTML        string // at least one of HTML and Text should be set
	Text        string
	Attachments []Attachment

	// Whole begins what no line break may split in a text, WholeSize bytes each: what is
	// put in its place later must find it in one piece. "" = nothing.
	Whole     string
	WholeSize int
}

// InjectionError tells of a header field that holds CR, LF or NUL, or whose name is no
// name: it would let a caller write fields of his own.
type InjectionError struct{ Field string }

func (e *InjectionError) Error() string {
	return "header field " + strings.ToValidUTF8(e.Field, "?") + " has a line break, a NUL or a bad name"
}

// Check validates all that could make writing fail, and takes size and digest of the
// attachments whose bytes are given as base64. It gives the first fault.
func (m *Message) Check() error {
	if err := m.checkFields(); err != nil {
		return err
	}
	for i := range m.Attachments {
		if err := m.Attachments[i].Check(); err != nil {
			return fmt.Errorf("attachment %d: %w", i, err)
		}
	}
	return nil
}

func (m *Message) checkFields() error {
	if !validMsgID(m.ID) {
		return &InjectionError{"Message-ID"}
	}
	if !cleanAddress(m.From) {
		return &InjectionError{"From"}
	}
	for i, list := range [...][]mail.Address{m.ReplyTo, m.To, m.Cc} {
		for _, a := range list {
			if !cleanAddress(a) {
				return &InjectionError{[...]string{"Reply-To", "To", "Cc"}[i]}
			}
		}
	}
	if !CleanValue(m.Subject) {
		return &InjectionError{"Subject"}
	}
	for _, h := range m.Headers {
		if !ValidName(h.Name) || !CleanValue(h.Value) {
			return &InjectionError{h.Name}
		}
	}
	return nil
}

// EstimateSize tells about how many bytes the message will have, rarely too few and
// for attachments exact: enough to decide between memory and disk and to make a buffer.
func (m *Message) EstimateSize() int64 {
	size := int64(512 + 2*len(m.Subject) + 2*len(m.ID))
	for _, list := range [...][]mail.Address{{m.From}, m.ReplyTo, m.To, m.Cc} {
		for _, a := range list {
			size += int64(len(a.Email) + 2*len(a.Name) + 8)
		}
	}
	for _, h := range m.Headers {
		size += int64(len(h.Name) + len(h.Value) + 4)
	}
	size += estimateText(m.HTML) + estimateText(m.Text)
	for i := range m.Attachments {
		size += m.Attachments[i].encodedSize() + 256
	}
	return size
}

// Append writes the message to the end of b.
func (m *Message) Append(b []byte) ([]byte, error) {
	w := writer{buf: b, whole: m.Whole, wholeSize: m.WholeSize}
	err := m.write(&w)
	return w.buf, err
}

// WriteTo writes the message to w in pieces of about 32 KB.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	pieces := writer{buf: make([]byte, 0, pieceSize+4096), out: w, whole: m.Whole, wholeSize: m.WholeSize}
	err := m.write(&pieces)
	if err == nil {
		err = pieces.flush()
	}
	return pieces.written, err
}

func (m *Message) write(w *writer) error {
	if err := m.Check(); err != nil {
		return err
	}
	m.writeHeader(w)
	if err := m.writeBody(w, m.boundaries()); err != nil {
		return err
	}
	w.end()
	return nil
}

func (m *Message) writeHeader(w *writer) {
	w.buf = append(w.buf, "Date: "...)
	w.buf = m.Date.AppendFormat(w.buf, "Mon, 02 Jan 2006 15:04:05 -0700") // RFC 5322 §3.3
	w.buf = append(w.buf, "\r\nMessage-ID: <"...)
	w.buf = append(w.buf, m.ID...)
	w.buf = append(w.buf, ">\r\n"...)
	w.buf = appendAddresses(w.buf, "From", []mail.Address{m.From})
	w.buf = appendAddresses(w.buf, "To", m.To)
	w.buf = appendAddresses(w.buf, "Cc", m.Cc)
	w.buf = appendAddresses(w.buf, "Reply-To", m.ReplyTo)
	w.buf = AppendField(w.buf, "Subject", m.Subject)
	for _, h := range m.Headers {
		w.buf = AppendField(w.buf, h.Name, h.Value)
	}
	w.buf = append(w.buf, "MIME-Version: 1.0\r\n"...)
}

// boundaries gives the stem of this message's boundaries. "=_" cannot stand in
// quoted-printable or base64, and unencoded text that has it is encoded.
func (m *Message) boundaries() string {
	sum := sha256.Sum256([]byte(m.ID))
	var stem [2 + 24]byte
	copy(stem[:], "=_")
	hex.Encode(stem[2:], sum[:12])
	return string(stem[:])
}

// writeBody writes the tree: mixed(alternative(text, related(html, inline …)), files …),
// each level only where it has more than one part.
func (m *Message) writeBody(w *writer, stem string) error {
	inline, files := m.sortAttachments()
	if len(files) == 0 {
		return m.writeContent(w, stem, inline)
	}
	outer := stem + "m"
	w.openMultipart("mixed", outer, "")
	w.part(outer)
	if err := m.writeContent(w, stem, inline); err != nil {
		return err
	}
	for _, a := range files {
		w.part(outer)
		if err := w.attachment(a); err != nil {
			return err
		}
	}
	w.closeMultipart(outer)
	return nil
}

func (m *Message) writeContent(w *writer, stem string, inline []*Attachment) error {
	switch {
	case m.HTML == "":
		return w.text("plain", m.Text)
	case m.Text == "":
		return m.writeHTML(w, stem, inline)
	}
	boundary := stem + "a"
	w.openMultipart("alternative", boundary, "")
	w.part(boundary)
	if err := w.text("plain", m.Text); err != nil {
		return err
	}
	w.part(boundary)
	if err := m.writeHTML(w, stem, inline); err != nil {
		return err
	}
	w.closeMultipart(boundary)
	return nil
}

func (m *Message) writeHTML(w *writer, stem string, inline []*Attachment) error {
	if len(inline) == 0 {
		return w.text("html", m.HTML)
	}
	boundary := stem + "r"
	w.openMultipart("related", boundary, "text/html") // RFC 2387 §3.1: the type of the root
	w.part(boundary)
	if err := w.text("html", m.HTML); err != nil {
		return err
	}
	for _, a := range inline {
		w.part(boundary)
		if err := w.attachment(a); err != nil {
			return err
		}
	}
	w.closeMultipart(boundary)
	return nil
}

// sortAttachments parts those the HTML shows (inline and with a content id) from files.
func (m *Message) sortAttachments() (inline, files []*Attachment) {
	for i := range m.Attachments {
		if a := &m.Attachments[i]; a.Inline && a.ContentID != "" && m.HTML != "" {
			inline = append(inline, a)
		} else {
			files = append(files, a)
		}
	}
	return inline, files
}

// Attachment is one file: Base64 as it came in JSON (line breaks allowed), or Raw.
type Attachment struct {
	Filename    string
	ContentType string // "" = application/octet-stream
	ContentID   string // without angle brackets
	Inline      bool   // shown within the message; plain text and HTML are attached all the same
	Base64      []byte
	Raw         mail.Content

	// Of the decoded bytes. For Base64 they are known after Check; for Raw after the
	// message was written.
	Size   int64
	SHA256 [32]byte

	checked bool
	plain   bool   // Base64 has no line breaks
	content string // ContentType as it will be written
}

// ErrBase64 says that an attachment's text is not base64.
var ErrBase64 = errors.New("not valid base64")

// Check validates the attachment and, for Base64, takes size and digest. A second call
// does nothing.
func (a *Attachment) Check() error {
	if a.checked {
		return nil
	}
	if !CleanValue(a.Filename) {
		return &InjectionError{"Content-Disposition"}
	}
	if a.ContentID != "" && !validMsgID(a.ContentID) {
		return &InjectionError{"Content-ID"}
	}
	content, err := contentType(a.ContentType)
	if err != nil {
		return err
	}
	if a.Raw == nil {
		if err := a.digest(); err != nil {
			return err
		}
	} else {
		a.Size = a.Raw.Size()
	}
	a.content, a.checked = content, true
	return nil
}

// Info is what the message's record keeps of the attachment.
func (a *Attachment) Info() mail.Attachment {
	content := a.content
	if content == "" {
		content = a.ContentType
	}
	return mail.Attachment{Filename: a.Filename, ContentType: content, ContentID: a.ContentID, Inline: a.Inline, Size: a.Size, SHA256: a.SHA256}
}

func (a *Attachment) encodedSize() int64 {
	n := int64(len(a.Base64))
	if a.Raw != nil {
		n = int64(base64.StdEncoding.EncodedLen(int(a.Raw.Size())))
	}
	return n + 2*(n/76+1)
}

package mime

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	stdmime "mime"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // texts in other charsets than UTF-8
	"github.com/emersion/go-message/textproto"

	"github.com/postroad/postroad/internal/mail"
)

// Limits bound what reading a message may cost. Zero fields mean the defaults.
type Limits struct {
	Depth  int   // multiparts within multiparts; 16
	Parts  int   // of the whole tree; 1000
	Text   int64 // bytes kept of HTML and of Text; 10 MB each
	Header int64 // bytes of the header block read; 1 MB
}

func (l Limits) orDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 16
	}
	if l.Parts == 0 {
		l.Parts = 1000
	}
	if l.Text == 0 {
		l.Text = 10 << 20
	}
	if l.Header == 0 {
		l.Header = 1 << 20
	}
	return l
}

// Parts is a message taken apart. Texts are UTF-8.
type Parts struct {
	Subject     string
	Headers     []mail.Header // of the message, in order, unfolded, encoded words decoded
	HTML        string
	Text        string
	Attachments []mail.Attachment
	Truncated   bool   // a text or the tree went beyond the limits
	Problem     string // what was broken first, in words; "" when nothing was
}

// Parse takes a message apart. Broken ones give what can be read of them, and Problem;
// the only errors are those of r.
func Parse(r io.Reader, limits Limits) (*Parts, error) {
	p := parser{limits: limits.orDefaults(), wanted: -1, parts: &Parts{}}
	if err := p.read(r); err != nil {
		return nil, err
	}
	return p.parts, nil
}

// CopyAttachment writes the decoded bytes of the attachment that [Parse] lists at index
// n; mail.ErrNotFound when there is none.
func CopyAttachment(w io.Writer, r io.Reader, n int, limits Limits) error {
	p := parser{limits: limits.orDefaults(), wanted: n, to: w, parts: &Parts{}}
	if err := p.read(r); err != nil {
		return err
	}
	if !p.found {
		return mail.ErrNotFound
	}
	return nil
}

type parser struct {
	limits Limits
	parts  *Parts
	seen   int // parts so far
	wanted int // the attachment whose bytes go to to, or -1
	to     io.Writer
	found  bool
	source sourceReader
}

// sourceReader remembers the error of the reader below, so that it is not taken for a
// fault of the message.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// errStop ends the walk early: found what was wanted, or a write failed.
var errStop = errors.New("stop")

func (p *parser) read(r io.Reader) error {
	p.source.r = r
	br := bufio.NewReader(&p.source)
	head := p.cleanHeader(br)
	fields, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		p.problem("header: " + err.Error())
		return p.source.err
	}
	header := message.Header{Header: fields}
	p.headers(&header)
	if err := p.entity(header, br, 0); err != nil && !errors.Is(err, errStop) {
		return err
	}
	return p.source.err
}

// cleanHeader reads the header block, unfolds it (only the line breaks go: RFC 5322
// §2.2.3), and leaves out lines that are neither fields nor continuations of one, which
// strict readers give up at.
func (p *parser) cleanHeader(br *bufio.Reader) []byte {
	var head []byte
	inField := false
	for total := int64(0); ; {
		line, err := br.ReadSlice('\n')
		total += int64(len(line))
		if total > p.limits.Header {
			p.problem("the header is too large")
			p.parts.Truncated = true
			return append(head, "\r\n\r\n"...)
		}
		if err == bufio.ErrBufferFull {
			if inField {
				head = append(head, line...)
			}
			continue
		}
		trimmed := bytes.TrimRight(line, "\r\n")
		if len(trimmed) == 0 { // the blank line, or the end
			return append(head, "\r\n"...)
		}
		blank := trimmed[0] == ' ' || trimmed[0] == '\t'
		name, _, colon := bytes.Cut(trimmed, []byte(":"))
		switch {
		case blank && inField:
			head = append(bytes.TrimSuffix(head, []byte("\r\n")), noCR(trimmed)...)
			head = append(head, "\r\n"...)
		case !blank && colon && ValidName(string(bytes.TrimRight(name, " \t"))):
			inField = true
			head = append(append(head, noCR(trimmed)...), "\r\n"...)
		default:
			inField = false
			p.problem("a header line is no field")
		}
		if err != nil {
			return append(head, "\r\n"...)
		}
	}
}

func noCR(line []byte) []byte { return bytes.ReplaceAll(line, []byte("\r"), []byte(" ")) }

func (p *parser) problem(text string) {
	if p.parts.Problem == "" {
		p.parts.Problem = strings.ToValidUTF8(text, "\ufffd")
	}
}

func (p *parser) headers(h *message.Header) {
	fields := h.Fields()
	for fields.Next() {
		text, err := fields.Text()
		if err != nil {
			text = fields.Value()
		}
		text = strings.ToValidUTF8(text, "\ufffd")
		p.parts.Headers = append(p.parts.Headers, mail.Header{Name: fields.Key(), Value: text})
		if p.parts.Subject == "" && strings.EqualFold(fields.Key(), "Subject") {
			p.parts.Subject = text
		}
	}
}

// entity reads one part and what is below it.
func (p *parser) entity(h message.Header, body io.Reader, depth int) error {
	if p.seen++; p.seen > p.limits.Parts || depth > p.limits.Depth {
		p.parts.Truncated = true
		p.problem("too many parts, or too deep")
		return errStop
	}
	kind, params, err := h.ContentType()
	if err != nil {
		p.problem("content type: " + err.Error())
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		return p.multipart(body, params["boundary"], depth)
	}
	disposition, names, _ := h.ContentDisposition()
	filename := filenameOf(h.Get("Content-Disposition"), names["filename"])
	if filename == "" {
		filename = params["name"]
	}
	text := kind == "text/plain" || kind == "text/html" || strings.HasPrefix(kind, "multipart/")
	if text && disposition != "attachment" && filename == "" {
		return p.text(p.decoded(h, body), kind)
	}
	return p.attachment(p.decoded(untyped(h), body), mail.Attachment{
		Filename: strings.ToValidUTF8(filename, "\ufffd"), ContentType: kind, Inline: disposition == "inline",
		ContentID: strings.ToValidUTF8(strings.Trim(h.Get("Content-Id"), "<> "), "\ufffd"),
	})
}

// filenameOf gives the name go-message read, which has encoded words decoded wherever
// they seem to be: right for what old senders write in quotes, wrong for a name written by
// RFC 2231, which is taken as it stands.
func filenameOf(disposition, read string) string {
	if !strings.Contains(strings.ToLower(disposition), "filename*") {
		return read
	}
	if _, params, err := stdmime.ParseMediaType(disposition); err == nil && params["filename"] != "" {
		return params["filename"]
	}
	return read
}

// untyped is a header without the type, and so without the charset: a file's bytes stay
// what they are.
func untyped(h message.Header) message.Header {
	h = h.Copy()
	h.Set("Content-Type", "application/octet-stream")
	return h
}

// decoded undoes the transfer encoding, and makes text of a known charset UTF-8.
func (p *parser) decoded(h message.Header, body io.Reader) io.Reader {
	e, err := message.New(h, body)
	if err != nil {
		p.problem(err.Error()) // unknown charset or encoding: still readable
	}
	return e.Body
}

func (p *parser) multipart(body io.Reader, boundary string, depth int) error {
	reader := textproto.NewMultipartReader(body, boundary)
	for {
		part, err := reader.NextPart()
		if err != nil {
			if err != io.EOF {
				p.problem(fmt.Sprintf("multipart: %v", err))
			}
			return nil
		}
		if err := p.entity(message.Header{Header: part.Header}, part, depth+1); err != nil {
			return err
		}
	}
}

// text keeps the first text of each kind, and appends further ones.
func (p *parser) text(r io.Reader, kind string) error {
	into := &p.parts.Text
	if kind == "text/html" {
		into = &p.parts.HTML
	}
	b, err := io.ReadAll(io.LimitReader(r, p.limits.Text-int64(len(*into))+1))
	if err != nil {
		p.problem("text: " + err.Error())
	}
	text := *into + strings.ToValidUTF8(string(b), "\ufffd")
	if int64(len(text)) > p.limits.Text {
		text, p.parts.Truncated = strings.ToValidUTF8(text[:p.limits.Text], ""), true
	}
	*into = text
	return nil
}

func (p *parser) attachment(body io.Reader, a mail.Attachment) error {
	sum, wanted := sha256.New(), len(p.parts.Attachments) == p.wanted
	var to io.Writer = sum
	if wanted {
		to, p.found = p.to, true
	} else if p.wanted >= 0 {
		to = io.Discard
	}
	n, err := io.Copy(to, body)
	switch {
	case err != nil && wanted:
		return fmt.Errorf("copy attachment: %w", err)
	case err != nil:
		p.problem("attachment: " + err.Error())
	case wanted:
		return errStop
	}
	a.Size = n
	sum.Sum(a.SHA256[:0])
	p.parts.Attachments = append(p.parts.Attachments, a)
	return nil
}

package mime

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // texts in other charsets than UTF-8

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
	entity, err := message.ReadWithOptions(io.MultiReader(bytes.NewReader(head), br), &message.ReadOptions{MaxHeaderBytes: p.limits.Header + 4096})
	if entity == nil {
		p.problem("header: " + err.Error())
		return p.source.err
	}
	p.headers(entity)
	if err := p.entity(entity, 0); err != nil && !errors.Is(err, errStop) {
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

func (p *parser) headers(e *message.Entity) {
	fields := e.Header.Fields()
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
func (p *parser) entity(e *message.Entity, depth int) error {
	if p.seen++; p.seen > p.limits.Parts || depth > p.limits.Depth {
		p.parts.Truncated = true
		p.problem("too many parts, or too deep")
		return errStop
	}
	kind, params, err := e.Header.ContentType()
	if err != nil {
		p.problem("content type: " + err.Error())
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		return p.multipart(e, depth)
	}
	disposition, names, _ := e.Header.ContentDisposition()
	filename := names["filename"]
	if filename == "" {
		filename = params["name"]
	}
	text := kind == "text/plain" || kind == "text/html" || strings.HasPrefix(kind, "multipart/")
	if text && disposition != "attachment" && filename == "" {
		return p.text(e.Body, kind)
	}
	return p.attachment(e, mail.Attachment{
		Filename: strings.ToValidUTF8(filename, "\ufffd"), ContentType: kind, Inline: disposition == "inline",
		ContentID: strings.ToValidUTF8(strings.Trim(e.Header.Get("Content-Id"), "<> "), "\ufffd"),
	})
}

func (p *parser) multipart(e *message.Entity, depth int) error {
	reader := e.MultipartReader()
	for {
		part, err := reader.NextPart()
		if part == nil {
			if err != io.EOF {
				p.problem(fmt.Sprintf("multipart: %v", err))
			}
			return nil
		}
		if err != nil {
			p.problem(err.Error()) // unknown charset or encoding: still readable
		}
		if err := p.entity(part, depth+1); err != nil {
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

func (p *parser) attachment(e *message.Entity, a mail.Attachment) error {
	sum, wanted := sha256.New(), len(p.parts.Attachments) == p.wanted
	var to io.Writer = sum
	if wanted {
		to, p.found = p.to, true
	} else if p.wanted >= 0 {
		to = io.Discard
	}
	n, err := io.Copy(to, e.Body)
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

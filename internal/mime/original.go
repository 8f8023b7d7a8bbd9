package mime

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// Original is the header of a message that somebody else wrote: fields can be taken out
// and put in front; all other bytes, and the body, go out as they came.
type Original struct {
	Fields []OriginalField
	// What the scan of the whole message found.
	Size     int64    // as it came
	LongLine int      // number of the first line of more than 998 octets, 0 = none (RFC 5322 §2.1.1)
	Sum      [32]byte // SHA-256 of what is left without the fields that skip named

	content mail.Content
	head    int64 // octets up to and with the empty line
	changed bool
	front   []byte
}

// OriginalField is one field as it stands there.
type OriginalField struct {
	Name  string // as written
	Value string // unfolded, without blanks around it; encoded words are still encoded
	raw   []byte // with its line ends
}

// LineError says that a message is not made of lines as RFC 5321 wants them.
type LineError struct {
	Line int // from 1
	What string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.What) }

const (
	maxOriginal = 1 << 20 // octets of a header block
	maxFields   = 2000    // of it
	maxOctets   = 998     // of a line
)

// ReadOriginal reads a message once: its header into memory, all lines for what must not
// be there. Lines end in CRLF and nowhere else stands a CR, an LF or a NUL, since sites
// disagree on what those mean and mail is smuggled by that. Fields that skip names do not
// count in Sum. Errors are [*LineError], [ErrHeaderTooLarge] or those of the content.
func ReadOriginal(c mail.Content, skip func(name string) bool) (*Original, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	o := &Original{content: c}
	piece := int(min(c.Size()+bytes.MinRead, pieceSize)) // most messages are small
	br := bufio.NewReaderSize(r, piece)
	lines := lineCheck{line: 1}
	if err := o.readHeader(br, &lines); err != nil {
		return nil, err
	}
	sum := sha256.New()
	for i := range o.Fields {
		o.Fields[i].Value = o.Fields[i].unfold()
		if !skip(o.Fields[i].Name) {
			sum.Write(o.Fields[i].raw)
		}
	}
	sum.Write([]byte("\r\n"))
	if err := o.scanBody(br, make([]byte, piece), &lines, sum); err != nil {
		return nil, err
	}
	o.LongLine = lines.long
	sum.Sum(o.Sum[:0])
	return o, nil
}

func (o *Original) readHeader(br *bufio.Reader, lines *lineCheck) error {
	for {
		line, err := br.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read the header: %w", err)
		}
		if o.head += int64(len(line)); o.head > maxOriginal {
			return ErrHeaderTooLarge
		}
		number := lines.line
		if bad := lines.check(line); bad != nil {
			return bad
		}
		if err == io.EOF && len(line) > 0 {
			if bad := lines.end(); bad != nil {
				return bad
			}
		}
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(text) == 0 {
			return nil // the empty line, or the end of a message without a body
		}
		if err := o.addLine(number, line, text); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (o *Original) addLine(number int, line, text []byte) error {
	if text[0] == ' ' || text[0] == '\t' {
		if len(o.Fields) == 0 {
			return &LineError{number, "continues a header field, but none stands before it"}
		}
		f := &o.Fields[len(o.Fields)-1]
		f.raw = append(f.raw, line...)
		return nil
	}
	name, _, ok := bytes.Cut(text, []byte(":"))
	if field := string(bytes.TrimRight(name, " \t")); ok && ValidName(field) {
		if len(o.Fields) == maxFields {
			return ErrHeaderTooLarge
		}
		o.Fields = append(o.Fields, OriginalField{Name: field, raw: line})
		return nil
	}
	return &LineError{number, "is no header field and not the empty line that ends the header"}
}

// unfold gives a field's value: only the line breaks go (RFC 5322 §2.2.3).
func (f *OriginalField) unfold() string {
	_, value, _ := strings.Cut(string(f.raw), ":")
	return strings.Trim(strings.ReplaceAll(value, "\r\n", ""), " \t")
}

func (o *Original) scanBody(br *bufio.Reader, block []byte, lines *lineCheck, sum hash.Hash) error {
	o.Size = o.head
	for {
		n, err := br.Read(block)
		o.Size += int64(n)
		sum.Write(block[:n])
		if bad := lines.check(block[:n]); bad != nil {
			return bad
		}
		switch {
		case err == io.EOF:
			if bad := lines.end(); bad != nil {
				return bad
			}
			return nil
		case err != nil:
			return fmt.Errorf("read the message: %w", err)
		}
	}
}

// lineCheck looks at the octets of a message in whatever pieces they come.
type lineCheck struct {
	line, length int
	cr           bool // the last octet was a CR
	long         int
}

func (l *lineCheck) check(b []byte) *LineError {
	for len(b) > 0 {
		if l.cr {
			if b[0] != '\n' {
				return &LineError{l.line, "has a CR without an LF: lines end in CRLF"}
			}
			l.cr, l.length, b = false, 0, b[1:]
			l.line++
			continue
		}
		i := bytes.IndexByte(b, '\n')
		plain := b
		if i >= 0 {
			plain = b[:i]
		}
		if bytes.IndexByte(plain, 0) >= 0 {
			return &LineError{l.line, "has a NUL, which mail cannot carry"}
		}
		if cr := bytes.IndexByte(plain, '\r'); cr >= 0 {
			l.count(cr)
			l.cr, b = true, b[cr+1:]
			continue
		}
		l.count(len(plain))
		if i >= 0 {
			return &LineError{l.line, "ends in LF alone: lines end in CRLF (RFC 5321 section 2.3.8)"}
		}
		return nil
	}
	return nil
}

func (l *lineCheck) count(n int) {
	if l.length += n; l.length > maxOctets && l.long == 0 {
		l.long = l.line
	}
}

func (l *lineCheck) end() *LineError {
	if l.cr {
		return &LineError{l.line, "has a CR without an LF: lines end in CRLF"}
	}
	return nil
}

// Values gives the values of all fields of a name, in order.
func (o *Original) Values(name string) (all []string) {
	for i := range o.Fields {
		if strings.EqualFold(o.Fields[i].Name, name) {
			all = append(all, o.Fields[i].Value)
		}
	}
	return all
}

// Drop takes out the fields it is told to.
func (o *Original) Drop(which func(name string) bool) {
	before := len(o.Fields)
	o.Fields = slices.DeleteFunc(o.Fields, func(f OriginalField) bool { return which(f.Name) })
	o.changed = o.changed || len(o.Fields) < before
}

// Put puts a field in front of all others. The caller has made sure that it is one.
func (o *Original) Put(name, value string) {
	o.front = append(AppendField(nil, name, value), o.front...)
	o.changed = true
}

// Changed tells whether WriteTo would write other bytes than came.
func (o *Original) Changed() bool { return o.changed }

// WriteTo writes the message with its changes. It holds the header block, and 32 KB.
func (o *Original) WriteTo(w io.Writer) (int64, error) {
	r, err := o.content.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, o.head); err != nil {
		return 0, fmt.Errorf("read the message again: %w", err)
	}
	head := o.front
	for i := range o.Fields {
		head = append(head, o.Fields[i].raw...)
		if !bytes.HasSuffix(head, []byte("\r\n")) {
			head = append(head, "\r\n"...) // the last field of a message that ends in it
		}
	}
	n, err := w.Write(append(head, "\r\n"...))
	if err != nil {
		return int64(n), err
	}
	body, err := io.Copy(w, r)
	return int64(n) + body, err
}

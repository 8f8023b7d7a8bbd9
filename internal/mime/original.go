package mime

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-message"

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
// count in Sum. Of content that is in memory no copy is made: it must stay as it is. Errors
// are [*LineError], [ErrHeaderTooLarge] or those of the content.
func ReadOriginal(c mail.Content, skip func(name string) bool) (*Original, error) {
	o := &Original{content: c, Fields: make([]OriginalField, 0, usualFields)}
	lines := lineCheck{line: 1}
	if b, ok := c.(mail.Bytes); ok {
		rest := []byte(b)
		if err := o.readHeader(func() (line []byte, err error) {
			line, rest, err = cutLine(rest)
			return line, err
		}, &lines); err != nil {
			return nil, err
		}
		if err := o.scanBody(func() ([]byte, error) { return rest, io.EOF }, &lines, o.sumHeader(skip)); err != nil {
			return nil, err
		}
		return o, nil
	}
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	br := bufio.NewReaderSize(r, pieceSize)
	if err := o.readHeader(func() ([]byte, error) { return br.ReadBytes('\n') }, &lines); err != nil {
		return nil, err
	}
	block := make([]byte, pieceSize)
	if err := o.scanBody(func() ([]byte, error) {
		n, err := br.Read(block)
		return block[:n], err
	}, &lines, o.sumHeader(skip)); err != nil {
		return nil, err
	}
	return o, nil
}

// usualFields is room for the fields of most headers.
const usualFields = 16

// cutLine is ReadBytes of what is in memory. A line has no room behind it: to append to it
// makes a copy.
func cutLine(b []byte) (line, rest []byte, err error) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[: i+1 : i+1], b[i+1:], nil
	}
	return b[:len(b):len(b)], nil, io.EOF
}

func (o *Original) readHeader(next func() ([]byte, error), lines *lineCheck) error {
	for {
		line, err := next()
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

// sumHeader fills in names and values and begins the sum.
func (o *Original) sumHeader(skip func(name string) bool) hash.Hash {
	sum := sha256.New()
	for i := range o.Fields {
		f := &o.Fields[i]
		f.Name, f.Value = f.unfold()
		if !skip(f.Name) {
			sum.Write(f.raw)
		}
	}
	sum.Write([]byte("\r\n"))
	return sum
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
	if name, _, ok := bytes.Cut(text, []byte(":")); ok && ValidName(string(bytes.TrimRight(name, " \t"))) {
		if len(o.Fields) == maxFields {
			return ErrHeaderTooLarge
		}
		o.Fields = append(o.Fields, OriginalField{raw: line})
		return nil
	}
	return &LineError{number, "is no header field and not the empty line that ends the header"}
}

// unfold gives a field's name and value: only the line breaks go (RFC 5322 §2.2.3).
func (f *OriginalField) unfold() (name, value string) {
	name, value, _ = strings.Cut(string(f.raw), ":")
	return strings.TrimRight(name, " \t"), strings.Trim(strings.ReplaceAll(value, "\r\n", ""), " \t")
}

// scanBody looks at all that follows the header, in the pieces next gives until io.EOF.
func (o *Original) scanBody(next func() ([]byte, error), lines *lineCheck, sum hash.Hash) error {
	o.Size = o.head
	for {
		piece, err := next()
		o.Size += int64(len(piece))
		sum.Write(piece)
		if bad := lines.check(piece); bad != nil {
			return bad
		}
		switch {
		case err == io.EOF:
			if bad := lines.end(); bad != nil {
				return bad
			}
			o.LongLine = lines.long
			sum.Sum(o.Sum[:0])
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
		cr := bytes.IndexByte(plain, '\r')
		if cr >= 0 {
			plain = plain[:cr] // what follows is judged by what it follows
		}
		if bytes.IndexByte(plain, 0) >= 0 {
			return &LineError{l.line, "has a NUL, which mail cannot carry"}
		}
		if cr >= 0 {
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

// First gives the value of the topmost field of a name, "" when there is none.
func (o *Original) First(name string) string {
	for i := range o.Fields {
		if strings.EqualFold(o.Fields[i].Name, name) {
			return o.Fields[i].Value
		}
	}
	return ""
}

// Count tells how many fields of a name there are.
func (o *Original) Count(name string) (n int) {
	for i := range o.Fields {
		if strings.EqualFold(o.Fields[i].Name, name) {
			n++
		}
	}
	return n
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
	r, err := o.body()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	head := append(make([]byte, 0, int64(len(o.front))+o.head+4), o.front...)
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

// body reads what follows the empty line.
func (o *Original) body() (io.ReadCloser, error) {
	if b, ok := o.content.(mail.Bytes); ok {
		return b[o.head:].Open()
	}
	r, err := o.content.Open()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, o.head); err != nil {
		return nil, errors.Join(fmt.Errorf("read the message again: %w", err), r.Close())
	}
	return r, nil
}

// Parse takes the message apart as [Parse] does; but the header was read already, so Subject
// and Headers stay empty.
func (o *Original) Parse(limits Limits) (*Parts, error) {
	r, err := o.body()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := parser{limits: limits.orDefaults(), wanted: -1, parts: &Parts{}}
	p.source.r = r
	var h message.Header
	for i := len(o.Fields) - 1; i >= 0; i-- { // Add puts in front
		if f := &o.Fields[i]; len(f.Name) > len("Content-") && strings.EqualFold(f.Name[:len("Content-")], "Content-") {
			h.Add(f.Name, f.Value)
		}
	}
	if err := p.entity(h, &p.source, 0); err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	return p.parts, p.source.err
}

package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	stdmime "mime"
	"slices"
	"strconv"
	"strings"
)

// encoding refuses padding bits that are set: two texts never mean the same bytes.
var encoding = base64.StdEncoding.Strict()

const (
	quantum   = 4 * 3072 // base64 characters decoded at a time, to 9 KB
	perLine   = maxQuoted / 4 * 3
	lineBlock = perLine * 160 // bytes of a raw file encoded at a time
)

// ErrContentType says that a text is no media type.
var ErrContentType = errors.New("not a media type")

// contentType reads a media type as a caller wrote it and gives it as it is written.
// Composite types cannot be base64 (RFC 2045 §6.4) and go as octet-stream. The file's
// name stands in Content-Disposition only.
func contentType(s string) (string, error) {
	const octets = "application/octet-stream"
	if s == "" {
		return octets, nil
	}
	if !CleanValue(s) {
		return "", &InjectionError{"Content-Type"}
	}
	kind, params, err := stdmime.ParseMediaType(s)
	if err != nil || !strings.Contains(kind, "/") || len(s) > 255 || !printable(s, false) {
		return "", ErrContentType
	}
	if strings.HasPrefix(kind, "multipart/") || strings.HasPrefix(kind, "message/") {
		return octets, nil
	}
	delete(params, "name")
	if len(params) == 0 {
		return kind, nil
	}
	if out := stdmime.FormatMediaType(kind, params); out != "" {
		return out, nil
	}
	return "", ErrContentType
}

// digest decodes Base64 for its size and SHA-256, holding 9 KB.
func (a *Attachment) digest() error {
	a.plain = bytes.IndexByte(a.Base64, '\n') < 0 && bytes.IndexByte(a.Base64, '\r') < 0 &&
		bytes.IndexByte(a.Base64, ' ') < 0 && bytes.IndexByte(a.Base64, '\t') < 0
	sum := sha256.New()
	var decoded [quantum / 4 * 3]byte
	var packed [quantum]byte
	var size int64
	offset, ended := 0, false
	for rest := a.Base64; len(rest) > 0; {
		var chars []byte
		chars, rest = a.take(rest, packed[:0])
		if len(chars) == 0 {
			break
		}
		n, err := encoding.Decode(decoded[:], chars)
		if err != nil || ended {
			return fmt.Errorf("%w near character %d", ErrBase64, offset+1+n/3*4)
		}
		ended = n < len(chars)/4*3 // padding ends it
		sum.Write(decoded[:n])
		size += int64(n)
		offset += len(chars)
	}
	a.Size = size
	sum.Sum(a.SHA256[:0])
	return nil
}

// take gives the next quantum of base64 characters without line breaks and blanks, and
// what is left. It borrows from rest where it can and else fills packed.
func (a *Attachment) take(rest, packed []byte) (chars, left []byte) {
	if a.plain {
		n := min(quantum, len(rest))
		return rest[:n], rest[n:]
	}
	i := 0
	for ; i < len(rest) && len(packed) < quantum; i++ {
		switch c := rest[i]; c {
		case '\r', '\n', ' ', '\t':
		default:
			packed = append(packed, c)
		}
	}
	return packed, rest[i:]
}

// attachment writes a part with a file in it.
func (w *writer) attachment(a *Attachment) error {
	w.buf = append(w.buf, "Content-Type: "...)
	w.buf = append(w.buf, a.content...)
	w.buf = append(w.buf, "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: "...)
	if a.Inline && !a.readsAsBody() {
		w.buf = append(w.buf, "inline"...)
	} else {
		w.buf = append(w.buf, "attachment"...)
	}
	w.buf = appendFilename(w.buf, a.Filename)
	w.buf = append(w.buf, "\r\n"...)
	if a.ContentID != "" {
		w.buf = append(w.buf, "Content-ID: <"...)
		w.buf = append(w.buf, a.ContentID...)
		w.buf = append(w.buf, ">\r\n"...)
	}
	w.buf = append(w.buf, "\r\n"...)
	if a.Raw != nil {
		return w.encode(a)
	}
	return w.rewrap(a)
}

// readsAsBody tells of files that readers show as more of the message's text when they
// are inline (RFC 2183 §2.1), so that the file itself is lost to them.
func (a *Attachment) readsAsBody() bool {
	kind, _, _ := strings.Cut(a.content, ";")
	return kind == "text/plain" || kind == "text/html"
}

// rewrap writes the base64 of a checked attachment on lines of 76.
func (w *writer) rewrap(a *Attachment) error {
	var packed [quantum]byte
	column := 0
	for rest := a.Base64; len(rest) > 0; {
		var chars []byte
		chars, rest = a.take(rest, packed[:0])
		for len(chars) > 0 {
			n := min(maxQuoted-column, len(chars))
			w.buf = append(w.buf, chars[:n]...)
			chars = chars[n:]
			if column += n; column == maxQuoted {
				w.buf = append(w.buf, "\r\n"...)
				column = 0
			}
		}
		if err := w.relieve(); err != nil {
			return err
		}
	}
	return nil
}

// encode writes a raw file as base64 on lines of 76, taking its digest on the way.
func (w *writer) encode(a *Attachment) error {
	r, err := a.Raw.Open()
	if err != nil {
		return fmt.Errorf("open attachment: %w", err)
	}
	defer r.Close()
	sum, size := sha256.New(), int64(0)
	block := make([]byte, lineBlock)
	for {
		n, err := io.ReadFull(r, block)
		size += int64(n)
		w.encodeLines(block[:n], sum)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read attachment: %w", err)
		}
		if err := w.relieve(); err != nil {
			return err
		}
	}
	a.Size = size
	sum.Sum(a.SHA256[:0])
	return nil
}

func (w *writer) encodeLines(block []byte, sum hash.Hash) {
	sum.Write(block)
	for line := range slices.Chunk(block, perLine) {
		w.buf = encoding.AppendEncode(w.buf, line)
		if len(line) == perLine {
			w.buf = append(w.buf, "\r\n"...)
		}
	}
}

// appendFilename writes the file name parameter: quoted when it is printable ASCII, fits
// a line and cannot be taken for encoded words, which many readers decode within quotes
// (RFC 2047 §5 forbids it); else by RFC 2231, in numbered pieces when it is long.
func appendFilename(b []byte, name string) []byte {
	if name == "" {
		return b
	}
	if len(name) <= 60 && printable(name, false) && !strings.Contains(name, "=?") {
		b = append(b, ";\r\n filename="...)
		return appendQuoted(b, name)
	}
	b = append(b, ";\r\n filename*"...)
	piece := append([]byte("0*="), "utf-8''"...)
	index := 0
	for i := 0; i < len(name); {
		char, size := character(name[i:])
		if len(piece)+3*len(char) > 60 {
			b = append(b, piece...)
			index++
			b = append(b, ";\r\n filename*"...)
			piece = append(strconv.AppendInt(piece[:0], int64(index), 10), "*="...)
		}
		piece = appendPercent(piece, char)
		i += size
	}
	if index == 0 {
		piece = piece[len("0*"):] // a single one has no number
	}
	return append(b, piece...)
}

// appendPercent writes one character of an extended value (RFC 2231 §7): letters,
// digits and a few marks as they are.
func appendPercent(b []byte, char string) []byte {
	for j := 0; j < len(char); j++ {
		c := char[j]
		if wordSafe[c] && c != '*' && c != '/' || c == '.' || c == '_' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

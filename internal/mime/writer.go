package mime

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	pieceSize = 32 << 10 // bytes gathered before they go out
	maxLine   = 990      // octets of an unencoded line; RFC 5322 §2.1.1 allows 998
	maxQuoted = 76       // octets of a quoted-printable or base64 line (RFC 2045 §6.7, §6.8)
)

// writer gathers bytes and, when it has somewhere to put them, passes them on.
type writer struct {
	buf     []byte
	out     io.Writer // nil: everything stays in buf
	written int64
	tail    [2]byte // the last bytes that went out

	whole     string // see [Message]
	wholeSize int
}

// relieve passes on what was gathered once it is a piece. Text is taken in steps no
// longer than that, so buf stays small when there is an out.
func (w *writer) relieve() error {
	if w.out == nil || len(w.buf) < pieceSize {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if len(w.buf) >= 2 {
		copy(w.tail[:], w.buf[len(w.buf)-2:])
	}
	n, err := w.out.Write(w.buf)
	w.written += int64(n)
	w.buf = w.buf[:0]
	return err
}

func (w *writer) openMultipart(kind, boundary, root string) {
	w.buf = append(w.buf, "Content-Type: multipart/"...)
	w.buf = append(w.buf, kind...)
	if root != "" {
		w.buf = append(w.buf, `; type="`...)
		w.buf = append(w.buf, root...)
		w.buf = append(w.buf, '"')
	}
	w.buf = append(w.buf, ";\r\n boundary=\""...)
	w.buf = append(w.buf, boundary...)
	w.buf = append(w.buf, "\"\r\n"...)
}

// part begins a body part; the CRLF before the dashes belongs to the boundary (RFC 2046 §5.1.1).
func (w *writer) part(boundary string) {
	w.buf = append(w.buf, "\r\n--"...)
	w.buf = append(w.buf, boundary...)
	w.buf = append(w.buf, "\r\n"...)
}

func (w *writer) closeMultipart(boundary string) {
	w.buf = append(w.buf, "\r\n--"...)
	w.buf = append(w.buf, boundary...)
	w.buf = append(w.buf, "--\r\n"...)
}

// text writes a text part: as it is when it is ASCII in short lines, else quoted.
func (w *writer) text(subtype, s string) error {
	w.buf = append(w.buf, "Content-Type: text/"...)
	w.buf = append(w.buf, subtype...)
	w.buf = append(w.buf, "; charset=utf-8\r\nContent-Transfer-Encoding: "...)
	if _, plain := survey(s); plain {
		w.buf = append(w.buf, "7bit\r\n\r\n"...)
		return w.lines(s)
	}
	w.buf = append(w.buf, "quoted-printable\r\n\r\n"...)
	return w.quoted(s)
}

// end makes the last line whole: some servers choke on one without CRLF.
func (w *writer) end() {
	tail := append(w.tail[:], w.buf[max(len(w.buf)-2, 0):]...)
	if !bytes.HasSuffix(tail, []byte("\r\n")) {
		w.buf = append(w.buf, "\r\n"...)
	}
}

// survey tells whether s is ASCII, and whether it can travel unencoded: then it also
// has no NUL, no long lines, and nothing that could look like a boundary of ours. It
// runs twice over every text, so it looks at many bytes at a time.
func survey(s string) (ascii, plain bool) {
	if !isASCII(s) {
		return false, false
	}
	if strings.IndexByte(s, 0) >= 0 || strings.Contains(s, "--=_") {
		return true, false
	}
	for rest := s; len(rest) > maxLine; {
		end := strings.IndexByte(rest[:maxLine+1], '\n')
		if end < 0 {
			return true, false
		}
		rest = rest[end+1:]
	}
	return true, true
}

func isASCII(s string) bool {
	for len(s) >= 8 {
		if (s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7])&0x80 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func estimateText(s string) int64 {
	lines := int64(strings.Count(s, "\n"))
	if ascii, plain := survey(s); plain {
		return int64(len(s)) + lines + 256
	} else if ascii {
		return int64(len(s)) + int64(len(s))/16 + 2*lines + 256
	}
	return 2*int64(len(s)) + 2*lines + 256
}

// lines writes unencoded text with every kind of line end as CRLF.
func (w *writer) lines(s string) error {
	for len(s) > 0 {
		end := strings.IndexByte(s, '\n')
		line := s
		if end >= 0 {
			line, s = s[:end], s[end+1:]
		} else {
			s = ""
		}
		if end >= 0 {
			line = strings.TrimSuffix(line, "\r")
		}
		for {
			cr := strings.IndexByte(line, '\r')
			if cr < 0 {
				break
			}
			w.buf = append(w.buf, line[:cr]...)
			w.buf = append(w.buf, "\r\n"...)
			line = line[cr+1:]
		}
		w.buf = append(w.buf, line...)
		if end >= 0 {
			w.buf = append(w.buf, "\r\n"...)
		}
		if err := w.relieve(); err != nil {
			return err
		}
	}
	return nil
}

// quoted writes text as quoted-printable (RFC 2045 §6.7). Line ends become CRLF; blanks
// before them are encoded; a soft break never splits a character of valid UTF-8.
func (w *writer) quoted(s string) error {
	b, column, whole := w.buf, 0, w.nextWhole(s, 0)
	for i := 0; i < len(s); {
		c := s[i]
		if i == whole {
			if column+w.wholeSize > maxQuoted-1 && column > 0 {
				b = append(b, "=\r\n"...)
				column = 0
			}
			whole = w.nextWhole(s, i+w.wholeSize)
		}
		if c == '\n' || c == '\r' {
			b = append(b, "\r\n"...)
			if column = 0; c == '\r' && i+1 < len(s) && s[i+1] == '\n' {
				i++
			}
			i++
			if w.buf = b; len(b) >= pieceSize {
				if err := w.relieve(); err != nil {
					return err
				}
				b = w.buf
			}
			continue
		}
		size, literal := 1, quotedSafe[c] || (c == ' ' || c == '\t') && !endsLine(s[i+1:])
		width := 1
		if !literal {
			if c >= utf8.RuneSelf {
				_, size = utf8.DecodeRuneInString(s[i:])
			}
			width = 3 * size
		}
		// A line that goes on needs room for the '=' of the soft break.
		if column+width > maxQuoted-1 && (column+width > maxQuoted || !endsLine(s[i+size:])) {
			b = append(b, "=\r\n"...)
			column = 0
			if w.buf = b; len(b) >= pieceSize {
				if err := w.relieve(); err != nil {
					return err
				}
				b = w.buf
			}
		}
		if literal {
			b = append(b, c)
		} else {
			for j := i; j < i+size; j++ {
				b = append(b, '=', upperHex[s[j]>>4], upperHex[s[j]&15])
			}
		}
		column += width
		i += size
	}
	w.buf = b
	return nil
}

// nextWhole is where at or after i the next piece begins that must not be split, or -1.
func (w *writer) nextWhole(s string, i int) int {
	if w.whole == "" || i >= len(s) {
		return -1
	}
	if at := strings.Index(s[i:], w.whole); at >= 0 {
		return i + at
	}
	return -1
}

// endsLine tells whether nothing of the line is left: what follows is its end.
func endsLine(rest string) bool { return rest == "" || rest[0] == '\n' || rest[0] == '\r' }

// quotedSafe are the characters quoted-printable leaves as they are, but for blanks.
var quotedSafe = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != '='
	}
	return t
}()

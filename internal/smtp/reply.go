package smtp

import (
	"bytes"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

// Bounds of one reply. RFC 5321 §4.5.3.1.5 allows lines of 512 octets; real sites write
// longer ones, and hostile ones never stop.
const (
	maxReply = 64 << 10 // octets of a reply on the wire; more is a fault of the site
	maxKept  = 4 << 10  // of them kept, for the transcript and EHLO
	maxText  = 2 << 10  // of them in a mail.Reply
)

// reply is one reply as read. It is reused from reply to reply.
type reply struct {
	code int    // of the last line, as RFC 5321 §4.2.1 leaves open what differing codes mean
	kept []byte // its lines as valid UTF-8 without control characters, each ended by '\n'
	full bool   // kept holds all it may
}

// lines calls f with each line, code included.
func (r *reply) lines(f func(line []byte)) {
	for rest := r.kept; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		f(rest[:i])
		rest = rest[i+1:]
	}
}

// keep adds a line as far as it fits.
func (r *reply) keep(line []byte) {
	if r.full {
		return
	}
	if room := maxKept - len(r.kept) - 1; len(line) > room {
		line, r.full = line[:max(room, 0)], true
	}
	r.kept = append(appendClean(r.kept, line), '\n')
}

// mail gives the reply as the rest of Postroad knows it: the enhanced code (RFC 2034)
// apart, the lines joined by '\n'.
func (r *reply) mail() mail.Reply {
	out := mail.Reply{Code: r.code}
	var joined [512]byte
	text, first := joined[:0], true
	r.lines(func(line []byte) {
		if _, _, ok := splitLine(line); ok {
			line = line[min(4, len(line)):]
		}
		if n := enhancedLen(line, r.code); n > 0 {
			if first {
				out.Enhanced = enhancedString(line[:n])
			}
			if string(line[:n]) == out.Enhanced {
				line = bytes.TrimLeft(line[n:], " ")
			}
		}
		if !first {
			text = append(text, '\n')
		}
		text, first = append(text, line...), false
	})
	out.Text = string(truncate(text, maxText))
	return out
}

// enhancedLen tells how long the enhanced status code at the start of text is: class,
// subject and detail (RFC 3463 §2), the class that of the basic code; 0 = none.
func enhancedLen(text []byte, code int) int {
	if len(text) < 5 || int(text[0]-'0') != code/100 || text[1] != '.' {
		return 0
	}
	subject := digits(text[2:])
	if subject == 0 || 2+subject >= len(text) || text[2+subject] != '.' {
		return 0
	}
	detail := digits(text[3+subject:])
	n := 3 + subject + detail
	if detail == 0 || n < len(text) && text[n] != ' ' {
		return 0
	}
	return n
}

// digits counts leading digits; more than three are none.
func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n > 3 {
		return 0
	}
	return n
}

// enhancedString spares an allocation for the codes nearly every reply has.
func enhancedString(b []byte) string {
	switch string(b) {
	case "2.0.0":
		return "2.0.0"
	case "2.1.0":
		return "2.1.0"
	case "2.1.5":
		return "2.1.5"
	case "2.6.0":
		return "2.6.0"
	}
	return string(b)
}

// appendClean appends src as valid UTF-8: control characters become spaces, what is not
// UTF-8 and what changes the direction of text becomes U+FFFD.
func appendClean(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		b := src[i]
		if b < utf8.RuneSelf {
			if b < ' ' || b == 0x7f {
				b = ' '
			}
			dst, i = append(dst, b), i+1
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		switch {
		case unicode.IsControl(r):
			dst = append(dst, ' ')
		case unicode.Is(unicode.Cf, r):
			dst = utf8.AppendRune(dst, utf8.RuneError)
		default: // utf8.RuneError for what is no UTF-8
			dst = utf8.AppendRune(dst, r)
		}
		i += n
	}
	return dst
}

// truncate cuts at most at limit bytes, never inside a character.
func truncate(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	for limit > 0 && !utf8.RuneStart(b[limit]) {
		limit--
	}
	return b[:limit]
}

// replyReader cuts what a site says into replies. Its memory does not grow with what it reads.
type replyReader struct {
	src  io.Reader
	buf  []byte
	r, w int    // buf[r:w] is read and not yet used
	head []byte // of a line longer than buf
}

func newReplyReader(src io.Reader) replyReader {
	return replyReader{src: src, buf: make([]byte, 2048)}
}

// buffered tells whether something was read that nobody asked for yet.
func (r *replyReader) buffered() bool { return r.w > r.r }

// next reads one reply. Errors wrapping [ErrProtocol] are the site's; all others are the
// connection's. On errors into holds what was read so far.
func (r *replyReader) next(into *reply) error {
	into.code, into.kept, into.full = 0, into.kept[:0], false
	for budget := maxReply; ; {
		line, err := r.line(&budget)
		if err != nil {
			return err
		}
		code, more, ok := splitLine(line)
		into.keep(line)
		if !ok {
			return protocolError("a reply without a code")
		}
		into.code = code
		if !more {
			return nil
		}
	}
}

// splitLine reads the code of a reply line and whether more lines follow (RFC 5321 §4.2).
func splitLine(line []byte) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || digits(line[:3]) != 3 {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, true
	}
	return code, line[3] == '-', line[3] == '-' || line[3] == ' '
}

// line reads up to a LF and gives what is before it, without CR; of a line longer than
// the buffer only its head. It is valid until the next call.
func (r *replyReader) line(budget *int) ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(r.buf[r.r+seen:r.w], '\n'); i >= 0 {
			end := r.r + seen + i
			line := bytes.TrimSuffix(r.buf[r.r:end], []byte{'\r'})
			*budget -= end + 1 - r.r
			r.r = end + 1
			if *budget < 0 {
				return nil, protocolError("a reply of more than %d bytes", maxReply)
			}
			return line, nil
		}
		seen = r.w - r.r
		if seen == len(r.buf) {
			return r.longLine(budget)
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// longLine reads to the end of a line that fills the buffer already, keeping its head.
func (r *replyReader) longLine(budget *int) ([]byte, error) {
	r.head = append(r.head[:0], r.buf[:len(r.buf)/2]...)
	for {
		*budget -= r.w - r.r
		r.r, r.w = 0, 0
		if *budget < 0 {
			return nil, protocolError("a reply of more than %d bytes", maxReply)
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
		if i := bytes.IndexByte(r.buf[:r.w], '\n'); i >= 0 {
			*budget -= i + 1
			r.r = i + 1
			return r.head, nil
		}
	}
}

// fill reads once, behind what is buffered.
func (r *replyReader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

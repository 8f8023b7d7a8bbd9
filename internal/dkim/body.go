package dkim

import (
	"crypto/sha256"
	"hash"
)

// bodyHash takes the SHA-256 of a body in relaxed form (RFC 6376 §3.4.4): runs of
// blanks are one space, blanks at the end of a line and empty lines at the end of the
// body do not count, and what is left ends with CRLF. A bare LF is read as CRLF.
type bodyHash struct {
	sum   hash.Hash
	buf   []byte // canonical bytes on their way to sum
	blank bool   // blanks since the last other character of this line
	cr    bool   // the last byte was a CR, whose LF may come
	ends  int    // line ends since the last other character
	any   bool   // there was a character
}

const bodyBuffer = 4 << 10

// plain are the bytes that are not blanks or line ends.
var plain = func() (t [256]bool) {
	for i := range t {
		t[i] = i != ' ' && i != '\t' && i != '\r' && i != '\n'
	}
	return t
}()

func (h *bodyHash) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		// Words with single spaces between them stay as they are: mostly a whole line.
		j := i
		for j < len(p) && (plain[p[j]] || p[j] == ' ' && j > i && j+1 < len(p) && plain[p[j+1]]) {
			j++
		}
		if j > i {
			h.words(p[i:j])
			i = j
			continue
		}
		switch c := p[i]; {
		case c == '\n':
			h.cr, h.blank = false, false
			h.ends++
		case h.cr: // a CR that ends no line is a character like others
			h.words([]byte{})
			continue
		case c == '\r':
			h.cr = true
		default:
			h.blank = true
		}
		i++
	}
	return len(p), nil
}

// words takes characters, and before them what was pending.
func (h *bodyHash) words(p []byte) {
	for ; h.ends > 0; h.ends-- {
		h.put('\r', '\n')
	}
	if h.blank {
		h.put(' ')
	}
	if h.cr {
		h.put('\r')
	}
	h.blank, h.cr, h.any = false, false, true
	if len(h.buf)+len(p) > bodyBuffer {
		h.flush()
		if len(p) > bodyBuffer {
			h.sum.Write(p)
			return
		}
	}
	h.buf = append(h.buf, p...)
}

func (h *bodyHash) put(p ...byte) {
	if h.buf = append(h.buf, p...); len(h.buf) > bodyBuffer {
		h.flush()
	}
}

func (h *bodyHash) flush() {
	h.sum.Write(h.buf)
	h.buf = h.buf[:0]
}

// finish gives the hash; without a character it is that of nothing.
func (h *bodyHash) finish(out *[sha256.Size]byte) {
	if h.cr {
		h.words(nil)
	}
	if h.any {
		h.put('\r', '\n')
	}
	h.flush()
	h.sum.Sum(out[:0])
}

func (h *bodyHash) reset() {
	h.sum.Reset()
	*h = bodyHash{sum: h.sum, buf: h.buf[:0]}
}

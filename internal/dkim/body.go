package dkim

import (
	"crypto/sha256"
	"hash"
)

// bodyHash takes the SHA-256 of a body in relaxed form (RFC 6376 §3.4.4): runs of
// blanks are one space, blanks at the end of a line and empty lines at the end of the
// body do not count, and what is left ends with CRLF. A bare LF is read as CRLF. Bytes
// that need no change go to the hash as they stand.
type bodyHash struct {
	sum   hash.Hash
	blank bool // blanks since the last other character of this line
	cr    bool // the last byte was a CR whose LF has not come
	ends  int  // line ends since the last other character
	any   bool // something was hashed
}

func newBodyHash() *bodyHash { return &bodyHash{sum: sha256.New()} }

func (h *bodyHash) Write(p []byte) (int, error) {
	start := 0 // of the bytes not yet hashed, when nothing is pending
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c > ' ' && !h.pending() {
			continue
		}
		if c == ' ' && !h.pending() && i+1 < len(p) && p[i+1] > ' ' {
			continue // one space between words
		}
		if !h.pending() {
			h.put(p[start:i])
		}
		h.special(c)
		start = i + 1
		if c != '\r' && c != '\n' && c != ' ' && c != '\t' {
			start = i // special has written what was pending: c begins a new run
		}
	}
	if !h.pending() && start < len(p) {
		h.put(p[start:])
	}
	return len(p), nil
}

func (h *bodyHash) pending() bool { return h.blank || h.cr || h.ends > 0 }

// special takes a byte that may change the pending state. Other characters only
// release what is pending; the caller hashes them.
func (h *bodyHash) special(c byte) {
	switch c {
	case '\n':
		h.cr, h.blank = false, false
		h.ends++
		return
	case ' ', '\t', '\r':
	}
	if h.cr { // a CR that ends no line is a character like others
		h.release()
		h.put([]byte{'\r'})
		h.cr = false
	}
	switch c {
	case '\r':
		h.cr = true
	case ' ', '\t':
		h.blank = true
	default:
		h.release()
	}
}

var lineEnds = [...]byte{'\r', '\n', '\r', '\n', '\r', '\n', '\r', '\n'}

func (h *bodyHash) release() {
	for ; h.ends > 0; h.ends -= min(h.ends, len(lineEnds)/2) {
		h.put(lineEnds[:2*min(h.ends, len(lineEnds)/2)])
	}
	if h.blank {
		h.put([]byte{' '})
		h.blank = false
	}
}

func (h *bodyHash) put(p []byte) {
	if len(p) > 0 {
		h.sum.Write(p)
		h.any = true
	}
}

// finish gives the hash; without a body it is that of nothing.
func (h *bodyHash) finish(out *[sha256.Size]byte) {
	if h.cr {
		h.special(0)
		// a last CR without LF
	}
	if h.any {
		h.sum.Write(lineEnds[:2])
	}
	h.sum.Sum(out[:0])
}

package tracking

import (
	"bytes"
	"io"

	"github.com/postroad/postroad/internal/mail"
)

// Stamp gives the copy of a message for one of its deliveries (by row): every placeholder
// of the marker is its token. The size is the same; content on disk stays there and is
// stamped as it is read.
func (t *Tokens) Stamp(c mail.Content, marker string, row int64) mail.Content {
	if b, ok := c.(mail.Bytes); ok {
		own := bytes.Clone(b)
		t.stampAll(own, []byte(marker), row)
		return mail.Bytes(own)
	}
	return stamped{c, t, []byte(marker), row}
}

// stampAll stamps in place and gives how much of b needs no second look: what follows
// could be the beginning of a placeholder that goes on behind b.
func (t *Tokens) stampAll(b, marker []byte, row int64) (done int) {
	for {
		i := bytes.Index(b[done:], marker)
		if i < 0 {
			return max(done, len(b)-len(marker)+1)
		}
		at := done + i
		if len(b)-at < Width {
			return at
		}
		done = at + len(marker)
		if t.stampOne(b[at:], row) {
			done = at + Width
		}
	}
}

// stamped is content that is stamped as it is read.
type stamped struct {
	mail.Content
	tokens *Tokens
	marker []byte
	row    int64
}

// Open implements [mail.Content].
func (s stamped) Open() (io.ReadCloser, error) {
	in, err := s.Content.Open()
	if err != nil {
		return nil, err
	}
	return &stampReader{s: s, in: in, buf: make([]byte, 0, stampBlock)}, nil
}

const stampBlock = 32 << 10

type stampReader struct {
	s     stamped
	in    io.ReadCloser
	buf   []byte // read and not given out
	ready int    // of buf, stamped
	err   error  // of in, once buf is given out
}

func (r *stampReader) Read(p []byte) (int, error) {
	for r.ready == 0 {
		if r.err != nil {
			if len(r.buf) > 0 { // the end: nothing goes on behind it
				r.ready = len(r.buf)
				break
			}
			return 0, r.err
		}
		n, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf, r.err = r.buf[:len(r.buf)+n], err
		r.ready = max(r.s.tokens.stampAll(r.buf, r.s.marker, r.s.row), 0)
	}
	n := copy(p, r.buf[:r.ready])
	rest := copy(r.buf[:cap(r.buf)], r.buf[n:])
	r.buf, r.ready = r.buf[:rest], r.ready-n
	return n, nil
}

func (r *stampReader) Close() error { return r.in.Close() }

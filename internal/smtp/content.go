package smtp

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/postroad/postroad/internal/mail"
)

const (
	smallContent = 64 << 10 // bytes of a message in memory that is written in one go
	blockSize    = 64 << 10 // bytes read and written at a time of all others
)

// stuffer turns content into what stands between DATA's reply and the final dot (RFC 5321
// §4.5.2): a dot before each line that begins with one, CRLF at every line's end. A bare CR
// or LF becomes CRLF, since sites disagree on whether it ends a line: that is how mail is
// smuggled. Nothing else is changed. The zero value is at the beginning of the content.
type stuffer struct {
	inLine bool // something of the current line was written
	cr     bool // the last byte was a CR, held back until the next is known
}

// append adds the stuffed form of src, a piece of the content, to dst.
func (s *stuffer) append(dst, src []byte) []byte {
	for len(src) > 0 {
		if s.cr {
			s.cr = false
			dst = s.endLine(dst)
			if src[0] == '\n' {
				src = src[1:]
				continue
			}
		}
		if !s.inLine && src[0] == '.' {
			dst = append(dst, '.')
		}
		end := bytes.IndexByte(src, '\n')
		line := src
		if end >= 0 {
			line = src[:end]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			dst = append(dst, line[:cr]...)
			s.inLine = true
			if cr+1 < len(line) || end < 0 { // a CR in the line, or one whose LF is not here yet
				s.cr, src = true, src[cr+1:]
				continue
			}
			dst, src = s.endLine(dst), src[end+1:]
			continue
		}
		dst = append(dst, line...)
		s.inLine = s.inLine || len(line) > 0
		if end < 0 {
			return dst
		}
		dst, src = s.endLine(dst), src[end+1:]
	}
	return dst
}

func (s *stuffer) endLine(dst []byte) []byte {
	s.inLine = false
	return append(dst, '\r', '\n')
}

// finish ends the last line if it has no end, and adds the final dot.
func (s *stuffer) finish(dst []byte) []byte {
	if s.inLine || s.cr {
		s.cr = false
		dst = s.endLine(dst)
	}
	return append(dst, ".\r\n"...)
}

var blocks = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

// body is the content of one transaction, opened before anything is said of it.
type body struct {
	header []byte        // goes first
	memory []byte        // the content itself when it is in memory and small
	file   io.ReadCloser // else where to read it
	size   int64
}

// openBody opens what a transaction sends.
func openBody(tx *Transaction) (body, error) {
	b := body{header: tx.Header, size: int64(len(tx.Header)) + tx.Content.Size()}
	if bytes, ok := tx.Content.(mail.Bytes); ok && b.size <= smallContent {
		b.memory = bytes
		return b, nil
	}
	file, err := tx.Content.Open()
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrContent, err)
	}
	b.file = file
	return b, nil
}

func (b *body) close() {
	if b.file != nil {
		_ = b.file.Close()
	}
}

// writeBody writes header, content and final dot. Its errors come before the final dot is
// on its way: what is written last is the whole rest with the dot, and of a Write that fails
// the last bytes are those that were not taken.
func (c *Client) writeBody(b *body) error {
	var s stuffer
	c.arm(c.limits.DataBlock)
	c.out = s.append(c.out[:0], b.header)
	if b.file == nil {
		c.out = s.finish(s.append(c.out, b.memory))
		return c.flush()
	}
	block := blocks.Get().(*[]byte)
	defer blocks.Put(block)
	for left := b.size - int64(len(b.header)); ; {
		n, err := b.file.Read(*block)
		left -= int64(n)
		c.out = s.append(c.out, (*block)[:n])
		if err == io.EOF {
			if left > 0 {
				return fmt.Errorf("%w: %d bytes missing", ErrContent, left)
			}
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrContent, err)
		}
		if len(c.out) >= blockSize {
			c.arm(c.limits.DataBlock)
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	c.arm(c.limits.DataBlock)
	c.out = s.finish(c.out)
	return c.flush()
}

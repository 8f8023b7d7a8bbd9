package smtpd

import (
	"io"
	"os"
	"time"
)

// chunks reads a content as BDAT sends it (RFC 3030): pieces of known size, each with a
// command before it and a reply after it. The reader answers each piece but the last.
type chunks struct {
	s     *session
	pace  pace
	left  int64 // octets that may still come
	chunk int64 // octets of the current piece still to come
	last  bool  // it is the last piece
	err   error
}

// Read implements io.Reader. After errAbandoned the session has a command to go on with.
func (c *chunks) Read(p []byte) (int, error) {
	for c.err == nil {
		switch {
		case c.chunk > c.left:
			c.err = errTooLarge
		case c.chunk > 0:
			return c.take(p)
		case c.last:
			c.err = io.EOF
		default:
			c.next()
		}
	}
	return 0, c.err
}

func (c *chunks) failure() error {
	if c.err == io.EOF {
		return nil
	}
	return c.err
}

func (c *chunks) take(p []byte) (int, error) {
	w := c.s.wire
	if len(w.buffered()) == 0 {
		if c.err = c.pace.fill(w); c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p[:min(int64(len(p)), c.chunk)], w.buffered())
	w.from += n
	c.chunk -= int64(n)
	c.left -= int64(n)
	return n, nil
}

// next says that a piece is here and waits for the command of the next one.
func (c *chunks) next() {
	s := c.s
	s.wire.say(reply{250, "2.0.0", "the chunk is here"})
	for {
		line, err := s.wire.readLine(c.pace.until(s.server.o.Idle))
		if err == nil && !time.Now().Before(c.pace.end) {
			err = os.ErrDeadlineExceeded // lines that were there already: nobody waited for them
		}
		if err != nil {
			c.err = err
			return
		}
		cmd := parseCommand(line)
		if cmd.verb == "NOOP" {
			s.wire.say(reply{250, "2.0.0", "still here"})
			continue
		}
		size, last, ok := parseChunk(cmd.rest)
		if cmd.verb != "BDAT" || !ok {
			s.pending, c.err = &cmd, errAbandoned
			return
		}
		c.chunk, c.last, c.pace.since = size, last, paceBytes
		return
	}
}

// drain passes over the rest of a piece that nobody wants; false: it is too large for that,
// or with those before it, since the last message that was accepted.
func (c *chunks) drain() bool {
	c.left, c.err = drainMost-c.s.drained, nil
	if c.chunk > c.left {
		return false
	}
	c.s.drained += c.chunk
	var scrap [4 << 10]byte
	for c.chunk > 0 {
		if _, err := c.take(scrap[:]); err != nil {
			return false
		}
	}
	return true
}

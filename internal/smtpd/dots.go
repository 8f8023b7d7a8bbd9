package smtpd

import (
	"bytes"
	"errors"
	"io"
	"time"
)

var (
	errTooLarge  = errors.New("the content is too large")
	errAmbiguous = errors.New("some servers would take a line for the end of the message, and others not")
	errAbandoned = errors.New("the client gave the message up")
)

// pace gives a content new time as long as it makes progress, until its last moment.
type pace struct {
	step  time.Duration // for paceBytes
	end   time.Time     // of the whole
	since int           // octets since the last new time; paceBytes: it gets some now
}

func newPace(o *Options) pace {
	return pace{step: o.Pace, end: time.Now().Add(o.Content), since: paceBytes}
}

const paceBytes = 64 << 10

// fill reads more of a content.
func (p *pace) fill(w *wire) error {
	if p.since >= paceBytes {
		p.since = 0
		if err := w.patient(p.until(p.step)); err != nil {
			return err
		}
	}
	before := w.end - w.from
	err := w.fill()
	p.since += w.end - w.from - before
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF // the connection's end is not the content's
	}
	return w.why(err)
}

// until is so much from now, or the last moment.
func (p *pace) until(wait time.Duration) time.Time {
	if until := time.Now().Add(wait); until.Before(p.end) {
		return until
	}
	return p.end
}

// dots reads a content as DATA sends it (RFC 5321 §4.5.2): until CRLF.CRLF, with the dots
// at line starts taken off that the client put there. All else is passed on as it comes,
// also a CR or LF that stands alone: to judge content is submit's.
type dots struct {
	w     *wire
	pace  pace
	left  int64 // octets that may still come; below 0: too many did
	state dotState
	over  bool  // more came than may
	err   error // what all further reads give; io.EOF after the end
}

type dotState uint8

const (
	atStart   dotState = iota // of a line, after a CRLF or before everything
	inLine                    // within a line
	afterCR                   // after a CR that an LF may follow
	afterBare                 // of a line, after a CR or an LF alone
	afterDot                  // after a dot at the start of a line
	afterDotCR
	afterBareDot // after a dot that stands at a start only some servers see
)

// Read implements io.Reader. Errors are errTooLarge, errAmbiguous and those of the wire.
func (d *dots) Read(p []byte) (int, error) {
	for d.err == nil {
		if len(d.w.buffered()) == 0 {
			if d.err = d.pace.fill(d.w); d.err != nil {
				break
			}
		}
		n, used := d.unstuff(p, d.w.buffered())
		d.w.from += used
		if d.left -= int64(n); d.left < 0 {
			d.over = true
			return 0, errTooLarge
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// unstuff moves octets from src to dst until one is exhausted, or the end. It tells how
// many were written and used.
func (d *dots) unstuff(dst, src []byte) (n, used int) {
	for used < len(src) && n < len(dst) && d.err == nil {
		c := src[used]
		switch d.state {
		case atStart:
			if d.state = inLine; c == '.' {
				d.state = afterDot
				used++
			}
			continue
		case afterDot:
			switch d.state = inLine; c {
			case '\r':
				d.state = afterDotCR
				used++
			case '\n':
				d.err = errAmbiguous
			}
			continue
		case afterDotCR:
			if d.err = errAmbiguous; c == '\n' {
				d.err = io.EOF
				used++
			}
			continue
		case afterCR:
			if c != '\n' {
				d.state = afterBare
				continue
			}
			d.state = atStart
		case afterBare:
			if d.state = inLine; c != '.' {
				continue
			}
			d.state = afterBareDot
		case afterBareDot:
			if d.state = inLine; c == '\r' || c == '\n' {
				d.err = errAmbiguous
			}
			continue
		case inLine:
			m, k := d.line(dst[n:], src[used:])
			n, used = n+m, used+k
			continue
		}
		dst[n] = c
		n++
		used++
	}
	return n, used
}

// line moves the rest of a line and the octet that ends it.
func (d *dots) line(dst, src []byte) (n, used int) {
	src = src[:min(len(src), len(dst))]
	end := bytes.IndexByte(src, '\n')
	rest := src
	if end >= 0 {
		rest = src[:end]
	}
	if cr := bytes.IndexByte(rest, '\r'); cr >= 0 {
		d.state = afterCR
		n = copy(dst, src[:cr+1])
		return n, n
	}
	if end >= 0 {
		d.state = afterBare
		n = copy(dst, src[:end+1])
		return n, n
	}
	n = copy(dst, src)
	return n, n
}

func (d *dots) failure() error {
	switch {
	case d.over:
		return errTooLarge
	case d.err == io.EOF:
		return nil
	}
	return d.err
}

// drainMost is how much of a content that is refused anyway is read to its end, so that
// the client sees the reply.
const drainMost = 8 << 20

// drain reads to the end of a content nobody wants; false: the end is not in sight.
func (d *dots) drain() bool {
	d.left = drainMost
	var scrap [4 << 10]byte
	for {
		if _, err := d.Read(scrap[:]); err != nil {
			return err == io.EOF
		}
	}
}

package smtpd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	// strangerLine bounds a command line of somebody unknown, in octets: room for AUTH
	// PLAIN with the longest secret. The buffer is as large, so it is what a connection
	// that never speaks costs.
	strangerLine = 2 << 10
	// knownLine is the same after AUTH; content passes through this buffer.
	knownLine = 16 << 10
)

var (
	errLineTooLong = errors.New("the line is too long")
	errBareEnd     = errors.New("the line does not end in CRLF")
	errStopping    = errors.New("the server is stopping")
	errEvicted     = errors.New("the place was needed for somebody else")
	errPressed     = errors.New("the memory was needed for somebody else's content")
)

// wire is one connection: what was read and not used, what is to be said and not
// written. Only interrupt and cut may be called from another goroutine.
type wire struct {
	conn      net.Conn // raw, or TLS over it
	raw       net.Conn
	in        []byte
	from, end int // in[from:end] was read and not used
	out       []byte
	patience  time.Duration // of one write

	mu          sync.Mutex
	idle        bool  // waiting for a command, or for a hand to shake: may be interrupted
	interrupted error // why no further command is waited for
	severed     bool  // nor any more content
}

func newWire(conn net.Conn, patience time.Duration) *wire {
	return &wire{conn: conn, raw: conn, in: make([]byte, strangerLine), patience: patience}
}

// widen makes the buffer that of a known client.
func (w *wire) widen() {
	if len(w.in) < knownLine {
		in := make([]byte, knownLine)
		w.end = copy(in, w.in[w.from:w.end])
		w.in, w.from = in, 0
	}
}

// over goes on with another connection (TLS over this one). What was read in clear and not
// used is forgotten.
func (w *wire) over(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.from, w.end = conn, 0, 0
}

func (w *wire) buffered() []byte { return w.in[w.from:w.end] }

// interrupt ends the waiting for a command, now and for ever. Content that is being read
// is not disturbed.
func (w *wire) interrupt(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = why
	if w.idle {
		_ = w.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// cut ends the waiting for anything, commands and content.
func (w *wire) cut(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted, w.severed = why, true
	_ = w.raw.SetReadDeadline(time.Unix(1, 0))
}

// patient sets until when content is waited for.
func (w *wire) patient(until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.severed {
		return w.interrupted
	}
	return w.conn.SetReadDeadline(until)
}

// readLine gives the next command line without its CRLF, borrowed until the next read.
// The whole line must be there by until, however it trickles in.
func (w *wire) readLine(until time.Time) ([]byte, error) {
	if err := w.await(until); err != nil {
		return nil, err
	}
	defer w.awake()
	for seen := 0; ; {
		if i := bytes.IndexByte(w.buffered()[seen:], '\n'); i >= 0 {
			line := w.buffered()[:seen+i]
			w.from += seen + i + 1
			if len(line) == 0 || line[len(line)-1] != '\r' || bytes.IndexByte(line[:len(line)-1], '\r') >= 0 {
				return nil, errBareEnd
			}
			return line[:len(line)-1], nil
		}
		seen = w.end - w.from
		if seen == len(w.in) {
			return nil, errLineTooLong
		}
		if err := w.fill(); err != nil {
			return nil, w.why(err)
		}
	}
}

// await marks the session as one that waits for a command.
func (w *wire) await(until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupted != nil {
		return w.interrupted
	}
	if bytes.IndexByte(w.buffered(), '\n') < 0 {
		w.idle = true
		return w.conn.SetReadDeadline(until)
	}
	return nil
}

// shake marks the session as one that shakes hands: a stop waits no more for that than for
// a command. Whoever shakes sets the bound in time.
func (w *wire) shake() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupted != nil {
		return w.interrupted
	}
	w.idle = true
	return w.raw.SetDeadline(time.Time{})
}

func (w *wire) awake() {
	w.mu.Lock()
	w.idle = false
	w.mu.Unlock()
}

// why tells an interruption from a client that says nothing.
func (w *wire) why(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupted != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return w.interrupted
	}
	return err
}

// fill reads more, after everything gathered was said. There must be room.
func (w *wire) fill() error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.from > 0 {
		w.end = copy(w.in, w.buffered())
		w.from = 0
	}
	n, err := w.conn.Read(w.in[w.end:])
	w.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// say gathers a reply. A text of several lines is a reply of several lines.
func (w *wire) say(r reply) {
	text := r.text
	for {
		line, rest, more := bytesCut(text)
		w.out = strconv.AppendInt(w.out, int64(r.code), 10)
		if more {
			w.out = append(w.out, '-')
		} else {
			w.out = append(w.out, ' ')
		}
		if r.enhanced != "" {
			w.out = append(append(w.out, r.enhanced...), ' ')
		}
		w.out = append(append(w.out, line...), "\r\n"...)
		if !more {
			return
		}
		text = rest
	}
}

// bytesCut cuts a text at its first line end.
func bytesCut(text string) (line, rest string, more bool) {
	for i := range len(text) {
		if text[i] == '\n' {
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// flush writes what was gathered.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return err
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// Bounds of a goodbye to somebody who is still sending.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// close ends the connection. With linger it first reads for a moment what is still coming:
// a close with unread data is a reset, and the client would not see the last reply.
func (w *wire) close(linger bool) {
	_ = w.flush()
	if half, ok := w.conn.(interface{ CloseWrite() error }); ok && linger && half.CloseWrite() == nil {
		_ = w.conn.SetReadDeadline(time.Now().Add(lingerTime))
		for n := 0; n < lingerBytes; {
			m, err := w.conn.Read(w.in)
			if n += m; err != nil {
				break
			}
		}
	}
	_ = w.conn.Close()
}

package httpapi

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"time"
)

// stream is a body that the handler reads itself, because it may be too large for memory.
type stream struct {
	r      io.Reader
	params map[string]string // of its media type
	err    error             // what the client's side of it failed with
}

// streams tells whether the route leaves a body of this media type to its handler.
func (r *Route) streams(h http.Header) bool {
	if r.Streams == nil {
		return false
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && slices.Contains(r.Streams, kind)
}

// openStream readies the body for the handler: unpacked, counted, at the client's pace
// as long as it keeps one.
func (c *Call) openStream(packed bool) bool {
	_, c.stream.params, _ = mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	var r io.Reader = &paced{r: c.R.Body, rc: http.NewResponseController(c.W)}
	if packed {
		z, err := gzip.NewReader(r)
		if err != nil {
			return c.refuseBody(fmt.Errorf("%w: %w", errPacked, err))
		}
		r = &unpacked{z}
	}
	c.stream.r = &counted{r: r, left: c.door.maxBody, c: c}
	return true
}

// Reader is the body of a call whose route streams it; nil: the body is in Body.
func (c *Call) Reader() io.Reader { return c.stream.r }

// MediaParam is a parameter of a streamed body's media type.
func (c *Call) MediaParam(name string) string { return c.stream.params[name] }

// Gather reads a part of a streamed body into Body, with the care for memory that whole
// bodies get. It can be called once.
func (c *Call) Gather(part io.Reader) error {
	if c.buffer != nil {
		return errors.New("the body was gathered before")
	}
	c.buffer = buffers.Get().(*[]byte)
	err := c.drain(part, false)
	c.Body = *c.buffer
	return err
}

// FailStream answers an error met while a streamed body was read: the client's if its
// side failed, else as Fail does.
func (c *Call) FailStream(err error) {
	switch {
	case c.stream.err != nil:
		c.refuseBody(c.stream.err)
	case errors.Is(err, errTooLarge), errors.Is(err, errNoRoom):
		c.refuseBody(err)
	default:
		c.Fail(err)
	}
}

// StreamFailed tells whether the client's side of a streamed body failed.
func (c *Call) StreamFailed() bool { return c.stream.err != nil }

// counted ends a stream that is larger than a body may be, and keeps its error.
type counted struct {
	r    io.Reader
	left int64
	c    *Call
}

func (s *counted) Read(b []byte) (int, error) {
	if s.c.stream.err != nil {
		return 0, s.c.stream.err
	}
	if int64(len(b)) > s.left+1 {
		b = b[:s.left+1]
	}
	n, err := s.r.Read(b)
	if s.left -= int64(n); s.left < 0 {
		n, err = n-1, errTooLarge
	}
	if err != nil && err != io.EOF {
		s.c.stream.err = err
	}
	return n, err
}

// unpacked tells faults of the packing from those of the connection.
type unpacked struct{ z *gzip.Reader }

func (u *unpacked) Read(b []byte) (int, error) {
	n, err := u.z.Read(b)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errPacked, err)
	}
	return n, err
}

// ServeFile answers a GET with a file or the ranges asked for, at the client's pace as
// long as it keeps one. etag is without quotes.
func (c *Call) ServeFile(contentType, disposition, etag string, f io.ReadSeeker) {
	h := c.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Etag", `"`+etag+`"`)
	w := &pacedWriter{c: c, rc: http.NewResponseController(c.W)}
	http.ServeContent(w, c.R, "", time.Time{}, f) // no date: the tag tells versions apart
}

// pacedWriter gives an answer the headers all have, and new time with each piece.
type pacedWriter struct {
	c  *Call
	rc *http.ResponseController
}

func (w *pacedWriter) Header() http.Header { return w.c.W.Header() }

func (w *pacedWriter) WriteHeader(status int) { w.c.head(status, nil) }

func (w *pacedWriter) Write(b []byte) (int, error) {
	if !w.c.wrote {
		w.c.head(http.StatusOK, nil)
	}
	n, err := 0, error(nil)
	for len(b) > 0 && err == nil {
		_ = w.rc.SetWriteDeadline(time.Now().Add(paceTimeout))
		var m int
		m, err = w.c.W.Write(b[:min(len(b), 256<<10)])
		n, b = n+m, b[m:]
	}
	return n, err
}

// Page answers people with HTML that needs nothing else to be read.
func (c *Call) Page(status int, html string) {
	c.W.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	c.write(status, []string{"text/html; charset=utf-8"}, []byte(html))
}

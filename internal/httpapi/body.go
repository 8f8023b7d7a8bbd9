package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	smallBody = 1 << 20  // up to here a body passes without asking the gate
	keptBody  = 64 << 10 // buffers up to here are used again
	paceBytes = 64 << 10
	// strangerBody is how large a body may be where no key is needed: a login. Else who has
	// none could take the room of those who have.
	strangerBody = 16 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

func recycle(b *[]byte) {
	if cap(*b) <= keptBody {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// maxBody is how large the call's body may be, unpacked.
func (c *Call) maxBody() int64 {
	if c.route.Public {
		return min(c.door.maxBody, strangerBody)
	}
	return c.door.maxBody
}

// readBody reads the call's body whole. False: it has answered.
func (c *Call) readBody() bool {
	switch c.R.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		if !c.route.Body {
			return true
		}
	}
	if c.route.NoBody || c.R.Body == nil || c.R.ContentLength == 0 && !c.route.NoJSON {
		return true
	}
	if c.R.ContentLength > c.maxBody() {
		return c.refuseSize()
	}
	streams := c.route.streams(c.R.Header)
	if !streams && (c.route.NoJSON || !jsonContent(c.R.Header)) {
		c.refuseMedia()
		return false
	}
	packed, ok := c.encoding()
	if !ok {
		return false
	}
	if streams {
		return c.openStream(packed)
	}
	c.buffer = buffers.Get().(*[]byte)
	err := c.fill(packed)
	c.Body = *c.buffer
	if err == nil {
		return true
	}
	return c.refuseBody(err)
}

func (c *Call) refuseMedia() {
	takes := c.route.Streams
	if !c.route.NoJSON {
		takes = append([]string{"application/json"}, takes...)
	}
	c.Problem(Problem{Code: "unsupported_media_type", Detail: "Send the body as 'Content-Type: " + strings.Join(takes, "' or '") + "'; JSON in UTF-8."})
}

// encoding tells whether the body is packed. False: it has answered.
func (c *Call) encoding() (packed, ok bool) {
	switch enc := strings.ToLower(strings.TrimSpace(c.R.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
		return false, true
	case "gzip", "x-gzip":
		return true, true
	}
	c.Problem(Problem{Code: "unsupported_media_type", Detail: "The only Content-Encoding taken is gzip."})
	return false, false
}

// jsonContent tells whether a body claims to be JSON in UTF-8. No claim is taken as one.
func jsonContent(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 || v[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(v[0])
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

var (
	errTooLarge = errors.New("the body is too large")
	errNoRoom   = errors.New("no room for the body")
	errPacked   = errors.New("the body is not valid gzip")
)

// fill reads into the call's buffer. What is known to be large asks the gate first and
// gets a buffer of its size, so that 50 MB cost one buffer and no copies.
func (c *Call) fill(packed bool) error {
	var r io.Reader = c.R.Body
	if n := c.R.ContentLength; n > smallBody || n > 0 && !packed {
		if err := c.makeRoom(n, packed); err != nil {
			return err
		}
	}
	if c.weight > 0 || c.R.ContentLength < 0 || c.R.ContentLength > paceBytes {
		r = &paced{r: r, rc: http.NewResponseController(c.W)}
	}
	if packed {
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("%w: %w", errPacked, err)
		}
		r = z
	}
	return c.drain(r, packed)
}

// drain reads to the end of r into the call's buffer.
func (c *Call) drain(r io.Reader, packed bool) error {
	for {
		b := *c.buffer
		if len(b) == cap(b) {
			if err := c.grow(); err != nil {
				return err
			}
			b = *c.buffer
		}
		n, err := r.Read(b[len(b):cap(b)])
		*c.buffer = b[:len(b)+n]
		if int64(len(*c.buffer)) > c.maxBody() {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && packed && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: %w", errPacked, err)
		}
		if err != nil {
			return err
		}
	}
}

// makeRoom prepares for a body of known size. One byte more than the size lets the
// reader see the end without growing.
func (c *Call) makeRoom(size int64, packed bool) error {
	if packed {
		return nil // its size unpacked is not known
	}
	if size > smallBody {
		if err := c.weigh(size); err != nil {
			return err
		}
	}
	if int64(cap(*c.buffer)) < size+1 {
		recycle(c.buffer)
		b := make([]byte, 0, size+1)
		c.buffer = &b
	}
	return nil
}

func (c *Call) weigh(bytes int64) error {
	if !c.door.gate.enter(c.R.Context(), bytes) {
		return errNoRoom
	}
	c.weight = bytes
	return nil
}

// grow doubles the buffer of a body of unknown size. Where it becomes large, the gate
// is asked once for the largest there may be.
func (c *Call) grow() error {
	size := int64(cap(*c.buffer)) * 2
	if size > smallBody && c.weight == 0 {
		if err := c.weigh(c.door.maxBody); err != nil {
			return err
		}
	}
	bigger := make([]byte, len(*c.buffer), min(size, c.door.maxBody+1))
	copy(bigger, *c.buffer)
	recycle(c.buffer)
	c.buffer = &bigger
	return nil
}

// paced gives a large body new time as long as it makes progress.
type paced struct {
	r     io.Reader
	rc    *http.ResponseController
	since int
	began bool
}

func (p *paced) Read(b []byte) (int, error) {
	if p.since >= paceBytes || !p.began {
		p.since, p.began = 0, true
		now := time.Now()
		_ = p.rc.SetReadDeadline(now.Add(paceTimeout))      // not every writer has one:
		_ = p.rc.SetWriteDeadline(now.Add(2 * paceTimeout)) // then there is none to move
	}
	n, err := p.r.Read(b)
	p.since += n
	return n, err
}

func (c *Call) refuseSize() bool {
	c.W.Header()["Connection"] = connectionClose // what is still coming is not read
	detail := "The request is larger than 50 MB (unpacked). Host large files and link to them."
	if c.route.Public {
		detail = "A request without an API key is at most 16 KB large."
	}
	c.Problem(Problem{Code: "payload_too_large", Detail: detail, Extra: []Extra{{"limit_bytes", int(c.maxBody())}}})
	return false
}

func (c *Call) refuseBody(err error) bool {
	switch {
	case errors.Is(err, errTooLarge):
		return c.refuseSize()
	case errors.Is(err, errNoRoom):
		c.W.Header()["Connection"] = connectionClose
		c.Problem(Problem{Code: "overloaded", RetryAfter: 1, Detail: "Too many large requests at the same time."})
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.W.Header()["Connection"] = connectionClose
		c.Problem(Problem{Code: "request_timeout", Detail: "The body arrived too slowly."})
	case errors.Is(err, errPacked):
		c.Problem(Problem{Code: "invalid_header", Detail: "Content-Encoding says gzip, but the body is not valid gzip."})
	default: // the client went away, or its chunks are malformed
		c.W.Header()["Connection"] = connectionClose
		c.Problem(Problem{Code: "invalid_json", Detail: "The body could not be read to its end."})
	}
	return false
}

// Blank tells whether the body holds nothing but white space.
func (c *Call) Blank() bool { return len(bytes.TrimSpace(c.Body)) == 0 }

package httpapi

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Upload is the body of a call whose route has NoBody, read as it comes: of any size,
// unpacked, at a pace the client must keep.
type Upload struct {
	r      io.Reader
	packed bool
	err    error
}

// Upload begins to read the body.
func (c *Call) Upload() *Upload {
	if c.R.Body == nil {
		return &Upload{r: strings.NewReader("")}
	}
	u := &Upload{r: &paced{r: c.R.Body, rc: http.NewResponseController(c.W)}}
	switch enc := strings.ToLower(strings.TrimSpace(c.R.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		u.packed = true
		z, err := gzip.NewReader(u.r)
		if err != nil {
			u.err = fmt.Errorf("%w: %w", errPacked, err)
		}
		u.r = z
	default:
		u.err = fmt.Errorf("%w: the only Content-Encoding taken is gzip", errPacked)
	}
	return u
}

// Read implements [io.Reader].
func (u *Upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		u.err = err
		if u.packed {
			u.err = fmt.Errorf("%w: %w", errPacked, err)
		}
		return n, u.err
	}
	return n, err
}

// Broken answers what broke while the body was read; false when nothing did.
func (u *Upload) Broken(c *Call) bool {
	if u.err == nil {
		return false
	}
	c.refuseBody(u.err)
	return true
}

// TooLarge answers that the body has more bytes than may be.
func (c *Call) TooLarge(limit int) {
	c.W.Header()["Connection"] = connectionClose // what is still coming is not read
	c.Problem(Problem{Code: "payload_too_large", Detail: fmt.Sprintf("The request is larger than %d bytes (unpacked).", limit), Extra: []Extra{{"limit_bytes", limit}}})
}

package postroad

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// Download is bytes on their way. Read Body to its end and close it.
type Download struct {
	ContentType string
	Filename    string // "" when the server gave none
	Size        int64  // -1: not known before the end
	Body        io.ReadCloser
}

// download makes a call whose answer is read by the caller. Its attempts end with the
// first byte: what breaks off later is an error of Body.
func download(ctx context.Context, c *Client, accept string, filter any, parts ...string) (*Download, error) {
	r, err := requestOf(http.MethodGet, parts, nil, nil)
	if err != nil {
		return nil, err
	}
	if r.query, err = queryOf(filter); err != nil {
		return nil, err
	}
	r.accept, r.stream = accept, true
	got, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	d := &Download{ContentType: got.header.Get("Content-Type"), Size: -1, Body: got.stream}
	if n, err := strconv.ParseInt(got.header.Get("Content-Length"), 10, 64); err == nil {
		d.Size = n
	}
	if _, fields, err := mime.ParseMediaType(got.header.Get("Content-Disposition")); err == nil {
		d.Filename = fields["filename"]
	}
	return d, nil
}

// All reads the rest and closes.
func (d *Download) All() ([]byte, error) {
	defer d.Body.Close()
	return io.ReadAll(d.Body)
}

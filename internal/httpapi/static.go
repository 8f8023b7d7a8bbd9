package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// Static is a text that is the same for everybody until the binary changes.
type Static struct {
	ContentType string
	Policy      string // Content-Security-Policy; "" = nothing may be loaded
	text, zip   []byte
	tag         string
}

// NewStatic makes one, packed as well.
func NewStatic(contentType, policy string, text []byte) *Static {
	sum := sha256.Sum256(text)
	var zip bytes.Buffer
	z := gzip.NewWriter(&zip)
	_, _ = z.Write(text) // to memory: cannot fail
	_ = z.Close()
	if policy == "" {
		policy = "default-src 'none'"
	}
	return &Static{ContentType: contentType, Policy: policy, text: text, zip: zip.Bytes(), tag: hex.EncodeToString(sum[:8])}
}

// Text is what it says.
func (s *Static) Text() []byte { return s.text }

// Static answers with a text, or that the client has it already.
func (c *Call) Static(s *Static) {
	h := c.W.Header()
	h["Cache-Control"] = []string{"no-cache"} // ask each time, by the tag
	h["Content-Security-Policy"] = []string{s.Policy}
	h["Vary"] = []string{"Accept-Encoding"}
	body, tag := s.text, `"`+s.tag+`"`
	if strings.Contains(c.R.Header.Get("Accept-Encoding"), "gzip") {
		body, tag = s.zip, `"`+s.tag+`-gz"`
		h["Content-Encoding"] = []string{"gzip"}
	}
	h["Etag"] = []string{tag}
	if strings.Contains(c.R.Header.Get("If-None-Match"), tag) {
		delete(h, "Content-Encoding")
		c.write(http.StatusNotModified, nil, nil)
		return
	}
	c.write(http.StatusOK, []string{s.ContentType}, body)
}

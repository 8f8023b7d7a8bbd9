package v1

import (
	"io"
	stdmime "mime"
	"net/http"
	"strconv"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// contentOut is §3.8: a message taken apart.
type contentOut struct {
	Subject     string            `json:"subject"`
	HTML        *string           `json:"html"`
	Text        *string           `json:"text"`
	Headers     map[string]string `json:"headers"`
	Attachments []attachmentOut   `json:"attachments"`
	Truncated   bool              `json:"truncated,omitzero"`
}

func contentOf(p *mime.Parts) contentOut {
	return contentOut{Subject: p.Subject, HTML: orNull(p.HTML), Text: orNull(p.Text), Headers: headersOut(p.Headers),
		Attachments: attachmentsOut(p.Attachments), Truncated: p.Truncated}
}

// open gives the stored bytes of the message a path names; where there are none it has
// answered.
func (a *API) open(c *httpapi.Call) (*archive.Record, mail.Content, io.ReadCloser, bool) {
	r, ok := a.find(c)
	if !ok {
		return nil, nil, nil, false
	}
	content, err := a.o.Archive.Copy(c.Context(), r)
	if err != nil {
		c.Fail(err)
		return nil, nil, nil, false
	}
	in, err := content.Open()
	if err != nil {
		c.Fail(err)
		return nil, nil, nil, false
	}
	return r, content, in, true
}

func (a *API) getContent(c *httpapi.Call) {
	_, _, in, ok := a.open(c)
	if !ok {
		return
	}
	defer in.Close()
	parts, err := mime.Parse(in, mime.Limits{})
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, contentOf(parts))
}

func (a *API) getRaw(c *httpapi.Call) {
	_, content, in, ok := a.open(c)
	if !ok {
		return
	}
	defer in.Close()
	c.Stream("message/rfc822", "", content.Size(), in)
}

func (a *API) getAttachment(c *httpapi.Call) {
	r, _, in, ok := a.open(c)
	if !ok {
		return
	}
	defer in.Close()
	n, err := strconv.Atoi(c.Param(1))
	if err != nil || n < 0 || n >= len(r.Message.Attachments) {
		c.Fail(&mail.Error{Code: "not_found", Status: 404, Message: "The message has no attachment with this number. They count from 0."})
		return
	}
	file := r.Message.Attachments[n]
	if !file.Hosted.IsZero() {
		a.serveHosted(c, file.Hosted)
		return
	}
	disposition := dispositionOf(file.Filename)
	out, pipe := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe.CloseWithError(mime.CopyAttachment(pipe, in, n, mime.Limits{}))
	}()
	defer func() {
		out.Close() // ends the copy when the client leaves early
		<-done
	}()
	c.Stream(safeType(file.ContentType), disposition, -1, out)
}

// dispositionOf has a browser save what it gets under this name.
func dispositionOf(filename string) string {
	if d := stdmime.FormatMediaType("attachment", map[string]string{"filename": filename}); d != "" {
		return d
	}
	return "attachment"
}

// safeType never lets a browser run what somebody attached.
func safeType(t string) string {
	kind, _, err := stdmime.ParseMediaType(t)
	if err != nil || kind == "text/html" || kind == "image/svg+xml" || kind == "application/xhtml+xml" {
		return "application/octet-stream"
	}
	return kind
}

package v1

import (
	"encoding/base64"
	"html"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// previewPolicy lets a browser show a mail and do nothing else with it: links open apart.
const previewPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data: cid:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; " +
	"sandbox allow-popups allow-popups-to-escape-sandbox"

// Bounds of the images shown in place: finding each is a pass over the whole message.
const (
	previewImages  = 20
	previewImage   = 1 << 20
	previewContent = 10 << 20 // a larger message is shown without its images
)

var previewTypes = []string{"image/png", "image/gif", "image/jpeg", "image/webp"}

// getPreview shows a message's HTML, or its text, as a page in which nothing runs.
func (a *API) getPreview(c *httpapi.Call) {
	l := a.list(c, "images")
	l.notYet("images") // a proxy for those of other hosts
	if l.failed() {
		return
	}
	_, content, in, ok := a.open(c)
	if !ok {
		return
	}
	parts, err := mime.Parse(in, mime.Limits{})
	_ = in.Close()
	if err != nil {
		c.Fail(err)
		return
	}
	h := c.W.Header()
	h.Set("Content-Security-Policy", previewPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	page := previewOf(parts, previewer{content: content, parts: parts, shown: map[string]string{}}.image)
	c.Stream("text/html; charset=utf-8", "", int64(len(page)), strings.NewReader(page))
}

func previewOf(p *mime.Parts, image func(string) string) string {
	const head = `<!doctype html><html><head><meta charset="utf-8"><title>` // the policy forbids the rest
	title := head + html.EscapeString(p.Subject) + "</title></head>"
	if strings.TrimSpace(p.HTML) == "" {
		return title + `<body><pre style="white-space:pre-wrap">` + html.EscapeString(p.Text) + "</pre></body></html>"
	}
	return title + mime.Harmless(p.HTML, image) + "</html>"
}

// previewer finds the images of a message by their Content-ID.
type previewer struct {
	content mail.Content
	parts   *mime.Parts
	shown   map[string]string
}

func (p previewer) image(id string) string {
	if address, known := p.shown[id]; known {
		return address
	}
	if len(p.shown) == previewImages || p.content.Size() > previewContent {
		return ""
	}
	p.shown[id] = p.read(id)
	return p.shown[id]
}

func (p previewer) read(id string) string {
	n := slices.IndexFunc(p.parts.Attachments, func(f mail.Attachment) bool { return f.ContentID == id })
	if n < 0 || p.parts.Attachments[n].Size > previewImage || !slices.Contains(previewTypes, p.parts.Attachments[n].ContentType) {
		return ""
	}
	in, err := p.content.Open()
	if err != nil {
		return ""
	}
	defer in.Close()
	var out strings.Builder
	encoder := base64.NewEncoder(base64.StdEncoding, &out)
	if mime.CopyAttachment(encoder, in, n, mime.Limits{}) != nil || encoder.Close() != nil {
		return ""
	}
	return "data:" + p.parts.Attachments[n].ContentType + ";base64," + out.String()
}

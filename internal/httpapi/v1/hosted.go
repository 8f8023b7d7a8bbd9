package v1

import (
	"errors"
	"html"
	"net/http"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// getHosted is GET /f/{token}: what a link to a hosted file leads to. Whoever has the
// link may read, until it expires.
func (a *API) getHosted(c *httpapi.Call) {
	h := c.W.Header()
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "no-referrer")
	if a.o.Links == nil {
		c.Fail(mail.ErrNotFound)
		return
	}
	id, until, ok := a.o.Links.Read(c.Param(0))
	switch {
	case !ok:
		refuseLink(c, http.StatusNotFound, "not_found", "There is no such file. Check that the link is complete.")
	case !a.now().Before(until):
		refuseLink(c, http.StatusGone, "link_expired", "This link has expired. Ask whoever sent it for a new one.")
	default:
		a.serveHosted(c, id)
	}
}

// serveHosted answers with a hosted file, or that it is gone.
func (a *API) serveHosted(c *httpapi.Call, id mail.ID) {
	file, in, err := a.o.Archive.File(c.Context(), id)
	if errors.Is(err, mail.ErrNotFound) {
		refuseLink(c, http.StatusGone, "link_expired", "This file is no longer kept.")
		return
	}
	if err != nil {
		c.Fail(err)
		return
	}
	defer in.Close()
	c.ServeFile(safeType(file.ContentType), dispositionOf(file.Filename), hexOf(file.SHA256)[:32], in)
}

// refuseLink answers people, who come here from their mail, in HTML, and programs as
// everywhere.
func refuseLink(c *httpapi.Call, status int, code, text string) {
	if !strings.Contains(c.R.Header.Get("Accept"), "text/html") {
		c.Fail(&mail.Error{Code: code, Status: status, Message: text})
		return
	}
	c.Page(status, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>File not available</title>"+
		"<style>"+linkStyle+"</style></head>\n<body><main><h1>File not available</h1><p>"+html.EscapeString(text)+"</p></main></body></html>\n")
}

// linkStyle is the look of the pages that links in mail lead to (package links).
const linkStyle = `:root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1.25rem}h1{font-size:1.5rem}`

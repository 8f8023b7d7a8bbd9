package v1

import (
	stdmime "mime"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
)

// exportDomain gives the domain's records in the form another program reads; "bind" where
// none is named.
func (a *API) exportDomain(c *httpapi.Call) {
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	format := c.R.URL.Query().Get("format")
	if format == "" {
		format = "bind"
	}
	e, err := a.o.Domains.Export(d, format)
	if err != nil {
		c.Fail(err)
		return
	}
	disposition := stdmime.FormatMediaType("attachment", map[string]string{"filename": e.Filename})
	c.Stream(e.ContentType, disposition, int64(len(e.Text)), strings.NewReader(e.Text))
}

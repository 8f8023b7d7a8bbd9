package v1

import "github.com/postroad/postroad/internal/httpapi"

type Resender interface{}

func (a *API) resend(c *httpapi.Call) { c.Problem(httpapi.Problem{Code: "not_found"}) }

package v1

import (
	"errors"
	"net/http"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// rotatedOut is a new key with the record to publish for it.
type rotatedOut struct {
	Object       string `json:"object"`
	DomainID     string `json:"domain_id"`
	OverlapHours int    `json:"overlap_hours"`
	dkimKeyOut   `json:",inline"`
	Record       *project.Record `json:"record"`
	Warnings     []mail.Warning  `json:"warnings,omitempty"`
}

func (a *API) rotateDKIM(c *httpapi.Call) {
	r := project.Rotation{By: c.Who.By(), IfVersion: c.IfMatch()}
	f, ok := a.readForm(c, []string{"algorithm", "overlap_hours", "selector"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "algorithm":
			r.Algorithm, _ = f.text(name, v)
		case name == "selector":
			r.Selector, _ = f.text(name, v)
		default:
			hours := f.small(name, v)
			r.OverlapHours = &hours
		}
	})
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(d project.Domain, k project.DKIMKey) mail.Answer {
		return a.rotatedAnswer(turn.Once, &d, &k, requestID, warnings)
	}
	d, k, err := a.o.Domains.Rotate(c.Context(), c.Who.Owner.Project, c.Param(0), r, turn.Once, tell)
	if err != nil {
		if !keyConflict(c, err) {
			c.Finish(turn, mail.Answer{}, err)
		}
		return
	}
	c.ETag(d.Version)
	c.Finish(turn, tell(d, k), nil)
}

func (a *API) rotatedAnswer(once *mail.Once, d *project.Domain, k *project.DKIMKey, requestID string, warnings []mail.Warning) mail.Answer {
	out := rotatedOut{Object: "dkim_key", DomainID: d.ID.Text(mail.PrefixDomain), OverlapHours: k.OverlapHours, dkimKeyOut: dkimKeyOf(k), Warnings: warnings}
	for _, r := range a.o.Domains.Records(*d) {
		if r.Purpose == "DKIM" && r.Value == k.Record() {
			out.Record = &r
		}
	}
	answer := mail.Answer{Status: http.StatusCreated, Location: "/v1/domains/" + out.DomainID, Body: encode(out), RequestID: requestID}
	if once != nil {
		answer.Fingerprint, answer.Expires = once.Fingerprint, once.Expires
	}
	return answer
}

// keyConflict answers an order that the state of a key does not allow.
func keyConflict(c *httpapi.Call, err error) bool {
	var conflict *project.KeyConflict
	if !errors.As(err, &conflict) {
		return false
	}
	c.Problem(httpapi.Problem{Code: "state_conflict", Detail: conflict.Message, Extra: []httpapi.Extra{{Name: "current_state", Value: conflict.State}}})
	return true
}

// activateDKIM: a second call finds the key active and changes nothing, so an idempotency
// key is taken and has nothing to guard.
func (a *API) activateDKIM(c *httpapi.Call) {
	f, ok := a.readForm(c, nil, func(*form, string, value) {})
	if !ok || !c.Admit() || f.failed() {
		return
	}
	force := truth(c.R.URL.Query().Get("force"))
	d, err := a.o.Domains.Activate(c.Context(), c.Who.Owner.Project, c.Param(0), c.Param(1), force, c.IfMatch(), c.Who.By())
	switch {
	case err == nil:
		out := domainOf(&d)
		out.Records, out.Warnings = a.o.Domains.Records(d), f.unknown
		c.ETag(d.Version)
		give(c, http.StatusOK, out)
	case !keyConflict(c, err):
		c.Fail(err)
	}
}

func (a *API) deleteDKIM(c *httpapi.Call) {
	err := a.o.Domains.RemoveKey(c.Context(), c.Who.Owner.Project, c.Param(0), c.Param(1), c.IfMatch(), c.Who.By())
	switch {
	case err == nil:
		c.Empty()
	case !keyConflict(c, err):
		c.Fail(err)
	}
}

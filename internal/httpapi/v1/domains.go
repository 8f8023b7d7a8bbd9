package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Domains keeps the sending domains: project.Domains.
type Domains interface {
	Create(ctx context.Context, project int64, n project.NewDomain, once *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error)
	Find(ctx context.Context, project int64, ref string) (project.Domain, error)
	List(ctx context.Context, project int64) ([]project.Domain, error)
	Update(ctx context.Context, project int64, ref string, c project.DomainChange, ifVersion int64) (project.Domain, error)
	Delete(ctx context.Context, project int64, ref string, force bool, by string) error
	Records(d project.Domain) []project.Record
	Verify(ctx context.Context, project int64, ref string) (project.Domain, error)
	Export(d project.Domain, format string) (project.Export, error)
	Health(ctx context.Context, project int64, ref string) (project.Health, error)

	Rotate(ctx context.Context, project int64, ref string, r project.Rotation, once *mail.Once, answer func(project.Domain, project.DKIMKey) mail.Answer) (project.Domain, project.DKIMKey, error)
	Activate(ctx context.Context, project int64, ref, selector string, force bool, ifVersion int64, by string) (project.Domain, error)
	RemoveKey(ctx context.Context, project int64, ref, selector string, ifVersion int64, by string) error
}

type dkimKeyOut struct {
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	// Null where that has not happened, or where the key is not retired.
	ActivatedAt time.Time `json:"activated_at"`
	RetiredAt   time.Time `json:"retired_at"`
	KeepUntil   time.Time `json:"keep_until"`
}

func dkimKeyOf(k *project.DKIMKey) dkimKeyOut {
	return dkimKeyOut{k.Selector, k.Algorithm, k.State, k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.KeepUntil}
}

// domainOut is §5.
type domainOut struct {
	ID            string            `json:"domain_id"`
	Object        string            `json:"object"`
	Name          string            `json:"name"`
	Status        string            `json:"status"`
	CanSend       bool              `json:"can_send"`
	Checks        map[string]string `json:"checks"`
	Keys          []dkimKeyOut      `json:"dkim_keys"`
	ReturnPath    string            `json:"return_path"`
	TLS           string            `json:"tls"`
	DefaultFrom   *string           `json:"default_from"`
	CreatedAt     time.Time         `json:"created_at"`
	LastCheckedAt time.Time         `json:"last_checked_at"`
	NextCheckAt   time.Time         `json:"next_check_at"`
	Records       []project.Record  `json:"records,omitempty"`
	Warnings      []mail.Warning    `json:"warnings,omitempty"`
}

func domainOf(d *project.Domain) domainOut {
	out := domainOut{ID: d.ID.Text(mail.PrefixDomain), Object: "domain", Name: d.Name, Status: d.Status, CanSend: d.CanSend(), Checks: d.Checks,
		Keys: make([]dkimKeyOut, len(d.Keys)), ReturnPath: d.ReturnPath, TLS: d.TLS, DefaultFrom: orNull(d.DefaultFrom),
		CreatedAt: d.CreatedAt, LastCheckedAt: d.LastCheckedAt, NextCheckAt: d.NextCheckAt}
	for i := range d.Keys {
		out.Keys[i] = dkimKeyOf(&d.Keys[i])
	}
	return out
}

func (a *API) createDomain(c *httpapi.Call) {
	n := project.NewDomain{By: c.Who.By()}
	f, ok := a.readForm(c, []string{"name", "dkim", "return_path"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "name":
			n.Name, _ = f.text(name, v)
		case name == "return_path":
			n.ReturnPath, _ = f.text(name, v)
		default:
			readDKIM(f, v, &n)
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
	tell := func(d project.Domain) mail.Answer { return a.domainAnswer(turn.Once, d, requestID, warnings) }
	d, err := a.o.Domains.Create(c.Context(), c.Who.Owner.Project, n, turn.Once, tell)
	if errors.Is(err, mail.ErrExists) {
		err = &mail.Error{Code: "already_exists", Status: http.StatusConflict, Message: "The project has this domain already: GET /v1/domains/" + n.Name}
	}
	if err != nil {
		c.Finish(turn, mail.Answer{}, err)
		return
	}
	c.ETag(d.Version)
	c.Finish(turn, tell(d), nil)
}

func readDKIM(f *form, v value, n *project.NewDomain) {
	if v.kind() != '{' {
		f.wrongType("dkim", v, "an object")
		return
	}
	for w := v.walk(); ; {
		name, item, ok := w.next()
		switch {
		case !ok:
			return
		case item.isNull():
		case string(name) == "selector":
			n.Selector, _ = f.text("dkim.selector", item)
		case string(name) == "algorithm":
			n.Algorithm, _ = f.text("dkim.algorithm", item)
		case string(name) == "private_key":
			n.PrivateKey, _ = f.text("dkim.private_key", item)
		default:
			f.unknownField("dkim", name, []string{"selector", "algorithm", "private_key"})
		}
	}
}

// domainAnswer is what a new domain's maker is told: with the records to publish.
func (a *API) domainAnswer(once *mail.Once, d project.Domain, requestID string, warnings []mail.Warning) mail.Answer {
	out := domainOf(&d)
	out.Records, out.Warnings = a.o.Domains.Records(d), warnings
	answer := mail.Answer{Status: http.StatusCreated, Location: "/v1/domains/" + out.ID, Body: encode(out), RequestID: requestID}
	if once != nil {
		answer.Fingerprint, answer.Expires = once.Fingerprint, once.Expires
	}
	return answer
}

func (a *API) listDomains(c *httpapi.Call) {
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	all, err := a.o.Domains.List(c.Context(), c.Who.Owner.Project)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]domainOut, len(all))
	for i := range all {
		out[i] = domainOf(&all[i])
	}
	pageWhole(a, l, out)
}

func (a *API) getDomain(c *httpapi.Call) {
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, c.Param(0))
	a.showDomain(c, d, err, nil)
}

func (a *API) showDomain(c *httpapi.Call, d project.Domain, err error, warnings []mail.Warning) {
	if err != nil {
		c.Fail(err)
		return
	}
	out := domainOf(&d)
	out.Warnings = warnings
	c.ETag(d.Version)
	give(c, http.StatusOK, out)
}

func (a *API) patchDomain(c *httpapi.Call) {
	var change project.DomainChange
	f, ok := a.readForm(c, []string{"tls", "default_from"}, func(f *form, name string, v value) {
		text := ""
		if !v.isNull() {
			text, _ = f.text(name, v)
		}
		switch {
		case name == "tls" && v.isNull():
			text = "opportunistic"
			change.TLS = &text
		case name == "tls":
			change.TLS = &text
		case text == "":
			change.DefaultFrom = &text
		default:
			address, err := mail.ParseAddress(text)
			if err != nil {
				f.fault(name, "invalid_email", "'default_from' is not an address.")
			}
			change.DefaultFrom = &address.Email
		}
	})
	if !ok || f.failed() {
		return
	}
	d, err := a.o.Domains.Update(c.Context(), c.Who.Owner.Project, c.Param(0), change, c.IfMatch())
	a.showDomain(c, d, err, f.allWarnings())
}

func (a *API) deleteDomain(c *httpapi.Call) {
	err := a.o.Domains.Delete(c.Context(), c.Who.Owner.Project, c.Param(0), truth(c.R.URL.Query().Get("force")), c.Who.By())
	if errors.Is(err, mail.ErrExists) {
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "Mail of this domain still waits. With ?force=true that mail fails (domain_removed).",
			Extra: []httpapi.Extra{{Name: "current_state", Value: "in_use"}}})
		return
	}
	if err != nil {
		c.Fail(err)
		return
	}
	c.Empty()
}

func (a *API) domainRecords(c *httpapi.Call) {
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, listOut[project.Record]{Object: "list", Data: a.o.Domains.Records(d), URL: c.R.URL.Path})
}

// verifyDomain checks now. It changes nothing that a second call would change again, so
// an idempotency key is taken and has nothing to guard.
func (a *API) verifyDomain(c *httpapi.Call) {
	f, ok := a.readForm(c, nil, func(*form, string, value) {})
	if !ok || !c.Admit() || f.failed() {
		return
	}
	d, err := a.o.Domains.Verify(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	out := domainOf(&d)
	out.Records, out.Warnings = a.o.Domains.Records(d), f.unknown
	c.ETag(d.Version)
	give(c, http.StatusOK, out)
}

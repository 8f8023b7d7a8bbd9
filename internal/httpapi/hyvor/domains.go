package hyvor

import (
	"encoding/pem"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

type domainOut struct {
	ID        int64   `json:"id"`
	CreatedAt int64   `json:"created_at"`
	Domain    string  `json:"domain"`
	Status    string  `json:"status"`
	ChangedAt int64   `json:"status_changed_at"`
	Selector  string  `json:"dkim_selector"`
	Host      string  `json:"dkim_host"`
	PublicKey string  `json:"dkim_public_key"`
	Record    string  `json:"dkim_txt_value"`
	CheckedAt *int64  `json:"dkim_checked_at"`
	Error     *string `json:"dkim_error_message"`
}

// domainStatus is what a domain's status is called here.
func domainStatus(ours string) string {
	switch ours {
	case project.DomainVerified:
		return "active"
	case project.DomainDegraded:
		return "warning"
	case project.DomainSuspended:
		return "suspended"
	}
	return "pending" // also one whose record has been missing too long
}

func (a *API) domainOf(d *project.Domain) domainOut { return domainOf(d, a.o.Domains.Records) }

// domainOf shows a domain; records tell what the last check found.
func domainOf(d *project.Domain, records func(project.Domain) []project.Record) domainOut {
	out := domainOut{ID: d.Row, CreatedAt: d.CreatedAt.Unix(), Domain: d.Name, Status: domainStatus(d.Status), ChangedAt: d.CreatedAt.Unix(),
		CheckedAt: unixOrNull(d.LastCheckedAt)}
	if !d.StatusChangedAt.IsZero() {
		out.ChangedAt = d.StatusChangedAt.Unix()
	}
	if k := shownKey(d.Keys); k != nil {
		out.Selector, out.Host, out.Record = k.Selector, k.Selector+"._domainkey."+d.Name, k.Record()
		out.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.PKIX()}))
		if !d.LastCheckedAt.IsZero() && d.Checks["dkim"] != project.CheckPass {
			out.Error = trouble(d, k, records)
		}
	}
	return out
}

// shownKey is the one key of a domain that this dialect knows of: the one that signs, RSA
// before Ed25519.
func shownKey(keys []project.DKIMKey) (best *project.DKIMKey) {
	weight := func(k *project.DKIMKey) (n int) {
		switch k.State {
		case project.KeyActive:
			n = 2
		case project.KeyRetired:
			n = -4
		}
		if strings.HasPrefix(k.Algorithm, "rsa") {
			n++
		}
		return n
	}
	for i := range keys {
		if best == nil || weight(&keys[i]) > weight(best) {
			best = &keys[i]
		}
	}
	return best
}

// trouble says what the last check missed.
func trouble(d *project.Domain, k *project.DKIMKey, records func(project.Domain) []project.Record) *string {
	said := "The DKIM record was not found."
	for _, r := range records(*d) {
		if r.Purpose == "DKIM" && strings.HasPrefix(r.FQDN, k.Selector+"._domainkey.") && r.Diagnosis != "" {
			said = r.Diagnosis
		}
	}
	return &said
}

func (a *API) listDomains(c *httpapi.Call) (any, error) {
	q := c.R.URL.Query()
	limit, offset, err := page(q)
	if err != nil {
		return nil, err
	}
	all, err := a.o.Domains.List(c.Context(), c.Who.Owner.Project)
	if err != nil {
		return nil, err
	}
	newestFirst(all, func(d *project.Domain) int64 { return d.Row })
	search := strings.ToLower(q.Get("search"))
	out := []domainOut{}
	for i := range all {
		if !strings.Contains(all[i].Name, search) {
			continue
		}
		if offset--; offset < 0 && len(out) < limit {
			out = append(out, a.domainOf(&all[i]))
		}
	}
	return out, nil
}

func (a *API) createDomain(c *httpapi.Call) (any, error) {
	f, err := readFields(c)
	if err != nil {
		return nil, err
	}
	var wrong faults
	n := project.NewDomain{Algorithm: project.RSA2048, By: c.Who.By()}
	n.Name, _ = f.textOf("domain", &wrong)
	n.Selector, _ = f.textOf("dkim_selector", &wrong)
	if n.PrivateKey, _ = f.textOf("dkim_private_key", &wrong); n.PrivateKey != "" {
		n.Algorithm = ""
	}
	if n.Name == "" && wrong == nil {
		wrong.add("domain", textBlank)
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.o.Domains.Create(c.Context(), c.Who.Owner.Project, n, nil, nil)
	var found mail.Faults
	switch {
	case errors.Is(err, mail.ErrExists):
		return nil, bad("Domain already exists")
	case errors.As(err, &found):
		return nil, domainFaults(found).refusal()
	case err != nil:
		return nil, err
	}
	return a.domainOf(&d), nil
}

const textBadPEM = "The provided DKIM private key is invalid or poorly formatted."

func domainFaults(found mail.Faults) (wrong faults) {
	for _, e := range found {
		switch e.Field {
		case "name":
			wrong.add("domain", "This value is not a valid domain.")
		case "dkim.private_key":
			if strings.HasPrefix(e.Message, textBadPEM) {
				e.Message = textBadPEM
			}
			wrong.add("dkim_private_key", e.Message)
		default:
			wrong.add(strings.ReplaceAll(e.Field, ".", "_"), e.Message)
		}
	}
	return wrong
}

// named finds the domain that a body, or the query, names by id or domain. When it is to
// be shown only, not being one of the project's is not being there.
func (a *API) named(c *httpapi.Call) (d project.Domain, err error) {
	f, err := readFields(c)
	if err != nil {
		return d, err
	}
	f.orQuery(c.R.URL.Query(), "id", "domain")
	var wrong faults
	id, byID := f.numberOf("id", &wrong)
	name, byName := f.textOf("domain", &wrong)
	switch {
	case wrong != nil:
		return d, wrong.refusal()
	case byID:
		return a.domainByRow(c, id)
	case byName:
		d, err = a.o.Domains.Find(c.Context(), c.Who.Owner.Project, strings.TrimSpace(name))
		if errors.Is(err, mail.ErrNotFound) {
			err = bad("Domain not found")
		}
		return d, err
	}
	return d, &refusal{Status: http.StatusUnprocessableEntity, Message: "Either id or domain must be provided.",
		Violations: faults{{"id", "Either id or domain must be provided."}}}
}

func (a *API) domainByRow(c *httpapi.Call, row int64) (project.Domain, error) {
	all, err := a.o.Domains.List(c.Context(), c.Who.Owner.Project)
	for i := range all {
		if all[i].Row == row {
			return all[i], nil
		}
	}
	if err == nil {
		_, err = a.o.Store.Whose(c.Context(), ThingDomain, row)
	}
	switch {
	case errors.Is(err, mail.ErrNotFound):
		err = bad("Domain not found")
	case err == nil:
		err = bad("Domain does not belong to the project")
	}
	return project.Domain{}, err
}

func (a *API) getDomainBy(c *httpapi.Call) (any, error) {
	d, err := a.named(c)
	if err != nil {
		return nil, err
	}
	return a.domainOf(&d), nil
}

// getDomain takes a number or a name in the path.
func (a *API) getDomain(c *httpapi.Call) (any, error) {
	ref := c.Param(0)
	if isDigits(ref) {
		row, err := strconv.ParseInt(ref, 10, 64)
		if err != nil || row == 0 {
			return nil, bad(textBadID)
		}
		d, err := a.domainByRow(c, row)
		if err != nil {
			return nil, err
		}
		return a.domainOf(&d), nil
	}
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, ref)
	if errors.Is(err, mail.ErrNotFound) {
		err = bad("Domain not found")
	}
	if err != nil {
		return nil, err
	}
	return a.domainOf(&d), nil
}

// verifyDomain checks the records now. Without an answer from the DNS nothing is known.
func (a *API) verifyDomain(c *httpapi.Call) (any, error) {
	d, err := a.named(c)
	if err != nil {
		return nil, err
	}
	if domainStatus(d.Status) != "pending" {
		return nil, bad("You can only verify a domain that is in PENDING status.")
	}
	d, err = a.o.Domains.Verify(c.Context(), c.Who.Owner.Project, d.Name)
	if errors.Is(err, mail.ErrNotFound) {
		err = bad("Domain not found")
	}
	if err != nil {
		return nil, err
	}
	if d.Checks["dkim"] == project.CheckUnknown && !d.CanSend() {
		c.W.Header().Set("Retry-After", "30")
		return nil, &refusal{Status: http.StatusServiceUnavailable, Message: "The DNS could not be asked for the records of " + d.Name + ". Please try again later."}
	}
	return a.domainOf(&d), nil
}

// deleteDomain removes a domain; what waits of its mail fails, its history stays.
func (a *API) deleteDomain(c *httpapi.Call) (any, error) {
	d, err := a.named(c)
	if err != nil {
		return nil, err
	}
	if d.Status == project.DomainSuspended {
		return nil, bad("Domain deletion failed: Suspended domains can not be deleted.")
	}
	err = a.o.Domains.Delete(c.Context(), c.Who.Owner.Project, d.Name, true, c.Who.By())
	if errors.Is(err, mail.ErrNotFound) {
		err = bad("Domain not found")
	}
	return struct{}{}, err
}

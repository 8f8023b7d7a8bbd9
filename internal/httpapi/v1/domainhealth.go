package v1

import (
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// shareOut is a share; its value is null where there is nothing to divide by.
type shareOut struct {
	Value       *float64 `json:"value"`
	Numerator   int64    `json:"numerator"`
	Denominator int64    `json:"denominator"`
}

func shareOf(r project.Rate) shareOut {
	out := shareOut{Numerator: r.Numerator, Denominator: r.Denominator}
	if r.Denominator > 0 {
		value := r.Value()
		out.Value = &value
	}
	return out
}

type windowOut struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Messages   int64     `json:"messages"`
	Recipients int64     `json:"recipients"`
	Sampled    bool      `json:"sampled"` // there was more than is looked at: from tells how far it went
}

// deliveryOut counts recipients by where they stand now.
type deliveryOut struct {
	Delivered  int64                `json:"delivered"`
	Bounced    int64                `json:"bounced"`
	Bounces    map[mail.Class]int64 `json:"bounced_by_class"`
	Complained int64                `json:"complained"`
	Expired    int64                `json:"expired"`
	Failed     int64                `json:"failed"`
	Suppressed int64                `json:"suppressed"`
	Cancelled  int64                `json:"cancelled"`
	Deferred   int64                `json:"deferred_now"`
	Waiting    int64                `json:"waiting_now"` // scheduled, queued, accepted or held
	Rates      ratesOut             `json:"rates"`
}

type ratesOut struct {
	Delivery  shareOut `json:"delivery"`
	Bounce    shareOut `json:"bounce"`
	Complaint shareOut `json:"complaint"`
}

func deliveryOf(t *project.Traffic) deliveryOut {
	s := t.Statuses
	return deliveryOut{Delivered: s[mail.Delivered], Bounced: s[mail.Bounced], Bounces: t.Bounces, Complained: s[mail.Complained],
		Expired: s[mail.Expired], Failed: s[mail.Failed], Suppressed: s[mail.Suppressed], Cancelled: s[mail.Cancelled],
		Deferred: s[mail.Deferred], Waiting: s[mail.Scheduled] + s[mail.Queued] + s[mail.Accepted] + s[mail.Held],
		Rates: ratesOut{shareOf(t.Delivery()), shareOf(t.Bounce()), shareOf(t.Complaint())}}
}

// alignmentOut is about the mail that sites took.
type alignmentOut struct {
	DKIM struct {
		shareOut
		Selectors map[string]int64 `json:"selectors"`
	} `json:"dkim"`
	SPF struct {
		shareOut
		ReturnPaths map[string]int64 `json:"return_paths"`
		Basis       string           `json:"basis"` // where we know it from
	} `json:"spf"`
	Policy *string `json:"dmarc_policy"` // as the last check of the records found it; null: none
}

func alignmentOf(h *project.Health) (out alignmentOut) {
	out.DKIM.shareOut, out.DKIM.Selectors = shareOf(h.DKIM), h.Traffic.Selectors
	out.SPF.shareOut, out.SPF.ReturnPaths, out.SPF.Basis = shareOf(h.SPF), h.Traffic.ReturnPaths, "transcripts"
	if h.DMARC != nil {
		out.Policy = &h.DMARC.Policy
	}
	return out
}

type tlsHealthOut struct {
	Encrypted shareOut `json:"encrypted"`
	Verified  shareOut `json:"verified"`
}

type domainHealthOut struct {
	Object    string       `json:"object"`
	ID        string       `json:"domain_id"`
	Name      string       `json:"name"`
	Status    string       `json:"status"`
	Window    windowOut    `json:"window"`
	Delivery  deliveryOut  `json:"delivery"`
	Alignment alignmentOut `json:"alignment"`
	TLS       tlsHealthOut `json:"tls"`
	Advice    []string     `json:"advice"`
}

// domainHealth tells how the domain's live mail of the last 30 days fared, to keys of
// either environment: the domain is of both.
func (a *API) domainHealth(c *httpapi.Call) {
	h, err := a.o.Domains.Health(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	d, t := &h.Domain, &h.Traffic
	give(c, http.StatusOK, domainHealthOut{Object: "domain_health", ID: d.ID.Text(mail.PrefixDomain), Name: d.Name, Status: d.Status,
		Window:   windowOut{h.From, h.To, t.Messages, t.Recipients, t.Cut},
		Delivery: deliveryOf(t), Alignment: alignmentOf(&h), Advice: h.Advice,
		TLS: tlsHealthOut{shareOf(project.Rate{Numerator: t.Encrypted, Denominator: t.Taken}), shareOf(project.Rate{Numerator: t.Verified, Denominator: t.Taken})}})
}

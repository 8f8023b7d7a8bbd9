package v1

import (
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// secretOut is what signs an endpoint's requests. Secret is null only where a rotation is
// told again.
type secretOut struct {
	Webhook    string         `json:"webhook_id"`
	Object     string         `json:"object"`
	Secret     *string        `json:"secret"`
	Old        *string        `json:"old_secret"` // signs too, until old_expires_at
	OldExpires time.Time      `json:"old_expires_at"`
	Warnings   []mail.Warning `json:"warnings,omitempty"`
}

func secretOf(id mail.ID, s webhook.Secrets) secretOut {
	return secretOut{Webhook: id.Text(webhook.PrefixEndpoint), Object: "webhook_secret", Secret: &s.Secret, Old: orNull(s.Old), OldExpires: s.OldExpires}
}

func (a *API) getWebhookSecret(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	s, err := a.o.Webhooks.Secret(c.Context(), c.Who.Owner, id)
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, secretOf(id, s))
}

// rotateSecret makes a new secret; for a while both sign.
func (a *API) rotateSecret(c *httpapi.Call) {
	r := webhook.Rotation{By: c.Who.By()}
	f, ok := a.readForm(c, []string{"overlap_hours", "force"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "force":
			r.Force, _ = f.flag(name, v)
		default:
			if hours := f.small(name, v); len(f.faults) == 0 {
				r.OverlapHours = &hours
			}
		}
	})
	if !ok {
		return
	}
	turn, id, ok := a.beginHook(f, webhook.PrefixEndpoint)
	if !ok {
		return
	}
	defer turn.Leave()
	warnings := f.allWarnings()
	answer := func(e webhook.Endpoint) mail.Answer {
		out := secretOut{Webhook: id.Text(webhook.PrefixEndpoint), Object: "webhook_secret", OldExpires: e.OldExpires}
		out.Warnings = append(warnings[:len(warnings):len(warnings)], mail.Warning{Code: "secret_not_shown", Pointer: "#/secret",
			Message: "The secret is not kept in this answer. Read it: GET /v1/webhooks/" + out.Webhook + "/secret"})
		return kept(turn.Once, http.StatusOK, "", out, c.RequestID)
	}
	s, err := a.o.Webhooks.RotateSecret(c.Context(), c.Who.Owner, id, r, turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	out := secretOf(id, s)
	out.Warnings = warnings
	c.Finish(turn, mail.Answer{Status: http.StatusOK, Body: encode(out)}, nil)
}

func (a *API) expireOldSecret(c *httpapi.Call) {
	a.changeWebhook(c, nil, func(*form, string, value) {}, func(id mail.ID, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error) {
		return a.o.Webhooks.ExpireOldSecret(c.Context(), c.Who.Owner, id, c.Who.By(), once, answer)
	})
}

// beginHook is what comes before the work of a POST to one endpoint or delivery: its turn,
// the faults of the form, and the id. False: it has answered.
func (a *API) beginHook(f *form, prefix string) (httpapi.Turn, mail.ID, bool) {
	turn, ok := f.start()
	if !ok {
		return turn, mail.ID{}, false
	}
	id, ok := hookID(f.c, prefix)
	if !ok {
		turn.Leave()
	}
	return turn, id, ok
}

// changeWebhook is a POST that changes one endpoint and answers with it.
func (a *API) changeWebhook(c *httpapi.Call, fields []string, each func(*form, string, value), do func(mail.ID, *mail.Once, func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error)) {
	f, ok := a.readForm(c, fields, each)
	if !ok {
		return
	}
	turn, id, ok := a.beginHook(f, webhook.PrefixEndpoint)
	if !ok {
		return
	}
	defer turn.Leave()
	warnings := f.allWarnings()
	answer := func(e webhook.Endpoint) mail.Answer {
		out := a.webhookOf(c, &e)
		out.Warnings = warnings
		return kept(turn.Once, http.StatusOK, "", out, c.RequestID)
	}
	e, err := do(id, turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	c.ETag(e.Version)
	c.Finish(turn, answer(e), nil)
}

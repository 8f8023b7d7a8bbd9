package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// Webhooks keeps the endpoints and what they were sent: webhook.Service.
type Webhooks interface {
	Create(ctx context.Context, owner mail.Owner, n webhook.NewEndpoint, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, string, error)
	Judge(ctx context.Context, n webhook.NewEndpoint) error
	List(ctx context.Context, owner mail.Owner) ([]webhook.Endpoint, error)
	Get(ctx context.Context, owner mail.Owner, id mail.ID) (webhook.Endpoint, error)
	Update(ctx context.Context, owner mail.Owner, id mail.ID, d webhook.Edit) (webhook.Endpoint, error)
	Delete(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64, by string) error

	Secret(ctx context.Context, owner mail.Owner, id mail.ID) (webhook.Secrets, error)
	RotateSecret(ctx context.Context, owner mail.Owner, id mail.ID, r webhook.Rotation, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Secrets, error)
	ExpireOldSecret(ctx context.Context, owner mail.Owner, id mail.ID, by string, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error)

	Missed(ctx context.Context, owner mail.Owner, id mail.ID) (count int, more bool, since time.Time, err error)
	Enable(ctx context.Context, owner mail.Owner, id mail.ID, replayMissed bool, by string, once *mail.Once, answer func(webhook.Endpoint, *job.Job) mail.Answer) (webhook.Endpoint, *job.Job, error)
	Disable(ctx context.Context, owner mail.Owner, id mail.ID, by string, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error)
	Test(ctx context.Context, owner mail.Owner, id mail.ID, t mail.EventType) (webhook.Request, webhook.Try, error)

	Deliveries(ctx context.Context, q webhook.DeliveryQuery) ([]webhook.Delivery, error)
	Delivery(ctx context.Context, owner mail.Owner, id mail.ID) (webhook.Delivery, error)
	Retry(ctx context.Context, owner mail.Owner, id mail.ID, once *mail.Once, answer func(webhook.Delivery) mail.Answer) (webhook.Delivery, error)
	Count(ctx context.Context, owner mail.Owner, id mail.ID, r webhook.Replay) (matched int, more bool, err error)
	Replay(ctx context.Context, owner mail.Owner, id mail.ID, r webhook.Replay, once *mail.Once, answer func(job.Job) mail.Answer) (job.Job, error)
	Stats(ctx context.Context, owner mail.Owner, id mail.ID, window time.Duration) (webhook.Stats, error)
	StatsOf(ctx context.Context, endpoints []webhook.Endpoint, window time.Duration) ([]webhook.Stats, error)
}

// HookURLs tells what is to be known of a URL that is taken: webhook.Client.
type HookURLs interface {
	Doubt(ctx context.Context, url string) *mail.Warning
}

// webhookOut is §7.
type webhookOut struct {
	ID             string            `json:"webhook_id"`
	Object         string            `json:"object"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	Events         []string          `json:"events"`
	Filters        webhook.Filters   `json:"filters"`
	Redact         []string          `json:"redact"`
	Payload        string            `json:"payload_version"`
	Format         string            `json:"format"`
	Status         string            `json:"status"`
	DisabledReason *string           `json:"disabled_reason"`
	DisabledAt     time.Time         `json:"disabled_at"`
	Ordering       string            `json:"ordering"`
	MaxPerSecond   int               `json:"max_per_second"`
	Headers        map[string]string `json:"custom_headers"`
	Health         hookHealthOut     `json:"health"`
	OldExpires     time.Time         `json:"old_secret_expires_at"`
	CreatedAt      time.Time         `json:"created_at"`
	CreatedBy      string            `json:"created_by"`
	// Missed is what a disabled one was not sent, where one is shown.
	Missed   *missedOut     `json:"missed,omitempty"`
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

type hookHealthOut struct {
	SuccessRate    *float64  `json:"success_rate_24h"` // of tries; null when there were none
	P95MS          *int64    `json:"p95_ms"`
	Backlog        int64     `json:"backlog"`
	Breaker        string    `json:"breaker"`
	FirstFailureAt time.Time `json:"first_failure_at"` // since when nothing gets through
	LastSuccessAt  time.Time `json:"last_success_at"`
	LastError      *string   `json:"last_error"`
}

type missedOut struct {
	Count   int       `json:"count"`
	AtLeast bool      `json:"at_least"` // counting stopped there
	Since   time.Time `json:"since"`
}

// webhookOf shows an endpoint. Whoever may not change it does not see what is probably a
// secret in its headers.
func (a *API) webhookOf(c *httpapi.Call, e *webhook.Endpoint) webhookOut {
	out := webhookOut{ID: e.ID.Text(webhook.PrefixEndpoint), Object: "webhook", URL: e.URL, Description: e.Description, Events: listOrEmpty(e.Events),
		Filters: webhook.Filters{Tags: listOrEmpty(e.Filters.Tags), Domains: listOrEmpty(e.Filters.Domains)}, Redact: listOrEmpty(e.Redact), Payload: e.Payload,
		Format: e.Format, Status: e.Status, DisabledReason: orNull(e.DisabledReason), DisabledAt: e.DisabledAt, Ordering: e.Ordering, MaxPerSecond: e.MaxPerSecond,
		Headers: map[string]string{}, OldExpires: e.OldExpires, CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy,
		Health: hookHealthOut{Backlog: e.State.Backlog, Breaker: e.State.Breaking(), FirstFailureAt: e.State.FailingAt, LastSuccessAt: e.State.SuccessAt, LastError: orNull(e.State.LastError)}}
	if !e.OldExpires.After(c.Arrived) {
		out.OldExpires = time.Time{}
	}
	mayChange := a.o.Access.Authorize(c.Who, "webhooks.write", c.IP) == nil
	for name, value := range e.Headers {
		if webhook.SecretHeader(name) && !mayChange {
			value = webhook.Redacted
		}
		out.Headers[name] = value
	}
	return out
}

func listOrEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// healthWindow is what an endpoint's health is judged by.
const healthWindow = 24 * time.Hour

// healthy adds what the last day was like.
func (out *webhookOut) healthy(s *webhook.Stats) {
	if s.Delivered+s.FailedTries > 0 {
		out.Health.SuccessRate = &s.SuccessRate
	}
	if s.Delivered > 0 {
		p95 := s.P95.Milliseconds()
		out.Health.P95MS = &p95
	}
}

// webhookAt reads the path's "wh_…". False: it has answered.
func webhookAt(c *httpapi.Call) (mail.ID, bool) { return hookID(c, webhook.PrefixEndpoint) }

func hookID(c *httpapi.Call, prefix string) (mail.ID, bool) {
	id, err := mail.ParseID(prefix, c.Param(0))
	if err != nil {
		c.Fail(mail.ErrNotFound)
		return id, false
	}
	return id, true
}

// createWebhook shows the secret once; a replay of the key does not have it.
func (a *API) createWebhook(c *httpapi.Call) {
	n := webhook.NewEndpoint{By: c.Who.By()}
	f, ok := a.readForm(c, append([]string{"status"}, webhookFields...), func(f *form, name string, v value) { readNewWebhook(f, name, v, &n) })
	if !ok {
		return
	}
	turn, ok := f.begin()
	if !ok {
		return
	}
	defer turn.Leave()
	if !a.judgeWebhook(f, &n) {
		return
	}
	requestID, warnings := c.RequestID, f.allWarnings()
	answer := func(e webhook.Endpoint) mail.Answer {
		out := newWebhookOut{webhookOut: a.webhookOf(c, &e)}
		out.Warnings = append(warnings[:len(warnings):len(warnings)], mail.Warning{Code: "secret_not_shown", Pointer: "#/secret",
			Message: "The secret is not kept in this answer. Read it: GET /v1/webhooks/" + out.ID + "/secret"})
		return kept(turn.Once, http.StatusCreated, "/v1/webhooks/"+out.ID, out, requestID)
	}
	e, secret, err := a.o.Webhooks.Create(c.Context(), c.Who.Owner, n, turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	out := newWebhookOut{webhookOut: a.webhookOf(c, &e), Secret: &secret}
	out.Warnings = append(warnings, a.doubt(c, e.URL)...)
	c.ETag(e.Version)
	c.Finish(turn, mail.Answer{Status: http.StatusCreated, Location: "/v1/webhooks/" + out.ID, Body: encode(out)}, nil)
}

// newWebhookOut is one with its secret; null where it is a replay.
type newWebhookOut struct {
	webhookOut `json:",inline"`
	Secret     *string `json:"secret"`
}

// doubt warns of a URL whose host has no address yet.
func (a *API) doubt(c *httpapi.Call, url string) []mail.Warning {
	if a.o.HookURLs == nil {
		return nil
	}
	if w := a.o.HookURLs.Doubt(c.Context(), url); w != nil {
		return []mail.Warning{*w}
	}
	return nil
}

// failWebhook answers an error of the service: a state that does not allow it is a 409.
func (a *API) failWebhook(c *httpapi.Call, turn httpapi.Turn, err error) {
	var conflict *webhook.Conflict
	if errors.As(err, &conflict) {
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: conflict.Message, Extra: []httpapi.Extra{{Name: "current_state", Value: conflict.State}}})
		return
	}
	c.Finish(turn, mail.Answer{}, err)
}

func (a *API) listWebhooks(c *httpapi.Call) {
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	all, err := a.o.Webhooks.List(c.Context(), c.Who.Owner)
	if err != nil {
		c.Fail(err)
		return
	}
	stats, err := a.o.Webhooks.StatsOf(c.Context(), all, healthWindow)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]webhookOut, len(all))
	for i := range all {
		out[i] = a.webhookOf(c, &all[i])
		out[i].healthy(&stats[i])
	}
	pageWhole(a, l, out)
}

func (a *API) getWebhook(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	e, err := a.o.Webhooks.Get(c.Context(), c.Who.Owner, id)
	a.showWebhook(c, e, err, nil)
}

func (a *API) showWebhook(c *httpapi.Call, e webhook.Endpoint, err error, warnings []mail.Warning) {
	if err != nil {
		c.Fail(err)
		return
	}
	out, err := a.wholeWebhook(c, &e)
	if err != nil {
		c.Fail(err)
		return
	}
	out.Warnings = warnings
	c.ETag(e.Version)
	give(c, http.StatusOK, out)
}

// wholeWebhook shows an endpoint with its health and, where it is disabled, what it missed.
func (a *API) wholeWebhook(c *httpapi.Call, e *webhook.Endpoint) (webhookOut, error) {
	out := a.webhookOf(c, e)
	stats, err := a.o.Webhooks.StatsOf(c.Context(), []webhook.Endpoint{*e}, healthWindow)
	if err != nil {
		return out, err
	}
	out.healthy(&stats[0])
	if e.Status == webhook.Disabled {
		count, more, since, err := a.o.Webhooks.Missed(c.Context(), e.Owner, e.ID)
		if err != nil {
			return out, err
		}
		out.Missed = &missedOut{count, more, since}
	}
	return out, nil
}

func (a *API) patchWebhook(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	d := webhook.Edit{IfVersion: c.IfMatch(), By: c.Who.By()}
	f, ok := a.readForm(c, append([]string{"status"}, webhookFields...), func(f *form, name string, v value) { readWebhookEdit(f, name, v, &d) })
	if !ok || f.failed() {
		return
	}
	e, err := a.o.Webhooks.Update(c.Context(), c.Who.Owner, id, d)
	warnings := f.allWarnings()
	if err == nil && d.URL != nil {
		warnings = append(warnings, a.doubt(c, e.URL)...)
	}
	a.showWebhook(c, e, err, warnings)
}

func (a *API) deleteWebhook(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	if err := a.o.Webhooks.Delete(c.Context(), c.Who.Owner, id, c.IfMatch(), c.Who.By()); err != nil {
		c.Fail(err)
		return
	}
	c.Empty()
}

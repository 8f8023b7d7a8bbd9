package v1

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

func (a *API) disableWebhook(c *httpapi.Call) {
	a.changeWebhook(c, nil, func(*form, string, value) {}, func(id mail.ID, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, error) {
		return a.o.Webhooks.Disable(c.Context(), c.Who.Owner, id, c.Who.By(), once, answer)
	})
}

// enabledOut tells also which job delivers what was missed.
type enabledOut struct {
	webhookOut `json:",inline"`
	ReplayJob  *string `json:"replay_job_id"`
}

// enableWebhook delivers what was missed when it is asked to; else it says how to have it.
func (a *API) enableWebhook(c *httpapi.Call) {
	missed := false
	f, ok := a.readForm(c, []string{"replay_missed"}, func(f *form, name string, v value) {
		if !v.isNull() {
			missed, _ = f.flag(name, v)
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
	if !missed {
		warnings = append(warnings, a.leftOut(c, id)...)
	}
	answer := func(e webhook.Endpoint, j *job.Job) mail.Answer {
		out := enabledOut{webhookOut: a.webhookOf(c, &e)}
		if j != nil {
			name := j.ID.Text(mail.PrefixJob)
			out.ReplayJob = &name
		}
		out.Warnings = warnings
		return kept(turn.Once, http.StatusOK, "", out, c.RequestID)
	}
	e, j, err := a.o.Webhooks.Enable(c.Context(), c.Who.Owner, id, missed, c.Who.By(), turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	c.ETag(e.Version)
	c.Finish(turn, answer(e, j), nil)
}

// leftOut warns of what enabling without a replay leaves behind.
func (a *API) leftOut(c *httpapi.Call, id mail.ID) []mail.Warning {
	count, more, since, err := a.o.Webhooks.Missed(c.Context(), c.Who.Owner, id)
	if err != nil || count == 0 {
		return nil // what is wrong shows when it is enabled
	}
	about := ""
	if more {
		about = "at least "
	}
	return []mail.Warning{{Code: "missed_not_replayed", Message: fmt.Sprintf("%s%d events since %s are not delivered. They are kept: POST /v1/webhooks/%s/replay.",
		about, count, since.UTC().Format(stampLayout), id.Text(webhook.PrefixEndpoint))}}
}

// testOut is the whole exchange of a test.
type testOut struct {
	Webhook  string           `json:"webhook_id"`
	Object   string           `json:"object"`
	Type     string           `json:"type"`
	Request  testRequestOut   `json:"request"`
	Response *testResponseOut `json:"response"` // null when there was none
	Error    *string          `json:"error"`
	OK       bool             `json:"delivered"`
	Verdict  string           `json:"verdict"`
	Warnings []mail.Warning   `json:"warnings,omitempty"`
}

type testRequestOut struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

type testResponseOut struct {
	Status     int               `json:"status"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	DurationMS int64             `json:"duration_ms"`
}

// testWebhook posts an example now. Nothing is kept of it, so an idempotency key is taken and
// has nothing to guard.
func (a *API) testWebhook(c *httpapi.Call) {
	kind := ""
	f, ok := a.readForm(c, []string{"type"}, func(f *form, name string, v value) {
		if !v.isNull() {
			kind, _ = f.text(name, v)
		}
	})
	if !ok || !c.Admit() || f.failed() {
		return
	}
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	r, try, err := a.o.Webhooks.Test(c.Context(), c.Who.Owner, id, mail.EventType(kind))
	if err != nil {
		c.Fail(err)
		return
	}
	out := testOut{Webhook: id.Text(webhook.PrefixEndpoint), Object: "webhook_test", Type: string(r.Type), Error: orNull(try.Error), OK: try.Delivered(), Verdict: try.Verdict(),
		Request: testRequestOut{http.MethodPost, r.Endpoint.URL, hookHeaders(try.RequestHeaders), string(r.Body)}, Warnings: f.allWarnings()}
	if try.Status != 0 {
		out.Response = &testResponseOut{try.Status, hookHeaders(try.ResponseHeaders), try.Response, try.Duration.Milliseconds()}
	}
	give(c, http.StatusOK, out)
}

// hookHeaders makes an object of headers; those that stand there twice have both values.
func hookHeaders(list []mail.Header) map[string]string {
	out := make(map[string]string, len(list))
	for _, h := range list {
		name := strings.ToLower(h.Name)
		if before, twice := out[name]; twice {
			h.Value = before + ", " + h.Value
		}
		out[name] = h.Value
	}
	return out
}

package v1

import (
	"net/http"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

type countedOut struct {
	Matched  int            `json:"matched"`
	AtLeast  bool           `json:"at_least"` // counting stopped there
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

// replayWebhook counts or posts again what matches.
func (a *API) replayWebhook(c *httpapi.Call) {
	r := webhook.Replay{By: c.Who.By()}
	dry := truth(c.R.URL.Query().Get("dry_run"))
	f, ok := a.readForm(c, []string{"since", "until", "types", "status", "dry_run"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "since":
			r.Since = f.span(name, v, c.Arrived)
		case name == "until":
			r.Until = f.span(name, v, c.Arrived)
		case name == "types":
			r.Types = f.texts(name, v)
		case name == "status":
			r.Status, _ = f.text(name, v)
		default:
			is, _ := f.flag(name, v)
			dry = dry || is
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
	if dry {
		a.countReplay(c, turn, id, r, f.allWarnings())
		return
	}
	answer := func(j job.Job) mail.Answer {
		out := jobShape(&j)
		return kept(turn.Once, http.StatusAccepted, "/v1/jobs/"+out.ID, out, c.RequestID)
	}
	j, err := a.o.Webhooks.Replay(c.Context(), c.Who.Owner, id, r, turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	c.Finish(turn, answer(j), nil)
}

// countReplay changes nothing, so nothing is kept under the key.
func (a *API) countReplay(c *httpapi.Call, turn httpapi.Turn, id mail.ID, r webhook.Replay, warnings []mail.Warning) {
	n, more, err := a.o.Webhooks.Count(c.Context(), c.Who.Owner, id, r)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	c.Finish(turn, mail.Answer{Status: http.StatusOK, Body: encode(countedOut{n, more, warnings})}, nil)
}

// span reads an end of a window: a time, or one relative to now: "-24h", "now".
func (f *findings) span(field string, v value, now time.Time) time.Time {
	if v.kind() == '"' {
		if s := v.text(); s == "now" || strings.HasPrefix(s, "-") {
			t, ok := filterTime(s, now)
			if !ok {
				f.fault(field, "invalid_value", "'"+field+"' must be a time as in 2026-04-20T09:00:00Z, unix seconds, 'now', or relative: '-24h', '-7d'.")
			}
			return t
		}
	}
	t, _ := f.moment(field, v)
	return t
}

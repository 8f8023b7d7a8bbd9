package v1

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// hookOut is one event owed to one endpoint, with what came of it.
type hookOut struct {
	position     int64
	ID           string         `json:"delivery_id"`
	Object       string         `json:"object"`
	Webhook      string         `json:"webhook_id"`
	Event        string         `json:"event_id"`
	Type         string         `json:"type"`
	Message      *string        `json:"message_id"`
	Status       string         `json:"status"`
	Position     int64          `json:"position"`
	URL          string         `json:"url"` // the endpoint's present one
	AttemptCount int            `json:"attempt_count"`
	CreatedAt    time.Time      `json:"created_at"`
	NextAttempt  time.Time      `json:"next_attempt_at"`
	SettledAt    time.Time      `json:"completed_at"`
	Attempts     *[]tryOut      `json:"attempts,omitempty"` // where one is shown
	Body         *string        `json:"body,omitempty"`     // likewise: as it would be sent now
	Warnings     []mail.Warning `json:"warnings,omitempty"`
}

type tryOut struct {
	At         time.Time       `json:"at"`
	DurationMS int64           `json:"duration_ms"`
	Request    tryRequestOut   `json:"request"`
	Response   *tryResponseOut `json:"response"` // null when there was none
	Error      *string         `json:"error"`
	Probe      bool            `json:"probe"` // of an open breaker: it does not count
}

type tryRequestOut struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

type tryResponseOut struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func hookShape(d *webhook.Delivery) hookOut {
	return hookOut{position: d.Position, ID: d.ID.Text(webhook.PrefixDelivery), Object: "webhook_delivery", Webhook: d.Endpoint.Text(webhook.PrefixEndpoint),
		Event: d.Event.Text(mail.PrefixEvent), Type: string(d.Type), Message: orNull(d.Message.Text(mail.PrefixMessage)), Status: d.Status, Position: d.Position,
		URL: d.URL, AttemptCount: d.Attempts, CreatedAt: d.CreatedAt, NextAttempt: d.NextAttempt, SettledAt: d.SettledAt}
}

// wholeHook is with all tries. The body is made from the event for each: no copy is kept.
func wholeHook(d *webhook.Delivery) hookOut {
	out, body := hookShape(d), string(d.Body)
	tries := make([]tryOut, len(d.Tries))
	for i := range d.Tries {
		r := &d.Tries[i]
		tries[i] = tryOut{At: r.At, DurationMS: r.Duration.Milliseconds(), Request: tryRequestOut{hookHeaders(r.RequestHeaders), body}, Error: orNull(r.Error), Probe: r.Probe}
		if r.Status != 0 {
			tries[i].Response = &tryResponseOut{r.Status, hookHeaders(r.ResponseHeaders), r.Response}
		}
	}
	out.Attempts, out.Body = &tries, &body
	return out
}

// listHooks lists what an endpoint was owed, newest first; with "after" oldest first from
// that position of the log.
func (a *API) listHooks(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	l := a.list(c, "include=total", "status", "type", "types", "message_id", "after")
	q := webhook.DeliveryQuery{Owner: c.Who.Owner, Endpoint: id, Status: l.hookStatus(), Types: l.eventTypes("type", "types"), Message: l.id("message_id", mail.PrefixMessage)}
	from, given := l.position("after")
	if given && l.After == 0 {
		l.After = from
		if l.text("order") == "" {
			l.Ascending = true
		}
	} else if given && l.text("order") == "" {
		l.Ascending = true
	}
	if l.failed() {
		return
	}
	q.After, q.Ascending, q.Limit = l.After, l.Ascending, l.Limit+1
	all, err := a.o.Webhooks.Deliveries(c.Context(), q)
	count := counting(func(ctx context.Context, most int) ([]webhook.Delivery, error) {
		q.Limit, q.After = most, from
		return a.o.Webhooks.Deliveries(ctx, q)
	})
	pageOf(a, l, all, err, count, hookShape, func(h *hookOut) int64 { return h.position })
}

var hookStatuses = []string{webhook.Pending, webhook.Parked, webhook.Delivered, webhook.Failed}

func (l *listing) hookStatus() string {
	s := l.text("status")
	if s != "" && !slices.Contains(hookStatuses, s) {
		l.invalid("status", "'status' is '"+strings.Join(hookStatuses, "', '")+"'.")
	}
	return s
}

// eventTypes reads names of events, apart by commas, under any of the parameter's names.
func (l *listing) eventTypes(names ...string) (types []string) {
	for _, name := range names {
		v, given := l.value(name)
		if !given {
			continue
		}
		for t := range strings.SplitSeq(v, ",") {
			t = strings.TrimSpace(t)
			if fault := webhook.TypeFault(t); fault != nil {
				l.invalid(name, fault.Message)
			}
			types = append(types, t)
		}
	}
	return types
}

// position reads a place in the log.
func (l *listing) position(name string) (int64, bool) {
	v, given := l.value(name)
	if !given {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		l.invalid(name, "'"+name+"' is the position of an event: a whole number.")
	}
	return n, true
}

func (a *API) getHook(c *httpapi.Call) {
	id, ok := hookID(c, webhook.PrefixDelivery)
	if !ok {
		return
	}
	d, err := a.o.Webhooks.Delivery(c.Context(), c.Who.Owner, id)
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, wholeHook(&d))
}

// retryHook makes a delivery due now; one that is over begins again, under the same webhook-id.
func (a *API) retryHook(c *httpapi.Call) {
	f, ok := a.readForm(c, nil, func(*form, string, value) {})
	if !ok {
		return
	}
	turn, id, ok := a.beginHook(f, webhook.PrefixDelivery)
	if !ok {
		return
	}
	defer turn.Leave()
	warnings := f.allWarnings()
	answer := func(d webhook.Delivery) mail.Answer {
		out := hookShape(&d)
		out.Warnings = warnings
		return kept(turn.Once, http.StatusAccepted, "/v1/webhook-deliveries/"+out.ID, out, c.RequestID)
	}
	d, err := a.o.Webhooks.Retry(c.Context(), c.Who.Owner, id, turn.Once, answer)
	if err != nil {
		a.failWebhook(c, turn, err)
		return
	}
	c.Finish(turn, answer(d), nil)
}

type hookStatsOut struct {
	Webhook     string         `json:"webhook_id"`
	Object      string         `json:"object"`
	Window      int64          `json:"window_seconds"`
	Delivered   int64          `json:"delivered"`
	FailedTries int64          `json:"failed_attempts"`
	Failed      int64          `json:"failed"` // given up
	SuccessRate *float64       `json:"success_rate"`
	Latency     *hookLatency   `json:"latency_ms"` // null while nothing was delivered
	Backlog     int64          `json:"backlog"`
	Breaker     string         `json:"breaker"`
	Hours       []hookHour     `json:"hours"`
	Warnings    []mail.Warning `json:"warnings,omitempty"`
}

// hookLatency are upper bounds: durations are counted by powers of two.
type hookLatency struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
}

type hookHour struct {
	Start       time.Time `json:"start"`
	Delivered   int64     `json:"delivered"`
	FailedTries int64     `json:"failed_attempts"`
	Failed      int64     `json:"failed"`
}

func (a *API) webhookStats(c *httpapi.Call) {
	id, ok := webhookAt(c)
	if !ok {
		return
	}
	l := a.list(c, "window")
	window := 24 * time.Hour
	if v, given := l.value("window"); given {
		now := c.Arrived
		at, ok := relativeTime("-"+strings.TrimPrefix(v, "-"), now)
		if window = now.Sub(at); !ok || window <= 0 || window > webhook.MaxWindow {
			l.invalid("window", "'window' is a time span: '1h', '24h', '7d', at most 30d.")
		}
	}
	if l.failed() {
		return
	}
	s, err := a.o.Webhooks.Stats(c.Context(), c.Who.Owner, id, window)
	if err != nil {
		c.Fail(err)
		return
	}
	out := hookStatsOut{Webhook: id.Text(webhook.PrefixEndpoint), Object: "webhook_stats", Window: int64(s.Window / time.Second), Delivered: s.Delivered, FailedTries: s.FailedTries,
		Failed: s.Failed, Backlog: s.Backlog, Breaker: s.State.Breaking(), Hours: make([]hookHour, len(s.Hours)), Warnings: l.warnings()}
	if s.Delivered+s.FailedTries > 0 {
		out.SuccessRate = &s.SuccessRate
	}
	if s.Delivered > 0 {
		out.Latency = &hookLatency{s.P50.Milliseconds(), s.P95.Milliseconds(), s.P99.Milliseconds()}
	}
	for i, h := range s.Hours {
		out.Hours[i] = hookHour{h.Start, h.Delivered, h.Tries, h.Failed}
	}
	give(c, http.StatusOK, out)
}

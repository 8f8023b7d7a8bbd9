package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/webhook"
)

// buildHooks makes what posts events to projects' URLs, and the guarded client it posts with.
func (sv *server) buildHooks() {
	d := sv.settings.Delivery
	options := webhook.ClientOptions{Guard: sv.guard, PublicURL: sv.url}
	if len(d.DNSServers) > 0 { // else the system's, with its own names for neighbours
		options.Resolver = sv.resolver
	}
	sv.poster = webhook.NewClient(options)
	sv.hooks = webhook.New(webhook.Options{Store: sv.store, Log: sv.store, Memory: sv.store, Poster: sv.poster, Ring: sv.ring,
		Formats: map[string]webhook.Format{webhook.FormatStandard: webhook.Standard{BaseURL: sv.url},
			webhook.FormatHyvor: &hyvor.Format{Archive: archive.NewService(sv.store, nil), Domains: sv.domains, Suppressions: sv.store}},
		Check:    sv.poster.Check,
		Wake:     sv.store.Wake,
		Node:     sv.queue.Node(),
		Schedule: sv.settings.Hooks.Schedule, Probe: sv.settings.Hooks.Probe, Now: sv.now, Logger: sv.log})
}

var (
	descHooks       = describe("webhook_hooks_total", "Events owed to webhooks, each endpoint for itself.")
	descHookTries   = describe("webhook_tries_total", "Posts of events by what came of them; parked: probes of a webhook that fails.", "outcome")
	descHookFailed  = describe("webhook_failed_total", "Deliveries of events that were given up.")
	descHookBreaks  = describe("webhook_breaker_opened_total", "Times a webhook failed so often that its events were parked.")
	descHookEnded   = describe("webhook_disabled_total", "Webhooks disabled because of what they answered.")
	descHookFlying  = describe("webhook_in_flight", "Posts under way.")
	descHookHeld    = describe("webhook_held", "Deliveries of events in memory.")
	descHookBacklog = describe("webhook_backlog", "Deliveries of events that are open, by whether they are parked.", "state")
	descHookLag     = describe("webhook_lag_seconds", "Time from an event to the beginning of its first post.")
	descHookPassed  = describe("webhook_relayed_total", "Positions of the event log relayed.")
)

var hookDescs = []*prometheus.Desc{descHooks, descHookTries, descHookFailed, descHookBreaks, descHookEnded, descHookFlying, descHookHeld, descHookBacklog, descHookLag, descHookPassed}

// hookMeter gives the numbers of webhooks.
type hookMeter interface {
	Counters() webhook.Counters
	Backlog(ctx context.Context) (pending, parked int64, err error)
}

func (m *measured) collectHooks(to chan<- prometheus.Metric, count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	if m.hooks == nil {
		return
	}
	c := m.hooks.Counters()
	count(descHooks, c.Hooks)
	count(descHookPassed, c.Passed)
	for outcome, n := range map[string]int64{"delivered": c.Delivered, "failed": c.FailedTries, "parked": c.Probes} {
		count(descHookTries, n, outcome)
	}
	count(descHookFailed, c.Failed)
	count(descHookBreaks, c.Opened)
	count(descHookEnded, c.Disabled)
	gauge(descHookFlying, float64(c.Flying))
	gauge(descHookHeld, float64(c.Held))
	buckets, all := map[float64]uint64{}, uint64(0)
	for i, n := range c.Lags {
		all += uint64(n)
		if i < webhook.Buckets-1 {
			buckets[webhook.BucketBound(i).Seconds()] = all
		}
	}
	to <- prometheus.MustNewConstHistogram(descHookLag, all, c.LagSum.Seconds(), buckets)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	pending, parked, err := m.hooks.Backlog(ctx)
	if err != nil {
		m.log.Warn("count what webhooks are owed for the metrics", "error", err)
		return
	}
	gauge(descHookBacklog, float64(pending), "pending")
	gauge(descHookBacklog, float64(parked), "parked")
}

package webhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// Deliveries gives a page of an endpoint's deliveries; mail.ErrNotFound when the owner has no
// such endpoint.
func (s *Service) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	if !q.Endpoint.IsZero() {
		if _, err := s.o.Store.Endpoint(ctx, q.Owner, q.Endpoint); err != nil {
			return nil, err
		}
	}
	all, err := s.o.Store.Deliveries(ctx, q)
	if err != nil || !q.Bodies {
		return all, err
	}
	return all, s.addBodies(ctx, q.Owner, all)
}

// addBodies makes what was sent anew. Of an endpoint removed just now there is none.
func (s *Service) addBodies(ctx context.Context, owner mail.Owner, all []Delivery) error {
	endpoints, err := s.o.Store.Endpoints(ctx, owner)
	if err != nil {
		return err
	}
	byID := make(map[mail.ID]*Endpoint, len(endpoints))
	for i := range endpoints {
		byID[endpoints[i].ID] = &endpoints[i]
	}
	told := map[string][]*Delivery{} // by format
	for i := range all {
		if e := byID[all[i].Endpoint]; e != nil && all[i].Entry != nil {
			told[e.Format] = append(told[e.Format], &all[i])
		}
	}
	for format, page := range told {
		f, err := s.pageOf(ctx, owner, format, page)
		if err != nil {
			return err
		}
		for _, d := range page {
			if d.Body, err = f.Body(d.Entry, byID[d.Endpoint]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageOf is a format that has read what these deliveries tell of.
func (s *Service) pageOf(ctx context.Context, owner mail.Owner, format string, page []*Delivery) (Format, error) {
	f := s.o.Formats[format]
	if f == nil {
		return nil, fmt.Errorf("there is no format %q", format)
	}
	p, ok := f.(Pager)
	if !ok {
		return f, nil
	}
	entries := make([]*eventlog.Entry, len(page))
	for i, d := range page {
		entries[i] = d.Entry
	}
	return p.Page(ctx, owner, entries)
}

// Delivery gives one with all its tries and the body they were sent, or mail.ErrNotFound. The
// body is made again from the event: what was erased meanwhile is not in it.
func (s *Service) Delivery(ctx context.Context, owner mail.Owner, id mail.ID) (Delivery, error) {
	d, entry, err := s.o.Store.Delivery(ctx, owner, id)
	if err != nil {
		return d, err
	}
	e, err := s.o.Store.Endpoint(ctx, owner, d.Endpoint)
	if err != nil {
		return d, err
	}
	d.Body, err = s.body(entry, &e)
	return d, err
}

// Retry makes a delivery due now; one that is over begins its schedule again, with the same
// webhook-id. A [Conflict] tells that its endpoint is disabled.
func (s *Service) Retry(ctx context.Context, owner mail.Owner, id mail.ID, once *mail.Once, answer func(Delivery) mail.Answer) (Delivery, error) {
	d, err := s.o.Store.ReopenHook(ctx, owner, id, s.o.Now(), once, answer)
	switch {
	case err == mail.ErrStale:
		return d, &Conflict{State: Disabled, Message: "The webhook is disabled: enable it first."}
	case err != nil:
		return d, err
	}
	endpoint, _ := SplitHookID(id)
	s.look(endpoint)
	return d, nil
}

// body writes what an endpoint is sent.
func (s *Service) body(n *eventlog.Entry, e *Endpoint) ([]byte, error) {
	f := s.o.Formats[e.Format]
	if f == nil {
		return nil, fmt.Errorf("there is no format %q", e.Format)
	}
	return f.Body(n, e)
}

// Test posts an example of a type now, really signed, and gives what was sent and what came of
// it. It counts for nothing: neither breaker nor health. An empty type is "webhook.test".
func (s *Service) Test(ctx context.Context, owner mail.Owner, id mail.ID, t mail.EventType) (Request, Try, error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err != nil {
		return Request{}, Try{}, err
	}
	if t == "" {
		t = mail.EventWebhookTest
	}
	if f := TypeFault(string(t)); f != nil || strings.HasSuffix(string(t), "*") {
		if f == nil {
			f = fault("type", "invalid_value", "Name one type, such as 'message.delivered'.")
		}
		f.Field, f.Pointer = "type", "#/type"
		return Request{}, Try{}, mail.Faults{f}
	}
	if f := s.o.Formats[e.Format]; f != nil && !f.Speaks(t) {
		return Request{}, Try{}, mail.Faults{fault("type", "invalid_value", fmt.Sprintf("The format '%s' has no event for '%s'.", e.Format, t))}
	}
	now := s.o.Now()
	n := eventlog.Sample(t, owner, e.Project, now)
	if n == nil {
		return Request{}, Try{}, fmt.Errorf("there is no example of %s", t)
	}
	if strings.HasPrefix(string(t), "webhook.") { // about this one, then
		n.Detail.Object, n.Detail.Facts = e.ID.Text(PrefixEndpoint), about(&e, t, "", now).Detail.Facts
	}
	body, err := s.body(n, &e)
	if err != nil {
		return Request{}, Try{}, err
	}
	r, err := s.request(&e, n.ID, t, body, 1, now)
	if err != nil {
		return Request{}, Try{}, err
	}
	return r, s.o.Poster.Post(ctx, r), nil
}

// request is one try at an event.
func (s *Service) request(e *Endpoint, event mail.ID, t mail.EventType, body []byte, attempt int, now time.Time) (Request, error) {
	secrets, err := s.secrets(e)
	if err != nil {
		return Request{}, err
	}
	r := Request{Endpoint: e, ID: event.Text(mail.PrefixEvent), Type: t, Body: body, Attempt: attempt, At: now, Secrets: []string{secrets.Secret}}
	if secrets.Old != "" {
		r.Secrets = append(r.Secrets, secrets.Old)
	}
	return r, nil
}

// Stats are what an endpoint's last hours were like.
type Stats struct {
	Window        time.Duration
	Delivered     int64
	FailedTries   int64
	Failed        int64   // given up
	SuccessRate   float64 // of tries; 1 when there were none
	P50, P95, P99 time.Duration
	Backlog       int64 // open now
	State         State
	Hours         []Hour
}

// MaxWindow is how far back counts are kept.
const MaxWindow = 30 * 24 * time.Hour

// Stats sums up what an endpoint's posts came to within a window, of whole hours. Durations are
// the upper bounds of buckets: 1, 2, 4 … ms.
func (s *Service) Stats(ctx context.Context, owner mail.Owner, id mail.ID, window time.Duration) (Stats, error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err != nil {
		return Stats{}, err
	}
	all, err := s.StatsOf(ctx, []Endpoint{e}, window)
	if err != nil {
		return Stats{}, err
	}
	return all[0], nil
}

// StatsOf is Stats of many endpoints that were read already, in their order.
func (s *Service) StatsOf(ctx context.Context, endpoints []Endpoint, window time.Duration) ([]Stats, error) {
	window = min(max(window, time.Hour), MaxWindow)
	rows := make([]int64, len(endpoints))
	for i := range endpoints {
		rows[i] = endpoints[i].Row
	}
	hours, err := s.o.Store.HookCounts(ctx, rows, s.o.Now().Add(-window))
	if err != nil {
		return nil, err
	}
	out := make([]Stats, len(endpoints))
	for i := range endpoints {
		out[i] = sumUp(&endpoints[i], hours[endpoints[i].Row], window)
	}
	return out, nil
}

func sumUp(e *Endpoint, hours []Hour, window time.Duration) Stats {
	out := Stats{Window: window, Backlog: e.State.Backlog, State: e.State, Hours: hours, SuccessRate: 1}
	var durations [Buckets]int64
	for _, h := range hours {
		out.Delivered, out.FailedTries, out.Failed = out.Delivered+h.Delivered, out.FailedTries+h.Tries, out.Failed+h.Failed
		for i, n := range h.Durations {
			durations[i] += n
		}
	}
	if all := out.Delivered + out.FailedTries; all > 0 {
		out.SuccessRate = float64(out.Delivered) / float64(all)
	}
	out.P50, out.P95, out.P99 = quantile(&durations, 0.50), quantile(&durations, 0.95), quantile(&durations, 0.99)
	return out
}

// quantile gives the upper bound of the bucket a part of all lies below.
func quantile(buckets *[Buckets]int64, part float64) time.Duration {
	var all, seen int64
	for _, n := range buckets {
		all += n
	}
	for i, n := range buckets {
		if seen += n; all > 0 && float64(seen) >= part*float64(all) {
			return BucketBound(i)
		}
	}
	return 0
}

package hyvor

import (
	"context"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

type statsOut struct {
	Sends      int64   `json:"sends"` // recipients
	Bounces    float64 `json:"bounce_rate"`
	Complaints float64 `json:"complaint_rate"`
}

type dayOut struct {
	Date       string `json:"date"`
	Total      int64  `json:"total"`
	Bounced    int64  `json:"bounced"`
	Complained int64  `json:"complained"`
	Accepted   int64  `json:"accepted"`
	Queued     int64  `json:"queued"`
}

const (
	chartDays = 31
	tallyKept = time.Minute // how old a count may be: it walks all messages of its time
)

func (d *dayOut) add(n Count) {
	d.Total += n.Count
	switch statusOf(countedAs(n)) {
	case statusBounced:
		d.Bounced += n.Count
	case statusComplained:
		d.Complained += n.Count
	case statusAccepted:
		d.Accepted += n.Count
	case statusQueued, statusDeferred:
		d.Queued += n.Count
	}
}

// countedAs is a recipient as a count knows it.
func countedAs(n Count) *mail.Delivery {
	d := &mail.Delivery{Status: n.Status}
	if n.Exhausted {
		d.Bounce = &mail.Bounce{Reason: mail.BounceExhausted}
	}
	return d
}

func (a *API) stats(c *httpapi.Call) (any, error) {
	period := c.R.URL.Query().Get("period")
	back, known := map[string]time.Duration{"": 30 * 24 * time.Hour, "30d": 30 * 24 * time.Hour, "7d": 7 * 24 * time.Hour, "24h": 24 * time.Hour}[period]
	if !known {
		return nil, invalid("period", textChoice)
	}
	now := a.now()
	counts, err := a.tally.get(c.Context(), tallyKey{c.Who.Owner, period}, now, func(ctx context.Context) ([]Count, error) {
		return a.o.Store.Tally(ctx, c.Who.Owner, now.Add(-back))
	})
	var all dayOut
	for _, n := range counts {
		all.add(n)
	}
	out := statsOut{Sends: all.Total}
	if all.Total > 0 {
		out.Bounces, out.Complaints = float64(all.Bounced)/float64(all.Total), float64(all.Complained)/float64(all.Total)
	}
	return out, err
}

// chart gives the last 31 days, today the last of them, oldest first.
func (a *API) chart(c *httpapi.Call) (any, error) {
	now := a.now().UTC()
	first := time.Date(now.Year(), now.Month(), now.Day()-chartDays+1, 0, 0, 0, 0, time.UTC)
	counts, err := a.tally.get(c.Context(), tallyKey{c.Who.Owner, "chart"}, now, func(ctx context.Context) ([]Count, error) {
		return a.o.Store.Tally(ctx, c.Who.Owner, first)
	})
	if err != nil {
		return nil, err
	}
	out := make([]dayOut, chartDays)
	at := make(map[string]*dayOut, chartDays)
	for i := range out {
		out[i].Date = first.AddDate(0, 0, i).Format(time.DateOnly)
		at[out[i].Date] = &out[i]
	}
	for _, n := range counts {
		if d := at[n.Day]; d != nil {
			d.add(n)
		}
	}
	return out, nil
}

type tallyKey struct {
	owner mail.Owner
	what  string
}

// tallies keeps counts for a minute, and makes one at a time: a dashboard that is open in
// many windows costs one walk.
type tallies struct {
	counting sync.Mutex
	mu       sync.Mutex
	known    map[tallyKey]counted
}

type counted struct {
	at     time.Time
	counts []Count
}

const talliesKept = 1000

func (t *tallies) get(ctx context.Context, key tallyKey, now time.Time, count func(context.Context) ([]Count, error)) ([]Count, error) {
	if counts, ok := t.fresh(key, now); ok {
		return counts, nil
	}
	t.counting.Lock()
	defer t.counting.Unlock()
	if counts, ok := t.fresh(key, now); ok {
		return counts, nil
	}
	counts, err := count(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= talliesKept {
		t.known = map[tallyKey]counted{}
	}
	t.known[key] = counted{now, counts}
	return counts, nil
}

func (t *tallies) fresh(key tallyKey, now time.Time) ([]Count, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.known[key]
	age := now.Sub(c.at)
	return c.counts, ok && age >= 0 && age < tallyKept
}

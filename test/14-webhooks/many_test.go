package webhooks

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const (
	many     = 50 // endpoints: all a project may have
	manyTick = 34 // messages, each with three events: about 1,000 events a second
	manyLoad = 3 * time.Second
	boundAll = 15 * time.Second // what fails: the test's machine is shared, and plays sender, sites and receivers too
)

// TestFiftyEndpointsShareAThousandEventsASecond: each of them wants the mail of one tag, so
// every event is owed to one. It runs alone in its package, so that its figures mean something.
func TestFiftyEndpointsShareAThousandEventsASecond(t *testing.T) {
	r := receive(t, "127.1.0.30", nil)
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": network, "POSTROAD_LOG_LEVEL": "warn"}})
	tagOf := map[string]string{} // by webhook_id
	for i := range many {
		tag := fmt.Sprintf("tag%02d", i)
		id, _ := endpoint(t, p, map[string]any{"url": r.URL, "events": []string{"message.*"}, "filters": map[string]any{"tags": []string{tag}}, "max_per_second": 1000})
		tagOf[id] = tag
	}
	want, sent := map[string]int{}, 0 // events, by tag
	began := time.Now()
	for next := began; time.Since(began) < manyLoad; {
		batch := make([]map[string]any, manyTick)
		for i := range batch {
			tag := fmt.Sprintf("tag%02d", sent%many)
			batch[i] = message()
			batch[i]["tags"] = []string{tag}
			want[tag] += 3
			sent++
		}
		p.Must(t, http.StatusAccepted, "POST", "/v1/messages/batch", harness.TestKey, map[string]any{"messages": batch})
		next = next.Add(tick)
		time.Sleep(time.Until(next))
	}
	rate := float64(3*sent) / time.Since(began).Seconds()
	r.await(t, 3*sent, 60*time.Second)

	seen := map[string]bool{}
	for _, h := range r.all() {
		tag := tagOf[h.header.Get("X-Postroad-Endpoint")]
		if tag == "" || !bytes.Contains(h.body, []byte(`"tags":["`+tag+`"]`)) {
			t.Fatalf("%s got %s", tag, h.body)
		}
		if !seen[h.ID] {
			seen[h.ID] = true
			want[tag]--
		}
	}
	for tag, left := range want {
		if left != 0 {
			t.Errorf("%s: %d events too few", tag, left)
		}
	}
	if len(r.odd) > 0 {
		t.Errorf("odd requests: %v", r.odd)
	}
	lags := lagsOf(r, time.Time{})
	t.Logf("%d endpoints, %d events at %.0f events/s, %d requests; from state change to first byte p50 %v, p95 %v, p99 %v, most %v (goal: p95 < %v); most memory of the process: %d MB",
		many, len(lags), rate, len(r.all()), quantile(lags, 50), quantile(lags, 95), quantile(lags, 99), lags[len(lags)-1], goalP95, harness.PeakMemory(p.Pid())>>20)
	if p95 := quantile(lags, 95); p95 > boundAll && !harness.Raced() {
		t.Errorf("p95 is %v", p95)
	}
}

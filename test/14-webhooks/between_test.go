package webhooks

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// TestAKillBetweenTheStateChangeAndItsHook is exact about the moment: every message has come to
// its end, as many hooks as may be under way are, unanswered, and the others wait behind them.
// Then the process is killed.
func TestAKillBetweenTheStateChangeAndItsHook(t *testing.T) {
	t.Parallel()
	const messages, underWay = 20, 10
	var answers atomic.Bool
	r := receive(t, "127.1.0.21", func(w http.ResponseWriter, req *http.Request) {
		if !answers.Load() {
			<-req.Context().Done()
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": network}})
	endpoint(t, p, map[string]any{"url": r.URL, "events": []string{"message.*"}, "max_per_second": 1000})
	var sent []string
	for range messages {
		sent = append(sent, p.Send(t, harness.TestKey, message()))
	}
	events := awaitFinal(t, p, sent)
	if len(events) != 3*messages {
		t.Fatalf("%d events, want %d", len(events), 3*messages)
	}
	r.await(t, underWay, 60*time.Second)
	p.Kill()
	before := r.all()
	if len(before) != underWay || r.distinct() != underWay {
		t.Fatalf("%d requests for %d events were under way, want %d", len(before), r.distinct(), underWay)
	}

	answers.Store(true)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	r.await(t, len(events), 60*time.Second)
	if n := sameUnderOneID(t, r); n != underWay {
		t.Errorf("%d events came twice, want the %d that were under way", n, underWay)
	}
	for _, h := range before {
		again := last(r, h.ID)
		if !bytes.Equal(again.body, h.body) || again.header.Get("X-Postroad-Attempt") != "1" {
			t.Errorf("%s: attempt %s of\n%s\nwas at first\n%s", h.ID, again.header.Get("X-Postroad-Attempt"), again.body, h.body)
		}
	}
	for id, n := range r.counts() {
		if !events[id] || n > 2 {
			t.Errorf("%s came %d times; one of the messages' events: %v", id, n, events[id])
		}
	}
}

// last is the latest request with an id.
func last(r *receiver, id string) (found hook) {
	for _, h := range r.all() {
		if h.ID == id {
			found = h
		}
	}
	return found
}

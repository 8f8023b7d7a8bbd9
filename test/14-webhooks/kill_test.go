package webhooks

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// TestNoEventIsLostWhenKilled: POSTROAD_TEST_ROUNDS asks for more than 8 rounds,
// POSTROAD_TEST_SEED for the moments of an earlier run.
func TestNoEventIsLostWhenKilled(t *testing.T) {
	t.Parallel()
	rounds := number("POSTROAD_TEST_ROUNDS", 8)
	seed := number("POSTROAD_TEST_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(uint64(seed), 0))

	// It answers after a moment, so that kills fall between a call and its record too.
	r := receive(t, "127.1.0.20", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Millisecond)
		w.WriteHeader(http.StatusNoContent)
	})
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": network, "POSTROAD_LOG_LEVEL": "warn",
		"POSTROAD_WEBHOOK_SCHEDULE": "1s,1s,1s,1s,1s,1s,1s,1s", "POSTROAD_RETRY_SCHEDULE": strings.Repeat("1s,", 20) + "1s"}})
	endpoint(t, p, map[string]any{"url": r.URL, "events": []string{"message.*"}, "max_per_second": 1000})

	c := &crowd{p: p}
	for round := range rounds {
		stop := c.start(4)
		time.Sleep(time.Duration(30+moments.IntN(250)) * time.Millisecond)
		c.await(t, 5*(round+1)) // a slow machine takes longer than a moment
		p.Kill()
		stop()
		if err := p.Restart(); err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
	}
	events := awaitFinal(t, p, c.accepted)
	for end := time.Now().Add(2 * harness.Patience); missing(r, events) > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	if n := missing(r, events); n > 0 {
		t.Errorf("%d of %d events never reached the endpoint", n, len(events))
	}
	twice := sameUnderOneID(t, r)
	t.Logf("%d kills: %d messages with their 202 read, %d events of theirs, all of them arrived; %d requests in all, %d events came more than once, each under its one webhook-id",
		rounds, len(c.accepted), len(events), len(r.all()), twice)
	if len(r.odd) > 0 {
		t.Errorf("odd requests: %v", r.odd)
	}
}

// awaitFinal waits until every message has its three events and gives their ids.
func awaitFinal(t *testing.T, p *harness.Postroad, messages []string) map[string]bool {
	t.Helper()
	events := map[string]bool{}
	end := time.Now().Add(2 * harness.Patience)
	for _, id := range messages {
		for {
			var list struct {
				Data []struct {
					ID   string `json:"event_id"`
					Type string `json:"type"`
				} `json:"data"`
			}
			a := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/events", harness.TestKey, nil)
			if err := json.Unmarshal(a.Body, &list); err != nil {
				t.Fatal(err)
			}
			if n := len(list.Data); n >= 3 && list.Data[n-1].Type == "message.delivered" {
				for _, e := range list.Data {
					if e.ID == "" {
						t.Fatalf("an event without an id: %s", a.Body)
					}
					events[e.ID] = true
				}
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s is not delivered: %s", id, a.Body)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return events
}

func missing(r *receiver, events map[string]bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range events {
		if r.count[id] == 0 {
			n++
		}
	}
	return n
}

// sameUnderOneID counts the events that came more than once, and fails when what came under
// one webhook-id is not one event, or one event came under two.
func sameUnderOneID(t *testing.T, r *receiver) (twice int) {
	t.Helper()
	type place struct {
		message  string
		sequence int
	}
	first, at := map[string]envelope{}, map[place]string{}
	for _, h := range r.all() {
		if before, seen := first[h.ID]; seen && before != h.envelope {
			t.Errorf("%s is %+v and %+v", h.ID, before, h.envelope)
		}
		first[h.ID] = h.envelope
		where := place{h.Data.Message, h.Sequence}
		if id, seen := at[where]; seen && id != h.ID {
			t.Errorf("%+v came as %s and %s", where, id, h.ID)
		}
		at[where] = h.ID
	}
	for _, n := range r.count {
		if n > 1 {
			twice++
		}
	}
	return twice
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// crowd sends and remembers every message whose 202 it read.
type crowd struct {
	p        *harness.Postroad
	mu       sync.Mutex
	accepted []string
}

// start sends on so many connections until the returned func is called.
func (c *crowd) start(connections int) (stop func()) {
	end := make(chan struct{})
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-time.After(15 * time.Millisecond):
					c.send()
				}
			}
		})
	}
	return func() { close(end); workers.Wait() }
}

// await waits until so many were accepted in all: with fewer, kills would prove nothing.
func (c *crowd) await(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(harness.Patience); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		have := len(c.accepted)
		c.mu.Unlock()
		if have >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages were accepted, want %d", have, n)
		}
	}
}

func (c *crowd) send() {
	a, err := c.p.Do("POST", "/v1/messages", harness.TestKey, message())
	if err != nil || a.Status != http.StatusAccepted {
		return // killed meanwhile
	}
	var out struct {
		ID string `json:"message_id"`
	}
	if json.Unmarshal(a.Body, &out) == nil {
		c.mu.Lock()
		c.accepted = append(c.accepted, out.ID)
		c.mu.Unlock()
	}
}

package stop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// crowd sends messages through both dialects, each until it is accepted, however often the
// process goes away meanwhile: its keys make sure that it is one message.
type crowd struct {
	t        *testing.T
	p        *harness.Postroad
	next     atomic.Int64
	accepted atomic.Int64
}

const crowdSize = 1500

func (c *crowd) run() {
	for n := c.next.Add(1); n <= crowdSize && !c.t.Failed(); n = c.next.Add(1) {
		c.send(int(n))
	}
}

func (c *crowd) send(n int) {
	for end := time.Now().Add(harness.Patience); ; time.Sleep(10 * time.Millisecond) {
		a, err := c.post(n)
		switch {
		case err == nil && (a.Status == 202 || a.Status == 200):
			c.accepted.Add(1)
			return
		case err == nil && a.Status < 500:
			c.t.Errorf("message %d: %d %.300s", n, a.Status, a.Body)
			return
		case time.Now().After(end):
			c.t.Errorf("message %d is not accepted: %v %d %.300s", n, err, a.Status, a.Body)
			return
		}
	}
}

func (c *crowd) post(n int) (harness.Answer, error) {
	to, key := fmt.Sprintf("r%d@site.test", n), strconv.Itoa(n)
	if n%2 == 0 {
		return c.p.Do("POST", "/api/console/sends", harness.LiveKey, map[string]any{"from": "hello@acme.test", "to": to, "subject": "Change", "body_text": "Hello"}, "X-Idempotency-Key", key)
	}
	return c.p.Do("POST", "/v1/messages", harness.LiveKey, map[string]any{"from": "hello@acme.test", "recipient": to, "subject": "Change", "text": "Hello"}, "Idempotency-Key", key)
}

// until waits for so many to be accepted.
func (c *crowd) until(n int64) {
	c.t.Helper()
	for end := time.Now().Add(harness.Patience); c.accepted.Load() < n; time.Sleep(5 * time.Millisecond) {
		if c.t.Failed() || time.Now().After(end) {
			c.t.Errorf("%d of %d are accepted", c.accepted.Load(), n)
			return
		}
	}
}

// change makes every kind of change there is at run time, round after round, until stop. It
// gives the number of the next round.
func change(t *testing.T, p *harness.Postroad, hooks string, rounds int, stop <-chan struct{}) int {
	must := func(status int, method, path, key string, body any) map[string]any {
		a, err := p.Do(method, path, key, body)
		if err != nil || a.Status != status {
			t.Errorf("%s %s: %v %d, want %d: %.500s", method, path, err, a.Status, status, a.Body)
			return map[string]any{}
		}
		var fields map[string]any
		_ = json.Unmarshal(a.Body, &fields)
		return fields
	}
	text := func(fields map[string]any, name string) string { s, _ := fields[name].(string); return s }
	live := harness.LiveKey
	for ; !t.Failed(); rounds++ {
		select {
		case <-stop:
			return rounds
		default:
		}
		// Keys: one is made, changed, rotated and revoked; what it sent just before arrives.
		made := must(201, "POST", "/v1/api-keys", live, map[string]any{"name": "short", "scopes": []string{"messages.send"}})
		id := text(made, "key_id")
		must(200, "PATCH", "/v1/api-keys/"+id, live, map[string]any{"name": "shorter"})
		rotated := must(201, "POST", "/v1/api-keys/"+id+"/rotate", live, map[string]any{"overlap_hours": 0})
		must(202, "POST", "/v1/messages", text(rotated, "secret"), map[string]any{"from": "hello@acme.test", "recipient": fmt.Sprintf("k%d@site.test", rounds), "subject": "Last", "text": "Hello"})
		must(204, "DELETE", "/v1/api-keys/"+text(rotated, "key_id"), live, nil)
		// Domains: another comes and goes; the one in use gets another DKIM key.
		must(201, "POST", "/v1/domains", live, map[string]any{"name": fmt.Sprintf("d%d.test", rounds)})
		must(204, "DELETE", fmt.Sprintf("/v1/domains/d%d.test", rounds), live, nil)
		must(201, "POST", "/v1/domains/acme.test/dkim/rotate", live, map[string]any{"algorithm": "ed25519", "selector": fmt.Sprintf("n%d", rounds), "overlap_hours": 0})
		must(200, "POST", fmt.Sprintf("/v1/domains/acme.test/dkim/n%d/activate?force=true", rounds), live, nil)
		must(200, "PATCH", "/v1/domains/acme.test", live, map[string]any{"default_from": "hello@acme.test"})
		// Suppressions of somebody else, webhooks that are owed all of it, settings.
		must(201, "POST", "/v1/suppressions", live, map[string]any{"recipient": fmt.Sprintf("s%d@site.test", rounds)})
		must(200, "DELETE", fmt.Sprintf("/v1/suppressions/s%d@site.test", rounds), live, nil)
		hook := text(must(201, "POST", "/v1/webhooks", live, map[string]any{"url": hooks, "events": []string{"message.*"}}), "webhook_id")
		must(200, "PATCH", "/v1/webhooks/"+hook, live, map[string]any{"events": []string{"message.delivered"}})
		must(200, "POST", "/v1/webhooks/"+hook+"/disable", live, nil)
		must(204, "DELETE", "/v1/webhooks/"+hook, live, nil)
		must(200, "PATCH", "/v1/project", live, map[string]any{"content_retention_days": 1 + rounds%9, "daily_messages": 1_000_000 + rounds})
		must(200, "PATCH", "/api/console/project", live, map[string]any{"name": "default"})
	}
	return rounds
}

// The original there aborts mail in flight whenever something is changed (D2).
func TestChangesAndStopsUnderLoadLoseNothingAndDoubleNothing(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	var mu sync.Mutex
	arrived := map[string]int{}
	site, err := sink.Listen(world.At("127.0.0.1"), sink.Behaviour{Think: 20 * time.Millisecond, OnMessage: func(recipient, _ []byte) {
		mu.Lock()
		arrived[string(recipient)]++
		mu.Unlock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_LOG_LEVEL", "warn", "POSTROAD_HYVOR_SENDS_LIMIT", "0", "POSTROAD_HYVOR_KEY_LIMIT", "0")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	c := &crowd{t: t, p: p}
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(c.run)
	}
	rounds := 0
	for i, signal := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGHUP} {
		if signal != 0 {
			c.stop(signal)
		}
		stop, ended := make(chan struct{}), make(chan int, 1)
		go func() { ended <- change(t, p, receiver.URL, rounds, stop) }()
		c.until(int64(i+1) * crowdSize / 3)
		close(stop)
		if rounds = <-ended; t.Failed() {
			break
		}
	}
	senders.Wait()
	if t.Failed() {
		return
	}
	if rounds == 0 {
		t.Fatal("nothing was changed")
	}
	c.judge(&mu, arrived, rounds)
	t.Logf("%d messages through %d rounds of changes and two stops", c.accepted.Load(), rounds)
}

// stop ends the process while the crowd goes on, and starts another.
func (c *crowd) stop(signal syscall.Signal) {
	c.t.Helper()
	if code, err := c.p.StopBy(signal, harness.Patience); code != 0 || err != nil {
		c.t.Fatalf("by %v: exit code %d, %v", signal, code, err)
	}
	if err := c.p.Restart(); err != nil {
		c.t.Fatal(err)
	}
}

// judge waits for all that was accepted, and looks for what came twice or was deferred.
func (c *crowd) judge(mu *sync.Mutex, arrived map[string]int, rounds int) {
	c.t.Helper()
	want := make([]string, 0, crowdSize+rounds)
	for n := range crowdSize {
		want = append(want, fmt.Sprintf("r%d@site.test", n+1))
	}
	c.p.Must(c.t, 200, "GET", "/v1/me", harness.LiveKey, nil)
	for end := time.Now().Add(harness.Patience); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		all := 0
		for _, n := range arrived {
			all += n
		}
		mu.Unlock()
		if all >= crowdSize+rounds {
			break
		}
		if time.Now().After(end) {
			c.t.Fatalf("%d of %d messages arrived", all, crowdSize+rounds)
		}
	}
	// Whatever is open now would come again.
	for _, status := range []string{"queued", "accepted", "deferred", "failed", "bounced"} {
		for end := time.Now().Add(harness.Patience); ; time.Sleep(10 * time.Millisecond) {
			a := c.p.Must(c.t, 200, "GET", "/v1/messages?limit=1&status="+status, harness.LiveKey, nil)
			if !strings.Contains(string(a.Body), `"message_id"`) {
				break
			}
			if time.Now().After(end) {
				c.t.Fatalf("a message is %s: %.500s", status, a.Body)
			}
		}
	}
	for _, kind := range []string{"deferred", "bounced", "failed"} {
		if a := c.p.Must(c.t, 200, "GET", "/v1/events?types=message."+kind, harness.LiveKey, nil); strings.Contains(string(a.Body), `"event_id"`) {
			c.t.Errorf("what was on the wire did not finish: %.500s", a.Body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, to := range want {
		if arrived[to] != 1 {
			c.t.Errorf("%s arrived %d times", to, arrived[to])
		}
	}
	if len(arrived) != crowdSize+rounds {
		c.t.Errorf("%d recipients have mail, want %d", len(arrived), crowdSize+rounds)
	}
}

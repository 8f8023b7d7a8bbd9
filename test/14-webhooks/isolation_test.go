package webhooks

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const (
	load     = 4 * time.Second
	perTick  = 17 // messages, each with three events: about 500 events a second
	tick     = 100 * time.Millisecond
	goalP95  = time.Second     // on a machine that has nothing else to do
	boundP95 = 5 * time.Second // what fails: the test's machine is shared
)

// TestBadReceiversDelayNobodyElse has five receivers that misbehave beside two good ones.
func TestBadReceiversDelayNobodyElse(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	port, trapped := trap(t)
	rebind := fmt.Sprintf("https://rebind.test:%s/hooks", port)
	if err := world.DNS.Set("rebind.test. 1 A 93.184.216.34"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_ALLOW_NETWORKS", network, "POSTROAD_LOG_LEVEL", "warn", "POSTROAD_WEBHOOK_SCHEDULE", "1s,1s,1s,1s,1s,1s")})

	good := receive(t, "127.1.0.10", nil)
	other := receive(t, "127.1.0.11", nil)
	endpoint(t, p, map[string]any{"url": good.URL, "events": []string{"*"}, "max_per_second": 2000})
	endpoint(t, p, map[string]any{"url": other.URL, "events": []string{"message.delivered"}, "max_per_second": 2000})

	bad := map[string]string{ // id → what it is
		endpointID(t, p, hanging(t, "127.1.0.2")): "hangs",
		endpointID(t, p, receive(t, "127.1.0.3", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }).URL): "answers 500",
		endpointID(t, p, receive(t, "127.1.0.4", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
		}).URL): "redirects to 169.254.169.254",
		endpointID(t, p, rebind):                   "rebinds to 127.0.0.1",
		endpointID(t, p, gigabyte(t, "127.1.0.6")): "answers with 1 GB",
	}
	// The name was public when it was checked, and is this host's when it is used.
	if err := world.DNS.Set("rebind.test. 1 A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1200 * time.Millisecond) // the answer of the check is forgotten after its TTL, a second

	sent := 0
	worst := time.Hour
	for round := 0; worst > boundP95 && round < 3; round++ { // a machine that stalls is measured again
		worst = 0
		before := sent
		began := time.Now()
		for next := began; time.Since(began) < load; sent += perTick {
			batch := make([]map[string]any, perTick)
			for i := range batch {
				batch[i] = message()
			}
			p.Must(t, http.StatusAccepted, "POST", "/v1/messages/batch", harness.TestKey, map[string]any{"messages": batch})
			next = next.Add(tick)
			time.Sleep(time.Until(next))
		}
		rate := float64(3*(sent-before)) / time.Since(began).Seconds()
		good.await(t, 3*sent, harness.Patience)
		other.await(t, sent, harness.Patience)
		for name, r := range map[string]*receiver{"all events": good, "message.delivered": other} {
			lags := lagsOf(r, began.Truncate(time.Millisecond))
			p95 := quantile(lags, 95)
			t.Logf("good receiver of %s: %d events at %.0f events/s; from state change to first byte p50 %v, p95 %v, p99 %v, most %v (goal: p95 < %v)", name, len(lags), rate,
				quantile(lags, 50), p95, quantile(lags, 99), lags[len(lags)-1], goalP95)
			if !harness.Raced() {
				worst = max(worst, p95)
			}
		}
	}
	if worst > boundP95 {
		t.Errorf("p95 is %v", worst)
	}
	for name, r := range map[string]*receiver{"all events": good, "message.delivered": other} {
		if len(r.odd) > 0 {
			t.Errorf("%s: odd requests: %v", name, r.odd)
		}
	}
	if n := trapped.Load(); n != 0 {
		t.Errorf("%d connections to 127.0.0.1", n)
	}
	for id, is := range bad {
		checkBad(t, p, id, is)
	}
	t.Logf("most memory of the process: %d MB", harness.PeakMemory(p.Pid())>>20)
}

// checkBad looks at what is recorded of one that misbehaves: nothing was delivered but to
// the one that answers 200 with too much.
func checkBad(t *testing.T, p *harness.Postroad, id, is string) {
	t.Helper()
	want := map[string]string{"hangs": "", "answers 500": "500", "redirects to 169.254.169.254": "307", "rebinds to 127.0.0.1": "127.0.0.1 is a loopback address", "answers with 1 GB": "200"}[is]
	delivered, looked := 0, false
	for _, d := range deliveries(t, p, id, "&order=asc") {
		if d.Status == "delivered" {
			delivered++
		}
		if looked {
			continue
		}
		for _, a := range whole(t, p, d.ID).Attempts {
			looked = true
			got := a.Error
			if a.Response != nil {
				got = fmt.Sprint(a.Response.Status)
				if len(a.Response.Body) > 16<<10 {
					t.Errorf("the one that %s: %d bytes of its answer are kept", is, len(a.Response.Body))
				}
			}
			if !strings.Contains(got, want) {
				t.Errorf("the one that %s: %q, want %q", is, got, want)
			}
		}
	}
	if takes := is == "answers with 1 GB"; (delivered > 0) != takes {
		t.Errorf("the one that %s: %d delivered", is, delivered)
	}
	if !looked && is != "hangs" {
		t.Errorf("the one that %s: no attempt is recorded", is)
	}
}

func endpointID(t *testing.T, p *harness.Postroad, url string) string {
	t.Helper()
	id, _ := endpoint(t, p, map[string]any{"url": url, "events": []string{"message.delivered"}, "max_per_second": 2000})
	return id
}

// lagsOf are those of the events from a moment on.
func lagsOf(r *receiver, from time.Time) []time.Duration {
	seen := map[string]bool{}
	var lags []time.Duration
	for _, h := range r.all() {
		if !seen[h.ID] && !h.Timestamp.Before(from) {
			seen[h.ID] = true
			lags = append(lags, h.at.Sub(h.Timestamp))
		}
	}
	slices.Sort(lags)
	return lags
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(100 * time.Microsecond)
}

// trap counts connections to 127.0.0.1.
func trap(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	l := listen(t, "127.0.0.1")
	hits = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, hits
}

// hanging takes connections and says nothing.
func hanging(t *testing.T, ip string) string {
	l := listen(t, ip)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return "http://" + l.Addr().String() + "/hooks"
}

// gigabyte answers 200 with as much as is read of it.
func gigabyte(t *testing.T, ip string) string {
	chunk := make([]byte, 64<<10)
	for i := range chunk {
		chunk[i] = 'x'
	}
	return receive(t, ip, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		for range 1 << 14 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}).URL
}

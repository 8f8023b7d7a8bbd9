package kill

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/test/harness"
)

const domain = "acme.test"

// TestNothingIsLostWhenKilledUnderLoad: POSTROAD_TEST_ROUNDS asks for more than 20 rounds,
// POSTROAD_TEST_SEED for the moments of an earlier run.
func TestNothingIsLostWhenKilledUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := number("POSTROAD_TEST_ROUNDS", 20)
	seed := number("POSTROAD_TEST_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(uint64(seed), 0))

	world := harness.OpenWorld(t)
	// 3 ms from the final dot to its reply: wide enough for a kill to fall into.
	site, err := sink.Listen(world.At("127.0.0.1"), sink.Behaviour{Think: 3 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	// Many short waits: an attempt cut by a kill counts, and rounds follow each other fast.
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_LOG_LEVEL", "warn",
		"POSTROAD_RETRY_SCHEDULE", strings.Repeat("1s,", 30)+"1s")})
	if err := world.Verify(p, domain, "ed25519"); err != nil {
		t.Fatal(err)
	}

	c := &crowd{p: p, accepted: map[string]bool{}}
	for round := range rounds {
		stop := c.start(8)
		time.Sleep(time.Duration(50+moments.IntN(350)) * time.Millisecond)
		c.await(t, 10*(round+1)) // a slow machine takes longer than a moment
		p.Kill()
		stop()
		if err := p.Restart(); err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
	}
	awaitAll(t, site, c.accepted)
	awaitDrained(t, p)

	counts := site.Counts()
	var lost, twice, uncertain, unread int
	for id := range c.accepted {
		if counts[id] == 0 {
			lost++
			t.Errorf("lost: 202 was read for %s and it never arrived\n%s", id, story(t, p, id))
		}
	}
	for id, n := range counts {
		if !c.accepted[id] {
			unread++ // committed, and killed before the 202 was read
		}
		if n > 1 {
			twice++
			known := uncertainAttempts(t, p, id)
			uncertain += known
			if known < n-1 {
				t.Errorf("%s arrived %d times with %d uncertain attempts recorded\n%s", id, n, known, story(t, p, id))
			}
		}
	}
	t.Logf("%d kills: %d messages with their 202 read, %d lost, %d arrived more than once (%d uncertain attempts recorded for them), %d arrived whose 202 was never read; %d connections broken or refused while sending",
		rounds, len(c.accepted), lost, twice, uncertain, unread, c.broken)
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// crowd sends without a pause and remembers every 202 it read.
type crowd struct {
	p        *harness.Postroad
	mu       sync.Mutex
	accepted map[string]bool // by RFC Message-ID
	broken   int
	sent     int
}

// start sends on so many connections until the returned func is called.
func (c *crowd) start(connections int) (stop func()) {
	end := make(chan struct{})
	var workers sync.WaitGroup
	for range connections {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				select {
				case <-end:
					return
				case <-time.After(2 * time.Millisecond): // some hundreds a round tell as much as thousands
					c.send()
				}
			}
		}()
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
	c.mu.Lock()
	c.sent++
	n := c.sent
	c.mu.Unlock()
	a, err := c.p.Do("POST", "/v1/messages", harness.LiveKey, map[string]any{
		"from": "sender@" + domain, "recipient": fmt.Sprintf("user%d@site.test", n), "subject": "Order", "text": "Thank you.",
	})
	var body struct {
		ID string `json:"message_id"`
	}
	if err == nil && a.Status == http.StatusAccepted {
		err = json.Unmarshal(a.Body, &body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || a.Status != http.StatusAccepted {
		c.broken++
		return
	}
	id, _ := mail.ParseID(mail.PrefixMessage, body.ID)
	c.accepted[id.UUID()+"@"+domain] = true
}

// awaitAll waits until the sink has all that was accepted, as long as more arrives.
func awaitAll(t *testing.T, site *sink.Sink, accepted map[string]bool) {
	t.Helper()
	last, since := -1, time.Now()
	for {
		counts, missing := site.Counts(), 0
		for id := range accepted {
			if counts[id] == 0 {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if missing != last {
			last, since = missing, time.Now()
		}
		if time.Since(since) > harness.Patience {
			t.Errorf("%d messages are still missing", missing)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitDrained waits until no message waits or is on its way any more: uncertain ones
// are tried again after they arrived.
func awaitDrained(t *testing.T, p *harness.Postroad) {
	t.Helper()
	for end := time.Now().Add(harness.Patience); ; time.Sleep(100 * time.Millisecond) {
		var list struct {
			Data []struct {
				ID     string `json:"message_id"`
				Status string `json:"status"`
			} `json:"data"`
		}
		a := p.Must(t, 200, "GET", "/v1/messages?status=scheduled,queued,accepted,deferred,held,bounced,failed,expired&limit=5", harness.LiveKey, nil)
		if err := json.Unmarshal(a.Body, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Data) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("not delivered in the end: %+v", list.Data)
			return
		}
	}
}

// public gives the API's name of the message with this Message-ID.
func public(t *testing.T, rfcID string) string {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSuffix(rfcID, "@"+domain), "-", ""))
	if err != nil || len(raw) != len(mail.ID{}) {
		t.Fatalf("not one of our Message-IDs: %s", rfcID)
	}
	return mail.ID(raw).Text(mail.PrefixMessage)
}

func uncertainAttempts(t *testing.T, p *harness.Postroad, rfcID string) (n int) {
	t.Helper()
	for _, a := range p.Attempts(t, harness.LiveKey, public(t, rfcID)) {
		if a.Outcome == "uncertain" {
			n++
		}
	}
	return n
}

// story is a message's timeline, for failures.
func story(t *testing.T, p *harness.Postroad, rfcID string) string {
	t.Helper()
	var all strings.Builder
	for _, e := range p.Events(t, harness.LiveKey, public(t, rfcID)) {
		fmt.Fprintf(&all, "  %s %s\n", e.Type, e.Summary)
	}
	return all.String()
}

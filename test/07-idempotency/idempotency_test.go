package idempotency

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// stage is a Postroad with a sending domain and a site that counts.
func stage(t *testing.T) (*harness.Postroad, *sink.Sink) {
	t.Helper()
	world := harness.OpenWorld(t)
	site, err := sink.Listen(world.At("127.0.0.1"), sink.Behaviour{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_LOG_LEVEL", "warn", "POSTROAD_RETRY_SCHEDULE", "1s,1s,1s,1s,1s")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	return p, site
}

func order(n int) map[string]any {
	return map[string]any{"from": "sender@acme.test", "recipient": fmt.Sprintf("user%d@site.test", n), "subject": "Order", "text": "Thank you."}
}

// messagesOf lists the messages that were made under an idempotency key.
func messagesOf(t *testing.T, p *harness.Postroad, key string) []string {
	t.Helper()
	var list struct {
		Data []struct {
			ID string `json:"message_id"`
		} `json:"data"`
	}
	a := p.Must(t, 200, "GET", "/v1/messages?idempotency_key="+url.QueryEscape(key), harness.LiveKey, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestAHundredParallelTwinsAreOneMessage(t *testing.T) {
	t.Parallel()
	p, site := stage(t)
	answers := make([]harness.Answer, 100)
	errs := make([]error, len(answers))
	var twins sync.WaitGroup
	begin := make(chan struct{})
	for i := range answers {
		twins.Add(1)
		go func() {
			defer twins.Done()
			<-begin
			ask := func() {
				answers[i], errs[i] = p.Do("POST", "/v1/messages", harness.LiveKey, order(1), "Idempotency-Key", "order/1")
			}
			// On a machine that stalls the first may take longer than a twin is let wait.
			ask()
			for end := time.Now().Add(harness.Patience); answers[i].Status == http.StatusConflict && time.Now().Before(end); ask() {
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	close(begin)
	twins.Wait()
	first := 0
	for i, a := range answers {
		if errs[i] != nil || a.Status != http.StatusAccepted {
			t.Fatalf("twin %d: %v, status %d: %s", i, errs[i], a.Status, a.Body)
		}
		if !bytes.Equal(a.Body, answers[0].Body) || a.Header.Get("Location") != answers[0].Header.Get("Location") {
			t.Errorf("twin %d was told something else:\n%s\n%s", i, a.Body, answers[0].Body)
		}
		if a.Header.Get("Idempotency-Replayed") == "false" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d answers say that they are the first", first)
	}
	if ids := messagesOf(t, p, "order/1"); len(ids) != 1 {
		t.Errorf("messages of the key: %v", ids)
	}
	if err := site.Wait(1, harness.Patience); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if site.Received() != 1 {
		t.Errorf("%d messages arrived", site.Received())
	}
}

// TestAKillAroundTheCommitLeavesOneMessage kills at moments that close in on the commit:
// after a kill that came too late the next comes sooner, and the other way round. So both
// kinds are met: killed before the commit, and between commit and answer.
func TestAKillAroundTheCommitLeavesOneMessage(t *testing.T) {
	t.Parallel()
	p, site := stage(t)
	delay := 2 * time.Millisecond
	var before, between, after int
	for round := range 20 {
		key := fmt.Sprintf("order/%d", round)
		answered := make(chan bool, 1)
		go func() {
			a, err := p.Do("POST", "/v1/messages", harness.LiveKey, order(round), "Idempotency-Key", key)
			answered <- err == nil && a.Status == http.StatusAccepted
		}()
		time.Sleep(delay)
		p.Kill()
		told := <-answered
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		again := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", harness.LiveKey, order(round), "Idempotency-Key", key)
		replayed := again.Header.Get("Idempotency-Replayed") == "true"
		switch {
		case told && !replayed:
			t.Errorf("%s: its 202 was read, and it was done again", key)
		case told:
			after++
			delay = delay * 3 / 4
		case replayed:
			between++
			delay = delay * 9 / 10
		case between+after == 0: // how slow this machine is is not known yet
			before++
			delay *= 2
		default:
			before++
			delay = delay*5/4 + 50*time.Microsecond
		}
		if ids := messagesOf(t, p, key); len(ids) != 1 || ids[0] != again.Text(t, "message_id") {
			t.Errorf("%s: messages %v, the answer said %s", key, ids, again.Text(t, "message_id"))
		}
	}
	t.Logf("killed before the commit: %d, between commit and answer: %d, after the answer was read: %d", before, between, after)
	if before == 0 || between+after == 0 {
		t.Errorf("the kills did not fall on both sides of the commit")
	}
	if err := site.Wait(20, harness.Patience); err != nil {
		t.Errorf("not every message arrived: %v", err)
	}
	if n := len(site.Counts()); n != 20 {
		t.Errorf("%d different messages arrived, want 20", n)
	}
}

func TestAReplayAfterARestartIsTheSameToTheByte(t *testing.T) {
	t.Parallel()
	p, _ := stage(t)
	first := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", harness.LiveKey, order(1), "Idempotency-Key", `"welcome/1"`)
	if first.Header.Get("Idempotency-Key") == "" || first.Header.Get("Idempotency-Replayed") != "false" {
		t.Errorf("headers of the first: %v", first.Header)
	}
	p.ExpectEvents(t, harness.LiveKey, first.Text(t, "message_id"), "", "queued accepted delivered", 10*time.Second)
	p.Kill()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	second := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", harness.LiveKey, order(1), "X-Idempotency-Key", "welcome/1")
	if !bytes.Equal(first.Body, second.Body) || first.Header.Get("Location") != second.Header.Get("Location") {
		t.Errorf("first\n%s\nreplay\n%s", first.Body, second.Body)
	}
	for name, want := range map[string]string{
		"Idempotency-Replayed":         "true",
		"X-Idempotency-Short-Circuit":  "true",
		"Idempotency-Original-Request": first.Header.Get("X-Request-Id"),
	} {
		if got := second.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a := p.Must(t, 422, "POST", "/v1/messages", harness.LiveKey, order(2), "Idempotency-Key", "welcome/1"); a.Text(t, "code") != "idempotency_key_reused" {
		t.Errorf("another body under the key: %s", a.Body)
	}
	t.Run("the test environment has keys of its own", func(t *testing.T) {
		a := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", harness.TestKey, order(1), "Idempotency-Key", "welcome/1")
		if a.Header.Get("Idempotency-Replayed") != "false" || a.Text(t, "message_id") == first.Text(t, "message_id") {
			t.Errorf("%v %s", a.Header, a.Body)
		}
	})
}

package submission

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// A kill -9 at any moment: what was answered 250 is there afterwards, once.
func TestNothingThatWasAnswered250IsLostByAKill(t *testing.T) {
	t.Parallel()
	const rounds, connections = 6, 8
	h := open(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	type answered struct{ key, id string }
	var mu sync.Mutex
	var all []answered
	for round := range rounds {
		var senders sync.WaitGroup
		for n := range connections {
			c := known(t, h.SMTP, harness.TestKey)
			senders.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("kill/%d/%d/%d", round, n, i)
					text := "MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\nDATA\r\n"
					if _, err := c.conn.Write([]byte(text)); err != nil {
						return
					}
					for range 3 {
						if _, err := c.reply(); err != nil {
							return
						}
					}
					if _, err := fmt.Fprintf(c.conn, "From: hello@acme.test\r\nIdempotency-Key: %s\r\n\r\nx\r\n.\r\n", key); err != nil {
						return
					}
					reply, err := c.reply()
					if err != nil || !strings.HasPrefix(reply, "250 2.0.0 msg_") {
						return
					}
					mu.Lock()
					all = append(all, answered{key, strings.Fields(reply)[2]})
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(60+moments.IntN(200)) * time.Millisecond)
		enough := func() bool { mu.Lock(); defer mu.Unlock(); return len(all) >= 10*(round+1) }
		for end := time.Now().Add(harness.Patience); !enough() && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // a slow machine takes longer than a moment
		}
		h.Kill()
		senders.Wait()
		if err := h.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d messages were accepted: this proves nothing", len(all))
	}
	lost := 0
	for _, m := range all {
		if a := h.Call(t, "GET", "/v1/messages/"+m.id, harness.TestKey, nil); a.Status != http.StatusOK {
			lost++
			t.Errorf("%s (%s): status %d", m.id, m.key, a.Status)
		}
	}
	last := all[len(all)-1]
	c := known(t, h.SMTP, harness.TestKey)
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	c.say("DATA", "354")
	c.write(fmt.Appendf(nil, "From: hello@acme.test\r\nIdempotency-Key: %s\r\n\r\nx\r\n.\r\n", last.key))
	c.expect("250 2.0.0 " + last.id + " already accepted")
	t.Logf("%d kills: %d answers 250 were read, %d of them lost", rounds, len(all), lost)
}

func TestAStopOfTheProcessFinishesWhatIsInDATA(t *testing.T) {
	t.Parallel()
	h := open(t)
	sending, waiting := known(t, h.SMTP, harness.TestKey), known(t, h.SMTP, harness.TestKey)
	sending.say("MAIL FROM:<>", "250")
	sending.say("RCPT TO:<ada@customer.io>", "250")
	sending.say("DATA", "354")
	sending.write([]byte("From: hello@acme.test\r\n\r\n"))
	code := make(chan int, 1)
	go func() { n, _ := h.Stop(20 * time.Second); code <- n }()
	waiting.expect("421 4.3.2")
	sending.write([]byte("the rest\r\n.\r\n"))
	id := strings.Fields(sending.expect("250 2.0.0 msg_"))[2]
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	if err := h.Restart(); err != nil {
		t.Fatal(err)
	}
	h.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", 10*time.Second)
}

func TestATemplateIsNamedByHeader(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.Must(t, http.StatusCreated, "POST", "/v1/templates", harness.TestKey, map[string]any{
		"alias": "receipt", "name": "Receipt", "subject": "Receipt {{number}}", "text": "Dear {{name}}, that was {{number}}.",
	})
	h.Must(t, http.StatusOK, "POST", "/v1/templates/receipt/versions/1/publish", harness.TestKey, map[string]any{})
	c := known(t, h.SMTP, harness.TestKey)
	for content, want := range map[string]string{
		"X-Postroad-Metadata: number=42\r\nX-Postroad-Metadata: name=Ada\r\n\r\nignored\r\n": "Dear Ada, that was 42.",
		"Content-Type: application/json\r\n\r\n{\"number\":7,\r\n\"name\":\"Bob\"}\r\n":      "Dear Bob, that was 7.",
	} {
		c.say("MAIL FROM:<>", "250")
		c.say("RCPT TO:<ada@customer.io>", "250")
		c.say("DATA", "354")
		c.write([]byte("From: hello@acme.test\r\nTo: ada@customer.io\r\nX-Postroad-Template: receipt\r\n" + content + ".\r\n"))
		id := strings.Fields(c.expect("250 2.0.0 msg_"))[2]
		if raw := string(h.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/raw", harness.TestKey, nil).Body); !strings.Contains(raw, want) {
			t.Errorf("%q: %s", content, raw)
		}
	}
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	c.say("DATA", "354")
	c.write([]byte("From: hello@acme.test\r\nTo: ada@customer.io\r\nX-Postroad-Template: receipt\r\nX-Postroad-Metadata: name=Ada\r\n\r\n.\r\n"))
	c.expect("550 5.6.0")
}

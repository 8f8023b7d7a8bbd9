package stop

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/test/harness"
)

// patience is how long anything may take on a busy machine. What would hang for ever, or until
// a client's own time is over, takes longer.
const patience = 60 * time.Second

// receiver keeps the webhook-ids it was posted. While it hangs it answers nobody.
type receiver struct {
	URL string

	mu    sync.Mutex
	tries map[string][]string // X-Postroad-Attempt, by webhook-id
	hang  chan struct{}       // closed: it answers
}

// receive listens at a loopback address; hangs says that it does not answer for now.
func receive(t *testing.T, hangs bool) *receiver {
	t.Helper()
	r := &receiver{tries: map[string][]string{}, hang: make(chan struct{})}
	if !hangs {
		r.open()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.URL = "http://" + l.Addr().String() + "/hooks"
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		r.mu.Lock()
		id := req.Header.Get("webhook-id")
		r.tries[id] = append(r.tries[id], req.Header.Get("X-Postroad-Attempt"))
		hang := r.hang
		r.mu.Unlock()
		select {
		case <-hang:
			w.WriteHeader(http.StatusNoContent)
		case <-req.Context().Done():
		}
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

func (r *receiver) open() { close(r.hang) }

// seen is a copy of what came so far.
func (r *receiver) seen() map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]string{}
	for id, tries := range r.tries {
		all[id] = append([]string{}, tries...)
	}
	return all
}

// crowdedStage is a Postroad with one good site and one that accepts the connection and then
// says nothing, once.
type crowdedStage struct {
	*harness.Postroad
	good, tarpit      *persona.Server
	quick, hanging    *receiver
	accepted          []string // messages that were answered 202 or 250
	streamed, waiting chan string
}

func openCrowded(t *testing.T) *crowdedStage {
	t.Helper()
	world := harness.OpenWorld(t)
	s := &crowdedStage{quick: receive(t, false), hanging: receive(t, true), streamed: make(chan string, 1), waiting: make(chan string, 2)}
	s.good = world.Exchanger(t, "127.0.0.1", "about takes all\n")
	s.tarpit = world.Exchanger(t, "127.0.0.2", "about does not greet the first\non connect once: sleep 10m")
	for domain, ip := range map[string]string{"site.test": "127.0.0.1", "tar.test": "127.0.0.2"} {
		if err := world.Route(domain, ip); err != nil {
			t.Fatal(err)
		}
	}
	s.Postroad = harness.Start(t, harness.Options{Env: world.Env("POSTROAD_SOFT_STOP", "5s", "POSTROAD_SITE_CONNECTIONS", "1", "POSTROAD_RETRY_SCHEDULE", "1h",
		"POSTROAD_WEBHOOK_SCHEDULE", "1s,1s,1s,1s,1s")})
	if err := world.Verify(s.Postroad, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*receiver{s.quick, s.hanging} {
		s.Must(t, http.StatusCreated, "POST", "/v1/webhooks", harness.LiveKey, map[string]any{"url": r.URL, "events": []string{"message.*"}})
	}
	return s
}

func (s *crowdedStage) send(t *testing.T, recipient string) {
	t.Helper()
	s.accepted = append(s.accepted, s.Send(t, harness.LiveKey, map[string]any{"from": "hello@acme.test", "recipient": recipient, "subject": "Stop", "text": "Hello"}))
}

// wait has clients wait for what is to come: a stream, a long poll, a look into the sandbox. What
// each was told at its end comes out of the stage's channels.
func (s *crowdedStage) wait(t *testing.T) {
	t.Helper()
	stream := s.ask(t, "/v1/events/stream?after=now")
	if line, err := stream.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("the stream: %q, %v", line, err)
	}
	go func() { all, _ := io.ReadAll(stream.r); s.streamed <- string(all) }()
	for _, path := range []string{"/v1/events?types=domain.deleted&after=now&wait=25", "/v1/sandbox/messages/wait?recipient=nobody@sandbox.test&timeout=60"} {
		c := s.ask(t, path)
		go func() {
			text := "no answer to " + path
			if a, err := c.answer(); err == nil {
				all, _ := io.ReadAll(a.Body)
				text = a.Status + " " + string(all)
			}
			s.waiting <- text
		}()
	}
}

func (s *crowdedStage) ask(t *testing.T, path string) *talk {
	t.Helper()
	c := dial(t, s.Addr)
	c.write("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + harness.LiveKey + "\r\n\r\n")
	return c
}

// events are the ids of all events of the accepted messages, each of which must have been
// delivered in one go.
func (s *crowdedStage) events(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, id := range s.accepted {
		s.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted delivered", patience)
		if n := len(s.Attempts(t, harness.LiveKey, id)); n != 1 {
			t.Errorf("%s: %d attempts; what our stop cut short counts as none", id, n)
		}
		var list struct {
			Data []struct {
				ID string `json:"event_id"`
			} `json:"data"`
		}
		if err := json.Unmarshal(s.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/events", harness.LiveKey, nil).Body, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Data {
			all[e.ID] = true
		}
	}
	return all
}

// TestAStopWithEverythingOpenEndsInTimeAndLosesNothing: readers that wait, uploads half done, SMTP
// clients in the middle of a message, a webhook that hangs, a site that does not greet.
func TestAStopWithEverythingOpenEndsInTimeAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := openCrowded(t)
	s.wait(t)
	idle, smtpEnds, smtpHangs := known(t, s.Postroad), inContent(t, s.Postroad, "smtp@site.test"), inContent(t, s.Postroad, "never@site.test")
	uploads, rest := upload(t, s.Postroad, "upload@site.test")
	_, _ = upload(t, s.Postroad, "never@site.test")
	for _, to := range []string{"a@site.test", "b@site.test", "c@tar.test", "d@tar.test"} {
		s.send(t, to)
	}
	until(t, "the tarpit is connected to, the good site has both, the hanging receiver is asked", func() bool {
		return s.tarpit.Sessions() > 0 && s.good.Total() == 2 && len(s.hanging.seen()) > 0 && len(s.quick.seen()) >= 2
	})

	ended := make(chan error, 1)
	took := time.Duration(0)
	go func() {
		began := time.Now()
		code, err := s.Stop(patience)
		if took = time.Since(began); err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		ended <- err
	}()
	idle.expect("421 4.3.2") // the doors are closing: what is under way may end
	smtpEnds.write("the other half\r\n.\r\n")
	s.accepted = append(s.accepted, strings.Fields(smtpEnds.expect("250 2.0.0 msg_"))[2])
	uploads.write(rest)
	s.accepted = append(s.accepted, acceptedBy(t, uploads))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Logf("with a soft_stop of 5s the end took %v", took.Round(time.Millisecond))
	s.tellsOfTheEnd(t)
	if line, err := smtpHangs.r.ReadString('\n'); strings.HasPrefix(line, "250") || err == nil && !strings.HasPrefix(line, "421") {
		t.Errorf("half a message was answered %q", line)
	}

	before := s.hanging.seen()
	s.hanging.open()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	s.arrived(t, s.events(t), before)
}

// acceptedBy reads the 202 of an upload.
func acceptedBy(t *testing.T, c *talk) (id string) {
	t.Helper()
	a, err := c.answer()
	if err != nil {
		t.Fatalf("an upload that went on got no answer: %v", err)
	}
	var out struct {
		ID string `json:"message_id"`
	}
	if err := json.NewDecoder(a.Body).Decode(&out); err != nil || a.StatusCode != http.StatusAccepted {
		t.Fatalf("an upload that went on: status %d, %v", a.StatusCode, err)
	}
	return out.ID
}

// tellsOfTheEnd looks at the last words to those who waited.
func (s *crowdedStage) tellsOfTheEnd(t *testing.T) {
	t.Helper()
	if text := <-s.streamed; !strings.Contains(text, "event: bye") {
		t.Errorf("the stream ended with %.300q", text[max(0, len(text)-300):])
	}
	answers := <-s.waiting + "\n" + <-s.waiting
	if !strings.Contains(answers, `200 OK {"object":"list"`) || !strings.Contains(answers, "503 Service Unavailable") || !strings.Contains(answers, `"maintenance"`) {
		t.Errorf("those who waited got\n%s", answers)
	}
}

// arrived waits until every event came to both receivers, and every message to its site once.
func (s *crowdedStage) arrived(t *testing.T, events map[string]bool, before map[string][]string) {
	t.Helper()
	for name, r := range map[string]*receiver{"the quick receiver": s.quick, "the one that hung": s.hanging} {
		until(t, name+" has every event", func() bool {
			seen := r.seen()
			for id := range events {
				if len(seen[id]) == 0 {
					return false
				}
			}
			return true
		})
		for id := range r.seen() {
			if !events[id] {
				t.Errorf("%s was posted %s, which is no event of an accepted message", name, id)
			}
		}
	}
	after := s.hanging.seen()
	for id, tries := range before {
		if again := after[id]; len(again) < 2 || again[len(tries)] != tries[len(tries)-1] {
			t.Errorf("%s, cut by the stop: attempts %v; it is posted again and the cut one counts as none", id, again)
		}
	}
	for name, e := range map[string]*persona.Server{"site": s.good, "tar": s.tarpit} {
		if want := map[string]int{"site": 4, "tar": 2}[name]; e.Total() != want || e.Duplicates() != 0 {
			t.Errorf("%s.test got %d, want %d; %d of them twice", name, e.Total(), want, e.Duplicates())
		}
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is not so that %s", patience, what)
		}
	}
}

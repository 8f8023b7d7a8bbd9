package hyvor

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

const console = "/api/console"

// stage is a Postroad with a sending domain and a site, and limits as a client finds them.
func stage(t *testing.T, more ...string) (*harness.Postroad, *sink.Sink) {
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
	p := harness.Start(t, harness.Options{Env: world.Env(append(more, "POSTROAD_LOG_LEVEL", "warn", "POSTROAD_RETRY_SCHEDULE", "1s,1s")...)})
	if err := world.Verify(p, "acme.test", "rsa2048"); err != nil {
		t.Fatal(err)
	}
	return p, site
}

// order is what the older page shows.
func order(n int) map[string]any {
	return map[string]any{"from": map[string]any{"name": "ACME", "email": "sender@acme.test"}, "to": fmt.Sprintf("user%d@site.test", n), "subject": "Welcome",
		"body_html": "<h1>Welcome</h1>", "body_text": "Welcome", "headers": map[string]string{"X-Custom-Header": "Custom Value"},
		"attachments": []map[string]any{{"content": "SFlWT1IgUm9ja3Mh", "name": "hello.txt", "content_type": "text/plain"}}}
}

// key makes a key as an application has one.
func key(t *testing.T, p *harness.Postroad) string {
	t.Helper()
	secret := p.Must(t, 200, "POST", console+"/api-keys", harness.LiveKey,
		map[string]any{"name": "app", "scopes": []string{"sends.send", "sends.read", "webhooks.read", "webhooks.write", "domains.read"}}).Text(t, "key")
	if len(secret) != 32 {
		t.Fatalf("the key is %q", secret)
	}
	return secret
}

type send struct {
	ID         int64  `json:"id"`
	UUID       string `json:"uuid"`
	Status     string `json:"status"`
	MessageID  string `json:"message_id"`
	Recipients []struct {
		Status string `json:"status"`
	} `json:"recipients"`
	Attempts []struct {
		Status        string `json:"status"`
		Conversations map[string]struct {
			Steps []struct {
				Name string `json:"name"`
				Code int    `json:"reply_code"`
			} `json:"steps"`
		} `json:"smtp_conversations"`
	} `json:"attempts"`
}

func read[T any](t *testing.T, a harness.Answer) (out T) {
	t.Helper()
	if err := json.Unmarshal(a.Body, &out); err != nil {
		t.Fatalf("%v in %.500s", err, a.Body)
	}
	return out
}

// until asks for a send until it has a status.
func until(t *testing.T, p *harness.Postroad, key string, id int64, status string) send {
	t.Helper()
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(50 * time.Millisecond) {
		s := read[send](t, p.Must(t, 200, "GET", console+"/sends/"+strconv.FormatInt(id, 10), key, nil))
		if s.Status == status {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the send is %s, want %s", s.Status, status)
		}
	}
}

func TestAnApplicationWrittenForHyvorSendsAndIsTold(t *testing.T) {
	t.Parallel()
	p, site := stage(t, "POSTROAD_HYVOR_KEY_LIMIT", "0")
	app := key(t, p)
	type hook struct {
		body      []byte
		signature string
		id        string
	}
	hooks := make(chan hook, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hooks <- hook{body, r.Header.Get("X-Signature"), r.Header.Get("webhook-id")}
	}))
	t.Cleanup(receiver.Close)
	secret := p.Must(t, 200, "POST", console+"/webhooks", app, map[string]any{"url": receiver.URL, "events": []string{"send.recipient.accepted"}}).Text(t, "secret")

	first := read[send](t, p.Must(t, 200, "POST", console+"/sends", app, order(1)))
	s := until(t, p, app, first.ID, "accepted")
	if s.MessageID != first.MessageID || !strings.HasPrefix(s.MessageID, s.UUID+"@acme.test") || s.Recipients[0].Status != "accepted" {
		t.Errorf("%+v", s)
	}
	if len(s.Attempts) != 1 || s.Attempts[0].Status != "accepted" || len(s.Attempts[0].Conversations) != 1 {
		t.Fatalf("the attempts: %+v", s.Attempts)
	}
	for host, c := range s.Attempts[0].Conversations {
		var names []string
		for _, step := range c.Steps {
			names = append(names, step.Name)
			if step.Code == 0 {
				t.Errorf("%s: the step %s has no reply", host, step.Name)
			}
		}
		if got := strings.Join(names, " "); !strings.HasPrefix(got, "dial hello") || !strings.HasSuffix(got, "mail rcpt data data_close") {
			t.Errorf("%s: the steps are %s", host, got)
		}
	}
	if n := site.Received(); n != 1 {
		t.Errorf("the site has %d messages", n)
	}
	select {
	case h := <-hooks:
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(h.body)
		if h.signature != hex.EncodeToString(mac.Sum(nil)) || h.id == "" {
			t.Errorf("the signature %q does not fit", h.signature)
		}
		var told struct {
			Event   string `json:"event"`
			Payload struct {
				Send      send `json:"send"`
				Recipient struct {
					Status string `json:"status"`
				} `json:"recipient"`
			} `json:"payload"`
		}
		if err := json.Unmarshal(h.body, &told); err != nil || told.Event != "send.recipient.accepted" || told.Payload.Send.ID != first.ID || told.Payload.Recipient.Status != "accepted" {
			t.Errorf("%v: %s", err, h.body)
		}
	case <-time.After(harness.Patience):
		t.Error("no hook came")
	}
	raw := p.Must(t, 200, "GET", console+"/sends/uuid/"+s.UUID+"/content", app, nil).Text(t, "raw")
	if !strings.Contains(raw, "Message-ID: <"+s.MessageID+">") || !strings.Contains(raw, "X-Custom-Header: Custom Value") {
		t.Errorf("%s", raw)
	}
	for what, text := range map[string]string{"the key": app, "the secret": secret, "the recipient": "user1@site.test"} {
		if strings.Contains(p.Log(), text) {
			t.Errorf("%s is in the log", what)
		}
	}
	// The same key works on v1, where the id is the same UUID.
	if id := p.Must(t, 200, "GET", "/v1/messages/%3C"+s.MessageID+"%3E", app, nil).Text(t, "message_id"); !strings.HasPrefix(id, "msg_") {
		t.Errorf("v1 knows it as %q", id)
	}
}

func TestParallelTwinsAndARestartAreOneMessageEach(t *testing.T) {
	t.Parallel()
	p, site := stage(t, "POSTROAD_HYVOR_SENDS_LIMIT", "0")
	app := key(t, p)
	const twins, keys = 40, 3
	answers := make([][]harness.Answer, keys)
	var all sync.WaitGroup
	for k := range keys {
		answers[k] = make([]harness.Answer, twins)
		for i := range twins {
			all.Go(func() {
				ask := func() (a harness.Answer) {
					a, _ = p.Do("POST", console+"/sends", app, order(k), "X-Idempotency-Key", fmt.Sprintf("welcome-%d", k))
					return a
				}
				// On a machine that stalls the first may take longer than a twin is let wait.
				a := ask()
				for end := time.Now().Add(harness.Patience); a.Status == http.StatusConflict && time.Now().Before(end); a = ask() {
					time.Sleep(100 * time.Millisecond)
				}
				answers[k][i] = a
			})
		}
	}
	all.Wait()
	for k := range keys {
		for _, a := range answers[k] {
			if a.Status != 200 || !bytes.Equal(a.Body, answers[k][0].Body) {
				t.Errorf("key %d: %d %s, another was told %s", k, a.Status, a.Body, answers[k][0].Body)
			}
		}
	}
	until(t, p, app, read[send](t, answers[keys-1][0]).ID, "accepted")
	refusal := p.Must(t, 422, "POST", console+"/sends", app, map[string]any{"from": "sender@acme.test"}, "X-Idempotency-Key", "bad")
	p.Kill()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	again := p.Must(t, 200, "POST", console+"/sends", app, order(9), "X-Idempotency-Key", "welcome-0")
	if !bytes.Equal(again.Body, answers[0][0].Body) || again.Header.Get("X-Idempotency-Short-Circuit") != "true" || again.Header.Get("X-Idempotency-Payload-Mismatch") != "true" {
		t.Errorf("after a restart: %s %v", again.Body, again.Header)
	}
	refused := p.Must(t, 422, "POST", console+"/sends", app, order(9), "X-Idempotency-Key", "bad")
	if !bytes.Equal(refused.Body, refusal.Body) || refused.Header.Get("X-Idempotency-Short-Circuit") != "true" {
		t.Errorf("after a restart: %s", refused.Body)
	}
	list := read[[]send](t, p.Must(t, 200, "GET", console+"/sends", app, nil))
	if len(list) != keys {
		t.Errorf("there are %d sends", len(list))
	}
	for _, s := range list {
		until(t, p, app, s.ID, "accepted")
	}
	t.Logf("%d twins of each of %d keys; the site has %d messages", twins, keys, site.Received())
}

// The default: ten sends a second, then 429 with a Retry-After that holds.
func TestTheLimitSaysWhenToComeBackAndKeepsItsWord(t *testing.T) {
	t.Parallel()
	p, _ := stage(t)
	app := key(t, p)
	limited := harness.Answer{}
	for n := 0; n < 60 && limited.Status != 429; n++ {
		limited = p.Call(t, "POST", console+"/sends", app, order(n), "X-Idempotency-Key", fmt.Sprint("n", n))
	}
	if limited.Status == 200 {
		t.Skip("this machine does not reach ten sends a second")
	}
	wait, err := strconv.Atoi(limited.Header.Get("Retry-After"))
	if limited.Status != 429 || err != nil || wait < 1 || limited.Header.Get("X-RateLimit-Limit") != "10" || limited.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Fatalf("%d %v %s", limited.Status, limited.Header, limited.Body)
	}
	time.Sleep(time.Duration(wait) * time.Second)
	p.Must(t, 200, "POST", console+"/sends", app, order(99), "X-Idempotency-Key", "later")
}

// Whatever the process listens on is one of its doors, and the HTTP door asks for a key.
func TestNothingListensButTheDoors(t *testing.T) {
	t.Parallel()
	p, _ := stage(t)
	ports, err := listening(p.Pid())
	if err != nil {
		t.Skipf("what a process listens on is only known on Linux: %v", err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	if !slices.Contains(ports, port) {
		t.Fatalf("the HTTP port %s is not among %v: the test looks in the wrong place", port, ports)
	}
	for _, other := range ports {
		if other == port {
			continue
		}
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+other, harness.Patience)
		if err != nil {
			continue // it listens elsewhere
		}
		_ = conn.SetDeadline(time.Now().Add(harness.Patience))
		fmt.Fprint(conn, "EHLO client.test\r\nMAIL FROM:<a@acme.test>\r\nQUIT\r\n")
		said, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.Contains(string(said), "ESMTP") || !strings.Contains(string(said), "\r\n530 ") {
			t.Errorf("port %s is no door that asks for a key: %.300s", other, said)
		}
	}
	for _, path := range []string{"/api/console/sends", "/api/console/domains", "/api/console/api-keys", "/api/console/project", "/v1/messages", "/v1/api-keys", "/v1/health", "/v1/domains"} {
		if a := p.Call(t, "GET", path, "", nil); a.Status != 401 {
			t.Errorf("%s without a key: %d", path, a.Status)
		}
	}
	udp, err := sockets(p.Pid(), "07", "udp", "udp6")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(udp, "53") || slices.Contains(ports, "53") {
		t.Error("it answers the DNS")
	}
	for range 40 { // a question of our own to a name server has a socket while it is open
		if len(udp) == 0 {
			break
		}
		time.Sleep(250 * time.Millisecond)
		if udp, err = sockets(p.Pid(), "07", "udp", "udp6"); err != nil {
			t.Fatal(err)
		}
	}
	if len(udp) > 0 {
		t.Errorf("the process listens on the UDP ports %v", udp)
	}
	t.Logf("the process listens on %d ports", len(ports))
}

// listening gives the TCP ports a process listens on.
func listening(pid int) (ports []string, err error) { return sockets(pid, "0A", "tcp", "tcp6") }

// sockets gives the local ports of a process' sockets in a state ("0A" is LISTEN, "07" that of
// UDP ones that take from anybody), by these tables of /proc.
func sockets(pid int, state string, tables ...string) (ports []string, err error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, fd := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range tables {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != state || !own[f[9]] {
				continue
			}
			_, hexPort, _ := strings.Cut(f[1], ":")
			port, err := strconv.ParseUint(hexPort, 16, 16)
			if err != nil {
				return nil, err
			}
			ports = append(ports, strconv.FormatUint(port, 10))
		}
	}
	return ports, nil
}

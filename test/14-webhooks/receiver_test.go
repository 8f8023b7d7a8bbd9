package webhooks

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// network is where receivers listen; 127.0.0.1 is not in it.
const network = "127.1.0.0/16"

// listen opens a port at an address of the network, or skips where loopback is one address.
func listen(t testing.TB, ip string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Skipf("this host has no loopback network: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// envelope is what a test looks at in a hook.
type envelope struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Sequence  int       `json:"sequence"`
	Position  int64     `json:"position"`
	Data      struct {
		Message string `json:"message_id"`
	} `json:"data"`
}

// hook is one request a receiver got.
type hook struct {
	envelope
	header http.Header
	body   []byte
	at     time.Time // its first byte, nearly: the head was read
}

// receiver keeps the hooks it gets and answers 204, or what answer says.
type receiver struct {
	URL string

	mu    sync.Mutex
	hooks []hook
	count map[string]int // by webhook-id
	odd   []string       // what was wrong with requests
}

func receive(t testing.TB, ip string, answer http.HandlerFunc) *receiver {
	t.Helper()
	l := listen(t, ip)
	r := &receiver{URL: "http://" + l.Addr().String() + "/hooks", count: map[string]int{}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.take(req)
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, req)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

func (r *receiver) take(req *http.Request) {
	h := hook{at: time.Now(), header: req.Header.Clone()}
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return // killed while it sent
	}
	if h.body = body; json.Unmarshal(body, &h.envelope) != nil || h.ID != req.Header.Get("webhook-id") {
		r.odd = append(r.odd, req.Header.Get("webhook-id")+": "+string(body))
		return
	}
	r.hooks = append(r.hooks, h)
	r.count[h.ID]++
}

func (r *receiver) all() []hook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.hooks)
}

func (r *receiver) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.count)
}

// counts tells how often each event came.
func (r *receiver) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.count)
}

// await waits until so many different events are there.
func (r *receiver) await(t testing.TB, n int, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(max(within, harness.Patience)); r.distinct() < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d events arrived within %v, want %d", r.distinct(), within, n)
		}
	}
}

// endpoint creates a webhook of the test environment and gives its id and secret.
func endpoint(t testing.TB, p *harness.Postroad, fields map[string]any) (id, secret string) {
	t.Helper()
	a := p.Must(t, http.StatusCreated, "POST", "/v1/webhooks", harness.TestKey, fields)
	return a.Text(t, "webhook_id"), a.Text(t, "secret")
}

// delivery is one of the list.
type delivery struct {
	ID       string `json:"delivery_id"`
	Event    string `json:"event_id"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Attempts []struct {
		Request struct {
			Headers map[string]string `json:"headers"`
			Body    string            `json:"body"`
		} `json:"request"`
		Response *struct {
			Status int    `json:"status"`
			Body   string `json:"body"`
		} `json:"response"`
		Error string `json:"error"`
	} `json:"attempts"`
}

// deliveries are a page of an endpoint's.
func deliveries(t testing.TB, p *harness.Postroad, id, query string) []delivery {
	t.Helper()
	var list struct {
		Data []delivery `json:"data"`
	}
	a := p.Must(t, http.StatusOK, "GET", "/v1/webhooks/"+id+"/deliveries?limit=200"+query, harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Data
}

// whole is one delivery with its attempts.
func whole(t testing.TB, p *harness.Postroad, id string) (d delivery) {
	t.Helper()
	a := p.Must(t, http.StatusOK, "GET", "/v1/webhook-deliveries/"+id, harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// message is one that the sandbox delivers: three events.
func message() map[string]any {
	return map[string]any{"from": "hello@sandbox.test", "to": "delivered@sandbox.test", "subject": "Grüße, Ada", "text": "Hello"}
}

// receiveTLS is a receiver over https, and a file with the authority that signed it.
func receiveTLS(t *testing.T) (url, roots string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL + "/hooks", roots
}

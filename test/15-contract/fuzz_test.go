package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/contract"
	"github.com/postroad/postroad/test/harness"
)

// Bounds of a run. The connections are more than the machine has processors, so that
// requests meet one another.
const (
	requests    = 20_000
	limited     = 1_500
	connections = 8
	patience    = time.Minute // for one answer
)

// rare are operations that cost a hundred times what others do (keys of RSA, slow hashes), by
// how many of a hundred requests to them are made.
var rare = map[string]int{"createDomain": 25, "rotateDKIM": 25, "logIn": 10, "setUp": 10, "changePassword": 10, "importSuppressions": 30}

func setting(name string, other int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return other
}

func TestFuzzNoRequestGetsAnAnswerThatIsNotDocumented(t *testing.T) {
	t.Parallel()
	s := open(t)
	run(t, s, setting("POSTROAD_TEST_REQUESTS", requests))
}

func TestFuzzUnderLimitsEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	s := open(t, "POSTROAD_RATE_LIMIT", "600/1m")
	seen := run(t, s, limited)
	if seen[429] == 0 {
		t.Error("no request was refused by the limit: the run shows nothing")
	}
}

// run makes n requests over every operation and gives how many answers of each status came.
func run(t *testing.T, s *stage, n int) map[int]int {
	t.Helper()
	seed := uint64(setting("POSTROAD_TEST_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("POSTROAD_TEST_SEED=%d", seed)
	known, ops := s.known(), operations()
	f := &fuzzing{t: t, p: s.p, known: known, statuses: map[int]int{}, reached: map[string]int{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	began := time.Now()
	var all sync.WaitGroup
	for c := range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			g := &generator{r: rand.New(rand.NewPCG(seed, uint64(c))), known: known, words: words}
			for i := c; i < n && !f.over(); i += connections {
				op := ops[i/connections%len(ops)]
				if percent, is := rare[op.id]; is && !g.chance(percent) {
					op = pick(g, ops)
				}
				f.one(g.request(op))
			}
		}()
	}
	all.Wait()
	t.Logf("%d requests over %d operations in %v; answers by status: %v", f.made, len(ops), time.Since(began).Round(time.Millisecond), f.statuses)
	for _, op := range ops {
		if f.reached[op.id] == 0 && n >= requests && f.made >= n {
			t.Errorf("%s was never asked", op.id)
		}
	}
	return f.statuses
}

// words are texts of generated inputs.
var words = []string{"a", "Ada", "hello@acme.test", "ada@example.com", "receipt", "welcome", "2026-04-20T09:00:00Z", "10.0.0.0/8", "*@acme.test", "msg_01kpk2byj0emq8k9w39qsaekf4", "en", "text/plain", "x y", "ünïcode"}

// known is what is there when it begins.
func (s *stage) known() *known {
	return &known{all: map[string][]string{"messages": {s.delivered(), s.scheduled(), s.delivered(), s.scheduled()}, "templates": {"welcome", "otp-code", s.draft()},
		"domains": {"acme.test", s.domain(), s.signing()}, "suppressions": {s.suppressed("suppressions")}, "unsubscribes": {s.suppressed("unsubscribes")}, "erasures": {s.erasure()},
		"api-keys": {s.key(), s.key()}, "jobs": {s.job()}, "webhooks": {s.webhook(), s.webhook()}, "webhook-deliveries": {s.hook()}, "events": {s.event()}, "projects": {s.project(), s.suspended()},
		"n": {"0", "1"}, "version": {"1", "2", "draft", "published"}, "selector": {"s1", "s9"}, "token": {s.link()}}}
}

type fuzzing struct {
	t      *testing.T
	p      *harness.Postroad
	known  *known
	client *http.Client

	mu       sync.Mutex
	made     int
	faults   int
	statuses map[int]int
	reached  map[string]int
}

// over: enough is wrong to be looked at.
func (f *fuzzing) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults >= 15
}

func (f *fuzzing) fault(g *generated, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults++
	f.t.Errorf("%s %.300s %v\n%.500q\n%s", g.op.method, g.path, g.header, g.body, fmt.Sprintf(format, args...))
}

// one makes a request and judges the answer.
func (f *fuzzing) one(g generated) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var body io.Reader
	if g.body != nil {
		body = bytes.NewReader(g.body)
	}
	r, err := http.NewRequestWithContext(ctx, g.op.method, f.p.URL+g.path, body)
	if err != nil {
		f.fault(&g, "the generator made a request that cannot be: %v", err)
		return
	}
	for name, v := range g.header {
		r.Header.Set(name, v)
	}
	res, err := f.client.Do(r)
	if err != nil {
		f.fault(&g, "no answer: %v", err)
		return
	}
	defer res.Body.Close()
	text, err := read(res)
	if err != nil {
		f.fault(&g, "the answer broke off: %v", err)
		return
	}
	f.mu.Lock()
	f.made++
	f.statuses[res.StatusCode]++
	f.reached[g.op.id]++
	f.mu.Unlock()
	if res.StatusCode >= 500 {
		f.fault(&g, "%d %s", res.StatusCode, text)
	}
	if err := contract.Check(contract.Answer{Method: g.op.method, Path: g.path, Status: res.StatusCode, Header: res.Header, Body: text}); err != nil {
		f.fault(&g, "%v", err)
	}
	if parts := strings.Split(res.Header.Get("Location"), "/"); len(parts) == 4 && res.StatusCode < 300 {
		f.known.add(parts[2], parts[3])
	}
	f.restore(&g)
}

// read takes an answer whole; of a stream its beginning.
func read(res *http.Response) ([]byte, error) {
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return io.ReadAll(res.Body)
	}
	buf := make([]byte, 1<<10)
	n, err := res.Body.Read(buf)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

// restore puts back what a request may have changed for all that follow.
func (f *fuzzing) restore(g *generated) {
	if g.op.method == "PATCH" && strings.HasPrefix(g.op.path, "/v1/project") {
		_, _ = f.p.Do("PATCH", "/v1/project", harness.TestKey, []byte(`{"rate_limit":null,"strict_fields":false,"allowed_domains":null,"daily_messages":null}`))
	}
}

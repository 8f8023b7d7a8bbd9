package queue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/load"
	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// project makes another project that may send from a domain, and gives its key.
func (s *stage) project(t *testing.T, name, domain string) string {
	t.Helper()
	s.p.Must(t, 201, "POST", "/v1/projects", harness.LiveKey, map[string]any{"name": name})
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	create := exec.Command(binary, "key", "create", "--project", name, "--env", "live")
	create.Env = append(os.Environ(), "POSTROAD_DATA_DIR="+filepath.Join(s.p.Dir, "data"))
	out, err := create.Output()
	if err != nil {
		t.Fatalf("make a key of %s: %v", name, err)
	}
	key := strings.TrimSpace(string(out))
	if err := s.world.VerifyFor(s.p, key, domain, "ed25519"); err != nil {
		t.Fatal(err)
	}
	return key
}

// probe sends n messages of a project, one each so long, and gives how long each took to be
// accepted.
func (s *stage) probe(t *testing.T, key, from, to string, first, n int, every time.Duration, accepted func(int, time.Time)) []time.Duration {
	t.Helper()
	a, err := (&load.Load{
		Addr: s.p.Addr, Key: key, Connections: 2, Messages: n, First: first, Every: every, Answered: accepted,
		Prefix: fmt.Sprintf(`{"from":"hello@%s","subject":"Order","text":"Thank you.","recipient":"user`, from), Suffix: "@" + to + `"}`,
	}).Send(context.Background())
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a.Latencies
}

// One project has more waiting for a slow destination than a lane holds; another's mail to the
// same destination goes as if it were alone, and so does its mail elsewhere.
func TestOneProjectsBurstLeavesAnotherAlone(t *testing.T) {
	t.Parallel()
	const think, crowd, probes, every = 250 * time.Millisecond, 9_000, 30, 40 * time.Millisecond
	s := open(t)
	w := newWatch()
	slow := s.site(t, "slow.test", "127.0.0.7", sink.Behaviour{Think: think, OnMessage: w.arrive})
	s.site(t, "fast.test", "127.0.0.1", sink.Behaviour{OnMessage: w.arrive})
	other := s.project(t, "other", "other.test")

	alone := map[string][2]time.Duration{} // accept, accept to wire: p95
	next := firstProbe
	measure := func(to string) [2]time.Duration {
		accept := s.probe(t, other, "other.test", to, next, probes, every, w.accept)
		times := w.times(t, next, probes)
		next += 1000
		return [2]time.Duration{load.Quantile(accept, 0.95), load.Quantile(times, 0.95)}
	}
	for _, to := range []string{"slow.test", "fast.test"} {
		measure(to) // routes, keys, a session
		alone[to] = measure(to)
	}

	begun := time.Now()
	burst := make(chan error, 1)
	go func() {
		a, err := (&load.Load{Addr: s.p.Addr, Key: harness.LiveKey, Connections: 32, Messages: crowd,
			Prefix: `{"from":"hello@acme.test","subject":"News","text":"Read this.","recipient":"user`, Suffix: `@slow.test"}`}).Send(context.Background())
		if err == nil {
			err = a.Err()
		}
		burst <- err
	}()
	during := measure("fast.test") // what is accepted while the burst comes in
	if err := <-burst; err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	waiting := crowd + 2*probes - slow.Received()
	if waiting < crowd/4 {
		t.Fatalf("only %d of %d still wait: this proves nothing", waiting, crowd)
	}
	beside := map[string][2]time.Duration{"slow.test": measure("slow.test"), "fast.test": measure("fast.test")}
	left := crowd + 3*probes - slow.Received()
	t.Logf("p95 of accept and of accept to wire: alone %v; while %d of another project came in within %v, to fast.test %v; while %d of these waited %v; %d still wait",
		alone, crowd, took, during, waiting, beside, left)
	if left < waiting/3 {
		t.Errorf("only %d of the burst were left when the other project's mail had arrived", left)
	}
	// What a burst of this size costs whoever stands behind it is its time at the site.
	behind := time.Duration(waiting) * think / 20
	for to, got := range beside {
		if before := alone[to]; got[1] > 4*before[1]+behind/4 {
			t.Errorf("to %s the p95 from accept to wire rose from %v to %v; standing behind the burst is %v", to, before[1], got[1], behind)
		}
	}
	// It shares machine and disk with 32 connections that do nothing but send.
	if before := alone["fast.test"]; during[0] > 32*before[0]+took/4 {
		t.Errorf("the p95 of accept rose from %v to %v", before[0], during[0])
	}
}

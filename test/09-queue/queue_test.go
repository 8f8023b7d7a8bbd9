package queue

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/load"
	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

var full = os.Getenv("POSTROAD_TEST_FULL") == "1"

// watch notes when probes, recipients numbered from firstProbe on, are accepted and when
// they are whole at their site.
type watch struct {
	mu       sync.Mutex
	accepted map[int]time.Time
	arrived  map[int]time.Time
}

const firstProbe = 500_000_000

func newWatch() *watch {
	return &watch{accepted: map[int]time.Time{}, arrived: map[int]time.Time{}}
}

func (w *watch) accept(n int, at time.Time) {
	w.mu.Lock()
	w.accepted[n] = at
	w.mu.Unlock()
}

// arrive is a sink's OnMessage.
func (w *watch) arrive(recipient, _ []byte) {
	at := time.Now()
	if n, err := strconv.Atoi(string(recipient[4 : 4+load.Digits])); err == nil && n >= firstProbe {
		w.mu.Lock()
		w.arrived[n] = at
		w.mu.Unlock()
	}
}

// times are those from accept to wire of n probes, sorted, once all have arrived.
func (w *watch) times(t *testing.T, from, n int) []time.Duration {
	t.Helper()
	for end := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) {
		var all []time.Duration
		w.mu.Lock()
		for i := from; i < from+n; i++ {
			if at, ok := w.arrived[i]; ok {
				all = append(all, max(at.Sub(w.accepted[i]), 0))
			}
		}
		w.mu.Unlock()
		if len(all) == n {
			slices.Sort(all)
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages arrived", len(all), n)
		}
	}
}

type stage struct {
	world *harness.World
	p     *harness.Postroad
}

func open(t *testing.T) *stage {
	t.Helper()
	world := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_LOG_LEVEL", "warn")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	return &stage{world, p}
}

func (s *stage) site(t *testing.T, domain, ip string, b sink.Behaviour) *sink.Sink {
	t.Helper()
	site, err := sink.Listen(s.world.At(ip), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	if err := s.world.Route(domain, ip); err != nil {
		t.Fatal(err)
	}
	return site
}

// send sends n messages of a priority; every is the pause between them, 0 for none.
func (s *stage) send(t *testing.T, domain, priority string, first, n int, every time.Duration, accepted func(int, time.Time)) {
	t.Helper()
	connections := 32
	if every > 0 {
		connections = 2
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*harness.Patience)
	defer cancel()
	a, err := (&load.Load{
		Addr: s.p.Addr, Key: harness.LiveKey, Connections: connections, Messages: n, First: first, Every: every, Answered: accepted, Patient: true,
		Prefix: fmt.Sprintf(`{"from":"hello@acme.test","subject":"Order","text":"Thank you.","priority":%q,"recipient":"user`, priority),
		Suffix: "@" + domain + `"}`,
	}).Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStuckDestinationDelaysNobodyElse(t *testing.T) {
	crowd, factor, slack := 10_000, 3.0, 250*time.Millisecond
	if full {
		crowd, factor, slack = 200_000, 1.5, 0
	}
	s := open(t)
	w := newWatch()
	s.site(t, "fast.test", "127.0.0.1", sink.Behaviour{OnMessage: w.arrive})
	stuck := s.site(t, "stuck.test", "127.0.0.9", sink.Behaviour{Silent: true})

	const probes = 400
	s.send(t, "fast.test", "normal", firstProbe, 20, 5*time.Millisecond, w.accept) // routes, keys, a session
	w.times(t, firstProbe, 20)
	s.send(t, "fast.test", "normal", firstProbe+1000, probes, 5*time.Millisecond, w.accept)
	empty := w.times(t, firstProbe+1000, probes)
	s.send(t, "stuck.test", "normal", 0, crowd, 0, nil)
	if stuck.Connections() == 0 {
		t.Fatal("the stuck destination was never connected to: this proves nothing")
	}
	before := load.Quantile(empty, 0.99)
	bound, best := time.Duration(factor*float64(before))+slack, time.Hour
	for round := 0; best > bound && round < 3; round++ { // the crowd still waits; a machine that stalls is measured again
		from := firstProbe + 2000 + 1000*round
		s.send(t, "fast.test", "normal", from, probes, 5*time.Millisecond, w.accept)
		beside := w.times(t, from, probes)
		best = min(best, load.Quantile(beside, 0.99))
		t.Logf("accept to wire: p50 %v p99 %v with an empty queue, p50 %v p99 %v with %d waiting for a stuck destination",
			load.Quantile(empty, 0.5), before, load.Quantile(beside, 0.5), load.Quantile(beside, 0.99), crowd)
	}
	if best > bound {
		t.Errorf("p99 rose from %v to %v", before, best)
	}
}

func TestUrgentMailOvertakesBulkOfItsLane(t *testing.T) {
	// A slower site keeps its crowd waiting on a slow machine, too, which is then measured again.
	s, fault := open(t), "not tried"
	for round, think := range []time.Duration{25 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond} {
		if fault = s.overtake(t, round, think); fault == "" {
			return
		}
		t.Log(fault)
	}
	t.Error(fault)
}

// overtake has urgent mail follow a crowd of bulk mail to a site that thinks about each, and tells what
// was wrong about it.
func (s *stage) overtake(t *testing.T, round int, think time.Duration) (fault string) {
	t.Helper()
	crowd, bound := 8_000, 2*time.Second // behind the crowd it would be many
	if full {
		crowd, bound = 100_000, 10*think
	}
	w, domain := newWatch(), fmt.Sprintf("slow%d.test", round)
	site := s.site(t, domain, fmt.Sprintf("127.0.0.%d", 20+round), sink.Behaviour{Think: think, OnMessage: w.arrive})
	s.send(t, domain, "bulk", 0, crowd, 0, nil)
	waiting := int64(crowd) - site.Received()
	if waiting < int64(crowd)/4 {
		return fmt.Sprintf("only %d of %d still wait: this proves nothing", waiting, crowd)
	}
	const probes = 40
	s.send(t, domain, "urgent", firstProbe, probes, 30*time.Millisecond, w.accept)
	times := w.times(t, firstProbe, probes)
	left := int64(crowd+probes) - site.Received()
	t.Logf("%d bulk messages waited, the site takes %v for each (%d connections were opened); urgent from accept to wire p50 %v p99 %v; %d bulk still wait",
		waiting, think, site.Connections(), load.Quantile(times, 0.5), load.Quantile(times, 0.99), left)
	if left < waiting/4 {
		return fmt.Sprintf("only %d bulk messages were left when the urgent ones had arrived: nothing was overtaken", left)
	}
	if worst := times[len(times)-1]; worst > bound {
		return fmt.Sprintf("an urgent message took %v", worst)
	}
	return ""
}

package stop

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/test/harness"
)

// stage is a Postroad that may send, and a site that plays a script. One connection at a
// time, and no second attempt while a test looks.
func stage(t *testing.T, script string, more ...string) (*harness.Postroad, *persona.Server) {
	t.Helper()
	world := harness.OpenWorld(t)
	exchanger := world.Exchanger(t, "127.0.0.1", script)
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env(append([]string{"POSTROAD_SITE_CONNECTIONS", "1", "POSTROAD_RETRY_SCHEDULE", "1h"}, more...)...)})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	return p, exchanger
}

func send(t *testing.T, p *harness.Postroad, n int) string {
	t.Helper()
	return p.Send(t, harness.LiveKey, map[string]any{"from": "hello@acme.test", "recipient": fmt.Sprintf("r%d@site.test", n), "subject": "Stop", "text": "Hello"})
}

// stopTimed sends SIGTERM and gives how long the end took.
func stopTimed(t *testing.T, p *harness.Postroad, patience time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	if code, err := p.Stop(patience); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v", code, err)
	}
	return time.Since(began)
}

func TestASoftStopFinishesWhatIsOnTheWireAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	// Whoever stalls for as long as the site thinks stops too late: then the site thinks longer.
	for _, think := range []string{"2s", "6s", "18s"} {
		if softStopped(t, think) {
			return
		}
	}
	t.Error("more messages arrived during the stop than the one that was on the wire")
}

// softStopped stops while the site thinks about the first of five messages; false: others came, too.
func softStopped(t *testing.T, think string) bool {
	t.Helper()
	p, exchanger := stage(t, "about thinks before it says yes\non dot times 1: sleep "+think)
	defer p.Kill()
	ids := []string{send(t, p, 0)}
	p.ExpectEvents(t, harness.LiveKey, ids[0], "", "queued accepted", 10*time.Second)
	for n := 1; n < 5; n++ { // these wait in the lane: its one connection is taken
		ids = append(ids, send(t, p, n))
	}
	stopTimed(t, p, 20*time.Second)
	switch n := exchanger.Total(); {
	case n == 0:
		t.Fatal("what was on the wire did not arrive")
	case n > 1:
		t.Logf("%d messages had arrived when all had stopped, while the site thought for %s", n, think)
		return false
	}
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		p.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted delivered", 15*time.Second)
		if n := len(p.Attempts(t, harness.LiveKey, id)); n != 1 {
			t.Errorf("%s: %d attempts; being given back counts as none", id, n)
		}
	}
	if exchanger.Total() != 5 || exchanger.Duplicates() != 0 {
		t.Errorf("%d arrived, %d of them twice", exchanger.Total(), exchanger.Duplicates())
	}
	return true
}

// behindTheDot brings a message to where the site has it and does not say so.
func behindTheDot(t *testing.T, more ...string) (*harness.Postroad, string) {
	t.Helper()
	p, exchanger := stage(t, "about takes it and falls silent\non dot: take; sleep 10m", more...)
	id := send(t, p, 0)
	if !exchanger.Wait(1, harness.Patience) {
		t.Fatal("nothing arrived")
	}
	return p, id
}

// expectUncertain is what must be told after the cut: the site may have it.
func expectUncertain(t *testing.T, p *harness.Postroad, id string) {
	t.Helper()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted deferred", 15*time.Second)
	attempts := p.Attempts(t, harness.LiveKey, id)
	if len(attempts) != 1 || attempts[0].Outcome != "uncertain" {
		t.Errorf("attempts: %+v", attempts)
	}
}

func TestASecondSignalCutsAndWhatWasBehindTheDotIsUncertain(t *testing.T) {
	t.Parallel()
	p, id := behindTheDot(t, "POSTROAD_SOFT_STOP", "3m")
	if err := syscall.Kill(p.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := syscall.Kill(p.Pid(), 0); err != nil {
		t.Fatalf("the first signal did not wait for the reply: %v", err)
	}
	if took := stopTimed(t, p, 2*time.Minute); took > time.Minute {
		t.Errorf("the second signal took %v", took)
	}
	expectUncertain(t, p, id)
}

func TestASoftStopEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	p, id := behindTheDot(t, "POSTROAD_SOFT_STOP", "1s")
	took := stopTimed(t, p, 2*time.Minute)
	if took < 900*time.Millisecond || took > time.Minute { // the site thinks for ten
		t.Errorf("took %v, the limit is 1s", took)
	}
	expectUncertain(t, p, id)
}

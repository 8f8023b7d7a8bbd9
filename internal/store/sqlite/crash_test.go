package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// crashDir makes a test process the one that is killed: see TestMain.
const crashDir = "POSTROAD_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := load(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// load accepts and begins until it is killed, and tells the identifier of each
// acceptance that was answered.
func load(dir string) error {
	ctx := context.Background()
	s, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	fail := make(chan error)
	for g := range 8 {
		go func() {
			for n := int64(g); ; n += 8 {
				a := newAcceptance(n, n%2 == 0)
				r, err := s.Accept(ctx, []*submit.Acceptance{a})
				if err == nil && n%2 == 0 {
					err = begin(ctx, s, a, r[0].Leases[0], r[0].Row)
				}
				if err != nil {
					fail <- err
					return
				}
				mu.Lock()
				fmt.Println(a.Message.ID.Text(mail.PrefixMessage)) // one write(2), so whole or not at all
				mu.Unlock()
			}
		}()
	}
	select {
	case err := <-fail:
		return err
	case <-time.After(30 * time.Second): // nobody killed it
		return nil
	}
}

func TestAKilledProcessLosesNothingAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	answered := map[mail.ID]bool{}
	for round := range 3 {
		for _, id := range killUnderLoad(t, dir, 40+round*40) {
			answered[id] = true
		}
		s := open(t, dir)
		checkAll(t, s, answered)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killUnderLoad kills the loading process as soon as it has told of so many messages,
// and gives all it told of.
func killUnderLoad(t *testing.T, dir string, after int) (ids []mail.ID) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, err := mail.ParseID(mail.PrefixMessage, lines.Text())
		if err != nil {
			continue
		}
		if ids = append(ids, id); len(ids) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(ids) < after {
		t.Fatalf("the process ended by itself after %d messages", len(ids))
	}
	return ids
}

func checkAll(t *testing.T, s *sqlite.Store, answered map[mail.ID]bool) {
	t.Helper()
	ctx, owner := context.Background(), mail.Owner{Project: 1}
	open := 0
	for id := range answered {
		r, err := s.Message(ctx, owner, id)
		if err != nil {
			t.Fatalf("a message that was answered is gone: %v", err)
		}
		events, err := s.Events(ctx, owner, r.Message.Row)
		if err != nil || len(events) == 0 || len(events) == 1 && r.Deliveries[0].Status == mail.Accepted {
			t.Fatalf("status %v with events %v, %v", r.Deliveries[0].Status, events, err)
		}
		if !r.Deliveries[0].Status.Final() {
			open++
		}
	}
	now := time.Now()
	begun, _, err := s.Rescue(ctx, queue.RescueParams{Node: "bench", Own: true, Now: now, Until: now.Add(time.Minute), Max: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	works := append(begun, claimAll(t, s, now)...)
	if len(works) < open {
		t.Fatalf("%d deliveries can be worked on, %d answered ones are open", len(works), open)
	}
	t.Logf("%d answered, %d begun at the crash, %d claimed", len(answered), len(begun), len(works)-len(begun))
	var results []queue.Result
	for _, w := range works {
		results = append(results, delivered(w.Lease))
	}
	if lost, err := s.Settle(ctx, now, results); err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
}

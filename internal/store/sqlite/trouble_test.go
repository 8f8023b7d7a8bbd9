package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

func TestAFullDiskIsAnErrorAndPasses(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), openStore(t)
	accept(t, s, newAcceptance(1, false))
	if err := s.LimitPages(1); err != nil { // no page more than there are now
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for n := range int64(20) {
		a := newAcceptance(n, true)
		r, err := s.Accept(ctx, []*submit.Acceptance{a})
		if err == nil {
			accepted++ // there was room in the pages that are there
			continue
		}
		refused++
		var later interface{ Unavailable() bool }
		if !errors.As(err, &later) || !later.Unavailable() {
			t.Errorf("nobody can tell that it passes: %v", err)
		}
		if r[0].Row != 0 {
			t.Errorf("a receipt came with the error: %+v", r[0])
		}
		if _, err := s.Message(ctx, mail.Owner{Project: 1}, a.Message.ID); err == nil {
			t.Error("what was refused can be read")
		}
	}
	if refused == 0 {
		t.Fatal("the disk was never full")
	}
	if err := s.LimitPages(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newAcceptance(2, false))
	depth, err := s.Depth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var counted int64
	for _, d := range depth {
		counted += d.Count
	}
	if want := int64(accepted + 2); counted != want {
		t.Errorf("%d deliveries counted in the queue, want %d", counted, want)
	}
	if works := claimAll(t, s, time.Now()); len(works) != 2 {
		t.Errorf("claimed %d, want the 2 that wait", len(works))
	}
}

func TestAWriteThatWasGivenUpDidNotHappen(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := openStore(t)
	a := newAcceptance(1, false)
	if _, err := s.Accept(ctx, []*submit.Acceptance{a}); err == nil {
		t.Fatal("accepted under a context that had ended")
	}
	if _, err := s.Message(context.Background(), mail.Owner{Project: 1}, a.Message.ID); err == nil {
		t.Fatal("it happened")
	}
}

func TestExpiredKeysAreSwept(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), openStore(t)
	now := time.Now()
	var batch []*submit.Acceptance
	for i := range 1200 {
		a := newAcceptance(int64(i), false)
		a.Once = &mail.Once{Owner: mail.Owner{Project: int64(i%3 + 1)}, Route: "POST /v1/messages", Key: fmt.Sprint(i), Created: now, Expires: now.Add(time.Hour)}
		if i%4 == 0 {
			a.Once.Expires = now.Add(3 * time.Hour)
		}
		batch = append(batch, a)
	}
	if _, err := s.Accept(ctx, batch); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Time
		left int64
	}{{now, 1200}, {now.Add(2 * time.Hour), 300}, {now.Add(4 * time.Hour), 0}} {
		if err := s.SweepKeys(ctx, c.at); err != nil {
			t.Fatal(err)
		}
		if n, err := s.CountKeys(); err != nil || n != c.left {
			t.Fatalf("%d keys left, want %d (%v)", n, c.left, err)
		}
	}
}

func TestALogThatGrowsIsFoldedIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sqlite.Open(sqlite.Options{Dir: dir, CheckpointPages: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	filled := 0
	for deadline := time.Now().Add(time.Minute); databaseSize(t, dir) < 256<<10; filled += 300 {
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint after %d messages", filled)
		}
		fill(t, s, 300, "one.test", mail.Normal)
		time.Sleep(50 * time.Millisecond)
	}
	if works := claimAll(t, s, time.Now()); len(works) != filled {
		t.Fatalf("claimed %d of %d", len(works), filled)
	}
}

package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

func open(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func accept(t testing.TB, s *sqlite.Store, a *submit.Acceptance) submit.Receipt {
	t.Helper()
	r, err := s.Accept(context.Background(), []*submit.Acceptance{a})
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

func claimAll(t testing.TB, s *sqlite.Store, now time.Time) []*mail.Work {
	t.Helper()
	works, err := s.Claim(context.Background(), queue.ClaimParams{Node: "bench", Now: now, Until: now.Add(time.Minute), Max: 1 << 20,
		Room: func(string, mail.Owner, mail.Tier) int { return 1 << 20 }})
	if err != nil {
		t.Fatal(err)
	}
	return works
}

func TestReopeningKeepsEverything(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	waits, late, held, onWire := newAcceptance(1, false), newAcceptance(2, false), newAcceptance(3, true), newAcceptance(4, true)
	late.Deliveries[0].Status, late.Deliveries[0].Wait = mail.Scheduled, mail.WaitScheduled
	late.Deliveries[0].Due = time.Now().Add(time.Hour)
	for _, a := range []*submit.Acceptance{waits, late} {
		accept(t, s, a)
	}
	heldReceipt, wireReceipt := accept(t, s, held), accept(t, s, onWire)
	if err := begin(ctx, s, onWire, wireReceipt.Leases[0], wireReceipt.Row); err != nil {
		t.Fatal(err)
	}
	suppressed := mail.Suppression{ID: mail.NewID(time.Now()), Owner: mail.Owner{Project: 1}, Address: "x@y.test", Kind: mail.KindManual, Reason: "manual", CreatedAt: time.Now()}
	if _, _, err := s.AddSuppression(ctx, suppressed, nil, nil); err != nil {
		t.Fatal(err)
	}
	before, _ := s.Depth(ctx)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(ctx, []*submit.Acceptance{newAcceptance(5, false)}); err == nil {
		t.Fatal("a closed store accepted")
	}

	s = open(t, dir)
	if after, _ := s.Depth(ctx); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("depth: got %v, want %v", after, before)
	}
	if due, ok, _ := s.NextDue(ctx, func(string, mail.Owner, mail.Tier) int { return 1 }); !ok || due.After(time.Now()) {
		t.Errorf("next due: got %v, %v", due, ok)
	}
	if got, _ := s.Suppressed(ctx, mail.Owner{Project: 1}, []string{"x@y.test"}, "", time.Now()); len(got) != 1 {
		t.Error("the suppression was forgotten")
	}
	begun, returned, err := s.Rescue(ctx, queue.RescueParams{Node: "bench", Own: true, Now: time.Now(), Until: time.Now().Add(time.Minute), Max: 100})
	if err != nil || returned != 1 || len(begun) != 1 || begun[0].Message.ID != onWire.Message.ID {
		t.Fatalf("rescue: got %v, %d, %v", begun, returned, err)
	}
	if again, n, _ := s.Rescue(ctx, queue.RescueParams{Node: "bench", Own: true, Now: time.Now(), Until: time.Now().Add(time.Minute), Max: 100}); len(again)+n != 0 {
		t.Fatal("a second rescue of one's own found something")
	}
	for _, l := range []mail.Lease{heldReceipt.Leases[0], wireReceipt.Leases[0]} {
		if lost, _ := s.Settle(ctx, time.Now(), []queue.Result{delivered(l)}); len(lost) != 1 {
			t.Fatal("a lease of the past life settled")
		}
	}
	if works := claimAll(t, s, time.Now()); len(works) != 2 {
		t.Fatalf("claimed %d, want what waited and what was rescued", len(works))
	}
	if lost, err := s.Settle(ctx, time.Now(), []queue.Result{delivered(begun[0].Lease)}); err != nil || len(lost) != 0 {
		t.Fatal(lost, err)
	}
	r := accept(t, s, newAcceptance(6, false))
	if r.Row <= wireReceipt.Row {
		t.Error("a row was used twice")
	}
}

func TestAnotherProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := sqlite.Open(sqlite.Options{Dir: dir}); !errors.Is(err, sqlite.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestOrphanedBodiesAreSweptAndOthersStay(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	large := bytes.Repeat([]byte("large "), 1<<20)
	write := func(w io.Writer) error { _, err := w.Write(large); return err }
	kept, err := s.Spool(ctx, write)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spool(ctx, write); err != nil { // orphan: the process dies before its acceptance
		t.Fatal(err)
	}
	a := newAcceptance(1, false)
	a.Content = kept
	r := accept(t, s, a)
	if n := len(bodies(t, dir)); n != 2 {
		t.Fatalf("%d bodies before, want 2", n)
	}
	half := filepath.Join(dir, "bodies", "ab")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "abcd.zst.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, dir)
	if got := bodies(t, dir); len(got) != 1 {
		t.Fatalf("bodies after: %v, want one", got)
	}
	c, err := s.Content(ctx, r.Row)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, large) {
		t.Fatal("the body came back changed", err)
	}
	if err := os.Remove(bodies(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Content(ctx, r.Row); !errors.Is(err, mail.ErrNoContent) {
		t.Fatalf("got %v, want ErrNoContent", err)
	}
}

func bodies(t testing.TB, dir string) (all []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "bodies", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, `INSERT INTO schema (version, name, sum, applied_at) VALUES (9999, 'future', '', 0)`)
	if s, err := sqlite.Open(sqlite.Options{Dir: dir}); err == nil {
		_ = s.Close()
		t.Fatal("a newer schema was opened")
	}
	tamper(t, dir, `DELETE FROM schema WHERE version = 9999`)
	tamper(t, dir, `UPDATE schema SET sum = 'other'`)
	s, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(context.Background()); err == nil {
		t.Fatal("a migration with another text was taken for this one")
	}
}

func TestAnEmptyDirectoryNeedsMigrating(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(sqlite.Options{Dir: filepath.Join(t.TempDir(), "new", "dir")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if have, want, err := s.Schema(context.Background()); err != nil || have != 0 || want == 0 {
		t.Fatalf("schema: %d of %d, %v", have, want, err)
	}
	if err := s.Ping(context.Background()); err == nil {
		t.Fatal("a store without schema can write")
	}
	if _, err := s.Projects(context.Background()); err == nil {
		t.Fatal("a store without schema can read")
	}
}

// The first versions wrote queues without a project.
func TestQueuesOfTheFirstVersionsAreClaimedAndBecomeOfTheirProject(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	for n := range 3 {
		accept(t, s, newAcceptance(int64(n), false))
	}
	fresh, err := s.Queues()
	if err == nil {
		err = s.OldQueues()
	}
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.Queues()
	if err != nil || len(old) == 0 || strings.Contains(strings.Join(old, ""), " ") {
		t.Fatalf("the queues are %q of %q, %v", old, fresh, err)
	}
	_ = s.Close()
	s = open(t, dir)
	works := claimAll(t, s, time.Now())
	if len(works) != 3 {
		t.Fatalf("%d claimed of 3", len(works))
	}
	var back []queue.Result
	for _, w := range works {
		back = append(back, queue.Result{Lease: w.Lease, Status: mail.Queued, Wait: mail.WaitLaneFull, Due: time.Now().Add(-time.Second)})
	}
	if lost, err := s.Settle(ctx, time.Now(), back); err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
	if again, err := s.Queues(); err != nil || !slices.Equal(again, fresh) {
		t.Errorf("what is given back waits in %q, want %q, %v", again, fresh, err)
	}
	if n := len(claimAll(t, s, time.Now())); n != 3 {
		t.Errorf("%d claimed again of 3", n)
	}
}

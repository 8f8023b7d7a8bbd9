package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// fill accepts n waiting messages for one destination and tier.
func fill(t testing.TB, s *sqlite.Store, n int, destination string, tier mail.Tier) {
	t.Helper()
	for done := 0; done < n; done += 500 {
		batch := make([]*submit.Acceptance, min(500, n-done))
		for i := range batch {
			a := newAcceptance(int64(done+i), false)
			a.Content = mail.Bytes("x")
			d := &a.Deliveries[0]
			d.Address, d.Destination, d.Tier = fmt.Sprintf("n%d@%s", done+i, destination), destination, tier
			batch[i] = a
		}
		if _, err := s.Accept(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// claimOne accepts one message for a destination that is not stuck, claims it and tells
// how long the claim took.
func claimOne(t testing.TB, s *sqlite.Store) time.Duration {
	t.Helper()
	ctx := context.Background()
	r := accept(t, s, newAcceptance(1, false))
	began := time.Now()
	works, err := s.Claim(ctx, queue.ClaimParams{Node: "bench", Now: time.Now(), Until: time.Now().Add(time.Minute), Max: 100, Room: notStuck})
	took := time.Since(began)
	if err != nil || len(works) != 1 || works[0].Message.Row != r.Row {
		t.Fatalf("claimed %v, %v", works, err)
	}
	if lost, err := s.Settle(ctx, time.Now(), []queue.Result{delivered(works[0].Lease)}); err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
	return took
}

func notStuck(destination string, _ mail.Owner, _ mail.Tier) int {
	if destination == "stuck.test" {
		return 0
	}
	return 10
}

// The fastest of many claims is compared, since that is what the machine's other work
// disturbs least.
func fastest(t testing.TB, s *sqlite.Store) time.Duration {
	var all []time.Duration
	for range 30 {
		all = append(all, claimOne(t, s))
	}
	return slices.Min(all)
}

func TestAStuckDestinationCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	empty, s := openStore(t), openStore(t)
	fill(t, s, 2_000, "stuck.test", mail.Urgent)
	// Measured in turns, and again while what else this machine does may be the cause.
	var alone, beside time.Duration
	for range 15 {
		if alone, beside = fastest(t, empty), fastest(t, s); beside <= 2*alone+time.Millisecond {
			break
		}
	}
	t.Logf("a claim took %v with an empty queue, %v beside 2,000 stuck", alone, beside)
	if beside > 2*alone+time.Millisecond {
		t.Errorf("a claim took %v with an empty queue, %v beside 2,000 stuck", alone, beside)
	}
	ctx := context.Background()
	if _, ok, err := s.NextDue(ctx, notStuck); ok || err != nil {
		t.Errorf("next due: %v, %v", ok, err)
	}
}

func TestUrgentMailIsClaimedBeforeThousandsOfBulk(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	fill(t, s, 2_000, "one.test", mail.Bulk)
	fill(t, s, 1, "one.test", mail.Urgent)
	works, err := s.Claim(context.Background(), queue.ClaimParams{Node: "bench", Now: time.Now(), Until: time.Now().Add(time.Minute), Max: 2,
		Room: func(string, mail.Owner, mail.Tier) int { return 2 }})
	if err != nil || len(works) != 2 || works[0].Delivery.Tier != mail.Urgent || works[1].Delivery.Address != "n0@one.test" {
		t.Fatalf("claimed %v, %v", works, err)
	}
}

// BenchmarkClaim is the time of one claim of one message beside what is stuck.
func BenchmarkClaim(b *testing.B) {
	for _, stuck := range []int{0, 200_000} {
		b.Run(fmt.Sprint(stuck, " stuck"), func(b *testing.B) {
			s := openStore(b)
			fill(b, s, stuck, "stuck.test", mail.Normal)
			var all []time.Duration
			for b.Loop() {
				all = append(all, claimOne(b, s))
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs/claim")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs/claim")
		})
	}
}

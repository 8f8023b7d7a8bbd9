package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

func openStore(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return s
}

var content = mail.Bytes(make2K())

func make2K() []byte {
	b := []byte("From: hello@acme.test\r\nTo: ada@example.com\r\nSubject: Hi\r\n\r\n")
	for len(b) < 2048 {
		b = append(b, "All work and no play makes Jack a dull boy.\r\n"...)
	}
	return b
}

// newAcceptance is what a door hands in for one 2 KB message to one recipient.
func newAcceptance(n int64, leased bool) *submit.Acceptance {
	now := time.Now()
	owner := mail.Owner{Project: 1}
	m := &mail.Message{
		ID: mail.NewID(now), Owner: owner, From: mail.Address{Name: "Acme", Email: "hello@acme.test"}, Subject: "Your receipt",
		Size: int64(len(content)), Tier: mail.Normal, Tags: []string{"receipt"}, Metadata: map[string]string{"order": "42"},
		KeyID: "k7f2q9xm", Via: "api", CreatedAt: now,
	}
	m.RFCID = m.ID.UUID() + "@acme.test"
	ms := int64(3)
	return &submit.Acceptance{
		Message: m, Content: content, Lease: submit.Lease{Node: "bench", Until: now.Add(time.Minute)},
		Deliveries: []submit.NewDelivery{{
			Delivery: mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: owner, Address: fmt.Sprintf("user%d@example.com", n),
				Destination: "example.com", Tier: mail.Normal, Status: mail.Queued, Wait: mail.WaitNew, Due: now},
			Leased: leased,
			Events: []mail.Event{{ID: mail.NewID(now), Owner: owner, Type: mail.EventQueued, At: now,
				Detail: mail.Detail{Summary: "Accepted by API (key k7f2q9xm, 3 ms)", Via: "api", KeyID: "k7f2q9xm", AcceptMS: &ms}}},
		}},
		Answer: func(r submit.Receipt) mail.Answer { return mail.Answer{Status: 202} },
	}
}

func begin(ctx context.Context, s queue.Store, a *submit.Acceptance, l mail.Lease, row int64) error {
	now := time.Now()
	v, err := s.Begin(ctx, now, []queue.Beginning{{Lease: l, Message: row, Address: a.Deliveries[0].Address, Owner: a.Message.Owner, Site: "example",
		Accepted: &mail.Event{ID: mail.NewID(now), Type: mail.EventAccepted, At: now, Detail: mail.Detail{Summary: "Queue example, pool main", Site: "example", Pool: "main"}}}})
	if err == nil && !v[0].Go {
		err = fmt.Errorf("verdict %+v", v[0])
	}
	return err
}

func delivered(l mail.Lease) queue.Result {
	now := time.Now()
	reply := mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "2.0.0 Ok: queued as 4F2A11C0B3"}
	id := mail.NewID(now)
	ms := int64(12)
	var lines []mail.Line
	for i, text := range []string{"220 mx.example.com ESMTP", "EHLO mx1.acme.test", "250-mx.example.com", "250-PIPELINING", "250 8BITMIME",
		"MAIL FROM:<bounces+3k2j1h4g5@bounce.acme.test>", "RCPT TO:<user@example.com>", "DATA", "250 2.1.0 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>",
		"(2048 bytes)", "250 2.0.0 Ok: queued as 4F2A11C0B3"} {
		lines = append(lines, mail.Line{From: "S", At: time.Duration(i) * time.Millisecond, Text: text, Code: 250})
	}
	return queue.Result{Lease: l, Status: mail.Delivered, Tries: 1, Site: "example",
		Attempt: &mail.Attempt{ID: id, Number: 1, At: now, Duration: 12 * time.Millisecond, Outcome: mail.OutcomeDelivered, Reply: reply, Site: "example",
			MX: []string{"mx.example.com"}, Host: "mx.example.com", IP: "192.0.2.1", Source: "default", EHLO: "mx1.acme.test", Transcript: lines},
		Events: []mail.Event{{ID: mail.NewID(now), Type: mail.EventDelivered, At: now, Detail: mail.Detail{Summary: "250 2.0.0 Ok", Site: "example",
			AttemptID: id.Text(mail.PrefixAttempt), Attempt: 1, Host: "mx.example.com", Reply: &reply, DeliveryMS: &ms}}}}
}

func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			s := openStore(b)
			run(b, s, callers, func(ctx context.Context, n int64) error {
				_, err := s.Accept(ctx, []*submit.Acceptance{newAcceptance(n, false)})
				return err
			})
		})
	}
}

// BenchmarkCycle is the whole life on the fast path: accepted with a lease, begun, settled.
func BenchmarkCycle(b *testing.B) {
	for _, callers := range []int{64, 256} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			s := openStore(b)
			run(b, s, callers, func(ctx context.Context, n int64) error {
				a := newAcceptance(n, true)
				r, err := s.Accept(ctx, []*submit.Acceptance{a})
				if err != nil {
					return err
				}
				l := r[0].Leases[0]
				if err := begin(ctx, s, a, l, r[0].Row); err != nil {
					return err
				}
				lost, err := s.Settle(ctx, time.Now(), []queue.Result{delivered(l)})
				if err == nil && len(lost) > 0 {
					err = fmt.Errorf("lost %v", lost)
				}
				return err
			})
		})
	}
}

func run(b *testing.B, s *sqlite.Store, callers int, one func(context.Context, int64) error) {
	ctx := context.Background()
	cpu := cpuTime()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := one(ctx, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
	stats := s.Stats()
	b.ReportMetric(float64(stats.Ops)/float64(stats.Commits), "ops/commit")
}

// cpuTime is what this process has used, in user and kernel: on a machine that is
// shared it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

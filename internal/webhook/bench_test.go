package webhook_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// taker is an endpoint that takes all at once, without a network.
type taker struct{ n atomic.Int64 }

func (t *taker) Post(_ context.Context, r webhook.Request) webhook.Try {
	t.n.Add(1)
	return webhook.Try{At: r.At, Duration: time.Millisecond, Status: 200, RequestHeaders: []mail.Header{{Name: "webhook-id", Value: r.ID}}}
}

// BenchmarkAHookFromTheLogToItsRecord is all that one hook costs but signing and the network:
// relay, envelope, queue, record.
func BenchmarkAHookFromTheLogToItsRecord(b *testing.B) {
	dir := b.TempDir()
	store, err := sqlite.Open(sqlite.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	ring, err := seal.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	to := &taker{}
	s := webhook.New(webhook.Options{Store: store, Log: store, Memory: store, Poster: to, Ring: ring, Node: "one", Wake: store.Wake,
		Formats: map[string]webhook.Format{webhook.FormatStandard: webhook.Standard{BaseURL: "https://mail.acme.test"}}})
	w := &world{owner: mail.Owner{Project: 1}}
	// One endpoint begins ten thousand a second at most: the sum of all is what is measured.
	for range 4 {
		if _, _, err := s.Create(b.Context(), w.owner, webhook.NewEndpoint{URL: "https://app.acme.test/", Events: []string{"*"}, MaxPerSecond: 10_000}, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	for left := (b.N + 3) / 4; left > 0; left -= 500 {
		all := make([]*submit.Acceptance, min(left, 500))
		for i := range all {
			all[i] = w.letter()
		}
		if _, err := store.Accept(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var run sync.WaitGroup
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	run.Go(func() { _ = s.Run(ctx) })
	for want := int64((b.N + 3) / 4 * 4); s.Counters().Delivered < want; {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	cancel()
	run.Wait()
}

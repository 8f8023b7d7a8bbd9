package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/route"
)

// BenchmarkDispatchToSettled takes one delivery a round through queue and lane: a carrier
// that does nothing but begin, and a store that says yes.
func BenchmarkDispatchToSettled(b *testing.B) {
	done := make(chan struct{}, 1<<16)
	store := &yesStore{done: done}
	var q *queue.Queue
	way := &route.Route{Site: "there", Hosts: []route.Host{{Name: "mx"}}, Source: route.Source{Name: "default"}}
	q = queue.New(queue.Options{
		Store: store, Router: oneWay{way},
		Carrier: func(*route.Route) lane.Carrier { return beginOnly{&q} },
		Limits:  func(lane.Key) lane.Limits { return lane.Limits{Connections: 20, Reserved: 2, Depth: 5000} },
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = q.Run(ctx); close(ended) }()
	now := time.Now()
	for !q.Reserve(mail.Owner{Project: 1}, "there.test", mail.Normal) {
		time.Sleep(time.Millisecond)
	}
	q.Release(mail.Owner{Project: 1}, "there.test", mail.Normal)

	works := make([]*mail.Work, b.N)
	for i := range works {
		works[i] = &mail.Work{
			Lease: mail.Lease{Delivery: int64(i), Token: 1, Until: now.Add(time.Hour)}, Message: &mail.Message{ID: mail.NewID(now)},
			Delivery: mail.Delivery{Address: "ada@there.test", Destination: "there.test", Tier: mail.Normal, Status: mail.Queued},
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	under := 0
	for _, w := range works {
		for under > 1000 || !q.Reserve(mail.Owner{Project: 1}, "there.test", mail.Normal) {
			<-done
			under--
		}
		q.Dispatch([]*mail.Work{w})
		under++
	}
	for ; under > 0; under-- {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(b.N)/float64(store.settles.Load()), "results/settle")
	stop()
	<-ended
}

type oneWay struct{ way *route.Route }

func (o oneWay) Cached(mail.Env, string) *route.Route { return o.way }
func (o oneWay) Route(context.Context, mail.Env, string) (*route.Route, error) {
	return o.way, nil
}

type beginOnly struct{ q **queue.Queue }

func (c beginOnly) Session(lane.Key, *route.Route) lane.Session { return c }
func (c beginOnly) Reusable() bool                              { return true }
func (c beginOnly) Close()                                      {}
func (c beginOnly) Carry(ctx context.Context, _ <-chan struct{}, job *lane.Job) []mail.Attempt {
	attempts := make([]mail.Attempt, len(job.Works))
	_, err := (*c.q).Begin(ctx, job.Works, job.Route.Site)
	for i := range attempts {
		if err == nil {
			attempts[i] = mail.Attempt{Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "2.0.0 OK"}}
		}
	}
	return attempts
}

// yesStore remembers nothing.
type yesStore struct {
	fakeStore
	done    chan struct{}
	settles atomic.Int64
}

func (s *yesStore) Claim(context.Context, queue.ClaimParams) ([]*mail.Work, error) { return nil, nil }
func (s *yesStore) NextDue(context.Context, queue.Room) (time.Time, bool, error) {
	return time.Time{}, false, nil
}
func (s *yesStore) Begin(_ context.Context, _ time.Time, batch []queue.Beginning) ([]queue.Verdict, error) {
	verdicts := make([]queue.Verdict, len(batch))
	for i := range verdicts {
		verdicts[i].Go = true
	}
	return verdicts, nil
}
func (s *yesStore) Settle(_ context.Context, _ time.Time, batch []queue.Result) ([]mail.Lease, error) {
	s.settles.Add(1)
	for range batch {
		s.done <- struct{}{}
	}
	return nil, nil
}

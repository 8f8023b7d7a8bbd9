package sqlite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// crowdLog accepts n messages of a project: so many events message.queued.
func crowdLog(tb testing.TB, s *sqlite.Store, project int64, n int) {
	tb.Helper()
	for at := 0; at < n; at += 500 {
		var many []*submit.Acceptance
		for i := range min(500, n-at) {
			a := newAcceptance(int64(at+i), false)
			a.Message.Owner.Project = project
			for d := range a.Deliveries {
				a.Deliveries[d].Delivery.Owner.Project = project
				a.Deliveries[d].Events[0].Owner.Project = project
			}
			many = append(many, a)
		}
		if _, err := s.Accept(context.Background(), many); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestTheEventsOfOthersArePassedInShortCalls(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), context.Background()
	crowdLog(t, s, 2, 20_000)
	crowdLog(t, s, 1, 1)
	q := eventlog.Query{Owner: mail.Owner{Project: 1}, Limit: 10}
	calls, found := 0, 0
	for {
		entries, seen, err := s.Log(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if seen == q.After {
			break
		}
		if seen-q.After > 10_000 {
			t.Fatalf("one call looked at %d rows", seen-q.After)
		}
		calls, found, q.After = calls+1, found+len(entries), seen
	}
	if found != 1 || calls < 2 {
		t.Errorf("%d events found in %d calls", found, calls)
	}
}

func TestAnEventIsFoundByItsIDInALongLog(t *testing.T) {
	t.Parallel()
	s, ctx, owner := openStore(t), context.Background(), mail.Owner{Project: 1}
	crowdLog(t, s, 1, 5_000)
	entries, _, err := s.Log(ctx, eventlog.Query{Owner: owner, After: 3_333, Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	got, err := s.LogEntry(ctx, owner, entries[0].ID)
	if err != nil || got.Position != entries[0].Position || got.MessageID != entries[0].MessageID {
		t.Errorf("%+v, %v", got, err)
	}
	for _, at := range []time.Time{time.Now(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		if _, err := s.LogEntry(ctx, owner, mail.NewID(at)); !errors.Is(err, mail.ErrNotFound) {
			t.Errorf("an id that is nobody's, of %s: %v", at, err)
		}
	}
}

// BenchmarkLog is what a feed reads: pages of one owner's events with what they are about.
func BenchmarkLog(b *testing.B) {
	s, ctx := openStore(b), context.Background()
	const events = 20_000
	crowdLog(b, s, 1, events)
	for _, c := range []struct {
		name string
		q    eventlog.Query
	}{{"own", eventlog.Query{Owner: mail.Owner{Project: 1}}}, {"of others", eventlog.Query{Owner: mail.Owner{Project: 3}}}, {"all", eventlog.Query{All: true}},
		{"one tag that is rare", eventlog.Query{Owner: mail.Owner{Project: 1}, Tag: "rare"}}, {"one recipient", eventlog.Query{Owner: mail.Owner{Project: 1}, Recipient: "user77@example.com"}}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				for q := c.q; ; {
					_, seen, err := s.Log(ctx, q)
					if err != nil {
						b.Fatal(err)
					}
					if seen == q.After {
						break
					}
					q.After = seen
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/row")
		})
	}
	b.Run("by id, nobody's", func(b *testing.B) {
		for range b.N {
			_, _ = s.LogEntry(ctx, mail.Owner{Project: 1}, mail.NewID(time.Now()))
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	e := eventlog.Sample(mail.EventDelivered, mail.Owner{Project: 1}, mail.NewID(time.Now()), time.Now())
	b.ReportAllocs()
	for range b.N {
		if _, err := eventlog.Envelope(*e, "https://mail.acme.test", nil); err != nil {
			b.Fatal(err)
		}
	}
}

package visit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
	"github.com/postroad/postroad/internal/visit"
)

// fakeStore knows deliveries 1 to 9 and fails as often as it is told.
type fakeStore struct {
	mu        sync.Mutex
	fail      int
	batches   int
	written   []feedback.Visit
	delivered time.Time
}

func (f *fakeStore) Recipients(_ context.Context, rows []int64) (map[int64]feedback.Recipient, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail > 0 {
		f.fail--
		return nil, errors.New("the store is away")
	}
	out := map[int64]feedback.Recipient{}
	for _, row := range rows {
		if row < 10 {
			out[row] = feedback.Recipient{Delivery: row, DeliveredAt: f.delivered}
		}
	}
	return out, nil
}

func (f *fakeStore) Visited(_ context.Context, visits []feedback.Visit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches++
	f.written = append(f.written, visits...)
	return nil
}

func (f *fakeStore) counts() (written, batches int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.written), f.batches
}

var person = tracking.Visit{Method: "GET", UserAgent: "Thunderbird/128.0"}

// gather runs a gatherer until do has returned and all is written.
func gather(t *testing.T, store *fakeStore, do func(g *visit.Gatherer)) *visit.Gatherer {
	g := visit.New(visit.Options{Store: store})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = g.Run(ctx) }()
	do(g)
	cancel()
	<-ended
	return g
}

func TestVisitsAreWrittenInBatchesWithWhoMadeThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		store := &fakeStore{delivered: now.Add(-time.Minute)}
		g := gather(t, store, func(g *visit.Gatherer) {
			g.Visit(tracking.KindOpen, 1, "", person, now)
			g.Visit(tracking.KindClick, 2, "https://x.example/", person, now.Add(-58*time.Second))
			g.Visit(tracking.KindOpen, 99, "", person, now) // gone
			g.Visit(tracking.KindOpen, 3, "", tracking.Visit{Method: "HEAD", UserAgent: "x"}, now)
			time.Sleep(time.Second)
			g.Visit(tracking.KindOpen, 4, "", person, now)
		})
		if store.batches != 2 || len(store.written) != 4 || g.Stats() != (visit.Stats{Written: 5}) {
			t.Fatalf("%d batches, %d written, %+v", store.batches, len(store.written), g.Stats())
		}
		for i, want := range []struct {
			kind    mail.EventType
			machine bool
			reason  string
			url     string
		}{{mail.EventOpened, false, "", ""}, {mail.EventClicked, true, "scanner", "https://x.example/"}, {mail.EventOpened, true, "head_request", ""}, {mail.EventOpened, false, "", ""}} {
			e := store.written[i].Event
			if e.Type != want.kind || *e.Detail.Machine != want.machine || e.Detail.Reason != want.reason || e.Detail.URL != want.url || e.Detail.UserAgent == "" {
				t.Errorf("%d: %+v", i, e)
			}
		}
	})
}

func TestAStoreThatFailsIsAskedAgainAndTheRestIsWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{fail: 2}
		gather(t, store, func(g *visit.Gatherer) {
			for range 600 {
				g.Visit(tracking.KindOpen, 1, "", person, time.Now())
			}
			time.Sleep(10 * time.Second)
			if written, batches := store.counts(); written != 600 || batches != 3 {
				t.Errorf("%d written in %d", written, batches)
			}
			g.Visit(tracking.KindOpen, 2, "", person, time.Now())
		})
		if len(store.written) != 601 {
			t.Errorf("%d written", len(store.written))
		}
	})
}

func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	t.Parallel()
	g := visit.New(visit.Options{Store: &fakeStore{}})
	for range 10_100 {
		g.Visit(tracking.KindOpen, 1, "", person, time.Now())
	}
	if g.Stats().Dropped != 100 {
		t.Errorf("%+v", g.Stats())
	}
}

package queue_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// slowStore takes 10 ms for each Settle, and writes down what came in it and when.
type slowStore struct {
	*fakeStore
	mu    sync.Mutex
	calls []settleCall
}

type settleCall struct {
	at                time.Time
	returned, results int
}

func (s *slowStore) Settle(ctx context.Context, now time.Time, batch []queue.Result) ([]mail.Lease, error) {
	c := settleCall{at: time.Now()}
	for _, r := range batch {
		if r.Attempt == nil {
			c.returned++
		} else {
			c.results++
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	return s.fakeStore.Settle(ctx, now, batch)
}

func TestWhatIsGivenBackInCrowdsLeavesTheStoreToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 300
		var store *slowStore
		r := newRig(t, func(o *queue.Options, r *rig) {
			store = &slowStore{fakeStore: r.store}
			o.Store = store
			r.limits = lane.Limits{Connections: crowd, Depth: 2 * crowd, PerSession: 100, Idle: time.Second}
		})
		back, seen := make(chan struct{}), map[string]bool{}
		r.carry = func(_ context.Context, soft <-chan struct{}, w *mail.Work) mail.Attempt {
			if w.Delivery.Destination == "ok.test" {
				return mail.Attempt{Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Text: "OK"}}
			}
			r.mu.Lock()
			again := seen[w.Delivery.Address]
			seen[w.Delivery.Address] = true
			r.mu.Unlock()
			if again {
				<-soft
			} else {
				<-back
			}
			return mail.Attempt{Wait: mail.WaitLaneFull}
		}
		r.running(func() {
			for i := range crowd {
				r.send(mail.Normal, addressOf(i)+"@stuck.test")
			}
			synctest.Wait()
			close(back)
			time.Sleep(100 * time.Millisecond) // some of them are settled
			sent := time.Now()
			r.send(mail.Normal, "new@ok.test")
			time.Sleep(2 * time.Second)
			store.check(t, sent, crowd)
		})
	})
}

func addressOf(i int) string { return string([]rune{'a' + rune(i/26), 'a' + rune(i%26)}) }

func (s *slowStore) check(t *testing.T, sent time.Time, crowd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	returned, after := 0, 0
	var last time.Time
	for _, c := range s.calls {
		if c.results > 0 {
			if late := c.at.Sub(sent); late > time.Millisecond {
				t.Errorf("the result of another message was settled %v after it", late)
			}
			continue
		}
		if !last.IsZero() && c.at.Sub(last) < 50*time.Millisecond {
			t.Errorf("what was given back was settled again after %v", c.at.Sub(last))
		}
		if c.returned > 32 {
			t.Errorf("%d in one call", c.returned)
		}
		if last = c.at; c.at.After(sent) {
			after += c.returned
		}
		returned += c.returned
	}
	if returned != crowd || after == 0 {
		t.Errorf("%d of %d were given back, %d of them after the other message came", returned, crowd, after)
	}
}

package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// busyRig has one session, whose attempts take a while, and a store whose commits do.
func busyRig(t *testing.T, attempt, commit time.Duration) *rig {
	r := newRig(t, func(_ *queue.Options, r *rig) {
		r.limits = lane.Limits{Connections: 1, Depth: 1000, PerSession: 1000, Idle: time.Second}
		r.store.slow = commit
	})
	r.know("there.test", "there")
	r.carry = func(_ context.Context, _ <-chan struct{}, _ *mail.Work) mail.Attempt {
		time.Sleep(attempt)
		return reply(mail.OutcomeDelivered, 250, "", "OK")
	}
	return r
}

func TestABusySessionDoesNotWaitForCommits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := busyRig(t, 10*time.Millisecond, 9*time.Millisecond)
		r.running(func() {
			pass(time.Second)
			start := time.Now()
			for range 100 {
				r.send(mail.Normal, "ada@there.test")
			}
			for r.Stats().Delivered < 100 {
				pass(time.Millisecond)
			}
			if took := time.Since(start); took > 1100*time.Millisecond {
				t.Errorf("100 attempts of 10 ms took %v", took)
			}
			pass(time.Second)
			for i := range 100 {
				r.wantStory(i, "accepted delivered")
			}
		})
	})
}

func TestAnOldAnswerIsAskedForAgainBeforeTheWire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := busyRig(t, 5*time.Second, 0)
		r.running(func() {
			r.send(mail.Normal, "first@there.test")
			r.send(mail.Normal, "second@there.test")
			r.send(mail.Normal, "third@there.test")
			pass(time.Second) // the answer about the second and the third is there
			r.store.mu.Lock()
			r.store.suppress["second@there.test"] = mail.Suppression{ID: mail.NewID(time.Now()), Kind: mail.KindComplaint}
			r.store.mu.Unlock()
			if _, err := r.Cancel(t.Context(), queue.Change{Message: r.store.row(2).work.Message.ID}); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			r.wantStory(0, "accepted delivered")
			r.wantStory(1, "accepted suppressed")
			r.wantStory(2, "accepted") // the store tells of the cancellation
		})
	})
}

func TestAnAnswerThatCouldNotBeHadIsAskedForWhenItIsNeeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := busyRig(t, time.Second, 0)
		r.running(func() {
			r.send(mail.Normal, "first@there.test")
			synctest.Wait()
			r.store.mu.Lock()
			r.store.fail["Begin"] = 1
			r.store.mu.Unlock()
			r.send(mail.Normal, "second@there.test")
			pass(10 * time.Second)
			r.wantStory(1, "accepted delivered")
			if n := r.store.beginCalls(); n != 2 {
				t.Errorf("%d calls were answered, want one for each", n)
			}
		})
	})
}

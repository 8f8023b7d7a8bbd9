package lane_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
)

func jobOf(project int64, subject string) *lane.Job {
	j := job(subject, mail.Normal)
	j.Message.Owner.Project = project
	return j
}

// burst is n jobs of a project: "1.0", "1.1" …
func (r *rig) burst(t *testing.T, project int64, n int) {
	t.Helper()
	for i := range n {
		r.offer(t, jobOf(project, fmt.Sprintf("%d.%d", project, i)))
	}
}

func TestProjectsTakeTurnsWhateverEachHasWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: time.Hour}, lane.Limits{Connections: 1, Depth: 10_000})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome {
			time.Sleep(time.Second)
			return mail.OutcomeDelivered
		}
		r.running(t, func() {
			r.burst(t, 1, 5000)
			synctest.Wait()
			r.burst(t, 2, 3)
			r.burst(t, 3, 1)
			pass(10 * time.Second)
		})
		want := []string{"1.0", "1.1", "2.0", "3.0", "1.2", "2.1", "1.3", "2.2", "1.4", "1.5"}
		if got := r.subjects(); !slices.Equal(got[:min(len(want), len(got))], want) {
			t.Errorf("got %q, want %q first", got[:min(len(want), len(got))], want)
		}
	})
}

func TestAProjectFindsItsShareOfALaneThatAnotherHasFilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const depth, share = 1600, 100
		r := newRig(lane.Options{MaxWait: time.Hour}, lane.Limits{Connections: 1, Depth: depth})
		gate := make(chan struct{})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome { <-gate; return mail.OutcomeDelivered }
		r.running(t, func() {
			key := lane.KeyOf(there)
			r.burst(t, 1, depth+1) // one is on the wire
			synctest.Wait()
			if room := r.Room(key, mail.Normal, 1); room != 0 {
				t.Errorf("room for who filled the lane: %d", room)
			}
			for project := range int64(depth / 2 / share) {
				if room := r.Room(key, mail.Normal, 2+project); room != share {
					t.Fatalf("room for project %d: %d, want a share of %d", 2+project, room, share)
				}
				r.burst(t, 2+project, share)
				if room := r.Room(key, mail.Normal, 2+project); room != 0 {
					t.Errorf("room behind a whole share: %d", room)
				}
			}
			if room := r.Room(key, mail.Normal, 99); room != 0 {
				t.Errorf("room beyond half as much again: %d", room)
			}
			told := len(r.told())
			for range 8 * share / 2 { // the nine take turns: after these each share is half free
				gate <- struct{}{}
			}
			gate <- struct{}{}
			for range share {
				gate <- struct{}{}
			}
			synctest.Wait()
			if len(r.told()) == told {
				t.Error("nobody was told that there is room in their share again")
			}
			if room := r.Room(key, mail.Normal, 2); room == 0 {
				t.Error("there is no room in a share half free")
			}
			close(gate)
		})
	})
}

func TestOnlyWhoWaitedTooLongIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: 30 * time.Second}, lane.Limits{Connections: 1, Depth: 1000})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome {
			time.Sleep(7 * time.Second)
			return mail.OutcomeDelivered
		}
		key := lane.KeyOf(there)
		r.running(t, func() {
			r.burst(t, 1, 100)
			pass(25 * time.Second)
			r.burst(t, 2, 1)
			pass(6 * time.Second) // with the sweep at half a minute
			if room := r.Room(key, mail.Normal, 1); room != 0 {
				t.Errorf("room for what was given back just now: %d", room)
			}
			if room := r.Room(key, mail.Normal, 2); room == 0 {
				t.Error("no room for the other project")
			}
			pass(10 * time.Second)
		})
		outcome := map[string]mail.Outcome{}
		for _, d := range r.results() {
			outcome[d.subject] = d.attempt.Outcome
		}
		if outcome["1.99"] != mail.Untried || outcome["2.0"] != mail.OutcomeDelivered {
			t.Errorf("the last of the burst: %v, the other project's: %v", outcome["1.99"], outcome["2.0"])
		}
	})
}

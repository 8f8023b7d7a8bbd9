package lane_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// rig is lanes with a carrier whose sessions do what carry says.
type rig struct {
	*lane.Manager
	carry    func(ctx context.Context, soft <-chan struct{}, job *lane.Job) mail.Outcome
	reusable atomic.Bool
	opened   atomic.Int32
	closed   atomic.Int32

	mu   sync.Mutex
	done []result
	room []lane.Key
}

type result struct {
	subject string
	attempt mail.Attempt
}

func newRig(o lane.Options, limits lane.Limits) *rig {
	r := &rig{carry: func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome { return mail.OutcomeDelivered }}
	r.reusable.Store(true)
	o.Limits = func(lane.Key) lane.Limits { return limits }
	o.Carrier = func(*route.Route) lane.Carrier { return r }
	o.Done = func(job *lane.Job, attempts []mail.Attempt) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done = append(r.done, result{job.Message.Subject, attempts[0]})
	}
	o.Room = func(k lane.Key) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.room = append(r.room, k)
	}
	r.Manager = lane.New(o)
	return r
}

func (r *rig) Session(lane.Key, *route.Route) lane.Session {
	r.opened.Add(1)
	return session{r}
}

type session struct{ r *rig }

func (s session) Carry(ctx context.Context, soft <-chan struct{}, job *lane.Job) []mail.Attempt {
	return []mail.Attempt{{Outcome: s.r.carry(ctx, soft, job)}}
}
func (s session) Reusable() bool { return s.r.reusable.Load() }
func (s session) Close()         { s.r.closed.Add(1) }

func (r *rig) results() []result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]result(nil), r.done...)
}

// told gives the lanes that room was told of.
func (r *rig) told() []lane.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.room)
}

func (r *rig) subjects() (all []string) {
	for _, d := range r.results() {
		all = append(all, d.subject)
	}
	return all
}

var there = &route.Route{Destination: "there.test", Site: "there", Hosts: []route.Host{{Name: "mx.there.test"}}}

func job(subject string, tier mail.Tier) *lane.Job {
	return &lane.Job{Message: &mail.Message{Subject: subject}, Works: []*mail.Work{{}}, Route: there, Tier: tier}
}

// pass lets time pass in the bubble, and everybody come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// running runs the rig in a bubble of its own clock and stops it at the end.
func (r *rig) running(t *testing.T, f func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	f()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (r *rig) offer(t *testing.T, jobs ...*lane.Job) {
	t.Helper()
	for _, j := range jobs {
		if err := r.Offer(j); err != nil {
			t.Fatalf("offer %s: %v", j.Message.Subject, err)
		}
	}
}

func TestTheMostUrgentTierGoesFirstAndWithinItTheFirstIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{}, lane.Limits{Connections: 1, Depth: 100})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome {
			time.Sleep(time.Second)
			return mail.OutcomeDelivered
		}
		r.running(t, func() {
			r.offer(t, job("first", mail.Bulk))
			synctest.Wait()
			r.offer(t, job("bulk", mail.Bulk), job("normal 1", mail.Normal), job("urgent", mail.Urgent), job("normal 2", mail.Normal))
			pass(10 * time.Second)
		})
		want := []string{"first", "urgent", "normal 1", "normal 2", "bulk"}
		if got := r.subjects(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestOneUrgentMessageOvertakesAHundredThousandBulkOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: time.Hour}, lane.Limits{Connections: 4, Reserved: 1, Depth: 200_000})
		var urgentAfter time.Duration
		start := time.Now()
		r.carry = func(_ context.Context, soft <-chan struct{}, j *lane.Job) mail.Outcome {
			if j.Tier == mail.Urgent {
				urgentAfter = time.Since(start)
				return mail.OutcomeDelivered
			}
			select {
			case <-time.After(time.Minute):
				return mail.OutcomeDelivered
			case <-soft:
				return mail.Untried
			}
		}
		r.running(t, func() {
			for range 100_000 {
				r.offer(t, job("bulk", mail.Bulk))
			}
			pass(90 * time.Second)
			start = time.Now()
			r.offer(t, job("urgent", mail.Urgent))
			pass(time.Second)
			if stats := r.Stats(); len(stats) != 1 || stats[0].Waiting[mail.Bulk] < 99_000 || stats[0].Busy != 3 {
				t.Errorf("lanes: %+v; want bulk to hold three of four slots and the rest to wait", stats)
			}
		})
		if got := r.subjects(); !slices.Contains(got, "urgent") || urgentAfter != 0 {
			t.Errorf("the urgent message left after %v", urgentAfter)
		}
	})
}

func TestNoTierStarvesForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: time.Hour}, lane.Limits{Connections: 1, Depth: 1000})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome {
			time.Sleep(time.Second)
			return mail.OutcomeDelivered
		}
		r.running(t, func() {
			r.offer(t, job("bulk", mail.Bulk))
			synctest.Wait()
			r.offer(t, job("waiting bulk", mail.Bulk))
			pass(time.Millisecond)
			r.offer(t, job("waiting normal", mail.Normal))
			for range 100 {
				r.offer(t, job("urgent", mail.Urgent))
			}
			pass(200 * time.Second)
		})
		got := r.subjects()
		if at := slices.Index(got, "waiting bulk"); at != 16 {
			t.Errorf("the oldest bulk job went as number %d, want after 15 urgent ones", at)
		}
		if at := slices.Index(got, "waiting normal"); at != 32 {
			t.Errorf("the normal job went as number %d, want after 15 more", at)
		}
	})
}

func TestAFullLaneSaysSoAndTellsWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: time.Hour}, lane.Limits{Connections: 1, Depth: 4})
		gate := make(chan struct{})
		r.carry = func(context.Context, <-chan struct{}, *lane.Job) mail.Outcome { <-gate; return mail.OutcomeDelivered }
		r.running(t, func() {
			key := lane.KeyOf(there)
			if room := r.Room(key, mail.Normal, 0); room != 4 {
				t.Errorf("room of a lane that is not there: %d", room)
			}
			r.offer(t, job("on the wire", mail.Normal))
			synctest.Wait()
			for range 4 {
				r.offer(t, job("waits", mail.Normal))
			}
			if room := r.Room(key, mail.Normal, 0); room != 0 {
				t.Errorf("room of a full lane: %d", room)
			}
			if room := r.Room(key, mail.Urgent, 0); room != 4 {
				t.Errorf("room of another tier: %d", room)
			}
			for range 4 { // the slack
				r.offer(t, job("waits", mail.Normal))
			}
			if err := r.Offer(job("too much", mail.Normal)); err != lane.ErrFull {
				t.Errorf("offer to a full lane: %v", err)
			}
			for range 5 {
				gate <- struct{}{}
			}
			synctest.Wait()
			if len(r.told()) != 0 {
				t.Error("told of room too early")
			}
			gate <- struct{}{}
			synctest.Wait()
			if len(r.told()) != 1 || r.told()[0] != key {
				t.Errorf("told of room: %v", r.told())
			}
			close(gate)
		})
	})
}

func TestWhatWaitedTooLongIsGivenBackInOrderAndTheLaneRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{MaxWait: 30 * time.Second}, lane.Limits{Connections: 2, Depth: 100})
		r.carry = func(_ context.Context, soft <-chan struct{}, _ *lane.Job) mail.Outcome {
			select {
			case <-time.After(10 * time.Minute):
			case <-soft:
			}
			return mail.OutcomeDeferred
		}
		key := lane.KeyOf(there)
		r.running(t, func() {
			r.offer(t, job("a", mail.Normal), job("b", mail.Normal))
			synctest.Wait()
			r.offer(t, job("c", mail.Normal), job("d", mail.Normal))
			pass(20 * time.Second)
			r.offer(t, job("e", mail.Normal))
			pass(15 * time.Second)
			if got := r.subjects(); !slices.Equal(got, []string{"c", "d", "e"}) {
				t.Errorf("given back: %q", got)
			}
			for _, d := range r.results() {
				if d.attempt.Outcome != mail.Untried || d.attempt.Wait != mail.WaitLaneFull {
					t.Errorf("%s came back as %v, %v", d.subject, d.attempt.Outcome, d.attempt.Wait)
				}
			}
			if room := r.Room(key, mail.Normal, 0); room != 0 {
				t.Errorf("room while it rests: %d", room)
			}
			pass(20 * time.Second)
			if len(r.told()) != 1 {
				t.Errorf("told of room %d times after the rest", len(r.told()))
			}
			if room := r.Room(key, mail.Normal, 0); room != 50 {
				t.Errorf("room after the rest: %d, want half", room)
			}
		})
	})
}

func TestASessionCarriesItsShareAndIsClosedWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{}, lane.Limits{Connections: 1, Depth: 100, PerSession: 3, Idle: 5 * time.Second})
		r.running(t, func() {
			for range 7 {
				r.offer(t, job("x", mail.Normal))
			}
			synctest.Wait()
			if r.opened.Load() != 3 || r.closed.Load() != 2 {
				t.Errorf("7 jobs of 3 a session: %d opened, %d closed", r.opened.Load(), r.closed.Load())
			}
			pass(6 * time.Second)
			if r.closed.Load() != 3 {
				t.Error("an idle session stays open")
			}
			r.reusable.Store(false)
			r.offer(t, job("x", mail.Normal), job("x", mail.Normal))
			synctest.Wait()
			if r.opened.Load() != 5 || r.closed.Load() != 5 {
				t.Errorf("sessions that cannot be used again: %d opened, %d closed", r.opened.Load(), r.closed.Load())
			}
			pass(10 * time.Second)
			if n := len(r.Stats()); n != 0 {
				t.Errorf("%d empty lanes are not forgotten", n)
			}
		})
	})
}

func TestAnotherSetOfHostsOfASiteGetsItsOwnSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{}, lane.Limits{Connections: 1, Depth: 100})
		r.running(t, func() {
			same, other := *there, *there
			same.Destination = "same.test"
			other.Hosts = []route.Host{{Name: "mx2.there.test"}}
			a, b, c := job("a", mail.Normal), job("b", mail.Normal), job("c", mail.Normal)
			b.Route, c.Route = &same, &other
			r.offer(t, a, b, c)
			synctest.Wait()
			if r.opened.Load() != 2 {
				t.Errorf("%d sessions, want 2", r.opened.Load())
			}
		})
	})
}

func TestASoftStopGivesBackWhatWaitsAndLetsTheWireEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{SoftLimit: time.Minute}, lane.Limits{Connections: 1, Depth: 100})
		r.carry = func(ctx context.Context, _ <-chan struct{}, _ *lane.Job) mail.Outcome {
			select {
			case <-time.After(20 * time.Second):
				return mail.OutcomeDelivered
			case <-ctx.Done():
				return mail.OutcomeUncertain
			}
		}
		r.running(t, func() {
			r.offer(t, job("on the wire", mail.Normal))
			synctest.Wait()
			r.offer(t, job("waits", mail.Normal))
		})
		done := r.results()
		if len(done) != 2 || done[0].subject != "waits" || done[0].attempt.Outcome != mail.Untried ||
			done[1].attempt.Outcome != mail.OutcomeDelivered {
			t.Errorf("got %+v", done)
		}
		if err := r.Offer(job("late", mail.Normal)); err != lane.ErrStopped {
			t.Errorf("an offer after the stop: %v", err)
		}
	})
}

func TestTheHardStopEndsSessionsAfterTheLimitOrAtOnce(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"after the limit": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(lane.Options{SoftLimit: 30 * time.Second}, lane.Limits{Connections: 1, Depth: 100})
				r.carry = func(ctx context.Context, _ <-chan struct{}, _ *lane.Job) mail.Outcome {
					<-ctx.Done()
					return mail.OutcomeUncertain
				}
				start := time.Now()
				r.running(t, func() {
					r.offer(t, job("stuck", mail.Normal))
					synctest.Wait()
					if kill {
						r.Kill()
					}
				})
				want := 30 * time.Second
				if kill {
					want = 0
				}
				if took := time.Since(start); took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				if done := r.results(); len(done) != 1 || done[0].attempt.Outcome != mail.OutcomeUncertain {
					t.Errorf("got %+v", done)
				}
			})
		})
	}
}

func TestAPanicInASessionIsUncertainAndTheLaneGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(lane.Options{}, lane.Limits{Connections: 1, Depth: 100})
		r.carry = func(_ context.Context, _ <-chan struct{}, j *lane.Job) mail.Outcome {
			if j.Message.Subject == "bad" {
				panic("a fault of ours")
			}
			return mail.OutcomeDelivered
		}
		r.running(t, func() {
			r.offer(t, job("bad", mail.Normal), job("good", mail.Normal))
			synctest.Wait()
		})
		done := r.results()
		if len(done) != 2 || done[0].attempt.Outcome != mail.OutcomeUncertain || done[1].attempt.Outcome != mail.OutcomeDelivered {
			t.Errorf("got %+v", done)
		}
		if r.opened.Load() != 2 || r.closed.Load() != 2 {
			t.Errorf("%d opened, %d closed", r.opened.Load(), r.closed.Load())
		}
	})
}

// Every job offered comes back exactly once, whatever happens at the same time.
func TestEveryJobComesBackOnce(t *testing.T) {
	t.Parallel()
	r := newRig(lane.Options{MaxWait: 20 * time.Millisecond}, lane.Limits{Connections: 5, Reserved: 1, Depth: 50, PerSession: 7, Idle: time.Millisecond})
	var taken atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	var offering sync.WaitGroup
	for g := range 8 {
		offering.Go(func() {
			for i := range 2000 {
				if r.Offer(job("x", mail.Tier((g+i)%mail.Tiers))) == nil {
					taken.Add(1)
				}
				if i%500 == 0 {
					time.Sleep(3 * time.Millisecond)
				}
			}
		})
	}
	go func() { // in the middle of it, however slow the machine is
		for taken.Load() < 2000 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	offering.Wait()
	stop()
	<-ended
	if got := int64(len(r.results())); got != taken.Load() || got == 0 {
		t.Errorf("%d taken, %d came back", taken.Load(), got)
	}
}

func BenchmarkOfferToDone(b *testing.B) {
	limits := lane.Limits{Connections: 20, Reserved: 2, Depth: 1 << 30, PerSession: 100}
	done := make(chan struct{}, 1<<16)
	m := lane.New(lane.Options{
		Limits:  func(lane.Key) lane.Limits { return limits },
		Carrier: func(*route.Route) lane.Carrier { return noop{} },
		Done:    func(*lane.Job, []mail.Attempt) { done <- struct{}{} },
	})
	jobs := make([]*lane.Job, 1024)
	for i := range jobs {
		jobs[i] = job("x", mail.Normal)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		_ = m.Offer(jobs[i%len(jobs)])
		if i >= len(jobs)/2 { // so many under way at a time
			<-done
		}
	}
}

type noop struct{}

func (noop) Session(lane.Key, *route.Route) lane.Session { return noop{} }
func (noop) Carry(context.Context, <-chan struct{}, *lane.Job) []mail.Attempt {
	return []mail.Attempt{{Outcome: mail.OutcomeDelivered}}
}
func (noop) Reusable() bool { return true }
func (noop) Close()         {}

package queue_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/route"
)

// rig is a queue with a store, a router and a carrier that do what a test says.
type rig struct {
	*queue.Queue
	t     *testing.T
	store *fakeStore

	mu      sync.Mutex
	routes  map[string]*route.Route
	ask     func(ctx context.Context, destination string) (*route.Route, error) // nil: a site of its own, at once
	carry   func(ctx context.Context, soft <-chan struct{}, w *mail.Work) mail.Attempt
	carried []string // addresses, in the order their attempts ended
	jobs    []int    // works of each job
	limits  lane.Limits
}

func newRig(t *testing.T, change ...func(*queue.Options, *rig)) *rig {
	r := &rig{t: t, store: newStore(), routes: map[string]*route.Route{},
		limits: lane.Limits{Connections: 2, Depth: 100, PerSession: 100, Idle: time.Second}}
	o := queue.Options{
		Store: r.store, Router: r,
		Carrier: func(*route.Route) lane.Carrier { return r },
		Limits:  func(lane.Key) lane.Limits { return r.limits },
		Jitter:  func() float64 { return 0.5 },
		Log:     slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o, r)
	}
	o.Limits = func(lane.Key) lane.Limits { return r.limits }
	r.Queue = queue.New(o)
	return r
}

func (r *rig) Cached(_ mail.Env, destination string) *route.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routes[destination]
}

func (r *rig) Route(ctx context.Context, _ mail.Env, destination string) (*route.Route, error) {
	if r.ask != nil {
		if got, err := r.ask(ctx, destination); got != nil || err != nil {
			return got, err
		}
	}
	return r.know(destination, "mx."+destination), nil
}

func (r *rig) know(destination, site string) *route.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	way := &route.Route{Destination: destination, Site: site, Hosts: []route.Host{{Name: site}}, Source: route.Source{Name: "default"}}
	r.routes[destination] = way
	return way
}

func (r *rig) Session(lane.Key, *route.Route) lane.Session { return r }
func (r *rig) Reusable() bool                              { return true }
func (r *rig) Close()                                      {}

func (r *rig) Carry(ctx context.Context, soft <-chan struct{}, job *lane.Job) []mail.Attempt {
	attempts := make([]mail.Attempt, len(job.Works))
	select {
	case <-soft:
		return attempts
	default:
	}
	verdicts, err := r.Begin(ctx, job.Works, job.Route.Site)
	if err != nil {
		return attempts
	}
	for i, w := range job.Works {
		if !verdicts[i].Go {
			attempts[i].Outcome = verdicts[i].Outcome
			continue
		}
		attempts[i] = mail.Attempt{Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Text: "OK"}}
		if r.carry != nil {
			attempts[i] = r.carry(ctx, soft, w)
		}
		attempts[i].Site = job.Route.Site
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range job.Works {
		r.carried = append(r.carried, w.Delivery.Address)
	}
	r.jobs = append(r.jobs, len(job.Works))
	return attempts
}

// running runs the queue in a bubble of its own clock, and stops it after f.
func (r *rig) running(f func()) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	synctest.Wait()
	f()
	stop()
	if err := <-ended; err != nil {
		r.t.Error(err)
	}
	if s := r.Stats(); s.Held != 0 {
		r.t.Errorf("%d deliveries are still held after the stop", s.Held)
	}
}

// send accepts one message as submit does.
func (r *rig) send(tier mail.Tier, addresses ...string) {
	now := time.Now()
	leased := true
	for _, a := range addresses {
		leased = r.Reserve(mail.Owner{Project: 1}, mail.Address{Email: a}.Domain(), tier) && leased
	}
	if len(addresses) > 1 && !leased {
		r.t.Fatal("no room for several")
	}
	works := r.store.accept(now, tier, leased, addresses...)
	if leased {
		r.Dispatch(works)
		return
	}
	r.Waiting(mail.Owner{Project: 1}, mail.Address{Email: addresses[0]}.Domain(), tier, now)
}

func (r *rig) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.carried)
}

func (r *rig) wantStory(i int, want string) {
	r.t.Helper()
	if got := strings.Join(r.store.story(i), " "); got != want {
		r.t.Errorf("delivery %d: events %q, want %q", i, got, want)
	}
}

func reply(outcome mail.Outcome, code int, class mail.Class, text string) mail.Attempt {
	return mail.Attempt{Outcome: outcome, Class: class, Reply: mail.Reply{Code: code, Text: text}}
}

// pass lets time pass in the bubble, and everybody come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

func TestAMessageOnTheFastPathIsDeliveredWithoutAClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		r.running(func() {
			claims := r.store.claimed()
			r.send(mail.Normal, "ada@there.test")
			synctest.Wait()
			r.wantStory(0, "accepted delivered")
			got := r.store.row(0)
			if got.place != "done" || got.work.Delivery.Status != mail.Delivered || got.work.Delivery.Tries != 1 || r.store.claimed() != claims {
				t.Errorf("%+v after %d claims", got.work.Delivery, r.store.claimed()-claims)
			}
			d := got.events[0].Detail
			if d.Summary != "Queue there, pool main" || d.Site != "there" || d.Previous != "queued" {
				t.Errorf("accepted: %+v", d)
			}
			d = got.events[1].Detail
			if d.Previous != "accepted" || d.Attempt != 1 || d.AttemptID == "" || d.Reply.Code != 250 || d.Summary != "250 OK" || d.DeliveryMS == nil {
				t.Errorf("delivered: %+v", d)
			}
		})
	})
}

func TestDeliveriesOfOneMessageToOneSiteTravelTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("a.test", "one")
		r.know("b.test", "one")
		r.know("c.test", "two")
		r.running(func() {
			r.send(mail.Normal, "1@a.test", "2@b.test", "3@c.test", "4@a.test", "5@new.test", "6@new.test")
			synctest.Wait()
			slices.Sort(r.jobs)
			if !slices.Equal(r.jobs, []int{1, 2, 3}) {
				t.Errorf("jobs of %v works", r.jobs)
			}
			if n := r.store.places()["done"]; n != 6 {
				t.Errorf("%d done", n)
			}
		})
	})
}

func TestTheSandboxMayHastenTheLadder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		var at []time.Duration
		start := time.Now()
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			at = append(at, time.Since(start).Round(time.Millisecond))
			a := reply(mail.OutcomeDeferred, 451, mail.ClassUnknownUser, "4.3.0 later")
			a.Scale = 0.01
			return a
		}
		r.running(func() {
			r.send(mail.Normal, "ada@there.test")
			pass(time.Hour)
			r.wantStory(0, "accepted deferred deferred deferred deferred deferred bounced")
			want := []time.Duration{0, 300 * time.Millisecond, 3300 * time.Millisecond, 21300 * time.Millisecond, 93300 * time.Millisecond, 273300 * time.Millisecond}
			if !slices.Equal(at, want) {
				t.Errorf("tried at %v, want %v", at, want)
			}
		})
	})
}

func TestTheLadderIsClimbedAndThenTheMessageBounces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		var at []time.Duration
		start := time.Now()
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			at = append(at, time.Since(start).Round(time.Second))
			return reply(mail.OutcomeDeferred, 451, mail.ClassUnknownUser, "4.3.0 later")
		}
		r.running(func() {
			r.send(mail.Normal, "ada@there.test")
			pass(24 * time.Hour)
			r.wantStory(0, "accepted deferred deferred deferred deferred deferred bounced")
			want := []time.Duration{0, 30 * time.Second, 330 * time.Second, 2130 * time.Second, 9330 * time.Second, 27330 * time.Second}
			if !slices.Equal(at, want) {
				t.Errorf("tried at %v, want %v", at, want)
			}
			got := r.store.row(0)
			b := got.result.Bounce
			if b == nil || b.Type != "soft" || b.Reason != "retries_exhausted" || b.Attempts != 6 || len(r.store.suppress) != 0 {
				t.Errorf("bounce %+v, %d suppressions", b, len(r.store.suppress))
			}
			if d := got.events[1].Detail; *d.AttemptsLeft != 5 || !d.NextAttemptAt.Equal(start.Add(30*time.Second)) || d.Previous != "accepted" {
				t.Errorf("first deferral: %+v", d)
			}
			for i, a := range got.tried {
				if a.Number != i+1 {
					t.Errorf("attempt %d has number %d", i+1, a.Number)
				}
			}
		})
	})
}

func TestJitterAndTheSitesFloorMoveTheNextAttempt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		jitter float64
		after  time.Duration
		want   time.Duration
	}{
		"earliest": {0, 0, 27 * time.Second},
		"latest":   {1, 0, 33 * time.Second},
		"floor":    {0.5, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, func(o *queue.Options, _ *rig) { o.Jitter = func() float64 { return c.jitter } })
				r.know("there.test", "there")
				start := time.Now()
				r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
					a := reply(mail.OutcomeDeferred, 451, mail.ClassOther, "later")
					a.RetryAfter = c.after
					return a
				}
				r.running(func() {
					r.send(mail.Normal, "ada@there.test")
					synctest.Wait()
					if got := r.store.row(0).work.Delivery.Due.Sub(start); got != c.want {
						t.Errorf("due after %v, want %v", got, c.want)
					}
				})
			})
		})
	}
}

func TestAnUncertainAttemptIsDeferredAndSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		tries := 0
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			if tries++; tries == 1 {
				return reply(mail.OutcomeUncertain, 0, mail.ClassNetwork, "the connection broke after the final dot")
			}
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "ada@there.test")
			pass(time.Minute)
			r.wantStory(0, "accepted deferred delivered")
			got := r.store.row(0)
			if got.events[1].Detail.Reason != "uncertain_after_data" || got.tried[0].Outcome != mail.OutcomeUncertain || r.Stats().Uncertain != 1 {
				t.Errorf("%+v, %+v", got.events[1].Detail, got.tried[0])
			}
		})
	})
}

func TestOnlyFaultsOfTheRecipientSuppress(t *testing.T) {
	t.Parallel()
	for class, want := range map[mail.Class]bool{
		mail.ClassUnknownUser: true, mail.ClassInactive: true, mail.ClassBadDomain: true,
		mail.ClassPolicy: false, mail.ClassReputation: false, mail.ClassContent: false, mail.ClassOther: false, mail.ClassMailboxFull: false,
	} {
		t.Run(string(class), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t)
				for _, d := range []string{"there.test", route.SandboxDomain} {
					r.know(d, "site")
				}
				r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
					return reply(mail.OutcomeBounced, 550, class, "no")
				}
				r.running(func() {
					r.send(mail.Normal, "Ada@there.test")
					r.send(mail.Normal, "ada@"+route.SandboxDomain)
					synctest.Wait()
					r.wantStory(0, "accepted bounced")
					s, got := r.store.suppress["ada@there.test"]
					if got != want {
						t.Fatalf("suppressed: %v", got)
					}
					d := r.store.row(0).events[1].Detail
					if d.Bounce.Type != "hard" || d.Bounce.Reason != "rejected" || (d.SuppressionID != "") != want {
						t.Errorf("event: %+v", d)
					}
					if !want {
						return
					}
					if d.SuppressionID != s.ID.Text("sup") || s.Kind != mail.KindHardBounce || s.Detail != "550 no" || !s.ExpiresAt.IsZero() {
						t.Errorf("suppression: %+v", s)
					}
					if s := r.store.suppress["ada@"+route.SandboxDomain]; time.Until(s.ExpiresAt) != time.Hour {
						t.Errorf("of the sandbox, it expires %v", s.ExpiresAt)
					}
				})
			})
		})
	}
}

func TestARefusalOfTheRouteReachesNoLane(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		permanent bool
		want      string
	}{"permanent": {true, "bounced"}, "temporary": {false, "deferred deferred deferred deferred deferred bounced"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t)
				r.ask = func(context.Context, string) (*route.Route, error) {
					return nil, &route.Refusal{Permanent: c.permanent, Class: mail.ClassNetwork, Reply: mail.Reply{Text: "no such thing"}}
				}
				r.running(func() {
					r.send(mail.Normal, "ada@gone.test")
					pass(24 * time.Hour)
					r.wantStory(0, c.want)
					if got := r.store.row(0); got.tried[0].Reply.Text != "no such thing" || got.events[0].Detail.Previous != "queued" {
						t.Errorf("%+v", got)
					}
				})
			})
		})
	}
}

func TestALookupThatHangsHoldsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(o *queue.Options, _ *rig) { o.Lookups = 2 })
		var asked atomic.Int32
		r.ask = func(ctx context.Context, destination string) (*route.Route, error) {
			if destination == "hangs.test" {
				asked.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, nil
		}
		r.running(func() {
			for range 300 {
				r.send(mail.Normal, "ada@hangs.test")
			}
			if r.Reserve(mail.Owner{Project: 1}, "hangs.test", mail.Urgent) {
				t.Error("there is room for more of a destination that hangs")
			}
			r.send(mail.Normal, "ada@fine.test")
			synctest.Wait()
			r.wantStory(300, "accepted delivered")
			if asked.Load() != 1 {
				t.Errorf("asked %d times for one destination", asked.Load())
			}
			pass(31 * time.Second)
			r.wantStory(0, "deferred")
			if a := r.store.row(0).tried[0]; a.Class != mail.ClassNetwork || a.Reply.Enhanced != "4.4.3" {
				t.Errorf("%+v", a)
			}
		})
	})
}

func TestAStuckDestinationDoesNotDelayAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) { r.limits.Depth = 10 })
		r.know("stuck.test", "stuck")
		r.know("fine.test", "fine")
		r.carry = func(ctx context.Context, _ <-chan struct{}, w *mail.Work) mail.Attempt {
			if w.Delivery.Destination == "stuck.test" {
				<-ctx.Done()
				return reply(mail.OutcomeUncertain, 0, mail.ClassNetwork, "cut")
			}
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			for range 500 {
				r.send(mail.Normal, "ada@stuck.test")
			}
			pass(time.Minute)
			start := time.Now()
			r.send(mail.Normal, "ada@fine.test")
			synctest.Wait()
			r.wantStory(500, "accepted delivered")
			if took := time.Since(start); took > 0 {
				t.Errorf("it took %v", took)
			}
			if held := r.Stats().Held; held > 50 {
				t.Errorf("%d held for a destination that is stuck", held)
			}
			before := r.store.claimed()
			pass(10 * time.Minute)
			if n := r.store.claimed() - before; n > 400 {
				t.Errorf("%d claims in ten minutes of standing still", n)
			}
			r.Kill()
		})
	})
}

func TestUrgentMailOvertakesBulkInTheStoreAndInItsLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) {
			r.limits = lane.Limits{Connections: 1, Depth: 100, PerSession: 100, Idle: time.Second}
		})
		r.know("there.test", "there")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(time.Second)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			for range 2000 {
				r.send(mail.Bulk, "bulk@there.test")
			}
			pass(10500 * time.Millisecond)
			before := len(r.order())
			r.send(mail.Urgent, "urgent@there.test")
			pass(2 * time.Second)
			if at := slices.Index(r.order(), "urgent@there.test"); at != before+1 {
				t.Errorf("the urgent one went as number %d, want %d", at, before+1)
			}
			pass(40 * time.Minute)
			if n := r.store.places()["done"]; n != 2001 {
				t.Errorf("%d of 2001 done", n)
			}
		})
	})
}

func TestMailThatFoundNoRoomGoesInTheOrderItCame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) {
			r.limits = lane.Limits{Connections: 1, Depth: 4, PerSession: 100, Idle: time.Second}
		})
		r.know("there.test", "there")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(time.Second)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			var want []string
			for i := range 60 {
				address := string(rune('a'+i/26)) + string(rune('a'+i%26)) + "@there.test"
				want = append(want, address)
				r.send(mail.Normal, address)
				if i > 30 { // also while older mail is being claimed
					pass(700 * time.Millisecond)
				}
			}
			pass(5 * time.Minute)
			if got := r.order(); !slices.Equal(got, want) {
				t.Errorf("order %v", got)
			}
			if s := r.Stats(); s.Backlogs != 0 || s.Claimed == 0 {
				t.Errorf("%d backlogs, %d claimed", s.Backlogs, s.Claimed)
			}
			r.send(mail.Normal, "fast@there.test")
			if r.Stats().Dispatched < 2 {
				t.Error("the fast path is not taken again once the backlog is gone")
			}
			pass(time.Minute)
		})
	})
}

func TestALaneThatIsSlowGivesBackAndNothingIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) {
			r.limits = lane.Limits{Connections: 2, Depth: 20, PerSession: 100, Idle: time.Second}
		})
		r.know("slow.test", "slow")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(25 * time.Second)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			for range 30 {
				r.send(mail.Normal, "ada@slow.test")
			}
			pass(32 * time.Second)
			waits := 0
			for i := range 30 {
				if r.store.row(i).work.Delivery.Wait == mail.WaitLaneFull && r.store.row(i).place == "waiting" {
					waits++
				}
			}
			if waits == 0 {
				t.Error("nobody waits because the lane is full")
			}
			pass(time.Hour)
			for i := range 30 {
				r.wantStory(i, "accepted delivered")
			}
		})
	})
}

func TestLeasesOfWhatIsHeldAreRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("slow.test", "slow")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(10 * time.Minute)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "ada@slow.test")
			pass(11 * time.Minute)
			r.wantStory(0, "accepted delivered")
			if n := r.store.renewed; n < 28 || n > 32 {
				t.Errorf("renewed %d times in ten minutes, want every 20 s", n)
			}
		})
	})
}

func TestAStartTakesBackWhatTheLastRunHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		old := time.Now().Add(-10 * time.Second)
		r.store.accept(old, mail.Normal, true, "begun@there.test")
		r.store.accept(old, mail.Normal, true, "leased@there.test")
		other := r.store.accept(old, mail.Normal, true, "other@there.test")
		r.store.rows[0].begun = true
		r.store.rows[0].work.Delivery.AcceptedAt, r.store.rows[0].work.Delivery.Status = old, mail.Accepted
		r.store.rows[2].node = "another"
		r.store.rows[2].work.Lease = other[0].Lease
		r.running(func() {
			pass(time.Second)
			r.wantStory(0, "deferred")
			r.wantStory(1, "accepted delivered")
			r.wantStory(2, "")
			first := r.store.row(0)
			if first.events[0].Detail.Reason != "uncertain_after_data" || first.tried[0].Outcome != mail.OutcomeUncertain {
				t.Errorf("%+v", first.events[0].Detail)
			}
			pass(2 * time.Minute)
			r.wantStory(0, "deferred delivered")
			r.wantStory(2, "accepted delivered") // after its lease ran out
		})
	})
}

func TestWhatIsHeldIsNeverRescuedFromOurselves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("slow.test", "slow")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(10 * time.Minute)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "ada@slow.test")
			synctest.Wait()
			r.store.mu.Lock()
			r.store.fail["Renew"] = -1
			r.store.mu.Unlock()
			pass(5 * time.Minute)
			r.store.mu.Lock()
			r.store.fail["Renew"] = 0
			r.store.mu.Unlock()
			pass(6 * time.Minute)
			r.wantStory(0, "accepted delivered")
		})
	})
}

func TestAStoreThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Claim", "NextDue", "Begin", "Settle", "Renew", "Rescue"} {
		t.Run(method, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t)
				r.know("there.test", "there")
				r.store.fail[method] = 5
				r.store.accept(time.Now(), mail.Normal, false, "ada@there.test")
				r.running(func() {
					pass(2 * time.Minute)
					r.wantStory(0, "accepted delivered")
				})
			})
		})
	}
}

func TestOneResultTheStoreNeverTakesKeepsNoOtherBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(o *queue.Options, _ *rig) { o.SettleLimit = time.Second })
		r.know("there.test", "there")
		r.store.refuseRow = 7
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		for range 50 {
			r.send(mail.Normal, "ada@there.test")
		}
		pass(time.Minute)
		if n := r.store.places(); n["done"] != 49 || n["leased"] != 1 {
			t.Errorf("%v", n)
		}
		stop()
		<-ended
	})
}

func TestASuppressionFoundBeforeTheWireStopsTheDelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		r.store.suppress["ada@there.test"] = mail.Suppression{ID: mail.NewID(time.Now()), Reason: "complaint", Kind: mail.KindComplaint}
		r.running(func() {
			r.send(mail.Normal, "Ada@there.test", "bob@there.test")
			synctest.Wait()
			r.wantStory(0, "suppressed")
			r.wantStory(1, "accepted delivered")
			got := r.store.row(0)
			if got.result.Blocked == nil || got.events[0].Detail.Suppression.Kind != mail.KindComplaint || len(got.tried) != 0 {
				t.Errorf("%+v", got.result)
			}
		})
	})
}

func TestAnExpiredMessageIsNotTried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			return reply(mail.OutcomeDeferred, 451, mail.ClassOther, "later")
		}
		r.running(func() {
			works := r.store.accept(time.Now(), mail.Normal, true, "ada@there.test")
			until := time.Now().Add(10 * time.Second)
			works[0].Message.ExpiresAt = until
			if !r.Reserve(mail.Owner{Project: 1}, "there.test", mail.Normal) {
				t.Fatal("no room")
			}
			r.Dispatch(works)
			pass(11 * time.Second)
			r.wantStory(0, "accepted deferred expired")
			if d := r.store.row(0).events[2].Detail; !d.ExpiresAt.Equal(until) || d.Attempt != 1 {
				t.Errorf("%+v", d)
			}
		})
	})
}

func TestACancelledDeliveryIsNotCarriedAndNothingMoreIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) { r.limits.Connections = 1 })
		r.know("there.test", "there")
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(time.Second)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "first@there.test")
			r.send(mail.Normal, "second@there.test")
			if got, err := r.Cancel(t.Context(), queue.Change{Message: r.store.row(1).work.Message.ID}); err != nil || got.Count != 1 {
				t.Fatal(got, err)
			}
			pass(5 * time.Second)
			r.wantStory(0, "accepted delivered")
			r.wantStory(1, "")
			if s := r.Stats(); s.Lost != 1 {
				t.Errorf("%d lost", s.Lost)
			}
		})
	})
}

func TestSendNowAndRescheduleWakeTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		r.running(func() {
			for range 2 {
				r.store.accept(time.Now().Add(time.Hour), mail.Normal, false, "ada@there.test")
				r.Waiting(mail.Owner{Project: 1}, "there.test", mail.Normal, time.Now().Add(time.Hour))
			}
			pass(time.Minute)
			now := time.Now()
			_, _ = r.SendNow(t.Context(), queue.Change{Message: r.store.row(0).work.Message.ID, Now: now})
			_, _ = r.Reschedule(t.Context(), queue.Change{Message: r.store.row(1).work.Message.ID, To: now.Add(time.Minute)})
			pass(time.Second)
			r.wantStory(0, "accepted delivered")
			r.wantStory(1, "")
			pass(60 * time.Second)
			r.wantStory(1, "accepted delivered")
		})
	})
}

func TestASoftStopFinishesTheWireAndGivesBackTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(_ *queue.Options, r *rig) { r.limits.Connections = 1 })
		r.know("there.test", "there")
		r.ask = func(ctx context.Context, _ string) (*route.Route, error) {
			<-ctx.Done()
			return nil, &route.Refusal{Permanent: true, Reply: mail.Reply{Text: "interrupted"}}
		}
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			time.Sleep(20 * time.Second)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "wire@there.test")
			r.send(mail.Normal, "lane@there.test")
			r.send(mail.Normal, "lookup@hangs.test")
			synctest.Wait()
		})
		r.wantStory(0, "accepted delivered")
		r.wantStory(1, "accepted") // it was next, so it was asked about: but nobody was tried
		r.wantStory(2, "")
		for i, status := range []mail.Status{1: mail.Accepted, 2: mail.Queued} {
			if d := r.store.row(i).work.Delivery; i > 0 && (r.store.row(i).place != "waiting" || d.Wait != mail.WaitRescued || d.Tries != 0 || d.Status != status) {
				t.Errorf("given back as %+v", d)
			}
		}
		if r.Reserve(mail.Owner{Project: 1}, "there.test", mail.Normal) {
			t.Error("there is room after the stop")
		}
		late := r.store.accept(time.Now(), mail.Normal, true, "late@there.test")
		r.Dispatch(late) // must neither block nor panic; the next start finds its lease
	})
}

func TestAHardStopCutsTheWireAndSettlesWhatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		r.carry = func(ctx context.Context, _ <-chan struct{}, _ *mail.Work) mail.Attempt {
			<-ctx.Done()
			return reply(mail.OutcomeUncertain, 0, mail.ClassNetwork, "cut after the dot")
		}
		start := time.Now()
		r.running(func() {
			r.send(mail.Normal, "ada@there.test")
			synctest.Wait()
		})
		r.wantStory(0, "accepted deferred")
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("the stop took %v, want the soft limit", took)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(o *queue.Options, r *rig) {
			o.MaxHeld, o.MaxContent = 100, 4*20
			r.limits.Depth = 1000
		})
		for i := range 40 {
			r.know(string(rune('a'+i))+".test", "site"+string(rune('a'+i)))
		}
		r.carry = func(ctx context.Context, soft <-chan struct{}, _ *mail.Work) mail.Attempt {
			select {
			case <-time.After(5 * time.Second):
			case <-soft:
			}
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			for i := range 400 {
				r.send(mail.Normal, "ada@"+string(rune('a'+i%40))+".test")
			}
			if r.Reserve(mail.Owner{Project: 1}, "a.test", mail.Bulk) {
				t.Error("bulk may take the last places")
			}
			for range 200 {
				s := r.Stats()
				if s.Held > 100 || s.Content > 80 {
					t.Fatalf("%d held, %d bytes", s.Held, s.Content)
				}
				pass(time.Second)
			}
			if n := r.store.places()["done"]; n != 400 {
				t.Errorf("%d of 400 done", n)
			}
		})
	})
}

func TestOneBusyLaneLeavesRoomForTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(o *queue.Options, r *rig) {
			o.MaxHeld = 1000
			r.limits.Depth = 800
		})
		r.know("stuck.test", "stuck")
		r.know("other.test", "other")
		r.carry = func(_ context.Context, soft <-chan struct{}, w *mail.Work) mail.Attempt {
			if w.Delivery.Destination == "stuck.test" {
				<-soft
			}
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			for range 1500 {
				r.send(mail.Normal, "ada@stuck.test")
			}
			if held := r.Stats().Held; held < 400 || held > 550 {
				t.Errorf("%d held for one destination, want about half of what there is room for", held)
			}
			r.send(mail.Normal, "ada@other.test")
			synctest.Wait()
			r.wantStory(1500, "accepted delivered")
		})
	})
}

func TestAComplaintFollowsItsDelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know(route.SandboxDomain, "sandbox")
		r.carry = func(_ context.Context, _ <-chan struct{}, w *mail.Work) mail.Attempt {
			r.Complain(w, map[bool]time.Duration{true: 0, false: time.Minute}[w.Delivery.Address == "now@"+route.SandboxDomain])
			time.Sleep(100 * time.Millisecond)
			return reply(mail.OutcomeDelivered, 250, "", "OK")
		}
		r.running(func() {
			r.send(mail.Normal, "now@"+route.SandboxDomain)
			r.send(mail.Normal, "later@"+route.SandboxDomain)
			pass(10 * time.Second)
			r.wantStory(0, "accepted delivered complained")
			r.wantStory(1, "accepted delivered")
			if s := r.store.suppress["now@"+route.SandboxDomain]; s.Kind != mail.KindComplaint || s.ExpiresAt.IsZero() {
				t.Errorf("%+v", s)
			}
		})
		r.wantStory(1, "accepted delivered complained") // the stop does not lose it
	})
}

func TestAFaultOfOursCountsAsNothingAndDoesNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t)
		r.know("there.test", "there")
		tries := 0
		r.carry = func(context.Context, <-chan struct{}, *mail.Work) mail.Attempt {
			tries++
			return mail.Attempt{Outcome: mail.Untried}
		}
		r.running(func() {
			r.send(mail.Normal, "ada@there.test")
			pass(time.Minute)
			r.wantStory(0, "accepted")
			if tries < 10 || tries > 13 || r.store.row(0).work.Delivery.Tries != 0 {
				t.Errorf("%d tries in a minute", tries)
			}
		})
	})
}

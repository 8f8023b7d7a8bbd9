package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// stuck is a client that waits for an answer longer than any test does.
func stuck(t *testing.T) func(*webhook.Options) {
	return func(o *webhook.Options) { o.Poster = local(t, within(10*patience)) }
}

func TestAnEventIsPostedMomentsAfterItsCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	// One after another: who is not woken looks every five seconds, and each waits for that. A machine that
	// stalls does so for a few of them.
	const events = 40
	for n := range events {
		w.accept(1)
		w.until("posted", func() bool { return in.count() == n+1 })
	}
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == events })
	var lags []time.Duration
	for _, p := range in.all() {
		lags = append(lags, p.at.Sub(p.when))
	}
	slices.Sort(lags)
	t.Logf("from event to receiver: median %v, p95 %v, worst %v", lags[events/2], lags[events*95/100], lags[events-1])
	if len(lags) != events || lags[events/2] > 2*time.Second {
		t.Errorf("%d posts, median %v", len(lags), lags[events/2])
	}
	if got := w.get(e).State; got.Backlog != 0 || got.SuccessAt.IsZero() {
		t.Errorf("%+v", got)
	}
	stats, err := w.service.Stats(t.Context(), w.owner, e.ID, time.Hour)
	if err != nil || stats.Delivered != events || stats.FailedTries != 0 || stats.SuccessRate != 1 || stats.P95 <= 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestAKillBetweenCommitAndFanOutLosesNothingAndDoublesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	w.stopped() // the node is gone; what commits now has no relay
	events := w.accept(20)
	w.restart()
	w.until("all posted", func() bool { return in.count() >= len(events) })
	w.restart()
	w.until("all recorded", func() bool { return len(w.deliveries(e, webhook.Delivered)) == len(events) })
	got := in.each()
	for _, id := range events {
		if got[id] != 1 {
			t.Errorf("%s came %d times", id, got[id])
		}
	}
}

// unrecorded is a store that forgets what came of posts, as a kill would.
type unrecorded struct{ webhook.Store }

func (unrecorded) SettleHooks(context.Context, time.Time, []webhook.Settlement) ([]int64, error) {
	return nil, errors.New("killed")
}

func TestAKillBetweenThePostAndItsRecordPostsOnceMoreUnderTheSameID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	w.stopped()
	w.start(func(o *webhook.Options) { o.Store = unrecorded{w.store} })
	id := w.accept(1)[0]
	w.until("posted", func() bool { return in.count() == 1 })
	w.restart()
	w.until("delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 1 })
	w.restart()
	time.Sleep(50 * time.Millisecond)
	if got := in.all(); len(got) != 2 || got[0].id != id || got[1].id != id {
		t.Errorf("%d posts", len(got))
	}
}

func TestAFailureIsTriedAgainByTheScheduleAndThenGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(100*time.Millisecond, 200*time.Millisecond))
	in := newInbox(t, always(http.StatusMovedPermanently, "Location", "http://169.254.169.254/latest"))
	e := w.create(in.url)
	w.accept(1)
	w.until("failed", func() bool { return len(w.deliveries(e, webhook.Failed)) == 1 })
	d := w.one(e)
	if d.Attempts != 3 || len(d.Tries) != 3 || d.Tries[0].Status != 301 || !d.NextAttempt.IsZero() || in.count() != 3 {
		t.Fatalf("%+v", d)
	}
	for i, least := range []time.Duration{90 * time.Millisecond, 180 * time.Millisecond} {
		if wait := d.Tries[i+1].At.Sub(d.Tries[i].At); wait < least {
			t.Errorf("wait %d was %v", i+1, wait)
		}
	}
	headers := map[string]string{}
	for _, h := range d.Tries[2].RequestHeaders {
		headers[strings.ToLower(h.Name)] = h.Value
	}
	if headers["webhook-id"] != d.Event.Text(mail.PrefixEvent) || headers["x-postroad-attempt"] != "3" || headers["webhook-signature"] == "" {
		t.Errorf("%v", headers)
	}
	if string(d.Body) != string(in.all()[0].body) {
		t.Errorf("the body shown is not the one sent:\n%s\n%s", d.Body, in.all()[0].body)
	}
	if c := w.service.Counters(); c.FailedTries != 3 || c.Failed != 1 || c.Delivered != 0 {
		t.Errorf("%+v", c)
	}
}

func TestRetryBeginsAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour))
	var well atomic.Bool
	in := newInbox(t, func(w http.ResponseWriter, _ posted) {
		if !well.Load() {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	e := w.create(in.url)
	w.accept(1)
	w.until("tried", func() bool { return in.count() == 1 && w.one(e).Attempts == 1 })
	well.Store(true)
	if _, err := w.service.Retry(t.Context(), w.owner, w.one(e).ID, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.until("delivered", func() bool { return w.one(e).Status == webhook.Delivered })
	if got := in.all(); len(got) != 2 || got[0].id != got[1].id {
		t.Errorf("%d posts", len(got))
	}
	if _, err := w.service.Retry(t.Context(), w.owner, mail.NewID(time.Now()), nil, nil); !errors.Is(err, mail.ErrNotFound) {
		t.Error(err)
	}
}

func TestRetryAfterIsWaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(10*time.Millisecond))
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		if p.nth == 1 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	e := w.create(in.url)
	w.accept(1)
	w.until("delivered", func() bool { return w.one(e).Status == webhook.Delivered })
	d := w.one(e)
	if wait := d.Tries[1].At.Sub(d.Tries[0].At); wait < 1900*time.Millisecond {
		t.Errorf("waited %v", wait)
	}
}

func TestARetryAfterOfADayPutsTheNextTryOffByADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(10*time.Millisecond))
	in := newInbox(t, always(http.StatusTooManyRequests, "Retry-After", "999999"))
	e := w.create(in.url)
	w.accept(1)
	w.until("tried", func() bool { return w.one(e).Attempts == 1 })
	if wait := w.one(e).NextAttempt.Sub(w.now()); wait < 23*time.Hour || wait > 24*time.Hour {
		t.Errorf("next try in %v", wait)
	}
}

func TestAbortMessageEndsTheRetriesOfThatOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(10*time.Millisecond))
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		if p.kind == "message.queued" {
			w.Header().Set("webhook-delivery", "abort-message")
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	e := w.create(in.url)
	w.accept(1)
	w.deliver()
	w.until("all over", func() bool {
		return len(w.deliveries(e, webhook.Failed)) == 1 && len(w.deliveries(e, webhook.Delivered)) == 2
	})
	if n := in.count(); n != 3 {
		t.Errorf("%d posts", n)
	}
}

func TestAGoneEndpointIsDisabledAtOnceAndCanHaveWhatItMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var well atomic.Bool
	in := newInbox(t, func(w http.ResponseWriter, _ posted) {
		if !well.Load() {
			w.WriteHeader(http.StatusGone)
		}
	})
	others := newInbox(t, nil)
	e, _ := w.create(in.url), w.create(others.url, wants("webhook.*"))
	events := w.accept(1)
	w.until("disabled", func() bool { return w.get(e).Status == webhook.Disabled })
	if got := w.get(e); !strings.Contains(got.DisabledReason, "410") || got.DisabledAt.IsZero() {
		t.Errorf("%+v", got)
	}
	events = append(events, w.accept(5)...)
	w.until("the other is told", func() bool { return others.count() == 1 })
	if got := others.all()[0]; got.kind != "webhook.disabled" || !strings.Contains(string(got.body), e.ID.Text("wh")) {
		t.Errorf("%s", got.body)
	}
	if d := w.one(e); d.Status != webhook.Parked || in.count() != 1 {
		t.Errorf("%+v, %d posts", d, in.count())
	}
	if n, more, since, err := w.service.Missed(t.Context(), w.owner, e.ID); n != 6 || more || since.IsZero() || err != nil {
		t.Errorf("missed %d %v %v %v", n, more, since, err)
	}
	var conflict *webhook.Conflict
	if _, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{}, nil, nil); !errors.As(err, &conflict) {
		t.Errorf("a replay to a disabled webhook: %v", err)
	}
	well.Store(true)
	on, j, err := w.service.Enable(t.Context(), w.owner, e.ID, true, "key_x", nil, nil)
	if err != nil || on.Status != webhook.Enabled || j == nil {
		t.Fatal(on, j, err)
	}
	events = append(events, w.accept(1)...)
	w.until("all came", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 7 })
	got := in.each()
	for i, id := range events {
		if want := map[bool]int{true: 2, false: 1}[i == 0]; got[id] != want {
			t.Errorf("event %d came %d times, want %d", i, got[id], want)
		}
	}
	w.until("the job is done", func() bool {
		kept, err := w.store.Job(t.Context(), w.owner, j.ID)
		return err == nil && kept.Status == job.Done && kept.Facts.Created == 5
	})
}

func TestEnablingWithoutWhatWasMissedBeginsWithWhatComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	if _, err := w.service.Disable(t.Context(), w.owner, e.ID, "key_x", nil, nil); err != nil {
		t.Fatal(err)
	}
	w.accept(3)
	if _, j, err := w.service.Enable(t.Context(), w.owner, e.ID, false, "key_x", nil, nil); err != nil || j != nil {
		t.Fatal(j, err)
	}
	id := w.accept(1)[0]
	w.until("delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 1 })
	if got := in.each(); len(got) != 1 || got[id] != 1 {
		t.Errorf("%v", got)
	}
}

func TestTheBreakerParksWithoutUsingTriesAndDrainsWhenTheEndpointIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour)) // two tries
	var well atomic.Bool
	in := newInbox(t, func(w http.ResponseWriter, _ posted) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	e := w.create(in.url)
	const events = 40
	w.accept(events)
	w.until("parked", func() bool { return len(w.deliveries(e, webhook.Parked)) == events })
	w.until("probed", func() bool { return w.service.Counters().Probes >= 5 })
	tried := 0
	for _, d := range w.deliveries(e, "") {
		if d.Status != webhook.Parked || d.Attempts > 1 {
			t.Errorf("%+v", d)
		}
		tried += d.Attempts
	}
	if tried < 10 || tried > 20 { // ten in a row open it; a few were under way
		t.Errorf("%d tries were used", tried)
	}
	if got := w.get(e).State; got.Breaking() != webhook.BreakerOpen || got.Failures < 10 {
		t.Errorf("%+v", got)
	}
	well.Store(true)
	// Those not tried are due; the others in an hour.
	w.until("drained", func() bool { return len(w.deliveries(e, webhook.Delivered)) >= events-tried })
	if got := w.get(e).State; got.Breaking() == webhook.BreakerOpen || got.Failures != 0 {
		t.Errorf("%+v", got)
	}
	w.ahead.Add(int64(2 * time.Hour))
	w.accept(1)
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == events+1 })
	if got := w.get(e).State; got.Breaking() != webhook.BreakerClosed {
		t.Errorf("%+v", got)
	}
	for id, n := range in.each() {
		if n > 1+5+int(w.service.Counters().Probes) {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

func TestABreakerStaysOpenOverARestart(t *testing.T) {
	t.Parallel()
	slow := func(o *webhook.Options) { o.Schedule, o.Probe = []time.Duration{time.Hour}, time.Hour }
	w := newWorld(t, slow)
	in := newInbox(t, always(500))
	e := w.create(in.url)
	w.accept(30)
	w.until("open", func() bool { return w.get(e).State.Breaking() == webhook.BreakerOpen })
	w.restart(slow)
	before := in.count()
	time.Sleep(200 * time.Millisecond)
	if n := in.count(); n != before {
		t.Errorf("%d posts by the next life", n-before)
	}
}

func TestAnEndpointThatFailsForDaysIsWarnedOfAndDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour))
	in := newInbox(t, always(500))
	others := newInbox(t, nil)
	e := w.create(in.url, wants("message.*"))
	w.create(others.url, wants("webhook.*"))
	w.accept(30)
	w.until("open", func() bool { return w.service.Counters().Probes >= 12 })
	kinds := func() (out []string) {
		for _, p := range others.all() {
			out = append(out, p.kind)
		}
		return out
	}
	for i, step := range []time.Duration{time.Hour, 23 * time.Hour, 72 * time.Hour} {
		w.ahead.Add(int64(step + time.Minute))
		w.accept(1) // so that somebody looks at the clock
		w.until("warned", func() bool { return others.count() == i+1 })
	}
	if got := w.get(e); got.Status != webhook.Enabled {
		t.Errorf("disabled after four days: %+v", got)
	}
	w.accept(1) // while it is owed events: a probe may look at the clock at once
	w.until("parked", func() bool { return len(w.deliveries(e, webhook.Parked)) == 34 })
	w.ahead.Add(int64(25 * time.Hour))
	w.until("disabled", func() bool { return w.get(e).Status == webhook.Disabled })
	w.until("told", func() bool { return others.count() == 4 })
	if got := kinds(); !slices.Equal(got, []string{"webhook.failing", "webhook.failing", "webhook.failing", "webhook.disabled"}) {
		t.Errorf("%v", got)
	}
	if got := w.get(e); !strings.Contains(got.DisabledReason, "5 days") {
		t.Errorf("%q", got.DisabledReason)
	}
	if n := len(w.deliveries(e, webhook.Parked)); n != 34 {
		t.Errorf("%d are parked", n)
	}
}

func TestRecoveryIsToldOnlyAfterAWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour))
	var well atomic.Bool
	in := newInbox(t, func(w http.ResponseWriter, _ posted) {
		if !well.Load() {
			w.WriteHeader(500)
		}
	})
	others := newInbox(t, nil)
	w.create(in.url, wants("message.*"))
	w.create(others.url, wants("webhook.*"))
	w.accept(30)
	w.until("open", func() bool { return w.service.Counters().Probes >= 1 })
	w.ahead.Add(int64(2 * time.Hour))
	w.accept(1)
	w.until("warned", func() bool { return others.count() == 1 })
	well.Store(true)
	w.until("told", func() bool { return others.count() == 2 })
	if got := others.all()[1]; got.kind != "webhook.recovered" {
		t.Errorf("%s", got.body)
	}
}

func TestAHangingEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour), stuck(t)) // who waits for one of them is in no test's time
	release := make(chan struct{})
	hang := newInbox(t, func(http.ResponseWriter, posted) { <-release })
	t.Cleanup(func() { close(release) })
	for range 5 {
		w.create(hang.url)
	}
	in := newInbox(t, nil)
	e := w.create(in.url)
	const events = 300
	for range events / 5 {
		w.accept(5)
		time.Sleep(10 * time.Millisecond)
	}
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == events })
	var lags []time.Duration
	for _, p := range in.all() {
		lags = append(lags, p.at.Sub(p.when))
	}
	slices.Sort(lags)
	t.Logf("beside five that hang, 500 events/s: median %v, p95 %v", lags[events/2], lags[events*95/100])
	if n := hang.count(); n > 5*10 {
		t.Errorf("%d requests hang", n)
	}
}

func TestADeadEndpointsBacklogStaysInTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour))
	dead := newInbox(t, always(500))
	e := w.create(dead.url)
	for range 8 {
		w.accept(500)
	}
	w.until("all owed", func() bool { return w.get(e).State.Backlog == 4000 })
	if held := w.service.Counters().Held; held > 200 {
		t.Errorf("%d hooks are held", held)
	}
	in := newInbox(t, nil)
	good := w.create(in.url)
	w.accept(50)
	w.until("all delivered", func() bool { return len(w.deliveries(good, webhook.Delivered)) == 50 })
}

func TestInOrderNoEventOvertakesTheOneBeforeOfItsMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond))
	var n atomic.Int64
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		if p.nth == 1 && n.Add(1)%3 == 0 {
			w.WriteHeader(500)
		}
	})
	e := w.create(in.url, func(n *webhook.NewEndpoint) { n.Ordering = webhook.OrderPerMessage })
	const messages = 25
	w.accept(messages)
	w.deliver()
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 3*messages })
	next, failed := map[string][]string{}, 0
	seen := map[string]bool{}
	for _, p := range in.all() {
		if p.nth > 1 {
			failed++
		}
		if !seen[p.id] {
			next[p.message] = append(next[p.message], p.kind)
		} else if last := next[p.message]; last[len(last)-1] != p.kind {
			t.Errorf("%s was tried again after %s", p.kind, last[len(last)-1])
		}
		seen[p.id] = true
	}
	for message, kinds := range next {
		if !slices.Equal(kinds, []string{"message.queued", "message.accepted", "message.delivered"}) {
			t.Errorf("%s: %v", message, kinds)
		}
	}
	if failed == 0 {
		t.Error("nothing failed, so nothing was shown")
	}
}

func TestThePaceOfAnEndpointIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url, func(n *webhook.NewEndpoint) { n.MaxPerSecond = 50 })
	const events = 120
	w.accept(events)
	w.until("all posted", func() bool { return len(w.deliveries(e, webhook.Delivered)) == events })
	// When they were begun, as recorded: a network or a machine that stalls bunches them.
	var begun []time.Time
	for _, d := range w.deliveries(e, "") {
		d, err := w.service.Delivery(t.Context(), w.owner, d.ID)
		if err != nil || len(d.Tries) != 1 {
			t.Fatal(d, err)
		}
		begun = append(begun, d.Tries[0].At)
	}
	slices.SortFunc(begun, time.Time.Compare)
	for i := range begun {
		n := 0
		for _, at := range begun[i:] {
			if at.Sub(begun[i]) < time.Second {
				n++
			}
		}
		if n > 60 { // 50, those that may begin at once, and some that waited for a processor
			t.Fatalf("%d requests within a second", n)
		}
	}
	// That they came no sooner is what the receiver saw.
	if got := in.all(); got[len(got)-1].at.Sub(got[0].at) < time.Second {
		t.Errorf("%d requests within %v", len(got), got[len(got)-1].at.Sub(got[0].at))
	}
}

func TestAReplayPostsAWindowAgainUnderTheSameIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	before := w.accept(5) // before there is the endpoint
	e := w.create(in.url)
	w.ahead.Add(int64(time.Hour))
	since := w.now()
	events := w.accept(20)
	w.deliver() // 25 accepted, 25 delivered
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 70 })
	for _, c := range []struct {
		r    webhook.Replay
		want int
	}{
		{webhook.Replay{}, 75},
		{webhook.Replay{Since: since}, 70},
		{webhook.Replay{Until: since}, 5},
		{webhook.Replay{Since: since, Types: []string{"message.queued"}}, 20},
		{webhook.Replay{Status: webhook.Delivered, Types: []string{"message.acc*", "message.accepted"}}, 25},
		{webhook.Replay{Status: webhook.Failed}, 0},
	} {
		c.r.Types = slices.DeleteFunc(c.r.Types, func(s string) bool { return s == "message.acc*" })
		n, more, err := w.service.Count(t.Context(), w.owner, e.ID, c.r)
		if err != nil || more || n != c.want {
			t.Errorf("%+v: %d %v %v, want %d", c.r, n, more, err, c.want)
		}
	}
	j, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{Types: []string{"message.queued"}, By: "key_x"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.until("replayed", func() bool {
		kept, err := w.store.Job(t.Context(), w.owner, j.ID)
		return err == nil && kept.Status == job.Done && kept.Facts.Created == 25
	})
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 75 })
	got := in.each()
	for i, id := range slices.Concat(before, events) {
		if want := map[bool]int{true: 1, false: 2}[i < len(before)]; got[id] != want {
			t.Errorf("event %d came %d times, want %d", i, got[id], want)
		}
	}
	_, _, err = w.service.Count(t.Context(), w.owner, e.ID, webhook.Replay{Types: slices.Concat(slices.Repeat([]string{"*"}, 10), []string{"nothing"})})
	if faults := (mail.Faults)(nil); !errors.As(err, &faults) || faults[0].Pointer != "#/types/10" {
		t.Errorf("%v", err)
	}
	_, _, err = w.service.Count(t.Context(), w.owner, e.ID, webhook.Replay{Types: slices.Repeat([]string{"*"}, 101)})
	if faults := (mail.Faults)(nil); !errors.As(err, &faults) || faults[0].Code != "too_many" {
		t.Errorf("%v", err)
	}
	if _, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{Status: "lost", Types: []string{"message.deliverd"}, Since: since, Until: since}, nil, nil); err == nil {
		t.Error("a replay of nonsense")
	} else if faults := (mail.Faults)(nil); !errors.As(err, &faults) || len(faults) != 3 {
		t.Errorf("%v", err)
	}
}

func TestAReplayAfterAnOutageDeliversEverythingAtHalfThePace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick())
	w.stopped()
	// No retries at all, so that an outage fails what it meets.
	var well atomic.Bool
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		if !well.Load() {
			w.Header().Set("webhook-delivery", "abort-message")
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	w.start(quick(time.Hour))
	e := w.create(in.url, func(n *webhook.NewEndpoint) { n.MaxPerSecond = 100 })
	events := w.accept(60)
	w.until("all failed or parked", func() bool {
		return len(w.deliveries(e, webhook.Failed))+len(w.deliveries(e, webhook.Parked)) == len(events) && len(w.deliveries(e, webhook.Failed)) >= 10
	})
	well.Store(true)
	w.until("what was parked came", func() bool { return len(w.deliveries(e, webhook.Parked))+len(w.deliveries(e, webhook.Pending)) == 0 })
	failed := len(w.deliveries(e, webhook.Failed))
	began := time.Now()
	if _, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{Status: webhook.Failed}, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == len(events) })
	t.Logf("%d of %d had failed; replayed in %v", failed, len(events), time.Since(began))
	for _, id := range events {
		if in.each()[id] == 0 {
			t.Errorf("%s never came", id)
		}
	}
}

func TestAReplayLeavesAloneWhatHappensAfterItWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	before := w.accept(20)
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == len(before) })
	slow := 40
	if _, err := w.service.Update(t.Context(), w.owner, e.ID, webhook.Edit{MaxPerSecond: &slow}); err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{"", webhook.Delivered} {
		j, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{Status: status}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		after := w.accept(3)
		w.until("replayed", func() bool {
			kept, err := w.store.Job(t.Context(), w.owner, j.ID)
			return err == nil && kept.Status == job.Done
		})
		w.until("all delivered", func() bool { return w.get(e).State.Backlog == 0 })
		for _, id := range after {
			if n := in.each()[id]; n != 1 {
				t.Errorf("status %q: an event that was no part of the replay came %d times", status, n)
			}
		}
	}
}

// overtaken is a store whose settlements are known to others before they are to the service.
type overtaken struct {
	webhook.Store
	settled, more chan struct{}
}

func (s overtaken) SettleHooks(ctx context.Context, now time.Time, all []webhook.Settlement) ([]int64, error) {
	lost, err := s.Store.SettleHooks(ctx, now, all)
	s.settled <- struct{}{}
	<-s.more
	return lost, err
}

func TestARetryWhileTheLastTryIsBeingRecordedIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stopped()
	s := overtaken{w.store, make(chan struct{}, 10), make(chan struct{}, 10)}
	w.start(func(o *webhook.Options) { o.Store = s })
	in := newInbox(t, nil)
	e := w.create(in.url)
	w.accept(1)
	<-s.settled // delivered, and the service does not know yet
	if _, err := w.service.Retry(t.Context(), w.owner, w.one(e).ID, nil, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // it looks, and finds what it holds
	for range 2 {
		s.more <- struct{}{}
	}
	w.until("posted again", func() bool { return in.count() == 2 })
	w.until("delivered", func() bool { return w.one(e).Status == webhook.Delivered })
}

func TestACancelledReplayStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	w.accept(300)
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 300 })
	slow := 10
	if _, err := w.service.Update(t.Context(), w.owner, e.ID, webhook.Edit{MaxPerSecond: &slow}); err != nil {
		t.Fatal(err)
	}
	j, err := w.service.Replay(t.Context(), w.owner, e.ID, webhook.Replay{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.until("it began", func() bool { return in.count() > 302 })
	jobs := job.NewService(job.Options{Store: w.store, Dir: t.TempDir(), Node: "one"})
	if _, err := jobs.Cancel(t.Context(), w.owner, j.ID); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if n := in.count(); n > 500 { // all would be 600, at ten a second
		t.Errorf("%d posts after the cancel", n-300)
	}
	if kept, err := w.store.Job(t.Context(), w.owner, j.ID); err != nil || kept.Status != job.Cancelled {
		t.Errorf("%+v %v", kept, err)
	}
}

func TestBothSecretsSignWhileTheyOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	e := w.create(in.url)
	// signed has a message accepted and waits until a post of so many signatures came; one of
	// a message before may come in between.
	signed := func(want int) {
		t.Helper()
		before := in.count()
		w.accept(1)
		w.until(fmt.Sprintf("a post with %d signatures", want), func() bool {
			return slices.ContainsFunc(in.all()[before:], func(p posted) bool { return len(strings.Fields(p.header.Get("webhook-signature"))) == want })
		})
	}
	old, err := w.service.Secret(t.Context(), w.owner, e.ID)
	if err != nil || !strings.HasPrefix(old.Secret, "whsec_") || old.Old != "" {
		t.Fatal(old, err)
	}
	signed(1)
	next, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{}, nil, nil)
	if err != nil || next.Old != old.Secret || next.Secret == old.Secret || next.OldExpires.Sub(w.now()) < 23*time.Hour {
		t.Fatal(next, err)
	}
	signed(2)
	var conflict *webhook.Conflict
	if _, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{}, nil, nil); !errors.As(err, &conflict) {
		t.Errorf("a second rotation: %v", err)
	}
	third, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{Force: true}, nil, nil)
	if err != nil || third.Old != next.Secret {
		t.Error(third, err)
	}
	signed(2)
	w.ahead.Add(int64(25 * time.Hour))
	signed(1) // the old one does not sign after its time
	hours := 1
	if _, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{OverlapHours: &hours}, nil, nil); err != nil {
		t.Error(err)
	}
	signed(2)
	if _, err := w.service.ExpireOldSecret(t.Context(), w.owner, e.ID, "key_x", nil, nil); err != nil {
		t.Error(err)
	}
	signed(1)
	none, many := 0, 169
	if s, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{OverlapHours: &none}, nil, nil); err != nil || s.Old != "" {
		t.Error(s, err)
	}
	signed(1)
	if _, err := w.service.RotateSecret(t.Context(), w.owner, e.ID, webhook.Rotation{OverlapHours: &many}, nil, nil); err == nil {
		t.Error("169 hours")
	}
}

func TestABrokenByteInAnAnswerStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		_, _ = io.WriteString(w, "\xff\xfe\x00 broken \xe2\x82")
	})
	e := w.create(in.url)
	w.accept(20)
	w.until("all delivered", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 20 })
	if n := in.count(); n != 20 {
		t.Errorf("%d posts", n)
	}
	d, err := w.service.Delivery(t.Context(), w.owner, w.deliveries(e, "")[0].ID)
	if err != nil || !strings.Contains(d.Tries[0].Response, "broken") || strings.Contains(d.Tries[0].Response, "\x00") {
		t.Errorf("%q %v", d.Tries[0].Response, err)
	}
}

func TestAChangedURLIsWhereTheNextTryGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(50*time.Millisecond, 50*time.Millisecond))
	changed := make(chan struct{})
	bad, good := newInbox(t, func(w http.ResponseWriter, _ posted) { <-changed; w.WriteHeader(404) }), newInbox(t, nil)
	e := w.create(bad.url)
	w.accept(1)
	w.until("tried", func() bool { return bad.count() > 0 })
	_, err := w.service.Update(t.Context(), w.owner, e.ID, webhook.Edit{URL: &good.url})
	close(changed)
	if err != nil {
		t.Fatal(err)
	}
	w.until("delivered", func() bool { return w.one(e).Status == webhook.Delivered })
	if good.count() != 1 {
		t.Errorf("%d posts", good.count())
	}
}

func TestADeletedEndpointIsNotPostedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(50*time.Millisecond, 50*time.Millisecond))
	deleted := make(chan struct{})
	in := newInbox(t, func(w http.ResponseWriter, _ posted) { <-deleted; w.WriteHeader(500) })
	e := w.create(in.url)
	w.accept(1)
	w.until("tried", func() bool { return in.count() == 1 })
	err := w.service.Delete(t.Context(), w.owner, e.ID, 0, "key_x")
	close(deleted)
	if err != nil {
		t.Fatal(err)
	}
	w.accept(1)
	time.Sleep(200 * time.Millisecond)
	if n := in.count(); n > 1 {
		t.Errorf("%d posts", n)
	}
	if _, err := w.service.Deliveries(t.Context(), webhook.DeliveryQuery{Owner: w.owner, Endpoint: e.ID, Limit: 1}); !errors.Is(err, mail.ErrNotFound) {
		t.Error(err)
	}
}

func TestFiltersAndTypesNarrowWhatIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	w.create(in.url+"/tags", func(n *webhook.NewEndpoint) { n.Filters.Tags = []string{"welcome", "other"} })
	w.create(in.url+"/domains", func(n *webhook.NewEndpoint) { n.Filters.Domains = []string{"ACME.test"} })
	w.create(in.url+"/elsewhere", func(n *webhook.NewEndpoint) { n.Filters.Domains = []string{"other.test"} })
	w.create(in.url+"/type", wants("message.delivered"))
	last := w.create(in.url+"/both", wants("message.queued", "message.accepted"))
	a := w.letter()
	a.Message.Tags = []string{"welcome"}
	if _, err := w.store.Accept(t.Context(), []*submit.Acceptance{a, w.letter()}); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	w.until("all came", func() bool { return len(w.deliveries(last, webhook.Delivered)) == 4 && in.count() == 3+6+2+4 })
}

func TestAStoppedPostDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour), stuck(t))
	release := make(chan struct{})
	in := newInbox(t, func(w http.ResponseWriter, p posted) {
		if p.nth == 1 {
			<-release
		}
	})
	e := w.create(in.url)
	w.accept(1)
	w.until("under way", func() bool { return in.count() == 1 })
	began := time.Now()
	w.restart(quick(time.Hour)) // cuts it after some seconds
	if took := time.Since(began); took > patience {
		t.Errorf("the stop took %v", took)
	}
	close(release)
	w.until("delivered", func() bool { return w.one(e).Status == webhook.Delivered })
	if d := w.one(e); d.Attempts != 1 || len(d.Tries) != 1 {
		t.Errorf("%+v", d)
	}
}

// hanging is a receiver that never answers; gone is closed when its client has gone.
func hanging(t *testing.T) (url string, asked, gone chan struct{}) {
	t.Helper()
	asked, gone = make(chan struct{}), make(chan struct{})
	var first, last sync.Once
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		first.Do(func() { close(asked) })
		<-r.Context().Done()
		last.Do(func() { close(gone) })
	}))
	t.Cleanup(s.Close)
	return s.URL, asked, gone
}

func TestAKillCutsWhatIsUnderWayAndDoesNotCountIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(time.Hour))
	url, asked, gone := hanging(t)
	e := w.create(url)
	w.accept(1)
	<-asked
	w.service.Kill()
	<-gone
	w.stopped()
	w.start(quick(time.Hour))
	if d := w.one(e); d.Attempts != 0 || d.Status != webhook.Pending {
		t.Errorf("%+v", d)
	}
	w.service.Kill()
}

// waiting is a store whose record of a post takes until something happened.
type waiting struct {
	webhook.Store
	until <-chan struct{}
}

func (s waiting) SettleHooks(ctx context.Context, now time.Time, all []webhook.Settlement) ([]int64, error) {
	<-s.until
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return s.Store.SettleHooks(ctx, now, all)
	}
}

// What hangs is cut when we stop; what was answered before is recorded all the same.
func TestAHangingPostThatIsCutTakesNoRecordWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stopped()
	url, asked, gone := hanging(t)
	w.start(func(o *webhook.Options) { o.Store = waiting{w.store, gone} })
	in := newInbox(t, nil)
	e := w.create(in.url)
	hang := w.create(url)
	w.accept(1)
	w.until("answered", func() bool { return in.count() == 1 })
	<-asked
	w.restart()
	if d := w.one(e); d.Status != webhook.Delivered || in.count() != 1 {
		t.Errorf("%d posts, %+v", in.count(), d)
	}
	if d := w.one(hang); d.Attempts != 0 {
		t.Errorf("%+v", d)
	}
	w.service.Kill()
}

// troubled is a store that cannot write for a while.
type troubled struct {
	webhook.Store
	fails *atomic.Int64
}

func (s troubled) SettleHooks(ctx context.Context, now time.Time, all []webhook.Settlement) ([]int64, error) {
	if s.fails.Add(-1) >= 0 {
		return nil, errors.New("no disk")
	}
	return s.Store.SettleHooks(ctx, now, all)
}

func TestWhatCannotBeRecordedAtOnceIsRecordedLaterAndNotPostedAgain(t *testing.T) {
	t.Parallel()
	var fails atomic.Int64
	fails.Store(1)
	w := newWorld(t)
	w.stopped()
	w.start(func(o *webhook.Options) { o.Store = troubled{w.store, &fails} })
	in := newInbox(t, nil)
	e := w.create(in.url)
	w.accept(5)
	w.until("recorded", func() bool { return len(w.deliveries(e, webhook.Delivered)) == 5 })
	if n := in.count(); n != 5 {
		t.Errorf("%d posts", n)
	}
}

func TestAllFaultsOfAnEndpointAreToldAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, err := w.service.Create(t.Context(), w.owner, webhook.NewEndpoint{URL: "ftp://x", Description: strings.Repeat("x", 501), Events: []string{"message.deliverd", "nothing.*"},
		Redact: []string{"body"}, Payload: "v9", Format: "xml", Ordering: "all", MaxPerSecond: -1,
		Headers: map[string]string{"Webhook-Id": "x", "bad name": "x", "X-Ok": "fine", "X-Bad": "a\nb", "x-ok": "other"}}, nil, nil)
	var faults mail.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	want := []string{"url", "description", "events[0]", "events[1]", "redact[0]", "payload_version", "format", "ordering", "max_per_second",
		"custom_headers.Webhook-Id", "custom_headers.X-Bad", "custom_headers.bad name", "custom_headers.x-ok"}
	if !slices.Equal(fields, want) {
		t.Errorf("got  %v\nwant %v", fields, want)
	}
	if f := faults[2]; f.Suggestion != "message.delivered" {
		t.Errorf("%+v", f)
	}
	if _, _, err := w.service.Create(t.Context(), w.owner, webhook.NewEndpoint{URL: "http://10.1.2.3/", Events: []string{"*"}}, nil, nil); err != nil {
		t.Errorf("without a check nothing is refused early: %v", err)
	}
}

func TestAProjectHasAtMostFiftyEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	for range webhook.MaxEndpoints {
		w.create(in.url)
	}
	_, _, err := w.service.Create(t.Context(), w.owner, webhook.NewEndpoint{URL: in.url, Events: []string{"*"}}, nil, nil)
	var faults mail.Faults
	if !errors.As(err, &faults) || faults[0].Code != "too_many" {
		t.Error(err)
	}
	w.accept(4)
	w.until("all came", func() bool { return in.count() == 4*webhook.MaxEndpoints })
}

// strides is a store that notes the longest look at the log it was asked for.
type strides struct {
	webhook.Store
	longest *atomic.Int64
}

func (s strides) Relay(ctx context.Context, now time.Time, most int, plan webhook.Plan) (webhook.Relayed, error) {
	s.longest.Store(max(s.longest.Load(), int64(most)))
	return s.Store.Relay(ctx, now, most, plan)
}

func TestManyEndpointsMakeShortWritesOfTheRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, nil)
	for range webhook.MaxEndpoints {
		w.create(in.url, wants("message.queued"))
	}
	w.stopped()
	var longest atomic.Int64
	w.start(func(o *webhook.Options) { o.Store = strides{w.store, &longest} })
	w.accept(2)
	w.until("all came", func() bool { return in.count() == 2*webhook.MaxEndpoints })
	if n := longest.Load(); n*webhook.MaxEndpoints > 5000 {
		t.Errorf("one write may be of %d events for %d endpoints each", n, webhook.MaxEndpoints)
	}
}

func TestATestIsSignedAndCountsForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newInbox(t, always(401))
	e := w.create(in.url)
	for _, kind := range []mail.EventType{"", mail.EventBounced, mail.EventDomainVerified, mail.EventWebhookFailing} {
		r, try, err := w.service.Test(t.Context(), w.owner, e.ID, kind)
		if err != nil || try.Status != 401 || len(r.Body) == 0 {
			t.Fatalf("%s: %+v %v", kind, try, err)
		}
		got := in.all()[in.count()-1]
		want := string(kind)
		if kind == "" {
			want = "webhook.test"
		}
		if got.kind != want || got.header.Get("webhook-signature") == "" || string(got.body) != string(r.Body) {
			t.Errorf("%s: %+v", kind, got)
		}
		if strings.HasPrefix(want, "webhook.") && !strings.Contains(string(got.body), `"webhook_id":"`+e.ID.Text(webhook.PrefixEndpoint)+`"`) {
			t.Errorf("%s tells of another webhook: %s", kind, got.body)
		}
	}
	if got := w.get(e).State; got.Failures != 0 || len(w.deliveries(e, "")) != 0 {
		t.Errorf("%+v", got)
	}
	if _, _, err := w.service.Test(t.Context(), w.owner, e.ID, "message.bouncd"); err == nil {
		t.Error("a test of nonsense")
	}
}

func TestAHooksNameSaysWhichItIs(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range [][2]int64{{1, 1}, {3, 918273}, {1<<26 - 1, 1<<48 - 1}, {1 << 14, 1 << 40}, {1<<14 - 1, 5}} {
		id := webhook.HookID(c[0], c[1], now)
		endpoint, position := webhook.SplitHookID(id)
		if endpoint != c[0] || position != c[1] || id[6]>>4 != 7 || id[8]>>6 != 2 || !id.Time().Equal(now.Truncate(time.Millisecond)) {
			t.Errorf("%v: %d %d %s", c, endpoint, position, id.UUID())
		}
		again, err := mail.ParseID(webhook.PrefixDelivery, id.Text(webhook.PrefixDelivery))
		if err != nil || again != id {
			t.Error(err)
		}
	}
}

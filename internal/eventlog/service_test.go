package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// patience bounds a whole test; a wait that nobody ends takes for ever, which is longer.
const (
	patience = 2 * time.Minute
	forEver  = time.Hour
)

// bench is a service over a real store; each suppression entered is one event.
type bench struct {
	*testing.T
	ctx     context.Context
	store   *sqlite.Store
	service *eventlog.Service
	owner   mail.Owner
	entered int
}

func newBench(t *testing.T, o eventlog.Options) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	store, err := sqlite.Open(sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := store.CreateProject(ctx, project.Project{ID: mail.NewID(noon), Name: "p", Settings: project.DefaultSettings()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Store, o.Wake, o.BaseURL = store, store.Wake, "https://mail.acme.test"
	b := &bench{T: t, ctx: ctx, store: store, service: eventlog.NewService(o), owner: mail.Owner{Project: p.Row}}
	running, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- b.service.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		cancel()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// enter makes n events, with addresses that count up.
func (b *bench) enter(n int) {
	b.Helper()
	for range n {
		now := time.Now()
		s := mail.Suppression{ID: mail.NewID(now), Owner: b.owner, Address: fmt.Sprintf("a%d@example.com", b.entered), Reason: "manual", Kind: "manual", CreatedAt: now}
		if _, _, err := b.store.AddSuppression(b.ctx, s, nil, nil); err != nil {
			b.Error(err)
			return
		}
		b.entered++
	}
}

func (b *bench) reading(after int64, limit int) eventlog.Reading {
	return eventlog.Reading{Query: eventlog.Query{Owner: b.owner, After: after, Limit: limit}, Key: "k7f2q9xm"}
}

func (b *bench) follow(after int64) *eventlog.Reader {
	b.Helper()
	r, gap, err := b.service.Follow(b.ctx, b.reading(after, 0))
	if err != nil || gap != nil {
		b.Fatal(gap, err)
	}
	b.Cleanup(r.Close)
	return r
}

// address is whom an item is about.
func address(t testing.TB, i eventlog.Item) string {
	t.Helper()
	var e struct {
		Position int64 `json:"position"`
		Data     struct {
			Suppression struct {
				Recipient string `json:"recipient"`
			} `json:"suppression"`
		} `json:"data"`
	}
	if err := json.Unmarshal(i.Envelope, &e); err != nil || e.Position != i.Position {
		t.Fatalf("%v in %s at %d", err, i.Envelope, i.Position)
	}
	return e.Data.Suppression.Recipient
}

// take reads so many items, which must be those of the addresses from first on.
func (b *bench) take(r *eventlog.Reader, first, n int) {
	b.Helper()
	for got := 0; got < n; {
		items, err := r.Next(b.ctx, min(n-got, 7))
		if err != nil {
			b.Fatal(err)
		}
		for _, i := range items {
			if want := fmt.Sprintf("a%d@example.com", first+got); address(b, i) != want {
				b.Fatalf("got %s, want %s", address(b, i), want)
			}
			got++
		}
	}
}

func TestAReaderGetsWhatWasAndThenWhatComes(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(20)
	r := b.follow(0)
	b.take(r, 0, 20)
	b.enter(30)
	b.take(r, 20, 30)
	second := b.follow(r.Position())
	b.enter(5)
	b.take(second, 50, 5)
	b.take(r, 50, 5)
}

func TestAPageWaitsForWhatCommits(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(2)
	p, err := b.service.Read(b.ctx, b.reading(0, 10), 20*time.Second)
	if err != nil || len(p.Items) != 2 || p.More {
		t.Fatalf("%d items, more %v, %v", len(p.Items), p.More, err)
	}
	go func() {
		for b.service.Readers() == 0 {
			time.Sleep(time.Millisecond)
		}
		b.enter(3)
	}()
	p, err = b.service.Read(b.ctx, b.reading(p.Next, 10), forEver)
	if err != nil || len(p.Items) == 0 || address(t, p.Items[0]) != "a2@example.com" {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestAPageThatWaitedInVainSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(2)
	r := b.reading(0, 10)
	r.Types = []string{"message.bounced"}
	p, err := b.service.Read(b.ctx, r, 30*time.Millisecond)
	if err != nil || len(p.Items) != 0 || p.Next != p.Newest || p.Next != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestPagesOfOneEachGiveTheWholeLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(9)
	var after int64
	for i := range 9 {
		p, err := b.service.Read(b.ctx, b.reading(after, 1), 0)
		if err != nil || len(p.Items) != 1 || address(t, p.Items[0]) != fmt.Sprintf("a%d@example.com", i) || p.More != (i < 8) {
			t.Fatalf("page %d: %+v, %v", i, p, err)
		}
		after = p.Next
	}
}

func TestAReaderThatIsTooSlowIsToldAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{Buffer: 10})
	r, watch := b.follow(0), b.follow(0)
	b.enter(3)
	b.take(r, 0, 3)
	for !r.Live() {
		moment, cancel := context.WithTimeout(b.ctx, 10*time.Millisecond)
		if items, err := r.Next(moment, 1); len(items) > 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(items, err)
		}
		cancel()
	}
	for i := range 10 { // watch sees to it that the feed has read them
		b.enter(3)
		b.take(watch, 3*i, 3)
	}
	_, err := r.Next(b.ctx, 100)
	var slow *eventlog.Dropped
	if !errors.As(err, &slow) {
		t.Fatalf("got %v, want Dropped", err)
	}
	if slow.Count < 20 || slow.Count > 33 { // with what the feed had read of the first three before r joined it
		t.Errorf("%d were dropped", slow.Count)
	}
	b.take(b.follow(slow.ResumeAfter), 3, 30)
}

func TestFiltersHoldForWhatWasAndWhatComes(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(4)
	reading := b.reading(0, 0)
	reading.Recipient, reading.Types = "a2@example.com", []string{"suppression.*"}
	r, _, err := b.service.Follow(b.ctx, reading)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := b.follow(0)
	b.take(all, 0, 4)
	items, err := r.Next(b.ctx, 10)
	if err != nil || len(items) != 1 || address(t, items[0]) != "a2@example.com" {
		t.Fatalf("%d items, %v", len(items), err)
	}
	found, err := b.store.SuppressionsOf(b.ctx, b.owner, "a2@example.com")
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	b.enter(3)
	b.take(all, 4, 3)
	if _, err := b.store.DeleteSuppression(b.ctx, b.owner, found[0].ID, "key_x", time.Now()); err != nil {
		t.Fatal(err)
	}
	if items, err = r.Next(b.ctx, 10); err != nil || len(items) != 1 || items[0].Type != mail.EventSuppressionDeleted {
		t.Fatalf("%d items, %v", len(items), err)
	}
}

func TestWaitingReadersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{PerKey: 2, PerProject: 3})
	r, _ := b.follow(0), b.follow(0)
	if _, _, err := b.service.Follow(b.ctx, b.reading(0, 0)); !errors.Is(err, eventlog.ErrTooMany) {
		t.Fatalf("the third of a key: %v", err)
	}
	if _, err := b.service.Read(b.ctx, b.reading(0, 1), time.Second); !errors.Is(err, eventlog.ErrTooMany) {
		t.Errorf("a long poll beside them: %v", err)
	}
	if _, err := b.service.Read(b.ctx, b.reading(0, 1), 0); err != nil {
		t.Errorf("a page that does not wait: %v", err)
	}
	other := b.reading(0, 0)
	other.Key, other.Owner.Env = "other", mail.Test
	third, _, err := b.service.Follow(b.ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	other.Key = "another"
	if _, _, err := b.service.Follow(b.ctx, other); !errors.Is(err, eventlog.ErrTooMany) {
		t.Errorf("the fourth of a project: %v", err)
	}
	third.Close()
	if again, _, err := b.service.Follow(b.ctx, other); err != nil {
		t.Errorf("after one left: %v", err)
	} else {
		again.Close()
	}
	if n := b.service.Readers(); n != 2 {
		t.Errorf("%d readers are counted, want 2", n)
	}
	_ = r
}

func TestAPlaceBeforeOrBehindTheLogIsAGap(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	b.enter(3)
	b.forgetAll()
	b.enter(2)
	for _, c := range []struct {
		after int64
		want  *eventlog.Gap
		items int
	}{{0, nil, 2}, {1, &eventlog.Gap{After: 1, Oldest: 4}, 2}, {3, nil, 2}, {99, &eventlog.Gap{After: 99, Oldest: 6}, 0}} {
		after, want := c.after, c.want
		p, err := b.service.Read(b.ctx, b.reading(after, 10), 0)
		if err != nil || (p.Gap == nil) != (want == nil) || want != nil && *p.Gap != *want {
			t.Errorf("after %d: gap %+v, want %+v, %v", after, p.Gap, want, err)
		}
		if len(p.Items) != c.items {
			t.Errorf("after %d: %d items", after, len(p.Items))
		}
		r, gap, err := b.service.Follow(b.ctx, b.reading(after, 0))
		if err != nil || (gap == nil) != (want == nil) {
			t.Fatalf("after %d: gap %+v, %v", after, gap, err)
		}
		if after == 99 { // the next event is seen, although its position is lower than where the reader was
			b.enter(1)
			b.take(r, 5, 1)
		}
		r.Close()
	}
}

// forgetAll has retention remove all events there are.
func (b *bench) forgetAll() {
	b.Helper()
	later := time.Now().Add(40 * 24 * time.Hour)
	for range 100 {
		step, err := b.store.Forget(b.ctx, later)
		if err != nil {
			b.Fatal(err)
		}
		if step.Next.After(later) {
			return
		}
	}
	b.Fatal("retention comes to no end")
}

func TestAStopEndsReadersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, eventlog.Options{})
	r := b.follow(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := r.Next(b.ctx, 10); !errors.Is(err, eventlog.ErrStopping) {
			t.Errorf("a stream: %v", err)
		}
	})
	wg.Go(func() {
		if p, err := b.service.Read(b.ctx, b.reading(0, 10), forEver); err != nil || len(p.Items) > 0 {
			t.Errorf("a long poll: %v, %v", p, err)
		}
	})
	for b.service.Readers() < 2 {
		time.Sleep(time.Millisecond)
	}
	b.service.Stop()
	wg.Wait() // one that did not end gets no ErrStopping, but the end of patience
	if _, _, err := b.service.Follow(b.ctx, b.reading(0, 0)); !errors.Is(err, eventlog.ErrStopping) {
		t.Errorf("one that comes later: %v", err)
	}
}

func TestManyReadersOfAllKindsSeeEverythingOnce(t *testing.T) {
	t.Parallel()
	const events, readers = 600, 20
	b := newBench(t, eventlog.Options{Buffer: 60, Interval: time.Millisecond})
	var wg sync.WaitGroup
	for n := range readers {
		wg.Go(func() {
			seen, err := b.everything(n, events)
			want := make([]string, events)
			for i := range want {
				want[i] = fmt.Sprintf("a%d@example.com", i)
			}
			if err != nil || !slices.Equal(seen, want) {
				i := 0
				for i < len(seen) && i < len(want) && seen[i] == want[i] {
					i++
				}
				t.Errorf("reader %d saw %d events, the first wrong one is %d: %v: %v", n, len(seen), i, seen[i:min(i+3, len(seen))], err)
			}
		})
	}
	b.enter(events)
	wg.Wait()
}

// everything reads to the end of what will come: by polls, by a stream, or by streams that
// are slow or begin anew.
func (b *bench) everything(n, events int) (seen []string, err error) {
	var after int64
	for len(seen) < events {
		var items []eventlog.Item
		if n%2 == 0 {
			p, err := b.service.Read(b.ctx, b.reading(after, 1+n), 10*time.Second)
			if err != nil {
				return seen, err
			}
			if p.Gap != nil {
				return seen, fmt.Errorf("gap %+v", *p.Gap)
			}
			items, after = p.Items, p.Next
		} else if items, after, err = b.someOfAStream(n, after, min(50, events-len(seen))); err != nil {
			return seen, err
		}
		for _, i := range items {
			seen = append(seen, address(b, i))
		}
	}
	return seen, nil
}

func (b *bench) someOfAStream(n int, after int64, want int) (all []eventlog.Item, _ int64, _ error) {
	r, gap, err := b.service.Follow(b.ctx, b.reading(after, 0))
	if err != nil || gap != nil {
		return nil, 0, fmt.Errorf("gap %v, %w", gap, err)
	}
	defer r.Close()
	for len(all) < want {
		items, err := r.Next(b.ctx, 10)
		var slow *eventlog.Dropped
		if errors.As(err, &slow) {
			return all, slow.ResumeAfter, nil
		}
		if err != nil {
			return all, 0, err
		}
		all = append(all, items...)
		if n%4 == 1 {
			time.Sleep(2 * time.Millisecond)
		}
		after = r.Position()
		if n > 10 {
			break
		}
	}
	return all, after, nil
}

package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/retention"
)

// script is a store that has so many steps to do, and remembers when it was called.
type script struct {
	retention.Store
	steps   int
	next    time.Duration // after the last step
	took    time.Duration // by each step
	fails   int
	busy    int
	forgets []time.Time
	scrubs  []time.Time
	order   *retention.Erasure
}

func (s *script) Forget(_ context.Context, now time.Time) (retention.Step, error) {
	s.forgets = append(s.forgets, now)
	time.Sleep(s.took)
	if s.fails > 0 {
		s.fails--
		return retention.Step{}, errors.New("no disk")
	}
	if s.steps > 0 {
		s.steps--
		return retention.Step{Contents: 1, Next: now}, nil
	}
	return retention.Step{Next: now.Add(s.next)}, nil
}

func (s *script) Erase(context.Context, time.Time) (retention.Step, error) {
	return retention.Step{}, nil
}

func (s *script) Scrub(context.Context) error {
	s.scrubs = append(s.scrubs, time.Now())
	if s.busy > 0 {
		s.busy--
		return retention.ErrBusy
	}
	return nil
}

func (s *script) CreateErasure(_ context.Context, e retention.Erasure, _ *mail.Once, _ func(retention.Erasure) mail.Answer) (retention.Erasure, error) {
	s.order = &e
	return e, nil
}

func (s *script) Erasure(_ context.Context, project int64, id mail.ID) (retention.Erasure, error) {
	if s.order == nil || s.order.Project != project || s.order.ID != id {
		return retention.Erasure{}, mail.ErrNotFound
	}
	return *s.order, nil
}

// runFor lets a service run for a while of the test's own time, and gives what it logged.
func runFor(t *testing.T, s *script, d time.Duration) string {
	t.Helper()
	var log strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := retention.New(retention.Options{Store: s, Log: slog.New(slog.NewTextHandler(&log, nil))}).Run(ctx); err != nil {
		t.Error(err)
	}
	return log.String()
}

func TestARestIsLongerThanAStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: 1000, took: 3 * time.Millisecond}
		runFor(t, s, time.Second)
		if n := len(s.forgets); n < 100 || n > 112 {
			t.Errorf("%d steps of 3 ms in a second, want a third of the time", n)
		}
	})
}

func TestNothingToDoIsLookedAtOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{next: time.Hour}
		runFor(t, s, time.Minute+time.Millisecond)
		if n := len(s.forgets); n < 60 || n > 62 {
			t.Errorf("%d looks in a minute", n)
		}
		if len(s.scrubs) != 1 {
			t.Errorf("the log was emptied %d times: only what a past life left is to go", len(s.scrubs))
		}
	})
}

func TestTheLogIsEmptiedAfterTheLastStepAndUnderSteadyWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &script{steps: 10, took: time.Millisecond, next: time.Hour}
		runFor(t, s, 10*time.Second)
		if n := len(s.scrubs); n != 2 || s.scrubs[n-1].Sub(began) > time.Second {
			t.Errorf("emptied at %v", s.scrubs)
		}
		s = &script{steps: 1 << 30, took: time.Millisecond}
		runFor(t, s, time.Minute)
		if n := len(s.scrubs); n < 4 || n > 5 {
			t.Errorf("emptied %d times in a minute of work", n)
		}
	})
}

func TestALogInUseIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{next: time.Hour, busy: 400}
		log := runFor(t, s, 500*time.Second)
		if n := len(s.scrubs); n != 401 {
			t.Errorf("tried %d times", n)
		}
		if n := strings.Count(log, "a reader keeps it in use"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
	})
}

func TestAnErrorIsNotTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{fails: 3, steps: 1, next: time.Hour}
		log := runFor(t, s, time.Minute)
		if s.steps != 0 || strings.Count(log, "forgetting does not go on") != 3 {
			t.Errorf("%d steps left: %s", s.steps, log)
		}
	})
}

func TestATokenTellsNothingAndIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	one, other := retention.New(retention.Options{Key: [32]byte{1}}), retention.New(retention.Options{Key: [32]byte{2}})
	token := one.Token(1, "ada@one.test")
	if token != one.Token(1, "ada@one.test") || token == one.Token(2, "ada@one.test") || token == other.Token(1, "ada@one.test") || token == one.Token(1, "bob@one.test") {
		t.Error("tokens of different projects, keys or addresses must differ, and nothing else")
	}
	if _, err := mail.ParseAddress(token); err != nil || strings.Contains(token, "ada") || strings.Contains(token, "one.test") {
		t.Errorf("%s: %v", token, err)
	}
}

func TestAnOrderIsFoundByItsID(t *testing.T) {
	t.Parallel()
	s := retention.New(retention.Options{Store: &script{}})
	e, err := s.Order(t.Context(), retention.Asked{Project: 1, Address: "ada@one.test", By: "key_x"}, nil)
	if err != nil || e.Token == "" || e.ID.IsZero() {
		t.Fatal(e, err)
	}
	if got, err := s.Find(t.Context(), 1, e.ID.Text(mail.PrefixErasure)); err != nil || got.Address != "ada@one.test" {
		t.Error(got, err)
	}
	for project, id := range map[int64]string{1: "era_x", 2: e.ID.Text(mail.PrefixErasure)} {
		if _, err := s.Find(t.Context(), project, id); !errors.Is(err, mail.ErrNotFound) {
			t.Errorf("project %d, %s: %v", project, id, err)
		}
	}
}

package recent_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/recent"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// source counts how often it is read.
type source struct {
	reads int
	value string
	err   error
}

func (s *source) read(*string) (string, time.Duration, error) {
	s.reads++
	return s.value, 10 * time.Second, s.err
}

func TestAValueIsReadAgainWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	m, s := recent.New[int, string](10), &source{value: "a"}
	for _, step := range []struct {
		after time.Duration
		want  string
		reads int
	}{{0, "a", 1}, {9 * time.Second, "a", 1}, {10 * time.Second, "b", 2}} {
		got, err := m.Get(1, start.Add(step.after), s.read)
		if err != nil || got != step.want || s.reads != step.reads {
			t.Errorf("after %v: %q, %v, read %d times", step.after, got, err, s.reads)
		}
		s.value = "b"
	}
}

func TestWhatCannotBeReadAgainStaysTrueAndIsAskedForOnceASecond(t *testing.T) {
	t.Parallel()
	m, s := recent.New[int, string](10), &source{err: errors.New("down")}
	if _, err := m.Get(1, start, s.read); !errors.Is(err, s.err) {
		t.Fatalf("nothing is known, and the error is %v", err)
	}
	s.value, s.err = "a", nil
	_, _ = m.Get(1, start, s.read)
	s.value, s.err = "", errors.New("down")
	reads := s.reads
	for range 100 {
		if got, err := m.Get(1, start.Add(time.Minute), s.read); got != "a" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if s.reads != reads+1 {
		t.Errorf("read %d times in a second", s.reads-reads)
	}
}

func TestWhatIsForgottenWhileItIsReadIsNotKept(t *testing.T) {
	t.Parallel()
	forgets := map[string]func(*recent.Memory[int, string]){
		"one": func(m *recent.Memory[int, string]) { m.Forget(1) },
		"all": func(m *recent.Memory[int, string]) { m.ForgetAll(func(k int) bool { return k == 1 }) },
	}
	for name, forget := range forgets {
		m := recent.New[int, string](10)
		got, _ := m.Get(1, start, func(*string) (string, time.Duration, error) {
			forget(m)
			return "before", time.Hour, nil
		})
		again, _ := m.Get(1, start, func(old *string) (string, time.Duration, error) {
			if old != nil {
				t.Errorf("%s: %q is known", name, *old)
			}
			return "after", time.Hour, nil
		})
		if got != "before" || again != "after" {
			t.Errorf("%s: %q, then %q", name, got, again)
		}
	}
}

func TestForgettingLeavesTheOthers(t *testing.T) {
	t.Parallel()
	m, s := recent.New[int, string](10), &source{value: "a"}
	for key := range 6 {
		_, _ = m.Get(key, start, s.read)
	}
	m.Forget(0)
	m.ForgetAll(func(k int) bool { return k == 1 || k == 2 })
	s.reads = 0
	for key := range 6 {
		_, _ = m.Get(key, start, s.read)
	}
	if s.reads != 3 {
		t.Errorf("%d were read again", s.reads)
	}
}

func TestItNeverHoldsMoreThanItMay(t *testing.T) {
	t.Parallel()
	m, s := recent.New[int, string](100), &source{value: "a"}
	for key := range 1000 {
		_, _ = m.Get(key, start, s.read)
	}
	s.reads = 0
	for key := range 1000 {
		_, _ = m.Get(key, start, s.read)
	}
	if s.reads < 900 {
		t.Errorf("%d of 1000 were remembered", 1000-s.reads)
	}
}

func TestOneReadsWhileTheOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, s := recent.New[int, string](10), &source{value: "old"}
		_, _ = m.Get(1, time.Now(), s.read)
		time.Sleep(time.Minute)
		slow := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			got, _ := m.Get(1, time.Now(), func(*string) (string, time.Duration, error) { <-slow; return "new", time.Hour, nil })
			if got != "new" {
				t.Errorf("who read got %q", got)
			}
		})
		synctest.Wait()
		for range 100 {
			if got, _ := m.Get(1, time.Now(), s.read); got != "old" {
				t.Errorf("while it is read: %q", got)
			}
		}
		close(slow)
		reader.Wait()
		if got, _ := m.Get(1, time.Now(), s.read); got != "new" || s.reads != 1 {
			t.Errorf("%q, read %d times", got, s.reads)
		}
	})
}

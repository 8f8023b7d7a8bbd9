package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// unlucky begins tests that do something the first time only.
const unlucky = `
func first(t *testing.T) bool {
	name := strings.ReplaceAll(t.Name(), "/", " ") + ".was"
	_, err := os.Stat(name)
	if err != nil {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return err != nil
}
`

// module writes a module whose only package has these tests, and gives its directory.
func module(t *testing.T, tests string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module fake.test/fake\n\ngo 1.26\n",
		"fake_test.go": "package fake\n\nimport (\n\t\"os\"\n\t\"strings\"\n\t\"testing\"\n\t\"time\"\n)\n\nvar _ = time.Now\n" + unlucky + tests,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// paper takes what go test and who reads it write at the same time.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// check runs a module's tests as the step does.
func check(t *testing.T, o options, tests string) (verdict, string, error) {
	t.Helper()
	o.dir, o.packages = module(t, tests), "./..."
	if o.timeout == 0 {
		o.timeout = 10 * time.Minute
	}
	var out paper
	v, err := test(o, &out)
	return v, out.text.String(), err
}

func TestAFailedTestThatPassesByItselfIsNamed(t *testing.T) {
	t.Parallel()
	v, out, err := check(t, options{}, `
func TestGood(t *testing.T) {}
func TestGoodToo(t *testing.T) { t.Skip("today") }
func TestUnlucky(t *testing.T) {
	t.Run("part", func(t *testing.T) {})
	t.Run("other part", func(t *testing.T) {
		if first(t) {
			t.Error("the machine was busy")
		}
	})
}
`)
	if err != nil || !slices.Equal(v.alone, []string{"fake.test/fake TestUnlucky"}) {
		t.Fatalf("%v, %v\n%s", v.alone, err, out)
	}
	if got := v.totals(); got != "4 passed, 0 failed, 1 skipped" {
		t.Errorf("totals: %s", got)
	}
	if notes := v.notes(); len(notes) != 1 || !strings.Contains(notes[0], "passed only when run by itself: fake.test/fake TestUnlucky") {
		t.Errorf("%q", notes)
	}
	if !strings.Contains(out, "the machine was busy") || !strings.Contains(out, "--- FAIL: TestUnlucky") {
		t.Errorf("its first output is not there:\n%s", out)
	}
}

func TestAFailedTestThatFailsAgainIsAFailure(t *testing.T) {
	t.Parallel()
	v, out, err := check(t, options{}, `
func TestGood(t *testing.T) {}
func TestUnlucky(t *testing.T) { if first(t) { t.Error("the machine was busy") } }
func TestZBad(t *testing.T) { t.Error("it is wrong") }
`)
	if err == nil || v.failed == 0 || strings.Count(out, "it is wrong") != 2 {
		t.Errorf("%v, %s\n%s", err, v.totals(), out)
	}
}

func TestThreeMayBeUnluckyAndFourNot(t *testing.T) {
	t.Parallel()
	three := `
func TestA(t *testing.T) { if first(t) { t.Error("a") } }
func TestB(t *testing.T) { if first(t) { t.Error("b") } }
func TestC(t *testing.T) { if first(t) { t.Error("c") } }
`
	if v, out, err := check(t, options{}, three); err != nil || len(v.alone) != 3 || v.totals() != "3 passed, 0 failed, 0 skipped" {
		t.Errorf("%v, %v, %s\n%s", v.alone, err, v.totals(), out)
	}
	v, out, err := check(t, options{}, three+`
func TestD(t *testing.T) { if first(t) { t.Error("d") } }
`)
	if err == nil || len(v.alone) != 0 || v.failed != 4 || !strings.Contains(out, "4 tests failed") {
		t.Errorf("%v, %v, %s\n%s", v.alone, err, v.totals(), out)
	}
}

// Each of these would pass a second time.
func TestWhatNoSecondRunTakesBackIsAFailureAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tests, says string
		o           options
	}{
		"a panic":           {`func TestBad(t *testing.T) { if first(t) { panic("oh") } }`, "a panic", options{}},
		"a panic elsewhere": {`func TestBad(t *testing.T) { if first(t) { go panic("oh"); time.Sleep(time.Minute) } }`, "a panic", options{}},
		"a time-out":        {`func TestBad(t *testing.T) { if first(t) { time.Sleep(time.Hour) } }`, "a time-out", options{timeout: time.Second}},
		"an exit":           {`func TestBad(t *testing.T) { if first(t) { os.Exit(3) } }`, "not all its tests ended", options{}},
		"a panic of another, beside a failure": {`
func TestA(t *testing.T) { if first(t) { t.Error("a") } }
func TestBad(t *testing.T) { if first(t) { panic("oh") } }`, "a panic", options{}},
		"no build": {`func TestBad(t *testing.T) { nothing() }`, "does not build", options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, out, err := check(t, c.o, c.tests+"\n")
			if err == nil || len(v.alone) != 0 || !strings.Contains(out, "nothing is run again") || !strings.Contains(out, c.says) {
				t.Errorf("%v, %v\n%s", v.alone, err, out)
			}
		})
	}
}

func TestADataRaceIsAFailureAtOnce(t *testing.T) {
	t.Parallel()
	if !hasCompiler() {
		t.Skip("no C compiler here: no race detector")
	}
	v, out, err := check(t, options{race: true}, `
func TestBad(t *testing.T) {
	if first(t) {
		n, done := 0, make(chan bool)
		go func() { n++; close(done) }()
		n++
		<-done
	}
}
`)
	if err == nil || len(v.alone) != 0 || !strings.Contains(out, "nothing is run again: fake.test/fake: a data race") {
		t.Errorf("%v, %v\n%s", v.alone, err, out)
	}
}

func TestNoTestsAreAFailure(t *testing.T) {
	t.Parallel()
	if _, out, err := check(t, options{}, ""); err == nil {
		t.Errorf("no test ran, and that is fine:\n%s", out)
	}
}

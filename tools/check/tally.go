package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

// counts are of tests, each of their parts being one too.
type counts struct{ passed, failed, skipped int }

func (c counts) plus(d counts) counts {
	return counts{c.passed + d.passed, c.failed + d.failed, c.skipped + d.skipped}
}

func (c counts) less(d counts) counts {
	return c.plus(counts{-d.passed, -d.failed, -d.skipped})
}

// tally follows the events of all packages. A test's output is kept until it ends, and
// shown unless it passed.
type tally struct {
	out     io.Writer
	verbose bool
	output  map[string][]string // package and test → lines
	tests   map[string]counts   // package and test → it and its parts
	running map[string]bool     // package and test or part
	ends    map[string]string   // package → a race or a panic it told of
	broken  []string            // why packages failed otherwise than by a test that said so
}

func newTally(out io.Writer, verbose bool) *tally {
	return &tally{out: out, verbose: verbose, output: map[string][]string{}, tests: map[string]counts{}, running: map[string]bool{}, ends: map[string]string{}}
}

// total is of all tests.
func (t *tally) total() (sum counts) {
	for _, c := range t.tests {
		sum = sum.plus(c)
	}
	return sum
}

func (t *tally) failed() bool { return t.total().failed > 0 || len(t.broken) > 0 }

// failures are the tests that failed, as "package test", in order.
func (t *tally) failures() (names []string) {
	for name, c := range t.tests {
		if c.failed > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// final says why a second run would prove nothing, "" when it might.
func (t *tally) final() string { return strings.Join(t.broken, "; ") }

func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprint(t.out, string(line)) // the build's own words
			} else {
				t.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the tests' output: %w", err)
		}
	}
}

func (t *tally) take(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "run":
		t.running[name] = true
	case "output":
		t.output[name] = append(t.output[name], e.Output)
		t.notice(e)
	case "pass", "fail", "skip":
		delete(t.running, name)
		if e.Test == "" {
			t.endPackage(e, name)
		} else {
			t.endTest(e, name)
		}
		delete(t.output, name)
	}
}

// notice remembers what the runtime said. A test that passes may print such words itself: they
// count when its package fails.
func (t *tally) notice(e event) {
	is := ""
	switch {
	case strings.Contains(e.Output, "WARNING: DATA RACE"): // ours, or in the log of a process that a test started
		is = "a data race"
	case strings.HasPrefix(e.Output, "panic: "), strings.HasPrefix(e.Output, "fatal error: "):
		is = "a panic or a time-out"
	default:
		return
	}
	if t.ends[e.Package] != "a data race" {
		t.ends[e.Package] = is
	}
	if e.Test == "" {
		fmt.Fprint(t.out, e.Output)
	}
}

// endPackage shows the package's own lines: all when it failed, else the one with "ok".
func (t *tally) endPackage(e event, name string) {
	for _, line := range t.output[name] {
		if e.Action == "fail" || strings.HasPrefix(line, "ok ") {
			fmt.Fprint(t.out, line)
		}
	}
	if e.Action != "fail" {
		return
	}
	for other, lines := range t.output { // tests that never ended: a panic or a time-out
		if strings.HasPrefix(other, name) && other != name {
			fmt.Fprint(t.out, strings.Join(lines, ""))
		}
	}
	if why := t.broke(name); why != "" {
		t.broken = append(t.broken, e.Package+": "+why)
	}
}

// broke tells what a package that failed failed by, "" when by tests alone. name ends in a space.
func (t *tally) broke(name string) string {
	if is := t.ends[strings.TrimSpace(name)]; is != "" {
		return is
	}
	for other := range t.running {
		if strings.HasPrefix(other, name) {
			return "not all its tests ended"
		}
	}
	for other, c := range t.tests {
		if strings.HasPrefix(other, name) && c.failed > 0 {
			return ""
		}
	}
	return "it does not build, or ended by itself"
}

// endTest shows what a test that failed or was skipped said, and of scenarios (test/…)
// also what those that passed measured and counted.
func (t *tally) endTest(e event, name string) {
	top, _, _ := strings.Cut(e.Test, "/")
	show := true
	var c counts
	switch e.Action {
	case "pass":
		c.passed++
		show = t.verbose || strings.HasPrefix(e.Package, scenarios)
	case "fail":
		c.failed++
	case "skip":
		c.skipped++
	}
	t.tests[e.Package+" "+top] = t.tests[e.Package+" "+top].plus(c)
	for _, line := range t.output[name] {
		if passed := strings.HasPrefix(strings.TrimSpace(line), "--- PASS"); show && (!passed || t.verbose) && !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(t.out, line)
		}
	}
}

const scenarios = "github.com/postroad/postroad/test/"

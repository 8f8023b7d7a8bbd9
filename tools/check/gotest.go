package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// testTotals is the last line of the summary, in the form test reporters read.
var testTotals string

// runTests runs every test, with the race detector where a C compiler is there for it.
// Of packages it prints go test's own line, of tests what is worth reading: see endTest.
func runTests(o options) error {
	// -count=1: the cache does not see the binary that the scenarios build.
	args, environ := []string{"test", "-json", "-count=1", "-timeout", o.timeout.String()}, []string{"CGO_ENABLED=0"}
	if o.quick {
		args = append(args, "-short")
	} else if o.race {
		if hasCompiler() {
			args, environ = append(args, "-race"), []string{"CGO_ENABLED=1"}
		} else {
			fmt.Println("no C compiler here: testing without the race detector (install gcc to have it)")
		}
	}
	c := exec.Command("go", append(args, o.packages)...)
	c.Env = append(os.Environ(), environ...)
	c.Stderr = os.Stdout
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	t := &tally{verbose: o.verbose, output: map[string][]string{}}
	readErr := t.read(out)
	waitErr := c.Wait()
	testTotals = fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
	switch {
	case t.failed > 0 || waitErr != nil:
		return fmt.Errorf("%d tests failed (%v)", t.failed, waitErr)
	case readErr != nil:
		return readErr
	case t.passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

// hasCompiler tells whether cgo, and so the race detector, can be had.
func hasCompiler() bool {
	out, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return false
	}
	fields := strings.Fields(string(out))
	if len(fields) == 0 {
		return false
	}
	_, err = exec.LookPath(fields[0])
	return err == nil
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

// tally follows the events of all packages. A test's output is kept until it ends, and
// shown unless it passed.
type tally struct {
	verbose                 bool
	passed, failed, skipped int
	output                  map[string][]string // package and test → lines
}

func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Print(string(line)) // the build's own words
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
		fmt.Print(e.Output)
	case "output":
		t.output[name] = append(t.output[name], e.Output)
		if e.Test == "" && strings.HasPrefix(e.Output, "panic: ") {
			fmt.Print(e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.endPackage(e, name)
		} else {
			t.endTest(e, name)
		}
		delete(t.output, name)
	}
}

// endPackage shows the package's own lines: all when it failed, else the one with "ok".
func (t *tally) endPackage(e event, name string) {
	for _, line := range t.output[name] {
		if e.Action == "fail" || strings.HasPrefix(line, "ok ") {
			fmt.Print(line)
		}
	}
	if e.Action != "fail" {
		return
	}
	for other, lines := range t.output { // tests that never ended: a panic or a time-out
		if strings.HasPrefix(other, e.Package+" ") && other != name {
			fmt.Print(strings.Join(lines, ""))
		}
	}
}

// endTest shows what a test that failed or was skipped said, and of scenarios (test/…)
// also what those that passed measured and counted.
func (t *tally) endTest(e event, name string) {
	show := true
	switch e.Action {
	case "pass":
		t.passed++
		show = t.verbose || strings.HasPrefix(e.Package, scenarios)
	case "fail":
		t.failed++
	case "skip":
		t.skipped++
	}
	for _, line := range t.output[name] {
		if passed := strings.HasPrefix(strings.TrimSpace(line), "--- PASS"); show && (!passed || t.verbose) && !strings.HasPrefix(line, "=== ") {
			fmt.Print(line)
		}
	}
}

const scenarios = "github.com/postroad/postroad/test/"

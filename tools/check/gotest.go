package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// tested is what the summary says of the tests.
var tested verdict

// verdict is what came of all tests.
type verdict struct {
	counts
	alone []string // "package test" that failed among all others and passed by itself
}

// totals is the last line of the summary, in the form test reporters read.
func (v *verdict) totals() string {
	if v.counts == (counts{}) {
		return ""
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", v.passed, v.failed, v.skipped)
}

// notes are what the summary must not pass over although the step is ok.
func (v *verdict) notes() (lines []string) {
	for _, name := range v.alone {
		lines = append(lines, fmt.Sprintf("passed only when run by itself: %s (its first output is above)", name))
	}
	return lines
}

// runTests runs every test, with the race detector where a C compiler is there for it. A test
// that failed is run once more by itself: see again.
func runTests(o options) (err error) {
	if o.race && !o.quick && !hasCompiler() {
		fmt.Println("no C compiler here: testing without the race detector (install gcc to have it)")
		o.race = false
	}
	tested, err = test(o, os.Stdout)
	return err
}

// test runs the tests of all packages, then some of those that failed once more.
func test(o options, out io.Writer) (v verdict, err error) {
	t, err := goTest(o, out, o.packages)
	if t != nil {
		v.counts = t.total()
	}
	if err != nil && t != nil && t.failed() {
		return again(o, out, t, v, err)
	}
	if err == nil && v.passed == 0 {
		err = fmt.Errorf("no test ran")
	}
	return v, err
}

// goTest runs go test over packages and tells of it on out: of packages go test's own line, of
// tests what is worth reading (see endTest). Both write there at the same time. The tally is nil when nothing could be run.
func goTest(o options, out io.Writer, more ...string) (*tally, error) {
	// -count=1: the cache does not see the binary that the scenarios build.
	args, environ := []string{"test", "-json", "-count=1", "-timeout", o.timeout.String()}, []string{"CGO_ENABLED=0"}
	if o.quick {
		args = append(args, "-short")
	} else if o.race {
		args, environ = append(args, "-race"), []string{"CGO_ENABLED=1"}
	}
	c := exec.Command("go", append(args, more...)...)
	c.Dir, c.Env, c.Stderr = o.dir, append(os.Environ(), environ...), out
	said, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	t := newTally(out, o.verbose)
	readErr := t.read(said)
	switch err := c.Wait(); {
	case err != nil || t.failed():
		return t, fmt.Errorf("%d tests failed (%v)", t.total().failed, err)
	default:
		return t, readErr
	}
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

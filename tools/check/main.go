// Command check is all that must hold before a change goes in, and what CI runs:
//
//	go run ./tools/check            everything
//	go run ./tools/check -quick     format, vet, build and short tests without the race detector
//	go run ./tools/check -run test -packages ./internal/queue/...
//
// It sets up what the tests need by itself (see tools.go), goes through its steps in
// order, does them all even when one fails, and ends with a summary. It exits 1 when a
// step failed. A test that failed among all others is run once more by itself (again.go), and the
// summary names it when it passes then.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	quick    bool
	install  bool
	race     bool
	verbose  bool
	steps    string
	packages string
	timeout  time.Duration
	dir      string // of the module; "" is where we are
}

// step is one thing checked. Its error is a failure; errSkipped says why it was not done.
type step struct {
	name string
	do   func(options) error
}

// errSkipped marks a step that could not be done here and is no failure.
var errSkipped = errors.New("skipped")

var steps = []step{
	{"setup", setUp},
	{"format", checkFormat},
	{"vet", func(o options) error { return run(nil, "go", "vet", o.packages) }},
	{"staticcheck", runStaticcheck},
	{"build", build},
	{"test", runTests},
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "format, vet, build and short tests only")
	flag.BoolVar(&o.install, "install", true, "install missing Debian packages when root")
	flag.BoolVar(&o.race, "race", true, "test with the race detector")
	flag.BoolVar(&o.verbose, "v", false, "name every test that passed")
	flag.StringVar(&o.steps, "run", "", "only these steps, with commas between: "+names())
	flag.StringVar(&o.packages, "packages", "./...", "packages to vet and test")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "longest run of one package's tests")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "check takes flags only; see -help")
		os.Exit(2)
	}
	os.Exit(runSteps(o))
}

func names() string {
	all := make([]string, len(steps))
	for i, s := range steps {
		all[i] = s.name
	}
	return strings.Join(all, ",")
}

func runSteps(o options) int {
	wanted := strings.Split(o.steps, ",")
	for _, name := range wanted {
		if o.steps != "" && !slices.Contains(strings.Split(names(), ","), name) {
			fmt.Fprintf(os.Stderr, "there is no step %q; there are %s\n", name, names())
			return 2
		}
	}
	var summary []string
	failed := 0
	for _, s := range steps {
		if o.steps != "" && !slices.Contains(wanted, s.name) || o.quick && (s.name == "setup" || s.name == "staticcheck") {
			continue
		}
		fmt.Printf("== %s\n", s.name)
		began := time.Now()
		err := s.do(o)
		took := time.Since(began).Round(100 * time.Millisecond)
		switch {
		case err == nil:
			summary = append(summary, fmt.Sprintf("ok       %-12s %v", s.name, took))
		case errors.Is(err, errSkipped):
			summary = append(summary, fmt.Sprintf("skipped  %-12s %v", s.name, err))
		default:
			failed++
			summary = append(summary, fmt.Sprintf("FAILED   %-12s %v", s.name, err))
		}
	}
	fmt.Println("== summary")
	for _, line := range slices.Concat(summary, tested.notes(), []string{tested.totals()}) {
		if line != "" {
			fmt.Println(line)
		}
	}
	return min(failed, 1)
}

// run starts a command with our output and waits for it.
func run(environ []string, name string, args ...string) error {
	return runTo(os.Stdout, environ, name, args...)
}

func runTo(w io.Writer, environ []string, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), environ...)
	c.Stdout, c.Stderr = w, w
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// runStaticcheck runs the version named in tools.mod: a module file of its own, so that
// the linter's dependencies never enter the product's.
func runStaticcheck(o options) error {
	const modfile = "-modfile=tools/tools.mod"
	var said strings.Builder
	if err := runTo(&said, nil, "go", "mod", "download", modfile); err != nil {
		return fmt.Errorf("%w: its modules cannot be had (%s)", errSkipped, firstLine(said.String()))
	}
	return run(nil, "go", "tool", modfile, "staticcheck", o.packages)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// build makes everything without cgo, as it is released.
func build(options) error {
	return run([]string{"CGO_ENABLED=0"}, "go", "build", "./...")
}

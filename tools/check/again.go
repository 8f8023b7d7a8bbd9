package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// mostAgain is how many failed tests are run once more: more than that is no bad luck.
const mostAgain = 3

// again runs what failed once more, each test by itself and after all else has ended, so that a
// machine which was busy with the others cannot fail it (docs/adr/0008-a-failed-test-has-one-more-run.md).
// Nothing is run again when the first run showed what no second one can take back: a data
// race, a panic, a time-out, a package that does not build or ended by itself.
func again(o options, out io.Writer, first *tally, v verdict, failed error) (verdict, error) {
	if why := first.final(); why != "" {
		fmt.Fprintf(out, "nothing is run again: %s\n", why)
		return v, failed
	}
	names := first.failures()
	if len(names) > mostAgain {
		fmt.Fprintf(out, "nothing is run again: %d tests failed, and more than %d are no bad luck\n", len(names), mostAgain)
		return v, failed
	}
	for _, name := range names {
		fmt.Fprintf(out, "== once more, by itself: %s\n", name)
		pkg, test, _ := strings.Cut(name, " ")
		t, err := goTest(o, out, "-run", "^"+regexp.QuoteMeta(test)+"$", pkg)
		if err != nil || t.tests[name].passed == 0 {
			fmt.Fprintf(out, "%s failed again (%v)\n", name, err)
			return v, failed
		}
		v.counts = v.counts.less(first.tests[name]).plus(t.tests[name])
		v.alone = append(v.alone, name)
	}
	return v, nil
}

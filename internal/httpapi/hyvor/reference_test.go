package hyvor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// What docs/hyvor.md says is shown by a test is: the tests and fixtures it names exist.
func TestWhatTheDocumentReliesOnIsThere(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(root + "/docs/hyvor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, ok := strings.Cut(string(doc), "## Where documentation and service differ there")
	if !ok {
		t.Fatal("the document has no table")
	}
	seen, rows := 0, 0
	for line := range strings.SplitSeq(tables, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 {
			continue
		}
		rows++
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1) {
			seen++
			if !refersTo(t, m[1]) {
				t.Errorf("there is no %s: %s", m[1], line)
			}
		}
	}
	if seen < 80 || rows < 55 {
		t.Errorf("only %d references in %d rows: the test reads the tables wrong", seen, rows)
	}
}

// refersTo looks for a fixture, a test of this package, or "directory Test".
func refersTo(t *testing.T, ref string) bool {
	if strings.HasSuffix(ref, ".txt") {
		_, err := os.Stat(filepath.Join("testdata/fixtures", ref))
		return err == nil
	}
	dir, name, other := strings.Cut(ref, " ")
	if !other {
		dir, name = "internal/httpapi/hyvor", ref
	}
	files, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

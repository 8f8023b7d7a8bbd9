package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postroad/postroad/"

// order is the house from top to bottom: a package imports only packages of lines above
// its own, and two on one line never import each other. A new package needs a word here,
// and so a decision where it belongs. docs/architecture.md draws the same.
var order = []struct{ packages, why string }{
	{"mail", "the words: everybody speaks them, so they know nobody"},
	{"audit", "who changed what: a note that travels with a request, for whoever makes the change"},
	{"recent smtp mime dkim dns tlspolicy seal persona template cssinline certificate", "protocols, an RFC each, languages, and a memory: usable and testable without the product"},
	{"dns/dnstest", "a name server for tests: beside its protocol"},
	{"project", "who may send: asks the DNS and makes keys, knows nothing of mail in motion"},
	{"render tracking feedback route eventlog", "decisions: called, never running on their own"},
	{"doctor", "asks the decisions what would stop mail"},
	{"submit", "work begins here: the one way in"},
	{"lane", "where ready mail waits; knows jobs, not who makes or carries them"},
	{"deliver", "carries what lanes hold, over SMTP"},
	{"sandbox", "plays what deliver does, by the same rules of beginning"},
	{"queue", "drives lanes; no carrier may know of schedules"},
	{"report", "takes in what comes back by mail, by the decisions' rules"},
	{"visit", "gathers what recipients do, by the decisions' rules"},
	{"job", "work that outlives its request: does what decisions can be asked to do, in batches"},
	{"webhook", "acts on events"},
	{"analytics", "acts on events"},
	{"archive", "the read side: follows all the work, takes part in none"},
	{"retention", "what is forgotten, and when: after all that makes something to forget"},
	{"httpapi", "what HTTP dialects share"},
	{"httpapi/v1 httpapi/hyvor httpapi/links httpapi/reference smtpd console", "doors translate and decide nothing; one never leans on another"},
	{"store", "the sum of what the core asks to be remembered: the core owns the interfaces"},
	{"store/sqlite store/postgres", "engines: nobody but the wiring knows which"},
	{"store/storetest", "the contract as tests"},
	{"backup", "an archive of files: engines give the copy, the wiring puts it in place"},
	{"config", "what an operator writes; below it nobody reads settings"},
	{"app", "alone in knowing all"},
}

// outside restricts imports of others' packages: only the places named may have them.
var outside = []struct {
	prefix string
	only   []string
	why    string
}{
	{"net/http", []string{"httpapi", "httpapi/v1", "httpapi/hyvor", "httpapi/links", "httpapi/reference", "console", "webhook", "tlspolicy", "app"}, "HTTP ends at the doors: the core must work for every dialect"},
	{"database/sql", []string{"store/sqlite", "store/postgres"}, "SQL stays in the engines"},
	{"zombiezen.com/go/sqlite", []string{"store/sqlite"}, "SQL stays in the engines"},
	{"modernc.org/sqlite", nil, "use zombiezen.com/go/sqlite: a direct import lets tidy move modernc's libc away from what it needs"},
	{"github.com/prometheus/client_golang", []string{"app", "httpapi"}, "parts expose plain counters; the wiring names them"},
	{"github.com/miekg/dns", []string{"dns", "dns/dnstest"}, "one package speaks DNS"},
	{"encoding/json", nil, "one JSON: github.com/go-json-experiment/json, whose limits and errors the doors rely on"},
	{"github.com/caddyserver/certmagic", []string{"certificate"}, "one package gets certificates"},
	{"os/exec", nil, "the binary needs no other program beside it"},
}

// forbidden are names that say nothing about what is inside.
var forbidden = []string{"util", "utils", "common", "helpers", "models", "misc", "shared"}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	rank := map[string]int{}
	for i, line := range order {
		for _, p := range strings.Fields(line.packages) {
			rank[p] = i
		}
	}
	for _, f := range goFiles(t, ".") {
		mine, listed := rank[f.dir]
		if !listed {
			t.Errorf("package internal/%s is not in the order (internal/order_test.go): say where it belongs", f.dir)
			continue
		}
		for _, path := range f.imports {
			theirs, ours := strings.CutPrefix(path, module+"internal/")
			if !ours {
				continue
			}
			if r, ok := rank[theirs]; theirs != f.dir && (!ok || r >= mine) && !testMay(f, theirs) {
				t.Errorf("%s imports internal/%s, which is not above it: %s", f.name, theirs, order[mine].why)
			}
		}
	}
}

// testMay allows tests what the product may not: a real engine, a name server or an
// exchanger beside the package under test. A cycle the compiler refuses anyway.
func testMay(f goFile, theirs string) bool {
	return strings.HasSuffix(f.name, "_test.go") || f.dir == "store/storetest"
}

func TestOthersPackagesAreImportedOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t, ".") {
		if strings.HasSuffix(f.name, "_test.go") {
			continue
		}
		for _, path := range f.imports {
			for _, rule := range outside {
				if (path == rule.prefix || strings.HasPrefix(path, rule.prefix+"/")) && !slices.Contains(rule.only, f.dir) {
					t.Errorf("%s imports %s: %s", f.name, path, rule.why)
				}
			}
		}
	}
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t, "..") {
		for part := range strings.SplitSeq(f.dir, "/") {
			if slices.Contains(forbidden, part) {
				t.Errorf("%s: %q says nothing about what is inside", f.name, part)
			}
		}
	}
}

func TestTheCommandOnlyWires(t *testing.T) {
	t.Parallel()
	allowed := []string{"app", "config", "persona", "doctor", "mail"}
	seen := 0
	for _, f := range goFiles(t, "../cmd") {
		for _, path := range f.imports {
			if ours, ok := strings.CutPrefix(path, module+"internal/"); ok {
				seen++
				if !slices.Contains(allowed, ours) && !strings.HasSuffix(f.name, "_test.go") {
					t.Errorf("%s imports internal/%s: main has subcommands, settings and app.Run, nothing else", f.name, ours)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("cmd imports nothing of ours: the test looks in the wrong place")
	}
}

// The rules themselves must be able to fail: each "only" names a package of the order.
func TestEveryRuleNamesPackagesOfTheOrder(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, line := range order {
		if line.why == "" {
			t.Errorf("no reason beside %q", line.packages)
		}
		for _, p := range strings.Fields(line.packages) {
			if slices.Contains(listed, p) {
				t.Errorf("%s stands twice in the order", p)
			}
			listed = append(listed, p)
		}
	}
	for _, rule := range outside {
		for _, p := range rule.only {
			if !slices.Contains(listed, p) {
				t.Errorf("the rule for %s names %s, which is not in the order", rule.prefix, p)
			}
		}
	}
}

type goFile struct {
	name, dir string // dir relative to the root that was asked, with slashes
	imports   []string
}

func goFiles(t *testing.T, root string) (all []goFile) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" || root == "." && filepath.Dir(name) == "." { // these rules themselves
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		f := goFile{name: name, dir: filepath.ToSlash(dir)}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, path)
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no Go files below %s", root)
	}
	return all
}

package template_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/template"
)

// specFolder finds the specification's files: in $MUSTACHE_SPEC, or beside the repository.
func specFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("MUSTACHE_SPEC"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the package")
		}
		dir = up
	}
	// A worktree lies deeper than the main one.
	for _, up := range []string{"..", "../.."} {
		found := filepath.Join(dir, up, "shared", "mustache-spec", "specs")
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	t.Skip("skipped: the mustache specification is not at ../shared/mustache-spec/specs; set MUSTACHE_SPEC")
	return ""
}

func TestTheMustacheSpecificationHolds(t *testing.T) {
	t.Parallel()
	dir := specFolder(t)
	total := 0
	for _, module := range []string{"comments", "delimiters", "interpolation", "inverted", "partials", "sections"} {
		raw, err := os.ReadFile(filepath.Join(dir, module+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Tests []struct {
				Name, Template, Expected string
				Data                     jsontext.Value
				Partials                 map[string]string
			}
		}
		if err := json.Unmarshal(raw, &file, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		if len(file.Tests) == 0 {
			t.Errorf("%s: no tests in the file", module)
		}
		for _, c := range file.Tests {
			total++
			data, err := template.Decode(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := render(template.Mustache, template.HTML, c.Template, data, template.Options{Partials: partialsOf(t, template.Mustache, c.Partials)})
			if err != nil {
				t.Errorf("%s: %s: %v", module, c.Name, err)
			} else if got != c.Expected {
				t.Errorf("%s: %s: %q gives\n%q, not\n%q", module, c.Name, c.Template, got, c.Expected)
			}
		}
	}
	t.Logf("report: mustache specification: %d tests of 6 core modules hold", total)
}

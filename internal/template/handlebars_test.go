package template_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/template"
	"github.com/postroad/postroad/test/harness"
)

// handlebarsCase is a line of testdata/handlebars/*.json. Expected is what npm handlebars
// makes of it, null if it refuses; Ours stands where we differ on purpose, with a reason.
type handlebarsCase struct {
	Template string            `json:"template"`
	Data     jsontext.Value    `json:"data"`
	Partials map[string]string `json:"partials"`
	Expected *string           `json:"expected"`
	Ours     *string           `json:"ours"`
	Reason   string            `json:"reason"`
}

func TestTemplatesRenderAsNpmHandlebarsDoes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/handlebars/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("case files: %v, %v", files, err)
	}
	total, differ := 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []handlebarsCase
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range cases {
			total++
			want := c.Expected
			if c.Reason != "" {
				differ++
				if want = c.Ours; show(c.Ours) == show(c.Expected) {
					t.Errorf("%s: %q is listed as a difference and is none", file, c.Template)
				}
			}
			got, err := render(template.Handlebars, template.HTML, c.Template, decode(t, string(c.Data)), template.Options{
				Partials: partialsOf(t, template.Handlebars, c.Partials),
			})
			switch {
			case want == nil && err == nil:
				t.Errorf("%s: %q gives %q, should be refused", file, c.Template, got)
			case want != nil && err != nil:
				t.Errorf("%s: %q of %s: %v, should give %q", file, c.Template, c.Data, err, *want)
			case want != nil && got != *want:
				t.Errorf("%s: %q of %s gives\n%q, should\n%q", file, c.Template, c.Data, got, *want)
			}
		}
	}
	t.Logf("report: handlebars: %d templates render as npm handlebars does, %d differ on purpose", total-differ, differ)
}

func show(s *string) string {
	if s == nil {
		return "refused"
	}
	return fmt.Sprintf("%q", *s)
}

// The expectations themselves: npm handlebars is asked again.
func TestTheExpectationsAreStillHandlebars(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("node", "testdata/handlebars/generate.mjs", "--check")
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(harness.NodeModules(t, "testdata/npm"), "node_modules"))
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	t.Logf("report: %s", lines[len(lines)-1])
}

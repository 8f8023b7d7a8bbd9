package template_test

import (
	"testing"

	"github.com/postroad/postroad/internal/template"
)

type parseError struct{ problems []template.Problem }

func (e *parseError) Error() string {
	s := "parse:"
	for _, p := range e.problems {
		s += " " + p.String()
	}
	return s
}

func render(engine template.Engine, format template.Format, source string, data any, o template.Options) (string, error) {
	parsed, problems := template.Parse(engine, format, "t", source, template.Limits{})
	if parsed == nil {
		return "", &parseError{problems}
	}
	return parsed.String(data, o)
}

// partialsOf parses partials when they are first asked for.
func partialsOf(t *testing.T, engine template.Engine, sources map[string]string) func(string) (*template.Template, bool) {
	t.Helper()
	parsed := map[string]*template.Template{}
	return func(name string) (*template.Template, bool) {
		source, ok := sources[name]
		if !ok {
			return nil, false
		}
		if parsed[name] == nil {
			made, problems := template.Parse(engine, template.HTML, name, source, template.Limits{})
			if made == nil {
				t.Errorf("partial %s: %v", name, problems)
				return nil, false
			}
			parsed[name] = made
		}
		return parsed[name], true
	}
}

func decode(t testing.TB, raw string) any {
	t.Helper()
	v, err := template.Decode([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

package eventlog_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// conforms is as much of JSON Schema as our schemas use.
func conforms(schema map[string]any, v any, at string) error {
	if schema == nil {
		return nil // anything goes
	}
	if kinds, ok := schema["type"]; ok && !slices.ContainsFunc(list(kinds), func(k any) bool { return isA(k.(string), v) }) {
		return fmt.Errorf("%s is %T, want %v", at, v, kinds)
	}
	if s, ok := v.(string); ok && schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	if items, ok := v.([]any); ok {
		for i, item := range items {
			if err := conforms(schema["items"].(map[string]any), item, at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for _, name := range list(schema["required"]) {
		if _, there := object[name.(string)]; !there {
			return fmt.Errorf("%s lacks %s", at, name)
		}
	}
	members, _ := schema["properties"].(map[string]any)
	rest, _ := schema["additionalProperties"].(map[string]any)
	for name, value := range object {
		is, _ := members[name].(map[string]any)
		if is == nil {
			is = rest
		}
		if is == nil && (members != nil || rest != nil) {
			return fmt.Errorf("%s/%s is not in the schema", at, name)
		}
		if err := conforms(is, value, at+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func list(v any) []any {
	if all, ok := v.([]any); ok {
		return all
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

func isA(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

func decode(t *testing.T, b []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return out
}

func TestEveryExampleFitsItsSchema(t *testing.T) {
	t.Parallel()
	around := decode(t, eventlog.EnvelopeSchema())
	for _, kind := range eventlog.Types() {
		if kind.Description == "" {
			t.Errorf("%s is not described", kind.Name)
		}
		example := decode(t, kind.Example)
		if err := conforms(around, example, string(kind.Name)); err != nil {
			t.Error(err)
		}
		schema := decode(t, kind.Schema)
		if err := conforms(schema, example["data"], string(kind.Name)+".data"); err != nil {
			t.Error(err)
		}
		example["data"].(map[string]any)["surprise"] = 1.0
		if conforms(schema, example["data"], "") == nil {
			t.Errorf("%s: the test's schemas cannot fail", kind.Name)
		}
	}
}

// Every name the mail package has for an event must be described, or nobody could ask for it.
func TestEveryEventThereIsHasAType(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "../mail/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && fmt.Sprint(spec.Type) == "EventType" {
			name, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			named = append(named, name)
		}
		return true
	})
	var typed []string
	for _, kind := range eventlog.Types() {
		typed = append(typed, string(kind.Name))
	}
	slices.Sort(named)
	slices.Sort(typed)
	if len(named) < 25 || !slices.Equal(named, typed) {
		t.Errorf("named %v\ntyped %v", named, typed)
	}
}

func TestAMistypedTypeIsRecognised(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{"message.delivered": "ok", "message.*": "ok", "*": "ok", "message.deliverd": "message.delivered",
		"mesage.*": "", "delivered": "message.delivered", "Message.Bounced": "message.bounced", "messages.bounced": "message.bounced", "nonsense": "", strings.Repeat("message.", 100): ""} {
		known, near := eventlog.Known(asked)
		if known != (want == "ok") || !known && near != want {
			t.Errorf("%s: known %v, near %q", asked, known, near)
		}
	}
}

func TestTypesMatchByNameByNounOrAll(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]bool{"": true, "*": true, "message.*": true, "message.queued": true, "message.bounced": false, "suppression.*": false, "mess.*": false} {
		var list []string
		if asked != "" {
			list = []string{"domain.created", asked}
		}
		if eventlog.MatchType(list, mail.EventQueued) != want {
			t.Errorf("%q: want %v", asked, want)
		}
	}
}

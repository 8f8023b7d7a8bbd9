package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func joined(t *testing.T) *object {
	t.Helper()
	doc, err := joinDir(filepath.Join(root, sourceDir))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheCommittedDocumentIsTheJoinedOne(t *testing.T) {
	t.Parallel()
	want, err := encode(joined(t))
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what its sources say: go run ./tools/openapi", document)
	}
}

// The rules of the house for the API, each once. lint names every place that breaks one.
func TestTheDocumentKeepsTheRulesOfTheHouse(t *testing.T) {
	t.Parallel()
	for _, fault := range lint(joined(t)) {
		t.Error(fault)
	}
}

type linter struct {
	doc    *object
	faults []string
	ids    map[string]string
}

func lint(doc *object) []string {
	l := &linter{doc: doc, ids: map[string]string{}}
	paths := doc.object("paths")
	for _, path := range paths.names {
		item := paths.object(path)
		for _, method := range item.names {
			l.operation(method, path, item.object(method))
		}
	}
	hooks := doc.object("webhooks")
	for _, name := range hooks.names {
		l.described("webhook "+name, hooks.object(name).object("post"))
		l.unique(hooks.object(name).object("post").text("operationId"), name)
	}
	schemas := doc.object("components").object("schemas")
	for _, name := range schemas.names {
		l.schema(name, schemas.object(name), false)
	}
	return l.faults
}

func (l *linter) fault(where, format string, args ...any) {
	l.faults = append(l.faults, where+": "+fmt.Sprintf(format, args...))
}

func (l *linter) resolve(v any) *object {
	o, _ := v.(*object)
	ref := o.text2("$ref")
	if ref == "" {
		return o
	}
	at := l.doc
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.object(step)
	}
	return at
}

// text2 is text for an object that may be nil.
func (o *object) text2(name string) string {
	if o == nil {
		return ""
	}
	return o.text(name)
}

func (l *linter) described(where string, op *object) {
	for _, name := range []string{"operationId", "summary"} {
		if op.text(name) == "" {
			l.fault(where, "no %s", name)
		}
	}
	if strings.HasSuffix(op.text("summary"), ".") || len(op.text("summary")) > 60 {
		l.fault(where, "the summary is a short title without a full stop")
	}
	if tags, _ := op.get("tags").([]any); len(tags) != 1 {
		l.fault(where, "has %d tags, not one", len(tags))
	}
}

func (l *linter) unique(id, where string) {
	if !regexp.MustCompile(`^[a-z][A-Za-z0-9]+$`).MatchString(id) {
		l.fault(where, "operationId %q is not lowerCamelCase", id)
	}
	if other := l.ids[id]; other != "" {
		l.fault(where, "operationId %s is that of %s too", id, other)
	}
	l.ids[id] = where
}

// verbs are the last segments of POSTs that are done to a thing.
var (
	segment  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	singular = []string{"me", "project", "health", "version", "content", "raw", "preview", "dns", "dkim", "sandbox", "secret", "stats", "usage", "audit", "diff", "export", "stream", "wait", "session", "setup", "behaviour"}
	verbs    = []string{"batch", "raw", "cancel", "send-now", "resend", "preview", "validate", "test-send", "publish", "rollback", "verify", "rotate", "activate", "check", "import",
		"rotate-secret", "expire-old-secret", "enable", "disable", "test", "replay", "retry", "suspend", "resume", "release", "login", "logout"}
)

func (l *linter) operation(method, path string, op *object) {
	where := strings.ToUpper(method) + " " + path
	l.described(where, op)
	l.unique(op.text("operationId"), where)
	if op.text("description") == "" {
		l.fault(where, "no description")
	}
	for _, name := range []string{"x-scopes", "x-idempotent", "x-wave"} {
		if !op.has(name) {
			l.fault(where, "no %s", name)
		}
	}
	if strings.HasPrefix(path, "/v1/") {
		l.path(where, method, path)
	}
	parameters := l.parameters(where, op)
	if method == "post" && !slices.Contains(parameters, "Idempotency-Key") {
		l.fault(where, "a POST documents the Idempotency-Key")
	}
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		if !slices.Contains(parameters, m[1]) {
			l.fault(where, "{%s} is not among the parameters", m[1])
		}
	}
	l.body(where, op)
	l.responses(where, method, op, parameters)
}

func (l *linter) path(where, method, path string) {
	all := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	for i, s := range all {
		last := i == len(all)-1
		switch {
		case strings.HasPrefix(s, "{"):
		case !segment.MatchString(s):
			l.fault(where, "the segment %q is not lower-case with hyphens", s)
		case slices.Contains(verbs, s) && (!last || method != "post" && !slices.Contains(singular, s)):
			l.fault(where, "the verb %q may only be the last segment of a POST", s)
		case !slices.Contains(verbs, s) && !slices.Contains(singular, s) && !strings.HasSuffix(s, "s"):
			l.fault(where, "the segment %q is not a plural", s)
		}
	}
}

func (l *linter) parameters(where string, op *object) (names []string) {
	list, _ := op.get("parameters").([]any)
	for _, v := range list {
		p := l.resolve(v)
		name := p.text("name")
		if slices.Contains(names, name) {
			l.fault(where, "the parameter %s stands twice", name)
		}
		names = append(names, name)
		if p.text("in") == "query" && !snake.MatchString(name) {
			l.fault(where, "the parameter %s is not snake_case", name)
		}
		l.schema(where+" "+name, p.object("schema"), true)
	}
	return names
}

func (l *linter) body(where string, op *object) {
	content := op.object("requestBody").object("content")
	for _, kind := range content.names {
		media := content.object(kind)
		l.schema(where+" body", media.object("schema"), true)
		optional := op.object("requestBody").get("required") == false
		if kind == "application/json" && !media.has("examples") && !optional {
			l.fault(where, "no example of the request")
		}
		if kind != "application/json" && kind != "multipart/form-data" && !media.has("example") {
			l.fault(where, "no example of the %s", kind)
		}
	}
}

func (l *linter) responses(where, method string, op *object, parameters []string) {
	all := op.object("responses")
	for _, status := range all.names {
		r := l.resolve(all.get(status))
		if !r.has("description") {
			l.fault(where, "%s has no description", status)
		}
		if op.get("x-outside") != true {
			for _, name := range common {
				if !r.object("headers").has(name) {
					l.fault(where, "%s does not have the header %s", status, name)
				}
			}
		}
		content := r.object("content")
		if status[0] >= '4' && status != "416" && op.get("x-outside") != true && !strings.HasSuffix(content.object("application/problem+json").object("schema").text("$ref"), "/Problem") {
			l.fault(where, "%s is not a Problem", status)
		}
		if status[0] != '2' {
			continue
		}
		s := content.object("application/json").object("schema")
		if ref := s.text("$ref"); strings.HasSuffix(ref, "List") && op.text("operationId") != "" {
			l.list(where, l.resolve(s), all)
		} else if strings.HasPrefix(op.text("operationId"), "list") && method == "get" {
			l.fault(where, "a list answers with a List")
		}
		l.schema(where+" "+status, s, false)
	}
	if !all.has("200") && !all.has("201") && !all.has("202") && !all.has("204") {
		l.fault(where, "no answer that is good")
	}
	if slices.Contains(parameters, "cursor") != slices.Contains(parameters, "limit") {
		l.fault(where, "a list has both limit and cursor")
	}
}

// list holds a page against the envelope of all lists. Lists that are given whole have no
// cursor to document: their answer has no header Link.
func (l *linter) list(where string, s, responses *object) {
	for _, name := range []string{"object", "data", "has_more", "next_cursor", "url"} {
		if !s.object("properties").has(name) {
			l.fault(where, "the list has no %s", name)
		}
	}
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// foreign are names that are not ours: of an RFC or a draft.
var foreign = []string{"violated-policies"}

// schema walks through a schema. Of inputs everything that can grow has a bound.
func (l *linter) schema(where string, s *object, input bool) {
	if s.has("enum") {
		l.fault(where, "a closed enum: use x-extensible-enum, sets of words grow")
	}
	if s.get("additionalProperties") == false {
		l.fault(where, "is closed: objects grow")
	}
	if input {
		l.bounded(where, s)
	}
	properties := s.object("properties")
	for _, name := range properties.names {
		if !snake.MatchString(name) && !slices.Contains(foreign, name) {
			l.fault(where, "the property %s is not snake_case", name)
		}
		l.nested(where+"."+name, properties.object(name), input)
	}
	for _, name := range []string{"items", "additionalProperties"} {
		if s.has(name) {
			l.nested(where+" "+name, s.object(name), input)
		}
	}
	forms, _ := s.get("anyOf").([]any)
	for _, v := range forms {
		l.nested(where, v.(*object), input)
	}
}

// nested goes into a schema in another one; a named one has its own turn, unless it is an
// input: those must be bounded wherever they stand.
func (l *linter) nested(where string, s *object, input bool) {
	if s.has("$ref") {
		if !input || strings.Count(where, ".") > 12 {
			return
		}
		s = l.resolve(s)
	}
	l.schema(where, s, input)
}

func (l *linter) bounded(where string, s *object) {
	kinds, _ := s.get("type").([]any)
	for _, kind := range append(kinds, s.get("type")) {
		switch kind {
		case "string":
			if !s.has("maxLength") && !s.has("x-extensible-enum") && !s.has("const") && !s.has("format") && !s.has("pattern") {
				l.fault(where, "an input without maxLength")
			}
		case "array":
			if !s.has("maxItems") {
				l.fault(where, "an input without maxItems")
			}
		case "object":
			if s.object("additionalProperties").names != nil && !s.has("maxProperties") && !strings.HasSuffix(where, "metadata") {
				l.fault(where, "an input without maxProperties")
			}
		}
	}
}

// The rules must be able to find something: each is broken once.
func TestTheLintFindsWhatItIsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"a camelCase property":  {`schemas: {X: {fields: {someThing: string}}}`, "is not snake_case"},
		"a closed enum":         {`schemas: {X: {type: string, enum: [a]}}`, "a closed enum"},
		"a closed object":       {`schemas: {X: {type: object, additionalProperties: false}}`, "is closed"},
		"no bound":              {`operations: {POST /v1/things: {id: createThing, summary: Make a thing, description: d, scope: any, body: {fields: {name: string}}, requests: {a: {summary: s, value: {name: a}}}, answers: {'201': {description: d}}}}`, "without maxLength"},
		"no example":            {`operations: {POST /v1/things: {id: createThing, summary: Make a thing, description: d, scope: any, body: {fields: {name: 'string ..5'}}, answers: {'201': {description: d}}}}`, "no example of the request"},
		"a verb in between":     {`operations: {GET /v1/things/cancel/now: {id: x1, summary: s, description: d, scope: any, answers: {'200': {description: d}}}}`, "may only be the last segment"},
		"a singular":            {`operations: {GET /v1/thing: {id: x1, summary: s, description: d, scope: any, answers: {'200': {description: d}}}}`, "is not a plural"},
		"a list that is none":   {`operations: {GET /v1/things: {id: listThings, summary: s, description: d, scope: any, answers: {'200': {description: d, body: {fields: {a: string}}}}}}`, "answers with a List"},
		"an id twice":           {`operations: {GET /v1/things: {id: x1, summary: s, description: d, scope: any, answers: {'200': {description: d}}}, GET /v1/others: {id: x1, summary: s, description: d, scope: any, answers: {'200': {description: d}}}}`, "is that of"},
		"no summary":            {`operations: {GET /v1/things: {id: x1, description: d, scope: any, answers: {'200': {description: d}}}}`, "no summary"},
		"an unknown path param": {`operations: {'GET /v1/things/{message}': {id: x1, summary: s, description: d, scope: any, answers: {}}}`, "no answer that is good"},
	} {
		j := newJoiner()
		for _, text := range []string{conventions(t), "tag: {name: Things}\n" + c.source} {
			if err := j.add([]byte(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		doc, err := j.finish()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if all := strings.Join(lint(doc), "\n"); !strings.Contains(all, c.want) {
			t.Errorf("%s: %q, want %q", name, all, c.want)
		}
	}
}

func conventions(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, sourceDir, "01-conventions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestShapesInWords(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"string 1..64 — What it is.": `{"type":"string","minLength":1,"maxLength":64,"description":"What it is."}`,
		"integer 0.. =25":            `{"type":"integer","minimum":0,"default":25}`,
		"list ..5 of string or null": `{"type":["array","null"],"items":{"type":"string"},"maxItems":5}`,
		"map ..2 of integer":         `{"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2}`,
		"one of a|b":                 `{"type":"string","x-extensible-enum":["a","b"]}`,
		"is list":                    `{"type":"string","const":"list"}`,
		"Thing or null":              `{"anyOf":[{"$ref":"#/components/schemas/Thing"},{"type":"null"}]}`,
		"string /^a$/ ~a":            `{"type":"string","pattern":"^a$","examples":["a"]}`,
	} {
		s, err := newJoiner().shape(words)
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		text, _ := encode(s)
		if got := strings.Join(strings.Fields(string(text)), ""); got != strings.ReplaceAll(strings.Join(strings.Fields(want), ""), " ", "") {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
	for _, words := range []string{"", "strng", "list string", "one of", "string 1..x", "string long", "thing", "string — "} {
		if s, err := newJoiner().shape(words); err == nil && words != "string — " {
			t.Errorf("%q was taken: %v", words, s)
		}
	}
}

func TestWhatIsUsedMustBeWritten(t *testing.T) {
	t.Parallel()
	j := newJoiner()
	if err := j.add([]byte(`schemas: {X: {fields: {y: Nowhere}}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.finish(); err == nil || !strings.Contains(err.Error(), "Nowhere is used and nowhere written") {
		t.Errorf("%v", err)
	}
}

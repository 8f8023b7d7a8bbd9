package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

// operation writes one: what its source says, and what all have in common.
func (j *joiner) operation(o operation) (*object, error) {
	x := o.source
	for _, name := range x.names {
		if !slices.Contains([]string{"id", "summary", "description", "scope", "wave", "once", "query", "headers", "body", "body?", "bodies", "requests", "answers", "errors", "outside", "list"}, name) {
			return nil, fmt.Errorf("%q is not understood", name)
		}
	}
	out := obj("operationId", x.get("id"), "tags", []any{o.tag}, "summary", x.get("summary"), "description", x.get("description"))
	parameters, err := j.parametersOf(o)
	if err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		out.set("parameters", parameters)
	}
	body, err := j.requestBody(x)
	if err != nil {
		return nil, err
	}
	if body != nil {
		out.set("requestBody", body)
	}
	responses, err := j.responsesOf(o)
	if err != nil {
		return nil, err
	}
	out.set("responses", responses)
	j.access(o, out)
	return out, nil
}

// access tells who may: a scope, "any" key, or "public".
func (j *joiner) access(o operation, out *object) {
	scopes := []any{}
	switch scope := o.source.text("scope"); scope {
	case "public":
		out.set("security", []any{})
	case "any":
	default:
		for _, s := range strings.Split(scope, "|") {
			scopes = append(scopes, s)
		}
	}
	out.set("x-scopes", scopes)
	once := "always" // by what it does: the same again changes nothing more
	if keeps(o) {
		once = "key"
	}
	out.set("x-idempotent", once)
	wave := o.source.text("wave")
	if wave == "" {
		wave = "core"
	}
	out.set("x-wave", wave)
	if o.source.has("outside") {
		out.set("x-outside", true)
	}
}

// takesKey tells whether an operation takes an idempotency key.
func takesKey(o operation) bool { return o.method == "post" }

// keeps tells whether its answer is kept under the key. Where the source says
// "once: always" the same again changes nothing more, and there is nothing to keep.
func keeps(o operation) bool { return takesKey(o) && o.source.text("once") != "always" }

// isList tells whether an operation gives a page of a list.
func isList(o operation) bool { return o.source.has("list") }

func (j *joiner) parametersOf(o operation) (out []any, err error) {
	for _, m := range pathParameter.FindAllStringSubmatch(o.path, -1) {
		name := m[1]
		if special := name + "." + strings.Split(o.path, "/")[2]; j.parameters.has(special) {
			name = special // {id} of keys and of jobs
		}
		out = append(out, j.ref("parameters", name))
	}
	if isList(o) {
		for _, name := range []string{"limit", "cursor", "order"} {
			out = append(out, j.ref("parameters", name))
		}
		if !o.source.object("query").has("include") {
			out = append(out, j.ref("parameters", "include"))
		}
	}
	query := o.source.object("query")
	for _, name := range query.names {
		if s, shared := query.get(name).(string); shared && s == "shared" {
			out = append(out, j.ref("parameters", name))
			continue
		}
		p, err := j.queryParameter(name, query.get(name))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	headers, _ := o.source.get("headers").([]any)
	if takesKey(o) {
		headers = append([]any{"Idempotency-Key"}, headers...)
	}
	if !o.source.has("outside") {
		headers = append(headers, "X-Request-Id")
	}
	for _, h := range headers {
		out = append(out, j.ref("parameters", fmt.Sprint(h)))
	}
	return out, nil
}

func (j *joiner) queryParameter(name string, v any) (*object, error) {
	plain, required := strings.CutSuffix(name, "!")
	s, err := j.schema(v)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", plain, err)
	}
	p := obj("name", plain, "in", "query", "description", s.get("description"))
	if required {
		p.set("required", true)
	}
	if s.has("description") {
		delete(s.values, "description")
		s.names = slices.DeleteFunc(s.names, func(n string) bool { return n == "description" })
	}
	if s.text("type") == "object" {
		p.set("style", "deepObject")
		p.set("explode", true)
	}
	p.set("schema", s)
	return p, nil
}

// requestBody reads body (JSON), bodies (other media types) and requests (examples of the
// JSON).
func (j *joiner) requestBody(x *object) (*object, error) {
	content, required := obj(), true
	source := x.get("body")
	if x.has("body?") {
		source, required = x.get("body?"), false
	}
	if source != nil {
		s, err := j.schema(source)
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		media := obj("schema", s)
		if err := j.setExamples(media, x.get("requests")); err != nil {
			return nil, err
		}
		content.set("application/json", media)
	}
	bodies := x.object("bodies")
	for _, kind := range bodies.names {
		b := bodies.object(kind)
		s, err := j.schema(b.get("schema"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		media := obj("schema", s)
		if b.has("example") {
			media.set("example", b.get("example"))
		}
		if b.has("encoding") {
			media.set("encoding", b.get("encoding"))
		}
		content.set(kind, media)
	}
	if len(content.names) == 0 {
		return nil, nil
	}
	return obj("required", required, "content", content), nil
}

// setExamples sets examples: by name {summary, value}; a text names a shared one.
func (j *joiner) setExamples(media *object, v any) error {
	switch x := v.(type) {
	case nil:
	case string:
		media.set("examples", obj("example", j.ref("examples", x)))
	case *object:
		out := obj()
		for _, name := range x.names {
			switch e := x.get(name).(type) {
			case string:
				out.set(name, j.ref("examples", e))
			case *object:
				if !e.has("value") {
					return fmt.Errorf("example %s has no value", name)
				}
				out.set(name, e)
			default:
				return fmt.Errorf("example %s is not understood", name)
			}
		}
		media.set("examples", out)
	default:
		return fmt.Errorf("examples are not understood: %v", v)
	}
	return nil
}

// responsesOf writes the answers that are the operation's own, then the errors it shares.
func (j *joiner) responsesOf(o operation) (*object, error) {
	out := obj()
	answers := o.source.object("answers")
	if isList(o) && !answers.has("200") {
		answers = obj("200", obj("description", "A page of the list.", "body", "page of "+o.source.text("list"), "headers", []any{"Link"}, "examples", o.source.object("answers").get("examples")))
	}
	for _, status := range answers.names {
		if status == "examples" {
			continue
		}
		r, err := j.answer(o, answers.object(status))
		if err != nil {
			return nil, fmt.Errorf("answer %s: %w", status, err)
		}
		out.set(status, r)
	}
	for _, status := range j.errorsOf(o) {
		if !out.has(status) {
			out.set(status, j.ref("responses", status))
		}
	}
	return out, nil
}

// answer writes {description, body, bodies, problem, headers, examples}.
func (j *joiner) answer(o operation, a *object) (*object, error) {
	out := obj("description", a.get("description"))
	if !o.source.has("outside") {
		more, _ := a.get("headers").([]any)
		if keeps(o) {
			more = append(more, "Idempotency-Key", "Idempotency-Replayed", "Idempotency-Original-Request", "X-Idempotency-Short-Circuit")
		}
		out.set("headers", j.commonHeaders(obj("headers", more)))
	}
	content := obj()
	if a.has("body") {
		s, err := j.schema(a.get("body"))
		if err != nil {
			return nil, err
		}
		media := obj("schema", s)
		if err := j.setExamples(media, a.get("examples")); err != nil {
			return nil, err
		}
		content.set("application/json", media)
	}
	if a.has("problem") {
		content.set("application/problem+json", obj("schema", j.ref("schemas", "Problem")))
	}
	bodies := a.object("bodies")
	for _, kind := range bodies.names {
		media := obj("schema", obj("type", "string"))
		if e := bodies.object(kind).get("example"); e != nil {
			media.set("example", e)
		}
		content.set(kind, media)
	}
	if len(content.names) > 0 {
		out.set("content", content)
	}
	return out, nil
}

// common are the headers of every answer.
var common = []string{"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit", "Server-Timing", "X-Should-Retry"}

func (j *joiner) commonHeaders(x *object) *object {
	out := obj()
	for _, name := range common {
		out.set(name, j.ref("headers", name))
	}
	more, _ := x.get("headers").([]any)
	for _, name := range more {
		out.set(fmt.Sprint(name), j.ref("headers", fmt.Sprint(name)))
	}
	return out
}

// errorsOf are the statuses every operation of this kind may answer, and its own.
func (j *joiner) errorsOf(o operation) []string {
	x := o.source
	if x.has("outside") {
		return nil
	}
	all := []int{429, 500, 503}
	if x.text("scope") != "public" {
		all = append(all, 400, 401, 403) // 400: a session that names no environment of ours
	}
	if strings.Contains(o.path, "{") {
		all = append(all, 404)
	}
	if isList(o) || x.has("query") || takesKey(o) {
		all = append(all, 400)
	}
	if x.has("body") || x.has("body?") || x.has("bodies") || takesKey(o) {
		all = append(all, 400, 408, 413, 415, 422)
	}
	if keeps(o) {
		all = append(all, 409)
	}
	headers, _ := x.get("headers").([]any)
	for _, h := range headers {
		if h == "If-Match" {
			all = append(all, 412)
		}
	}
	own, _ := x.get("errors").([]any)
	for _, e := range own {
		n, _ := strconv.Atoi(fmt.Sprint(e))
		all = append(all, n)
	}
	slices.Sort(all)
	out := []string{}
	for _, n := range slices.Compact(all) {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

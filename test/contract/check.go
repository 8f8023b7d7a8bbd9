package contract

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answer is one answer of the server, with what was asked.
type Answer struct {
	Method, Path string // the path as it was asked, with its query
	Status       int
	Header       http.Header
	Body         []byte
}

// others are paths beside the API: pages, links in mail, another dialect.
var others = regexp.MustCompile(`^/(|p/.*|u/.*|c/.*|o/.*|metrics|favicon\.svg|[a-z]+\.(css|js)|login.*|setup.*|api/.*)$`)

// Check tells how an answer differs from what is documented; nil when it does not.
func Check(a Answer) error {
	if err := Load().check(a); err != nil {
		return fmt.Errorf("contract: %s %s answered %d: %w\n%.1500s", a.Method, a.Path, a.Status, err, a.Body)
	}
	return nil
}

func (d *Document) check(a Answer) error {
	path, _, _ := strings.Cut(a.Path, "?")
	if plain(a) {
		return nil
	}
	n := d.route(path)
	if n == nil {
		if others.MatchString(path) {
			return nil
		}
		return d.refused(a, http.StatusNotFound, "not_found")
	}
	method := a.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op := n.operations[method]
	if op == nil {
		if op := n.operations["GET"]; op != nil && op["x-outside"] != nil {
			return nil // a probe's own 405
		}
		return d.refused(a, http.StatusMethodNotAllowed, "method_not_allowed")
	}
	responses := op["responses"].(map[string]any)
	status := strconv.Itoa(a.Status)
	if responses[status] == nil {
		return errors.New("this status is not documented")
	}
	response := d.Resolve(responses[status])
	return errors.Join(d.headers(a, response), d.body(a, response, pointerOf(n.path, method, status, responses[status])))
}

// pointerOf is where a response stands in the document.
func pointerOf(path, method, status string, response any) string {
	if ref, ok := response.(map[string]any)["$ref"].(string); ok {
		return strings.TrimPrefix(ref, "#")
	}
	return "/paths/" + escape(path) + "/" + strings.ToLower(method) + "/responses/" + status
}

// plain are the answers net/http gives itself, before any of us sees the request.
func plain(a Answer) bool {
	return (a.Status == 400 || a.Status == 431 || a.Status == 505 || a.Status == 501) && a.Header.Get("X-Request-Id") == "" && strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain")
}

// refused checks an answer to what is no route.
func (d *Document) refused(a Answer, status int, code string) error {
	if a.Status == http.StatusTooManyRequests {
		status, code = a.Status, "rate_limited"
	}
	if a.Status != status {
		return errors.New("this path and method are not documented")
	}
	response := d.Resolve(map[string]any{"$ref": "#/components/responses/404"})
	if err := errors.Join(d.headers(a, response), d.body(a, response, "/components/responses/404")); err != nil {
		return err
	}
	var p problem
	if a.Method != http.MethodHead && (json.Unmarshal(a.Body, &p) != nil || p.Code != code) {
		return fmt.Errorf("the code is %q, not %s", p.Code, code)
	}
	return nil
}

// headers holds each documented header against its schema. Those of every answer are
// marked required.
func (d *Document) headers(a Answer, response map[string]any) error {
	var errs []error
	all, _ := response["headers"].(map[string]any)
	for name, v := range all {
		h := d.Resolve(v)
		values := a.Header.Values(name)
		if len(values) == 0 {
			if h["required"] == true {
				errs = append(errs, fmt.Errorf("the header %s is missing", name))
			}
			continue
		}
		if err := d.Validate("/components/headers/"+escape(name)+"/schema", scalar(d.Resolve(h["schema"]), values[0])); err != nil {
			errs = append(errs, fmt.Errorf("header %s: %s: %w", name, values[0], short(err)))
		}
	}
	return errors.Join(errs...)
}

// scalar reads a header's text as what its schema says it is.
func scalar(schema map[string]any, text string) any {
	if schema["type"] == "integer" {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return json.Number(text)
		}
	}
	return text
}

func (d *Document) body(a Answer, response map[string]any, pointer string) error {
	content, _ := response["content"].(map[string]any)
	if a.Method == http.MethodHead || a.Status == http.StatusNotModified {
		return nil
	}
	if len(content) == 0 {
		if len(a.Body) > 0 {
			return errors.New("a body where none is documented")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type %q: %w", a.Header.Get("Content-Type"), err)
	}
	if content[kind] == nil {
		if content["*/*"] != nil {
			return nil
		}
		return fmt.Errorf("the content type %s is not documented", kind)
	}
	if !strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "ndjson") {
		return nil
	}
	text, err := unpacked(a)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if err := d.Validate(pointer+"/content/"+escape(kind)+"/schema", v); err != nil {
		return short(err)
	}
	if kind == "application/problem+json" {
		return d.problem(a)
	}
	return nil
}

// unpacked is the body as it was before it was packed for the way.
func unpacked(a Answer) ([]byte, error) {
	if a.Header.Get("Content-Encoding") != "gzip" {
		return a.Body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(a.Body))
	if err != nil {
		return nil, fmt.Errorf("not gzip: %w", err)
	}
	return io.ReadAll(z)
}

type problem struct {
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
	} `json:"errors"`
}

// problem holds an error against the list of codes.
func (d *Document) problem(a Answer) error {
	var p problem
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return err
	}
	code := d.Resolve(d.Resolve(d.Root["x-errors"])[p.Code])
	switch {
	case code == nil:
		return fmt.Errorf("the code %q is not in the list of codes", p.Code)
	case p.Status != a.Status:
		return fmt.Errorf("the problem's status is %d", p.Status)
	case p.RequestID != a.Header.Get("X-Request-Id"):
		return errors.New("the problem's request_id is not that of X-Request-Id")
	case fmt.Sprint(code["status"]) != strconv.Itoa(a.Status):
		return fmt.Errorf("%s is documented with %v", p.Code, code["status"])
	case code["title"] != p.Title:
		return fmt.Errorf("%s has the title %q, documented is %q", p.Code, p.Title, code["title"])
	case !strings.HasSuffix(p.Type, "/docs/errors#"+p.Code) && p.Code != "rate_limited":
		return fmt.Errorf("the type %q leads elsewhere", p.Type)
	case (a.Status == 429 || a.Status == 503 || p.Code == "idempotency_in_progress") && a.Header.Get("Retry-After") == "":
		return errors.New("no Retry-After")
	case a.Status == 401 && a.Header.Get("WWW-Authenticate") == "":
		return errors.New("no WWW-Authenticate")
	case a.Status == 405 && a.Header.Get("Allow") == "":
		return errors.New("no Allow")
	}
	if p.Code != "validation_failed" {
		return nil
	}
	if len(p.Errors) == 0 {
		return errors.New("validation_failed without errors[]")
	}
	known := d.Resolve(d.Root["x-field-errors"])
	for _, e := range p.Errors {
		if known[e.Code] == nil && d.Resolve(d.Root["x-errors"])[e.Code] == nil {
			return fmt.Errorf("the code of a field %q is not in the list", e.Code)
		}
		if e.Pointer == "" {
			return fmt.Errorf("the fault %q has no pointer", e.Code)
		}
	}
	return nil
}

// short is a validation's error in few lines: the deepest reasons.
func short(err error) error {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err
	}
	var lines []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			lines = append(lines, "at /"+strings.Join(e.InstanceLocation, "/")+": "+e.Error())
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(v)
	slices.Sort(lines)
	lines = slices.Compact(lines)
	return errors.New(strings.Join(lines[:min(len(lines), 8)], "\n"))
}

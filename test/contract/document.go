package contract

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/postroad/postroad/internal/httpapi/reference"
)

// docURL names the document among the resources of the compiler; nothing is fetched.
const docURL = "postroad:openapi"

// Document is the API's description, ready to hold answers against.
type Document struct {
	Root map[string]any // as it is served

	routes  *node
	mu      sync.Mutex
	c       *jsonschema.Compiler
	schemas map[string]*jsonschema.Schema // compiled, by pointer
}

// Load reads the document the binary serves, once.
var Load = sync.OnceValue(func() *Document {
	d, err := read(reference.JSON())
	if err != nil {
		panic("the API's description: " + err.Error()) // ours: a test of its package fails too
	}
	return d
})

func read(text []byte) (*Document, error) {
	open, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	closed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(docURL, closeSchemas(closed)); err != nil {
		return nil, err
	}
	d := &Document{Root: open.(map[string]any), c: c, routes: &node{}, schemas: map[string]*jsonschema.Schema{}}
	for path, item := range d.Root["paths"].(map[string]any) {
		n := d.routes
		for seg := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			n = n.child(seg)
		}
		n.path = path
		for method, op := range item.(map[string]any) {
			n.methods = append(n.methods, strings.ToUpper(method))
			if n.operations == nil {
				n.operations = map[string]map[string]any{}
			}
			n.operations[strings.ToUpper(method)] = op.(map[string]any)
		}
	}
	return d, nil
}

// closeSchemas takes the room to grow out of the schemas of answers and requests alike.
func closeSchemas(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for name, member := range x {
			if name != "example" && name != "examples" && name != "default" && name != "const" {
				closeSchemas(member)
			}
		}
		if words, ok := x["x-extensible-enum"].([]any); ok {
			if types, several := x["type"].([]any); several && len(types) == 2 {
				words = append(words[:len(words):len(words)], nil)
			}
			x["enum"] = words
		}
		_, object := x["properties"].(map[string]any)
		if _, said := x["additionalProperties"]; object && !said {
			x["additionalProperties"] = false
		}
	case []any:
		for _, item := range x {
			closeSchemas(item)
		}
	}
	return v
}

// node is one segment of the paths, found as the server's router finds them: a literal
// segment goes before a parameter, without looking back.
type node struct {
	next       map[string]*node
	param      *node
	path       string
	methods    []string
	operations map[string]map[string]any
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.next == nil {
		n.next = map[string]*node{}
	}
	if n.next[segment] == nil {
		n.next[segment] = &node{}
	}
	return n.next[segment]
}

// route finds the node of a request's path; nil where there is none.
func (d *Document) route(path string) *node {
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimPrefix(path, "/")
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	n := d.routes
	for seg := range strings.SplitSeq(path, "/") {
		switch {
		case n.next[seg] != nil:
			n = n.next[seg]
		case n.param != nil && seg != "":
			n = n.param
		default:
			return nil
		}
	}
	if n.path == "" {
		return nil
	}
	return n
}

// Resolve follows a $ref of the document, if there is one.
func (d *Document) Resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	at := any(d.Root)
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		o, _ := at.(map[string]any)
		at = o[unescape(step)]
	}
	return d.Resolve(at)
}

var pointers = strings.NewReplacer("~", "~0", "/", "~1")

func escape(s string) string { return pointers.Replace(s) }

func unescape(s string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(s) }

// Validate holds a JSON value against the closed schema at a pointer of the document.
func (d *Document) Validate(pointer string, v any) error {
	s, err := d.schema(pointer)
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[pointer]; s != nil {
		return s, nil
	}
	s, err := d.c.Compile(docURL + "#" + (&url.URL{Path: pointer}).EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("the schema at %s: %w", pointer, err)
	}
	d.schemas[pointer] = s
	return s, nil
}

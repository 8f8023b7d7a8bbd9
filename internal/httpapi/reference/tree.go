package reference

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// tree is a JSON value whose objects keep their order: what the pages are made of.
type tree struct {
	kind    byte // as jsontext.Kind: '{', '[', '"', '0', 't', 'f', 'n'
	text    string
	names   []string
	members map[string]*tree
	items   []*tree
}

// root is the document.
var root = sync.OnceValue(func() *tree {
	t, err := readTree(jsontext.NewDecoder(bytes.NewReader(document)))
	if err != nil {
		panic("reference: the document is not JSON: " + err.Error()) // embedded: a test holds it
	}
	return t
})

func readTree(dec *jsontext.Decoder) (*tree, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	t := &tree{kind: byte(tok.Kind())}
	switch t.kind {
	case '{':
		t.members = map[string]*tree{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			n := name.String()
			if t.members[n], err = readTree(dec); err != nil {
				return nil, err
			}
			t.names = append(t.names, n)
		}
		_, err = dec.ReadToken()
	case '[':
		for dec.PeekKind() != ']' {
			item, err := readTree(dec)
			if err != nil {
				return nil, err
			}
			t.items = append(t.items, item)
		}
		_, err = dec.ReadToken()
	default:
		t.text = tok.String()
	}
	return t, err
}

// at gives what stands below names; nil where there is nothing.
func (t *tree) at(names ...string) *tree {
	for _, n := range names {
		if t == nil {
			return nil
		}
		t = t.members[n]
	}
	return t
}

// string is a member's text, "" where there is none.
func (t *tree) string(names ...string) string {
	if v := t.at(names...); v != nil {
		return v.text
	}
	return ""
}

// each calls f for the members of an object, in order; nil has none.
func (t *tree) each(f func(name string, v *tree)) {
	if t == nil {
		return
	}
	for _, n := range t.names {
		f(n, t.members[n])
	}
}

// list is the texts of an array.
func (t *tree) list() (out []string) {
	if t != nil {
		for _, item := range t.items {
			out = append(out, item.text)
		}
	}
	return out
}

// follow gives what a $ref points to, and its last name; else itself and "".
func (t *tree) follow() (*tree, string) {
	ref := t.string("$ref")
	if ref == "" {
		return t, ""
	}
	steps := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	return root().at(steps...), steps[len(steps)-1]
}

// write gives the value as JSON for people: indented, short lists and objects on one line.
func (t *tree) write(indent string) string {
	if flat := t.flat(); len(flat) <= 72-len(indent) {
		return flat
	}
	var lines []string
	in := indent + "  "
	switch t.kind {
	case '{':
		for _, n := range t.names {
			lines = append(lines, in+strconv.Quote(n)+": "+t.members[n].write(in))
		}
		return "{\n" + strings.Join(lines, ",\n") + "\n" + indent + "}"
	case '[':
		for _, item := range t.items {
			lines = append(lines, in+item.write(in))
		}
		return "[\n" + strings.Join(lines, ",\n") + "\n" + indent + "]"
	}
	return t.flat()
}

// flat gives the value as JSON on one line.
func (t *tree) flat() string {
	var parts []string
	switch t.kind {
	case '{':
		for _, n := range t.names {
			parts = append(parts, strconv.Quote(n)+": "+t.members[n].flat())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case '[':
		for _, item := range t.items {
			parts = append(parts, item.flat())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case '"':
		b, _ := jsontext.AppendQuote(nil, t.text)
		return string(b)
	}
	return t.text
}

package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readYAML takes a file's settings: one flat mapping of keys to scalars, or to lists of
// scalars. The syntax tree is read, not a struct, so that faults have a line and there
// can be several.
func (r *reading) readYAML(file string, text []byte) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.fault(file, "is not YAML: %s", firstLine(yaml.FormatError(err, false, false)))
		return
	}
	for i, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if i > 0 {
			r.fault(place(file, doc.Body), "only one YAML document is read")
			return
		}
		mapping, ok := doc.Body.(*ast.MappingNode)
		if !ok {
			r.fault(place(file, doc.Body), "must be settings, one `key: value` a line")
			return
		}
		for _, entry := range mapping.Values {
			r.readEntry(file, entry)
		}
	}
}

func (r *reading) readEntry(file string, entry *ast.MappingValueNode) {
	key := entry.Key.GetToken().Value
	where := place(file, entry.Key) + ": " + key
	f, fromFile := r.byKey[key], false
	if f == nil && strings.HasSuffix(key, "_file") {
		if s := r.byKey[strings.TrimSuffix(key, "_file")]; s != nil && s.secret {
			f, fromFile = s, true
		}
	}
	if f == nil {
		r.unknown(where, "", key, r.keys())
		return
	}
	if _, twice := r.where[f.key]; twice {
		r.fault(where, "is set twice")
		return
	}
	text, err := scalarText(entry.Value)
	if err != nil {
		r.fault(where, "%s", err)
		return
	}
	if fromFile {
		r.where[f.key] = where
		r.putFile(f, where, text)
		return
	}
	r.put(f, where, text)
}

// scalarText is a value as the environment would have it: a scalar as written, a list
// with commas between.
func scalarText(n ast.Node) (string, error) {
	switch v := n.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSpace(v.Value.Value), nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	case *ast.SequenceNode:
		parts := make([]string, len(v.Values))
		for i, item := range v.Values {
			if _, nested := item.(*ast.SequenceNode); nested {
				return "", fmt.Errorf("must be a value or a list of values")
			}
			text, err := scalarText(item)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("must be a value or a list of values")
}

func place(file string, n ast.Node) string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d", file, t.Position.Line)
	}
	return file
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

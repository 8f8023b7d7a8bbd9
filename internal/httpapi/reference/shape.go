package reference

import (
	"html"
	"html/template"
	"slices"
	"strings"
)

// field is a line of a schema's table.
type field struct {
	Name     string
	Required bool
	Type     template.HTML
	Text     template.HTML
	Fields   []field // of an object without a name of its own
}

// fieldsOf are the lines of an object's table, nil where it has none.
func fieldsOf(s *tree, depth int) (out []field) {
	required := s.at("required").list()
	s.at("properties").each(func(name string, v *tree) {
		out = append(out, field{Name: name, Required: slices.Contains(required, name), Type: typeOf(v), Text: prose(textOf(v)), Fields: nested(v, depth)})
	})
	return out
}

// nested are the fields of an object that stands in another one, also as one of several
// forms or as an item.
func nested(v *tree, depth int) []field {
	if depth == 0 || v == nil || v.string("$ref") != "" {
		return nil
	}
	if v.at("properties") != nil {
		return fieldsOf(v, depth-1)
	}
	for _, name := range []string{"items", "additionalProperties"} {
		if in := nested(v.at(name), depth); in != nil {
			return in
		}
	}
	if forms := v.at("anyOf"); forms != nil {
		for _, item := range forms.items {
			if in := nested(item, depth); in != nil {
				return in
			}
		}
	}
	return nil
}

// textOf is a schema's description, or that of the short one it is.
func textOf(v *tree) string {
	if d := v.string("description"); d != "" {
		return d
	}
	if s, name := v.follow(); name != "" && s.at("properties") == nil {
		return s.string("description")
	}
	return ""
}

// typeOf says in words what a value is.
func typeOf(v *tree) template.HTML {
	if v == nil {
		return "anything"
	}
	s, name := v.follow()
	if name != "" {
		if s.at("properties") != nil || s.at("anyOf") != nil {
			return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`)
		}
		return typeOf(s)
	}
	if forms := s.at("anyOf"); forms != nil {
		var words []string
		for _, item := range forms.items {
			words = append(words, string(typeOf(item)))
		}
		return template.HTML(strings.Join(words, " or "))
	}
	kinds := s.at("type").list()
	if t := s.string("type"); t != "" {
		kinds = []string{t}
	}
	var words []string
	for _, kind := range kinds {
		words = append(words, kindOf(s, kind))
	}
	if len(words) == 0 {
		return "anything"
	}
	return template.HTML(strings.Join(words, " or "))
}

func kindOf(s *tree, kind string) string {
	switch kind {
	case "array":
		return "list of " + string(typeOf(s.at("items"))) + rangeOf(s, "minItems", "maxItems", "")
	case "object":
		if more := s.at("additionalProperties"); more != nil && more.kind == '{' {
			return "map of " + string(typeOf(more))
		}
		return "object"
	case "string":
		return stringOf(s)
	case "null":
		return "null"
	}
	return kind + rangeOf(s, "minimum", "maximum", "")
}

func stringOf(s *tree) string {
	if words := s.at("x-extensible-enum"); words != nil {
		var out []string
		for _, w := range words.list() {
			out = append(out, "<code>"+html.EscapeString(w)+"</code>")
		}
		return strings.Join(out, " <i>or</i> ")
	}
	if c := s.string("const"); c != "" {
		return "<code>" + html.EscapeString(c) + "</code>"
	}
	switch {
	case s.string("format") == "date-time":
		return "time"
	case s.string("format") != "":
		return s.string("format")
	case s.string("contentEncoding") != "":
		return "base64"
	}
	if p := s.string("pattern"); strings.HasPrefix(p, "^") && strings.HasSuffix(p, "{26}$") {
		return "id <code>" + html.EscapeString(strings.TrimPrefix(p, "^")[:strings.Index(p, "_")]) + "…</code>"
	}
	return "string" + rangeOf(s, "minLength", "maxLength", " characters")
}

// rangeOf is " (1–64 characters)", "" where nothing is bounded.
func rangeOf(s *tree, low, high, unit string) string {
	from, to := s.string(low), s.string(high)
	switch {
	case from != "" && to != "":
		return " (" + from + "–" + to + unit + ")"
	case to != "":
		return " (at most " + to + unit + ")"
	case from != "" && from != "0":
		return " (from " + from + unit + ")"
	}
	return ""
}

package reference

import (
	"html/template"
	"net/url"
	"slices"
	"strings"
)

// What the page shows, made of the document.

type group struct {
	Name, Slug string
	Text       template.HTML
	Operations []*operation
}

type operation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Scope                     string
	Public, Once              bool
	Parameters                []field
	Body                      []content
	Requests                  []example
	Answers                   []answerOf
	Errors                    []string // statuses
	Words                     string   // what the filter looks in
}

// content is a body in one media type.
type content struct {
	Kind   string
	Type   template.HTML
	Fields []field
}

type example struct {
	Title, Text string
}

type answerOf struct {
	Status  string
	Text    template.HTML
	Bodies  []content
	Example string
}

type schema struct {
	Name   string
	Text   template.HTML
	Type   template.HTML
	Fields []field
}

type hook struct {
	Name, Slug, Summary string
	Text                template.HTML
	Fields              []field
	Example             string
}

// groups are the operations by their tags, in the order of the tags.
func groups() []*group {
	var all []*group
	by := map[string]*group{}
	for _, tag := range root().at("tags").items {
		g := &group{Name: tag.string("name"), Slug: slug(tag.string("name")), Text: prose(tag.string("description"))}
		all, by[g.Name] = append(all, g), g
	}
	root().at("paths").each(func(path string, item *tree) {
		item.each(func(method string, op *tree) {
			g := by[op.at("tags").items[0].text]
			g.Operations = append(g.Operations, operationOf(strings.ToUpper(method), path, op))
		})
	})
	return slices.DeleteFunc(all, func(g *group) bool { return len(g.Operations) == 0 })
}

func slug(s string) string {
	return strings.NewReplacer(" ", "-", ".", "-", "_", "-").Replace(strings.ToLower(s))
}

func operationOf(method, path string, op *tree) *operation {
	o := &operation{ID: op.string("operationId"), Method: method, Path: path, Summary: op.string("summary"), Text: prose(op.string("description")),
		Scope: strings.Join(op.at("x-scopes").list(), ", "), Once: op.string("x-idempotent") == "key"}
	if s := op.at("security"); s != nil && len(s.items) == 0 {
		o.Public = true
	}
	o.Words = strings.ToLower(strings.Join([]string{method, path, o.Summary, o.ID, o.Scope}, " "))
	if list := op.at("parameters"); list != nil {
		for _, p := range list.items {
			p, _ = p.follow()
			o.Parameters = append(o.Parameters, field{Name: p.string("name"), Required: p.string("required") == "true", Type: typeOf(p.at("schema")),
				Text: prose(p.string("description") + in(p.string("in")))})
		}
	}
	o.Body = contentsOf(op.at("requestBody", "content"))
	o.Requests = requestsOf(method, path, op)
	op.at("responses").each(func(status string, r *tree) {
		if r.string("$ref") != "" {
			o.Errors = append(o.Errors, status)
			return
		}
		a := answerOf{Status: status, Text: prose(r.string("description")), Bodies: contentsOf(r.at("content"))}
		if e := exampleOf(r.at("content", "application/json")); e != nil {
			a.Example = e.write("")
		}
		o.Answers = append(o.Answers, a)
	})
	return o
}

func in(where string) string {
	if where == "header" {
		return " (header)"
	}
	return ""
}

func contentsOf(c *tree) (out []content) {
	c.each(func(kind string, media *tree) {
		s := media.at("schema")
		one := content{Kind: kind, Type: typeOf(s)}
		if s.string("$ref") == "" {
			one.Fields = fieldsOf(s, 2)
		}
		out = append(out, one)
	})
	return out
}

// exampleOf is the first example of a body.
func exampleOf(media *tree) *tree {
	if media == nil {
		return nil
	}
	if e := media.at("example"); e != nil {
		return e
	}
	var first *tree
	media.at("examples").each(func(_ string, e *tree) {
		if e, _ = e.follow(); first == nil {
			first = e.at("value")
		}
	})
	return first
}

// requestsOf writes the examples of an operation as lines for a shell.
func requestsOf(method, path string, op *tree) (out []example) {
	line := "curl"
	if method != "GET" {
		line += " -X " + method
	}
	line += " $POSTROAD" + pathExample(path, op)
	if s := op.at("security"); s == nil || len(s.items) > 0 {
		line += ` \` + "\n" + `  -H "Authorization: Bearer $KEY"`
	}
	if op.string("x-idempotent") == "key" && method == "POST" {
		line += ` \` + "\n  -H 'Idempotency-Key: " + "receipt/42'"
	}
	body := op.at("requestBody", "content")
	if body == nil {
		return []example{{"", line}}
	}
	if media := body.at("application/json"); media != nil {
		media.at("examples").each(func(_ string, e *tree) {
			text := line + ` \` + "\n  -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(e.at("value").write("  "), "'", `'\''`) + "'"
			out = append(out, example{e.string("summary"), text})
		})
	}
	body.each(func(kind string, media *tree) {
		if e := media.at("example"); e != nil {
			out = append(out, example{kind, line + ` \` + "\n  -H 'Content-Type: " + kind + "' --data-binary @- <<'END'\n" + strings.ReplaceAll(e.text, "\r\n", "\n") + "END"})
		}
	})
	if out == nil {
		return []example{{"", line}}
	}
	return out
}

// pathExample is the path with the examples of its parameters.
func pathExample(path string, op *tree) string {
	if list := op.at("parameters"); list != nil {
		for _, p := range list.items {
			p, _ = p.follow()
			if e := p.at("example"); e != nil && p.string("in") == "path" {
				path = strings.ReplaceAll(path, "{"+p.string("name")+"}", url.PathEscape(e.text))
			}
		}
	}
	return path
}

// schemas are the named ones that are objects.
func schemas() (out []schema) {
	root().at("components", "schemas").each(func(name string, s *tree) {
		fields := fieldsOf(s, 2)
		if fields == nil {
			fields = nested(s, 2)
		}
		if fields != nil || s.at("anyOf") != nil {
			out = append(out, schema{name, prose(s.string("description")), typeOf(s), fields})
		}
	})
	return out
}

// hooks are the events posted to endpoints.
func hooks() (out []hook) {
	root().at("webhooks").each(func(name string, item *tree) {
		op := item.at("post")
		h := hook{Name: name, Slug: slug(name), Summary: op.string("summary"), Text: prose(op.string("description"))}
		media := op.at("requestBody", "content", "application/json")
		data := media.at("schema", "properties", "data")
		s, _ := data.follow()
		h.Fields = fieldsOf(s, 2)
		if e := exampleOf(media); e != nil {
			h.Example = e.write("")
		}
		out = append(out, h)
	})
	return out
}

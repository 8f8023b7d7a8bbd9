package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A shape is a schema written in words, as source/README.md tells:
//
//	string 1..64 — What it is for.
//	list ..50 of Address
//	time or null
//
// shape gives its JSON Schema.
func (j *joiner) shape(text string) (*object, error) {
	expr, description, _ := strings.Cut(text, " — ")
	expr, nullable := strings.CutSuffix(strings.TrimSpace(expr), " or null")
	s, err := j.words(strings.Fields(expr))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if nullable {
		s = orNullSchema(s)
	}
	if description = strings.TrimSpace(description); description != "" {
		s.set("description", description)
	}
	return s, nil
}

// orNullSchema lets a schema be null too.
func orNullSchema(s *object) *object {
	if t, ok := s.get("type").(string); ok {
		s.set("type", []any{t, "null"})
		return s
	}
	return obj("anyOf", []any{s, obj("type", "null")})
}

// formats are the words for strings of a known form.
var formats = map[string][]any{
	"time":   {"type", "string", "format", "date-time", "examples", []any{"2026-04-19T14:30:00.000Z"}},
	"email":  {"type", "string", "format", "email"},
	"url":    {"type", "string", "format", "uri"},
	"base64": {"type", "string", "contentEncoding", "base64"},
	"any":    {},
}

func (j *joiner) words(w []string) (*object, error) {
	if len(w) == 0 {
		return nil, fmt.Errorf("an empty shape")
	}
	switch head := w[0]; head {
	case "list", "map", "page":
		return j.several(head, w[1:])
	case "one":
		if len(w) < 3 || w[1] != "of" {
			return nil, fmt.Errorf("'one of a|b|c' is meant")
		}
		return j.limited(obj("type", "string", "x-extensible-enum", texts(strings.Split(w[2], "|"))), w[3:])
	case "is":
		return obj("type", "string", "const", w[1]), nil
	case "id":
		return obj("type", "string", "pattern", "^"+w[1]+"_[0-9a-hjkmnp-tv-z]{26}$", "examples", []any{w[1] + "_01kpk2byj0emq8k9w39qsaekf4"}), nil
	case "string", "integer", "number", "boolean", "object":
		return j.limited(obj("type", head), w[1:])
	default:
		if members, known := formats[head]; known {
			return j.limited(obj(members...), w[1:])
		}
		if c := head[0]; c < 'A' || c > 'Z' || len(w) > 1 {
			return nil, fmt.Errorf("%q is no shape", strings.Join(w, " "))
		}
		return j.ref("schemas", head), nil
	}
}

// several reads "list 1..5 of X", "map of X" and "page of X".
func (j *joiner) several(kind string, w []string) (*object, error) {
	bounds := ""
	if len(w) > 0 && strings.Contains(w[0], "..") {
		bounds, w = w[0], w[1:]
	}
	if len(w) < 2 || w[0] != "of" {
		return nil, fmt.Errorf("'%s of …' is meant", kind)
	}
	item, err := j.words(w[1:])
	if err != nil {
		return nil, err
	}
	switch kind {
	case "page":
		return j.page(w[1], item), nil
	case "map":
		return setBounds(obj("type", "object", "additionalProperties", item), "Properties", bounds)
	}
	return setBounds(obj("type", "array", "items", item), "Items", bounds)
}

// page is the List of something, a component of its own.
func (j *joiner) page(name string, item *object) *object {
	list := name + "List"
	if !j.schemas.has(list) {
		j.schemas.set(list, obj("fields", obj("data", obj("type", "array", "items", item)), "extends", "List",
			"description", "A page of `"+name+"`."))
	}
	return j.ref("schemas", list)
}

// limited reads what follows a plain type: a range, a /pattern/, =default, ~example.
func (j *joiner) limited(s *object, w []string) (*object, error) {
	for _, word := range w {
		switch {
		case len(word) > 1 && word[0] == '/' && word[len(word)-1] == '/':
			s.set("pattern", word[1:len(word)-1])
		case word[0] == '=':
			s.set("default", scalar(s, word[1:]))
		case word[0] == '~':
			s.set("examples", []any{scalar(s, word[1:])})
		case strings.Contains(word, ".."):
			kind := "Length"
			if t := s.text("type"); t == "integer" || t == "number" {
				kind = "imum"
			}
			if _, err := setBounds(s, kind, word); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%q is not understood", word)
		}
	}
	return s, nil
}

// scalar reads a default or an example as its schema's type.
func scalar(s *object, word string) any {
	switch s.text("type") {
	case "integer", "number":
		if n, err := strconv.Atoi(word); err == nil {
			return n
		}
	case "boolean":
		return word == "true"
	}
	return word
}

// setBounds sets min and max of a kind: minLength, maxItems, minimum …
func setBounds(s *object, kind, text string) (*object, error) {
	if text == "" {
		return s, nil
	}
	low, high, _ := strings.Cut(text, "..")
	for _, side := range []struct{ name, text string }{{"min", low}, {"max", high}} {
		if side.text == "" {
			continue
		}
		n, err := strconv.Atoi(side.text)
		if err != nil {
			return nil, fmt.Errorf("%q is no range", text)
		}
		s.set(side.name+kind, n)
	}
	return s, nil
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

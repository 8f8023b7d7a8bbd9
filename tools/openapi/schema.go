package main

import (
	"fmt"
	"strings"
)

// schema reads a schema of the sources: words, an object with 'fields', or JSON Schema as
// it is.
func (j *joiner) schema(v any) (*object, error) {
	switch x := v.(type) {
	case string:
		return j.shape(x)
	case *object:
		if x.has("fields") || x.has("extends") {
			return j.fields(x)
		}
		return j.plain(x)
	}
	return nil, fmt.Errorf("%v is no schema", v)
}

// fields reads {description, extends, fields}: a name that ends in "?" may be absent.
func (j *joiner) fields(x *object) (*object, error) {
	properties, required := obj(), []any{}
	for base := range strings.FieldsSeq(x.text("extends")) {
		b, err := j.named(base)
		if err != nil {
			return nil, err
		}
		inherited := b.object("properties")
		for _, name := range inherited.names {
			properties.set(name, inherited.get(name))
		}
		more, _ := b.get("required").([]any)
		required = append(required, more...)
	}
	own := x.object("fields")
	for _, name := range own.names {
		plain, optional := strings.CutSuffix(name, "?")
		s, err := j.schema(own.get(name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plain, err)
		}
		properties.set(plain, s)
		required = without(required, plain)
		if !optional {
			required = append(required, plain)
		}
	}
	out := obj("type", "object", "description", x.get("description"), "properties", properties)
	if len(required) > 0 {
		out.set("required", required)
	}
	for _, name := range x.names {
		switch name {
		case "fields", "extends", "description":
		default:
			out.set(name, x.get(name))
		}
	}
	return out, nil
}

// named gives a finished schema that another one extends.
func (j *joiner) named(name string) (*object, error) {
	if !j.schemas.has(name) {
		return nil, fmt.Errorf("extends %s, which is nowhere", name)
	}
	return j.schema(j.schemas.get(name))
}

// plain reads JSON Schema whose parts may be words.
func (j *joiner) plain(x *object) (*object, error) {
	out := obj()
	for _, name := range x.names {
		v := x.get(name)
		switch name {
		case "items", "additionalProperties":
			if is, ok := v.(bool); ok {
				out.set(name, is)
				continue
			}
			s, err := j.schema(v)
			if err != nil {
				return nil, err
			}
			out.set(name, s)
		case "anyOf", "oneOf":
			list, err := j.each(v)
			if err != nil {
				return nil, err
			}
			out.set(name, list)
		default:
			out.set(name, v)
		}
	}
	return out, nil
}

func (j *joiner) each(v any) ([]any, error) {
	in, _ := v.([]any)
	out := make([]any, len(in))
	for i := range in {
		s, err := j.schema(in[i])
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

func without(list []any, name string) []any {
	out := make([]any, 0, len(list))
	for _, x := range list {
		if x != name {
			out = append(out, x)
		}
	}
	return out
}

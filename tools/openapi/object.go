package main

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
)

// object is a JSON object that keeps its members in the order they were set.
type object struct {
	names  []string
	values map[string]any
}

// obj makes one of names and values in turn; values that are nil are left out.
func obj(members ...any) *object {
	o := &object{values: map[string]any{}}
	for i := 0; i < len(members); i += 2 {
		if members[i+1] != nil {
			o.set(members[i].(string), members[i+1])
		}
	}
	return o
}

func (o *object) set(name string, v any) {
	if _, there := o.values[name]; !there {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) get(name string) any {
	if o == nil {
		return nil
	}
	return o.values[name]
}

func (o *object) has(name string) bool { return o.get(name) != nil }

// object gives a member that is an object; an empty one where there is none.
func (o *object) object(name string) *object {
	if v, ok := o.get(name).(*object); ok {
		return v
	}
	return obj()
}

func (o *object) text(name string) string {
	s, _ := o.get(name).(string)
	return s
}

// MarshalJSONTo writes the members in their order.
func (o *object) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, name := range o.names {
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, o.values[name]); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// encode writes the document: indented, so that a change of it can be read in a diff.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	err := json.MarshalWrite(&out, v, jsontext.WithIndent(" "), json.Deterministic(true))
	out.WriteByte('\n')
	return out.Bytes(), err
}

// parse reads YAML with its order kept; names given twice are an error.
func parse(text []byte) (*object, error) {
	var v any
	if err := yaml.UnmarshalWithOptions(text, &v, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	o, ok := ordered(v).(*object)
	if !ok {
		return nil, fmt.Errorf("not an object")
	}
	return o, nil
}

func ordered(v any) any {
	switch x := v.(type) {
	case yaml.MapSlice:
		o := obj()
		for _, item := range x {
			o.set(fmt.Sprint(item.Key), orNull(ordered(item.Value)))
		}
		return o
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = orNull(ordered(x[i]))
		}
		return out
	}
	return v
}

// null is a null that is written; a nil is a member that is not there.
type null struct{}

// MarshalJSONTo writes null.
func (null) MarshalJSONTo(enc *jsontext.Encoder) error { return enc.WriteToken(jsontext.Null) }

func orNull(v any) any {
	if v == nil {
		return null{}
	}
	return v
}

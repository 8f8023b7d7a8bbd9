package eventlog

import (
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The schemas are read off the very shapes that are written, so that they cannot say
// anything else: names and omissions from the json tags, words from the doc tags. A
// pointer may be null.

// schema is the part of JSON Schema 2020-12 our shapes need.
type schema struct {
	Type        any        `json:"type,omitempty"` // a string, or a list with "null"
	Description string     `json:"description,omitempty"`
	Format      string     `json:"format,omitempty"`
	Properties  properties `json:"properties,omitempty"`
	Required    []string   `json:"required,omitempty"`
	Items       *schema    `json:"items,omitempty"`
	Additional  *schema    `json:"additionalProperties,omitempty"`
}

// properties are written in the order of the shape's fields.
type properties []property

type property struct {
	name string
	is   *schema
}

func (p properties) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, one := range p {
		if err := enc.WriteToken(jsontext.String(one.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, one.is); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func schemaOf(t reflect.Type) jsontext.Value {
	b, err := json.Marshal(typeSchema(t, ""), marshalOptions)
	if err != nil {
		panic(err) // a test makes them all
	}
	return b
}

func typeSchema(t reflect.Type, says string) *schema {
	s := &schema{Description: says}
	switch {
	case t == reflect.TypeFor[stamp]():
		s.Type, s.Format = "string", "date-time"
		return s
	case t.Kind() == reflect.Pointer:
		s = typeSchema(t.Elem(), says)
		s.Type = []any{s.Type, "null"}
		return s
	}
	switch t.Kind() {
	case reflect.Struct:
		s.Type = "object"
		s.members(t)
	case reflect.Slice:
		s.Type, s.Items = "array", typeSchema(t.Elem(), "")
	case reflect.Map: // a nil one is null: redacted, or not known
		s.Type, s.Additional = []any{"object", "null"}, typeSchema(t.Elem(), "")
	case reflect.Bool:
		s.Type = "boolean"
	case reflect.Int, reflect.Int64:
		s.Type = "integer"
	case reflect.Interface: // data: it has a schema of its own
		s.Type = "object"
	default:
		s.Type = "string"
	}
	return s
}

// members adds the fields of a struct; those of embedded ones stand among its own.
func (s *schema) members(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			s.members(f.Type)
			continue
		}
		is := typeSchema(f.Type, f.Tag.Get("doc"))
		if strings.Contains(rest, "omit") {
			if kinds, nullable := is.Type.([]any); nullable {
				is.Type = kinds[0] // where it would be null it is not there
			}
		} else {
			s.Required = append(s.Required, name)
		}
		s.Properties = append(s.Properties, property{name, is})
	}
}

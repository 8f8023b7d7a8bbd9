package config

import (
	"reflect"
	"strings"
)

// field is one setting with where to put its value.
type field struct {
	section string // name of the struct it stands in
	key     string
	env     string
	preset  string // the default as an operator would write it
	unset   string // what an empty default means, in words
	is      string
	secret  bool
	to      any // pointer to the struct's field
}

// fields lists the settings of s in the order they are declared.
func fields(s *Settings) []field {
	var all []field
	top := reflect.ValueOf(s).Elem()
	for i := range top.NumField() {
		section := top.Field(i)
		if section.Kind() != reflect.Struct {
			continue
		}
		for j := range section.NumField() {
			tag := section.Type().Field(j).Tag
			all = append(all, field{
				section: top.Type().Field(i).Name,
				key:     tag.Get("key"),
				env:     "POSTROAD_" + strings.ToUpper(tag.Get("key")),
				preset:  tag.Get("default"),
				unset:   tag.Get("unset"),
				is:      tag.Get("is"),
				secret:  tag.Get("secret") != "",
				to:      section.Field(j).Addr().Interface(),
			})
		}
	}
	return all
}

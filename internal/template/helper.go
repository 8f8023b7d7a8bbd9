package template

import (
	"slices"
	"strings"
)

// helper is a function templates may call, as a value, inside another call, or as a block
// that shows its main branch if the answer holds.
type helper struct {
	least, most int
	takes       string // in words
	tests       bool   // its values are tested for being there: they are optional
	lenient     bool   // its values are optional where the call itself is tested
	run         func(c *call, args []any) (v any, fault string)
	prepare     func(c *call) (fault string) // checks values known when parsing
}

var helpers map[string]*helper

func init() { // refers to itself by helperNames
	helpers = map[string]*helper{
		// Comparisons: numbers by value (also where one of the two is text), texts as they are.
		"equals":      {least: 2, most: 2, takes: "two values", run: func(_ *call, a []any) (any, string) { return equal(a[0], a[1]), "" }},
		"notEquals":   {least: 2, most: 2, takes: "two values", run: func(_ *call, a []any) (any, string) { return !equal(a[0], a[1]), "" }},
		"greaterThan": {least: 2, most: 2, takes: "two values", run: func(_ *call, a []any) (any, string) { o, ok := compare(a[0], a[1]); return ok && o > 0, "" }},
		"lessThan":    {least: 2, most: 2, takes: "two values", run: func(_ *call, a []any) (any, string) { o, ok := compare(a[0], a[1]); return ok && o < 0, "" }},
		// and gives the first value that does not hold, or the last; or the first that does, or
		// the last: (or nickname name) is a name.
		"and": {least: 1, most: 32, takes: "values", tests: true, run: runAnd},
		"or":  {least: 1, most: 32, takes: "values", tests: true, run: runOr},
		"not": {least: 1, most: 1, takes: "one value", tests: true, run: func(_ *call, a []any) (any, string) { return !holds(a[0]), "" }},
		// length of a list or text (in UTF-16 units, as JavaScript counts); 0 of anything else.
		"length": {least: 1, most: 1, takes: "one value", lenient: true, run: runLength},
		// insert prints a value or, where it is missing, null or "", what stands behind default=.
		"insert": {least: 1, most: 2, takes: `a value and "default=…"`, tests: true, run: runInsert, prepare: prepareInsert},
		// lookup is a path whose last name is a value.
		"lookup": {least: 2, most: 2, takes: "a value and a name", lenient: true, run: runLookup},
		// formatDate prints a time: see date.go.
		"formatDate": {least: 2, most: 3, takes: "a time, a format and a time zone", run: runFormatDate},
	}
}

func helperNames() string {
	names := []string{"if", "unless", "each", "with"}
	for name := range helpers {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func runAnd(_ *call, args []any) (any, string) {
	for _, a := range args {
		if !holds(a) {
			return a, ""
		}
	}
	return args[len(args)-1], ""
}

func runOr(_ *call, args []any) (any, string) {
	for _, a := range args {
		if holds(a) {
			return a, ""
		}
	}
	return args[len(args)-1], ""
}

func runLength(_ *call, args []any) (any, string) {
	switch v := args[0].(type) {
	case string:
		return length(v), ""
	case []any:
		return len(v), ""
	case []string:
		return len(v), ""
	}
	return 0, ""
}

func runLookup(_ *call, args []any) (any, string) {
	if !truthy(args[0]) {
		return args[0], ""
	}
	if v, ok := lookup(args[0], text(args[1])); ok {
		return v, ""
	}
	return undefined{}, ""
}

const defaultPrefix = "default="

// prepareInsert takes both ways of writing it: "default=friend" and default="friend".
func prepareInsert(c *call) string {
	if len(c.hash) > 0 {
		if len(c.hash) > 1 || c.hash[0].name != "default" || len(c.args) > 1 {
			return "'insert' takes one default"
		}
		c.args = append(c.args, c.hash[0].value)
		return ""
	}
	if len(c.args) < 2 {
		return ""
	}
	if k, ok := c.args[1].(*constant); ok {
		if s, ok := k.value.(string); ok && strings.HasPrefix(s, defaultPrefix) {
			c.args[1] = &constant{s[len(defaultPrefix):]}
			return ""
		}
	}
	return `the second value of 'insert' must be "default=…"`
}

func runInsert(_ *call, args []any) (any, string) {
	if v := args[0]; v != nil && !gone(v) && v != any("") || len(args) < 2 {
		return args[0], ""
	}
	return args[1], ""
}

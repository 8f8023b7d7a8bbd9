package template

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Data is made of nil, bool, string, [Number] (or int, int64, float64), []any and
// [*Object]. map[string]any, map[string]string and []string are taken as well; a map's
// order is that of its sorted keys. Other Go types print nothing and are not looked into.

// Number is a number as it was written: 9.90 prints 9.90.
type Number string

// undefined is the value of what is not there, in contrast to null.
type undefined struct{}

// absent is an undefined that was given on by a partial's argument, and remembers where
// it should have come from.
type absent struct{ Missing }

// Member is a name and its value.
type Member struct {
	Name  string
	Value any
}

// Object is a JSON object that keeps its order.
type Object struct {
	members []Member
	index   map[string]int // of large ones only
}

// indexFrom is the size from which on names are found by a map: below, comparing a few
// strings is faster.
const indexFrom = 12

// NewObject makes an object; of members with one name the last one counts.
func NewObject(members ...Member) *Object {
	o := &Object{}
	for _, m := range members {
		o.Set(m.Name, m.Value)
	}
	return o
}

// Set adds a member, or replaces its value in place. Not while the object is rendered.
func (o *Object) Set(name string, value any) {
	if i := o.find(name); i >= 0 {
		o.members[i].Value = value
		return
	}
	o.append(name, value)
}

func (o *Object) append(name string, value any) {
	o.members = append(o.members, Member{name, value})
	switch n := len(o.members); {
	case o.index != nil:
		o.index[name] = n - 1
	case n >= indexFrom:
		o.index = make(map[string]int, 2*n)
		for i, m := range o.members {
			o.index[m.Name] = i
		}
	}
}

func (o *Object) find(name string) int {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.members {
		if o.members[i].Name == name {
			return i
		}
	}
	return -1
}

// Get finds a member.
func (o *Object) Get(name string) (any, bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].Value, true
	}
	return nil, false
}

// Members are the members in order; not to be changed.
func (o *Object) Members() []Member { return o.members }

// overlay is a partial's context: its arguments before what it was called with.
type overlay struct {
	over  []Member
	under any
}

// lookup finds a key in a value. Only data is looked at: no methods, no prototypes.
func lookup(v any, key string) (any, bool) {
	switch v := v.(type) {
	case *Object:
		if v == nil {
			return nil, false
		}
		return v.Get(key)
	case map[string]any:
		found, ok := v[key]
		return found, ok
	case *overlay:
		for i := range v.over {
			if v.over[i].Name == key {
				_, gone := v.over[i].Value.(undefined)
				return v.over[i].Value, !gone
			}
		}
		return lookup(v.under, key)
	case []any:
		if i, ok := indexOf(key, len(v)); ok {
			return v[i], true
		}
		return len(v), key == "length"
	case string:
		if key == "length" {
			return length(v), true
		}
	case map[string]string:
		found, ok := v[key]
		return found, ok
	case []string:
		if i, ok := indexOf(key, len(v)); ok {
			return v[i], true
		}
		return len(v), key == "length"
	}
	return nil, false
}

func indexOf(key string, n int) (int, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' || key[0] == '0' && len(key) > 1 {
		return 0, false
	}
	i, err := strconv.Atoi(key)
	return i, err == nil && i >= 0 && i < n
}

// truthy is JavaScript's: null, false, 0, "" and what is not there are not.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil, undefined, *absent:
		return false
	case bool:
		return v
	case string:
		return v != ""
	}
	n, isNumber := number(v)
	return !isNumber || n != 0 && !math.IsNaN(n)
}

// empty is what {{#if}} and {{#with}} mean: as JavaScript, and lists without items; zero
// is not empty.
func empty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case []string:
		return len(v) == 0
	}
	if _, isNumber := number(v); isNumber {
		return false
	}
	return !truthy(v)
}

// holds is the condition of {{#if}}, and, or, not.
func holds(v any) bool { return truthy(v) && !empty(v) }

func gone(v any) bool {
	switch v.(type) {
	case undefined, *absent:
		return true
	}
	return false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case Number:
		f, err := strconv.ParseFloat(string(v), 64)
		return f, err == nil || math.IsInf(f, 0)
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// numeric also takes text that is a number, as {{#equals plan "3"}} writes it.
func numeric(v any) (float64, bool) {
	if s, ok := v.(string); ok {
		if n := numberLength(s); n == 0 || n != len(s) {
			return 0, false
		}
		v = Number(s)
	}
	return number(v)
}

// length counts as JavaScript does, in UTF-16 units.
func length(s string) (n int) {
	for _, r := range s {
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}

// text is how a value prints. Lists print their items with commas between, objects
// nothing useful; see [appendText] for values of any size.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := appendText(nil, v, 0)
	return string(b)
}

// maxPrintDepth and maxPrintBytes bound printed lists in lists: those made by programs may
// hold themselves.
const (
	maxPrintDepth = 100
	maxPrintBytes = 64 << 20
)

func appendText(b []byte, v any, depth int) (_ []byte, ok bool) {
	if depth > maxPrintDepth || len(b) > maxPrintBytes {
		return b, false
	}
	ok = true
	switch v := v.(type) {
	case string:
		b = append(b, v...)
	case Number:
		b = append(b, v...)
	case bool:
		b = strconv.AppendBool(b, v)
	case int:
		b = strconv.AppendInt(b, int64(v), 10)
	case int64:
		b = strconv.AppendInt(b, v, 10)
	case float64:
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
	case []any:
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, ok = appendText(b, item, depth+1); !ok {
				return b, false
			}
		}
	case []string:
		b = append(b, strings.Join(v, ",")...)
	case *Object, map[string]any, map[string]string, *overlay:
		b = append(b, "[object Object]"...)
	}
	return b, ok
}

func isObject(v any) bool {
	switch v.(type) {
	case *Object, map[string]any, map[string]string, *overlay:
		return true
	}
	return false
}

// same tells whether two contexts are one, in which case ../ does not count the inner.
func same(a, b any) bool {
	switch a := a.(type) {
	case *Object:
		b, ok := b.(*Object)
		return ok && a == b
	case *overlay:
		b, ok := b.(*overlay)
		return ok && a == b
	case []any:
		b, ok := b.([]any)
		return ok && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case []string, map[string]any, map[string]string:
		return false
	case string:
		b, ok := b.(string)
		return ok && a == b
	}
	switch b.(type) {
	case *Object, *overlay, []any, []string, map[string]any, map[string]string:
		return false
	}
	return a == b
}

// equal is {{#equals a b}}: numbers by value, also where one is text; otherwise as they
// print. Null is what is not there, and nothing else.
func equal(a, b any) bool {
	if a == nil || gone(a) || b == nil || gone(b) {
		return (a == nil || gone(a)) && (b == nil || gone(b))
	}
	_, textA := a.(string)
	_, textB := b.(string)
	if !textA || !textB {
		if x, ok := numeric(a); ok {
			if y, ok := numeric(b); ok {
				return x == y
			}
		}
	}
	if isObject(a) || isObject(b) {
		return same(a, b)
	}
	if textA && textB {
		return a.(string) == b.(string)
	}
	return text(a) == text(b)
}

// compare orders two numbers (also as text), or two texts; nothing else has an order.
func compare(a, b any) (order int, ok bool) {
	x, numberA := numeric(a)
	y, numberB := numeric(b)
	if numberA && numberB {
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, x == y
	}
	s, textA := a.(string)
	t, textB := b.(string)
	return strings.Compare(s, t), textA && textB
}

// clip shortens text for messages.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s[:min(len(s), 4*n)])[:n]) + "…"
}

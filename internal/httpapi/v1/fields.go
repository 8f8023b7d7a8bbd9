package v1

import (
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Bounds of what is remembered of a hostile request; more changes no answer.
const (
	maxFaults   = 100
	maxUnknown  = 50
	maxListKept = 201 // over every limit of a list; the judge says too_many
)

// findings is what reading a body found wrong with it.
type findings struct {
	faults   mail.Faults
	unknown  []mail.Warning // fields nobody knows
	warnings []mail.Warning
	shared   *sharing // of a batch, else nil
}

func (f *findings) fault(field, code, message string) {
	f.faultAt(field, mail.PointerTo(field), code, message)
}

func (f *findings) faultAt(field, pointer, code, message string) {
	if len(f.faults) < maxFaults {
		f.faults = append(f.faults, &mail.Error{Code: code, Field: field, Pointer: pointer, Message: message})
	}
}

func (f *findings) wrongType(field string, v value, want string) {
	f.fault(field, "invalid_type", "'"+field+"' must be "+want+", not "+v.kindName()+".")
}

func (f *findings) warn(code, field, message string) {
	if len(f.warnings) < maxUnknown {
		f.warnings = append(f.warnings, mail.Warning{Code: code, Pointer: mail.PointerTo(field), Message: message})
	}
}

// unknownField notes a name that is not among the known ones.
func (f *findings) unknownField(parent string, name []byte, known []string) {
	if len(f.unknown) >= maxUnknown {
		return
	}
	shown := clip(string(name), 64)
	message := "There is no field '" + shown + "'. It was ignored."
	if near := nearest(string(name), known); near != "" {
		message = "Did you mean '" + near + "'?"
	}
	pointer := mail.PointerTo(parent)
	f.unknown = append(f.unknown, mail.Warning{Code: "unknown_field", Pointer: pointer + mail.PointerStep(shown), Message: message})
}

// text reads a string; NULs are a fault and taken out.
func (f *findings) text(field string, v value) (string, bool) {
	if v.kind() != '"' {
		f.wrongType(field, v, "a string")
		return "", false
	}
	s := f.shared.text(v)
	if strings.IndexByte(s, 0) >= 0 {
		f.fault(field, "invalid_value", "'"+field+"' holds a NUL character.")
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return s, true
}

// pair reads a string of an object whose names are the caller's own, and so may hold
// what means something in a pointer.
func (f *findings) pair(parent, name string, v value) (string, bool) {
	field, pointer := parent+"."+clip(name, 64), mail.PointerTo(parent)+mail.PointerStep(clip(name, 200))
	if v.kind() != '"' {
		f.faultAt(field, pointer, "invalid_type", "'"+field+"' must be a string, not "+v.kindName()+".")
		return "", false
	}
	s := f.shared.text(v)
	if strings.IndexByte(s, 0) >= 0 || strings.IndexByte(name, 0) >= 0 {
		f.faultAt(field, pointer, "invalid_value", "'"+field+"' holds a NUL character.")
		return "", false
	}
	return s, true
}

// bytesOf is the text of a string as bytes, borrowed from the body where that can be.
func (f *findings) bytesOf(v value) []byte { return f.shared.raw(v) }

func (f *findings) optText(field string, v value) *string {
	s, ok := f.text(field, v)
	if !ok {
		return nil
	}
	return &s
}

// texts reads a list of strings; a single string is a list of one.
func (f *findings) texts(field string, v value) []string {
	if v.kind() == '"' {
		s, _ := f.text(field, v)
		return []string{s}
	}
	if v.kind() != '[' {
		f.wrongType(field, v, "an array of strings")
		return nil
	}
	out := []string{}
	w := v.walk()
	for i := 0; ; i++ {
		_, item, ok := w.next()
		if !ok || i >= maxListKept {
			return out
		}
		if s, ok := f.text(indexed(field, i), item); ok {
			out = append(out, s)
		}
	}
}

func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// pairs reads an object of strings, in the order written.
func (f *findings) pairs(field string, v value) []mail.Header {
	if v.kind() != '{' {
		f.wrongType(field, v, "an object of strings")
		return nil
	}
	var out []mail.Header
	w := v.walk()
	for len(out) < maxListKept {
		name, item, ok := w.next()
		if !ok {
			break
		}
		n := string(name)
		if item.isNull() {
			continue
		}
		if s, ok := f.pair(field, n, item); ok {
			out = append(out, mail.Header{Name: n, Value: s})
		}
	}
	return out
}

func (f *findings) flag(field string, v value) (is, ok bool) {
	if k := v.kind(); k != 't' && k != 'f' {
		f.wrongType(field, v, "true or false")
		return false, false
	}
	return v[0] == 't', true
}

// integer reads a whole number; 900.0 and 9e2 are whole.
func (f *findings) integer(field string, v value) (int64, bool) {
	if v.kind() != '0' {
		f.wrongType(field, v, "a whole number")
		return 0, false
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || x != float64(int64(x)) || x > 1<<53 || x < -1<<53 {
		f.fault(field, "invalid_type", "'"+field+"' must be a whole number.")
		return 0, false
	}
	return int64(x), true
}

// moment reads a time: RFC 3339 with any offset, or unix seconds.
func (f *findings) moment(field string, v value) (time.Time, bool) {
	const want = "a time as in 2026-04-20T09:00:00Z, or unix seconds"
	switch v.kind() {
	case '0':
		if t, ok := unixTime(string(v)); ok {
			return t, true
		}
	case '"':
		t, assumed, ok := parseTime(v.text())
		if ok {
			if assumed {
				f.warn("timezone_assumed_utc", field, "'"+field+"' has no offset and was read as UTC. Write 'Z' or '+02:00'.")
			}
			return t, true
		}
	default:
		f.wrongType(field, v, want)
		return time.Time{}, false
	}
	f.fault(field, "invalid_value", "'"+field+"' must be "+want+".")
	return time.Time{}, false
}

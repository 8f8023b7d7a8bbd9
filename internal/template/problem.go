package template

import (
	"fmt"
	"strings"
)

// Severity is how bad a problem is.
type Severity uint8

// The severities.
const (
	Severe  Severity = iota // nothing can be rendered
	Warning                 // rendered, but probably not what was meant
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Problem is something wrong with a template, or with a value where it stands.
type Problem struct {
	Severity     Severity
	Code         string // e.g. "unclosed_block"
	Template     string // its name
	Line, Column int    // from 1; columns count characters
	Message      string

	offset int
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.Template, p.Line, p.Column, p.Message)
}

// problems gathers them; beyond its bound only the fact is kept.
type problems struct {
	template, source string
	all              []Problem
	max              int
	severe           bool
}

func (l *problems) add(s Severity, code string, offset int, format string, args ...any) {
	l.severe = l.severe || s == Severe
	if l.full() {
		return
	}
	line, column := position(l.source, offset)
	l.all = append(l.all, Problem{s, code, l.template, line, column, fmt.Sprintf(format, args...), offset})
}

func (l *problems) full() bool { return len(l.all) >= l.max }

// RenderError is why rendering stopped. It is the template's or the data's fault, and
// safe to show.
type RenderError struct {
	Line, Column int
	Template     string
	Code         string // see the Code… constants
	Message      string
}

func (e *RenderError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Template, e.Line, e.Column, e.Message)
}

// The codes of render errors.
const (
	CodeSteps    = "too_many_steps"
	CodeOutput   = "output_too_large"
	CodeDepth    = "too_deep"
	CodeTime     = "too_slow"
	CodePartial  = "partial_not_found"
	CodeData     = "data_invalid"
	CodeArgument = "argument_invalid"
)

// Missing is one variable that was needed and is not in the data.
type Missing struct {
	Path         string // as the template says it, e.g. "user.name"
	Pointer      string // where the data should have it, e.g. "#/template_data/user/name"
	Template     string
	Line, Column int // of its first use
}

// MissingError names every variable that a strict rendering did not find, each once, in
// the order of use (the first hundred).
type MissingError struct{ Missing []Missing }

func (e *MissingError) Error() string {
	names := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		names[i] = m.Pointer
	}
	return "missing variables: " + strings.Join(names, ", ")
}

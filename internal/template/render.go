package template

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Budget bounds one rendering. Zero fields take the value of [DefaultBudget].
type Budget struct {
	Steps  int           // nodes shown, items of loops, values printed
	Output int64         // bytes
	Depth  int           // of blocks and partials in each other, recursion included
	Time   time.Duration // by the wall
}

// DefaultBudget lets a mail with values of 10 MB through, and nothing that goes on for long.
var DefaultBudget = Budget{Steps: 1_000_000, Output: 32 << 20, Depth: 200, Time: 2 * time.Second}

// Options are what a rendering needs beside template and data. The zero value will do.
type Options struct {
	// Partials finds partials by name; nil = there are none.
	Partials func(name string) (*Template, bool)
	// Layout is shown instead of the template, which it includes by {{> @partial-block}} (in
	// Mustache also {{{@content}}}).
	Layout *Template
	// Strict makes missing variables and, in Mustache, missing partials an error.
	Strict bool
	// Pointer is where the data lies in the request, for [Missing]; "" = "#/template_data".
	Pointer string
	Budget  Budget
	// Warn is told of values that could not be written where they stand (the first hundred).
	Warn func(Problem)
	// Now is the clock of Budget.Time; nil = time.Now.
	Now func() time.Time
}

// Render writes the result for this data. Bytes may have been written when an error comes
// back: a [*MissingError], a [*RenderError], or what w answered.
func (t *Template) Render(w io.Writer, data any, o Options) error {
	r := renderers.Get().(*renderer)
	defer r.release()
	r.begin(t, w, o)
	top := r.pushScope(data)
	e := env{scope: top, root: top, template: t}
	body := t
	if o.Layout != nil {
		e.block = &closure{body: t.root, env: e}
		body = o.Layout
		e.template = body
	}
	r.program(&e, body.root)
	r.step(&e, 0, 0) // the last text may have been too much
	r.flush()
	if r.err == nil && len(r.missing) > 0 {
		return &MissingError{slices.Clone(r.missing)}
	}
	if errors.Is(r.err, errMissing) {
		return &MissingError{slices.Clone(r.missing)}
	}
	return r.err
}

// String renders to memory.
func (t *Template) String(data any, o Options) (string, error) {
	var b strings.Builder
	err := t.Render(&b, data, o)
	return b.String(), err
}

const (
	flushFrom   = 16 << 10 // what is gathered before it is written
	directFrom  = 4 << 10  // a piece of this size is not gathered
	clockEvery  = 256      // steps between looks at the clock
	maxMissing  = 100
	maxWarnings = 100
	bytesAStep  = 1 << 10 // reading or writing so much of a value costs a step
)

var errMissing = errors.New("too many missing variables")

var renderers = sync.Pool{New: func() any { return &renderer{buf: make([]byte, 0, flushFrom+directFrom)} }}

// renderer is one rendering. The first error ends it: nothing is written after it.
type renderer struct {
	w        io.Writer
	buf      []byte
	err      error
	options  Options
	format   Format
	mustache bool      // of the template whose value is written now
	at       *Template // that template

	state    htmlState
	indents  []indent
	steps    int
	clockAt  int // steps at which the clock is looked at next
	output   int64
	depth    int
	deadline time.Time

	scopes   []*scope // a stack that is kept for the next rendering
	scopesIn int
	args     []any
	missing  []Missing
	warnings int
}

// indent is set before each line of a standalone partial.
type indent struct {
	text    string
	atStart bool // nothing of the line was written yet
}

func (r *renderer) begin(t *Template, w io.Writer, o Options) {
	b := &o.Budget
	if b.Steps <= 0 {
		b.Steps = DefaultBudget.Steps
	}
	if b.Output <= 0 {
		b.Output = DefaultBudget.Output
	}
	if b.Depth <= 0 {
		b.Depth = DefaultBudget.Depth
	}
	if b.Time <= 0 {
		b.Time = DefaultBudget.Time
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pointer == "" {
		o.Pointer = "#/template_data"
	}
	r.w, r.options, r.format = w, o, t.format
	r.deadline = o.Now().Add(b.Time)
}

// release gives the renderer back without anything of this rendering.
func (r *renderer) release() {
	for _, s := range r.scopes {
		*s = scope{}
	}
	clear(r.missing)
	clear(r.args[:cap(r.args)])
	*r = renderer{buf: r.buf[:0], scopes: r.scopes, args: r.args[:0], indents: r.indents[:0], missing: r.missing[:0]}
	renderers.Put(r)
}

// fail ends the rendering, unless it ended already.
func (r *renderer) fail(e *env, pos int, code, format string, args ...any) {
	if r.err != nil {
		return
	}
	line, column := position(e.template.source, pos)
	r.err = &RenderError{line, column, e.template.name, code, fmt.Sprintf(format, args...)}
}

// step pays for a piece of work.
func (r *renderer) step(e *env, pos, cost int) bool {
	r.steps += cost
	switch {
	case r.err != nil:
		return false
	case r.steps > r.options.Budget.Steps:
		r.fail(e, pos, CodeSteps, "the rendering takes more than %d steps", r.options.Budget.Steps)
		return false
	case r.output > r.options.Budget.Output:
		r.fail(e, pos, CodeOutput, "the result has more than %d bytes", r.options.Budget.Output)
		return false
	case r.steps >= r.clockAt:
		r.clockAt = r.steps + clockEvery
		if r.options.Now().After(r.deadline) {
			r.fail(e, pos, CodeTime, "the rendering takes longer than %s", r.options.Budget.Time)
			return false
		}
	}
	return true
}

// enter pays for going deeper; leave must follow if it may.
func (r *renderer) enter(e *env, pos int) bool {
	if r.depth >= r.options.Budget.Depth {
		r.fail(e, pos, CodeDepth, "blocks and partials stand more than %d deep in each other", r.options.Budget.Depth)
		return false
	}
	r.depth++
	return true
}

func (r *renderer) leave() { r.depth-- }

// warn tells of a value that was not written as it is; what format begins with %s in is the
// value, shortened.
func (r *renderer) warn(pos int, code, format string, args ...any) {
	if r.options.Warn == nil || r.warnings >= maxWarnings {
		return
	}
	r.warnings++
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clip(s, 60)
		}
	}
	t := r.at
	line, column := position(t.source, pos)
	r.options.Warn(Problem{Warning, code, t.name, line, column, fmt.Sprintf(format, args...), pos})
}

// literal writes the template's own text.
func (r *renderer) literal(l *literal) {
	if r.format == HTML {
		if l.traced && l.from == r.state {
			r.state = l.to
		} else {
			r.state = r.state.advance(l.text)
		}
	}
	if len(r.indents) > 0 {
		r.indented(l.text, true)
		return
	}
	r.write(l.text)
}

// value writes a piece of a value, escaped already.
func (r *renderer) value(s string) {
	if len(r.indents) > 0 {
		r.indented(s, !r.mustache)
		return
	}
	r.write(s)
}

// indented writes text inside of standalone partials. In Handlebars a value's lines are
// indented too, in Mustache only the template's own.
func (r *renderer) indented(s string, countLines bool) {
	for s != "" {
		line, end := s, false
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line, end = s[:i+1], true
		}
		s = s[len(line):]
		for i := range r.indents {
			if r.indents[i].atStart {
				r.write(r.indents[i].text)
				r.indents[i].atStart = false
			}
		}
		r.write(line)
		if end && countLines {
			for i := range r.indents {
				r.indents[i].atStart = true
			}
		}
	}
}

func (r *renderer) write(s string) {
	r.output += int64(len(s))
	if r.err != nil || r.output > r.options.Budget.Output { // the next step says so
		return
	}
	if len(s) >= directFrom {
		r.flush()
		if r.err == nil {
			_, r.err = io.WriteString(r.w, s)
		}
		return
	}
	if r.buf = append(r.buf, s...); len(r.buf) >= flushFrom {
		r.flush()
	}
}

func (r *renderer) flush() {
	if len(r.buf) > 0 && (r.err == nil) {
		_, r.err = r.w.Write(r.buf)
	}
	r.buf = r.buf[:0]
}

// warnAt is warn for the template of e.
func (r *renderer) warnAt(e *env, pos int, code, format string, args ...any) {
	r.at = e.template
	r.warn(pos, code, format, args...)
}

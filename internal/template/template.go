package template

import (
	"slices"
	"strings"
)

// Engine is one of the languages.
type Engine uint8

// The engines.
const (
	Handlebars Engine = iota
	Mustache
)

func (e Engine) String() string {
	if e == Mustache {
		return "mustache"
	}
	return "handlebars"
}

// EngineOf reads an engine's name; the empty one is Handlebars.
func EngineOf(name string) (Engine, bool) {
	switch name {
	case "", "handlebars":
		return Handlebars, true
	case "mustache":
		return Mustache, true
	}
	return 0, false
}

// Format is what a template makes, which decides how values are escaped.
type Format uint8

// The formats.
const (
	HTML    Format = iota // values are escaped for where they stand
	Text                  // values stand as they are
	Subject               // as Text, but line ends in values become a space
)

// Limits bound what is parsed. Zero fields take the value of [DefaultLimits].
type Limits struct {
	Bytes    int // of the source
	Nodes    int // tags and pieces of text
	Depth    int // of blocks in blocks, and of subexpressions
	Problems int // reported before giving up
}

// DefaultLimits are far beyond what a mail needs (Gmail clips at 102 KB).
var DefaultLimits = Limits{Bytes: 2 << 20, Nodes: 100_000, Depth: 100, Problems: 100}

func (l Limits) orDefault() Limits {
	for _, f := range []struct {
		value *int
		usual int
	}{{&l.Bytes, DefaultLimits.Bytes}, {&l.Nodes, DefaultLimits.Nodes}, {&l.Depth, DefaultLimits.Depth}, {&l.Problems, DefaultLimits.Problems}} {
		if *f.value <= 0 {
			*f.value = f.usual
		}
	}
	return l
}

// Template is a parsed source. It never changes.
type Template struct {
	name     string
	engine   Engine
	format   Format
	source   string
	root     *program
	partials []string
}

// Name is what the template was called when it was parsed.
func (t *Template) Name() string { return t.name }

// Source is what it was parsed from.
func (t *Template) Source() string { return t.source }

// Partials are the names of partials it calls by name, in order, each once. A name made
// when rendering, {{> (lookup …)}}, is not among them.
func (t *Template) Partials() []string { return slices.Clone(t.partials) }

// Parse reads a template. Problems come in the order of the source; among errors there is
// no template, with warnings only there is one. name is what problems and errors call it.
func Parse(engine Engine, format Format, name, source string, limits Limits) (*Template, []Problem) {
	limits = limits.orDefault()
	list := &problems{template: name, source: source, max: limits.Problems}
	if len(source) > limits.Bytes {
		list.add(Severe, "too_large", 0, "the template has %d bytes; %d are allowed", len(source), limits.Bytes)
		return nil, list.all
	}
	t := &Template{name: name, engine: engine, format: format, source: source}
	if engine == Mustache {
		t.root = parseMustache(source, list, limits)
	} else {
		t.root = parseHandlebars(source, list, limits)
	}
	if !list.severe {
		t.root.finish(&t.partials)
		if format == HTML {
			traceContexts(t.root, htmlState{}, list)
		}
	}
	slices.SortStableFunc(list.all, func(a, b Problem) int { return a.offset - b.offset })
	if list.severe {
		return nil, list.all
	}
	return t, list.all
}

// position is the line and the column, in characters, both from 1, of an offset.
func position(source string, offset int) (line, column int) {
	before := source[:min(max(offset, 0), len(source))]
	line = 1 + strings.Count(before, "\n")
	last := before[strings.LastIndexByte(before, '\n')+1:]
	for range last {
		column++
	}
	return line, column + 1
}

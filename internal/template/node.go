package template

import "slices"

// program is a run of nodes: a whole template, or one branch of a block.
type program struct {
	nodes   []node
	inlines []*inline // declared in it; known from its beginning, as decorators are
	chained bool      // the rest of an else-chain: its only node is the next block
}

// node is one of *literal *output *block *partial, and while parsing *comment *inline.
type node interface{}

// literal is text of the template's own.
type literal struct {
	pos      int
	text     string
	original string // before whitespace was taken away: what standalone lines are judged by
	// leftStripped and rightStripped: standalone handling takes a side's whitespace once.
	leftStripped, rightStripped bool
	// from and to: in HTML, the state the text is supposed to begin in and where it ends then.
	from, to htmlState
	traced   bool // in HTML
}

// strip are the ~ of a tag.
type strip struct{ open, close bool }

type output struct {
	pos   int
	value expr
	raw   bool
	strip strip
}

type comment struct{ strip strip }

// operation is what a block does.
type operation uint8

const (
	opIf operation = iota
	opUnless
	opEach
	opWith
	opTest            // a helper's answer decides: {{#equals a b}}
	opSection         // {{#name}} of Handlebars
	opMustacheSection // {{#name}} of Mustache: a new context, if any
	opRaw             // {{{{raw}}}}
)

type block struct {
	pos                                 int
	op                                  operation
	value                               expr // the condition, list or context
	hash                                []pair
	names                               []string // as |value key|
	main, inverse                       *program // either may be nil
	openStrip, inverseStrip, closeStrip strip
}

type partial struct {
	pos                   int
	name                  string
	dynamic               expr // the name is made when rendering
	context               expr // nil = the current one
	hash                  []pair
	body                  *program // {{#> name}}: the @partial-block, and shown where there is no such partial
	indent                string   // a standalone tag's, set before each of the partial's lines
	openStrip, closeStrip strip
}

// partialBlock is the name by which a layout includes what was put into it.
const partialBlock = "@partial-block"

type inline struct {
	name                  string
	body                  *program
	openStrip, closeStrip strip
}

// expr is one of *constant *path *call.
type expr interface{}

type constant struct{ value any }

type path struct {
	pos      int
	original string
	depth    int  // how many ../
	data     bool // @index, @root.a …
	scoped   bool // begins with this, ./ or ../: never a block parameter
	parts    []string
}

type call struct {
	pos    int
	helper *helper
	args   []expr
	hash   []pair
}

type pair struct {
	name  string
	value expr
}

// finish drops what was of use only while parsing, and gathers the partials' names.
func (p *program) finish(partials *[]string) {
	if p == nil {
		return
	}
	kept := p.nodes[:0]
	for _, n := range p.nodes {
		switch n := n.(type) {
		case *literal:
			if n.text == "" {
				continue
			}
			n.original = ""
		case *comment:
			continue
		case *inline:
			n.body.finish(partials)
			p.inlines = append(p.inlines, n)
			continue
		case *block:
			n.main.finish(partials)
			n.inverse.finish(partials)
		case *partial:
			if n.dynamic == nil && n.name != partialBlock && !slices.Contains(*partials, n.name) {
				*partials = append(*partials, n.name)
			}
			n.body.finish(partials)
		}
		kept = append(kept, n)
	}
	clear(p.nodes[len(kept):])
	p.nodes = kept
}

package template

import "strings"

// controlWhitespace does what Handlebars does with ~ and with block tags, comments and
// partials that stand alone on their line: the line goes, with its end. What counts as
// alone is judged by the text as it was written, so the order of steps decides some odd
// cases; it is npm handlebars' order.
func controlWhitespace(p *program, root bool) {
	if p == nil {
		return
	}
	for i, n := range p.nodes {
		switch n := n.(type) {
		case *output:
			n.strip.apply(p.nodes, i)
		case *comment:
			n.strip.apply(p.nodes, i)
			if spaceBefore(p.nodes, i, root) && spaceAfter(p.nodes, i, root) {
				takeRight(p.nodes, i+1, false)
				takeLeft(p.nodes, i-1, false)
			}
		case *partial:
			if n.body != nil {
				controlBlock(p.nodes, i, root, branches{main: n.body, open: n.openStrip, close: n.closeStrip})
				continue
			}
			before, after := spaceBefore(p.nodes, i, root), spaceAfter(p.nodes, i, root)
			n.openStrip.apply(p.nodes, i)
			if before && after {
				takeRight(p.nodes, i+1, false)
				if takeLeft(p.nodes, i-1, false) {
					n.indent = indentOf(p.nodes[i-1].(*literal).original)
				}
			}
		case *inline:
			controlBlock(p.nodes, i, root, branches{main: n.body, open: n.openStrip, close: n.closeStrip})
		case *block:
			controlBlock(p.nodes, i, root, branches{n.main, n.inverse, n.openStrip, n.inverseStrip, n.closeStrip})
		}
	}
}

// branches is what the handling of whitespace must know of a block.
type branches struct {
	main, inverse       *program
	open, middle, close strip
}

func (s strip) apply(nodes []node, i int) {
	if s.close {
		takeRight(nodes, i+1, true)
	}
	if s.open {
		takeLeft(nodes, i-1, true)
	}
}

func controlBlock(nodes []node, i int, root bool, b branches) {
	controlWhitespace(b.main, false)
	controlWhitespace(b.inverse, false)
	outer := branches{main: b.main, inverse: b.inverse}
	if b.main == nil {
		b.main, b.inverse = b.inverse, nil
	}
	first, last := b.inverse, b.inverse
	if b.inverse != nil && b.inverse.chained {
		first = b.inverse.nodes[0].(*block).main
		for last.chained {
			chained := last.nodes[len(last.nodes)-1].(*block)
			last = chained.main
			if chained.inverse != nil {
				last = chained.inverse
			}
		}
	}
	end := b.main
	if first != nil {
		end = first
	}
	openAlone := spaceAfter(b.main.nodes, -1, false)
	closeAlone := spaceBefore(end.nodes, len(end.nodes), false)

	b.stripInside(first, last)

	before, after := spaceBefore(nodes, i, root), spaceAfter(nodes, i, root)
	strip{b.open.open, b.close.close}.apply(nodes, i)
	if openAlone && before {
		takeRight(b.main.nodes, 0, false)
		takeLeft(nodes, i-1, false)
	}
	if closeAlone && after {
		takeRight(nodes, i+1, false)
		if outer.inverse != nil {
			end = outer.inverse
		} else {
			end = outer.main
		}
		takeLeft(end.nodes, len(end.nodes)-1, false)
	}
}

// stripInside applies the ~ that point into the block, and takes the line of an {{else}}.
func (b *branches) stripInside(first, last *program) {
	main := b.main.nodes
	if b.open.close {
		takeRight(main, 0, true)
	}
	if b.inverse == nil {
		if b.close.open {
			takeLeft(main, len(main)-1, true)
		}
		return
	}
	if b.middle.open {
		takeLeft(main, len(main)-1, true)
	}
	if b.middle.close {
		takeRight(first.nodes, 0, true)
	}
	if b.close.open {
		takeLeft(last.nodes, len(last.nodes)-1, true)
	}
	if spaceBefore(main, len(main), false) && spaceAfter(first.nodes, -1, false) {
		takeLeft(main, len(main)-1, false)
		takeRight(first.nodes, 0, false)
	}
}

func literalAt(nodes []node, i int) *literal {
	if i < 0 || i >= len(nodes) {
		return nil
	}
	l, _ := nodes[i].(*literal)
	return l
}

// spaceBefore: only whitespace stands before node i on its line.
func spaceBefore(nodes []node, i int, root bool) bool {
	if i == 0 {
		return root
	}
	l := literalAt(nodes, i-1)
	if l == nil {
		return false
	}
	rest := trimRightSpace(l.original)
	return strings.Contains(l.original[len(rest):], "\n") || rest == "" && root && i == 1
}

// spaceAfter: only whitespace stands behind node i on its line.
func spaceAfter(nodes []node, i int, root bool) bool {
	if i+1 >= len(nodes) {
		return root
	}
	l := literalAt(nodes, i+1)
	if l == nil {
		return false
	}
	rest := trimLeftSpace(l.original)
	return strings.Contains(l.original[:len(l.original)-len(rest)], "\n") || rest == "" && root && i+2 >= len(nodes)
}

// takeRight takes whitespace from the beginning of node i: all of it, or once the rest of
// the line.
func takeRight(nodes []node, i int, all bool) {
	l := literalAt(nodes, i)
	if l == nil || !all && l.rightStripped {
		return
	}
	rest := l.text
	if all {
		rest = trimLeftSpace(rest)
	} else {
		rest = strings.TrimLeft(rest, " \t")
		if after, ok := strings.CutPrefix(rest, "\r\n"); ok {
			rest = after
		} else {
			rest = strings.TrimPrefix(strings.TrimPrefix(rest, "\r"), "\n")
		}
	}
	l.rightStripped = len(rest) != len(l.text)
	l.pos += len(l.text) - len(rest)
	l.text = rest
}

// takeLeft takes whitespace from the end of node i: all of it, or once the indentation.
func takeLeft(nodes []node, i int, all bool) bool {
	l := literalAt(nodes, i)
	if l == nil || !all && l.leftStripped {
		return false
	}
	rest := l.text
	if all {
		rest = trimRightSpace(rest)
	} else {
		rest = strings.TrimRight(rest, " \t")
	}
	l.leftStripped = len(rest) != len(l.text)
	l.text = rest
	return l.leftStripped
}

func indentOf(s string) string { return s[len(strings.TrimRight(s, " \t")):] }

package cssinline

import (
	"slices"
	"strings"
)

// selector is compounds from left to right: the last one is the element's own.
type selector struct {
	text      string
	supported bool
	compounds []compound
	weight    weight
}

// weight is a selector's specificity: ids, classes and attributes, types.
type weight [3]int

// compound is what one element must be.
type compound struct {
	child     bool // joined to the one before by >
	name      string
	id        string
	classes   []string
	attrTests []attrTest
}

type attrTest struct {
	name, value string
	op          byte // 0 = is there; = ~ | ^ $ *
	fold        bool
}

// parseSelector reads types, classes, ids and attributes, joined by descendant and child.
// Everything else is not supported: such a selector stays in its <style>.
func parseSelector(s string) selector {
	sel := selector{text: s}
	child := false
	for pos := 0; pos < len(s); {
		space := pos
		for pos < len(s) && isSpace(s[pos]) {
			pos++
		}
		if pos < len(s) && s[pos] == '>' {
			if child || len(sel.compounds) == 0 {
				return sel
			}
			child = true
			pos++
			continue
		}
		if pos == space && len(sel.compounds) > 0 && !child {
			return sel
		}
		c, n := parseCompound(s[pos:])
		if n == 0 {
			return sel
		}
		c.child = child
		child = false
		sel.compounds = append(sel.compounds, c)
		sel.weight[0] += len(c.id[:min(1, len(c.id))])
		sel.weight[1] += len(c.classes) + len(c.attrTests)
		sel.weight[2] += len(c.name[:min(1, len(c.name))])
		pos += n
	}
	sel.supported = len(sel.compounds) > 0 && !child
	return sel
}

// parseCompound reads one compound; length 0 = not supported.
func parseCompound(s string) (c compound, length int) {
	pos := identLength(s)
	c.name = strings.ToLower(s[:pos])
	for pos < len(s) {
		switch s[pos] {
		case '.', '#':
			n := identLength(s[pos+1:])
			if n == 0 {
				return c, 0
			}
			word := s[pos+1 : pos+1+n]
			if s[pos] == '.' {
				c.classes = append(c.classes, word)
			} else if c.id == "" || c.id == word {
				c.id = word
			} else {
				return c, 0
			}
			pos += 1 + n
		case '[':
			end := strings.IndexByte(s[pos:], ']')
			if end < 0 {
				return c, 0
			}
			test, ok := parseAttrTest(s[pos+1 : pos+end])
			if !ok {
				return c, 0
			}
			c.attrTests = append(c.attrTests, test)
			pos += end + 1
		default:
			if isSpace(s[pos]) || s[pos] == '>' {
				return c, pos
			}
			return c, 0
		}
	}
	return c, pos
}

func identLength(s string) (n int) {
	for n < len(s) {
		if c := s[n]; !isLetter(c) && c != '-' && c != '_' && c < 0x80 && (c < '0' || c > '9' || n == 0) {
			break
		}
		n++
	}
	return n
}

func parseAttrTest(s string) (t attrTest, ok bool) {
	name, value, hasValue := strings.Cut(s, "=")
	t.name = strings.ToLower(strings.TrimSpace(name))
	if hasValue {
		t.op = '='
		if n := len(t.name); n > 1 && strings.IndexByte("~|^$*", t.name[n-1]) >= 0 {
			t.op = t.name[n-1]
			t.name = strings.TrimSpace(t.name[:n-1])
		}
		value = strings.TrimSpace(value)
		if rest, fold := strings.CutSuffix(value, " i"); fold {
			t.fold, value = true, strings.TrimSpace(rest)
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') {
			if value[n-1] != value[0] {
				return t, false
			}
			value = value[1 : n-1]
		} else if identLength(value) != n && strings.Trim(value, "0123456789") != "" {
			return t, false
		}
		t.value = value
	}
	return t, t.name != "" && identLength(t.name) == len(t.name) && !strings.Contains(t.value, `\`)
}

// certainty is whether something matches, as far as can be known before rendering.
type certainty uint8

const (
	no certainty = iota
	maybe
	yes
)

// matches judges a selector for an element. steps counts the work.
func (d *document) matches(sel *selector, index int, steps *int) certainty {
	last := len(sel.compounds) - 1
	own := d.elements[index].is(&sel.compounds[last])
	*steps++
	if own == no || last == 0 {
		return own
	}
	if d.elements[index].ghost { // its ancestors are not known
		return maybe
	}
	return min(own, d.ancestors(sel, last, index, steps))
}

// ancestors judges the compounds left of i for what is around an element.
func (d *document) ancestors(sel *selector, i, index int, steps *int) certainty {
	if i == 0 {
		return yes
	}
	best := no
	for at := d.elements[index].parent; at >= 0 && best < yes; at = d.elements[at].parent {
		if *steps++; *steps > maxSteps {
			return maybe
		}
		if c := d.elements[at].is(&sel.compounds[i-1]); c != no {
			best = max(best, min(c, d.ancestors(sel, i-1, at, steps)))
		}
		if sel.compounds[i].child {
			break
		}
	}
	return best
}

// is judges one compound.
func (e *element) is(c *compound) certainty {
	sure := yes
	if c.name != "" && c.name != e.name {
		if e.name != "" {
			return no
		}
		sure = maybe
	}
	for _, class := range c.classes {
		if slices.Contains(e.classes, class) {
			continue
		}
		if !e.maybeMore {
			return no
		}
		sure = maybe
	}
	if c.id != "" {
		sure = min(sure, e.tests(attrTest{name: "id", value: c.id, op: '='}))
	}
	for _, t := range c.attrTests {
		sure = min(sure, e.tests(t))
	}
	return sure
}

func (e *element) tests(t attrTest) certainty {
	a := e.attr(t.name)
	switch {
	case a == nil && e.sealed:
		return maybe
	case a == nil:
		return no
	case a.conditional, hasMask(a.value) && t.op != 0:
		return maybe
	}
	value, want := a.value, t.value
	if t.fold || t.name == "type" || t.name == "align" || t.name == "valign" || t.name == "dir" {
		value, want = strings.ToLower(value), strings.ToLower(want)
	}
	ok := false
	switch t.op {
	case 0:
		ok = true
	case '=':
		ok = value == want
	case '~':
		ok = want != "" && slices.Contains(strings.Fields(value), want)
	case '|':
		ok = value == want || strings.HasPrefix(value, want+"-")
	case '^':
		ok = want != "" && strings.HasPrefix(value, want)
	case '$':
		ok = want != "" && strings.HasSuffix(value, want)
	case '*':
		ok = want != "" && strings.Contains(value, want)
	}
	if ok {
		return yes
	}
	return no
}

package cssinline

import "strings"

// element is a start tag of the document.
type element struct {
	name      string // lower case; "" where a template tag is in it
	parent    int    // index, -1 = none
	nameEnd   int    // where a style attribute can be inserted
	attrs     []attr
	ghost     bool // inside a conditional comment, or its tag is broken: only ever "maybe"
	sealed    bool // its attributes are not all known: nothing can be inserted
	unstyled  bool // in the head, or no element that shows
	classes   []string
	maybeMore bool // it may have classes that are not known
}

// attr is an attribute; from and to are where its value is, without quotes.
type attr struct {
	name        string // lower case
	value       string // masked
	from, to    int
	quote       byte // 0 = none
	hasValue    bool
	conditional bool // it stands between block tags
}

func (a *attr) dynamic() bool { return a.conditional || hasMask(a.value) }

func (e *element) attr(name string) *attr {
	for i := range e.attrs {
		if e.attrs[i].name == name {
			return &e.attrs[i]
		}
	}
	return nil
}

// styleBlock is a <style> element: its whole and its content.
type styleBlock struct{ start, from, to, end int }

// document is what was found in a masked source.
type document struct {
	src      string
	elements []element
	styles   []styleBlock
	open     []int // indices of elements whose end has not come
	ghosts   bool  // inside a conditional comment now
}

// maxOpen bounds elements in elements; deeper ones count as being side by side.
const maxOpen = 500

var (
	voidElements = set("area base br col embed hr img input link meta param source track wbr")
	rawElements  = set("script style textarea title xmp iframe noembed noframes")
	headElements = set("head script style meta title link base html")
	// closesItself: which open elements an element of this name ends, if they are innermost.
	closesItself = map[string]map[string]bool{
		"li": set("li"), "tr": set("tr td th"), "td": set("td th"), "th": set("td th"), "dt": set("dt dd"), "dd": set("dt dd"),
		"option": set("option"), "tbody": set("tr td th thead tbody tfoot"), "tfoot": set("tr td th thead tbody tfoot"),
	}
	closeParagraph = set("p div table ul ol dl h1 h2 h3 h4 h5 h6 hr blockquote pre section article header footer nav aside form center address figure")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// read finds the elements of a masked source, in the manner of browsers: anything is a
// document.
func read(src string) *document {
	d := &document{src: src}
	d.scan(0, len(src))
	return d
}

func (d *document) scan(pos, end int) {
	for pos < end {
		i := strings.IndexByte(d.src[pos:end], '<')
		if i < 0 {
			return
		}
		at := pos + i
		rest := d.src[at:end]
		switch {
		case strings.HasPrefix(rest, "<!--"):
			pos = d.comment(at, end)
		case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
			pos = behind(d.src, at, end, ">")
		case strings.HasPrefix(rest, "</"):
			pos = behind(d.src, at, end, ">")
			d.endTag(strings.TrimRight(rest[2:pos-at], "> \t\r\n\f/"))
		case len(rest) > 1 && isLetter(rest[1]):
			pos = d.startTag(at, end)
		default:
			pos = at + 1
		}
	}
}

func behind(src string, at, end int, what string) int {
	if i := strings.Index(src[at:end], what); i >= 0 {
		return at + i + len(what)
	}
	return end
}

// comment goes behind a comment. What is in a conditional one counts as elements that may
// be there.
func (d *document) comment(at, end int) int {
	from := at + 4
	if strings.HasPrefix(d.src[from:end], ">") || strings.HasPrefix(d.src[from:end], "->") {
		return behind(d.src, at, end, ">")
	}
	after := behind(d.src, from, end, "-->")
	if inner := d.src[from:after]; strings.HasPrefix(strings.TrimLeft(inner, " \t\r\n"), "[if") && !d.ghosts {
		ghost := &document{src: d.src, ghosts: true}
		ghost.scan(behind(d.src, from, after, "]>"), after)
		for _, e := range ghost.elements {
			e.ghost, e.parent = true, -1
			d.elements = append(d.elements, e)
		}
	}
	return after
}

func (d *document) startTag(at, end int) int {
	pos := at + 1
	for pos < end && !isSpace(d.src[pos]) && d.src[pos] != '/' && d.src[pos] != '>' && d.src[pos] != '<' && d.src[pos] != maskOpen {
		pos++
	}
	e := element{name: strings.ToLower(d.src[at+1 : pos]), nameEnd: pos, parent: -1}
	if hasMask(e.name) {
		e.name, e.sealed = "", true
	}
	pos = e.readAttrs(d.src, pos, end)
	e.findClasses()
	d.place(&e)
	d.elements = append(d.elements, e)
	index := len(d.elements) - 1
	if rawElements[e.name] {
		return d.rawContent(&e, at, pos, end)
	}
	if len(d.open) < maxOpen && !voidElements[e.name] && !strings.HasSuffix(d.src[at:pos], "/>") {
		d.open = append(d.open, index)
	}
	return pos
}

// place finds the parent, after the ends that the element implies.
func (d *document) place(e *element) {
	if e.name == "body" { // ends the head, also without </head>
		d.endTag("head")
	}
	for len(d.open) > 0 {
		top := d.elements[d.open[len(d.open)-1]].name
		if !closesItself[e.name][top] && !(top == "p" && closeParagraph[e.name]) {
			break
		}
		d.open = d.open[:len(d.open)-1]
	}
	e.unstyled = headElements[e.name]
	if n := len(d.open); n > 0 {
		e.parent = d.open[n-1]
		if parent := &d.elements[e.parent]; parent.unstyled && parent.name != "html" {
			e.unstyled = true
		}
	}
}

func (d *document) rawContent(e *element, at, from, end int) int {
	to, after := end, end
	for pos := from; pos < end; pos++ {
		i := strings.Index(d.src[pos:end], "</")
		if i < 0 {
			break
		}
		pos += i
		if name := d.src[pos+2 : min(end, pos+2+len(e.name))]; strings.EqualFold(name, e.name) {
			to, after = pos, behind(d.src, pos, end, ">")
			break
		}
	}
	if e.name == "style" && !d.ghosts && e.isPlainStyle() {
		d.styles = append(d.styles, styleBlock{at, from, to, after})
	}
	return after
}

// isPlainStyle: its rules hold everywhere, and nobody said they must stay.
func (e *element) isPlainStyle() bool {
	for _, a := range e.attrs {
		value := strings.ToLower(strings.TrimSpace(a.value))
		switch {
		case a.dynamic(), a.name == "data-inline" && value == "false", a.name == "data-embed":
			return false
		case a.name == "media" && value != "all" && value != "screen" && value != "", a.name == "type" && value != "text/css":
			return false
		}
	}
	return !e.sealed
}

func (d *document) endTag(name string) {
	name = strings.ToLower(name)
	for i := len(d.open) - 1; i >= 0; i-- {
		if d.elements[d.open[i]].name == name {
			d.open = d.open[:i]
			return
		}
	}
}

// readAttrs reads attributes up to behind the tag's >.
func (e *element) readAttrs(src string, pos, end int) int {
	depth := 0
	for pos < end {
		switch c := src[pos]; {
		case c == '>':
			return pos + 1
		case isSpace(c) || c == '/' || c == maskFill || c == maskSilent || c == maskElse:
			pos++
		case c == maskOpen:
			depth++
			pos++
		case c == maskClose:
			depth--
			pos++
		case c == maskOutput:
			e.sealed = true
			pos++
		default:
			a, next := readAttr(src, pos, end)
			a.conditional = depth != 0
			if hasMask(a.name) || a.name == "style" && a.conditional {
				e.sealed = true
			}
			e.attrs = append(e.attrs, a)
			pos = next
		}
	}
	e.sealed, e.ghost = true, true // the tag does not end
	return end
}

func readAttr(src string, pos, end int) (attr, int) {
	from := pos
	for pos++; pos < end && !isSpace(src[pos]) && strings.IndexByte("=>/", src[pos]) < 0 && src[pos] != maskOpen && src[pos] != maskClose && src[pos] != maskElse; {
		pos++
	}
	a := attr{name: strings.ToLower(src[from:pos]), from: pos, to: pos}
	after := pos
	for after < end && isSpace(src[after]) {
		after++
	}
	if after >= end || src[after] != '=' {
		return a, pos
	}
	pos = after + 1
	for pos < end && isSpace(src[pos]) {
		pos++
	}
	a.hasValue = true
	if pos < end && (src[pos] == '"' || src[pos] == '\'') {
		a.quote = src[pos]
		a.from = pos + 1
		a.to = end
		if i := strings.IndexByte(src[a.from:end], a.quote); i >= 0 {
			a.to = a.from + i
		}
		a.value = src[a.from:a.to]
		return a, min(a.to+1, end)
	}
	a.from = pos
	for pos < end && !isSpace(src[pos]) && src[pos] != '>' {
		pos++
	}
	a.to = pos
	a.value = src[a.from:a.to]
	return a, pos
}

// findClasses splits the class attribute. A class between block tags, or beside a tag that
// prints, is not certain.
func (e *element) findClasses() {
	e.maybeMore = e.sealed
	a := e.attr("class")
	if a == nil {
		return
	}
	if a.conditional {
		e.maybeMore = true
	}
	depth, printed := 0, false
	var word []byte
	flush := func() {
		switch {
		case printed, len(word) > 0 && (depth != 0 || a.conditional):
			e.maybeMore = true
		case len(word) > 0:
			e.classes = append(e.classes, string(word))
		}
		word, printed = word[:0], false
	}
	for i := range len(a.value) {
		switch c := a.value[i]; {
		case isSpace(c):
			flush()
		case c == maskOutput:
			printed = true
		case c == maskOpen:
			// What follows without a space belongs to the word before it, perhaps.
			if next := strings.TrimLeft(a.value[i+1:], string(rune(maskFill))); next != "" && !isSpace(next[0]) && !isMask(next[0]) && len(word) > 0 {
				printed = true
			}
			flush()
			depth++
		case c == maskElse, c == maskClose:
			flush()
			if next := strings.TrimLeft(a.value[i+1:], string(rune(maskFill))); next != "" && !isSpace(next[0]) && !isMask(next[0]) {
				e.maybeMore = true
				printed = true
			}
			if c == maskClose {
				depth--
			}
		case isMask(c):
		default:
			word = append(word, c)
		}
	}
	flush()
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

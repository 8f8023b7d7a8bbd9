package template

import "strings"

// htmlState is where in an HTML document a text ends: a reduced form of the tokenizer of
// the HTML standard (section 13.2.5), tolerant of everything. It is small, comparable, and
// its zero value is the beginning of a document.
//
// Conditional comments (<!--[if mso]> … <![endif]-->) are transparent: Outlook reads what
// is in them as HTML, so it is escaped as HTML.
type htmlState struct {
	mode    htmlMode
	element elementKind
	attr    attrKind
	// part: how far a value got. In addresses 0 = nothing yet, 1 = perhaps inside a scheme
	// (name has it), 2 = past it; in styles see stepCSS; in scripts 1 = behind a backslash.
	part  uint8
	quote byte  // the one a text in a script is in; in styles how much of url( was seen
	n     uint8 // length of name; in comments and raw text, how much of the end was seen
	name  [nameSize]byte
}

// nameSize holds every name that matters; longer ones are unknown by being cut.
const nameSize = 12

type htmlMode uint8

const (
	inText        htmlMode = iota
	atTagOpen              // behind <
	inTagName              //
	inEndTag               // behind </
	inTag                  // between attributes
	inAttrName             //
	afterAttrName          // behind its space
	beforeValue            // behind =
	inDouble               // "value
	inSingle               // 'value
	inBare                 // value without quotes
	inMarkup               // behind <!
	inComment              //
	inBogus                // <!DOCTYPE, <?xml, <![endif]
	inRaw                  // the content of script, style, textarea, title …
)

type elementKind uint8

const (
	otherElement elementKind = iota
	imageElement
	scriptElement
	styleElement
	textElement // its content is text without tags: element name in rawNames
	titleElement
	xmpElement
	iframeElement
	noembedElement
	noframesElement
)

var elementKinds = map[string]elementKind{
	"img": imageElement, "v:image": imageElement, "v:fill": imageElement,
	"script": scriptElement, "style": styleElement, "textarea": textElement, "title": titleElement,
	"xmp": xmpElement, "iframe": iframeElement, "noembed": noembedElement, "noframes": noframesElement,
}

// rawNames are the elements whose content ends only at their own end tag.
var rawNames = [...]string{
	scriptElement: "script", styleElement: "style", textElement: "textarea", titleElement: "title",
	xmpElement: "xmp", iframeElement: "iframe", noembedElement: "noembed", noframesElement: "noframes",
}

type attrKind uint8

const (
	plainAttr attrKind = iota
	urlAttr
	styleAttr
	eventAttr
)

var urlAttrs = map[string]bool{
	"href": true, "src": true, "action": true, "formaction": true, "background": true, "cite": true, "data": true,
	"poster": true, "longdesc": true, "xlink:href": true, "lowsrc": true, "dynsrc": true, "codebase": true, "srcset": true,
}

func attrKindOf(name string) attrKind {
	switch {
	case urlAttrs[name]:
		return urlAttr
	case name == "style":
		return styleAttr
	case len(name) > 2 && name[:2] == "on":
		return eventAttr
	}
	return plainAttr
}

func (s *htmlState) called() string { return string(s.name[:min(s.n, nameSize)]) }

func (s *htmlState) forget() {
	s.n = 0
	s.name = [nameSize]byte{}
}

func (s *htmlState) spell(c byte) {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	if s.n < nameSize {
		s.name[s.n] = c
	}
	if s.n <= nameSize { // one more than fits: no known name
		s.n++
	}
}

func isHTMLSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }

// advance is the state behind text that begins in s.
func (s htmlState) advance(text string) htmlState {
	for i := 0; i < len(text); {
		if skip := s.skip(text[i:]); skip > 0 {
			i += skip
			continue
		}
		if s.step(text[i]) {
			i++
		}
	}
	return s
}

// skip is how many bytes cannot matter: most of a document.
func (s *htmlState) skip(text string) int {
	var stop string
	switch {
	case s.mode == inText:
		return skipText(text)
	case s.mode == inDouble && (s.attr == plainAttr || s.part == 2):
		stop = `"`
	case s.mode == inSingle && (s.attr == plainAttr || s.part == 2):
		stop = "'"
	case s.mode == inBogus || s.mode == inEndTag:
		stop = ">"
	case s.mode == inRaw && s.element > styleElement && s.n == 0:
		stop = "<"
	default:
		return 0
	}
	if i := strings.IndexByte(text, stop[0]); i >= 0 {
		return i
	}
	return len(text)
}

// skipText is how far text goes before something that may be a tag.
func skipText(text string) int {
	for at := 0; ; {
		i := strings.IndexByte(text[at:], '<')
		if i < 0 {
			return len(text)
		}
		at += i
		if at+1 == len(text) {
			return at
		}
		if c := text[at+1]; c|0x20 >= 'a' && c|0x20 <= 'z' || c == '/' || c == '!' || c == '?' {
			return at
		}
		at++
	}
}

// step takes a byte; false means that it must be looked at again in the new mode.
func (s *htmlState) step(c byte) (taken bool) {
	switch s.mode {
	case inText:
		if c == '<' {
			s.mode = atTagOpen
		}
	case atTagOpen:
		return s.stepTagOpen(c)
	case inTagName:
		switch {
		case isHTMLSpace(c), c == '/':
			s.endTagName(inTag)
		case c == '>':
			s.endTagName(inTag)
			return false
		default:
			s.spell(c)
		}
	case inEndTag, inBogus:
		if c == '>' {
			*s = htmlState{}
		}
	case inTag, inAttrName, afterAttrName:
		return s.stepAttr(c)
	case beforeValue:
		return s.stepBeforeValue(c)
	case inDouble, inSingle, inBare:
		return s.stepValue(c)
	case inMarkup:
		return s.stepMarkup(c)
	case inComment:
		s.stepComment(c)
	case inRaw:
		s.stepRaw(c)
	}
	return true
}

func (s *htmlState) stepTagOpen(c byte) bool {
	switch {
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		s.mode = inTagName
		s.forget()
		s.spell(c)
	case c == '/':
		s.mode = inEndTag
	case c == '!':
		s.mode = inMarkup
		s.forget()
	case c == '?':
		s.mode = inBogus
	default:
		s.mode = inText
		return false
	}
	return true
}

func (s *htmlState) endTagName(next htmlMode) {
	s.element = elementKinds[s.called()]
	if s.n > nameSize {
		s.element = otherElement
	}
	s.mode = next
	s.forget()
}

// endTag is behind the > of a start tag.
func (s *htmlState) endTag() {
	element := s.element
	*s = htmlState{}
	if int(element) < len(rawNames) && rawNames[element] != "" {
		s.mode, s.element = inRaw, element
	}
}

func (s *htmlState) stepAttr(c byte) bool {
	switch {
	case c == '>':
		s.endTag()
	case c == '/':
		s.mode = inTag
	case isHTMLSpace(c):
		if s.mode == inAttrName {
			s.mode = afterAttrName
		}
	case c == '=' && s.mode != inTag:
		s.attr = plainAttr
		if s.n <= nameSize {
			s.attr = attrKindOf(s.called())
		} else if s.name[0] == 'o' && s.name[1] == 'n' { // onmouseenter and the like
			s.attr = eventAttr
		}
		s.mode, s.part = beforeValue, 0
		s.forget()
	case s.mode == inAttrName:
		s.spell(c)
	default:
		s.mode, s.attr = inAttrName, plainAttr
		s.forget()
		s.spell(c)
	}
	return true
}

func (s *htmlState) stepBeforeValue(c byte) bool {
	switch {
	case isHTMLSpace(c):
	case c == '"':
		s.mode = inDouble
	case c == '\'':
		s.mode = inSingle
	case c == '>':
		s.endTag()
	default:
		s.mode = inBare
		return false
	}
	return true
}

func (s *htmlState) stepValue(c byte) bool {
	switch {
	case s.mode == inDouble && c == '"', s.mode == inSingle && c == '\'', s.mode == inBare && isHTMLSpace(c):
		s.endValue()
	case s.mode == inBare && c == '>':
		s.endTag()
	case s.attr == urlAttr:
		s.stepURL(c)
	case s.attr == styleAttr:
		s.stepCSS(c)
	}
	return true
}

func (s *htmlState) endValue() {
	s.mode, s.attr, s.part, s.quote = inTag, plainAttr, 0, 0
	s.forget()
}

// The parts of a style.
const (
	cssBegins  = 0
	cssInside  = 1
	cssAtURL   = 3 // behind url(
	cssPastURL = 5 // its address has begun, with a scheme if it has one
)

func (s *htmlState) stepCSS(c byte) {
	const begin = "url("
	switch {
	case s.part == cssAtURL && (c == '"' || c == '\'' || isHTMLSpace(c)):
	case s.part >= cssAtURL && c == ')':
		s.part = cssInside
	case s.part >= cssAtURL:
		s.part = cssPastURL
	case c == ';': // declarations may follow
		s.part, s.quote = cssBegins, 0
	case c|0x20 == begin[s.quote]:
		if s.part, s.quote = cssInside, s.quote+1; int(s.quote) == len(begin) {
			s.part, s.quote = cssAtURL, 0
		}
	case !isHTMLSpace(c):
		s.part, s.quote = cssInside, 0
		if c|0x20 == 'u' {
			s.quote = 1
		}
	}
}

// stepURL follows an address up to the end of its scheme, as browsers read it: leading
// spaces and line ends inside do not count.
func (s *htmlState) stepURL(c byte) {
	switch {
	case s.part == 2, s.part == 0 && c <= ' ', c == '\t', c == '\n', c == '\r':
	case c == ':' || c == '/' || c == '?' || c == '#' || c == '\\':
		s.part = 2
		s.forget()
	default:
		s.part = 1
		s.spell(c)
	}
}

func (s *htmlState) stepMarkup(c byte) bool {
	switch {
	case c == '-' && s.n == 0:
		s.n = 1
	case c == '-' && s.n == 1:
		*s = htmlState{mode: inComment, n: 2} // <!--> is a whole comment
	default:
		s.mode = inBogus
		s.forget()
		return false
	}
	return true
}

// What a comment is, kept in name[0]; name[1] counts "[if", name[2] the ] before >.
const (
	commentBegins = iota
	commentPlain
	commentConditional
)

func (s *htmlState) stepComment(c byte) {
	switch {
	case c == '>' && (s.n >= 2 || s.name[2] == 1):
		*s = htmlState{} // the end, or the inside of a conditional comment
		return
	case c == '-':
		s.n = min(s.n+1, 2)
	case c == '!' && s.n >= 2:
	default:
		s.n = 0
	}
	switch s.name[0] {
	case commentBegins:
		switch {
		case c|0x20 == "[if"[s.name[1]] || c == '[' && s.name[1] == 0:
			if s.name[1]++; s.name[1] == 3 {
				s.name[0] = commentConditional
			}
		case !isHTMLSpace(c) || s.name[1] > 0:
			s.name[0] = commentPlain
		}
	case commentConditional:
		s.name[2] = 0
		if c == ']' {
			s.name[2] = 1
		}
	}
}

// stepRaw looks for the end tag; in scripts it also keeps track of texts in quotes.
func (s *htmlState) stepRaw(c byte) {
	name := rawNames[s.element]
	switch {
	case s.n >= 2 && int(s.n)-2 == len(name) && (isHTMLSpace(c) || c == '/' || c == '>'):
		*s = htmlState{mode: inEndTag}
		s.step(c)
		return
	case s.n >= 2 && int(s.n)-2 < len(name) && c|0x20 == name[s.n-2], s.n == 1 && c == '/':
		s.n++
		return
	}
	s.n = 0
	if c == '<' {
		s.n = 1
	}
	if s.element == styleElement {
		s.stepCSS(c)
	}
	if s.element != scriptElement {
		return
	}
	switch {
	case s.part == 1:
		s.part = 0
	case c == '\\' && s.quote != 0:
		s.part = 1
	case c == s.quote, c == '\n' && s.quote != '`':
		s.quote = 0
	case s.quote == 0 && (c == '"' || c == '\'' || c == '`'):
		s.quote = c
	}
}

// traceContexts gives every text the state it is supposed to begin in, following the
// source as if each block were shown once, and warns of values where they cannot do
// what they are meant for.
func traceContexts(p *program, s htmlState, list *problems) htmlState {
	if p == nil {
		return s
	}
	for _, n := range p.inlines {
		traceContexts(n.body, htmlState{}, list)
	}
	for _, n := range p.nodes {
		switch n := n.(type) {
		case *literal:
			n.from, n.to, n.traced = s, s.advance(n.text), true
			s = n.to
		case *output:
			if !n.raw {
				warnOfPlace(n, s, list)
			}
			s = s.behindValue()
		case *block:
			if n.main == nil {
				s = traceContexts(n.inverse, s, list)
				continue
			}
			end := traceContexts(n.main, s, list)
			traceContexts(n.inverse, s, list)
			s = end
		case *partial:
			if n.body != nil {
				traceContexts(n.body, htmlState{}, list)
			}
		}
	}
	return s
}

// behindValue is the state behind some value, supposed to be an ordinary one.
func (s htmlState) behindValue() htmlState {
	if s.mode == beforeValue {
		s.mode = inBare
	}
	switch {
	case s.mode == inDouble || s.mode == inSingle || s.mode == inBare:
		if s.attr == urlAttr {
			s.part = 2
			s.forget()
		} else if s.attr == styleAttr {
			s.passCSS()
		}
	case s.mode == inRaw && s.element == styleElement:
		s.passCSS()
	case s.mode == atTagOpen || s.mode == inTagName || s.mode == inTag || s.mode == inAttrName || s.mode == afterAttrName:
		return s.advance("x")
	}
	return s
}

// passCSS is behind a value in a style.
func (s *htmlState) passCSS() {
	if s.part >= cssAtURL {
		s.part = cssPastURL
	} else {
		s.part = cssInside
	}
	s.quote = 0
}

func warnOfPlace(n *output, s htmlState, list *problems) {
	switch {
	case s.mode == inRaw && s.element == scriptElement:
		list.add(Warning, "value_in_script", n.pos, "a value inside <script>: it is written as a JavaScript value; mail programs run no scripts")
	case s.attr == eventAttr && (s.mode == inDouble || s.mode == inSingle || s.mode == inBare || s.mode == beforeValue):
		list.add(Warning, "value_in_event", n.pos, "a value inside an event handler is left out")
	case s.mode == atTagOpen || s.mode == inTagName:
		list.add(Warning, "value_in_tag_name", n.pos, "a value inside a tag's name may only have letters, digits and -")
	}
}

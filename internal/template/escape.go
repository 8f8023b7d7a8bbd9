package template

import (
	"html"
	"strings"
)

// blockedURL stands for an address whose scheme is not allowed. It goes nowhere.
const blockedURL = "about:invalid"

// allowedSchemes are those a value may bring. hosted: is our own, for attachments that
// are linked to.
var allowedSchemes = map[string]bool{"http": true, "https": true, "mailto": true, "tel": true, "cid": true, "hosted": true}

// dangerousWords are schemes that would run or show what a value says; where a value is
// nothing but such a word, the template's own ':' may follow.
var dangerousWords = map[string]bool{"javascript": true, "vbscript": true, "data": true}

// Entities by byte: what Handlebars escapes, so that the same template gives the same
// bytes. It is enough for text and for attributes in quotes.
var textEntities = [256]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\'': "&#x27;", '`': "&#x60;", '=': "&#x3D;"}

// bareEntities also cover what would end an attribute without quotes.
var bareEntities = func() [256]string {
	t := textEntities
	t[' '], t['\t'], t['\n'], t['\f'], t['\r'] = "&#32;", "&#9;", "&#10;", "&#12;", "&#13;"
	return t
}()

// escaped writes s with some bytes replaced.
func (r *renderer) escaped(s string, entities *[256]string) {
	from := 0
	for i := 0; i < len(s); i++ {
		if e := entities[s[i]]; e != "" {
			r.value(s[from:i])
			r.value(e)
			from = i + 1
			if r.err != nil {
				return
			}
		}
	}
	r.value(s[from:])
}

// place writes a value where the document stands now. A bare value is a number, true,
// false or null, which scripts have without quotes.
func (r *renderer) place(n *output, s string, bare bool) {
	switch st := &r.state; st.mode {
	case inText, inComment, inBogus, inMarkup:
		r.escaped(s, &textEntities)
	case inRaw:
		switch st.element {
		case scriptElement:
			r.script(s, bare)
		case styleElement:
			if s, ok := r.css(n, s, false); ok {
				r.value(s)
			}
		default:
			r.escaped(s, &textEntities)
		}
	case inDouble, inSingle:
		r.attribute(n, s, &textEntities)
	case beforeValue, inBare:
		if s == "" && st.mode == beforeValue {
			r.value(`""`) // or the next attribute would be the value
			*st = st.advance(`""`)
			return
		}
		st.mode = inBare
		r.attribute(n, s, &bareEntities)
	default:
		r.tagWord(n, s)
	}
}

func (r *renderer) attribute(n *output, s string, entities *[256]string) {
	st := &r.state
	switch st.attr {
	case eventAttr:
		r.warn(n.pos, "event_refused", "a value inside an event handler was left out")
		return
	case styleAttr:
		var ok bool
		if s, ok = r.css(n, s, st.part == cssBegins); !ok {
			return
		}
	case urlAttr:
		if !st.admitURL(s) {
			r.warn(n.pos, "url_refused", "the address '%s' has a scheme that is not allowed and became %s", s, blockedURL)
			s = blockedURL
		}
	}
	r.escaped(s, entities)
}

// admitURL judges a value that stands in an address, together with what stands before it,
// and goes on to behind it.
func (s *htmlState) admitURL(value string) bool {
	before := *s
	s.part, s.n, s.name = 2, 0, [nameSize]byte{}
	next := before
	for i := 0; i < len(value); i++ {
		if next.part == 2 {
			return true
		}
		if c := value[i]; c == ':' && next.part < 2 {
			return next.n <= nameSize && allowedSchemes[next.called()] || s.isImageData(next.called(), value[i+1:])
		}
		next.stepURL(value[i])
	}
	if next.part == 1 && next.n <= nameSize && dangerousWords[next.called()] {
		return false
	}
	*s = next
	return true
}

// isImageData allows pictures inside the document; a document in a document runs scripts.
func (s *htmlState) isImageData(scheme, rest string) bool {
	const image = "image/"
	return s.element == imageElement && scheme == "data" && len(rest) >= len(image) && strings.EqualFold(rest[:len(image)], image)
}

// rawURL judges a {{{value}}} in an address as a browser would read it. Only its beginning
// matters; a scheme has no place for entities beyond that.
func (s *htmlState) rawURL(value string) bool {
	probe := *s
	return probe.admitURL(html.UnescapeString(value[:min(len(value), 4096)]))
}

// css judges a value in a style and goes on behind it. In url(…) it is an address.
func (r *renderer) css(n *output, s string, declarations bool) (_ string, ok bool) {
	st := &r.state
	switch {
	case st.part >= cssAtURL:
		probe := htmlState{attr: urlAttr, element: imageElement}
		if st.part == cssAtURL && !probe.admitURL(s) {
			r.warn(n.pos, "url_refused", "the address '%s' has a scheme that is not allowed and became %s", s, blockedURL)
			s = blockedURL
		}
		s = cssAddress.Replace(s)
	case !safeCSS(s, declarations), strings.Count(s, `"`)%2+strings.Count(s, "'")%2 > 0:
		r.warn(n.pos, "style_refused", "the value '%s' is not one of CSS and was left out", s)
		return "", false
	}
	if strings.TrimSpace(s) != "" {
		st.passCSS()
	}
	return s, true
}

// cssAddress keeps an address inside its url(…), with or without quotes.
var cssAddress = strings.NewReplacer("(", "%28", ")", "%29", "'", "%27", `"`, "%22", " ", "%20", `\`, "%5C",
	"\n", "", "\r", "", "\t", "", "\f", "", "<", "%3C", ">", "%3E")

// safeCSS tells whether a value may stand in a style: as one value, or where it is all of
// an attribute, as declarations. What could load, run or end anything is refused.
func safeCSS(s string, declarations bool) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ';' || c == ':':
			if !declarations {
				return false
			}
		case strings.IndexByte("{}<>\\@&`=", c) >= 0, c < ' ' && !isHTMLSpace(c):
			return false
		case c == '/' && i+1 < len(s) && s[i+1] == '*':
			return false
		}
	}
	lower := strings.ToLower(s)
	for _, word := range []string{"expression", "url(", "src(", "image(", "javascript", "vbscript", "behavior", "binding", "import"} {
		if strings.Contains(lower, word) {
			return false
		}
	}
	return true
}

// tagWord writes a value among names: a tag's or an attribute's. Only what cannot be
// anything else is let through, and the state follows it: the name may turn out to be href.
func (r *renderer) tagWord(n *output, s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		word := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c >= 0x80
		if !word && (c != ' ' || r.state.mode != inTag && r.state.mode != afterAttrName) {
			r.warn(n.pos, "name_refused", "the value '%s' cannot stand inside a tag and was left out", s)
			return
		}
	}
	r.value(s)
	r.state = r.state.advance(s)
}

// script writes a value into a script: inside a text as its content, else as a text.
func (r *renderer) script(s string, bare bool) {
	quoted := r.state.quote != 0
	if bare && !quoted {
		r.value(s)
		return
	}
	if !quoted {
		r.value(`"`)
	}
	from := 0
	for i, c := range s {
		if c >= ' ' && c != 0x2028 && c != 0x2029 && !strings.ContainsRune("\"\\<>&'`=$", c) {
			continue
		}
		r.value(s[from:i])
		var u [6]byte
		copy(u[:], `\u`)
		for k := range 4 {
			u[5-k] = "0123456789abcdef"[c>>(4*k)&15]
		}
		r.value(string(u[:]))
		from = i + len(string(c))
	}
	r.value(s[from:])
	if !quoted {
		r.value(`"`)
	}
}

package render

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	maxDepth = 64 // lists and quotes within each other; deeper ones are written at this depth
	wrapRule = "----------------------------------------"
)

// PlainText gives what a reader of the HTML sees, as plain text: links as "text (url)",
// lists with marks, table rows as lines, images as their alternative text. It never
// fails; broken HTML gives what can be made out.
func PlainText(source string) string {
	w := textWriter{tokens: html.NewTokenizer(strings.NewReader(source))}
	w.out.Grow(len(source) / 2)
	for {
		kind := w.tokens.Next()
		switch kind {
		case html.ErrorToken:
			w.closeLink()
			if !w.begun {
				return ""
			}
			return strings.TrimRight(w.out.String(), " \n") + "\n"
		case html.TextToken:
			w.text(w.tokens.Text())
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := w.tokens.TagName()
			w.open(atom.Lookup(name), more, kind == html.SelfClosingTagToken)
		case html.EndTagToken:
			name, _ := w.tokens.TagName()
			w.close(atom.Lookup(name))
		}
	}
}

// textWriter writes text as it becomes visible. White space is owed, not written: it
// appears only between words, so lines never begin or end with it.
type textWriter struct {
	tokens *html.Tokenizer
	out    strings.Builder
	hidden int  // script, style, title and the like we are inside of
	pre    int  // pre elements we are inside of
	space  bool // owed before the next word
	lines  int  // line ends owed: 1 begins a line, 2 leaves a line empty
	begun  bool // something was written
	cells  int  // cells of this table row so far
	lists  []list
	quotes int
	marked string // what stands before the next word: the mark of a list item
	link   link   // the one we are inside of
}

type list struct {
	ordered bool
	next    int
}

type link struct {
	url   string // "" = none
	start int    // of its text in out
}

func (w *textWriter) text(raw []byte) {
	if w.hidden > 0 {
		return
	}
	if w.pre > 0 {
		w.preformatted(string(raw))
		return
	}
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		if isSpace(r) {
			w.space = w.space || w.lines == 0
			raw = raw[size:]
			continue
		}
		end := size
		for end < len(raw) {
			r, size := utf8.DecodeRune(raw[end:])
			if isSpace(r) {
				break
			}
			end += size
		}
		w.word(raw[:end])
		raw = raw[end:]
	}
}

// isSpace tells of what HTML collapses, and of the invisible characters that mails pad
// their preview text with.
func isSpace(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\f', '\u00a0', '\u00ad', '\u034f', '\u200b', '\u200c', '\u2007', '\ufeff':
		return true
	}
	return false
}

func (w *textWriter) word(word []byte) {
	w.settle()
	w.out.Write(word)
}

// settle writes the white space that is owed.
func (w *textWriter) settle() {
	switch {
	case w.begun && w.lines > 0:
		for range min(w.lines, 2) {
			w.out.WriteByte('\n')
		}
		w.indent()
	case !w.begun:
		w.indent()
	case w.space:
		w.out.WriteByte(' ')
	}
	w.space, w.lines, w.begun = false, 0, true
}

func (w *textWriter) indent() {
	for range min(w.quotes, maxDepth) {
		w.out.WriteString("> ")
	}
	depth := min(len(w.lists), maxDepth)
	if w.marked != "" {
		depth--
	}
	for range depth {
		w.out.WriteString("  ")
	}
	w.out.WriteString(w.marked)
	w.marked = ""
}

func (w *textWriter) preformatted(s string) {
	for i, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		if i > 0 {
			w.breakLine()
		}
		if strings.TrimSpace(line) != "" {
			w.word([]byte(strings.TrimRight(line, " \t\r")))
		}
	}
}

// breakLine ends this line, also an empty one.
func (w *textWriter) breakLine() { w.lines, w.space = min(w.lines+1, 2), false }

// block makes sure that what follows begins a line, after n-1 empty ones.
func (w *textWriter) block(n int) { w.lines, w.space = max(w.lines, n), false }

func (w *textWriter) open(tag atom.Atom, more, selfClosing bool) {
	switch tag {
	case atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript:
		if !selfClosing {
			w.hidden++
		}
	case atom.Body:
		w.hidden = 0 // whatever was left open before it
	}
	if w.hidden > 0 {
		return
	}
	switch tag {
	case atom.Br:
		w.breakLine()
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Dl:
		w.block(2)
	case atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address, atom.Form, atom.Center, atom.Dt, atom.Dd, atom.Figure, atom.Main, atom.Nav:
		w.block(1)
	case atom.Pre:
		w.block(2)
		w.pre++
	case atom.Blockquote:
		w.block(2)
		w.quotes++
	case atom.Hr:
		w.block(2)
		w.word([]byte(wrapRule))
		w.block(2)
	case atom.Ul, atom.Ol:
		w.openList(tag == atom.Ol, more)
	case atom.Li:
		w.item()
	case atom.Tr:
		w.block(1)
		w.cells = 0
	case atom.Td, atom.Th:
		w.cell()
	case atom.A:
		w.closeLink() // links do not nest
		w.link = link{w.attribute(more, "href"), w.out.Len()}
	case atom.Img:
		w.text([]byte(w.attribute(more, "alt")))
	}
}

func (w *textWriter) openList(ordered, more bool) {
	start := 1
	if n, err := strconv.Atoi(w.attribute(more, "start")); err == nil && ordered {
		start = n
	}
	w.block(2 - min(len(w.lists), 1))
	w.lists = append(w.lists, list{ordered, start})
}

func (w *textWriter) item() {
	w.block(1)
	w.marked = "* "
	if n := len(w.lists); n > 0 && w.lists[n-1].ordered {
		w.marked = strconv.Itoa(w.lists[n-1].next) + ". "
		w.lists[n-1].next++
	} else if n == 0 {
		w.lists = append(w.lists, list{})
	}
}

// cell parts the cells of a row that hold text; layout tables mostly have one.
func (w *textWriter) cell() {
	if w.cells++; w.cells > 1 && w.lines == 0 {
		w.space = true
	}
}

func (w *textWriter) close(tag atom.Atom) {
	switch tag {
	case atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript:
		w.hidden = max(w.hidden-1, 0)
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Dl:
		w.block(2)
	case atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address, atom.Form, atom.Center, atom.Tr, atom.Li, atom.Figure, atom.Main, atom.Nav:
		w.block(1)
	case atom.Pre:
		w.pre = max(w.pre-1, 0)
		w.block(2)
	case atom.Blockquote:
		w.quotes = max(w.quotes-1, 0)
		w.block(2)
	case atom.Ul, atom.Ol:
		w.lists = w.lists[:max(len(w.lists)-1, 0)]
		w.marked = ""
		w.block(2 - min(len(w.lists), 1))
	case atom.A:
		w.closeLink()
	}
}

// closeLink writes the target of the open link behind its text: "text (url)", only the
// target when there is no text, only the text when it says the same.
func (w *textWriter) closeLink() {
	l := w.link
	w.link = link{}
	url, isMail := strings.CutPrefix(l.url, "mailto:")
	if isMail {
		url, _, _ = strings.Cut(url, "?")
	}
	text := strings.TrimSpace(w.out.String()[l.start:])
	switch {
	case url == "" || url[0] == '#' || strings.HasPrefix(strings.ToLower(url), "javascript:") || same(text, url):
	case text == "":
		w.word([]byte(url))
	default:
		w.out.WriteString(" (" + url + ")") // right behind the text; a space owed stays owed
	}
}

// same tells whether a link's text is its target, give or take the scheme and a slash.
func same(text, url string) bool {
	trim := func(s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
		return strings.TrimSuffix(s, "/")
	}
	return strings.EqualFold(trim(text), trim(url))
}

// attribute gives the value of one attribute of the tag being read, without white
// space around it and line breaks inside.
func (w *textWriter) attribute(more bool, want string) string {
	value := ""
	for more {
		var key, v []byte
		if key, v, more = w.tokens.TagAttr(); string(key) == want && value == "" {
			value = strings.Join(strings.Fields(string(v)), " ")
		}
	}
	return value
}

package mime

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Harmless gives an HTML part as it may be shown to somebody else than its recipient: nothing in
// it runs, submits, or asks anybody for anything. Only known elements and attributes are kept and
// all of it is written anew, so that no oddity of the source means something else to a browser.
// Images are those of the message: image gives the address to show a Content-ID by, "" for none.
// Other hosts' images go; links stay, to be opened on purpose.
func Harmless(source string, image func(contentID string) string) string {
	h := harmless{image: image, z: html.NewTokenizer(strings.NewReader(source))}
	for {
		switch h.z.Next() {
		case html.ErrorToken:
			return h.out.String()
		case html.TextToken:
			h.out.WriteString(html.EscapeString(string(h.z.Text())))
		case html.StartTagToken, html.SelfClosingTagToken:
			h.open(h.z.Token())
		case html.EndTagToken:
			if t := h.z.Token(); slices.Contains(shownElements, t.Data) {
				h.out.WriteString("</" + t.Data + ">")
			}
		}
	}
}

type harmless struct {
	image func(string) string
	z     *html.Tokenizer
	out   strings.Builder
}

// shownElements are kept. Of the others the tags go and their text stays, but for unshownElements.
var shownElements = strings.Fields(`a abbr address article aside b bdi bdo big blockquote body br caption center cite code col colgroup dd del details div dl dt em
	figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s samp section small span strike strong style sub summary sup
	table tbody td tfoot th thead time tr tt u ul var wbr`)

// unshownElements are those whose content is no HTML to a tokenizer: it goes too.
var unshownElements = []string{"iframe", "noembed", "noframes", "noscript", "plaintext", "script", "textarea", "title", "xmp"}

// shownAttributes say how something looks, and load nothing. (What a style would load, the page's
// policy refuses.)
var shownAttributes = strings.Fields(`align alt bgcolor border cellpadding cellspacing class color colspan dir face height hspace lang nowrap
	role rowspan size span start style title type valign vspace width`)

// open writes a start tag, and what an element without HTML in it says.
func (h *harmless) open(t html.Token) {
	if slices.Contains(unshownElements, t.Data) {
		h.skipText()
		return
	}
	if !slices.Contains(shownElements, t.Data) {
		return
	}
	h.out.WriteString("<" + t.Data)
	for _, a := range t.Attr {
		if value, keep := h.attribute(t.Data, a); keep {
			h.out.WriteString(" " + a.Key + `="` + html.EscapeString(value) + `"`)
		}
	}
	if t.Data == "a" {
		h.out.WriteString(` rel="noopener noreferrer" target="_blank"`)
	}
	h.out.WriteString(">")
	if t.Data == "style" {
		text := h.skipText()
		h.out.WriteString(strings.ReplaceAll(text, "</", `<\/`) + "</style>")
	}
}

// skipText passes over the text and the end tag of an element whose content is no HTML.
func (h *harmless) skipText() (text string) {
	for {
		switch h.z.Next() {
		case html.TextToken:
			text += string(h.z.Raw())
		default: // its end tag, or the end of all
			return text
		}
	}
}

// attribute gives what to write of one, if anything.
func (h *harmless) attribute(element string, a html.Attribute) (value string, keep bool) {
	switch {
	case a.Namespace != "":
		return "", false
	case slices.Contains(shownAttributes, a.Key):
		return a.Val, true
	case element == "a" && a.Key == "href":
		return a.Val, hasScheme(a.Val, "http", "https", "mailto", "tel")
	case element == "img" && a.Key == "src":
		return h.source(strings.TrimSpace(a.Val))
	}
	return "", false
}

// source is where an image may come from: this message.
func (h *harmless) source(address string) (string, bool) {
	if id, ok := cutScheme(address, "cid"); ok {
		address = h.image(id)
		return address, address != ""
	}
	for _, kind := range []string{"png", "gif", "jpeg", "webp"} {
		if head := "data:image/" + kind + ";base64,"; len(address) > len(head) && strings.EqualFold(address[:len(head)], head) {
			return address, true
		}
	}
	return "", false
}

func hasScheme(address string, schemes ...string) bool {
	return slices.ContainsFunc(schemes, func(s string) bool { _, ok := cutScheme(strings.TrimSpace(address), s); return ok })
}

func cutScheme(address, scheme string) (rest string, ok bool) {
	if len(address) <= len(scheme) || address[len(scheme)] != ':' || !strings.EqualFold(address[:len(scheme)], scheme) {
		return "", false
	}
	return address[len(scheme)+1:], true
}

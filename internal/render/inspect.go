package render

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/postroad/postroad/internal/template"
)

// Findings are what commonly goes wrong with a mail, by what it is about.
type Findings struct {
	HTML  []Problem // what mail programs leave out or show otherwise
	Links []Problem // nothing is fetched: they are only read
}

// Inspect looks at a mail as it is sent: what [Library.Validate] says of a template's
// result, and what mail programs do to its HTML.
func Inspect(subject, source, text string) Findings {
	var f Findings
	if source != "" && strings.TrimSpace(text) == "" {
		f.HTML = append(f.HTML, warning("text", "text_missing", "There is no text part: some readers and filters see nothing else."))
	}
	p := Preview{Body: Body{Subject: subject, HTML: source, Text: text}}
	f.HTML = append(f.HTML, lintResult(&p, "")...)
	f.html(source)
	if f.HTML == nil {
		f.HTML = []Problem{}
	}
	if f.Links == nil {
		f.Links = []Problem{}
	}
	return f
}

func warning(part, code, message string) Problem {
	return Problem{Severity: template.Warning.String(), Code: code, Part: part, Message: message}
}

// unsupported are elements that mail programs take out, with what they do then.
var unsupported = map[atom.Atom]string{
	atom.Script: "no mail program runs it", atom.Iframe: "it is taken out", atom.Object: "it is taken out", atom.Embed: "it is taken out", atom.Canvas: "it stays empty",
	atom.Svg: "Gmail and Outlook take it out: use an image", atom.Video: "few programs play it: link to it", atom.Audio: "few programs play it: link to it",
	atom.Form: "most programs take it out or warn of it: link to a page", atom.Base: "it is ignored, and relative links lead nowhere",
}

// css are declarations that widely used mail programs ignore.
var css = []struct {
	pattern       *regexp.Regexp
	code, message string
}{
	{regexp.MustCompile(`(?i)position\s*:\s*(absolute|fixed|sticky)`), "css_position", "Gmail and Outlook ignore 'position'."},
	{regexp.MustCompile(`(?i)display\s*:\s*(inline-)?(flex|grid)`), "css_flex", "Outlook ignores flex and grid: lay out with tables."},
	{regexp.MustCompile(`(?i)\bvar\s*\(\s*--`), "css_variable", "Gmail and Outlook do not know variables of CSS."},
	{regexp.MustCompile(`(?i)background(-image)?\s*:[^;"]*url\(`), "css_background", "Outlook shows no background images."},
	{regexp.MustCompile(`(?i)@import\b`), "css_import", "@import is not fetched."},
	{regexp.MustCompile(`(?i)@font-face\b`), "css_font", "Most programs show their own fonts: name one to fall back on."},
}

// html goes through the tags once.
func (f *Findings) html(source string) {
	tokens := html.NewTokenizer(strings.NewReader(source))
	offset := 0
	var open *anchor
	for len(f.HTML) < maxLints && len(f.Links) < maxLints {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		at := offset
		offset += len(tokens.Raw())
		note := func(list *[]Problem, code, message string) {
			p := warning("html", code, message)
			p.Line, p.Column = place(source, at)
			*list = append(*list, p)
		}
		token := tokens.Token()
		switch kind {
		case html.TextToken:
			if open != nil {
				open.text += token.Data
			}
		case html.EndTagToken:
			if token.DataAtom == atom.A && open != nil {
				if message := open.misleads(); message != "" {
					note(&f.Links, "link_misleads", message)
				}
				open = nil
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			if why, ok := unsupported[token.DataAtom]; ok {
				note(&f.HTML, "element_unsupported", "<"+token.Data+">: "+why+".")
			}
			f.attributes(&token, note)
			if token.DataAtom == atom.A {
				open = linkOf(&token)
			}
		}
	}
	for _, c := range css {
		if at := c.pattern.FindStringIndex(source); at != nil {
			p := warning("html", c.code, c.message)
			p.Line, p.Column = place(source, at[0])
			f.HTML = append(f.HTML, p)
		}
	}
}

func (f *Findings) attributes(token *html.Token, note func(list *[]Problem, code, message string)) {
	alt, sheet, href := false, false, ""
	for _, a := range token.Attr {
		switch {
		case a.Key == "alt":
			alt = true
		case a.Key == "rel" && strings.EqualFold(a.Val, "stylesheet"):
			sheet = true
		case a.Key == "href" || a.Key == "src":
			href = strings.TrimSpace(a.Val)
			if code, message := judgeLink(href, a.Key == "href"); code != "" && token.DataAtom != atom.Link {
				note(&f.Links, code, message)
			}
		case strings.HasPrefix(a.Key, "on") && len(a.Key) > 3:
			note(&f.HTML, "handler_unsupported", "The attribute '"+a.Key+"': no mail program runs it.")
		}
	}
	if token.DataAtom == atom.Img && !alt {
		note(&f.HTML, "image_without_alt", "The image has no alt text, which is all many readers see.")
	}
	if token.DataAtom == atom.Link && sheet {
		note(&f.HTML, "stylesheet_unsupported", "Style sheets are not fetched: put the styles into the mail.")
	}
}

// judgeLink tells what is wrong with where a link leads or an image comes from.
func judgeLink(to string, link bool) (code, message string) {
	u, err := url.Parse(to)
	switch {
	case to == "" || to == "#":
		if link {
			return "link_empty", "The link leads nowhere."
		}
		return "link_empty", "There is no source."
	case err != nil:
		return "link_invalid", "It cannot be read as an address: " + clipLink(to) + "."
	case strings.HasPrefix(to, "#"):
		return "", ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http":
		if private(u.Hostname()) {
			return "link_private", "Only this machine or network finds " + clipLink(u.Host) + "."
		}
		return "insecure_link", "It leads to http://, which some mail programs warn of: use https."
	case "https":
		if private(u.Hostname()) {
			return "link_private", "Only this machine or network finds " + clipLink(u.Host) + "."
		}
	case "":
		return "link_relative", "A mail has no address that '" + clipLink(to) + "' could be relative to: write it whole."
	case "mailto", "tel", "sms", "cid":
	default:
		return "link_scheme", "Mail programs do not follow '" + clipLink(u.Scheme) + ":'."
	}
	return "", ""
}

// private tells whether a host is one that recipients cannot reach.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	host = strings.ToLower(host)
	return host == "localhost" || !strings.Contains(host, ".") || slices.ContainsFunc([]string{".localhost", ".local", ".internal"}, func(end string) bool { return strings.HasSuffix(host, end) })
}

func clipLink(s string) string {
	if r := []rune(strings.ToValidUTF8(s, "\uFFFD")); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// anchor is a link whose text is being read.
type anchor struct {
	host string
	text string
}

func linkOf(token *html.Token) *anchor {
	for _, a := range token.Attr {
		if a.Key != "href" {
			continue
		}
		if u, err := url.Parse(strings.TrimSpace(a.Val)); err == nil && u.Host != "" {
			return &anchor{host: u.Hostname()}
		}
	}
	return nil
}

// shown is an address as a reader takes it for the target.
var shown = regexp.MustCompile(`(?i)^\s*(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:[/:?#]\S*)?\s*$`)

// misleads tells whether the text names another host than the link leads to: what filters
// take for phishing.
func (l *anchor) misleads() string {
	m := shown.FindStringSubmatch(l.text)
	if m == nil {
		return ""
	}
	said, real := strings.ToLower(m[1]), strings.ToLower(l.host)
	if said == real || strings.HasSuffix(real, "."+said) || strings.HasSuffix(said, "."+real) {
		return ""
	}
	return fmt.Sprintf("It says %s and leads to %s: filters take that for phishing.", clipLink(said), clipLink(real))
}

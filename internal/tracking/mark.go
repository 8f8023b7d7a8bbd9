package tracking

import (
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"strings"
)

// Marks writes the placeholders of one message.
type Marks struct {
	marker string
	base   string // what links begin with, no slash at the end
	host   string // of base
	links  int
	urls   map[string]string // a URL that stands in the message twice is one link
	wrote  bool
}

// NewMarks draws a marker for a message whose links begin with base ("https://track.acme.test").
func NewMarks(base string) *Marks {
	m := &Marks{marker: newMarker(), base: strings.TrimRight(base, "/")}
	if u, err := url.Parse(m.base); err == nil {
		m.host = u.Host
	}
	return m
}

func newMarker() string {
	var raw [markerWidth]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand since Go 1.24)
	for i, b := range raw {
		raw[i] = alphabet[b&31]
	}
	return string(raw[:])
}

// Marker is what the message must be stored with when anything was marked, "" when
// nothing was.
func (m *Marks) Marker() string {
	if !m.wrote {
		return ""
	}
	return m.marker
}

// placeholder is where one recipient's token will be.
func (m *Marks) placeholder(kind Kind, index int, digest [digestSize]byte) string {
	m.wrote = true
	b := make([]byte, 0, Width)
	b = append(b, m.marker...)
	tag := tagOf(kind, index)
	b = append(b, alphabet[tag>>10&31], alphabet[tag>>5&31], alphabet[tag&31])
	return string(text.AppendEncode(b, digest[:]))
}

// readPlaceholder is the way back, of what follows the marker.
func readPlaceholder(rest []byte) (tag uint16, digest [digestSize]byte, ok bool) {
	for _, c := range rest[:tagWidth] {
		i := strings.IndexByte(alphabet, c)
		if i < 0 {
			return 0, digest, false
		}
		tag = tag<<5 | uint16(i)
	}
	n, err := text.Decode(digest[:], rest[tagWidth:tagWidth+digestWidth])
	return tag, digest, err == nil && n == digestSize
}

// Unsubscribe gives the values of List-Unsubscribe and List-Unsubscribe-Post (RFC 8058).
// mailHost is where mail to unsubscribe would be taken, "" when it is not.
func (m *Marks) Unsubscribe(mailHost string) (list, post string) {
	token := m.placeholder(KindUnsubscribe, 0, [digestSize]byte{})
	list = "<" + m.base + "/u/" + token + ">"
	if mailHost != "" {
		list += ", <mailto:" + mailtoPrefix + token + "@" + mailHost + "?subject=unsubscribe>"
	}
	return list, "List-Unsubscribe=One-Click"
}

// pixel is the image whose loading is an open.
func (m *Marks) pixel() string {
	return `<img src="` + m.base + "/o/" + m.placeholder(KindOpen, 0, [digestSize]byte{}) +
		`" width="1" height="1" alt="" style="border:0;width:1px;height:1px">`
}

// link gives the URL that counts a click and leads to another one.
func (m *Marks) link(to string) (string, bool) {
	if known, ok := m.urls[to]; ok {
		return known, true
	}
	if m.links >= MaxLinks || !followable(to) || m.ours(to) {
		return "", false
	}
	m.links++
	out := m.base + "/c/" + m.placeholder(KindClick, m.links, digest(m.host, to)) + "." + base64.RawURLEncoding.EncodeToString([]byte(to))
	if m.urls == nil {
		m.urls = map[string]string{}
	}
	m.urls[to] = out
	return out, true
}

// ours tells of links that lead to us already.
func (m *Marks) ours(to string) bool {
	rest, ok := strings.CutPrefix(to, m.base)
	return ok && (strings.HasPrefix(rest, "/u/") || strings.HasPrefix(rest, "/c/") || strings.HasPrefix(rest, "/f/"))
}

// stampOne replaces the placeholder at the beginning of b; false when there is none.
func (t *Tokens) stampOne(b []byte, row int64) bool {
	tag, digest, ok := readPlaceholder(b[markerWidth:Width])
	if !ok {
		return false
	}
	var raw [20]byte
	t.make(&raw, row, tag, digest[:])
	text.Encode(b[:Width], raw[:])
	return true
}

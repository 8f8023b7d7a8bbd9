package submit

import (
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// maxMissing bounds how many images that are not there are told of.
const maxMissing = 10

// checkContentIDs warns of inline images that the HTML does not show, and of those it
// would show if they were there.
func (d *draft) checkContentIDs(in []AttachmentIn) {
	shown := contentIDs(d.body.HTML)
	if len(in) == 0 && len(shown) == 0 {
		return
	}
	given := map[string]bool{}
	for i := range in {
		id := strings.TrimSuffix(strings.TrimPrefix(in[i].ContentID, "<"), ">")
		given[id] = true
		if in[i].Inline && id != "" && !shown[id] {
			d.warn("content_id_unused", in[i].Field+".content_id", "Nothing in the HTML shows 'cid:"+clip(strings.ToValidUTF8(id, "\ufffd"))+"': many readers will list the file as an attachment.")
		}
	}
	missing := 0
	for _, id := range slices.Sorted(maps.Keys(shown)) {
		if !given[id] && missing < maxMissing {
			missing++
			d.warn("content_id_missing", "html", "The HTML shows 'cid:"+clip(strings.ToValidUTF8(id, "\ufffd"))+"', but no attachment has this content_id.")
		}
	}
}

// contentIDs finds what "cid:" URLs in attributes and style sheets name.
func contentIDs(s string) map[string]bool {
	var ids map[string]bool
	for {
		i := strings.Index(s, "cid:")
		if i < 0 {
			return ids
		}
		before := byte(' ')
		if i > 0 {
			before = s[i-1]
		}
		s = s[i+len("cid:"):]
		if strings.IndexByte("\"'(=", before) < 0 {
			continue
		}
		end := strings.IndexAny(s, "\"'() \t\r\n>")
		if end <= 0 {
			continue
		}
		id := html.UnescapeString(s[:end])
		if plain, err := url.PathUnescape(id); err == nil {
			id = plain
		}
		if ids == nil {
			ids = map[string]bool{}
		}
		ids[id] = true
	}
}

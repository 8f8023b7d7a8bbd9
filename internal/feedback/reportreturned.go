package feedback

import (
	"net/url"
	"slices"
	"strings"
)

const (
	maxReportPaths  = 20
	maxReportUnsubs = 10
)

// pathFields are where a return path stands in the header of a message that was delivered, or
// passed on.
var pathFields = [...]string{"return-path", "x-original-return-path", "x-envelope-from", "envelope-from", "x-original-mail-from"}

// statusPathFields are where it stands in the fields of a report: Postfix's own, and RFC 5965 §3.2.
var statusPathFields = [...]string{"x-postfix-sender", "original-mail-from", "x-original-mail-from", "x-original-return-path"}

// addressedFields are where it stands in the header of the report, which was sent to it.
var addressedFields = [...]string{"to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to"}

// isReturned tells of the parts that hold the returned message or its header (RFC 6522 §3,
// RFC 6533 §5).
func isReturned(kind string) bool {
	switch kind {
	case "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers":
		return true
	}
	return false
}

// returned takes from the header of a returned message what leads to our delivery.
func (r *Report) returned(head fields) {
	r.pathsIn(head, pathFields[:])
	for _, f := range head {
		switch f.name {
		case "received":
			if _, after, found := strings.Cut(strings.ToLower(f.value), "envelope-from"); found {
				from, _, _ := strings.Cut(strings.TrimLeft(after, " =:"), ")") // it stands in a comment
				r.path(from)
			}
		case "list-unsubscribe":
			r.unsubs(f.value)
		case "message-id":
			if r.MessageID == "" {
				id := strings.Trim(strings.TrimSpace(withoutComments(f.value)), "<>")
				r.MessageID = saidIn(id, maxReportID)
			}
		}
	}
}

func (r *Report) pathsIn(head fields, names []string) {
	for _, f := range head {
		if slices.Contains(names, f.name) {
			r.path(f.value)
		}
	}
}

func (r *Report) path(value string) {
	address := addressIn(value)
	if address != "" && len(r.Paths) < maxReportPaths && !slices.Contains(r.Paths, address) {
		r.Paths = append(r.Paths, address)
	}
}

// unsubs reads List-Unsubscribe (RFC 2369 §3.2): URLs in brackets, with commas between. Of a
// mailto: the address is kept.
func (r *Report) unsubs(value string) {
	for len(r.Unsubs) < maxReportUnsubs {
		_, after, found := strings.Cut(value, "<")
		link, rest, closed := strings.Cut(after, ">")
		if !found || !closed {
			return
		}
		value = rest
		link = strings.Join(strings.Fields(link), "") // folded within
		if to, mailto := cutFold(link, "mailto:"); mailto {
			to, _, _ = strings.Cut(to, "?")
			if plain, err := url.PathUnescape(to); err == nil {
				to = plain
			}
			link = folded(to)
		}
		if link = clean(link, 2*maxReportSaid); link != "" && !slices.Contains(r.Unsubs, link) {
			r.Unsubs = append(r.Unsubs, link)
		}
	}
}

// cutFold is strings.CutPrefix without regard to case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

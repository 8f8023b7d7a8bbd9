package submit

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// Hosted attachments: the file is kept, the mail holds a link to it. The link is known
// before the file is on disk, since it follows from an id we give.

// hosted is a file to be kept, with the link to it.
type hosted struct {
	mime.Attachment
	id   mail.ID
	link string
}

// reference is what stands in a href or a text for the link: hosted:report.zip.
const reference = "hosted:"

func (h *hosted) info() mail.Attachment {
	out := h.Info()
	out.Hosted = h.id
	return out
}

func (d *draft) checkHosted(in *AttachmentIn) {
	switch {
	case d.s.links == nil:
		d.fault("invalid_value", in.Field+".hosted", "This server hosts no files: attach it, or link to a file elsewhere.")
	case in.Inline || in.ContentID != "":
		d.fault("mutually_exclusive", in.Field+".hosted", "A hosted file is not in the message, so it cannot be 'inline' or have a 'content_id'.")
	}
}

// hostedUntil is when the links of this message expire: so many days after it is due.
func (d *draft) hostedUntil() time.Time {
	from, days := d.now, 0
	if d.message.ScheduledAt.After(from) {
		from = d.message.ScheduledAt
	}
	if d.who.Project != nil {
		days = d.who.Project.Settings.HostedDays
	}
	return from.AddDate(0, 0, cmp.Or(days, 30)).Truncate(time.Second)
}

// link puts the links into the bodies: in the place of what refers to a file, and at the
// end of each body that does not.
func (d *draft) link() {
	if len(d.hosted) == 0 {
		return
	}
	until := d.hostedUntil()
	for i := range d.hosted {
		d.hosted[i].link = d.s.links.URL(d.hosted[i].id, until)
	}
	text, html := d.body.Text, d.body.HTML
	if text != "" || html == "" {
		d.body.Text = linkText(text, d.hosted, until)
	}
	if html != "" {
		d.body.HTML = linkHTML(html, d.hosted, until)
	}
}

// linkText replaces hosted:NAME and appends what was not referred to.
func linkText(s string, files []hosted, until time.Time) string {
	out, used := replaceReferences(s, files, func(_, rest string) (string, int) {
		for _, i := range byLength(files) {
			for _, name := range [...]string{files[i].Filename, url.PathEscape(files[i].Filename)} {
				if strings.HasPrefix(rest, name) && !goesOn(rest[len(name):]) {
					return name, i
				}
			}
		}
		return "", -1
	})
	first := true
	for i := range files {
		if used[i] {
			continue
		}
		if first && out != "" {
			out = strings.TrimRight(out, "\r\n") + "\n\n"
		}
		first = false
		out += describe(&files[i], until) + ":\n" + files[i].link + "\n"
	}
	return out
}

// goesOn tells whether what follows belongs to a longer name.
func goesOn(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// linkHTML does the same for what stands in an href; nothing else is touched.
func linkHTML(s string, files []hosted, until time.Time) string {
	out, used := replaceReferences(s, files, func(before, rest string) (string, int) {
		quote, ok := endsInHref(before)
		if !ok {
			return "", -1
		}
		end := strings.IndexAny(rest, quote)
		if end < 0 {
			return "", -1
		}
		name := html.UnescapeString(rest[:end])
		plain, err := url.PathUnescape(name)
		for i := range files {
			if files[i].Filename == name || err == nil && files[i].Filename == plain {
				return rest[:end], i
			}
		}
		return "", -1
	})
	var more strings.Builder
	for i := range files {
		if !used[i] {
			more.WriteString("<p><a href=\"" + html.EscapeString(files[i].link) + "\">" + html.EscapeString(describe(&files[i], until)) + "</a></p>\n")
		}
	}
	if more.Len() == 0 {
		return out
	}
	end := lastFold(out, "</body")
	return out[:end] + "\n" + more.String() + out[end:]
}

// replaceReferences goes through every "hosted:" once. match gets what stands before
// and behind it and tells which of the files the name behind means, -1 for none.
func replaceReferences(s string, files []hosted, match func(before, rest string) (name string, file int)) (string, []bool) {
	used := make([]bool, len(files))
	var b strings.Builder
	from := 0
	for at := 0; ; {
		i := strings.Index(s[at:], reference)
		if i < 0 {
			break
		}
		start := at + i
		at = start + len(reference)
		name, file := match(s[:start], s[at:])
		if file < 0 {
			continue
		}
		b.WriteString(s[from:start])
		b.WriteString(files[file].link)
		at += len(name)
		from, used[file] = at, true
	}
	return b.String() + s[from:], used
}

// byLength orders files so that a name which begins another comes after it.
func byLength(files []hosted) []int {
	order := make([]int, len(files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(files[b].Filename) - len(files[a].Filename) })
	return order
}

// endsInHref tells whether an attribute value of a href begins right behind s, and which
// characters end it.
func endsInHref(s string) (ends string, ok bool) {
	ends = " \t\r\n>"
	if n := len(s); n > 0 && (s[n-1] == '"' || s[n-1] == '\'') {
		ends, s = s[n-1:], s[:n-1]
	}
	s, ok = strings.CutSuffix(strings.TrimRight(s, " \t\r\n"), "=")
	s = strings.TrimRight(s, " \t\r\n")
	if !ok || len(s) < 5 || !strings.EqualFold(s[len(s)-4:], "href") {
		return "", false
	}
	return ends, strings.IndexByte(" \t\r\n/\"'", s[len(s)-5]) >= 0
}

// lastFold is where a tag stands last, in any case; the end when it does not.
func lastFold(s, tag string) int {
	for i := len(s) - len(tag); i >= 0; i-- {
		if s[i] == tag[0] && strings.EqualFold(s[i:i+len(tag)], tag) {
			return i
		}
	}
	return len(s)
}

// describe is "report.zip (2.3 MB, until 19 May 2026)".
func describe(h *hosted, until time.Time) string {
	return h.Filename + " (" + readableSize(h.Size) + ", until " + until.Format("2 January 2006") + ")"
}

func readableSize(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 1000:
		return strconv.FormatInt(n, 10) + " bytes"
	case n < 1000_000:
		return strconv.FormatFloat(float64(n)/1000, 'f', 0, 64) + " KB"
	}
	return strconv.FormatFloat(float64(n)/1000_000, 'f', 1, 64) + " MB"
}

// host puts the hosted files on disk. When it fails nothing of them stays.
func (d *draft) host(ctx context.Context) error {
	until := time.Time{}
	for i := range d.hosted {
		h := &d.hosted[i]
		if until.IsZero() {
			until = d.hostedUntil()
		}
		content, err := d.s.store.SpoolFile(ctx, func(w io.Writer) error { return h.Decode(w) })
		if err != nil {
			d.s.discardFiles(d.kept)
			d.kept = nil
			return fmt.Errorf("keep a hosted file: %w", err)
		}
		info := h.Info()
		d.kept = append(d.kept, NewFile{Content: content, File: mail.File{ID: h.id, Owner: d.who.Owner, Filename: info.Filename, ContentType: info.ContentType,
			Size: info.Size, SHA256: info.SHA256, CreatedAt: d.now, ExpiresAt: until}})
	}
	return nil
}

func (s *Service) discardFiles(files []NewFile) {
	for i := range files {
		s.discard(files[i].Content)
	}
}

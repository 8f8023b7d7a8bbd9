package readers

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// letter is one file of testdata.
type letter struct {
	name    string
	About   string          `json:"about"`
	Request json.RawMessage `json:"request"`
	Expect  expectation     `json:"expect"`
	Faults  []fault         `json:"faults"`
}

// expectation replaces what follows from the request; what is nil does not.
type expectation struct {
	From    []mailbox         `json:"from"`
	To      []mailbox         `json:"to"`
	Cc      []mailbox         `json:"cc"`
	ReplyTo []mailbox         `json:"reply_to"`
	Subject *string           `json:"subject"`
	Text    *string           `json:"text"`
	HTML    *string           `json:"html"`
	Headers map[string]string `json:"headers"`

	Names        []string `json:"names"`        // of the attachments
	Types        []string `json:"types"`        // …
	IDs          []string `json:"ids"`          // …
	Dispositions []string `json:"dispositions"` // …
	Order        []int    `json:"order"`        // in which they stand in the message
}

// fault is what a reader is known to get wrong.
type fault struct {
	Reader string          `json:"reader"`
	Field  string          `json:"field"`  // as differences are named: "subject", "to", "headers.x-note", "attachments"
	Reads  json.RawMessage `json:"reads"`  // what it finds there
	Reason string          `json:"reason"` // why that is its fault and not ours
}

type mailbox struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// UnmarshalJSON reads the forms the API takes, but for "name <address>": what is expected
// of that is written down, not taken from a parser of ours.
func (m *mailbox) UnmarshalJSON(b []byte) error {
	type plain mailbox
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &m.Email); err != nil {
			return err
		}
		if strings.Contains(m.Email, "<") {
			m.Email = "written as text: say in expect what it should be"
		}
		return nil
	}
	return json.Unmarshal(b, (*plain)(m))
}

// mailboxes is one or a list.
type mailboxes []mailbox

func (l *mailboxes) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]mailbox)(l))
	}
	var one mailbox
	err := json.Unmarshal(b, &one)
	*l = mailboxes{one}
	return err
}

// file is an attachment as it is read.
type file struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
	Disposition string `json:"disposition"`
	SHA256      string `json:"sha256"`
}

// reading is what a message says, to whoever reads it.
type reading struct {
	Name        string              `json:"name"` // of the letter
	From        []mailbox           `json:"from"`
	ReplyTo     []mailbox           `json:"reply_to"`
	To          []mailbox           `json:"to"`
	Cc          []mailbox           `json:"cc"`
	Subject     string              `json:"subject"`
	Text        *string             `json:"text"`
	HTML        *string             `json:"html"`
	Headers     map[string][]string `json:"headers"` // by lower-case name
	Attachments []file              `json:"attachments"`
	Defects     []string            `json:"defects"` // what the reader complains about
	Problem     string              `json:"problem"` // why it gave up
}

// request is what is compared of what was asked for.
type request struct {
	From        mailboxes         `json:"from"`
	To          mailboxes         `json:"to"`
	Cc          mailboxes         `json:"cc"`
	ReplyTo     mailboxes         `json:"reply_to"`
	Subject     string            `json:"subject"`
	Text        *string           `json:"text"`
	HTML        *string           `json:"html"`
	Headers     map[string]string `json:"headers"`
	Attachments []struct {
		Filename    string `json:"filename"`
		ContentType string `json:"content_type"`
		ContentID   string `json:"content_id"`
		Disposition string `json:"disposition"`
		Content     string `json:"content"`
	} `json:"attachments"`
}

// loadTable reads testdata, in order of the names.
func loadTable(t *testing.T) []letter {
	t.Helper()
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) < 60 {
		t.Fatalf("%d letters in testdata, %v", len(names), err)
	}
	letters := make([]letter, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l := &letters[i]
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(l); err != nil || l.About == "" {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range l.Faults {
			if !slices.Contains([]string{"go-message", "mailparser", "python"}, f.Reader) || f.Field == "" || len(f.Reads) == 0 || f.Reason == "" {
				t.Fatalf("%s: a fault lacks its reader, field, reading or reason: %+v", name, f)
			}
		}
		l.name = strings.TrimSuffix(filepath.Base(name), ".json")
	}
	return letters
}

// wanted is what every reader should find.
func (l *letter) wanted() (reading, error) {
	var r request
	if err := json.Unmarshal(l.Request, &r); err != nil {
		return reading{}, err
	}
	w := reading{Name: l.name, From: r.From, To: r.To, Cc: r.Cc, ReplyTo: r.ReplyTo, Subject: r.Subject, Text: r.Text, HTML: r.HTML, Headers: map[string][]string{}}
	e := &l.Expect
	replace(&w.From, e.From)
	replace(&w.To, e.To)
	replace(&w.Cc, e.Cc)
	replace(&w.ReplyTo, e.ReplyTo)
	if e.Subject != nil {
		w.Subject = *e.Subject
	}
	if e.Text != nil {
		w.Text = e.Text
	}
	if e.HTML != nil {
		w.HTML = e.HTML
	}
	if e.Headers != nil {
		r.Headers = e.Headers
	}
	for name, value := range r.Headers {
		w.Headers[strings.ToLower(name)] = []string{value}
	}
	var err error
	w.Attachments, err = l.wantedFiles(&r)
	return w, err
}

func replace(list *[]mailbox, by []mailbox) {
	if by != nil {
		*list = by
	}
}

func (l *letter) wantedFiles(r *request) ([]file, error) {
	e := &l.Expect
	var files []file
	for i, a := range r.Attachments {
		content, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(a.Content))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		kind, _, _ := strings.Cut(a.ContentType, ";")
		f := file{a.Filename, strings.ToLower(kind), a.ContentID, a.Disposition, hex.EncodeToString(sum[:])}
		if f.Disposition == "" {
			f.Disposition = "attachment"
		}
		pick(&f.Filename, e.Names, i)
		pick(&f.ContentType, e.Types, i)
		pick(&f.ContentID, e.IDs, i)
		pick(&f.Disposition, e.Dispositions, i)
		files = append(files, f)
	}
	if e.Order == nil {
		return files, nil
	}
	sorted := make([]file, len(files))
	if len(e.Order) != len(files) {
		return nil, fmt.Errorf("order has %d places for %d files", len(e.Order), len(files))
	}
	for i, from := range e.Order {
		sorted[i] = files[from]
	}
	return sorted, nil
}

func pick(s *string, list []string, i int) {
	if i < len(list) {
		*s = list[i]
	}
}

// ours are the fields a message has besides those asked for.
var ours = []string{"date", "message-id", "from", "to", "cc", "reply-to", "subject", "mime-version", "content-type", "content-transfer-encoding"}

// difference is a field that was read as something else than what was asked for.
type difference struct {
	field     string
	got, want any
}

// compare tells what of a reading is not what was wanted.
func compare(want, got *reading) (all []difference) {
	differ := func(field string, got, want any) {
		g, _ := json.Marshal(got)
		if w, _ := json.Marshal(want); !bytes.Equal(g, w) {
			all = append(all, difference{field, got, want})
		}
	}
	if got.Problem != "" {
		return []difference{{"problem", got.Problem, ""}}
	}
	if len(got.Defects) > 0 {
		all = append(all, difference{"defects", got.Defects, []string{}})
	}
	differ("from", compared(got.From), compared(want.From))
	differ("to", compared(got.To), compared(want.To))
	differ("cc", compared(got.Cc), compared(want.Cc))
	differ("reply_to", compared(got.ReplyTo), compared(want.ReplyTo))
	differ("subject", got.Subject, want.Subject)
	differ("text", want.lines(got.Text, want.Text), want.lines(want.Text, want.Text))
	differ("html", want.lines(got.HTML, want.HTML), want.lines(want.HTML, want.HTML))
	for _, name := range slices.Sorted(maps.Keys(want.Headers)) {
		differ("headers."+name, got.Headers[name], want.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(got.Headers)) {
		if _, asked := want.Headers[name]; !asked && !slices.Contains(ours, name) {
			differ("headers."+name, got.Headers[name], nil)
		}
	}
	if len(got.Attachments) != len(want.Attachments) {
		differ("attachments", got.Attachments, want.Attachments)
		return all
	}
	for i := range want.Attachments {
		differ(fmt.Sprintf("attachments[%d]", i), got.Attachments[i], want.Attachments[i])
	}
	return all
}

// compared brings mailboxes to one form: a reader may show a domain's A-labels or what
// they stand for.
func compared(list []mailbox) []mailbox {
	out := make([]mailbox, len(list))
	for i, m := range list {
		out[i] = mailbox{m.Name, asASCII(m.Email)}
	}
	return out
}

// lines has every line end as LF: a message has CRLF. A text that is the whole message
// has a line end behind it even where none was asked for.
func (want *reading) lines(s, asked *string) *string {
	if s == nil {
		return nil
	}
	out := oneLineEnd.Replace(*s)
	whole := len(want.Attachments) == 0 && (want.Text == nil || want.HTML == nil)
	if whole && asked != nil && !strings.HasSuffix(oneLineEnd.Replace(*asked), "\n") {
		out = strings.TrimSuffix(out, "\n")
	}
	return &out
}

var oneLineEnd = strings.NewReplacer("\r\n", "\n", "\r", "\n")

package feedback

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// maxRecord bounds one record of an import in bytes: a quote that is never closed must not
// read the whole file into memory.
const maxRecord = 64 << 10

// ImportOptions say how a file is read.
type ImportOptions struct {
	Preset string // one of [Presets]; "" = by the names of the columns
	Reason string // of all rows; "" = each row's, else the preset's
	Topic  string // of rows that are unsubscribes and name none
	Owner  mail.Owner
	Now    time.Time
}

// preset is how a vendor writes its lists down. Columns are compared in lower case
// without blanks, '_' and '-'; the first that is there counts.
type preset struct {
	reasons  map[string]string // what the reason column says → ours; anything else is detail
	fallback func(columns []string) string
}

var columnNames = struct{ address, reason, topic, detail, note, created, expires []string }{
	address: []string{"email", "recipient", "address", "emailaddress", "emailaddr"},
	reason:  []string{"suppressionreason", "kind", "type", "origin", "reason"},
	topic:   []string{"topic"},
	detail:  []string{"detail", "error", "description", "code", "status"},
	note:    []string{"note"},
	created: []string{"createdat", "created", "lastupdatetime", "timestamp", "date"},
	expires: []string{"expiresat"},
}

func always(reason string) func([]string) string { return func([]string) string { return reason } }

// Vendors export one list per cause, and the file does not say which: its columns do.
func byColumns(columns []string) string {
	switch {
	case hasAny(columns, "status", "reason", "code", "error"):
		return mail.KindHardBounce
	case hasAny(columns, "ip"):
		return mail.KindComplaint
	}
	return mail.KindUnsubscribe
}

var presets = map[string]preset{
	"sendgrid": {fallback: byColumns},
	"mailgun":  {fallback: byColumns},
	"postmark": {reasons: map[string]string{"hardbounce": mail.KindHardBounce, "spamcomplaint": mail.KindComplaint, "manualsuppression": mail.KindManual}, fallback: always("import")},
	"ses":      {reasons: map[string]string{"bounce": mail.KindHardBounce, "complaint": mail.KindComplaint}, fallback: always("import")},
	"resend":   {reasons: map[string]string{"bounce": mail.KindHardBounce, "complaint": mail.KindComplaint, "manual": mail.KindManual, "unsubscribe": mail.KindUnsubscribe}, fallback: always("import")},
	"hyvor":    {reasons: map[string]string{"bounce": mail.KindHardBounce, "complaint": mail.KindComplaint}, fallback: always("import")},
}

// Presets are the vendors whose files are known.
func Presets() []string { return []string{"sendgrid", "mailgun", "postmark", "ses", "resend", "hyvor"} }

// Import reads a CSV file record by record. It holds one record.
type Import struct {
	o       ImportOptions
	preset  preset
	budget  *budget
	csv     *csv.Reader
	columns []string
	at      struct{ address, reason, topic, detail, note, created, expires int }
	pending []string // a first record that was no header
	Line    int64    // of the last record, from 1
}

// ErrTooLong says that a record has more than 64 KB: most likely a quote is not closed.
var ErrTooLong = errors.New("a record has more than 64 KB: is a quote not closed?")

// budget gives so many bytes between two records.
type budget struct {
	r    io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrTooLong
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// NewImport reads the first record: the names of the columns, or the first address. Errors
// are the caller's to mend, but for those of r.
func NewImport(r io.Reader, o ImportOptions) (*Import, error) {
	in := &Import{o: o, preset: presets[o.Preset], budget: &budget{left: maxRecord + 8192}}
	if in.preset.fallback == nil {
		in.preset.fallback = always("import")
	}
	br := bufio.NewReader(r)
	if bom, _ := br.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3)
	}
	in.budget.r = br
	head, _ := br.Peek(2048)
	in.csv = csv.NewReader(in.budget)
	in.csv.Comma = separator(head)
	in.csv.FieldsPerRecord, in.csv.LazyQuotes, in.csv.ReuseRecord = -1, true, true
	in.csv.TrimLeadingSpace = in.csv.Comma != '\t' // it would take an empty field for a blank
	first, err := in.csv.Read()
	if err == io.EOF {
		return nil, &mail.Error{Code: "invalid_value", Status: 422, Pointer: "#", Message: "The file is empty."}
	}
	if err != nil {
		return nil, err
	}
	return in, in.readColumns(slices.Clone(first))
}

// separator is what parts the fields of the first line.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

func (in *Import) readColumns(first []string) error {
	for _, name := range first {
		in.columns = append(in.columns, columnName(name))
	}
	find := func(names []string) int {
		for _, name := range names {
			if i := slices.Index(in.columns, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	in.at.address, in.at.reason, in.at.topic, in.at.detail = find(columnNames.address), find(columnNames.reason), find(columnNames.topic), find(columnNames.detail)
	in.at.note, in.at.created, in.at.expires = find(columnNames.note), find(columnNames.created), find(columnNames.expires)
	if in.at.address >= 0 {
		return nil
	}
	if _, err := mail.ParseAddress(first[0]); err != nil {
		return &mail.Error{Code: "invalid_value", Status: 422, Pointer: "#", Message: "The first line names no column 'email' and begins with no address. Name the columns, e.g.: email,reason,topic,created_at"}
	}
	in.columns, in.pending = nil, first
	in.at.address = 0
	in.at.reason, in.at.topic, in.at.detail, in.at.note, in.at.created, in.at.expires = -1, -1, -1, -1, -1, -1
	return nil
}

func columnName(s string) string {
	return strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(strings.TrimSpace(s)))
}

func hasAny(columns []string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(columns, name) })
}

// Next gives the next suppression. io.EOF is the end; a *mail.Error is about this record
// only, and the next can be read; any other ends the reading.
func (in *Import) Next() (mail.Suppression, error) {
	record := in.pending
	in.pending = nil
	if record == nil {
		in.budget.left = maxRecord
		var err error
		if record, err = in.csv.Read(); err != nil {
			return mail.Suppression{}, err
		}
	}
	line, _ := in.csv.FieldPos(0)
	in.Line = int64(line)
	return in.suppression(record)
}

func (in *Import) suppression(record []string) (mail.Suppression, error) {
	get := func(i int) string {
		if i < 0 || i >= len(record) {
			return ""
		}
		return strings.TrimSpace(strings.ToValidUTF8(record[i], "\ufffd"))
	}
	s := mail.Suppression{Owner: in.o.Owner, Source: "import", CreatedAt: in.o.Now, Detail: clip(get(in.at.detail)), Note: clip(get(in.at.note)), Topic: get(in.at.topic)}
	a, err := mail.ParseAddress(get(in.at.address))
	if err != nil {
		return s, &mail.Error{Code: "invalid_email", Field: "email", Message: "There is no address in this line, or it is not one."}
	}
	s.Address = mail.FoldAddress(a.Email)
	in.setReason(&s, get(in.at.reason))
	if at := readTime(get(in.at.created)); !at.IsZero() && at.Before(in.o.Now) {
		s.CreatedAt = at
	}
	if text := get(in.at.expires); text != "" {
		if s.ExpiresAt = readTime(text); s.ExpiresAt.IsZero() {
			return s, &mail.Error{Code: "invalid_value", Field: "expires_at", Message: "'expires_at' is no time."}
		}
	}
	if mail.KindOf(s.Reason) != mail.KindUnsubscribe {
		s.Topic = ""
	} else if s.Topic == "" {
		s.Topic = in.o.Topic
	}
	if faults := Judge(&s, in.o.Now); faults != nil {
		return s, faults[0]
	}
	s.ID = mail.NewID(in.o.Now)
	return s, nil
}

// setReason reads what the row says of its cause. A sentence is a detail, not a cause.
func (in *Import) setReason(s *mail.Suppression, written string) {
	known, ok := in.preset.reasons[columnName(written)]
	switch {
	case in.o.Reason != "":
		s.Reason = in.o.Reason
	case ok:
		s.Reason = known
	case in.o.Preset == "" && isSlug(written):
		s.Reason = written
	default:
		s.Reason = in.preset.fallback(in.columns)
	}
	if !ok && !isSlug(written) && written != "" {
		s.Detail = clip(written)
	}
}

func clip(s string) string {
	if len(s) > maxNote {
		return strings.ToValidUTF8(s[:maxNote], "")
	}
	return s
}

// readTime reads the times vendors write; zero when it is none.
func readTime(s string) time.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		if n > 1e12 {
			n /= 1000 // milliseconds
		}
		return time.Unix(n, 0).UTC()
	}
	for _, layout := range []string{time.RFC3339, time.RFC1123, time.RFC1123Z, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05 MST", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Millisecond)
		}
	}
	return time.Time{}
}

// CheckImport tells what is wrong with the options of an import.
func CheckImport(o ImportOptions) mail.Faults {
	var faults mail.Faults
	if _, ok := presets[o.Preset]; !ok && o.Preset != "" {
		faults = append(faults, &mail.Error{Code: "invalid_value", Field: "preset", Pointer: "#/preset", Message: fmt.Sprintf("'preset' is one of %s.", strings.Join(Presets(), ", "))})
	}
	probe := mail.Suppression{Reason: o.Reason, Topic: o.Topic}
	if probe.Reason == "" {
		probe.Reason = mail.KindUnsubscribe // a topic alone is for the rows that are unsubscribes
	}
	return append(faults, Judge(&probe, o.Now)...)
}

package readers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/idna"

	"github.com/postroad/postroad/test/harness"
)

// readWithin bounds one reader's run over the whole table.
const readWithin = 3 * time.Minute

// stored is a letter after Postroad took it.
type stored struct {
	Name  string `json:"name"`
	Raw   []byte `json:"raw"`
	id    string
	rfcID string // its Message-ID
}

func TestOthersReadWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	letters := loadTable(t)
	p := harness.Start(t, harness.Options{})
	mails := submitAll(t, p, letters)
	t.Run("go-message", func(t *testing.T) {
		var readings []reading
		for _, m := range mails {
			readings = append(readings, readGoMessage(m.Name, m.Raw))
		}
		judge(t, "go-message", letters, mails, readings)
	})
	t.Run("mailparser", func(t *testing.T) {
		script, err := os.ReadFile("mailparser_reader.cjs")
		if err != nil {
			t.Fatal(err)
		}
		judge(t, "mailparser", letters, mails, readBatch(t, mails, harness.NodeModules(t, "."), "node", "--eval", string(script)))
	})
	t.Run("python", func(t *testing.T) {
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("python3 is not installed: Python's email is not asked")
		}
		script, err := os.ReadFile("python_reader.py")
		if err != nil {
			t.Fatal(err)
		}
		judge(t, "python", letters, mails, readBatch(t, mails, t.TempDir(), "python3", "-c", string(script)))
	})
	t.Run("postroad", func(t *testing.T) {
		var readings []reading
		for _, m := range mails {
			readings = append(readings, readOurselves(t, p, m))
		}
		judge(t, "postroad", letters, mails, readings)
	})
	t.Run("the bytes are lines as RFC 5322 wants them", func(t *testing.T) {
		for _, m := range mails {
			checkLines(t, m)
		}
	})
}

// submitAll sends the whole table and fetches what it became.
func submitAll(t *testing.T, p *harness.Postroad, letters []letter) []stored {
	t.Helper()
	mails := make([]stored, len(letters))
	for i, l := range letters {
		a := p.Call(t, "POST", "/v1/messages", harness.TestKey, []byte(l.Request))
		if a.Status != http.StatusAccepted {
			t.Errorf("%s: status %d: %.1000s", l.name, a.Status, a.Body)
			continue
		}
		id := a.Text(t, "message_id")
		record := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id, harness.TestKey, nil)
		raw := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/raw", harness.TestKey, nil)
		mails[i] = stored{l.name, raw.Body, id, record.Text(t, "rfc_message_id")}
	}
	if t.Failed() {
		t.FailNow()
	}
	return mails
}

// readBatch has one process read all of them.
func readBatch(t *testing.T, mails []stored, dir, program string, args ...string) []reading {
	t.Helper()
	input, err := json.Marshal(mails)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(input), &complaints
	out, err := cmd.Output()
	var readings []reading
	if err == nil {
		err = json.Unmarshal(out, &readings)
	}
	if err != nil || len(readings) != len(mails) {
		t.Fatalf("%s read %d of %d letters: %v\n%s", program, len(readings), len(mails), err, complaints.String())
	}
	return readings
}

// readOurselves is what our own reader (package mime) tells through the API. It gives
// addresses as their fields are written: they are not compared.
func readOurselves(t *testing.T, p *harness.Postroad, m stored) reading {
	t.Helper()
	var content struct {
		reading
		Headers map[string]string `json:"headers"`
	}
	a := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+m.id+"/content", harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &content); err != nil {
		t.Fatal(err)
	}
	r := content.reading
	r.Name, r.Headers = m.Name, map[string][]string{}
	for name, value := range content.Headers {
		r.Headers[strings.ToLower(name)] = []string{value}
	}
	return r
}

// judge compares a reader's readings with what was asked, and with its known faults.
func judge(t *testing.T, reader string, letters []letter, mails []stored, readings []reading) {
	t.Helper()
	known := 0
	for i := range letters {
		l := &letters[i]
		want, err := l.wanted()
		if err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		want.Headers["message-id"] = []string{mails[i].rfcID}
		got := &readings[i]
		if got.Name != l.name {
			t.Fatalf("reading %d is of %s, not %s", i, got.Name, l.name)
		}
		if reader == "postroad" {
			cannotTell(&want, got)
		}
		differences := compare(&want, got)
		for _, d := range differences {
			if l.isKnown(reader, d) {
				known++
				continue
			}
			t.Errorf("%s: %s reads %s as\n  %s\nasked for\n  %s", l.name, reader, d.field, show(d.got), show(d.want))
		}
		l.checkFaults(t, reader, differences)
	}
	t.Logf("%s read %d letters, with %d known faults of its own", reader, len(letters), known)
}

// checkFaults tells of known faults that are none any more. The versions of mailparser
// and go-message are ours to choose, so there the list is wrong; Python's is not.
func (l *letter) checkFaults(t *testing.T, reader string, differences []difference) {
	t.Helper()
	for _, f := range l.Faults {
		if f.Reader != reader || slices.ContainsFunc(differences, func(d difference) bool { return d.field == f.Field }) {
			continue
		}
		tell := t.Errorf
		if reader == "python" {
			tell = t.Logf
		}
		tell("%s: %s reads %s well now: the fault can go (%s)", l.name, reader, f.Field, f.Reason)
	}
}

// cannotTell leaves out what /content does not say.
func cannotTell(want, got *reading) {
	got.From, got.To, got.Cc, got.ReplyTo = want.From, want.To, want.Cc, want.ReplyTo
	for i := range want.Attachments {
		want.Attachments[i].Disposition = ""
	}
}

// isKnown tells whether this reader is known to read just this there.
func (l *letter) isKnown(reader string, d difference) bool {
	got, _ := json.Marshal(d.got)
	for _, f := range l.Faults {
		var reads bytes.Buffer
		if f.Reader == reader && f.Field == d.field && f.Reason != "" && json.Compact(&reads, f.Reads) == nil && sameJSON(reads.Bytes(), got) {
			return true
		}
	}
	return false
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	return bytes.Equal(left, right)
}

func show(v any) string {
	text, _ := json.Marshal(v)
	if len(text) > 600 {
		return fmt.Sprintf("%s… (%d bytes)", text[:600], len(text))
	}
	return string(text)
}

// asASCII writes an address' domain in A-labels.
func asASCII(email string) string {
	at := strings.LastIndexByte(email, '@')
	domain, err := idna.Lookup.ToASCII(email[at+1:])
	if at < 0 || err != nil {
		return email
	}
	return email[:at+1] + domain
}

// checkLines wants CRLF line ends alone, no line over 998 octets (RFC 5322 §2.1.1), no
// encoded word over 75 (RFC 2047 §2), and more than ASCII only in addresses (RFC 6532).
func checkLines(t *testing.T, m stored) {
	t.Helper()
	if !bytes.HasSuffix(m.Raw, []byte("\r\n")) {
		t.Errorf("%s does not end with CRLF", m.Name)
	}
	header, field := true, ""
	for n, line := range strings.Split(string(m.Raw), "\r\n") {
		header = header && line != ""
		if name, _, ok := strings.Cut(line, ":"); ok && header && line[0] != ' ' {
			field = strings.ToLower(name)
		}
		switch {
		case len(line) > 998:
			t.Errorf("%s: line %d has %d octets", m.Name, n+1, len(line))
		case strings.ContainsAny(line, "\r\n\x00"):
			t.Errorf("%s: line %d has a CR, LF or NUL in it: %.100q", m.Name, n+1, line)
		case !isASCII(line) && !(header && slices.Contains([]string{"from", "to", "cc", "reply-to"}, field)):
			t.Errorf("%s: line %d has more than ASCII: %.100q", m.Name, n+1, line)
		case header && strings.Trim(line, " \t") == "":
			t.Errorf("%s: line %d of the header is blank", m.Name, n+1)
		}
		for word := range strings.FieldsSeq(line) {
			if header && strings.HasPrefix(word, "=?utf-8?") && len(word) > 75 {
				t.Errorf("%s: an encoded word of %d octets", m.Name, len(word))
			}
		}
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

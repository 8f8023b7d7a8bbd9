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
const readWithin = time.Minute

// stored is a letter after Postroad took it.
type stored struct {
	Name string `json:"name"`
	Raw  []byte `json:"raw"`
	id   string
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
		judge(t, "go-message", letters, readings)
	})
	t.Run("mailparser", func(t *testing.T) {
		script, err := os.ReadFile("mailparser_reader.cjs")
		if err != nil {
			t.Fatal(err)
		}
		judge(t, "mailparser", letters, readBatch(t, mails, installed(t), "node", "--eval", string(script)))
	})
	t.Run("python", func(t *testing.T) {
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("python3 is not installed: Python's email is not asked")
		}
		script, err := os.ReadFile("python_reader.py")
		if err != nil {
			t.Fatal(err)
		}
		judge(t, "python", letters, readBatch(t, mails, t.TempDir(), "python3", "-c", string(script)))
	})
	t.Run("postroad", func(t *testing.T) {
		var readings []reading
		for _, m := range mails {
			readings = append(readings, readOurselves(t, p, m))
		}
		judge(t, "postroad", letters, readings)
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
		raw := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/raw", harness.TestKey, nil)
		mails[i] = stored{l.name, raw.Body, id}
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
func judge(t *testing.T, reader string, letters []letter, readings []reading) {
	t.Helper()
	known := 0
	for i := range letters {
		l := &letters[i]
		want, err := l.wanted()
		if err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
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
		for _, f := range l.Faults {
			if f.Reader == reader && !slices.ContainsFunc(differences, func(d difference) bool { return d.field == f.Field }) {
				t.Logf("%s: %s reads %s well now: the fault can go (%s)", l.name, reader, f.Field, f.Reason)
			}
		}
	}
	t.Logf("%s read %d letters, with %d known faults of its own", reader, len(letters), known)
}

// cannotTell leaves out what /content does not say.
func cannotTell(want, got *reading) {
	got.From, got.To, got.Cc, got.ReplyTo = want.From, want.To, want.Cc, want.ReplyTo
	for i := range want.Attachments {
		want.Attachments[i].Disposition = ""
	}
	if len(got.Attachments) > 0 && len(want.Attachments) == 0 {
		return
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

// checkLines wants CRLF line ends alone, no line over 998 octets (RFC 5322 §2.1.1), and
// nothing but ASCII where no address needs more (RFC 6532).
func checkLines(t *testing.T, m stored) {
	t.Helper()
	raw := m.Raw
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Errorf("%s does not end with CRLF", m.Name)
	}
	for n, line := range bytes.Split(raw, []byte("\r\n")) {
		if len(line) > 998 {
			t.Errorf("%s: line %d has %d octets", m.Name, n+1, len(line))
		}
		if bytes.ContainsAny(line, "\r\n\x00") {
			t.Errorf("%s: line %d has a CR, LF or NUL in it: %.100q", m.Name, n+1, line)
		}
		if ascii := bytes.IndexFunc(line, func(r rune) bool { return r > 0x7e }) < 0; !ascii && !strings.Contains(string(m.Raw[:bytes.Index(m.Raw, []byte("\r\n\r\n"))]), string(line)) {
			t.Errorf("%s: line %d has more than ASCII: %.100q", m.Name, n+1, line)
		}
	}
}

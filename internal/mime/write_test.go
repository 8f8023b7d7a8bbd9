package mime_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

var when = time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)

func letter() *mime.Message {
	return &mime.Message{
		ID: "019da625-fa40-752e-89a7-834df2a74de4@acme.test", Date: when,
		From: mail.Address{Name: "Acme", Email: "hello@acme.test"}, To: []mail.Address{{Email: "ada@example.com"}},
		Subject: "Your code", Text: "Your code is 847291.\n",
	}
}

func write(t *testing.T, m *mime.Message) string {
	t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var streamed bytes.Buffer
	if n, err := m.WriteTo(&streamed); err != nil || n != int64(len(b)) || !bytes.Equal(streamed.Bytes(), b) {
		t.Fatalf("WriteTo wrote %d bytes (%v), Append %d", n, err, len(b))
	}
	assertLines(t, b)
	return string(b)
}

// assertLines checks what holds for every message: CRLF only, no line over 998.
func assertLines(t *testing.T, b []byte) {
	t.Helper()
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		t.Errorf("does not end with CRLF: %q", b[max(0, len(b)-40):])
	}
	for _, line := range bytes.Split(bytes.TrimSuffix(b, []byte("\r\n")), []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("bare CR, LF or NUL in %q", line)
		}
		if len(line) > 998 {
			t.Fatalf("a line of %d octets: %.60q…", len(line), line)
		}
	}
}

func TestASmallMessageHasExactlyTheseBytes(t *testing.T) {
	t.Parallel()
	want := strings.ReplaceAll(`Date: Sun, 19 Apr 2026 14:30:00 +0000
Message-ID: <019da625-fa40-752e-89a7-834df2a74de4@acme.test>
From: Acme <hello@acme.test>
To: ada@example.com
Subject: Your code
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

Your code is 847291.
`, "\n", "\r\n")
	if got := write(t, letter()); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestTheTreeHasOnlyTheLevelsItNeeds(t *testing.T) {
	t.Parallel()
	file := mime.Attachment{Filename: "a.txt", ContentType: "text/plain", Base64: []byte("aGVsbG8=")}
	logo := mime.Attachment{Filename: "logo.png", ContentType: "image/png", ContentID: "logo", Inline: true, Base64: []byte("aGVsbG8=")}
	for name, c := range map[string]struct {
		html, text  string
		attachments []mime.Attachment
		want        string
	}{
		"text":                {"", "x", nil, "text/plain"},
		"html":                {"<p>x", "", nil, "text/html"},
		"nothing":             {"", "", nil, "text/plain"},
		"both":                {"<p>x", "x", nil, "multipart/alternative(text/plain text/html)"},
		"text and file":       {"", "x", []mime.Attachment{file}, "multipart/mixed(text/plain text/plain)"},
		"html and logo":       {"<p>x", "", []mime.Attachment{logo}, "multipart/related(text/html image/png)"},
		"everything":          {"<p>x", "x", []mime.Attachment{file, logo}, "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) text/plain)"},
		"logo without a page": {"", "x", []mime.Attachment{logo}, "multipart/mixed(text/plain image/png)"},
	} {
		m := letter()
		m.HTML, m.Text, m.Attachments = c.html, c.text, c.attachments
		if got := tree(t, write(t, m)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestTextIsEncodedOnlyWhenItMustBe(t *testing.T) {
	t.Parallel()
	for text, encoded := range map[string]bool{
		"plain\nlines\n": false, "tabs\tand trailing \nblanks ": false, "Zoë": true, "a\x00b": true,
		strings.Repeat("x", 990): false, strings.Repeat("x", 991): true, "--=_forged": true, "": false,
		"bare\rreturns\r\nand\n\nfeeds": false, "=?utf-8?q?no=20word?=": false,
	} {
		m := letter()
		m.Text = text
		raw := write(t, m)
		if got := strings.Contains(raw, "quoted-printable"); got != encoded {
			t.Errorf("%.30q: quoted-printable is %v", text, got)
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
		parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
		if err != nil || strings.TrimSuffix(strings.ReplaceAll(parts.Text, "\r\n", "\n"), "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%.30q reads back as %.60q, %v", text, parts.Text, err)
		}
	}
}

func TestQuotedTextReadsBackAndKeepsItsLinesShort(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("é", 500), strings.Repeat("x", 5000) + "é", strings.Repeat("= ", 100) + "ü", "trailing \t\nü \n",
		strings.Repeat("a", 75) + "é\n" + strings.Repeat("b", 76) + "\n" + strings.Repeat("c", 77), "𝕏" + strings.Repeat("👩‍👩‍👧", 50),
	} {
		m := letter()
		m.HTML, m.Text = text, ""
		raw := write(t, m)
		_, body, _ := strings.Cut(raw, "\r\n\r\n")
		for line := range strings.SplitSeq(body, "\r\n") {
			if len(line) > 76 {
				t.Errorf("a quoted line of %d octets", len(line))
			}
			if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
				t.Errorf("a blank at the end of %q", line)
			}
		}
		parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
		if err != nil || strings.TrimRight(strings.ReplaceAll(parts.HTML, "\r\n", "\n"), "\n") != strings.TrimRight(text, "\n") {
			t.Errorf("%.30q reads back as %.60q, %v", text, parts.HTML, err)
		}
	}
}

func TestHeaderFieldsReadBackWhateverIsInThem(t *testing.T) {
	t.Parallel()
	values := []string{
		"Your code", "Ihr Bestätigungscode für Zoë", strings.Repeat("word ", 60) + "end", strings.Repeat("ü", 998), "确认您的电子邮件地址 " + strings.Repeat("邮件", 100),
		strings.Repeat("x", 998), "=?utf-8?q?sly?=", "a\tb  c   d", strings.Repeat("👩‍👩‍👧 ", 40) + "!", "?==?", "_ _", "\x1b[31m", strings.Repeat(strings.Repeat("y", 300)+" ", 5) + "z",
	}
	for _, value := range values {
		m := letter()
		m.Subject = value
		m.Headers = []mail.Header{{Name: "X-Value", Value: value}, {Name: "X-" + strings.Repeat("n", 74), Value: value}}
		m.From.Name = value
		m.To = []mail.Address{{Name: value, Email: "a@example.com"}, {Name: value, Email: strings.Repeat("l", 64) + "@example.com"}, {Email: "c@example.com"}}
		raw := write(t, m)
		parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
		if err != nil || parts.Subject != value || header(parts, "X-Value") != value || header(parts, "X-"+strings.Repeat("n", 74)) != value {
			t.Errorf("%.40q reads back as %.80q, %v", value, parts.Subject, err)
		}
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.Contains(line, "=?utf-8?") && value != "=?utf-8?q?sly?=" && len(line) > 78 {
				t.Errorf("an encoded line of %d octets: %s", len(line), line)
			}
			if strings.Trim(line, " \t") == "" {
				t.Errorf("%.40q: a line of blanks only", value)
			}
		}
		std, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		to, err := std.Header.AddressList("To")
		if err != nil || len(to) != 3 || !sameName(to[0].Name, value) || to[1].Address != strings.Repeat("l", 64)+"@example.com" {
			t.Errorf("%.40q: net/mail reads To as %v, %v", value, to, err)
		}
	}
}

func TestFieldsFoldOnlyWhereAllReadersUnfoldAlike(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Subject = strings.Repeat("word     ", 40) + strings.Repeat("single ", 30) + strings.Repeat("\ttab", 40)
	head, _, _ := strings.Cut(write(t, m), "\r\n\r\n")
	folds := 0
	for i := range len(head) - 3 {
		if head[i:i+3] == "\r\n " {
			folds++
			if strings.ContainsAny(head[i-1:i]+head[i+3:i+4], " \t") {
				t.Errorf("a fold within a run of blanks: %q", head[i-5:i+8])
			}
		}
	}
	if folds < 3 || strings.Contains(head, "\r\n\t") {
		t.Errorf("%d folds in\n%q", folds, head)
	}
}

func TestALongNameOfASCIIIsFoldedAndNotEncoded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("Augusta Ada ", 20) + "King", strings.Repeat("King, Ada ", 20) + "\"x\"", strings.Repeat("D", 200)} {
		m := letter()
		m.To = []mail.Address{{Name: name, Email: "ada@example.com"}, {Email: "bob@example.com"}}
		raw := write(t, m)
		if strings.Contains(raw, "=?utf-8?") {
			t.Errorf("%.30q is encoded:\n%s", name, raw)
		}
		for line := range strings.SplitSeq(raw, "\r\n") {
			if len(line) > 78 && !strings.Contains(line, strings.Repeat("D", 200)) {
				t.Errorf("a line of %d octets: %s", len(line), line)
			}
		}
		std, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if to, err := std.Header.AddressList("To"); err != nil || len(to) != 2 || to[0].Name != name {
			t.Errorf("%.30q reads back as %v, %v", name, to, err)
		}
	}
	quotes := letter()
	quotes.To = []mail.Address{{Name: strings.Repeat(`"`, 600), Email: "ada@example.com"}} // 1200 octets in quotes
	for line := range strings.SplitSeq(write(t, quotes), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

func TestATextFileIsAttachedEvenWhenItShouldBeInline(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"text/plain; charset=utf-8": "attachment", "TEXT/HTML": "attachment", "text/calendar": "inline", "image/png": "inline"} {
		m := letter()
		m.Attachments = []mime.Attachment{{Filename: "f", ContentType: kind, Inline: true, Base64: []byte("aGVsbG8=")}}
		if raw := write(t, m); !strings.Contains(raw, "Content-Disposition: "+want+";") {
			t.Errorf("%s is not written as %s:\n%s", kind, want, raw)
		}
	}
}

// sameName compares ignoring what net/mail does to blanks and controls in phrases.
func sameName(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

func header(p *mime.Parts, name string) string {
	for _, h := range p.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func TestNoFieldCanAddAnother(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"x\r\nBcc: y@x.example", "x\nBcc: y", "x\rBcc: y", "x\x00"} {
		for name, set := range map[string]func(m *mime.Message){
			"Subject":             func(m *mime.Message) { m.Subject = evil },
			"From":                func(m *mime.Message) { m.From.Name = evil },
			"To":                  func(m *mime.Message) { m.To[0].Email = evil + "@example.com" },
			"Cc":                  func(m *mime.Message) { m.Cc = []mail.Address{{Name: evil, Email: "a@b.example"}} },
			"Reply-To":            func(m *mime.Message) { m.ReplyTo = []mail.Address{{Name: evil, Email: "a@b.example"}} },
			"Message-ID":          func(m *mime.Message) { m.ID = evil },
			"X-A":                 func(m *mime.Message) { m.Headers = []mail.Header{{Name: "X-A", Value: evil}} },
			"Content-Disposition": func(m *mime.Message) { m.Attachments = []mime.Attachment{{Filename: evil}} },
			"Content-Type": func(m *mime.Message) {
				m.Attachments = []mime.Attachment{{Filename: "a", ContentType: "text/plain" + evil}}
			},
			"Content-ID":  func(m *mime.Message) { m.Attachments = []mime.Attachment{{Filename: "a", ContentID: evil}} },
			"header name": func(m *mime.Message) { m.Headers = []mail.Header{{Name: "X-A: x\r\nBcc", Value: "v"}} },
		} {
			m := letter()
			set(m)
			var injection *mime.InjectionError
			if b, err := m.Append(nil); !errors.As(err, &injection) {
				t.Errorf("%s %q: got %v and %q", name, evil, err, b)
			}
		}
	}
}

func TestFileNamesTravelWhateverTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"invoice.pdf", `a "quoted" \ name.txt`, "Rechnung Übersicht.pdf", strings.Repeat("long name ", 20) + ".pdf", strings.Repeat("文件", 60) + ".pdf", "a;b=c.txt", "100%.txt", "=?utf-8?q?word=2Etxt?=", " blanks ", ""} {
		m := letter()
		m.Attachments = []mime.Attachment{{Filename: name, ContentType: "application/pdf", Base64: []byte("aGVsbG8=")}}
		parts, err := mime.Parse(strings.NewReader(write(t, m)), mime.Limits{})
		if err != nil || len(parts.Attachments) != 1 || parts.Attachments[0].Filename != name {
			t.Errorf("%.40q reads back as %+v, %v", name, parts.Attachments, err)
		}
	}
}

func TestBase64IsRewrappedAndDigested(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 3, 56, 57, 58, 9215, 9216, 9217, 100_000} {
		data := bytes.Repeat([]byte("postroad!"), size/9+1)[:size]
		text := base64.StdEncoding.EncodeToString(data)
		wrapped := strings.Join(splitEvery(text, 61), "\r\n") + "\n"
		for _, in := range []mime.Attachment{{Base64: []byte(text)}, {Base64: []byte(wrapped)}, {Raw: mail.Bytes(data)}} {
			in.Filename = "f.bin"
			m := letter()
			m.Attachments = []mime.Attachment{in}
			raw := write(t, m)
			a := m.Attachments[0].Info()
			if a.Size != int64(size) || a.SHA256 != sha256.Sum256(data) || a.ContentType != "application/octet-stream" {
				t.Errorf("%d bytes: got %+v", size, a)
			}
			var back bytes.Buffer
			if err := mime.CopyAttachment(&back, strings.NewReader(raw), 0, mime.Limits{}); err != nil || !bytes.Equal(back.Bytes(), data) {
				t.Errorf("%d bytes read back as %d, %v", size, back.Len(), err)
			}
			if size > 100 && !strings.Contains(raw, "\r\n"+text[:76]+"\r\n") {
				t.Errorf("%d bytes: lines are not 76 long", size)
			}
			if n := m.EstimateSize(); n < int64(len(raw)) || n > int64(len(raw))+int64(len(raw))/8+2048 {
				t.Errorf("%d bytes: estimated %d, got %d", size, n, len(raw))
			}
		}
	}
}

func splitEvery(s string, n int) (out []string) {
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}

func TestBrokenBase64IsRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("aGVs", 5000)
	for _, text := range []string{"a", "aGVsbG8", "aGVsbG9=", "aGVs=bG8", "aGVsbG8=aGVs", "aG=s", "====", "aGVs!", "data:text/plain;base64,aGVs", "aGVs_-==", "aGVs\x00", long + "=", "aGVsbG8=" + long, long + "a"} {
		for _, variant := range []string{text, text + "\n"} {
			m := letter()
			m.Attachments = []mime.Attachment{{Filename: "f", Base64: []byte(variant)}}
			var out bytes.Buffer
			if _, err := m.WriteTo(&out); !errors.Is(err, mime.ErrBase64) || out.Len() > 0 {
				t.Errorf("%.30q: got %v after %d bytes", variant, err, out.Len())
			}
		}
	}
}

func TestCompositeAndNonsenseTypesAreNotWritten(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "application/octet-stream", "image/PNG": "image/png", "text/csv; charset=utf-8; name=x": "text/csv; charset=utf-8",
		"message/rfc822": "application/octet-stream", "multipart/mixed; boundary=x": "application/octet-stream",
	} {
		a := mime.Attachment{Filename: "f", ContentType: in}
		if err := a.Check(); err != nil || a.Info().ContentType != want {
			t.Errorf("%q: got %q, %v", in, a.Info().ContentType, err)
		}
	}
	for _, in := range []string{"pdf", "text/", "/x", "te xt/plain", "text/plain; charset", "text/plän", "text/plain; a=\"\x01\""} {
		a := mime.Attachment{Filename: "f", ContentType: in}
		if err := a.Check(); !errors.Is(err, mime.ErrContentType) {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func TestWritingFiftyMegabytesHoldsLittle(t *testing.T) {
	text := bytes.Repeat([]byte("QUJD"), 50<<20/4)
	m := letter()
	m.Attachments = []mime.Attachment{{Filename: "big.bin", Base64: text}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := m.WriteTo(io.Discard)
	runtime.ReadMemStats(&after)
	if err != nil || n < int64(len(text)) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<10 {
		t.Errorf("writing %d bytes allocated %d", n, used)
	}
}

func TestAWriteErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	m := letter()
	m.Text = strings.Repeat("line\n", 20000)
	if _, err := m.WriteTo(&failing{after: 40 << 10}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	m.Text, m.HTML = "", strings.Repeat("é\n", 20000)
	if _, err := m.WriteTo(&failing{after: 40 << 10}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("quoted: got %v", err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func FuzzWrite(f *testing.F) {
	f.Add("Your code", "Ada", "ada@example.com", "X-Ref", "42", "<p>hi</p>", "hi", "invoice.pdf", "aGVsbG8=")
	f.Add("Zoë\r\nBcc: x@y.example", "\"", "a@b.example", "Bcc", "x", "\r\r\n\x00", strings.Repeat("x", 1200), "ü\".txt", "a\nGVsbG8=")
	f.Add(strings.Repeat("邮", 90), "=?utf-8?q??=", "\"a b\"@c.example", "X:", "\t \t", "--=_x\r\n--=_x--", "=\n=20 \n", "", "====")
	f.Fuzz(func(t *testing.T, subject, name, email, field, value, html, text, file, data string) {
		to := mail.Address{Email: "ada@example.com"}
		if a, err := mail.ParseAddress(email); err == nil {
			to = a
		}
		to.Name = name
		m := letter()
		m.Subject, m.To, m.HTML, m.Text = subject, []mail.Address{to}, html, text
		m.Headers = []mail.Header{{Name: field, Value: value}}
		m.Attachments = []mime.Attachment{{Filename: file, Base64: []byte(data), ContentID: "logo", Inline: len(data)%2 == 0}}
		b, err := m.Append(nil)
		if err != nil {
			return
		}
		assertLines(t, b)
		std, err := netmail.ReadMessage(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("net/mail: %v\n%s", err, b)
		}
		want := map[string]bool{"Date": true, "Message-Id": true, "From": true, "To": true, "Subject": true, "Mime-Version": true, "Content-Type": true,
			"Content-Transfer-Encoding": true, "Content-Disposition": true, "Content-Id": true}
		extra := 0
		for key, list := range std.Header {
			if !want[key] {
				extra += len(list)
			}
		}
		if extra > 1 {
			t.Fatalf("injected fields: %v", std.Header)
		}
		parts, err := mime.Parse(bytes.NewReader(b), mime.Limits{})
		if err != nil || parts.Problem != "" {
			t.Fatalf("%v %v\n%s", err, parts, b)
		}
		if len(parts.Attachments) != 1 {
			t.Fatalf("%d attachments\n%s", len(parts.Attachments), b)
		}
	})
}

func BenchmarkAppendTwoKilobytesOfHTMLAndText(b *testing.B) {
	m := letter()
	m.HTML = strings.Repeat("<p>Hello Ada, your code is <b>847291</b>. It is valid for five minutes.</p>\n", 19)
	m.Text = strings.Repeat("Hello Ada, your code is 847291. It is valid for five minutes.\n", 9)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Append(make([]byte, 0, m.EstimateSize())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteToTwentyMegabytesOfAttachment(b *testing.B) {
	text := bytes.Repeat([]byte("QUJD"), 20<<20/4)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m := letter()
		m.Attachments = []mime.Attachment{{Filename: "big.bin", Base64: text}}
		if _, err := m.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleMessage() {
	m := mime.Message{
		ID: "1@acme.test", Date: when, From: mail.Address{Name: "Zoë", Email: "zoe@acme.test"},
		To: []mail.Address{{Name: "Lovelace, Ada", Email: "ada@example.com"}}, Subject: "Grüße", Text: "Hi.",
	}
	b, _ := m.Append(nil)
	fmt.Println(strings.ReplaceAll(string(b), "\r\n", "\n"))
	// Output:
	// Date: Sun, 19 Apr 2026 14:30:00 +0000
	// Message-ID: <1@acme.test>
	// From: =?utf-8?b?Wm/Dqw==?= <zoe@acme.test>
	// To: "Lovelace, Ada" <ada@example.com>
	// Subject: =?utf-8?b?R3LDvMOfZQ==?=
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: 7bit
	//
	// Hi.
}

func TestWhatMustStayWholeIsNeverSplit(t *testing.T) {
	t.Parallel()
	piece := "qqqqqqqqqqqqqabcdefghijklmnopqrs" // 32
	for before := range 160 {
		html := "é" + strings.Repeat("x", before) + piece + piece + " and more behind it\r\n" + piece
		m := &mime.Message{ID: "1@acme.test", From: mail.Address{Email: "a@acme.test"}, HTML: html, Whole: piece[:13], WholeSize: len(piece)}
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(raw), piece); n != 3 {
			t.Fatalf("%d before: %d of 3 in one piece: %q", before, n, raw)
		}
		for line := range strings.SplitSeq(string(raw), "\r\n") {
			if len(line) > 76 {
				t.Fatalf("a line of %d: %q", len(line), line)
			}
		}
		parts, err := mime.Parse(bytes.NewReader(raw), mime.Limits{})
		if err != nil || strings.TrimRight(parts.HTML, "\r\n") != html {
			t.Fatalf("%d before: read back %q", before, parts.HTML)
		}
	}
}

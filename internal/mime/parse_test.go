package mime_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// tree writes the structure of a message: "multipart/alternative(text/plain text/html)".
func tree(t *testing.T, raw string) string {
	t.Helper()
	e, err := message.Read(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return subtree(t, e)
}

func subtree(t *testing.T, e *message.Entity) string {
	kind, _, _ := e.Header.ContentType()
	reader := e.MultipartReader()
	if reader == nil {
		_, _ = io.Copy(io.Discard, e.Body)
		return kind
	}
	var parts []string
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return kind + "(" + strings.Join(parts, " ") + ")"
		}
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, subtree(t, part))
	}
}

func TestAForeignMessageIsTakenApart(t *testing.T) {
	t.Parallel()
	raw := crlf(`Subject: =?iso-8859-1?q?Gr=FC=DFe?=
 und mehr
From: Zo=?utf-8?q?=C3=AB?= <z@x.example>
Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe
--in ner
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+R3LDvMOfZTwvcD4=
--in ner--
--outer
Content-Type: image/png; name="logo.png"
Content-ID: <logo@x>
Content-Disposition: inline
Content-Transfer-Encoding: base64

aGVs
bG8=
--outer
Content-Type: text/plain
Content-Disposition: attachment; filename*=utf-8''%C3%BC.txt

file
--outer--
epilogue
`)
	p, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
	if err != nil || p.Problem != "" || p.Truncated {
		t.Fatal(p, err)
	}
	if p.Subject != "Grüße und mehr" || strings.TrimSpace(p.Text) != "Grüße" || p.HTML != "<p>Grüße</p>" {
		t.Errorf("got %q %q %q", p.Subject, p.Text, p.HTML)
	}
	if len(p.Attachments) != 2 || p.Attachments[0].Filename != "logo.png" || p.Attachments[0].ContentID != "logo@x" ||
		!p.Attachments[0].Inline || p.Attachments[0].Size != 5 || p.Attachments[1].Filename != "ü.txt" || p.Attachments[1].Inline {
		t.Errorf("attachments: %+v", p.Attachments)
	}
	var second bytes.Buffer
	if err := mime.CopyAttachment(&second, strings.NewReader(raw), 1, mime.Limits{}); err != nil || strings.TrimSpace(second.String()) != "file" {
		t.Errorf("copied %q, %v", second.String(), err)
	}
	if err := mime.CopyAttachment(&second, strings.NewReader(raw), 2, mime.Limits{}); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("third attachment: %v", err)
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestABrokenMessageGivesWhatCanBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, subject, text string }{
		"a line that is no field":    {"Subject: a\nthis is no field\nX: y\n\nbody", "a", "body"},
		"no blank line":              {"Subject: a\nX: y", "a", ""},
		"no header":                  {"\nbody", "", "body"},
		"open multipart":             {"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nbody", "a", "body"},
		"multipart without boundary": {"Subject: a\nContent-Type: multipart/mixed\n\nbody", "a", "body"},
		"unknown charset":            {"Subject: a\nContent-Type: text/plain; charset=klingon\n\nbody", "a", "body"},
		"unknown encoding":           {"Subject: a\nContent-Transfer-Encoding: rot13\n\nbody", "a", "body"},
		"bad content type":           {"Subject: a\nContent-Type: ;;;\n\nbody", "a", "body"},
		"bad base64":                 {"Subject: a\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nYm9keQ==!!", "a", "body"},
		"bad encoded word":           {"Subject: =?utf-8?q?=ZZ?=\n\nbody", "=?utf-8?q?=ZZ?=", "body"},
	} {
		for _, raw := range []string{c.raw, crlf(c.raw)} {
			p, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
			if err != nil || p.Subject != c.subject || strings.TrimSpace(p.Text) != c.text {
				t.Errorf("%s: got %+v, %v", name, p, err)
			}
		}
	}
	if p, err := mime.Parse(strings.NewReader("Subject: a\nno field here\n\nb"), mime.Limits{}); err != nil || p.Problem == "" {
		t.Errorf("the problem is not told: %+v, %v", p, err)
	}
}

func TestReadingStaysWithinItsLimits(t *testing.T) {
	t.Parallel()
	deep := ""
	for range 100 {
		deep += "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	}
	wide := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: text/plain\n\nx\n", 5000) + "--b--\n"
	for name, raw := range map[string]string{
		"deep": deep, "wide": wide, "long text": "Subject: a\n\n" + strings.Repeat("x", 2000), "long header": "X: " + strings.Repeat("y", 3000) + "\n\nz",
		"many fields": strings.Repeat("X: y\n", 1000) + "\nz",
	} {
		p, err := mime.Parse(strings.NewReader(crlf(raw)), mime.Limits{Depth: 10, Parts: 100, Text: 1000, Header: 2000})
		if err != nil || !p.Truncated || len(p.Text) > 1000 {
			t.Errorf("%s: got %d bytes of text, truncated %v, %v", name, len(p.Text), p.Truncated, err)
		}
	}
}

func TestAReadErrorIsNotTakenForABrokenMessage(t *testing.T) {
	t.Parallel()
	r := io.MultiReader(strings.NewReader("Subject: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext"), brokenReader{})
	if p, err := mime.Parse(r, mime.Limits{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %+v, %v", p, err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, os.ErrClosed }

func TestCodesAndLinksAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		html, text   string
		codes, links []string
	}{
		{"", "Your code is 847291. It is valid for 5 minutes.", []string{"847291"}, nil},
		{"<p>Your code: <b>1234</b></p><p>© 2026 Acme</p>", "", []string{"1234", "2026"}, nil},
		{"<p>&copy; 2026</p><td>8472</td><td>91</td>", "", []string{"2026", "8472"}, nil},
		{"", "Order 123456789 of 2026-04-19, total 1999.50, tel +4930123456, ref AB1234, v1.2345", nil, nil},
		{`<a href="https://acme.test/v?t=123456&amp;x=1">Confirm</a> <a href="mailto:x@y.example">m</a> <a href="HTTPS://b.example/">b</a>`, "See https://acme.test/v?t=123456&x=1, or (http://c.example/a_(b)).",
			nil, []string{"https://acme.test/v?t=123456&x=1", "HTTPS://b.example/", "http://c.example/a_(b))"}},
		{"<style>.a{width:1234px}</style><script>var a = 5678</script><title>9999</title><p>PIN 4321", "", []string{"4321"}, nil},
		{"", "http https:// httpx://a.example", nil, nil},
	} {
		codes, links := mime.Extract(c.html, c.text)
		if !reflect.DeepEqual(codes, c.codes) || !reflect.DeepEqual(links, c.links) {
			t.Errorf("%q %q: got %q %q", c.html, c.text, codes, links)
		}
	}
}

func TestAFileKeepsItsBytesWhateverItsCharset(t *testing.T) {
	t.Parallel()
	const file = "Gr\xfc\xdfe\r\nund\n"
	part := "Content-Type: text/csv; charset=iso-8859-1\r\nContent-Disposition: attachment; filename=a.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte(file)) + "\r\n"
	for name, raw := range map[string]string{
		"a part":      "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + part + "--x--\r\n",
		"the message": part,
	} {
		parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
		if err != nil || len(parts.Attachments) != 1 {
			t.Fatalf("%s: %+v, %v", name, parts, err)
		}
		a := parts.Attachments[0]
		if a.ContentType != "text/csv" || a.Size != int64(len(file)) || a.SHA256 != sha256.Sum256([]byte(file)) {
			t.Errorf("%s: %+v", name, a)
		}
		var back bytes.Buffer
		if err := mime.CopyAttachment(&back, strings.NewReader(raw), 0, mime.Limits{}); err != nil || back.String() != file {
			t.Errorf("%s: %q, %v", name, back.String(), err)
		}
	}
}

func TestEncodedWordsInAFileNameAreReadWhereOldSendersWriteThem(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		`filename="=?utf-8?q?Gr=C3=BC=C3=9Fe.txt?="`:   "Grüße.txt",
		"filename*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D":   "=?utf-8?q?x?=",
		"filename*0*=utf-8''Gr%C3%BC; filename*1=ssen": "Grüssen",
	} {
		raw := "Content-Type: application/pdf\r\nContent-Disposition: attachment; " + written + "\r\n\r\nx\r\n"
		parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
		if err != nil || len(parts.Attachments) != 1 || parts.Attachments[0].Filename != want {
			t.Errorf("%s: %+v, %v", written, parts, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Subject: a\r\n\r\nbody", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n",
		"Content-Type: text/plain; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\n\r\n====", "Subject: =?utf-8?b?/w==?=\r\nX\r\n\ty\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n--", "Content-Disposition: attachment; filename*0*=utf-8''%ff; filename*1=x\r\n\r\n123456 http://a.b/c",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := mime.Parse(bytes.NewReader(raw), mime.Limits{Depth: 5, Parts: 50, Text: 10000, Header: 10000})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{p.Subject, p.HTML, p.Text, p.Problem} {
			if !utf8.ValidString(s) {
				t.Fatalf("not UTF-8: %q", s)
			}
		}
		if len(p.Text) > 10000 || len(p.HTML) > 10000 {
			t.Fatal("a text beyond its limit")
		}
		codes, links := mime.Extract(p.HTML, p.Text)
		for _, c := range codes {
			if len(c) < 4 || len(c) > 8 {
				t.Fatalf("code %q", c)
			}
		}
		for _, l := range links {
			if !strings.HasPrefix(strings.ToLower(l), "http") {
				t.Fatalf("link %q", l)
			}
		}
	})
}

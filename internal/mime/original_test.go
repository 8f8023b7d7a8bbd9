package mime

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postroad/postroad/internal/mail"
)

func noField(string) bool { return false }

// slow is content that comes byte by byte.
type slow string

func (s slow) Size() int64 { return int64(len(s)) }
func (s slow) Open() (io.ReadCloser, error) {
	return io.NopCloser(iotest.OneByteReader(strings.NewReader(string(s)))), nil
}

func TestAnOriginalGoesOutAsItCame(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"A: b\r\n\r\nbody\r\n", "A: b\r\n\r\n", "A :b\r\n c\r\n\td\r\nE:\r\n\r\n\r\n\r\n.\r\nno end", "A: b\r\n \r\n\r\nx",
		"A: b\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 2000),
	} {
		for _, c := range []mail.Content{mail.Bytes(s), slow(s)} {
			o, err := ReadOriginal(c, noField)
			if err != nil {
				t.Fatalf("%.40q: %v", s, err)
			}
			var b bytes.Buffer
			n, err := o.WriteTo(&b)
			if err != nil || b.String() != s || n != int64(len(s)) || o.Changed() || o.Size != n || o.Sum != sha256.Sum256([]byte(s)) {
				t.Errorf("%.40q became %.40q: %v, %d bytes, changed %v", s, b.String(), err, n, o.Changed())
			}
		}
	}
}

func TestFieldsAreTakenOutAndPutInFront(t *testing.T) {
	t.Parallel()
	const s = "Bcc: a\r\n b\r\nKeep: =?utf-8?q?=C3=BC?=\r\n\tand  more \r\nbCC: c\r\nKey: 1\r\n\r\nbody"
	o, err := ReadOriginal(mail.Bytes(s), func(name string) bool { return name == "Key" })
	if err != nil {
		t.Fatal(err)
	}
	if o.Sum != sha256.Sum256([]byte(strings.Replace(s, "Key: 1\r\n", "", 1))) {
		t.Error("the key counts in the sum")
	}
	if got := o.Values("keep"); len(got) != 1 || got[0] != "=?utf-8?q?=C3=BC?=\tand  more" || DecodeWords(got[0]) != "ü\tand  more" {
		t.Errorf("%q", got)
	}
	o.Drop(func(name string) bool { return strings.EqualFold(name, "Bcc") })
	o.Put("Message-ID", "<a@b>")
	o.Put("Date", "now")
	var b bytes.Buffer
	if _, err := o.WriteTo(&b); err != nil || b.String() != "Date: now\r\nMessage-ID: <a@b>\r\nKeep: =?utf-8?q?=C3=BC?=\r\n\tand  more \r\nKey: 1\r\n\r\nbody" {
		t.Errorf("%q, %v", b.String(), err)
	}
	ends, err := ReadOriginal(mail.Bytes("A: b\r\nC: d"), noField)
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if _, err := ends.WriteTo(&b); err != nil || b.String() != "A: b\r\nC: d\r\n\r\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestWhatIsNoMessageOfLinesIsToldWithItsLine(t *testing.T) {
	t.Parallel()
	for s, line := range map[string]int{
		"A: b\n\r\n": 1, "A: b\r\nC\r\n\r\n": 2, "A: b\r\n\r\nx\n": 3, "A: b\r\n\r\nx\r": 3, "A: b\r\n\r\n\r\r\n": 3, "A: b\r\n\r\n\n": 3, "A: b\rc\r\n\r\n": 1,
		"A: b\r\n\r\nx\r\n\x00": 4, "A: \x00\r\n\r\n": 1, " a\r\n\r\n": 1, ": a\r\n": 1, "A: b\r\nC: d\r": 2,
		"A: b\r\n\r\n" + strings.Repeat("x\r\n", 20_000) + "x\ny": 20_003,
	} {
		for _, c := range []mail.Content{mail.Bytes(s), slow(s)} {
			_, err := ReadOriginal(c, noField)
			var bad *LineError
			if !errors.As(err, &bad) || bad.Line != line || bad.What == "" {
				t.Errorf("%.40q: %v, want line %d", s, err, line)
			}
		}
	}
	for _, s := range []string{"A: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", strings.Repeat("A:\r\n", 2001)} {
		if _, err := ReadOriginal(mail.Bytes(s), noField); !errors.Is(err, ErrHeaderTooLarge) {
			t.Errorf("%d bytes: %v", len(s), err)
		}
	}
	long, err := ReadOriginal(slow("A: b\r\n\r\n"+strings.Repeat("x", 998)+"\r\n"+strings.Repeat("x", 999)+"\r\n"), noField)
	if err != nil || long.LongLine != 4 {
		t.Errorf("%+v, %v", long, err)
	}
}

func TestAddressListsAreReadInAllTheirForms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a@b.io":                            "|a@b.io",
		"A <a@b.io>, \"B, C\" <b@b.io>":     "A|a@b.io;B, C|b@b.io",
		"team: a@b.io, <c@d.io>;, e@f.io":   "|a@b.io;|c@d.io;|e@f.io",
		"nobody:;":                          "",
		"a@b.io (a comment)":                "a comment|a@b.io",
		"=?utf-8?b?w5xuw68=?= <a@b.io>":     "Ünï|a@b.io",
		"=?iso-8859-1?q?=DCn=EF?= <a@b.io>": "Ünï|a@b.io",
		"\"a b\"@c.io":                      "|\"a b\"@c.io",
		"üser@bücher.example":               "|üser@bücher.example",
		"x":                                 "error",
		"a@b.io c@d.io":                     "error",
	} {
		list, err := ReadAddresses(s)
		got := make([]string, len(list))
		for i, a := range list {
			got[i] = a.Name + "|" + a.Email
		}
		if text := strings.Join(got, ";"); err == nil && text != want || err != nil && want != "error" {
			t.Errorf("%s: %q, %v, want %q", s, text, err, want)
		}
	}
}

func TestAFileKeptApartIsTheBytesOfItsBase64(t *testing.T) {
	t.Parallel()
	plain := bytes.Repeat([]byte("hello, world "), 5000)
	b64 := encoding.EncodeToString(plain)
	for _, a := range []Attachment{{Filename: "a", Base64: []byte(b64)}, {Filename: "a", Base64: []byte(b64[:100] + "\r\n " + b64[100:])}, {Filename: "a", Raw: mail.Bytes(plain)}} {
		var out bytes.Buffer
		if err := a.Decode(&out); err != nil || !bytes.Equal(out.Bytes(), plain) || a.Size != int64(len(plain)) || a.SHA256 != sha256.Sum256(plain) {
			t.Errorf("%d bytes, %v", out.Len(), err)
		}
	}
	bad := Attachment{Filename: "a", Base64: []byte("%%%")}
	if err := bad.Decode(io.Discard); !errors.Is(err, ErrBase64) {
		t.Errorf("got %v", err)
	}
}

// FuzzOriginal: what is read goes out as it came, however it arrives.
func FuzzOriginal(f *testing.F) {
	for _, s := range []string{
		"Content-Type: multipart/mixed;\r\n boundary=\"b\"\r\n\r\n--b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n",
		"content-type : text/html; charset=latin1 \r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<b>=E4=\r\n</b>=x",
		"Content-Type: text/plain\r\nContent-Type: application/pdf; name=a\r\nContent-Transfer-Encoding: base64\r\nContent-Id: <a@b>\r\n\r\neHg=\r\n!",
		"Content-Type: application/pdf\r\nContent-Disposition: inline; filename*=utf-8''%C3%A4\r\nSubject: x",
		"Content-Type:\r\n text/x;;=\r\n\r\nx", "Content-Disposition: a\r\n\r\n", "Content-Transfer-Encoding: what\r\n\r\nx", "Content-: b\r\n\r\n",
		"A: b\r\n c\r\n\r\nx\r\n", "A: b\r\n\r\nx\ny", "\r\n", "A: b\r", "A:\r\n\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ReadOriginal(mail.Bytes(s), noField)
		again, errAgain := ReadOriginal(slow(s), noField)
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("%q: %v in one piece, %v in many", s, err, errAgain)
		}
		if err != nil {
			return
		}
		var b bytes.Buffer
		if _, err := o.WriteTo(&b); err != nil || b.String() != s && b.String() != s+"\r\n" && b.String() != s+"\r\n\r\n" {
			t.Fatalf("%q became %q, %v", s, b.String(), err)
		}
		if o.Sum != again.Sum || o.Size != int64(len(s)) {
			t.Fatalf("%q: %d bytes", s, o.Size)
		}
		if strings.Contains(strings.ReplaceAll(s, "\r\n", ""), "\r") || strings.Contains(strings.ReplaceAll(s, "\r\n", ""), "\n") {
			t.Fatalf("%q was taken", s)
		}
		parts, err := Parse(strings.NewReader(s), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		parts.Subject, parts.Headers = "", nil
		for _, read := range []*Original{o, again} {
			if got, err := read.Parse(Limits{}); err != nil || !reflect.DeepEqual(got, parts) {
				t.Fatalf("%q: with its header read already it is %+v, %v; else %+v", s, got, err, parts)
			}
		}
		for i := range o.Fields {
			_, _ = ReadAddresses(o.Fields[i].Value)
			DecodeWords(o.Fields[i].Value)
		}
	})
}

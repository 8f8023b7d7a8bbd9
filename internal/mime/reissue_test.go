package mime_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

const issued = `Date: Sun, 19 Apr 2026 14:30:00 +0000
Message-ID:
 <old@acme.test>
From: hello@acme.test
TO: ada@example.com,
 bob@example.com
Cc: carl@example.com
Subject: Date: x
 Message-ID: y
X-Ref: 42

Date: the body stays
To: as it is
`

func TestReissuingChangesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	e := mime.Reissue{ID: "new@acme.test", Date: when.Add(time.Hour)}
	var out bytes.Buffer
	if err := e.Copy(&out, strings.NewReader(crlf(issued))); err != nil {
		t.Fatal(err)
	}
	head := "Date: Sun, 19 Apr 2026 15:30:00 +0000\r\nMessage-ID: <new@acme.test>\r\n"
	_, rest, _ := strings.Cut(issued, "<old@acme.test>\n")
	if want := head + crlf(rest); out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	e.To = []mail.Address{{Name: "Zoë", Email: "zoe@example.com"}}
	out.Reset()
	if err := e.Copy(&out, strings.NewReader(crlf(issued))); err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(issued, "Cc: carl@example.com\n")
	if want := head + "To: =?utf-8?b?Wm/Dqw==?= <zoe@example.com>\r\nFrom: hello@acme.test\r\n" + crlf(rest); out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestReissuingFailsWhereItCannotBeRight(t *testing.T) {
	t.Parallel()
	good := mime.Reissue{ID: "new@acme.test", Date: when}
	var injection *mime.InjectionError
	for _, bad := range []mime.Reissue{{ID: "a\r\nBcc: x"}, {ID: "a@b", To: []mail.Address{{Name: "\n", Email: "a@b.example"}}}} {
		if err := bad.Copy(io.Discard, strings.NewReader("A: b\r\n\r\n")); !errors.As(err, &injection) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := good.Copy(io.Discard, strings.NewReader(strings.Repeat("X: y\r\n", 300000))); !errors.Is(err, mime.ErrHeaderTooLarge) {
		t.Errorf("a large header: %v", err)
	}
	if err := good.Copy(io.Discard, io.MultiReader(strings.NewReader("A: b\r\n"), brokenReader{})); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a read error in the header: %v", err)
	}
	if err := good.Copy(io.Discard, io.MultiReader(strings.NewReader("A: b\r\n\r\nbody"), brokenReader{})); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a read error in the body: %v", err)
	}
	if err := good.Copy(&failing{}, strings.NewReader("A: b\r\n\r\nbody")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a write error: %v", err)
	}
}

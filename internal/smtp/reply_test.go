package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

// readOne reads the first reply of a text.
func readOne(r io.Reader) (mail.Reply, error) {
	in := newReplyReader(r)
	var got reply
	err := in.next(&got)
	return got.mail(), err
}

func TestRepliesAreReadAsSitesWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]mail.Reply{
		"250 Ok\r\n":                               {Code: 250, Text: "Ok"},
		"250 2.1.0 Ok\r\n":                         {Code: 250, Enhanced: "2.1.0", Text: "Ok"},
		"250\r\n":                                  {Code: 250},
		"250 \n":                                   {Code: 250},
		"250-a\r\n250-b\r\n250 c\r\n":              {Code: 250, Text: "a\nb\nc"},
		"550-5.1.1 a\r\n550 5.1.1 b\r\n":           {Code: 550, Enhanced: "5.1.1", Text: "a\nb"},
		"550-5.1.1 a\r\n550 5.7.1 b\r\n":           {Code: 550, Enhanced: "5.1.1", Text: "a\n5.7.1 b"},
		"550-first\r\n550 5.7.1 b\r\n":             {Code: 550, Text: "first\n5.7.1 b"},
		"550-5.1.1\r\n550 5.1.1\r\n":               {Code: 550, Enhanced: "5.1.1", Text: "\n"},
		"250-fine\r\n550 no\r\n":                   {Code: 550, Text: "fine\nno"}, // codes differ: the last counts
		"451 5.7.1 class of another code\r\n":      {Code: 451, Text: "5.7.1 class of another code"},
		"550 5.1.1234 x\r\n":                       {Code: 550, Text: "5.1.1234 x"},
		"550 5.1. x\r\n":                           {Code: 550, Text: "5.1. x"},
		"550 5.1.1x\r\n":                           {Code: 550, Text: "5.1.1x"},
		"421 4.7.28  two spaces\r\n":               {Code: 421, Enhanced: "4.7.28", Text: "two spaces"},
		"250 a\tb\x00c\x1b[0m\r\n":                 {Code: 250, Text: "a b c [0m"},
		"250 gr\xc3\xbc\xc3\x9fe \xff\r\n":         {Code: 250, Text: "grüße \uFFFD"},
		"250 turned \xe2\x80\xae round\r\n":        {Code: 250, Text: "turned \uFFFD round"},
		"250 " + strings.Repeat("x", 700) + "\r\n": {Code: 250, Text: strings.Repeat("x", 700)},
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "by byte": iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := readOne(r); err != nil || got != want {
				t.Errorf("%q %s: got %+v, %v; want %+v", text, name, got, err, want)
			}
		}
	}
}

func TestWhatIsNoReplyIsTheSitesFault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"\r\n", "ok\r\n", "25\r\n", "2500 x\r\n", "999 x\r\n", "150 x\r\n", "250x\r\n", "SSH-2.0\r\n", "250-a\r\nxyz\r\n",
		strings.Repeat("250-more\r\n", 10000), "250 " + strings.Repeat("x", 1<<20) + "\r\n",
	} {
		if got, err := readOne(strings.NewReader(text)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%.30q: got %+v, %v; want ErrProtocol", text, got, err)
		}
	}
	for _, text := range []string{"", "250 Ok", "250-a\r\n"} {
		if _, err := readOne(strings.NewReader(text)); !errors.Is(err, io.EOF) {
			t.Errorf("%q: got %v, want EOF", text, err)
		}
	}
}

func TestAReplyOfAMegabyteIsReadNoFurtherThanItsBound(t *testing.T) {
	t.Parallel()
	r := &counting{r: io.MultiReader(strings.NewReader("250 "), endless{})}
	in := newReplyReader(r)
	var got reply
	if err := in.next(&got); !errors.Is(err, ErrProtocol) {
		t.Fatal(err)
	}
	if r.n > maxReply+8192 || cap(got.kept) > 2*maxKept || len(in.buf) > 4096 {
		t.Errorf("read %d bytes, kept %d, buffer %d", r.n, cap(got.kept), len(in.buf))
	}
}

func TestALongLineIsKeptByItsHeadAndTheNextReplyIsFound(t *testing.T) {
	t.Parallel()
	in := newReplyReader(strings.NewReader("250-" + strings.Repeat("x", 9000) + "\r\n250 end\r\n354 next\r\n"))
	var got reply
	if err := in.next(&got); err != nil || got.code != 250 || !strings.HasSuffix(got.mail().Text, "x\nend") {
		t.Errorf("%d, %v", got.code, err)
	}
	if err := in.next(&got); err != nil || got.code != 354 || got.mail().Text != "next" {
		t.Errorf("%d, %v", got.code, err)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 2.1.0 Ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "421\n", "250-\xff\xfe\r\n250 \x00\r\n", "220 x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := readOne(bytes.NewReader(data))
		pieces, err2 := readOne(iotest.HalfReader(bytes.NewReader(data)))
		if whole != pieces || (err == nil) != (err2 == nil) {
			t.Fatalf("%+v, %v in pieces is %+v, %v", whole, err, pieces, err2)
		}
		if len(whole.Text) > maxText || !utf8.ValidString(whole.Text) || strings.ContainsFunc(whole.Text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
			t.Fatalf("unclean text %q", whole.Text)
		}
		if err == nil && (whole.Code < 200 || whole.Code > 599) {
			t.Fatalf("code %d", whole.Code)
		}
	})
}

type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

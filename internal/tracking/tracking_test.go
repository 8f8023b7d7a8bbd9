package tracking_test

import (
	"bytes"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
)

const base = "https://track.acme.test"

var tokens = tracking.NewTokens([32]byte{1})

// stamp is one copy of a content.
func stamp(t *testing.T, c mail.Content, marker string, row int64) string {
	t.Helper()
	in, err := tokens.Stamp(c, marker, row).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != c.Size() {
		t.Fatalf("a copy has %d bytes, the message %d", len(b), c.Size())
	}
	return string(b)
}

func TestEachRecipientsCopyHasItsOwnTokens(t *testing.T) {
	t.Parallel()
	m := tracking.NewMarks(base + "/")
	if m.Marker() != "" {
		t.Error("nothing was marked yet")
	}
	list, post := m.Unsubscribe("mx.acme.test")
	body := "List-Unsubscribe: " + list + "\r\nList-Unsubscribe-Post: " + post + "\r\n\r\n" +
		m.Rewrite(`<p><a href="https://shop.example/a?x=1&amp;y=2">a</a></p>`, tracking.Wanted{Opens: true, Clicks: true})
	find := regexp.MustCompile(`https://track.acme.test/([uco])/([a-z2-7]{32})((?:\.[A-Za-z0-9_-]+)?)|unsubscribe\+([a-z2-7]{32})@`)
	seen := map[string]bool{}
	for row := int64(1); row <= 3; row++ {
		copied := stamp(t, mail.Bytes(body), m.Marker(), row)
		if strings.Contains(copied, m.Marker()) {
			t.Error("a placeholder is left")
		}
		kinds := ""
		for _, hit := range find.FindAllStringSubmatch(copied, -1) {
			if hit[4] != "" {
				if got, ok := tokens.ParseMailto("Unsubscribe+" + strings.ToUpper(hit[4])); !ok || got.Delivery != row {
					t.Errorf("mailto of %d: %+v %v", row, got, ok)
				}
				kinds += "m"
				continue
			}
			kinds += hit[1]
			seen[hit[2]] = true
			switch hit[1] {
			case "u":
				if got, ok := tokens.Parse(hit[2], tracking.KindUnsubscribe); !ok || got.Delivery != row {
					t.Errorf("unsubscribe of %d: %+v %v", row, got, ok)
				}
				if _, ok := tokens.Parse(hit[2], tracking.KindOpen); ok {
					t.Error("a token to unsubscribe passed for an open")
				}
			case "o":
				if got, ok := tokens.Parse(hit[2], tracking.KindOpen); !ok || got.Delivery != row {
					t.Errorf("open of %d: %+v %v", row, got, ok)
				}
			case "c":
				got, to, ok := tokens.ParseClick("Track.acme.test", hit[2]+hit[3])
				if !ok || got.Delivery != row || got.Index != 1 || to != "https://shop.example/a?x=1&y=2" {
					t.Errorf("click of %d: %+v %q %v", row, got, to, ok)
				}
				if _, ok := tokens.Parse(hit[2], tracking.KindClick); ok {
					t.Error("a click without its URL passed")
				}
				if _, _, ok := tokens.ParseClick("track.other.test", hit[2]+hit[3]); ok {
					t.Error("the link leads away from another host")
				}
			}
		}
		if kinds != "umco" {
			t.Errorf("row %d: found %q in %q", row, kinds, copied)
		}
	}
	if len(seen) != 9 {
		t.Errorf("%d different tokens, want 9", len(seen))
	}
}

func TestAForgedOrChangedTokenIsNone(t *testing.T) {
	t.Parallel()
	m := tracking.NewMarks(base)
	list, _ := m.Unsubscribe("")
	copied := stamp(t, mail.Bytes(list), m.Marker(), 7)
	good := copied[len("<"+base+"/u/") : len(copied)-1]
	if _, ok := tokens.Parse(good, tracking.KindUnsubscribe); !ok {
		t.Fatal("the token itself is refused")
	}
	for i := range good {
		for _, c := range "abz27A=\n" {
			bad := good[:i] + string(c) + good[i+1:]
			if got, ok := tokens.Parse(bad, tracking.KindUnsubscribe); ok && bad != good {
				t.Fatalf("%q passed as %+v", bad, got)
			}
		}
	}
	for _, bad := range []string{"", good[1:], good + "a", strings.Repeat("a", 32), strings.ToUpper(good), good[:16] + "\r\n" + good[18:]} {
		if _, ok := tokens.Parse(bad, tracking.KindUnsubscribe); ok {
			t.Errorf("%q passed", bad)
		}
	}
	if _, ok := tracking.NewTokens([32]byte{2}).Parse(good, tracking.KindUnsubscribe); ok {
		t.Error("another secret's token passed")
	}
}

func TestOnlyTheSignedURLComesOut(t *testing.T) {
	t.Parallel()
	m := tracking.NewMarks(base)
	html := m.Rewrite(`<a href=https://a.example/>x</a><a href=https://b.example/>y</a>`, tracking.Wanted{Clicks: true})
	links := regexp.MustCompile(`/c/([^"]+)"`).FindAllStringSubmatch(stamp(t, mail.Bytes(html), m.Marker(), 5), -1)
	if len(links) != 2 {
		t.Fatal(html)
	}
	one, two := links[0][1], links[1][1]
	for _, bad := range []string{one[:32] + two[32:], two[:32] + one[32:], one + "A", one[:len(one)-1], one[:33], one[:32], "", one[:33] + "="} {
		if _, to, ok := tokens.ParseClick("track.acme.test", bad); ok {
			t.Errorf("%q leads to %q", bad, to)
		}
	}
}

func TestContentOnDiskIsStampedAsItIsRead(t *testing.T) {
	t.Parallel()
	m := tracking.NewMarks(base)
	list, _ := m.Unsubscribe("")
	token := list[len("<"+base+"/u/") : len(list)-1]
	for _, before := range []int{0, 1, 100, 32<<10 - 40, 32<<10 - 31, 32<<10 - 13, 32<<10 - 1, 32 << 10, 70000} {
		whole := strings.Repeat("x", before) + token + token + "y" + token[:20]
		want := stamp(t, mail.Bytes(whole), m.Marker(), 9)
		for name, through := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader, "with EOF": iotest.DataErrReader,
		} {
			if got := stamp(t, onDisk{[]byte(whole), through}, m.Marker(), 9); got != want {
				t.Errorf("%d before, %s: the copies differ", before, name)
			}
		}
		if strings.Count(want, m.Marker()) != 1 || !strings.HasSuffix(want, token[:20]) {
			t.Errorf("%d before: %q", before, want[before:])
		}
	}
}

type onDisk struct {
	b       []byte
	through func(io.Reader) io.Reader
}

func (d onDisk) Size() int64 { return int64(len(d.b)) }
func (d onDisk) Open() (io.ReadCloser, error) {
	return io.NopCloser(d.through(bytes.NewReader(d.b))), nil
}

func TestLinksAreRewrittenAndNothingElse(t *testing.T) {
	t.Parallel()
	both := tracking.Wanted{Clicks: true}
	for in, rewritten := range map[string]bool{
		`<a href="https://x.example/">`:                                  true,
		`<A HREF='http://x.example/?a=1&amp;b=2' class=x>`:               true,
		`<a class="b" href = https://x.example/p>`:                       true,
		`<area shape=rect href="https://x.example">`:                     true,
		"<a\n\thref=\"\n https://x.example/ \">":                         true,
		`<a data-x="href=" href="https://x.example/">`:                   true,
		`<a href="https://x.example/" data-postroad-track="off">`:        false,
		`<a data-postroad-track=OFF href="https://x.example/">`:          false,
		`<a href="mailto:a@b.example">`:                                  false,
		`<a href="tel:+123">`:                                            false,
		`<a href="#top">`:                                                false,
		`<a href="/relative">`:                                           false,
		`<a href="javascript:alert(1)">`:                                 false,
		`<a href="https://user:pw@x.example/">`:                          false,
		`<a href="https://x.example/a b">`:                               false,
		`<a href="">`:                                                    false,
		`<a href>`:                                                       false,
		`<a name="x">`:                                                   false,
		`<a href="` + base + `/u/x">`:                                    false,
		`<a href="https://x.example/` + strings.Repeat("a", 2000) + `">`: false,
		`<link href="https://x.example/">`:                               false,
		`<!-- <a href="https://x.example/"> -->`:                         false,
		`<!--[if mso]><a href="https://x.example/"><![endif]-->`:         false,
		`<script>"<a href='https://x.example/'>"</script>`:               false,
		`<style>a[href="https://x.example/"]{}</style>`:                  false,
		`<a href="https://x.example/`:                                    false,
		"a \x00 < b & c <":                                               false,
	} {
		m := tracking.NewMarks(base)
		got := m.Rewrite(in, both)
		if changed := strings.Contains(got, base+"/c/"); changed != rewritten || !rewritten && got != in || (m.Marker() != "") != rewritten {
			t.Errorf("%q became %q", in, got)
		}
	}
	m := tracking.NewMarks(base)
	if got := m.Rewrite(`<p>x</p></BODY></html>`, tracking.Wanted{Opens: true}); !regexp.MustCompile(`^<p>x</p><img src="[^"]+/o/[a-z2-7]{32}"[^>]*></BODY></html>$`).MatchString(got) {
		t.Errorf("the image: %q", got)
	}
	if got := m.Rewrite("", tracking.Wanted{Opens: true, Clicks: true}); got != "" {
		t.Errorf("mail without HTML got %q", got)
	}
}

func TestMachinesAreTold(t *testing.T) {
	t.Parallel()
	browser := "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
	for _, c := range []struct {
		v    tracking.Visit
		want string
	}{
		{tracking.Visit{Method: "GET", UserAgent: browser, Since: time.Minute}, ""},
		{tracking.Visit{Method: "GET", UserAgent: browser}, ""},
		{tracking.Visit{Method: "GET", UserAgent: browser, Since: 3 * time.Second}, "scanner"},
		{tracking.Visit{Method: "HEAD", UserAgent: browser, Since: time.Hour}, "head_request"},
		{tracking.Visit{Method: "GET", UserAgent: " ", Since: time.Hour}, "no_user_agent"},
		{tracking.Visit{Method: "GET", UserAgent: "Mozilla/5.0", Since: time.Hour}, "apple_privacy_proxy"},
		{tracking.Visit{Method: "GET", UserAgent: browser, Address: netip.MustParseAddr("::ffff:17.58.1.2")}, "apple_privacy_proxy"},
		{tracking.Visit{Method: "GET", UserAgent: "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"}, "google_image_proxy"},
		{tracking.Visit{Method: "GET", UserAgent: "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"}, "yahoo_image_proxy"},
		{tracking.Visit{Method: "GET", UserAgent: "curl/8.5.0"}, "script"},
		{tracking.Visit{Method: "GET", UserAgent: "Thunderbird/115.0"}, ""},
	} {
		if got := tracking.Machine(&c.v); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.v, got, c.want)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(`<a href="https://x.example/?a&amp;b">x</a></body>`)
	f.Add(`<a href=https://x.example/ / = ' "><!--<a href='>'></p>`)
	f.Fuzz(func(t *testing.T, in string) {
		m := tracking.NewMarks(base)
		out := m.Rewrite(in, tracking.Wanted{Opens: true, Clicks: true})
		if in != "" && len(out) < len(in) {
			// A long URL in entities may become a shorter link, but text is never lost.
			if !strings.Contains(in, "&") {
				t.Fatalf("%q became %q", in, out)
			}
		}
		if m.Marker() == "" {
			return
		}
		copied := stamp(t, mail.Bytes(out), m.Marker(), 3)
		if strings.Contains(copied, m.Marker()) {
			t.Fatalf("a placeholder is left in %q", copied)
		}
		for _, hit := range regexp.MustCompile(base+`/c/([a-z2-7]{32}\.[A-Za-z0-9_-]+)`).FindAllStringSubmatch(copied, -1) {
			if _, _, ok := tokens.ParseClick("track.acme.test", hit[1]); !ok && !strings.Contains(in, "/c/") {
				t.Fatalf("%q is not known again", hit[1])
			}
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("aaaaaaaaaaaaaqqfyrb4vk5jdhyqwert.aHR0cHM6Ly94LmV4YW1wbGUv")
	f.Add("unsubscribe+aaaaaaaaaaaaaqqfyrb4vk5jdhyqwert")
	f.Fuzz(func(t *testing.T, in string) {
		if _, ok := tokens.Parse(in, tracking.KindUnsubscribe); ok {
			t.Fatalf("%q was never signed", in)
		}
		if _, to, ok := tokens.ParseClick("track.acme.test", in); ok {
			t.Fatalf("%q leads to %q", in, to)
		}
		if _, ok := tokens.ParseMailto(in); ok {
			t.Fatalf("%q was never signed", in)
		}
	})
}

func BenchmarkStamp(b *testing.B) {
	m := tracking.NewMarks(base)
	list, _ := m.Unsubscribe("")
	body := mail.Bytes("List-Unsubscribe: " + list + "\r\n\r\n" + strings.Repeat("some text of the message\r\n", 100))
	b.ReportAllocs()
	for b.Loop() {
		tokens.Stamp(body, m.Marker(), 42)
	}
}

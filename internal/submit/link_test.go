package submit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

func TestALinkIsReadBackByItsKeyOnly(t *testing.T) {
	t.Parallel()
	ours, theirs := submit.NewLinks("https://h", [32]byte{1}), submit.NewLinks("https://h", [32]byte{2})
	id, until := mail.NewID(noon), time.Date(2500, 1, 1, 0, 0, 1, 0, time.UTC)
	token := strings.TrimPrefix(ours.URL(id, until), "https://h/f/")
	if got, when, ok := ours.Read(token); !ok || got != id || !when.Equal(until) {
		t.Errorf("%v %v %v", got, when, ok)
	}
	if _, _, ok := theirs.Read(token); ok {
		t.Error("another key's was read")
	}
	for _, bad := range []string{"", token[1:], token + "A", token[:len(token)-1], token + "==", strings.ToLower(token)} {
		if _, _, ok := ours.Read(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

// FuzzLink: no text that we did not make is a token.
func FuzzLink(f *testing.F) {
	l := submit.NewLinks("", [32]byte{3})
	f.Add(strings.TrimPrefix(l.URL(mail.NewID(noon), noon), "/f/"))
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if id, until, ok := l.Read(token); ok && l.URL(id, until) != "/f/"+token {
			t.Fatalf("%q was taken for a token", token)
		}
	})
}

func TestTheListOfBlockedFilesCanBeChanged(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"default", ".exe", ".tar-gz", "application/x-sh"} {
		if err := submit.CheckBlocked(word); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
	for _, word := range []string{"", "exe", ".", "/x", ".tar.gz", ".a/b"} {
		if submit.CheckBlocked(word) == nil {
			t.Errorf("%q was taken", word)
		}
	}
	for name, c := range map[string]struct {
		list []string
		want [3]bool // a.exe, a.doc, a.txt
	}{"built in": {nil, [3]bool{true, false, false}}, "none": {[]string{}, [3]bool{}}, "more": {[]string{"default", ".DOC"}, [3]bool{true, true, false}}, "by type": {[]string{"text/plain"}, [3]bool{false, false, true}}} {
		s := submit.NewService(submit.Options{Store: &fakeStore{}, Domains: domains{"acme.test": "verified"}, Blocked: c.list})
		for i, file := range []string{"a.exe", "a.doc", "a.txt"} {
			r := request()
			r.Attachments = []submit.AttachmentIn{{Filename: file, Base64: []byte("eA=="), Field: "attachments[0]"}}
			if _, err := s.Submit(t.Context(), newWorld(t).who, r); (err != nil) != c.want[i] {
				t.Errorf("%s: %s: %v", name, file, err)
			}
		}
	}
}

func TestReferencesToHostedFilesAreReplacedWhereTheyStand(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`<a href="hosted:a.zip">`:                                `<a href="LINK">`,
		`<A HREF = 'hosted:a.zip' >`:                             `<A HREF = 'LINK' >`,
		`<a href=hosted:a.zip>`:                                  `<a href=LINK>`,
		`<!--[if mso]><v:rect href="hosted:a.zip"/><![endif]-->`: `<!--[if mso]><v:rect href="LINK"/><![endif]-->`,
		`<a href="hosted:a&#46;zip"><a href="hosted:%61.zip">`:   `<a href="LINK"><a href="LINK">`,
		`<a data-href="hosted:a.zip">`:                           `<a data-href="hosted:a.zip">` + "\nAPPENDED",
		`<img src="hosted:a.zip">hosted:a.zip</BODY ></html>`:    `<img src="hosted:a.zip">hosted:a.zip` + "\nAPPENDED" + `</BODY ></html>`,
		`<a href="hosted:b.zip">`:                                `<a href="hosted:b.zip">` + "\nAPPENDED",
		`<a href="hosted:a.zip`:                                  `<a href="hosted:a.zip` + "\nAPPENDED",
		`hosted:`:                                                "hosted:\nAPPENDED",
	} {
		w, r := newWorld(t), request()
		r.HTML, r.Text = &in, text("x")
		r.Attachments = []submit.AttachmentIn{{Filename: "a.zip", Base64: []byte("eA=="), Hosted: true, Field: "attachments[0]"}}
		r.DryRun = true
		out, err := w.Submit(t.Context(), w.who, r)
		if err != nil {
			t.Fatal(err)
		}
		_, link, _ := strings.Cut(out.Preview.Text, "until 19 May 2026):\n")
		link = strings.TrimSpace(link)
		appended := `<p><a href="` + link + `">a.zip (1 byte, until 19 May 2026)</a></p>` + "\n"
		got := strings.ReplaceAll(strings.ReplaceAll(out.Preview.HTML, appended, "APPENDED"), link, "LINK")
		if !strings.HasPrefix(link, "https://mail.acme.test/f/") || got != want {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
	}
}

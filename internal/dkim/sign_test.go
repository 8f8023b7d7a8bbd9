package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	oracle "github.com/emersion/go-msgauth/dkim"

	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/mail"
)

var when = time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)

var keys = sync.OnceValue(func() []dkim.Key {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return []dkim.Key{{Domain: "acme.test", Selector: "s1", Signer: r}, {Domain: "acme.test", Selector: "s2", Signer: e}}
})

// zone is the DNS the verifiers see.
func zone() map[string]string {
	z := map[string]string{}
	for _, k := range keys() {
		z[k.Selector+"._domainkey."+k.Domain] = dkim.PublicRecord(k.Signer.Public())
	}
	return z
}

const head = "From: Acme <hello@acme.test>\r\nTo: ada@example.com\r\nSubject: Your code\r\n" +
	"Date: Sun, 19 Apr 2026 14:30:00 +0000\r\nMessage-ID: <1@acme.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"

// messages are those that canonicalisers get wrong.
var messages = map[string]string{
	"plain":                        head + "\r\nYour code is 847291.\r\n",
	"empty body":                   head + "\r\n",
	"no body and no blank line":    head,
	"blank lines only":             head + "\r\n\r\n\r\n \r\n\t\r\n",
	"blank lines at the end":       head + "\r\nx\r\n\r\n\r\n",
	"blanks at the end":            head + "\r\nx\r\n   ",
	"blank lines at the start":     head + "\r\n\r\n\r\nx\r\n",
	"no CRLF at the end":           head + "\r\nx",
	"tabs and runs of blanks":      head + "\r\na\tb  c \t d\te \r\n  lead\r\n\ttab\r\ntrail \t\r\n",
	"many empty lines inside":      head + "\r\na\r\n" + strings.Repeat("\r\n", 5000) + "b\r\n",
	"eight bits":                   head + "\r\nZoë \xff\xfe 李\r\n",
	"controls":                     head + "\r\na\x00b\x01 \x0b c\r\n",
	"a folded subject":             strings.Replace(head, "Your code", "Your\r\n \t code  is\r\n\there ", 1) + "\r\nx\r\n",
	"blanks around the colon":      strings.Replace(head, "Subject: ", "Subject \t:   ", 1) + "\r\nx\r\n",
	"an empty subject":             strings.Replace(head, "Your code", "", 1) + "\r\nx\r\n",
	"two of a field":               "Reply-To: a@acme.test\r\nReply-To: b@acme.test\r\n" + head + "List-Unsubscribe: <https://acme.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nx\r\n",
	"upper case":                   strings.Replace(head, "Subject", "SUBJECT", 1) + "\r\nx\r\n",
	"long lines":                   head + "\r\n" + strings.Repeat("word ", 30000) + "\r\n" + strings.Repeat("x", 100000) + "\r\n",
	"long header":                  head + "References: " + strings.Repeat("<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.example>\r\n ", 2000) + "<b@x>\r\n\r\nx\r\n",
	"unsigned fields":              "X-A: 1\r\n" + head + "X-B: 2\r\n\r\nx\r\n",
	"utf-8 header":                 strings.Replace(head, "Your code", "Zoë", 1) + "\r\nx\r\n",
	"colons and blanks everywhere": strings.Replace(head, "Your code", " : : \t:", 1) + "\r\n : \r\n:\r\n",
}

// trickle is content that comes a few bytes at a time, never in memory.
type trickle struct{ b []byte }

func (c trickle) Size() int64 { return int64(len(c.b)) }
func (c trickle) Open() (io.ReadCloser, error) {
	return io.NopCloser(iotest.HalfReader(iotest.OneByteReader(bytes.NewReader(c.b)))), nil
}

type stream struct{ b []byte }

func (c stream) Size() int64 { return int64(len(c.b)) }
func (c stream) Open() (io.ReadCloser, error) {
	return io.NopCloser(struct{ io.Reader }{bytes.NewReader(c.b)}), nil
}

func verify(t *testing.T, raw []byte) {
	t.Helper()
	z := zone()
	got, err := oracle.VerifyWithOptions(bytes.NewReader(raw), &oracle.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		return []string{z[name]}, nil
	}})
	if err != nil || len(got) != len(keys()) {
		t.Fatalf("%d verifications, %v", len(got), err)
	}
	for _, v := range got {
		if v.Err != nil || v.Domain != "acme.test" {
			t.Errorf("%s: %v", v.Domain, v.Err)
		}
	}
}

func TestSignaturesVerifyElsewhere(t *testing.T) {
	t.Parallel()
	for name, raw := range messages {
		if name == "no body and no blank line" {
			raw += "\r\n" // as it goes over the wire: the oracle reads nothing else
		}
		for kind, c := range map[string]mail.Content{"memory": mail.Bytes(raw), "stream": stream{[]byte(raw)}, "trickle": trickle{[]byte(raw)}} {
			if kind == "trickle" && len(raw) > 10000 {
				continue
			}
			fields, err := dkim.Sign(c, keys(), dkim.Options{Time: time.Now()})
			if err != nil {
				t.Fatalf("%s, %s: %v", name, kind, err)
			}
			assertWellFormed(t, fields)
			t.Run(name+"/"+kind, func(t *testing.T) { verify(t, append(fields, raw...)) })
		}
	}
}

func assertWellFormed(t *testing.T, fields []byte) {
	t.Helper()
	if n := bytes.Count(fields, []byte("DKIM-Signature: ")); n != len(keys()) || !bytes.HasSuffix(fields, []byte("\r\n")) {
		t.Errorf("%d fields: %q", n, fields)
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(fields, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > 78 || len(bytes.TrimSpace(line)) == 0 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
}

func TestAChangedMessageDoesNotVerify(t *testing.T) {
	t.Parallel()
	raw := messages["two of a field"]
	fields, err := dkim.Sign(mail.Bytes(raw), keys(), dkim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	z := zone()
	for _, change := range [][2]string{
		{"\r\n\r\nx", "\r\n\r\ny"}, {"Your code", "Your c0de"}, {"From: Acme", "From: Evil"}, {"From: Acme", "From: evil@x.example\r\nFrom: Acme"},
		{"b@acme.test", "c@acme.test"}, {"<https://acme.test/u>", "<https://evil.example>"}, {"One-Click", "No-Click"}, {"text/plain", "text/html"},
	} {
		changed := strings.Replace(raw, change[0], change[1], 1)
		got, err := oracle.VerifyWithOptions(strings.NewReader(string(fields)+changed), &oracle.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			return []string{z[name]}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range got {
			if v.Err == nil {
				t.Errorf("%q still verifies", change[1])
			}
		}
	}
}

func TestOptionsStandInTheField(t *testing.T) {
	t.Parallel()
	fields, err := dkim.Sign(mail.Bytes(messages["plain"]), keys()[1:], dkim.Options{Time: when, Expire: 48 * time.Hour, Identity: "hello@acme.test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=acme.test;", "s=s2; t=1776609000; x=1776781800;", "i=hello@acme.test;", "h=from:from:to:subject:date:message-id:mime-version:content-type;"} {
		if !strings.Contains(regexp.MustCompile(`\r\n +`).ReplaceAllString(string(fields), " "), want) && !strings.Contains(regexp.MustCompile(`\r\n +`).ReplaceAllString(string(fields), ""), want) {
			t.Errorf("%s is not in %s", want, fields)
		}
	}
	if _, err := oracle.Verify(strings.NewReader(string(fields) + messages["plain"])); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeSignedIsAnError(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{"no From": "To: a@b.example\r\n\r\nx", "nothing": "", "blank": "\r\nFrom: a@b.example\r\n", "a header of 2 MB": head + "X: " + strings.Repeat("y", 2<<20) + "\r\n\r\nx"} {
		for _, c := range []mail.Content{mail.Bytes(raw), stream{[]byte(raw)}} {
			if fields, err := dkim.Sign(c, keys(), dkim.Options{}); !errors.Is(err, dkim.ErrHeader) || fields != nil {
				t.Errorf("%s: got %q, %v", name, fields, err)
			}
		}
	}
	if _, err := dkim.Sign(failing{errOpen: os.ErrClosed}, keys(), dkim.Options{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("open: %v", err)
	}
	if _, err := dkim.Sign(failing{errRead: os.ErrClosed}, keys(), dkim.Options{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := dkim.Sign(mail.Bytes(messages["plain"]), []dkim.Key{{Domain: "a.test", Selector: "s"}}, dkim.Options{}); err == nil {
		t.Error("a key without a signer signs")
	}
	if _, err := dkim.Sign(mail.Bytes(messages["plain"]), []dkim.Key{{Domain: "a.test", Selector: "s", Signer: brokenSigner{keys()[0].Signer.Public()}}}, dkim.Options{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a broken signer: %v", err)
	}
	if fields, err := dkim.Sign(mail.Bytes("x"), nil, dkim.Options{}); err != nil || len(fields) > 0 {
		t.Errorf("no keys: %q, %v", fields, err)
	}
}

type failing struct{ errOpen, errRead error }

func (failing) Size() int64 { return 1 }
func (f failing) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(messages["plain"]), iotest.ErrReader(f.errRead))), f.errOpen
}

type brokenSigner struct{ public crypto.PublicKey }

func (s brokenSigner) Public() crypto.PublicKey { return s.public }
func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, os.ErrClosed
}

func TestManyMessagesAreSignedAtOnce(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for name, raw := range messages {
		all.Go(func() {
			for range 5 {
				fields, err := dkim.Sign(mail.Bytes(raw), keys()[1:], dkim.Options{Time: when})
				again, err2 := dkim.Sign(stream{[]byte(raw)}, keys()[1:], dkim.Options{Time: when})
				if err != nil || err2 != nil || !bytes.Equal(fields, again) {
					t.Errorf("%s: %v %v, equal: %v", name, err, err2, bytes.Equal(fields, again))
				}
			}
		})
	}
	all.Wait()
}

// dkimpy, an implementation that shares no code or author with the other oracle.
func TestSignaturesVerifyWithDkimpy(t *testing.T) {
	t.Parallel()
	python := findPython()
	if python == "" {
		t.Skip("no Python with dkimpy here (Debian: apt-get install python3-dkim)")
	}
	dir := t.TempDir()
	for name, raw := range messages {
		if name == "blanks at the end" {
			raw += "\r\n" // dkimpy trims lines only, and without CRLF this is none
		}
		if name == "controls" || name == "blanks around the colon" || name == "eight bits" || name == "utf-8 header" {
			continue // dkimpy itself reads NUL, obsolete colons and raw 8-bit headers differently between versions
		}
		fields, err := dkim.Sign(mail.Bytes(raw), keys(), dkim.Options{Time: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".eml")
		if err := os.WriteFile(file, append(fields, raw...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, _ := json.Marshal(zone())
	const script = `
import sys, json, glob, dkim
zone = json.loads(sys.argv[2])
def txt(name, timeout=5):
    return zone.get(name.decode().rstrip('.'), '').encode()
bad = 0
for path in sorted(glob.glob(sys.argv[1] + '/*.eml')):
    d = dkim.DKIM(open(path, 'rb').read())
    for i in range(2):
        try: ok = d.verify(i, dnsfunc=txt)
        except Exception as e: ok = repr(e)
        if ok is not True:
            bad += 1
            print(path, i, ok)
print('verified with', bad, 'failures')
sys.exit(bad > 0)`
	out, err := exec.Command(python, "-c", script, dir, string(records)).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("verified with 0 failures")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func findPython() string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import dkim, nacl").Run() == nil {
			return python
		}
	}
	return ""
}

func TestThePublicRecordIsWhatTheDNSSays(t *testing.T) {
	t.Parallel()
	ed := keys()[1].Signer.Public().(ed25519.PublicKey)
	if got, want := dkim.PublicRecord(ed), "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(ed); got != want {
		t.Errorf("got %s", got)
	}
	if got := dkim.PublicRecord(keys()[0].Signer.Public()); !strings.HasPrefix(got, "v=DKIM1; k=rsa; p=MIIBIjAN") {
		t.Errorf("got %s", got)
	}
	if got := dkim.PublicRecord("x"); got != "" {
		t.Errorf("got %s", got)
	}
}

var bodyTag = regexp.MustCompile(`bh=([^;]+);`)

// FuzzBody compares our body hash with that of go-msgauth's canonicaliser, whatever
// pieces the body comes in.
func FuzzBody(f *testing.F) {
	for _, raw := range messages {
		_, body, _ := strings.Cut(raw, "\r\n\r\n")
		f.Add([]byte(body[:min(len(body), 300)]), uint8(7))
	}
	signer := keys()[1].Signer
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		// The oracle takes a CR without LF for a line end; messages of ours have none.
		body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
		raw := append([]byte(head+"\r\n"), body...)
		for _, c := range []mail.Content{mail.Bytes(raw), pieces{raw, int(piece) + 1}} {
			fields, err := dkim.Sign(c, []dkim.Key{{Domain: "acme.test", Selector: "s2", Signer: signer}}, dkim.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var signed bytes.Buffer
			if err := oracle.Sign(&signed, bytes.NewReader(raw), &oracle.SignOptions{
				Domain: "acme.test", Selector: "s2", Signer: signer, HeaderCanonicalization: "relaxed", BodyCanonicalization: "relaxed",
			}); err != nil {
				t.Fatal(err)
			}
			got, want := bodyTag.FindSubmatch(fields), bodyTag.FindSubmatch(signed.Bytes())
			if strings.TrimSpace(string(got[1])) != string(bytes.TrimSpace(want[1])) {
				t.Fatalf("%q: bh=%s, the oracle says %s", body, got[1], want[1])
			}
		}
	})
}

// FuzzHeader signs foreign header blocks; what we sign must verify elsewhere.
func FuzzHeader(f *testing.F) {
	for _, raw := range messages {
		h, _, _ := strings.Cut(raw, "\r\n\r\n")
		f.Add(h[:min(len(h), 500)])
	}
	z := zone()
	f.Fuzz(func(t *testing.T, block string) {
		block = strings.NewReplacer("\r\n", "\r\n", "\r", "", "\n", "\r\n").Replace(block)
		if strings.Contains(block, "\r\n\r\n") || strings.HasPrefix(block, "\r\n") {
			return
		}
		if !onlyFields(block) {
			return
		}
		raw := strings.TrimSuffix(block, "\r\n") + "\r\n\r\nbody\r\n"
		fields, err := dkim.Sign(mail.Bytes(raw), keys()[1:], dkim.Options{})
		if err != nil {
			return
		}
		got, err := oracle.VerifyWithOptions(strings.NewReader(string(fields)+raw), &oracle.VerifyOptions{MaxVerifications: 1, LookupTXT: func(name string) ([]string, error) {
			return []string{z[name]}, nil
		}})
		if err != nil && !errors.Is(err, oracle.ErrTooManySignatures) || len(got) == 0 || got[0].Err != nil {
			t.Fatalf("%q: %v %+v", raw, err, got)
		}
	})
}

var fieldLine = regexp.MustCompile(`^[!-9;-~]+:`)

// onlyFields tells whether the block is fields and their continuations: what else
// messages of ours never have is read differently by different verifiers.
func onlyFields(block string) bool {
	for i, line := range strings.Split(strings.TrimSuffix(block, "\r\n"), "\r\n") {
		folded := i > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') && strings.Trim(line, " \t") != ""
		if !folded && !fieldLine.MatchString(line) {
			return false
		}
	}
	return true
}

type pieces struct {
	b []byte
	n int
}

func (c pieces) Size() int64 { return int64(len(c.b)) }
func (c pieces) Open() (io.ReadCloser, error) {
	return io.NopCloser(&pieceReader{bytes.NewReader(c.b), c.n}), nil
}

type pieceReader struct {
	r io.Reader
	n int
}

func (r *pieceReader) Read(b []byte) (int, error) { return r.r.Read(b[:min(len(b), r.n)]) }

func BenchmarkSignTwoKilobytes(b *testing.B) {
	raw := mail.Bytes(head + "\r\n" + strings.Repeat("Hello Ada, your code is 847291. It is valid for five minutes.\r\n", 32))
	for name, which := range map[string][]dkim.Key{"RSA": keys()[:1], "Ed25519": keys()[1:], "both": keys()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dkim.Sign(raw, which, dkim.Options{Time: when}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("raw Ed25519", func(b *testing.B) {
		sum := sha256.Sum256(raw)
		for b.Loop() {
			_, _ = keys()[1].Signer.Sign(nil, sum[:], crypto.Hash(0))
		}
	})
}

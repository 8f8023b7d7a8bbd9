package submit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	netmail "net/mail"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/submit"
)

func letter(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func rawRequest(t testing.TB, message string, to ...string) *submit.RawRequest {
	t.Helper()
	raw, err := submit.ReadRaw(mail.Bytes(message))
	if err != nil {
		t.Fatal(err)
	}
	r := &submit.RawRequest{Raw: raw, Via: "smtp", Arrived: noon}
	for _, a := range to {
		r.To = append(r.To, address("recipient", a))
	}
	return r
}

// oneTemplate tells what it was asked for.
type oneTemplate struct{ asked *string }

func (o oneTemplate) Render(_ context.Context, s *render.Source) (render.Body, error) {
	*o.asked = s.Template + " " + string(s.Data)
	return render.Body{Subject: "of the template", Text: "rendered"}, nil
}

func TestARawMessageMayNameATemplate(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		letter("X-Postroad-Metadata: b=2", "X-Postroad-Metadata: {\"a\":\"1\"}", "Content-Type: text/plain", "", "ignored"):  `welcome@7 {"a":"1","b":"2"}`,
		letter("Content-Type: application/json; charset=utf-8", "Content-Transfer-Encoding: base64", "", "eyJuIjpbMSwyXX0="): `welcome@7 {"n":[1,2]}`,
	} {
		w, asked := newWorld(t), ""
		w.Service = submit.NewService(submit.Options{Store: w.store, Domains: domains{"acme.test": "verified"}, Renderer: render.New(oneTemplate{&asked})})
		r := rawRequest(t, letter("From: hello@acme.test", "To: ada@customer.io", "X-Ref: 42", "X-Postroad-Template: welcome@7", "Reply-To: Help <help@acme.test>")+body)
		if _, err := w.SubmitRaw(t.Context(), w.who, r); err != nil {
			t.Fatal(err)
		}
		whole, parts := read(t, w.store.accepted[0].Content)
		if asked != want || parts.Subject != "of the template" || !strings.Contains(whole, "Reply-To: Help <help@acme.test>\r\n") || !strings.Contains(whole, "X-Ref: 42\r\n") || strings.Contains(whole, "X-Postroad") {
			t.Errorf("%q, want %q:\n%s", asked, want, whole)
		}
	}
	w := newWorld(t)
	r := rawRequest(t, letter("From: hello@acme.test", "To: ada@customer.io", "X-Postroad-Template: w", "Content-Type: application/json", "", "[1]"))
	if _, err := w.SubmitRaw(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"invalid_value #"}) {
		t.Errorf("got %v", err)
	}
}

func TestARawMessagesSenderIsJudgedByItsFrom(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"From: hello@acme.test":                         "",
		"From: a@unknown.test":                          "domain_not_found #/headers/From",
		"From: a@new.test":                              "domain_not_verified #/headers/From",
		"From: =?utf-8?b?w5w=?= <HELLO@ACME.TEST> (hi)": "",
		"From: a@acme.test\r\n b@c":                     "invalid_email #/headers/From",
	} {
		w := newWorld(t)
		r := rawRequest(t, letter(from, "", "x"), "ada@customer.io")
		sender := address("from", "bounce@elsewhere.test")
		r.From = &sender
		_, err := w.SubmitRaw(t.Context(), w.who, r)
		if got := err == nil; got != (want == "") || !got && faultsOf(t, err)[0] != want {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestARawMessageIsComparableWithAnOrdinaryRequest(t *testing.T) {
	t.Parallel()
	r := rawRequest(t, letter("From: Acme <hello@acme.test>", "To: Ada <ada@customer.io>", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Reply-To: help@acme.test", "X-Ref: 42",
		"X-Postroad-Tag: a", "X-Postroad-Priority: high", "Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: text/html", "", "<p>Hi</p>",
		"--b", "Content-Disposition: attachment; filename=a.txt", "", "x", "--b--"), "ada@customer.io", "eve@hidden.io")
	q, err := r.Request()
	if err != nil {
		t.Fatal(err)
	}
	if q.From.Text != "hello@acme.test" || q.From.Name != "Acme" || len(q.To) != 1 || q.To[0].Name != "Ada" || len(q.Bcc) != 1 || q.Bcc[0].Text != "eve@hidden.io" ||
		*q.Subject != "Grüße" || strings.TrimSpace(*q.HTML) != "<p>Hi</p>" || q.Text != nil || q.ReplyTo[0].Text != "help@acme.test" || q.Tier != "high" ||
		!reflect.DeepEqual(q.Tags, []string{"a"}) || !reflect.DeepEqual(q.Headers, []mail.Header{{Name: "X-Ref", Value: "42"}}) || q.Attachments[0].Filename != "a.txt" || q.Via != "smtp" {
		t.Errorf("got %+v", q)
	}
}

func TestSubmissionMayHaveItsOwnLimitOfRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var to []string
	for i := range 100 {
		to = append(to, strings.Repeat("x", i+1)[:min(i+1, 60)]+string(rune('a'+i%26))+string(rune('a'+i/26))+"@customer.io")
	}
	r := rawRequest(t, letter("From: hello@acme.test", "", "x"), to...)
	if _, err := w.SubmitRaw(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"too_many #/to"}) {
		t.Errorf("got %v", err)
	}
	r.MaxRecipients = 100
	out, err := w.SubmitRaw(t.Context(), w.who, r)
	if err != nil || len(out.Deliveries) != 100 || out.Deliveries[99].Type != mail.Bcc || out.Message.Via != "smtp" {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsHeldAndNeedsNoChangeIsTheMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 8000)
	complete := letter("Date: Sun, 19 Apr 2026 14:30:00 +0000", "Message-ID: <a@b>", "From: hello@acme.test", "To: ada@customer.io", "") + body
	for _, message := range []string{complete, strings.Replace(complete, "Date", "Bcc: x@y.io\r\nDate", 1)} {
		w.store.spooled = nil
		held, err := w.Hold(t.Context(), strings.NewReader(message), submit.HoldMemory)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := submit.ReadRaw(held)
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.SubmitRaw(t.Context(), w.who, &submit.RawRequest{Raw: raw})
		if err != nil {
			t.Fatal(err)
		}
		a := w.store.accepted[len(w.store.accepted)-1]
		whole, _ := read(t, a.Content)
		if same := a.Content == held; same != (message == complete) || whole != complete || out.Message.Size != int64(len(complete)) {
			t.Errorf("the same %v, %d bytes", same, len(whole))
		}
		w.Drop(held)
		w.Drop(mail.Bytes("x"))
	}
}

func TestHoldKeepsErrorsOfTheSourceApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := errors.New("the client went away")
	for _, n := range []int{10, 1 << 20} {
		_, err := w.Hold(t.Context(), io.MultiReader(strings.NewReader(strings.Repeat("x", n)), failing{broken}), submit.HoldMemory)
		if !errors.Is(err, broken) {
			t.Errorf("%d: %v", n, err)
		}
	}
	w.store.spoolErr = errOurs
	if _, err := w.Hold(t.Context(), strings.NewReader("xx"), 1); !errors.Is(err, errOurs) {
		t.Errorf("got %v", err)
	}
	if c, err := w.Hold(t.Context(), strings.NewReader("xx"), 2); err != nil || c.Size() != 2 {
		t.Errorf("got %v, %v", c, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzRaw: whatever message comes, either it is refused with faults that have a code and
// words, or what is kept can be read, has one Date and Message-ID and none of the fields
// meant for us, and its body is the very bytes that came.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{
		letter("From: hello@acme.test", "To: ada@customer.io", "", "x"),
		letter("Bcc: x@y.io", "From: A <hello@acme.test>", "X-Postroad-Tag: t", " u", "Idempotency-Key: k", "Message-ID: <a@b>", "", "--b", "\x80"),
		letter("From: hello@acme.test", "To: a:b@c.io;", "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--b--"),
		"From: hello@acme.test\r\nCc: ada@customer.io", "a: b\n\n", "\r\n", "From:\r\n\tx", "From : hello@acme.test\r\nX-Postroad-Metadata: {\"a\":\"b\"}\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		raw, err := submit.ReadRaw(mail.Bytes(message))
		w := newWorld(t)
		if err == nil {
			_, err = w.SubmitRaw(t.Context(), w.who, &submit.RawRequest{Raw: raw, To: []submit.AddressIn{address("recipient", "ada@customer.io")}})
		}
		if err != nil {
			var faults mail.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || faults[0].Code == "" || faults[0].Message == "" || !strings.HasPrefix(faults[0].Pointer, "#") {
				t.Fatalf("%q: %v", message, err)
			}
			return
		}
		r, err := w.store.accepted[0].Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		kept, _ := io.ReadAll(r)
		head, body, _ := bytes.Cut(kept, []byte("\r\n\r\n"))
		_, want, found := strings.Cut("\r\n"+message, "\r\n\r\n")
		if len(w.store.accepted[0].Message.Template.Alias) == 0 && found && string(body) != want {
			t.Fatalf("%q became %q", message, kept)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(kept))
		if err != nil {
			return // a header only we and most sites can read
		}
		if len(m.Header["Date"]) != 1 || len(m.Header["Message-Id"]) != 1 {
			t.Fatalf("%q", kept)
		}
		for name := range m.Header {
			if lower := strings.ToLower(name); lower == "bcc" || strings.HasPrefix(lower, "x-postroad-") || strings.HasSuffix(lower, "idempotency-key") {
				t.Fatalf("%s is still in %q", name, head)
			}
		}
	})
}

// inlined is a message with inline files of these ids, and an HTML text.
func inlined(boundary, html string, ids ...string) string {
	var b strings.Builder
	b.WriteString(letter("From: hello@acme.test", "MIME-Version: 1.0", "Content-Type: multipart/related; boundary="+boundary, "", "--"+boundary, "Content-Type: text/html", "", html))
	for _, id := range ids {
		b.WriteString(letter("--"+boundary, "Content-Type: image/png", "Content-ID: <"+id+">", "Content-Disposition: inline; filename=a.png", "", "x"))
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.String()
}

func TestMessagesThatShowTheSameAreTheSame(t *testing.T) {
	t.Parallel()
	sum := func(message string) [32]byte {
		t.Helper()
		sum, err := rawRequest(t, message).Raw.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := sum(inlined("a", `<img src="cid:one@1"> <img src='cid:one@1.b'>`, "one@1", "one@1.b"))
	if sum(inlined("b", `<img src="cid:two@2"> <img src='cid:two@2.b'>`, "two@2", "two@2.b")) != first {
		t.Error("other ids are another message")
	}
	for _, other := range []string{
		inlined("a", `<img src="cid:one@1.b"> <img src='cid:one@1'>`, "one@1", "one@1.b"),
		inlined("a", `<img src="cid:one@1"> <img src='cid:one@2'>`, "one@1", "one@1.b"),
		inlined("a", `<img src="cid:one@1"> <img src='cid:one@1.b'>`, "one@1"),
	} {
		if sum(other) == first {
			t.Errorf("the same as the first:\n%s", other)
		}
	}
}

// Ids that stand in each other's places neither grow the text nor cost a walk each.
func TestManyInlineFilesOfOneIdCostLittle(t *testing.T) {
	t.Parallel()
	ids := make([]string, 900)
	for i := range ids {
		ids[i] = "x"
		if i >= 100 {
			ids[i] = strconv.Itoa(max(i-1, 100))[:1] // what the number of the one before begins with
		}
	}
	took := time.Hour
	for round := 0; took > 6*time.Second && round < 3; round++ { // a machine that stalls is measured again
		r := rawRequest(t, inlined("a", strings.Repeat(strings.Repeat("cid:1 ", 100)+"\r\n", 500), ids...))
		began := time.Now()
		if _, err := r.Raw.Fingerprint(); err != nil {
			t.Fatal(err)
		}
		took = time.Since(began)
	}
	if took > 6*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestManyMetadataFieldsCostLittle(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("From: hello@acme.test\r\n")
	for i := range 1800 {
		b.WriteString("X-Postroad-Metadata: {")
		for j := range 55 {
			b.WriteString(`"` + strconv.FormatInt(int64(i*7919+j*104729)%999983, 36) + `":"",`)
		}
		b.WriteString("\"z\":\"\"}\r\n")
	}
	took := time.Hour
	for round := 0; took > 10*time.Second && round < 3; round++ { // a machine that stalls is measured again
		w, r := newWorld(t), rawRequest(t, b.String()+"\r\nx\r\n", "ada@customer.io")
		began := time.Now()
		if _, err := w.SubmitRaw(t.Context(), w.who, r); err == nil {
			t.Error("so much metadata was accepted")
		}
		took = time.Since(began)
	}
	if took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

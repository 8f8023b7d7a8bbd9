package submit_test

import (
	"errors"
	"io"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// FuzzSubmit puts foreign text into every field. Either every fault has a code, a place
// and words, or what was accepted is a message with our header fields and no others:
// never an error of ours, which a caller would see as a 500.
func FuzzSubmit(f *testing.F) {
	f.Add("Acme <hello@acme.test>", "ada@customer.io", "Ada", "Your code", "<p>x", "X-Ref", "42", "a.pdf", "application/pdf", "logo", "eA==", "tag")
	f.Add("a@acme.test\r\nBcc: x@y.io", "<@>", "\r\n", "\n", "\x00", "Bcc", "x\r\ny", "a\nb", "a/b\n", "a\nb", "====", "\x00")
	f.Add("\"\\\" <a@acme.test>", "用户@例え.テスト", "\ufeff", "\xff", "--=_", "a/b~c", "\xff\t", "\"ü.txt", "TEXT/Plain;charset=x", "<a>", "eA==\n", "#/")
	f.Fuzz(func(t *testing.T, from, to, name, subject, html, header, value, file, kind, id, data, label string) {
		store := &fakeStore{}
		s := submit.NewService(submit.Options{Store: store, Domains: domains{"acme.test": "verified"}})
		sender := address("from", from)
		_, err := s.Submit(t.Context(), project.Principal{Owner: mail.Owner{Project: 1, Env: mail.Test}}, &submit.Request{
			From: &sender, To: []submit.AddressIn{{Text: to, Name: name, Field: "recipient"}}, Subject: &subject, HTML: &html, Tags: []string{label}, Topic: label, Tier: "",
			Headers: []mail.Header{{Name: header, Value: value}}, Metadata: []mail.Header{{Name: label, Value: value}},
			Attachments: []submit.AttachmentIn{{Filename: file, ContentType: kind, ContentID: id, Base64: []byte(data), Field: "attachments[0]"}},
		})
		if err != nil {
			var faults mail.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("no faults: %v", err)
			}
			for _, fault := range faults {
				if fault.Code == "" || fault.Message == "" || !strings.HasPrefix(fault.Pointer, "#/") || strings.ContainsAny(fault.Pointer, "\r\n\x00") {
					t.Fatalf("fault %+v", fault)
				}
			}
			return
		}
		r, err := store.accepted[0].Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		m, err := netmail.ReadMessage(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, m.Body)
		ours := map[string]bool{"Date": true, "Message-Id": true, "From": true, "To": true, "Subject": true, "Reply-To": true, "Mime-Version": true, "Content-Type": true}
		for field := range m.Header {
			if !ours[field] && !strings.EqualFold(field, header) {
				t.Fatalf("an injected field %q: %v", field, m.Header)
			}
		}
	})
}

package submit_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// Each fault, by what is done to a good request. Several of one case stand in order.
func TestEveryFaultIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	type R = submit.Request
	long, seconds := strings.Repeat("x", 3000), func(n int64) *int64 { return &n }
	many := func(n int) (list []submit.AddressIn) {
		for i := range n {
			list = append(list, address(fmt.Sprintf("to[%d]", i), fmt.Sprintf("u%d@customer.io", i)))
		}
		return list
	}
	headers := func(h ...string) func(*R) {
		return func(r *R) {
			for i := 0; i < len(h); i += 2 {
				r.Headers = append(r.Headers, mail.Header{Name: h[i], Value: h[i+1]})
			}
		}
	}
	file := func(a submit.AttachmentIn) func(*R) {
		return func(r *R) { a.Field = "attachments[0]"; r.Attachments = []submit.AttachmentIn{a} }
	}
	for name, c := range map[string]struct {
		set  func(*R)
		want []string
	}{
		"no recipient":    {func(r *R) { r.To = nil }, []string{"missing_required_field #/recipient"}},
		"a bad recipient": {func(r *R) { r.To[0].Text = "ada@exmaple" }, []string{"invalid_email #/recipient"}},
		"bad ones in all lists": {func(r *R) {
			r.To = many(1)
			r.To[0].Text = "x"
			r.Cc = []submit.AddressIn{address("cc[0]", "")}
			r.Bcc = []submit.AddressIn{address("bcc[3]", "@")}
		}, []string{"invalid_email #/to/0", "invalid_email #/cc/0", "invalid_email #/bcc/3"}},
		"injection by address": {func(r *R) { r.To[0].Text = "ada@customer.io\r\nBcc: x@y.io" }, []string{"header_injection #/recipient"}},
		"injection by name":    {func(r *R) { r.To[0].Name = "A\nBcc: x" }, []string{"header_injection #/recipient/name"}},
		"fifty-one recipients": {func(r *R) { r.To = many(51) }, []string{"too_many #/to"}},
		"fifty over all lists": {func(r *R) { r.To, r.Cc, r.Bcc = many(49), many(1), many(1) }, []string{"too_many #/to"}},
		"one that is refused":  {func(r *R) { r.To[0].Text = "reject@sandbox.test" }, []string{"invalid_value #/recipient"}},
		"a bad part":           {func(r *R) { r.To[0].Text = "deferred+x@sandbox.test" }, []string{"invalid_value #/recipient"}},

		"a bad sender":       {func(r *R) { r.From.Text = "acme" }, []string{"invalid_email #/from"}},
		"injection by from":  {func(r *R) { r.From.Text = "A\x00 <hello@acme.test>" }, []string{"header_injection #/from"}},
		"no sender":          {func(r *R) { r.From = nil }, []string{"missing_required_field #/from"}},
		"a foreign domain":   {func(r *R) { r.From.Text = "a@other.test" }, []string{"domain_not_found #/from"}},
		"a subdomain":        {func(r *R) { r.From.Text = "a@sub.acme.test" }, []string{"domain_not_found #/from"}},
		"a pending domain":   {func(r *R) { r.From.Text = "a@new.test" }, []string{"domain_not_verified #/from"}},
		"a failed domain":    {func(r *R) { r.From.Text = "a@dead.test" }, []string{"domain_not_verified #/from"}},
		"a suspended domain": {func(r *R) { r.From.Text = "a@bad.test" }, []string{"domain_not_verified #/from"}},
		"the sandbox, live":  {func(r *R) { r.From.Text = "onboarding@sandbox.test" }, []string{"domain_not_found #/from"}},
		"a bad reply_to":     {func(r *R) { r.ReplyTo = []submit.AddressIn{address("reply_to[0]", "x")} }, []string{"invalid_email #/reply_to/0"}},
		"many reply_to":      {func(r *R) { r.ReplyTo = many(26) }, []string{"too_many #/reply_to"}},

		"no subject":           {func(r *R) { r.Subject = nil }, []string{"missing_required_field #/subject"}},
		"a long subject":       {func(r *R) { r.Subject = text(strings.Repeat("ü", 999)) }, []string{"too_long #/subject"}},
		"injection by subject": {func(r *R) { r.Subject = text("a\r\nBcc: x@y.io") }, []string{"header_injection #/subject"}},
		"no content":           {func(r *R) { r.Text = nil }, []string{"missing_required_field #/html"}},
		"empty content":        {func(r *R) { r.Text, r.HTML = text(""), text("") }, []string{"missing_required_field #/html"}},
		"template and text":    {func(r *R) { r.Template = "welcome" }, []string{"mutually_exclusive #/template"}},
		"template and no html": {func(r *R) { r.Template, r.Text, r.HTML = "welcome", nil, text("") }, []string{"mutually_exclusive #/template"}},
		"a template":           {func(r *R) { r.Template, r.Text, r.Subject = "welcome", nil, nil }, []string{"template_not_found #/template"}},
		"large bodies":         {func(r *R) { r.Text = text(strings.Repeat("x", 10<<20+1)); r.HTML = r.Text }, []string{"too_long #/html", "too_long #/text"}},

		"reserved headers":      {headers("From", "x", "bcc", "x", "CONTENT-Type", "x", "ARC-Seal", "x", "Resent-To", "x", "X-Postroad-Tag", "x", "DKIM-Signature", "x", "Message-ID", "x"), []string{"header_not_allowed #/headers/From", "header_not_allowed #/headers/bcc", "header_not_allowed #/headers/CONTENT-Type", "header_not_allowed #/headers/ARC-Seal", "header_not_allowed #/headers/Resent-To", "header_not_allowed #/headers/X-Postroad-Tag", "header_not_allowed #/headers/DKIM-Signature", "header_not_allowed #/headers/Message-ID"}},
		"injection by header":   {headers("X-A", "b\r\nBcc: x", "X-B\nBcc", "c", "X-C", "\x00"), []string{"header_injection #/headers/X-A", "header_injection #/headers/X-B%0ABcc", "header_injection #/headers/X-C"}},
		"bad header names":      {headers("X A", "b", "X:A", "b", "", "b", "Ü", "b", "a/b~c", "fine"), []string{"header_not_allowed #/headers/X%20A", "header_not_allowed #/headers/X:A", "header_not_allowed #/headers/", "header_not_allowed #/headers/%C3%9C"}},
		"a large header":        {headers("X-A", long), []string{"too_long #/headers/X-A"}},
		"a bad reply-to header": {headers("Reply-To", "x"), []string{"invalid_email #/headers/Reply-To"}},
		"reply-to twice":        {func(r *R) { headers("reply-to", "a@b.io")(r); r.ReplyTo = many(1) }, []string{"mutually_exclusive #/headers/reply-to"}},
		"many headers": {func(r *R) {
			r.Headers = make([]mail.Header, 51)
			for i := range r.Headers {
				r.Headers[i] = mail.Header{Name: fmt.Sprintf("X-%d", i), Value: "x"}
			}
		}, []string{"too_many #/headers"}},

		"an unnamed file":        {file(submit.AttachmentIn{Base64: []byte("eA==")}), []string{"missing_required_field #/attachments/0/filename"}},
		"a file without bytes":   {file(submit.AttachmentIn{Filename: "a"}), []string{"missing_required_field #/attachments/0/content"}},
		"bad base64":             {file(submit.AttachmentIn{Filename: "a", Base64: []byte("eA=")}), []string{"attachment_decode_error #/attachments/0/content"}},
		"a data url":             {file(submit.AttachmentIn{Filename: "a", Base64: []byte("data:a/b;base64,eA==")}), []string{"attachment_decode_error #/attachments/0/content"}},
		"injection by file name": {file(submit.AttachmentIn{Filename: "a\r\nX: y", Base64: []byte("eA==")}), []string{"header_injection #/attachments/0/filename"}},
		"injection by type":      {file(submit.AttachmentIn{Filename: "a", ContentType: "a/b\r\nX: y", Base64: []byte("eA==")}), []string{"header_injection #/attachments/0/content_type"}},
		"injection by id":        {file(submit.AttachmentIn{Filename: "a", ContentID: "a\nb", Base64: []byte("eA==")}), []string{"header_injection #/attachments/0/content_id"}},
		"a bad id":               {file(submit.AttachmentIn{Filename: "a", ContentID: "a b", Base64: []byte("eA==")}), []string{"invalid_value #/attachments/0/content_id"}},
		"a bad type":             {file(submit.AttachmentIn{Filename: "a", ContentType: "pdf", Base64: []byte("eA==")}), []string{"invalid_value #/attachments/0/content_type"}},
		"a long file name":       {file(submit.AttachmentIn{Filename: long, Base64: []byte("eA==")}), []string{"too_long #/attachments/0/filename"}},
		"many files": {func(r *R) {
			r.Attachments = make([]submit.AttachmentIn, 101)
			for i := range r.Attachments {
				r.Attachments[i] = submit.AttachmentIn{Filename: "a", Base64: []byte("eA=="), Field: "attachments[0]"}
			}
		}, []string{"too_many #/attachments"}},

		"yesterday":        {func(r *R) { r.SendAt = noon.Add(-61 * time.Second) }, []string{"scheduled_time_in_past #/scheduled_time"}},
		"next year":        {func(r *R) { r.SendAt = noon.AddDate(0, 0, 91) }, []string{"scheduled_time_too_far #/scheduled_time"}},
		"expired at once":  {func(r *R) { r.ExpiresIn = seconds(0) }, []string{"invalid_value #/expires_in_seconds"}},
		"expires too late": {func(r *R) { r.ExpiresIn = seconds(7776001) }, []string{"invalid_value #/expires_in_seconds"}},
		"negative expiry":  {func(r *R) { r.ExpiresIn = seconds(-1 << 63) }, []string{"invalid_value #/expires_in_seconds"}},

		"a bad priority":       {func(r *R) { r.Tier = "asap" }, []string{"invalid_value #/priority"}},
		"many tags":            {func(r *R) { r.Tags = strings.Split(strings.Repeat("t,", 10)+"u", ",") }, []string{"too_many #/tags"}},
		"bad tags":             {func(r *R) { r.Tags = []string{"", strings.Repeat("ü", 65), "a\nb", "fine"} }, []string{"invalid_value #/tags/0", "too_long #/tags/1", "header_injection #/tags/2"}},
		"a long topic":         {func(r *R) { r.Topic = strings.Repeat("t", 65) }, []string{"too_long #/topic"}},
		"a long supersedes":    {func(r *R) { r.Supersedes = strings.Repeat("t", 257) }, []string{"too_long #/supersedes"}},
		"a control in a topic": {func(r *R) { r.Topic = "a\x01" }, []string{"invalid_value #/topic"}},
		"metadata": {func(r *R) {
			r.Metadata = []mail.Header{{Name: "", Value: "x"}, {Name: "a/b~", Value: strings.Repeat("v", 513)}, {Name: "a\x00", Value: ""}, {Name: "ok", Value: "a\nb"}}
		},
			[]string{"invalid_value #/metadata/", "too_long #/metadata/a~1b~0", "invalid_value #/metadata/a%00"}},
		"much metadata": {func(r *R) {
			r.Metadata = make([]mail.Header, 51)
			for i := range r.Metadata {
				r.Metadata[i].Name = fmt.Sprint(i)
			}
		}, []string{"too_many #/metadata"}},

		"what the door found": {func(r *R) {
			r.Faults = mail.Faults{{Code: "invalid_type", Pointer: "#/tags", Message: "x"}}
			r.Subject = nil
		}, []string{"invalid_type #/tags", "missing_required_field #/subject"}},
		"unknown fields": {func(r *R) {
			r.Strict = true
			r.Unknown = []mail.Warning{{Code: "unknown_field", Pointer: "#/attachments/0/a~1b", Message: "Did you mean 'html'?"}}
		}, []string{"unknown_field #/attachments/0/a~1b"}},
		"everything at once": {func(r *R) { r.To, r.Subject, r.Text, r.From.Text, r.Tier = nil, nil, nil, "x", "y" },
			[]string{"missing_required_field #/recipient", "missing_required_field #/html", "missing_required_field #/subject", "invalid_email #/from", "invalid_value #/priority"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := newWorld(t), request()
			c.set(r)
			out, err := w.Submit(t.Context(), w.who, r)
			if out != nil || len(w.store.accepted) > 0 {
				t.Fatalf("it was accepted: %+v", out)
			}
			if got := faultsOf(t, err); !reflect.DeepEqual(got, c.want) {
				t.Errorf("\n got %q\nwant %q", got, c.want)
			}
			if w.dispatcher.reserved != w.dispatcher.released {
				t.Error("room was reserved and not given back")
			}
		})
	}
}

func TestAFaultNamesFieldAndSuggestion(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	r.To[0].Text = "ada@exmaple"
	r.Strict, r.Unknown = true, []mail.Warning{{Pointer: "#/attachments/0/a~1b"}}
	_, err := w.Submit(t.Context(), w.who, r)
	var faults mail.Faults
	if !errors.As(err, &faults) || len(faults) != 2 || faults[0].Field != "attachments[0].a/b" || faults[1].Field != "recipient" ||
		faults[1].Suggestion != "ada@example.com" || faults[1].Message != "'ada@exmaple' has no valid domain." {
		t.Errorf("got %+v", faults)
	}
}

func TestWhoMayNotSendIsRefusedWith403(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.who.Key = &project.Key{ID: "k7f2q9xm", AllowedFrom: []string{"*@other.test", "billing@acme.test"}}
	r.Subject = nil // a refusal goes before faults
	var refusal *mail.Error
	if _, err := w.Submit(t.Context(), w.who, r); !errors.As(err, &refusal) || refusal.Code != "from_not_allowed" || refusal.Status != 403 {
		t.Errorf("allowed_from: got %v", err)
	}
	r = request()
	r.From.Text = "billing@acme.test"
	if _, err := w.Submit(t.Context(), w.who, r); err != nil {
		t.Errorf("an allowed address: %v", err)
	}
	w.who.Project.Suspended = true
	if _, err := w.Submit(t.Context(), w.who, request()); !errors.As(err, &refusal) || refusal.Code != "project_suspended" || refusal.Status != 403 {
		t.Errorf("suspended: got %v", err)
	}
}

func TestAKeyMayBeHeldToFewerRecipients(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.who.Key = &project.Key{ID: "k7f2q9xm", MaxRecipients: 1}
	if _, err := w.Submit(t.Context(), w.who, r); err != nil {
		t.Fatal(err)
	}
	r.Cc = []submit.AddressIn{address("cc[0]", "b@customer.io")}
	if _, err := w.Submit(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"too_many #/to"}) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsOddButPossibleIsAcceptedWithAWarning(t *testing.T) {
	t.Parallel()
	type R = submit.Request
	for name, c := range map[string]struct {
		env  mail.Env
		set  func(*world, *R)
		want []string
	}{
		"nothing odd":       {mail.Live, func(*world, *R) {}, nil},
		"a reserved domain": {mail.Live, func(_ *world, r *R) { r.To[0].Text = "ada@mail.example.com" }, []string{"reserved_domain #/recipient"}},
		"reserved tops": {mail.Live, func(_ *world, r *R) {
			r.To = append(r.To, address("to[1]", "a@x.test"), address("to[2]", "a@b.invalid"))
		}, []string{"reserved_domain #/to/1", "reserved_domain #/to/2"}},
		"reserved, in test": {mail.Test, func(_ *world, r *R) { r.To[0].Text = "ada@example.com" }, nil},
		"the sandbox":       {mail.Live, func(_ *world, r *R) { r.To[0].Text = "bounced+5.2.2@sandbox.test" }, nil},
		"a typing error":    {mail.Live, func(_ *world, r *R) { r.To[0].Text = "ada@gmial.com" }, []string{"possible_typo #/recipient"}},
		"one twice":         {mail.Live, func(_ *world, r *R) { r.Cc = []submit.AddressIn{address("cc[0]", "ADA@Customer.IO")} }, []string{"duplicate_recipient #/cc/0"}},
		"an unknown field": {mail.Live, func(_ *world, r *R) {
			r.Unknown = []mail.Warning{{Code: "unknown_field", Pointer: "#/htlm", Message: "x"}}
		}, []string{"unknown_field #/htlm"}},
		"a warning of a door":  {mail.Live, func(_ *world, r *R) { r.Warnings = []mail.Warning{{Code: "timezone_assumed_utc", Message: "x"}} }, []string{"timezone_assumed_utc "}},
		"a degraded domain":    {mail.Live, func(_ *world, r *R) { r.From.Text = "a@old.test" }, nil},
		"pending, where warn":  {mail.Live, func(w *world, r *R) { w.who.Project.Settings.UnverifiedDomains = "warn"; r.From.Text = "a@new.test" }, []string{"domain_not_verified #/from"}},
		"pending, in test":     {mail.Test, func(_ *world, r *R) { r.From.Text = "a@new.test" }, []string{"domain_not_verified #/from"}},
		"unregistered in test": {mail.Test, func(_ *world, r *R) { r.From.Text = "a@other.test" }, []string{"domain_not_found #/from"}},
		"no sender, in test":   {mail.Test, func(_ *world, r *R) { r.From = nil }, nil},
		"an empty subject":     {mail.Live, func(_ *world, r *R) { r.Subject = text("") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := newWorld(t), request()
			w.who.Owner.Env = c.env
			c.set(w, r)
			out, err := w.Submit(t.Context(), w.who, r)
			if err != nil {
				t.Fatal(err)
			}
			if got := warningsOf(out); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestStrictFieldsOfAProjectMakeUnknownFieldsFaults(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.who.Project.Settings.StrictFields = true
	r.Unknown = []mail.Warning{{Code: "unknown_field", Pointer: "#/htlm"}}
	if _, err := w.Submit(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"unknown_field #/htlm"}) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsRefusedIsNotSaidToBeIgnored(t *testing.T) {
	t.Parallel()
	for warning, want := range map[string]string{
		"There is no field 'foo'. It was ignored.": "There is no field 'foo'.",
		"Did you mean 'html'?":                     "There is no such field. Did you mean 'html'?",
	} {
		if got := submit.UnknownField(mail.Warning{Pointer: "#/foo", Message: warning}); got.Message != want || got.Field != "foo" {
			t.Errorf("%+v", got)
		}
	}
}

func TestWarnIsForPendingDomainsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.who.Project.Settings.UnverifiedDomains = "warn"
	for from, want := range map[string]string{"a@other.test": "domain_not_found #/from", "a@dead.test": "domain_not_verified #/from", "a@bad.test": "domain_not_verified #/from"} {
		r := request()
		r.From.Text = from
		if _, err := w.Submit(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{want}) {
			t.Errorf("%s: got %v", from, err)
		}
	}
}

func TestTheSenderIsTheRequestsThenTheProjectsThenTheSandboxs(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.who.Owner.Env = mail.Test
	r.From = nil
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil || out.Message.From.Email != "onboarding@sandbox.test" {
		t.Errorf("test: %+v, %v", out, err)
	}
	w.who.Project.Settings.DefaultFrom = "Acme <hi@acme.test>"
	if out, err = w.Submit(t.Context(), w.who, r); err != nil || out.Message.From.String() != "Acme <hi@acme.test>" {
		t.Errorf("project: %+v, %v", out, err)
	}
	if out, err = w.Submit(t.Context(), w.who, request()); err != nil || out.Message.From.Email != "hello@acme.test" {
		t.Errorf("request: %+v, %v", out, err)
	}
}

func TestOver25MBOfAttachmentsAreAcceptedWithAWarning(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	half := []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 13<<20)))
	r.Attachments = []submit.AttachmentIn{{Filename: "a", Base64: half, Field: "attachments[0]"}, {Filename: "b", Base64: half, Field: "attachments[1]"}}
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil || !reflect.DeepEqual(warningsOf(out), []string{"attachments_over_25mb #/attachments"}) {
		t.Errorf("got %+v, %v", out, err)
	}
	if len(w.store.spooled) != 1 || w.store.spooled[0].discarded != 0 || out.Message.Attachments[1].Size != 13<<20 {
		t.Errorf("spooled %d", len(w.store.spooled))
	}
}

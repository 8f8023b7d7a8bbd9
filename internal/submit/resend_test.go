package submit_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// sent gives a message that was accepted, to be sent again.
func sent(t *testing.T, w *world, change func(*submit.Request)) *submit.ResendRequest {
	t.Helper()
	r := request()
	r.Cc, r.Bcc = []submit.AddressIn{address("cc[0]", "Bob <bob@customer.io>")}, []submit.AddressIn{address("bcc[0]", "carl@customer.io")}
	r.Tags, r.Tier, r.Supersedes, r.Attachments = []string{"t"}, "bulk", "otp/1", []submit.AttachmentIn{{Filename: "a", Base64: []byte("eA=="), Field: "attachments[0]"}}
	change(r)
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	again := &submit.ResendRequest{Via: "api", Arrived: noon, Original: out.Message, Content: w.store.accepted[0].Content, Answer: func(a *submit.Accepted) mail.Answer {
		return mail.Answer{Status: 202, Body: fmt.Appendf(nil, "row %d", a.Message.Row)}
	}}
	for _, d := range out.Deliveries {
		again.Again = append(again.Again, submit.Again{Address: mail.Address{Name: d.Name, Email: d.Address}, Type: d.Type})
	}
	return again
}

func TestAResentMessageIsNewButForItsBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := sent(t, w, func(*submit.Request) {})
	out, err := w.Resend(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	m, old := out.Message, r.Original
	if m.ID == old.ID || m.ResentFrom != old.ID || m.Row != 2 || m.RFCID != m.ID.UUID()+"@acme.test" || m.Subject != old.Subject || m.Tier != mail.Bulk ||
		m.Supersedes != "" || !reflect.DeepEqual(m.Tags, old.Tags) || len(m.Attachments) != 1 || string(out.Answer.Body) != "row 2" {
		t.Errorf("message: %+v", m)
	}
	before, _ := read(t, w.store.accepted[0].Content)
	after, _ := read(t, w.store.accepted[1].Content)
	if want := strings.Replace(before, old.RFCID, m.RFCID, 1); after != want || int64(len(after)) != m.Size {
		t.Errorf("got\n%s\nwant\n%s", after, want)
	}
	if len(out.Deliveries) != 3 || out.Deliveries[2].Type != mail.Bcc || out.Deliveries[2].Address != "carl@customer.io" || len(w.dispatcher.works) != 6 {
		t.Errorf("deliveries: %+v", out.Deliveries)
	}
}

func TestAResentMessageMayGoToAnotherAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := sent(t, w, func(r *submit.Request) { r.Text = text(strings.Repeat("line\n", 60_000)) })
	other := address("to", "Dora <dora@other.io>")
	r.To = &other
	out, err := w.Resend(t.Context(), w.who, r)
	if err != nil || len(out.Deliveries) != 1 || out.Deliveries[0].Address != "dora@other.io" {
		t.Fatal(out, err)
	}
	after, parts := read(t, w.store.accepted[1].Content)
	head, _, _ := strings.Cut(after, "\r\n\r\n")
	if !strings.Contains(head, "To: Dora <dora@other.io>\r\n") || strings.Contains(head, "ada@customer.io") || strings.Contains(head, "Cc:") || strings.Count(parts.Text, "line") != 60_000 {
		t.Errorf("got\n%s", head)
	}
	if len(w.store.spooled) != 2 {
		t.Errorf("spooled %d", len(w.store.spooled))
	}
}

func TestWhatMayNotBeSentMayNotBeResent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world, *submit.ResendRequest)
		want   string
	}{
		"suspended": {func(w *world, _ *submit.ResendRequest) { w.who.Project.Suspended = true }, "project_suspended "},
		"allowed_from": {func(w *world, _ *submit.ResendRequest) {
			w.who.Key = &project.Key{AllowedFrom: []string{"*@other.test"}}
		}, "from_not_allowed #/from"},
		"the domain":    {func(_ *world, r *submit.ResendRequest) { r.Original.From.Email = "a@dead.test" }, "domain_not_verified #/from"},
		"a bad address": {func(_ *world, r *submit.ResendRequest) { to := address("to", "x"); r.To = &to }, "invalid_email #/to"},
		"nobody":        {func(_ *world, r *submit.ResendRequest) { r.Again = nil }, "missing_required_field #/recipient"},
		"suppressed": {func(w *world, r *submit.ResendRequest) {
			w.who.Project.Settings.OnSuppressed = "reject"
			w.store.suppressed = map[string]mail.Suppression{"bob@customer.io": {Reason: "manual"}}
		}, "recipient_suppressed #/recipients/1"},
	} {
		w := newWorld(t)
		r := sent(t, w, func(*submit.Request) {})
		c.change(w, r)
		if _, err := w.Resend(t.Context(), w.who, r); err == nil || !reflect.DeepEqual(faultsOf(t, err), []string{c.want}) {
			t.Errorf("%s: got %v", name, err)
		}
		if len(w.store.accepted) != 1 {
			t.Errorf("%s: it was accepted", name)
		}
	}
	w := newWorld(t)
	r := sent(t, w, func(*submit.Request) {})
	r.Content = brokenContent{}
	if _, err := w.Resend(t.Context(), w.who, r); !errors.Is(err, errOurs) {
		t.Errorf("unreadable content: %v", err)
	}
}

package render_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
)

type templates map[string]render.Body

func (t templates) Render(_ context.Context, s *render.Source) (render.Body, error) {
	b, ok := t[s.Template]
	if !ok || s.Owner.Project != 7 {
		return b, &mail.Error{Code: "template_not_found"}
	}
	b.Subject += string(s.Data)
	return b, nil
}

func TestABodyHasTheTextItsHTMLGives(t *testing.T) {
	t.Parallel()
	subject := "Hi"
	r := render.New(render.NoTemplates{})
	for _, c := range []struct {
		in         render.Source
		html, text string
	}{
		{render.Source{HTML: "<p>x"}, "<p>x", "x\n"}, {render.Source{HTML: "<p>x", NoAutoText: true}, "<p>x", ""},
		{render.Source{HTML: "<p>x", Text: "y"}, "<p>x", "y"}, {render.Source{Text: "y"}, "", "y"},
	} {
		c.in.Subject = &subject
		b, err := r.Body(t.Context(), c.in)
		if err != nil || b.Subject != "Hi" || b.HTML != c.html || b.Text != c.text {
			t.Errorf("%+v: got %+v, %v", c.in, b, err)
		}
	}
}

func TestATemplateIsAskedForItsOwnerAndAnExplicitSubjectWins(t *testing.T) {
	t.Parallel()
	r := render.New(templates{"welcome": {Subject: "Welcome ", HTML: "<b>x</b>", DefaultFrom: "a@b.example", Template: mail.TemplateRef{Alias: "welcome", Version: 7}}})
	in := render.Source{Owner: mail.Owner{Project: 7}, Template: "welcome", Data: []byte("Ada")}
	b, err := r.Body(t.Context(), in)
	if err != nil || b.Subject != "Welcome Ada" || b.Text != "x\n" || b.Template.Version != 7 || b.DefaultFrom != "a@b.example" {
		t.Errorf("got %+v, %v", b, err)
	}
	explicit := "Mine"
	in.Subject = &explicit
	if b, err := r.Body(t.Context(), in); err != nil || b.Subject != "Mine" {
		t.Errorf("got %+v, %v", b, err)
	}
	in.Owner.Project = 8
	var fault *mail.Error
	if _, err := r.Body(t.Context(), in); !errors.As(err, &fault) || fault.Code != "template_not_found" {
		t.Errorf("another project's template: %v", err)
	}
}

func TestWithoutTemplatesNoneIsFound(t *testing.T) {
	t.Parallel()
	var fault *mail.Error
	_, err := render.New(render.NoTemplates{}).Body(t.Context(), render.Source{Template: "welcome"})
	if !errors.As(err, &fault) || fault.Code != "template_not_found" || fault.Pointer != "#/template" || !strings.Contains(fault.Message, "welcome") {
		t.Errorf("got %v", err)
	}
}

func TestAMessageCarriesItsOwnIdentityAndNoBcc(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)
	id, from := mail.NewID(now), mail.Address{Name: "Acme", Email: "hello@acme.test"}
	in := render.Input{
		MessageID: render.MessageID(id, from), At: now, From: from,
		To: []mail.Address{{Email: "ada@example.com"}}, Cc: []mail.Address{{Email: "bob@example.com"}}, ReplyTo: []mail.Address{{Email: "help@acme.test"}},
		Headers: []mail.Header{{Name: "X-Ref", Value: "42"}}, Body: render.Body{Subject: "Hi", Text: "x"},
	}
	b, err := render.New(render.NoTemplates{}).Message(&in).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Message-ID: <" + id.UUID() + "@acme.test>\r\n", "From: Acme <hello@acme.test>\r\n", "To: ada@example.com\r\n", "Cc: bob@example.com\r\n",
		"Reply-To: help@acme.test\r\n", "X-Ref: 42\r\n", "Subject: Hi\r\n", "Date: Sun, 19 Apr 2026 14:30:00 +0000\r\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is not in\n%s", want, b)
		}
	}
	if strings.Contains(strings.ToLower(string(b)), "bcc") {
		t.Error("a Bcc header")
	}
}

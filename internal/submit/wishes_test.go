package submit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// linked is a world whose links begin with the operator's URL.
func linked(t *testing.T) *world {
	w := newWorld(t)
	w.Service = submit.NewService(submit.Options{Store: w.store, Domains: domains{"acme.test": "verified"}, Marking: submit.Marking{Base: "https://mail.host.test"}})
	w.who.Key = &project.Key{ID: "k7f2q9xm", Scopes: []string{"messages.send"}}
	w.who.Project = &project.Project{Row: 1, Settings: project.DefaultSettings()}
	return w
}

// sent submits and gives the message with its bytes.
func (w *world) sent(t *testing.T, r *submit.Request) (*submit.Accepted, string) {
	t.Helper()
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := read(t, w.store.accepted[len(w.store.accepted)-1].Content)
	return out, raw
}

func TestOneClickHeadersStandWhereTheyShould(t *testing.T) {
	t.Parallel()
	own := []mail.Header{{Name: "list-unsubscribe", Value: "<https://acme.test/bye>"}}
	for name, c := range map[string]struct {
		change func(*submit.Request)
		list   string // how the value begins; "" = no header
		post   bool
	}{
		"usual mail":       {func(*submit.Request) {}, "", false},
		"auto, usual mail": {func(r *submit.Request) { r.ListUnsubscribe = "auto" }, "", false},
		"bulk":             {func(r *submit.Request) { r.Tier = "bulk" }, "<https://mail.host.test/u/", true},
		"a topic":          {func(r *submit.Request) { r.Topic = "news" }, "<https://mail.host.test/u/", true},
		"always":           {func(r *submit.Request) { r.ListUnsubscribe = "always" }, "<https://mail.host.test/u/", true},
		"none wins":        {func(r *submit.Request) { r.Topic, r.ListUnsubscribe = "news", "none" }, "", false},
		"the caller's own": {func(r *submit.Request) { r.ListUnsubscribe, r.Headers = "always", own }, "<https://acme.test/bye>", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := linked(t), request()
			c.change(r)
			out, raw := w.sent(t, r)
			_, rest, has := strings.Cut(raw, "ist-unsubscribe: ")
			if !has {
				_, rest, has = strings.Cut(raw, "List-Unsubscribe: ")
			}
			if has != (c.list != "") || !strings.HasPrefix(strings.TrimLeft(rest, "\r\n "), c.list) && has || strings.Count(strings.ToLower(raw), "list-unsubscribe:") > 1 {
				t.Errorf("got %q", raw)
			}
			if strings.Contains(raw, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") != c.post || (out.Message.Stamp != "") != c.post {
				t.Errorf("post: %q, marker %q", raw, out.Message.Stamp)
			}
		})
	}
	w, r := linked(t), request()
	r.ListUnsubscribe = "sometimes"
	_, err := w.Submit(t.Context(), w.who, r)
	if got := faultsOf(t, err); len(got) != 1 || !strings.Contains(got[0], "list_unsubscribe") {
		t.Errorf("got %v", got)
	}
}

func TestTheProjectsHostIsWhereItsLinksLead(t *testing.T) {
	t.Parallel()
	w, r := linked(t), request()
	w.who.Project.Settings.TrackingHost, w.who.Project.Settings.TrackOpens = "track.acme.test", true
	r.HTML, r.ListUnsubscribe = text("<p>x</p>"), "always"
	if _, raw := w.sent(t, r); !strings.Contains(raw, "<https://track.acme.test/u/") || !strings.Contains(raw, "https://track.acme.test/o/") {
		t.Errorf("got %q", raw)
	}
}

func TestSecurityMailIsNeverTracked(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		change  func(*submit.Request)
		tracked bool
	}{
		"as the project has it": {func(*submit.Request) {}, true},
		"the request says no":   {func(r *submit.Request) { r.Tracking = submit.Tracking{Opens: &no, Clicks: &no} }, false},
		"urgent":                {func(r *submit.Request) { r.Tier, r.Tracking = "urgent", submit.Tracking{Clicks: &yes} }, false},
		"topic":                 {func(r *submit.Request) { r.Topic, r.ListUnsubscribe = "Security", "none" }, false},
		"tag":                   {func(r *submit.Request) { r.Tags = []string{"x", "security"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := linked(t), request()
			w.who.Project.Settings.TrackOpens, w.who.Project.Settings.TrackClicks = true, true
			r.HTML = text(`<a href="https://acme.test/reset">x</a>`)
			c.change(r)
			out, raw := w.sent(t, r)
			if tracked := strings.Contains(raw, "/c/") && strings.Contains(raw, "/o/"); tracked != c.tracked || (out.Message.Stamp != "") != c.tracked || !c.tracked && !strings.Contains(raw, `href="https://acme.test/reset"`) {
				t.Errorf("tracked %v: %q", tracked, raw)
			}
			if warned := strings.Contains(strings.Join(warningsOf(out), " "), "tracking_exempt"); warned != (r.Tracking.Clicks == &yes) {
				t.Errorf("warnings: %v", out.Warnings)
			}
		})
	}
}

func TestABypassNeedsItsScopeAndIsOfUnsubscribesOnly(t *testing.T) {
	t.Parallel()
	w := linked(t)
	w.store.suppressed = map[string]mail.Suppression{
		"bye@customer.io":  {Reason: "unsubscribed", Kind: mail.KindUnsubscribe},
		"gone@customer.io": {Reason: "hard_bounce", Kind: mail.KindHardBounce},
	}
	ask := func() *submit.Request {
		r := request()
		r.To = []submit.AddressIn{address("to[0]", "bye@customer.io"), address("to[1]", "gone@customer.io")}
		r.BypassUnsubscribe = true
		return r
	}
	var refused *mail.Error
	if _, err := w.Submit(t.Context(), w.who, ask()); !errors.As(err, &refused) || refused.Status != 403 || refused.Suggestion != "messages.bypass" {
		t.Fatalf("got %v", err)
	}
	w.who.Key = &project.Key{ID: "k7f2q9xm", Scopes: []string{"messages.send", "messages.bypass"}}
	out, _ := w.sent(t, ask())
	if !out.Message.Bypass || out.Deliveries[0].Status != mail.Queued || out.Deliveries[1].Status != mail.Suppressed {
		t.Errorf("%v: %v, %v", out.Message.Bypass, out.Deliveries[0].Status, out.Deliveries[1].Status)
	}
}

package route_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

func TestSmartHostsAreNamedByPresetOrAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, user, password string
		want                 route.SmartHost
	}{
		{"gmail", "a@gmail.com", "p", route.SmartHost{Name: "gmail", Host: "smtp.gmail.com", Port: 587, User: "a@gmail.com", Password: "p"}},
		{"Outlook", "u", "p", route.SmartHost{Name: "outlook", Host: "smtp-mail.outlook.com", Port: 587, User: "u", Password: "p"}},
		{"office365", "u", "p", route.SmartHost{Name: "office365", Host: "smtp.office365.com", Port: 587, User: "u", Password: "p"}},
		{"yahoo", "u", "p", route.SmartHost{Name: "yahoo", Host: "smtp.mail.yahoo.com", Port: 465, Implicit: true, User: "u", Password: "p"}},
		{"sendgrid", "", "k", route.SmartHost{Name: "sendgrid", Host: "smtp.sendgrid.net", Port: 587, User: "apikey", Password: "k"}},
		{"mailgun", "u", "p", route.SmartHost{Name: "mailgun", Host: "smtp.mailgun.org", Port: 587, User: "u", Password: "p"}},
		{"mailgun:eu", "u", "p", route.SmartHost{Name: "mailgun", Host: "smtp.eu.mailgun.org", Port: 587, User: "u", Password: "p"}},
		{"postmark", "", "t", route.SmartHost{Name: "postmark", Host: "smtp.postmarkapp.com", Port: 587, User: "t", Password: "t"}},
		{"ses", "u", "p", route.SmartHost{Name: "ses", Host: "email-smtp.us-east-1.amazonaws.com", Port: 587, User: "u", Password: "p"}},
		{"ses:eu-west-1", "u", "p", route.SmartHost{Name: "ses", Host: "email-smtp.eu-west-1.amazonaws.com", Port: 587, User: "u", Password: "p"}},
		{"relay.example.com:25", "", "", route.SmartHost{Name: "relay.example.com", Host: "relay.example.com", Port: 25}},
		{"relay.example.com:465", "u", "p", route.SmartHost{Name: "relay.example.com", Host: "relay.example.com", Port: 465, Implicit: true, User: "u", Password: "p"}},
		{"smtps://relay.example.com:2465", "u", "p", route.SmartHost{Name: "relay.example.com", Host: "relay.example.com", Port: 2465, Implicit: true, User: "u", Password: "p"}},
	} {
		got, err := route.ParseSmartHost(c.text, c.user, c.password)
		if err != nil || *got != c.want {
			t.Errorf("%s: %+v, %v", c.text, got, err)
		}
	}
	for _, bad := range []struct{ text, user, password string }{
		{"gmail", "", ""}, {"gmail", "u", ""}, {"sendgrid", "", ""}, {"postmark", "", ""}, {"gmail:eu", "u", "p"}, {"ses:eu west", "u", "p"}, {"nobody", "u", "p"},
		{"a.test:0", "", ""}, {"a.test:x", "", ""}, {"192.0.2.1:25", "", ""}, {"a b:25", "", ""}, {"a.test:25", "u", ""}, {"a.test:25", "", "p"}, {"", "", ""},
	} {
		if got, err := route.ParseSmartHost(bad.text, bad.user, bad.password); err == nil {
			t.Errorf("%q was taken: %+v", bad.text, got)
		}
	}
}

// deaf is a resolver nobody may ask.
type deaf struct{ t *testing.T }

func (d deaf) MX(context.Context, string) ([]dns.MX, time.Time, error) {
	d.t.Error("the DNS was asked")
	return nil, time.Time{}, nil
}
func (d deaf) Addresses(context.Context, string) ([]netip.Addr, error) { return nil, nil }

func TestASmartHostTakesEverythingButTheSandboxs(t *testing.T) {
	t.Parallel()
	smart, err := route.ParseSmartHost("sendgrid", "", "k")
	if err != nil {
		t.Fatal(err)
	}
	d := route.New(route.Options{Resolver: deaf{t}, Hostname: "mail.acme.test", Source: route.Source{Name: "sendgrid", Smart: smart}})
	for range 2 {
		r, err := d.Route(t.Context(), mail.Live, "customer.io")
		if err != nil || r.Site != "sendgrid" || len(r.Hosts) != 1 || r.Hosts[0].Name != "smtp.sendgrid.net" || r.TLS != route.Required || r.Source.Smart != smart {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if d.Cached(mail.Live, "customer.io") == nil {
		t.Error("it is decided anew each time")
	}
	for env, destination := range map[mail.Env]string{mail.Test: "customer.io", mail.Live: route.SandboxDomain} {
		if r, err := d.Route(t.Context(), env, destination); err != nil || !r.Capture {
			t.Errorf("%v %s: %+v, %v", env, destination, r, err)
		}
	}
	if _, err := d.Route(t.Context(), mail.Live, "192.0.2.1"); err == nil {
		t.Error("an address literal has a route")
	}
}

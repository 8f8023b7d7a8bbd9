package route_test

import (
	"errors"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

func TestMagicRecipientsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	for local, want := range map[string]route.Magic{
		"delivered": {Kind: "delivered"}, "ada": {Kind: "delivered"}, "ada+tag": {Kind: "delivered"}, "": {Kind: "delivered"}, "bouncedx": {Kind: "delivered"},
		"bounced":        {Kind: "bounced", Code: 550, Enhanced: "5.1.1"},
		"Bounced+5.2.2":  {Kind: "bounced", Code: 550, Enhanced: "5.2.2"},
		"bounced+5.7.26": {Kind: "bounced", Code: 550, Enhanced: "5.7.26"},
		"bounced+552":    {Kind: "bounced", Code: 552, Enhanced: "5.2.2"},
		"deferred":       {Kind: "deferred", Count: 1}, "deferred+2": {Kind: "deferred", Count: 2}, "DEFERRED+100": {Kind: "deferred", Count: 100},
		"complained": {Kind: "complained"}, "complained+60s": {Kind: "complained", Delay: time.Minute},
		"suppressed": {Kind: "suppressed"}, "slow": {Kind: "slow", Delay: 10 * time.Second}, "slow+30s": {Kind: "slow", Delay: 30 * time.Second},
		"tlsfail": {Kind: "tlsfail"}, "reject": {Kind: "reject"}, "reject+why": {Kind: "reject"},
	} {
		if got, err := route.ParseMagic(local); err != nil || got != want {
			t.Errorf("%q: %+v, %v", local, got, err)
		}
	}
}

func TestAMagicParameterThatCannotBeIsAFault(t *testing.T) {
	t.Parallel()
	for _, local := range []string{
		"bounced+", "bounced+4.2.2", "bounced+5", "bounced+5.2", "bounced+5.02.2", "bounced+5.2.1000", "bounced+450", "bounced+5.2.2.2", "bounced+5.-1.2",
		"deferred+0", "deferred+-1", "deferred+x", "deferred+101", "deferred+", "complained+60", "complained+2h", "complained+-1s", "slow+11m", "slow+forever",
	} {
		got, err := route.ParseMagic(local)
		var fault *mail.Error
		if !errors.As(err, &fault) || fault.Code != "invalid_value" || fault.Message == "" {
			t.Errorf("%q: %+v, %v", local, got, err)
		}
		if plain, _ := route.ParseMagic(got.Kind); plain != got {
			t.Errorf("%q is played as %+v, want %+v", local, got, plain)
		}
	}
}

func FuzzParseMagic(f *testing.F) {
	f.Add("bounced+5.2.2")
	f.Add("deferred+2")
	f.Add("slow+30s")
	f.Fuzz(func(t *testing.T, local string) {
		m, _ := route.ParseMagic(local)
		if m.Delay < 0 || m.Delay > time.Hour || m.Count < 0 || m.Count > 100 || m.Code != 0 && m.Code/100 != 5 {
			t.Fatalf("%q: %+v", local, m)
		}
	})
}

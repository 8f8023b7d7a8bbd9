package submission

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// One Postroad is the smart host of another: live mail of the first leaves through the
// submission door of the second, whose test key keeps it in its sandbox.
func TestLiveMailLeavesThroughASmartHost(t *testing.T) {
	t.Parallel()
	smart := openAs(t, "smart.test")
	for name, c := range map[string]struct {
		host, password, events, told string
		trusted                      bool
	}{
		"STARTTLS":           {"smart.test:" + port(smart.SMTP), harness.TestKey, "queued accepted delivered", "queued", true},
		"TLS from the start": {"smtps://smart.test:" + port(smart.implicit), harness.TestKey, "queued accepted delivered", "queued", true},
		"a wrong password":   {"smart.test:" + port(smart.SMTP), "not-the-password-of-anybody", "queued accepted deferred", "The API key is not known here", true},
		"a strange certificate": {"smart.test:" + port(smart.SMTP), harness.TestKey, "queued accepted deferred",
			"certificate", false},
		"a strange one, TLS from the start": {"smtps://smart.test:" + port(smart.implicit), harness.TestKey, "queued accepted deferred", "certificate", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := harness.OpenWorld(t)
			if err := world.Records("smart.test. A 127.0.0.1\n"); err != nil {
				t.Fatal(err)
			}
			env := world.Env("POSTROAD_SMART_HOST", c.host, "POSTROAD_SMART_HOST_USER", "relay", "POSTROAD_SMART_HOST_PASSWORD", c.password)
			if c.trusted {
				env["SSL_CERT_FILE"] = smart.ca
			}
			p := harness.Start(t, harness.Options{Env: env})
			if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
				t.Fatal(err)
			}
			key := "smart-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			id := p.Send(t, harness.LiveKey, map[string]any{"from": "Acme <hello@acme.test>", "recipient": "ada@customer.io", "subject": key, "text": "Hello"})
			p.ExpectEvents(t, harness.LiveKey, id, "", c.events, 20*time.Second)
			attempt := p.Attempts(t, harness.LiveKey, id)[0]
			if !strings.Contains(attempt.Reply.Text, c.told) {
				t.Errorf("told %+v", attempt.Reply)
			}
			for _, line := range attempt.Transcript {
				if strings.Contains(line.Line, c.password) || strings.HasPrefix(line.Line, "AUTH") && !strings.HasSuffix(line.Line, "****") {
					t.Errorf("the transcript shows %q", line.Line)
				}
			}
			var kept struct {
				Data []struct {
					From    any    `json:"from"`
					Subject string `json:"subject"`
				} `json:"data"`
			}
			a := smart.Must(t, http.StatusOK, "GET", "/v1/messages?limit=100", harness.TestKey, nil)
			if err := json.Unmarshal(a.Body, &kept); err != nil {
				t.Fatal(err)
			}
			arrived := 0
			for _, m := range kept.Data {
				if m.Subject == key {
					arrived++
				}
			}
			if want := strings.Count(c.events, "delivered"); arrived != want {
				t.Errorf("%d arrived, want %d", arrived, want)
			}
		})
	}
}

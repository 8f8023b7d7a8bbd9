package hyvor

import (
	"context"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// attack is what a browser that takes it for HTML would obey.
const attack = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// browser finds a Chromium.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("chromium is not installed, so no browser is asked")
	return ""
}

// page is what a browser makes of an address, once its scripts have come to rest.
func page(t *testing.T, browser, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=15000", "--dump-dom", address)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the browser: %v", err)
	}
	return string(out)
}

// What a site, the DNS or a sender says is shown by the page at / as it was said. The original
// there shows some of it as HTML (S8).
func TestHostileTextStaysTextInABrowser(t *testing.T) {
	t.Parallel()
	chromium := browser(t)
	world := harness.OpenWorld(t)
	world.Exchanger(t, "127.0.0.1", "about refuses with HTML\non rcpt: 550 5.1.1 "+strings.ReplaceAll(attack, ";", `\;`))
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_LOG_LEVEL", "warn")})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	id := p.Send(t, harness.LiveKey, map[string]any{"from": "hello@acme.test", "to": map[string]string{"email": "ada@site.test", "name": attack}, "subject": attack, "text": attack})
	p.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted bounced", time.Minute)

	for path, said := range map[string]string{"/": "&lt;img src=x onerror=", "/p/default/messages/" + id: "550 5.1.1 &lt;img src=x onerror="} {
		shown := page(t, chromium, p.URL+path+"#key="+url.QueryEscape(harness.LiveKey))
		if !strings.Contains(shown, said) {
			t.Errorf("%s does not show what was said: %.3000s", path, shown)
		}
		if strings.Contains(shown, "<title>owned") || strings.Contains(shown, `<img src="x"`) || strings.Contains(shown, "<script>document") {
			t.Errorf("%s takes text for HTML: %.3000s", path, shown)
		}
	}
}

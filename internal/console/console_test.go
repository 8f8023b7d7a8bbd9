package console_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/console"
	"github.com/postroad/postroad/internal/mail"
)

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("page/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEachFileComesWithItsTypeAndTheStrictPolicy(t *testing.T) {
	t.Parallel()
	types := map[string]string{"/": "text/html", "/console.css": "text/css", "/console.js": "text/javascript", "/favicon.svg": "image/svg+xml"}
	for _, path := range console.Paths {
		r := get(t, "GET", path)
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), types[path]) || types[path] == "" {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: may be sniffed", path)
		}
		if again := get(t, "GET", path, "If-None-Match", r.Header.Get("ETag")); again.StatusCode != 304 {
			t.Errorf("%s: with its ETag: %d", path, again.StatusCode)
		}
	}
}

func TestTheLinksOfTheAPIsAnswersLeadToThePage(t *testing.T) {
	t.Parallel()
	page, linked := get(t, "GET", "/"), get(t, "GET", "/p/default/messages/msg_01kpk2byj0emq8k9w39qsaekf4")
	if linked.StatusCode != 200 || linked.Header.Get("ETag") != page.Header.Get("ETag") || linked.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %v", linked.StatusCode, linked.Header)
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/index.html", "/page/console.js", "/x", "/../go.mod"} {
		if r := get(t, "GET", path); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r := get(t, "POST", "/"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: %d", r.StatusCode)
	}
}

func TestThePageHasNothingThePolicyForbidsAndNoOtherOrigin(t *testing.T) {
	t.Parallel()
	html, script := read(t, "index.html"), read(t, "console.js")
	for _, bad := range []string{`<script>`, `style="`, `<style`, ` on[a-z]+="`, `javascript:`, `https?://`} {
		if regexp.MustCompile(bad).MatchString(html) {
			t.Errorf("the page has %s", bad)
		}
	}
	for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", ".style", "http://", "https://"} {
		if regexp.MustCompile(regexp.QuoteMeta(bad)).MatchString(script) {
			t.Errorf("the script has %s: foreign text could become markup, or the policy would stop it", bad)
		}
	}
	if !strings.Contains(script, `sandbox: ""`) {
		t.Error("the mail's frame has rights")
	}
}

func TestEveryElementTheScriptNamesIsOnThePage(t *testing.T) {
	t.Parallel()
	html, script := read(t, "index.html"), read(t, "console.js")
	names := regexp.MustCompile(`\$\("([a-z-]+)"\)`).FindAllStringSubmatch(script, -1)
	if len(names) < 20 {
		t.Fatalf("found only %d", len(names))
	}
	for _, m := range names {
		if strings.Count(html, ` id="`+m[1]+`"`) != 1 {
			t.Errorf("id %q is not on the page exactly once", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`<(?:input|textarea) id="([a-z]+)"`).FindAllStringSubmatch(html, -1) {
		if !strings.Contains(html, `<label for="`+m[1]+`"`) {
			t.Errorf("field %q has no label", m[1])
		}
	}
}

func TestEveryStatusHasAShapeAndAColour(t *testing.T) {
	t.Parallel()
	css, script := read(t, "console.css"), read(t, "console.js")
	shapes := map[string]string{}
	for s := mail.Scheduled; s <= mail.Failed; s++ {
		name := s.String()
		m := regexp.MustCompile(`\.` + name + `(?:, \.[a-z]+)? \{ color: var\(--` + name + `\); \} \.` + name + `::before(?:, \.[a-z]+::before)? \{ content: "(.+?)"; \}`).FindStringSubmatch(css)
		if m == nil {
			t.Errorf("%s has no shape and colour in the stylesheet", name)
			continue
		}
		if other, taken := shapes[m[1]]; taken {
			t.Errorf("%s and %s share a shape", name, other)
		}
		shapes[m[1]] = name
		if !strings.Contains(script, `"`+name+`"`) {
			t.Errorf("the script does not know %s", name)
		}
	}
}

func TestTextHasEnoughContrastInBothThemes(t *testing.T) {
	t.Parallel()
	light, dark, ok := strings.Cut(read(t, "console.css"), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark theme")
	}
	dark, _, _ = strings.Cut(dark, "\n}\n")
	for theme, css := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		if len(colours) < 18 {
			t.Fatalf("%s: %d colours", theme, len(colours))
		}
		for name, colour := range colours {
			if name == "page" || name == "panel" || name == "line" {
				continue
			}
			for _, ground := range []string{"page", "panel"} {
				if c := contrast(colour, colours[ground]); c < 4.5 {
					t.Errorf("%s: %s on %s is %.2f", theme, name, ground, c)
				}
			}
		}
	}
}

// contrast is WCAG 2.2's ratio of two colours.
func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(colour string) (l float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

// Whatever a text says, the page has no way to take it for HTML: it never asks for that, and the
// frame with a mail's own HTML may do nothing.
func TestThePageMakesNoHTMLOfTexts(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("page/console.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "setHTML", "eval(", "new Function", "javascript:"} {
		if strings.Contains(string(script), way) {
			t.Errorf("the page's script has %s", way)
		}
	}
	frames, bare := strings.Count(string(script), `node("iframe"`), strings.Count(string(script), `node("iframe", { sandbox: ""`)
	if frames != 1 || bare != 1 || strings.Count(string(script), "srcdoc") != 1 {
		t.Errorf("%d frames, %d of them may do nothing", frames, bare)
	}
	if !strings.Contains(console.Policy, "script-src 'self';") || strings.Contains(console.Policy, "unsafe") {
		t.Errorf("the policy is %s", console.Policy)
	}
}

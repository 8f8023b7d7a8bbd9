package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// Policy is the Content-Security-Policy of the page. The frame with a mail's HTML inherits
// it, so remote images and the mail's own styles do not load there either.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// contentTypes are fixed here: the host's MIME table must not decide them.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

type asset struct {
	contentType, etag string
	bytes             []byte
}

// Paths are the page and its files.
var Paths = []string{"/", "/console.css", "/console.js", "/favicon.svg"}

// Owns tells whether a path is the console's: one of [Paths], or below /p/, where the
// links in the API's answers lead (/p/PROJECT/messages/ID), or the set-up's that a start
// prints. There the page itself is served; the script shows what the address names.
func Owns(path string) bool {
	return slices.Contains(Paths, path) || path == "/setup" || strings.HasPrefix(path, "/p/")
}

// Handler serves the page and its files; any other path is 404.
func Handler() http.Handler {
	assets := map[string]asset{}
	for _, p := range Paths {
		name := strings.TrimPrefix(p, "/")
		if name == "" {
			name = "index.html"
		}
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			panic("console: " + err.Error()) // embedded: cannot be missing in a built binary
		}
		sum := sha256.Sum256(text)
		assets[p] = asset{contentTypes[path.Ext(name)], `"` + hex.EncodeToString(sum[:8]) + `"`, text}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok && Owns(r.URL.Path) {
			a, ok = assets["/"], true
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The console is only read here.", http.StatusMethodNotAllowed)
			return
		}
		serve(w, r, a)
	})
}

func serve(w http.ResponseWriter, r *http.Request, a asset) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // ask again; the ETag makes it cheap
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.bytes))
}

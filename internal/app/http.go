package app

import (
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/console"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	linksdoor "github.com/postroad/postroad/internal/httpapi/links"
	"github.com/postroad/postroad/internal/httpapi/reference"
)

// door serves the paths it owns.
type door struct {
	owns func(path string) bool
	http.Handler
}

// doors are those beside the API, less the console.
func doors(dialect, links, docs http.Handler) []door {
	return []door{{hyvor.Owns, dialect}, {linksdoor.Owns, links}, {reference.Owns, docs}}
}

// newHandler puts what the server answers itself beside the API, which takes all the
// rest: an unknown path is its 404 in JSON. A map look-up of the exact path comes before the API's
// own routing, so that sending pays nothing for the probes.
func newHandler(api, ready, metrics http.Handler, beside []door) http.Handler {
	own := map[string]http.Handler{
		"/healthz": readOnly(http.HandlerFunc(serveHealth)),
		"/readyz":  readOnly(ready),
		"/metrics": readOnly(metrics),
	}
	beside = append(beside, door{console.Owns, console.Handler()})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := own[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		for i := range beside {
			if beside[i].owns(r.URL.Path) {
				beside[i].ServeHTTP(w, r)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeState(w, http.StatusMethodNotAllowed, "error", "only GET is answered here")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// guardMetrics lets in the networks the operator named, and whoever has the token.
func guardMetrics(h http.Handler, s config.HTTP) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !mayRead(r, s) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeState(w, http.StatusUnauthorized, "error", "not from this address without the metrics token")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func mayRead(r *http.Request, s config.HTTP) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && s.MetricsToken != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.MetricsToken)) == 1 {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(s.MetricsNetworks, func(p netip.Prefix) bool {
		return p.Contains(from.Addr().Unmap().WithZone(""))
	})
}

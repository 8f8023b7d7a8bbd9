package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/postroad/postroad/internal/config"
)

func answer(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func TestProbesAndPageAreAnsweredHereAndAllElseByTheAPI(t *testing.T) {
	t.Parallel()
	h := newHandler(answer(418), answer(201), answer(203), doors(answer(204), answer(202), answer(205)))
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 201, "/metrics": 203, "/": 200, "/console.js": 200, "/p/default/messages/msg_1": 200, "/p": 418,
		"/u/x": 202, "/c/x": 202, "/o/x": 202, "/u/": 418, "/openapi.json": 205, "/openapi.yaml": 205, "/docs": 205, "/docs/errors": 205, "/docsx": 418, "/openapi": 418,
		"/v1/messages": 418, "/nonsense": 418, "/healthz/": 418, "/readyzz": 418, "/api/health": 204, "/api/console/sends": 204, "/api": 418, "/apis/x": 418} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/readyz", nil))
	if w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("POST /readyz: %d", w.Code)
	}
}

func TestMetricsAreForTheNetworksAndTheTokenOnly(t *testing.T) {
	t.Parallel()
	s := config.HTTP{MetricsNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MetricsToken: "the-token"}
	for _, c := range []struct {
		from, authorization string
		want                int
	}{
		{"10.1.2.3:99", "", 200},
		{"[::ffff:10.1.2.3]:99", "", 200},
		{"192.0.2.1:99", "", 401},
		{"192.0.2.1:99", "Bearer the-token", 200},
		{"192.0.2.1:99", "Bearer another", 401},
		{"192.0.2.1:99", "Bearer ", 401},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = c.from
		r.Header.Set("Authorization", c.authorization)
		w := httptest.NewRecorder()
		guardMetrics(answer(200), s).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr, s.MetricsToken = "192.0.2.1:99", ""
	r.Header.Set("Authorization", "Bearer ")
	if mayRead(r, s) {
		t.Error("an empty token opens where none is set")
	}
}

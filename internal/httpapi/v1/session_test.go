package v1_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

func env(test bool) mail.Env {
	if test {
		return mail.Test
	}
	return mail.Live
}

const password = "correct horse battery"

// browse makes a request as the console's page does: with a cookie, if there is one.
func (h *house) browse(cookie *http.Cookie, method, path, body string, headers ...string) answer {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, "https://mail.acme.test"+path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{w, h.t}
	if w.Header().Get("X-RateLimit-Limit") == "" || w.Header().Get("X-Request-Id") == "" {
		h.t.Errorf("%s %s: %d without the headers of every answer", method, path, w.Code)
	}
	h.judge(r, w)
	return a
}

// cookie is what a login's answer sets.
func (a answer) cookie() *http.Cookie {
	a.t.Helper()
	all := a.Result().Cookies()
	if len(all) != 1 {
		a.t.Fatalf("%d cookies: %s", len(all), a.Body)
	}
	return all[0]
}

func (h *house) setUp() *http.Cookie {
	h.t.Helper()
	token, err := h.sessions.Bootstrap(h.t.Context(), "")
	if err != nil || token == "" {
		h.t.Fatal(token, err)
	}
	return h.browse(nil, "POST", "/v1/session/setup", `{"token":"`+token+`","password":"`+password+`"}`).is(201, "").cookie()
}

func TestTheSetUpWorksOnceWithinHalfAnHour(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	late, err := h.sessions.Bootstrap(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	h.browse(nil, "POST", "/v1/session/setup", `{"token":"wrong","password":"`+password+`"}`).is(401, "invalid_credentials")
	h.browse(nil, "POST", "/v1/session/setup", `{"token":"`+late+`","password":"short"}`).is(422, "validation_failed")
	h.browse(nil, "POST", "/v1/session/setup", `{}`).is(422, "validation_failed")
	h.pass(31 * time.Minute)
	h.browse(nil, "POST", "/v1/session/setup", `{"token":"`+late+`","password":"`+password+`"}`).is(401, "invalid_credentials")
	token, _ := h.sessions.Bootstrap(t.Context(), "")
	body := `{"token":"` + token + `","password":"` + password + `"}`
	c := h.browse(nil, "POST", "/v1/session/setup", body).is(201, "").cookie()
	if c.Name != "__Host-postroad" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 7*24*3600 {
		t.Errorf("%+v", c)
	}
	h.browse(nil, "POST", "/v1/session/setup", body).is(401, "invalid_credentials")
	if token, _ := h.sessions.Bootstrap(t.Context(), ""); token != "" {
		t.Error("a set-up beside a user")
	}
	h.browse(c, "GET", "/v1/session", "").is(200, "")
}

func TestALoginTakesNoRoomFromThoseWhoHaveAKey(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for _, path := range []string{"/v1/session", "/v1/session/setup"} {
		large := `{"password":"` + strings.Repeat("x", 16<<10) + `"}`
		if a := h.browse(nil, "POST", path, large).is(413, "payload_too_large"); a.at("/limit_bytes") != "16384" {
			t.Errorf("%s", a.Body)
		}
	}
}

func TestASessionActsInTheEnvironmentItNames(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	c := h.setUp()
	me := h.browse(c, "GET", "/v1/me", "").is(200, "")
	if me.at("/environment") != "test" || me.at("/key") != "null" || me.at("/session/user/name") != "admin" || me.at("/project/name") != "default" || !strings.Contains(me.at("/scopes"), "instance.write") {
		t.Errorf("%s", me.Body)
	}
	if live := h.browse(c, "GET", "/v1/me", "", "X-Postroad-Environment: live").is(200, ""); live.at("/environment") != "live" {
		t.Errorf("%s", live.Body)
	}
	h.browse(c, "GET", "/v1/me", "", "X-Postroad-Environment: prod").is(400, "invalid_header")
	h.browse(c, "GET", "/v1/me", "", "X-Postroad-Project: nobody").is(400, "invalid_header")
	h.browse(c, "POST", "/v1/projects", `{"name":"shop"}`).is(201, "")
	if other := h.browse(c, "GET", "/v1/me", "", "X-Postroad-Project: shop").is(200, ""); other.at("/project/name") != "shop" {
		t.Errorf("%s", other.Body)
	}
	sent := h.browse(c, "POST", "/v1/messages", aMessage).is(202, "")
	m := h.ask(testKey, "GET", "/v1/messages/"+sent.at("/message_id"), "").is(200, "")
	if m.at("/via") != "console" || m.at("/api_key_id") != "null" {
		t.Errorf("%s", m.Body)
	}
	key := h.browse(c, "POST", "/v1/api-keys", `{"name":"by hand","environment":"live","scopes":["messages.send"]}`).is(201, "")
	if !strings.HasPrefix(key.at("/created_by"), "usr_") {
		t.Errorf("%s", key.Body)
	}
	e := h.browse(c, "GET", "/v1/audit?action=api_keys.create", "").is(200, "")
	if e.at("/data/0/actor/type") != "session" || e.at("/data/0/actor/name") != "admin" || !strings.HasPrefix(e.at("/data/0/actor/session_id"), "ses_") || e.at("/data/0/target") != key.at("/key_id") {
		t.Errorf("%s", e.Body)
	}
	h.ask(testKey, "GET", "/v1/session", "").is(404, "not_found")
}

func TestPagesOfOtherOriginsCannotUseTheCookie(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	c := h.setUp()
	for name, headers := range map[string][]string{
		"another site":             {"Sec-Fetch-Site: cross-site"},
		"a sister domain":          {"Sec-Fetch-Site: same-site"},
		"an old browser elsewhere": {"Sec-Fetch-Site: ", "Origin: https://evil.test"},
	} {
		for _, request := range [][3]string{{"POST", "/v1/messages", aMessage}, {"PATCH", "/v1/project", `{"strict_fields":true}`}, {"DELETE", "/v1/session", ""}, {"POST", "/v1/session", `{"password":"` + password + `"}`}} {
			if a := h.browse(c, request[0], request[1], request[2], headers...); a.Code != 403 || a.at("/code") != "cross_origin_request" {
				t.Errorf("%s: %s %s: %d %s", name, request[0], request[1], a.Code, a.Body)
			}
		}
	}
	for name, headers := range map[string][]string{
		"our page":                  {"Sec-Fetch-Site: same-origin"},
		"an old browser here":       {"Sec-Fetch-Site: ", "Origin: https://mail.acme.test"},
		"no browser":                {"Sec-Fetch-Site: "},
		"a proxy with another name": {"Sec-Fetch-Site: ", "Origin: https://mail.acme.test", "Host: 127.0.0.1"},
	} {
		if a := h.browse(c, "PATCH", "/v1/project", `{"strict_fields":false}`, headers...); a.Code != 200 {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
	if n := h.count(); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

func TestSessionsEndByThemselvesAndByOrder(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	first := h.setUp()
	login := func() *http.Cookie {
		t.Helper()
		return h.browse(nil, "POST", "/v1/session", `{"password":"`+password+`"}`).is(201, "").cookie()
	}
	second, third := login(), login()
	list := h.browse(first, "GET", "/v1/sessions", "").is(200, "")
	if list.at("/data/2/current") != "true" || list.at("/data/0/current") != "false" || list.at("/data/3") != "" || list.at("/data/0/ip") != "192.0.2.1" {
		t.Errorf("%s", list.Body)
	}
	h.browse(first, "DELETE", "/v1/sessions/"+list.at("/data/1/session_id"), "").is(204, "")
	h.browse(second, "GET", "/v1/me", "").is(401, "session_expired")
	h.browse(first, "DELETE", "/v1/sessions/"+list.at("/data/1/session_id"), "").is(404, "not_found")
	if out := h.browse(third, "DELETE", "/v1/session", "").is(204, "").cookie(); out.MaxAge >= 0 || out.Value != "" {
		t.Errorf("%+v", out)
	}
	h.browse(third, "GET", "/v1/me", "").is(401, "session_expired")

	fourth := login()
	h.browse(first, "PATCH", "/v1/session", `{"password":"wrong word","new_password":"staple battery"}`).is(422, "validation_failed")
	h.browse(first, "PATCH", "/v1/session", `{"password":"`+password+`","new_password":"staple battery"}`).is(204, "")
	h.browse(fourth, "GET", "/v1/me", "").is(401, "session_expired")
	h.browse(first, "GET", "/v1/me", "").is(200, "")
	h.browse(nil, "POST", "/v1/session", `{"password":"`+password+`"}`).is(401, "invalid_credentials")
	if e := h.browse(first, "GET", "/v1/audit?action=users.password", "").is(200, ""); e.at("/data/0/changes/0/to") != "[redacted]" {
		t.Errorf("%s", e.Body)
	}

	for range 9 { // used every 20 hours it lives, but not longer than a week
		h.pass(20 * time.Hour)
		h.browse(first, "GET", "/v1/me", "")
	}
	h.browse(first, "GET", "/v1/me", "").is(401, "session_expired")
	idle := h.browse(nil, "POST", "/v1/session", `{"password":"staple battery"}`).is(201, "").cookie()
	h.pass(23 * time.Hour)
	h.browse(idle, "GET", "/v1/me", "").is(200, "")
	h.pass(25 * time.Hour)
	h.browse(idle, "GET", "/v1/me", "").is(401, "session_expired")
	h.browse(&http.Cookie{Name: "__Host-postroad", Value: "made up"}, "GET", "/v1/me", "").is(401, "session_expired")
}

func TestGuessingPasswordsIsSlow(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.setUp()
	wrong := func() answer { return h.browse(nil, "POST", "/v1/session", `{"password":"not this one"}`) }
	for i := range 5 {
		wrong().is(401, "invalid_credentials")
		_ = i
	}
	a := wrong().is(429, "rate_limited")
	if a.Header().Get("Retry-After") != "1" || a.at("/violated_policies/0") != "login" {
		t.Errorf("%s %v", a.Body, a.Header())
	}
	h.browse(nil, "POST", "/v1/session", `{"password":"`+password+`"}`).is(429, "rate_limited") // the right one waits too
	h.pass(time.Second)
	wrong().is(401, "invalid_credentials")
	if a := wrong().is(429, "rate_limited"); a.Header().Get("Retry-After") != "2" {
		t.Errorf("the wait does not double: %v", a.Header().Get("Retry-After"))
	}
	h.pass(2 * time.Second)
	h.browse(nil, "POST", "/v1/session", `{"password":"`+password+`"}`).is(201, "")
	wrong().is(401, "invalid_credentials") // forgotten with the right one
}

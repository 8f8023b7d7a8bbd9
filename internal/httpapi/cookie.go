package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Names of the session's cookie. The first needs https: browsers refuse it elsewhere, and
// nothing but this host can set it. Where the public URL is not https there is the second.
const (
	secureCookie = "__Host-postroad"
	plainCookie  = "postroad"
)

// Headers by which a session's request names its part of the data.
const (
	envHeader     = "X-Postroad-Environment"
	projectHeader = "X-Postroad-Project"
)

func (d *Door) cookieName() string {
	if d.secure {
		return secureCookie
	}
	return plainCookie
}

// newOrigins lets in writes that come from our own pages: same origin by what browsers say of
// each request, or from the public URL where a proxy changed the host's name.
func newOrigins(publicURL string) *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	if u, err := url.Parse(publicURL); err == nil && u.Host != "" {
		_ = p.AddTrustedOrigin(u.Scheme + "://" + u.Host) // made of a URL's parts: always one
	}
	return p
}

var errOrigin = &mail.Error{Code: "cross_origin_request", Status: 403, Message: "This request comes from a page of another origin. Sessions are for our own pages; use an API key elsewhere."}

// SameOrigin tells whether a request that may change something comes from our own pages, or
// from no browser at all. False: it has answered.
func (c *Call) SameOrigin() bool {
	if c.door.origins.Check(c.R) != nil {
		c.Fail(errOrigin)
		return false
	}
	return true
}

// SessionSecret is the cookie of the console's login, "" when there is none.
func (c *Call) SessionSecret() string {
	if len(c.R.Header["Cookie"]) == 0 {
		return ""
	}
	cookie, err := c.R.Cookie(c.door.cookieName())
	if err != nil {
		return ""
	}
	return cookie.Value
}

// SetSession gives the browser a login's cookie; life 0 takes it away. SameSite is strict: the
// page itself is public, and its own requests carry the cookie.
func (c *Call) SetSession(secret string, life time.Duration) {
	cookie := &http.Cookie{Name: c.door.cookieName(), Value: secret, Path: "/", MaxAge: int(life / time.Second), Secure: c.door.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if life == 0 {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.W, cookie)
}

// authenticateSession is for callers without a key who have a session's cookie.
func (c *Call) authenticateSession(secret string) (project.Principal, *mail.Error) {
	at, fault := placeOf(c.R.Header)
	if fault != nil {
		return project.Principal{}, fault
	}
	if c.door.origins.Check(c.R) != nil {
		return project.Principal{}, errOrigin
	}
	return c.door.sessions.Authenticate(c.R.Context(), secret, at, c.IP, c.Arrived)
}

// placeOf reads which project and environment a session's request is about: test unless it
// says live, so that nothing leaves the host by an oversight.
func placeOf(h http.Header) (project.Place, *mail.Error) {
	at := project.Place{Project: h.Get(projectHeader), Env: mail.Test}
	if v := h.Get(envHeader); v != "" {
		env, ok := mail.ParseEnv(v)
		if !ok {
			return at, &mail.Error{Code: "invalid_header", Status: 400, Message: envHeader + " is 'live' or 'test'."}
		}
		at.Env = env
	}
	return at, nil
}

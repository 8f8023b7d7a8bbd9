package v1

import (
	"errors"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

type sessionOut struct {
	ID        string    `json:"session_id"`
	Object    string    `json:"object"`
	User      userOut   `json:"user"`
	Current   bool      `json:"current"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"last_seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
	IP        *string   `json:"ip"`
	Agent     *string   `json:"user_agent"`
}

type userOut struct {
	ID   string `json:"user_id"`
	Name string `json:"name"`
}

func sessionOf(s, current *project.Session) sessionOut {
	return sessionOut{ID: s.ID.Text(mail.PrefixSession), Object: "session", User: userOut{s.UserID.Text(mail.PrefixUser), s.UserName},
		Current: current != nil && s.ID == current.ID, CreatedAt: s.CreatedAt, SeenAt: s.SeenAt, ExpiresAt: s.ExpiresAt, IP: orNull(s.IP), Agent: orNull(s.Agent)}
}

// client is where a login comes from.
func client(c *httpapi.Call) project.Client {
	return project.Client{IP: c.IP, Agent: c.R.UserAgent()}
}

// texts reads a login's form: all its members are texts that must be there.
func (a *API) loginForm(c *httpapi.Call, names ...string) (map[string]string, bool) {
	if a.o.Sessions == nil {
		c.Fail(mail.ErrNotFound)
		return nil, false
	}
	if !c.SameOrigin() {
		return nil, false
	}
	out := map[string]string{}
	f, ok := a.readForm(c, append([]string{"user"}, names...), func(f *form, name string, v value) {
		if s, ok := f.text(name, v); ok {
			out[name] = s
		}
	})
	if !ok {
		return nil, false
	}
	for _, name := range names {
		if out[name] == "" && len(f.faults) == 0 {
			f.fault(name, "missing_required_field", "Give '"+name+"'.")
		}
	}
	return out, !f.failed()
}

// logIn begins a session: {"password"}, and a cookie that holds its secret.
func (a *API) logIn(c *httpapi.Call) {
	in, ok := a.loginForm(c, "password")
	if !ok {
		return
	}
	if in["user"] == "" {
		in["user"] = project.AdminName
	}
	l, err := a.o.Sessions.Login(c.Context(), in["user"], in["password"], client(c))
	a.welcome(c, l, err)
}

// setUp makes the first user: {"token","password"}.
func (a *API) setUp(c *httpapi.Call) {
	in, ok := a.loginForm(c, "token", "password")
	if !ok {
		return
	}
	l, err := a.o.Sessions.SetUp(c.Context(), in["token"], in["password"], client(c))
	a.welcome(c, l, err)
}

func (a *API) welcome(c *httpapi.Call, l project.Login, err error) {
	if err != nil {
		a.failLogin(c, err)
		return
	}
	c.SetSession(l.Secret, a.o.Sessions.Life())
	give(c, http.StatusCreated, sessionOf(&l.Session, &l.Session))
}

func (a *API) failLogin(c *httpapi.Call, err error) {
	var wait *project.WaitError
	if !errors.As(err, &wait) {
		c.Fail(err)
		return
	}
	seconds := int((wait.Wait + time.Second - 1) / time.Second)
	c.Problem(httpapi.Problem{Code: "rate_limited", RetryAfter: seconds, Detail: "Too many wrong passwords. Wait as long as Retry-After says.",
		Extra: []httpapi.Extra{{Name: "violated_policies", Value: []string{"login"}}, {Name: "retry_after_seconds", Value: seconds}}})
}

// mine gives the caller's session. False: it has answered.
func (a *API) mine(c *httpapi.Call) (*project.Session, bool) {
	if c.Who.Session == nil || a.o.Sessions == nil {
		c.Fail(&mail.Error{Code: "not_found", Status: 404, Message: "This request was made with an API key: there is no session. Log in: POST /v1/session."})
		return nil, false
	}
	return c.Who.Session, true
}

func (a *API) getSession(c *httpapi.Call) {
	if s, ok := a.mine(c); ok {
		give(c, http.StatusOK, sessionOf(s, s))
	}
}

// logOut ends the session and takes the cookie away; without one it does the latter.
func (a *API) logOut(c *httpapi.Call) {
	if !c.SameOrigin() {
		return
	}
	if secret := c.SessionSecret(); secret != "" && a.o.Sessions != nil {
		who, fault := a.o.Sessions.Authenticate(c.Context(), secret, project.Place{Env: mail.Test}, c.IP, c.Arrived)
		if fault == nil {
			if err := a.o.Sessions.End(c.Context(), who.Session.User, who.Session.ID); err != nil && !errors.Is(err, mail.ErrNotFound) {
				c.Fail(err)
				return
			}
		}
	}
	c.SetSession("", 0)
	c.Empty()
}

func (a *API) changePassword(c *httpapi.Call) {
	s, ok := a.mine(c)
	if !ok {
		return
	}
	in, ok := a.loginForm(c, "password", "new_password")
	if !ok {
		return
	}
	if err := a.o.Sessions.ChangePassword(c.Audit("users.password"), *s, in["password"], in["new_password"], client(c)); err != nil {
		a.failLogin(c, err)
		return
	}
	c.Empty()
}

func (a *API) listSessions(c *httpapi.Call) {
	s, ok := a.mine(c)
	if !ok {
		return
	}
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	all, err := a.o.Sessions.List(c.Context(), s.User)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]sessionOut, len(all))
	for i := range all {
		out[i] = sessionOf(&all[i], s)
	}
	pageWhole(a, l, out)
}

func (a *API) endSession(c *httpapi.Call) {
	s, ok := a.mine(c)
	if !ok {
		return
	}
	id, err := mail.ParseID(mail.PrefixSession, c.Param(0))
	if err == nil {
		err = a.o.Sessions.End(c.Audit("sessions.delete"), s.User, id)
	} else {
		err = mail.ErrNotFound
	}
	if err != nil {
		c.Fail(err)
		return
	}
	c.Empty()
}

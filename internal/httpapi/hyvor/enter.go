package hyvor

import (
	"net/http"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Words of refused authentication. The order in which they are asked is contract: header,
// prefix, key, address, scope.
const (
	textNoBearer = `Authorization header must start with "Bearer ".`
	textEmptyKey = "API key is missing or empty."
	textBadKey   = "Invalid API key."
	textAddress  = "Client IP is not allowed for this API key."
)

// authenticate tells who calls.
func (a *API) authenticate(c *httpapi.Call) (project.Principal, *mail.Error) {
	given := c.R.Header["Authorization"]
	if len(given) == 0 {
		return project.Principal{}, &mail.Error{Code: "missing_api_key", Status: http.StatusUnauthorized, Message: "Unauthorized"}
	}
	// Servers cut the blanks at a header's end: "Bearer " arrives as "Bearer".
	secret, ok := strings.CutPrefix(given[0]+" ", "Bearer ")
	switch secret = strings.TrimSpace(secret); {
	case !ok:
		return project.Principal{}, refuseKey(textNoBearer)
	case secret == "":
		return project.Principal{}, refuseKey(textEmptyKey)
	}
	who, fault := a.o.Access.Authenticate(c.Context(), secret, c.IP, c.Arrived)
	switch {
	case fault == nil && who.Key == nil:
		return project.Principal{}, refuseKey(textBadKey) // not a key: nothing else is taken here
	case fault == nil, fault.Status >= 500:
		return who, fault
	}
	return project.Principal{}, refuseKey(textBadKey)
}

func refuseKey(message string) *mail.Error {
	return &mail.Error{Code: "invalid_api_key", Status: http.StatusForbidden, Message: message}
}

// authorize tells whether the caller may use the route, from where they call.
func (a *API) authorize(c *httpapi.Call) *mail.Error {
	if !project.AddressAllowed(c.Who.Key.IPAllowlist, c.IP) {
		return &mail.Error{Code: "ip_not_allowed", Status: http.StatusForbidden, Message: textAddress}
	}
	if need := a.needs[c.Route().Method+" "+c.Route().Pattern]; !has(c.Who.Key, need.v1) {
		return &mail.Error{Code: "invalid_scope", Status: http.StatusForbidden, Message: textScope(need.hyvor)}
	}
	return nil
}

func textScope(scope string) string {
	return "You do not have the required scope '" + scope + "' to access this resource."
}

// limits are those of this dialect: sends by project and environment, all else by key. A
// project or key that was given a limit of its own has that besides.
type limits struct {
	sends *project.Policy[mail.Owner]
	keys  *project.Policy[string]
	own   *project.Limits
}

// Take draws one request.
func (l *limits) Take(c *httpapi.Call) project.Standing {
	s := l.policy(c, true)
	if !s.OK || !hasOwn(c) {
		return s
	}
	own := l.own.Take(c.Who, c.Arrived)
	switch {
	case !own.OK:
		l.giveBack(c)
		return own
	case own.Remaining < s.Remaining:
		return own
	}
	return s
}

// Look tells the tightest standing.
func (l *limits) Look(c *httpapi.Call) project.Standing {
	s := l.policy(c, false)
	if hasOwn(c) {
		if own := l.own.Look(c.Who, c.Arrived); own.Remaining < s.Remaining {
			return own
		}
	}
	return s
}

// GiveBack returns what Take drew.
func (l *limits) GiveBack(c *httpapi.Call) {
	l.giveBack(c)
	if hasOwn(c) {
		l.own.GiveBack(c.Who)
	}
}

func (l *limits) policy(c *httpapi.Call, draw bool) project.Standing {
	switch {
	case isSend(c) && draw:
		return l.sends.Take(c.Who.Owner, c.Arrived)
	case isSend(c):
		return l.sends.Look(c.Who.Owner, c.Arrived)
	case draw:
		return l.keys.Take(c.Who.By(), c.Arrived)
	}
	return l.keys.Look(c.Who.By(), c.Arrived)
}

func (l *limits) giveBack(c *httpapi.Call) {
	if isSend(c) {
		l.sends.GiveBack(c.Who.Owner)
	} else {
		l.keys.GiveBack(c.Who.By())
	}
}

func hasOwn(c *httpapi.Call) bool {
	return c.Who.Key != nil && c.Who.Key.RatePerMinute != nil || c.Who.Project != nil && c.Who.Project.Settings.RatePerMinute != nil
}

func isSend(c *httpapi.Call) bool { return c.Route() != nil && c.Route().Once }

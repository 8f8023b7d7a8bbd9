package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/postroad/postroad/internal/audit"
)

// actionOf names what a route does to the configuration: the path's words with dots, and
// what the method means where the path does not end in a verb. "" = it changes none.
//
//	POST   /v1/api-keys              api_keys.create
//	POST   /v1/api-keys/{id}/rotate  api_keys.rotate
//	PATCH  /v1/project               project.update
func actionOf(r *Route) string {
	if r.Method == http.MethodGet || strings.HasPrefix(r.Scope, "messages.") || !(strings.HasSuffix(r.Scope, ".write") || strings.HasSuffix(r.Scope, ".publish")) {
		return ""
	}
	var words []string
	for seg := range strings.SplitSeq(strings.TrimPrefix(r.Pattern, "/"), "/") {
		if !strings.HasPrefix(seg, "{") && seg != "v1" && seg != "api" && seg != "console" {
			words = append(words, strings.ReplaceAll(seg, "-", "_"))
		}
	}
	if len(words) == 0 {
		return ""
	}
	last := words[len(words)-1]
	switch r.Method {
	case http.MethodDelete:
		words = append(words, "delete")
	case http.MethodPatch, http.MethodPut:
		words = append(words, "update")
	default:
		if len(words) == 1 || strings.HasSuffix(last, "s") { // a collection; verbs do not end so
			words = append(words, "create")
		}
	}
	return strings.Join(words, ".")
}

// audited has what the handler changes written down as the caller's doing.
func (c *Call) audited() {
	if c.route.action != "" {
		c.R = c.R.WithContext(c.Audit(c.route.action))
	}
}

// Audit gives a context whose first change is written down under this name, for routes whose
// scope does not tell that they change configuration.
func (c *Call) Audit(action string) context.Context {
	agent := c.R.UserAgent()
	e := audit.Entry{At: c.Arrived, Owner: c.Who.Owner, Actor: c.Who.By(), IP: c.Who.IP, Agent: agent[:min(len(agent), 200)], RequestID: c.RequestID,
		Action: action, Target: auditTarget(c.Param(0))}
	if c.Who.Key != nil {
		e.ActorName = c.Who.Key.Name
	}
	if c.Who.Session != nil {
		e.Session = c.Who.Session.ID.Text("ses")
	}
	return audit.Begin(c.R.Context(), e)
}

// auditTarget is the path's first parameter, unless it is an address: entries outlive the
// erasure of one.
func auditTarget(param string) string {
	if len(param) > 100 || strings.ContainsAny(param, "@<> ") {
		return ""
	}
	return param
}

package v1

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// Audit is what was changed: the store's audit.Store.
type Audit interface {
	AuditEntries(ctx context.Context, q audit.Query) ([]audit.Entry, error)
}

type actorOut struct {
	Type    string  `json:"type"` // "api_key", "session" or "operator"
	ID      string  `json:"id"`
	Name    *string `json:"name"`
	Session *string `json:"session_id"`
}

type auditOut struct {
	ID          string         `json:"audit_id"`
	Object      string         `json:"object"`
	At          time.Time      `json:"at"`
	Environment string         `json:"environment"`
	Action      string         `json:"action"`
	Target      *string        `json:"target"`
	Actor       actorOut       `json:"actor"`
	IP          *string        `json:"ip"`
	Agent       *string        `json:"user_agent"`
	RequestID   *string        `json:"request_id"`
	Changes     []audit.Change `json:"changes"`

	row int64
}

func auditOf(e *audit.Entry) auditOut {
	out := auditOut{ID: e.ID.Text(mail.PrefixAudit), Object: "audit_entry", At: e.At, Environment: e.Owner.Env.String(), Action: e.Action, Target: orNull(e.Target),
		Actor: actorOut{Type: "api_key", ID: e.Actor, Name: orNull(e.ActorName), Session: orNull(e.Session)}, IP: orNull(e.IP), Agent: orNull(e.Agent),
		RequestID: orNull(e.RequestID), Changes: e.Changes, row: e.Row}
	if e.Actor == "operator" {
		out.Actor.Type = "operator"
	} else if _, err := mail.ParseID(mail.PrefixUser, e.Actor); err == nil {
		out.Actor.Type = "session"
	}
	return out
}

// listAudit shows the caller's project: all of it to live keys, what test keys did to test
// keys. With all=true, and the right to, every project's.
func (a *API) listAudit(c *httpapi.Call) {
	l := a.list(c, "include=total", "actor", "action", "target", "created_after", "after", "since", "created_before", "until", "all")
	q := audit.Query{Project: c.Who.Owner.Project, TestOnly: c.Who.Owner.Env == mail.Test && c.Who.Session == nil, Actor: l.text("actor"), Action: l.text("action"),
		Target: l.text("target"), After: l.time("created_after", "after", "since"), Before: l.time("created_before", "until"), Ascending: l.Ascending, Limit: l.Limit + 1, From: l.After}
	if l.failed() {
		return
	}
	if truth(l.text("all")) {
		if fault := a.o.Access.Authorize(c.Who, "instance.read", c.IP); fault != nil {
			c.Fail(fault)
			return
		}
		q.Project, q.TestOnly = 0, false
	}
	entries, err := a.o.Audit.AuditEntries(c.Context(), q)
	count := counting(func(ctx context.Context, most int) ([]audit.Entry, error) {
		q.Limit, q.From = most, 0
		return a.o.Audit.AuditEntries(ctx, q)
	})
	pageOf(a, l, entries, err, count, auditOf, func(e *auditOut) int64 { return e.row })
}

package hyvor

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

// Submitter is the way in: submit.Service.
type Submitter interface {
	Submit(ctx context.Context, who project.Principal, r *submit.Request) (*submit.Accepted, error)
}

// Orders change what waits: queue.Queue.
type Orders interface {
	SendNow(ctx context.Context, c queue.Change) (queue.Changed, error)
	Retry(ctx context.Context, c queue.Change, rows []int64) (queue.Changed, error)
}

// Archive is the read side: archive.Service.
type Archive interface {
	Find(ctx context.Context, owner mail.Owner, ref string) (*archive.Record, error)
	List(ctx context.Context, q archive.Query) ([]archive.Record, error)
	Events(ctx context.Context, r *archive.Record) ([]mail.Event, error)
	Attempts(ctx context.Context, r *archive.Record) ([]archive.AttemptOf, error)
	Copy(ctx context.Context, r *archive.Record) (mail.Content, error)
}

// Access knows callers, keys and projects: project.Access.
type Access interface {
	Authenticate(ctx context.Context, bearer string, ip netip.Addr, now time.Time) (project.Principal, *mail.Error)
	CreateKey(ctx context.Context, n project.NewKey, once *mail.Once, answer func(project.Key, string) mail.Answer) (project.Key, string, error)
	Keys(ctx context.Context, by project.Principal) ([]project.Key, error)
	UpdateKey(ctx context.Context, by project.Principal, id string, ifVersion int64, change func(*project.Key)) (project.Key, error)
	RevokeKey(ctx context.Context, by project.Principal, id string) error
	UpdateProject(ctx context.Context, by project.Principal, ifVersion int64, change func(*project.Settings)) (project.Project, error)
}

// Domains keeps the sending domains: project.Domains.
type Domains interface {
	Create(ctx context.Context, project int64, n project.NewDomain, once *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error)
	Find(ctx context.Context, project int64, ref string) (project.Domain, error)
	List(ctx context.Context, project int64) ([]project.Domain, error)
	Verify(ctx context.Context, project int64, ref string) (project.Domain, error)
	Delete(ctx context.Context, project int64, ref string, force bool, by string) error
	Records(d project.Domain) []project.Record
}

// Suppressions keeps the suppression lists: feedback.Service.
type Suppressions interface {
	List(ctx context.Context, q feedback.Query) ([]mail.Suppression, error)
	Lift(ctx context.Context, owner mail.Owner, ref string, r feedback.Removal) (mail.Suppression, error)
}

// Bounds are what an operator may set; zero fields are the contract's.
type Bounds struct {
	Recipients  int   // of one send; 20
	Size        int64 // bytes of the mail before signing, and characters of one attachment's base64; 10 MB
	Attachments int   // 10
	Keys        int   // of a project and environment; 10

	Sends, Key Rate // requests; a zero Count is unlimited

	// RequireAllowedIPs refuses keys for sends without an address list.
	RequireAllowedIPs bool
}

// Rate is so many per window.
type Rate struct {
	Count  int
	Window time.Duration
}

func (b Bounds) orDefaults() Bounds {
	for _, n := range []struct {
		field *int
		value int
	}{{&b.Recipients, 20}, {&b.Attachments, 10}, {&b.Keys, 10}} {
		if *n.field == 0 {
			*n.field = n.value
		}
	}
	if b.Size == 0 {
		b.Size = 10 << 20
	}
	return b
}

// Options are the parts the API is built from. All are needed.
type Options struct {
	Door         *httpapi.Door
	Access       Access
	Limits       *project.Limits
	Submitter    Submitter
	Archive      Archive
	Orders       Orders
	Domains      Domains
	Suppressions Suppressions
	Webhooks     Webhooks
	Store        Store
	Bounds       Bounds
}

// API serves /api.
type API struct {
	o     Options
	now   func() time.Time
	needs map[string]need // by method and pattern
	tally tallies
}

// need is what a key must have for a route.
type need struct {
	hyvor string
	v1    []string
}

// New gives the handler of everything under /api.
func New(o Options) http.Handler {
	o.Bounds = o.Bounds.orDefaults()
	a := &API{o: o, now: o.Door.Now, needs: map[string]need{}}
	return o.Door.DialectHandler(a.routes(), &httpapi.Dialect{
		Authenticate: a.authenticate, Authorize: a.authorize, Problem: a.problem,
		Limits: &limits{own: o.Limits,
			sends: project.NewPolicy[mail.Owner]("sends", o.Bounds.Sends.Count, o.Bounds.Sends.Window),
			keys:  project.NewPolicy[string]("key", o.Bounds.Key.Count, o.Bounds.Key.Window)},
	})
}

const base = "/api/console"

// Owns tells whether a path is this dialect's.
func Owns(path string) bool { return strings.HasPrefix(path, "/api/") }

// Routes are the dialect's routes without what they need to work: for whoever compares them
// with what is documented.
func Routes() []httpapi.Route { return (&API{needs: map[string]need{}}).routes() }

func (a *API) routes() []httpapi.Route {
	var all []httpapi.Route
	add := func(method, path, scope string, handle func(*httpapi.Call) (any, error), v1 ...string) {
		if v1 == nil {
			v1 = v1Of(scope)[:min(1, len(v1Of(scope)))]
		}
		a.needs[method+" "+base+path] = need{scope, v1}
		all = append(all, httpapi.Route{Method: method, Pattern: base + path, Scope: firstOf(v1), Body: true, Handle: a.plain(handle)})
	}
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete

	a.needs[sendRoute] = need{"sends.send", []string{"messages.send"}}
	all = append(all, httpapi.Route{Method: post, Pattern: base + "/sends", Once: true, Intake: true, Handle: a.send})
	add(get, "/sends", "sends.read", a.listSends)
	add(get, "/sends/{id}", "sends.read", a.getSend)
	add(get, "/sends/uuid/{uuid}", "sends.read", a.getSendByUUID)
	add(get, "/sends/uuid/{uuid}/content", "sends.read", a.getContent, "messages.read", "messages.content")
	add(post, "/sends/{id}/retry", "sends.send", a.retrySend, "messages.send", "messages.write")

	add(get, "/domains", "domains.read", a.listDomains)
	add(post, "/domains", "domains.write", a.createDomain)
	add(del, "/domains", "domains.write", a.deleteDomain)
	add(post, "/domains/verify", "domains.write", a.verifyDomain)
	add(get, "/domains/by", "domains.read", a.getDomainBy)
	add(get, "/domains/{ref}", "domains.read", a.getDomain)

	add(get, "/webhooks", "webhooks.read", a.listWebhooks)
	add(post, "/webhooks", "webhooks.write", a.createWebhook)
	add(patch, "/webhooks/{id}", "webhooks.write", a.patchWebhook)
	add(del, "/webhooks/{id}", "webhooks.write", a.deleteWebhook)
	add(get, "/webhooks/deliveries", "webhooks.read", a.listHookDeliveries)

	add(get, "/api-keys", "api_keys.read", a.listKeys)
	add(post, "/api-keys", "api_keys.write", a.createKey)
	add(patch, "/api-keys/{id}", "api_keys.write", a.patchKey)
	add(del, "/api-keys/{id}", "api_keys.write", a.deleteKey)

	add(get, "/suppressions", "suppressions.read", a.listSuppressions)
	add(del, "/suppressions/{id}", "suppressions.write", a.deleteSuppression)

	add(get, "/analytics/stats", "analytics.read", a.stats)
	add(get, "/analytics/sends/chart", "analytics.read", a.chart)

	add(get, "/project", "project.read", a.getProject)
	add(patch, "/project", "project.write", a.patchProject)
	add(get, "/project-users", "project.read", a.listUsers)
	add(get, "/init/project", "project.read", a.initProject)
	for _, path := range [][2]string{{post, "/project"}, {post, "/project-users"}, {del, "/project-users"}, {del, "/project-users/{id}"}, {get, "/init"}} {
		add(path[0], path[1], "", sessionOnly)
	}
	all = append(all, httpapi.Route{Method: get, Pattern: "/api/health", Public: true, Handle: health})
	return all
}

// plain makes a handler of a function that gives what to answer. Nothing but POST /sends
// takes an idempotency key.
func (a *API) plain(handle func(*httpapi.Call) (any, error)) func(*httpapi.Call) {
	return func(c *httpapi.Call) {
		if c.R.Header.Get("X-Idempotency-Key") != "" {
			refuse(c, bad(`This endpoint does not support idempotency. Retry without the "X-Idempotency-Key" header.`))
			return
		}
		out, err := handle(c)
		if err != nil {
			refuse(c, err)
			return
		}
		b, err := json.Marshal(out, json.Deterministic(true))
		if err != nil {
			c.Fail(err)
			return
		}
		c.JSON(http.StatusOK, b)
	}
}

// refuse answers an error: this dialect's, or one for the door to judge.
func refuse(c *httpapi.Call, err error) {
	var r *refusal
	switch {
	case errors.As(err, &r):
		give(c, r)
	case errors.Is(err, mail.ErrNotFound):
		refuse(c, &refusal{Status: http.StatusNotFound, Message: textNotFound})
	default:
		c.Fail(err)
	}
}

// firstOf names a route for the audit; what is needed is asked by authorize.
func firstOf(v1 []string) string {
	if len(v1) == 0 {
		return ""
	}
	return v1[0]
}

func sessionOnly(*httpapi.Call) (any, error) {
	return nil, forbidden("This endpoint is not available with an API key.")
}

func health(c *httpapi.Call) { c.JSON(http.StatusOK, []byte(`{"status":"ok"}`)) }

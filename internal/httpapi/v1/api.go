package v1

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

// Submitter is the way in: submit.Service.
type Submitter interface {
	Submit(ctx context.Context, who project.Principal, r *submit.Request) (*submit.Accepted, error)
	SubmitBatch(ctx context.Context, who project.Principal, r *submit.BatchRequest) (*submit.AcceptedBatch, error)
	SubmitRaw(ctx context.Context, who project.Principal, r *submit.RawRequest) (*submit.Accepted, error)
	// Hold keeps a piece of a body of unknown size, room bytes of it in memory, until Drop.
	Hold(ctx context.Context, r io.Reader, room int64) (mail.Content, error)
	Drop(c mail.Content)
}

// Orders change what waits: the queue, or its store.
type Orders interface {
	Cancel(ctx context.Context, c queue.Change) (queue.Changed, error)
	Reschedule(ctx context.Context, c queue.Change) (queue.Changed, error)
	SendNow(ctx context.Context, c queue.Change) (queue.Changed, error)
}

// Archive is the read side: archive.Service.
type Archive interface {
	Find(ctx context.Context, owner mail.Owner, ref string) (*archive.Record, error)
	List(ctx context.Context, q archive.Query) ([]archive.Record, error)
	Events(ctx context.Context, r *archive.Record) ([]mail.Event, error)
	Attempts(ctx context.Context, r *archive.Record) ([]archive.AttemptOf, error)
	Content(ctx context.Context, r *archive.Record) (mail.Content, error)
	Copy(ctx context.Context, r *archive.Record) (mail.Content, error)
	File(ctx context.Context, id mail.ID) (mail.File, io.ReadSeekCloser, error)
}

// Access manages keys and the project: project.Access.
type Access interface {
	CreateKey(ctx context.Context, n project.NewKey, once *mail.Once, answer func(project.Key, string) mail.Answer) (project.Key, string, error)
	Keys(ctx context.Context, by project.Principal) ([]project.Key, error)
	Key(ctx context.Context, by project.Principal, id string) (project.Key, error)
	UpdateKey(ctx context.Context, by project.Principal, id string, ifVersion int64, change func(*project.Key)) (project.Key, error)
	RevokeKey(ctx context.Context, by project.Principal, id string) error
	RotateKey(ctx context.Context, by project.Principal, r project.KeyRotation, once *mail.Once, answer func(project.RotatedKey) mail.Answer) (project.RotatedKey, error)
	CreateProject(ctx context.Context, name string, c project.ProjectChange, once *mail.Once, answer func(project.Project) mail.Answer) (project.Project, error)
	Projects(ctx context.Context) ([]project.Project, error)
	FindProject(ctx context.Context, ref string) (project.Project, error)
	ChangeProject(ctx context.Context, ref string, ifVersion int64, c project.ProjectChange) (project.Project, error)
	Suspend(ctx context.Context, ref, reason string) (project.Project, error)
	Resume(ctx context.Context, ref string) (project.Project, error)
	DeleteProject(ctx context.Context, by project.Principal, ref string) error
	Usage(ctx context.Context, owner mail.Owner, from, to project.Day) ([]project.Usage, error)
	UpdateProject(ctx context.Context, by project.Principal, ifVersion int64, change func(*project.Settings)) (project.Project, error)
	Authorize(p project.Principal, scope string, ip netip.Addr) *mail.Error
}

// Version tells what is running.
type Version struct {
	Version, Commit, Go string
}

// Check is one line of the operator's checklist.
type Check struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // "pass", "warn", "fail" or "skip"
	Summary string `json:"summary,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// Options are the parts the API is built from. All of the first group are needed.
type Options struct {
	Door         *httpapi.Door
	Access       Access
	Limits       *project.Limits
	Submitter    Submitter
	Archive      Archive
	Orders       Orders
	Domains      Domains
	Suppressions Suppressions
	Erasures     Erasures
	Jobs         Jobs
	Templates    Templates
	Audit        Audit
	Webhooks     Webhooks
	HookURLs     HookURLs // nil: nothing is said of URLs that do not resolve yet
	Events       Events
	Secret       [32]byte // signs cursors; the same on every node

	Sessions *project.Sessions                 // nil: nobody logs in
	Links    *submit.Links                     // of hosted files; nil: there are none
	Resender Resender                          // nil: the Submitter, which must be one
	Wake     func() <-chan struct{}            // of the store, for waiting readers; nil: they poll
	Health   func(ctx context.Context) []Check // nil: only that the process answers
	Version  Version

	StreamTime time.Duration // how long a stream of events lasts; 0 = 30 minutes
	StreamBeat time.Duration // how often it shows that it is alive; 0 = 15 s
}

// API serves /v1.
type API struct {
	o       Options
	cursors cursors
	now     func() time.Time
}

// New gives the handler of everything under /v1.
func New(o Options) http.Handler {
	if o.Resender == nil {
		o.Resender, _ = o.Submitter.(Resender)
	}
	o.StreamTime, o.StreamBeat = cmp.Or(o.StreamTime, streamTime), cmp.Or(o.StreamBeat, streamBeat)
	a := &API{o: o, cursors: newCursors(o.Secret), now: o.Door.Now}
	return o.Door.Handler(a.routes())
}

// Routes are the routes of /v1 without what they need to work: for whoever compares them with
// what is documented.
func Routes() []httpapi.Route { return new(API).routes() }

func (a *API) routes() []httpapi.Route {
	var all []httpapi.Route
	add := func(method, pattern, scope string, handle func(*httpapi.Call), marks ...func(*httpapi.Route)) {
		r := httpapi.Route{Method: method, Pattern: pattern, Scope: scope, Handle: handle}
		for _, mark := range marks {
			mark(&r)
		}
		all = append(all, r)
	}
	once := func(r *httpapi.Route) { r.Once = true }
	stream := func(r *httpapi.Route) { r.NoBody = true } // the handler reads it
	intake := func(r *httpapi.Route) { r.Intake = true }
	public := func(r *httpapi.Route) { r.Public = true }
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete

	streams := func(only bool, kinds ...string) func(*httpapi.Route) {
		return func(r *httpapi.Route) { r.Streams, r.NoJSON = kinds, only }
	}
	add(post, "/v1/messages", "messages.send", a.send, once, streams(false, formType))
	add(post, "/v1/messages/batch", "messages.send", a.sendBatch, once)
	add(post, "/v1/messages/raw", "messages.send", a.sendRaw, once, streams(true, rawType))
	add(get, "/v1/messages", "messages.read", a.listMessages)
	add(get, "/v1/messages/{message}", "messages.read", a.getMessage)
	add(get, "/v1/messages/{message}/events", "messages.read", a.listEvents)
	add(get, "/v1/messages/{message}/attempts", "messages.read", a.listAttempts)
	add(get, "/v1/messages/{message}/content", "messages.content", a.getContent)
	add(get, "/v1/messages/{message}/raw", "messages.content", a.getRaw)
	add(get, "/v1/messages/{message}/preview", "messages.content", a.getPreview)
	add(get, "/v1/messages/{message}/attachments/{n}", "messages.content", a.getAttachment)
	add(del, "/v1/messages/{message}", "messages.write", a.deleteMessage)
	add(post, "/v1/messages/{message}/cancel", "messages.write", a.cancel, once)
	add(patch, "/v1/messages/{message}", "messages.write", a.patchMessage)
	add(post, "/v1/messages/{message}/send-now", "messages.write", a.sendNow, once)
	add(post, "/v1/messages/{message}/resend", "messages.send", a.resend, once)

	add(post, "/v1/api-keys", "keys.write", a.createKey, once)
	add(get, "/v1/api-keys", "keys.read", a.listKeys)
	add(get, "/v1/api-keys/{id}", "keys.read", a.getKey)
	add(patch, "/v1/api-keys/{id}", "keys.write", a.patchKey)
	add(del, "/v1/api-keys/{id}", "keys.write", a.deleteKey)
	add(post, "/v1/api-keys/{id}/rotate", "keys.write", a.rotateKey, once)
	add(get, "/v1/me", "", a.me)
	add(get, "/v1/project", "project.read", a.getProject)
	add(patch, "/v1/project", "project.write", a.patchProject)

	add(get, "/v1/usage", "project.read", a.getUsage)
	add(get, "/v1/audit", "audit.read", a.listAudit)

	add(post, "/v1/projects", "instance.write", a.createProject, once)
	add(get, "/v1/projects", "instance.read", a.listProjects)
	add(get, "/v1/projects/{project}", "instance.read", a.getAnyProject)
	add(patch, "/v1/projects/{project}", "instance.write", a.patchAnyProject)
	add(del, "/v1/projects/{project}", "instance.write", a.deleteProject)
	add(post, "/v1/projects/{project}/suspend", "instance.write", a.suspendProject, once)
	add(post, "/v1/projects/{project}/resume", "instance.write", a.resumeProject, once)

	add(post, "/v1/session", "", a.logIn, public)
	add(post, "/v1/session/setup", "", a.setUp, public)
	add(get, "/v1/session", "", a.getSession)
	add(del, "/v1/session", "", a.logOut, public)
	add(patch, "/v1/session", "", a.changePassword)
	add(get, "/v1/sessions", "", a.listSessions)
	add(del, "/v1/sessions/{session}", "", a.endSession)

	add(post, "/v1/erasures", "project.write", a.orderErasure, once)
	add(get, "/v1/erasures/{erasure}", "project.read", a.getErasure)

	add(post, "/v1/domains", "domains.write", a.createDomain, once)
	add(get, "/v1/domains", "domains.read", a.listDomains)
	add(get, "/v1/domains/{domain}", "domains.read", a.getDomain)
	add(patch, "/v1/domains/{domain}", "domains.write", a.patchDomain)
	add(del, "/v1/domains/{domain}", "domains.write", a.deleteDomain)
	add(get, "/v1/domains/{domain}/dns", "domains.read", a.domainRecords)
	add(get, "/v1/domains/{domain}/health", "domains.read", a.domainHealth)
	add(post, "/v1/domains/{domain}/verify", "domains.write", a.verifyDomain, once)
	add(get, "/v1/domains/{domain}/dns/export", "domains.read", a.exportDomain)
	add(post, "/v1/domains/{domain}/dkim/rotate", "domains.write", a.rotateDKIM, once)
	add(post, "/v1/domains/{domain}/dkim/{selector}/activate", "domains.write", a.activateDKIM, once)
	add(del, "/v1/domains/{domain}/dkim/{selector}", "domains.write", a.deleteDKIM)

	add(post, "/v1/templates", "templates.write", a.createTemplate, once)
	add(get, "/v1/templates", "templates.read", a.listTemplates)
	add(post, "/v1/templates/preview", "templates.read", a.previewTemplate, once)
	add(get, "/v1/templates/{template}", "templates.read", a.getTemplate)
	add(patch, "/v1/templates/{template}", "templates.write", a.patchTemplate)
	add(del, "/v1/templates/{template}", "templates.write", a.deleteTemplate)
	add(get, "/v1/templates/{template}/versions", "templates.read", a.listVersions)
	add(post, "/v1/templates/{template}/versions", "templates.write", a.createVersion, once)
	add(get, "/v1/templates/{template}/versions/{version}", "templates.read", a.getVersion)
	add(get, "/v1/templates/{template}/versions/{version}/diff", "templates.read", a.diffVersions)
	add(post, "/v1/templates/{template}/versions/{version}/publish", "templates.publish", a.publishVersion, once)
	add(post, "/v1/templates/{template}/rollback", "templates.publish", a.rollbackTemplate, once)
	add(post, "/v1/templates/{template}/preview", "templates.read", a.previewTemplate, once)
	add(post, "/v1/templates/{template}/validate", "templates.read", a.validateTemplate, once)
	add(post, "/v1/templates/{template}/test-send", "messages.send", a.testSend, once)

	add(post, "/v1/suppressions", "suppressions.write", a.addSuppression, once)
	add(get, "/v1/suppressions", "suppressions.read", a.listSuppressions)
	add(post, "/v1/suppressions/check", "suppressions.read", a.checkSuppressions, once)
	add(post, "/v1/suppressions/batch", "suppressions.write", a.batchSuppressions, once)
	add(post, "/v1/suppressions/import", "suppressions.write", a.importSuppressions, once, stream, intake)
	add(get, "/v1/suppressions/export", "suppressions.read", a.exportSuppressions)
	add(get, "/v1/suppressions/{suppression}", "suppressions.read", a.getSuppression)
	add(del, "/v1/suppressions/{suppression}", "suppressions.write", a.deleteSuppression)

	add(post, "/v1/unsubscribes", "suppressions.write", a.addUnsubscribe, once)
	add(get, "/v1/unsubscribes", "suppressions.read", a.listUnsubscribes)
	add(del, "/v1/unsubscribes/{suppression}", "suppressions.write", a.deleteUnsubscribe)
	add(get, "/v1/jobs/{id}", "", a.getJob)
	add(post, "/v1/jobs/{id}/cancel", "", a.cancelJob)

	add(post, "/v1/webhooks", "webhooks.write", a.createWebhook, once)
	add(get, "/v1/webhooks", "webhooks.read", a.listWebhooks)
	add(get, "/v1/webhooks/{webhook}", "webhooks.read", a.getWebhook)
	add(patch, "/v1/webhooks/{webhook}", "webhooks.write", a.patchWebhook)
	add(del, "/v1/webhooks/{webhook}", "webhooks.write", a.deleteWebhook)
	add(get, "/v1/webhooks/{webhook}/secret", "webhooks.write", a.getWebhookSecret)
	add(post, "/v1/webhooks/{webhook}/rotate-secret", "webhooks.write", a.rotateSecret, once)
	add(post, "/v1/webhooks/{webhook}/expire-old-secret", "webhooks.write", a.expireOldSecret, once)
	add(post, "/v1/webhooks/{webhook}/enable", "webhooks.write", a.enableWebhook, once)
	add(post, "/v1/webhooks/{webhook}/disable", "webhooks.write", a.disableWebhook, once)
	add(post, "/v1/webhooks/{webhook}/test", "webhooks.write", a.testWebhook, once)
	add(post, "/v1/webhooks/{webhook}/replay", "webhooks.write", a.replayWebhook, once)
	add(get, "/v1/webhooks/{webhook}/deliveries", "webhooks.read", a.listHooks)
	add(get, "/v1/webhooks/{webhook}/stats", "webhooks.read", a.webhookStats)
	add(get, "/v1/webhook-deliveries/{delivery}", "webhooks.read", a.getHook)
	add(post, "/v1/webhook-deliveries/{delivery}/retry", "webhooks.write", a.retryHook, once)
	add(get, "/v1/events", "events.read", a.readLog)
	add(get, "/v1/events/stream", "events.read", a.streamLog)
	add(get, "/v1/events/{event}", "events.read", a.getLogEntry)
	add(get, "/v1/event-types", "", a.listEventTypes)

	add(get, "/v1/sandbox/messages", "messages.content", a.listSandbox)
	add(del, "/v1/sandbox/messages", "messages.write", a.clearSandbox)
	add(get, "/v1/sandbox/messages/wait", "messages.content", a.waitSandbox)
	add(get, "/v1/sandbox/messages/{message}", "messages.content", a.getSandbox)

	add(get, "/f/{token}", "", a.getHosted, public)

	add(get, "/v1/health", "instance.read", a.health)
	add(get, "/v1/version", "", a.version, public)
	return all
}

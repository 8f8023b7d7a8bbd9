package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	linksdoor "github.com/postroad/postroad/internal/httpapi/links"
	"github.com/postroad/postroad/internal/httpapi/reference"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/retention"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/sandbox"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/tracking"
	"github.com/postroad/postroad/internal/visit"
	"github.com/postroad/postroad/internal/webhook"
)

// server is all the parts of one process.
type server struct {
	local
	ring     *seal.Ring
	listener net.Listener
	own      netip.AddrPort // where it listens
	smtp     *submissionDoor
	inbound  *inboundDoor
	url      string // what links begin with
	guard    *route.Guard
	resolver *dns.Resolver
	router   *route.Decider
	domains  *project.Domains
	forget   *retention.Service
	tokens   *tracking.Tokens
	paths    *feedback.Tokens // of return paths
	reports  *report.Service
	jobs     *job.Service
	visits   *visit.Gatherer
	events   *eventlog.Service
	pressure *submit.Pressure
	queue    *queue.Queue
	library  *render.Library
	poster   *webhook.Client
	hooks    *webhook.Service
	door     *httpapi.Door
	ready    *readiness
	http     *http.Server
	socket   *http.Server // nil when it could not be made
}

// newServer builds the parts, from the store up to the doors. Nothing runs yet, but the
// store is open and the HTTP address taken.
func newServer(ctx context.Context, s *config.Settings, o Options, log *slog.Logger) (_ *server, err error) {
	sv := &server{local: local{settings: s, now: time.Now, log: log}}
	defer func() {
		if err != nil {
			err = errors.Join(err, sv.close())
		}
	}()
	if err := sv.openMemory(ctx, o.Migrate); err != nil {
		return nil, err
	}
	if sv.listener, sv.own, err = listen(s.HTTP.Addr, "POSTROAD_HTTP_ADDR"); err != nil {
		return nil, err
	}
	if sv.smtp, err = openSubmission(s, sv.now, log); err != nil {
		return nil, err
	}
	if sv.inbound, err = openInbound(s); err != nil {
		return nil, err
	}
	sv.url = cmp.Or(s.HTTP.PublicURL, urlOf(sv.own))
	sv.buildDecisions()
	sv.buildQueue()
	sv.buildHooks()
	sv.buildDoors()
	return sv, nil
}

// close lets go of what newServer took, after everything that runs has stopped.
func (sv *server) close() error {
	var errs []error
	if sv.listener != nil {
		_ = sv.listener.Close() // the HTTP server closed it, unless it never ran
	}
	if sv.poster != nil {
		sv.poster.Close()
	}
	sv.smtp.close()
	sv.inbound.close()
	if sv.resolver != nil {
		errs = append(errs, sv.resolver.Close())
	}
	if sv.store != nil {
		errs = append(errs, sv.store.Close())
	}
	return errors.Join(errs...)
}

// openMemory opens the store, brings its schema up to date, and opens the key ring.
func (sv *server) openMemory(ctx context.Context, migrate bool) (err error) {
	if sv.store, err = openStore(sv.settings, sv.log); err != nil {
		return err
	}
	if migrate {
		if err := sv.store.Migrate(ctx); err != nil {
			return fmt.Errorf("bring the schema up to date: %w", err)
		}
	}
	schema, err := sv.schema(ctx)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if schema.Have != schema.Want {
		return errors.New(schema.String())
	}
	if sv.ring, err = seal.Open(sv.settings.Storage.DataDir); err != nil {
		return fmt.Errorf("open the key ring: %w", err)
	}
	return nil
}

// buildDecisions makes what is asked on the way: who may send, where mail goes.
func (sv *server) buildDecisions() {
	s, d := sv.settings, sv.settings.Delivery
	sv.access = project.NewAccess(project.AccessOptions{Store: sv.store, Limits: project.NewLimits(s.HTTP.RateLimit.PerMinute()).AtOnce(s.HTTP.KeyConcurrency),
		Now: sv.now, Log: sv.log, BootstrapLive: s.Keys.BootstrapLive, BootstrapTest: s.Keys.BootstrapTest, AuditDays: s.Storage.AuditDays})
	sv.sessions = project.NewSessions(project.SessionsOptions{Store: sv.store, Limits: sv.access.Limits(), Idle: s.HTTP.SessionIdle, Life: s.HTTP.SessionLife,
		Now: sv.now, Log: sv.log})
	sv.pressure = submit.NewPressure(submit.PressureOptions{Room: func() (submit.Room, error) { return freeRoom(s.Storage.DataDir) }, Memory: memoryUsed,
		Strain: sv.store.Strain, DiskFloor: int64(s.Storage.DiskFloor), Log: sv.log})
	sv.guard = route.NewGuard(d.AllowNetworks, append(append(sv.smtp.addresses(), sv.inbound.addresses()...), sv.own))
	sv.resolver = newResolver(s, sv.guard, sv.now)
	sv.router = route.New(route.Options{Resolver: sv.resolver, Hostname: d.Hostname, Source: sv.source(), Now: sv.now})
	sv.domains = project.NewDomains(project.DomainsOptions{Store: sv.store, Ring: sv.ring, Resolver: sv.resolver,
		Hostname: d.Hostname, Now: sv.now, Log: sv.log})
	sv.forget = retention.New(retention.Options{Store: sv.store, Key: sv.ring.Derive("erased addresses"), Now: sv.now, Log: sv.log})
	sv.library = render.NewLibrary(render.LibraryOptions{Store: sv.store, Now: sv.now, Log: sv.log})
}

// source is the one way out there is until pools are built.
func (sv *server) source() route.Source {
	src := route.Source{Name: "default", EHLO: sv.settings.Delivery.Hostname}
	if a := sv.settings.Delivery.SourceAddr; a.IsValid() {
		src.Name, src.Local = a.String(), a.String()
	}
	if d := &sv.settings.Delivery; d.SmartHost != "" {
		if smart, err := route.ParseSmartHost(d.SmartHost, d.SmartHostUser, d.SmartHostSecret); err == nil { // config judged it
			src.Name, src.Smart = smart.Name, smart
		}
	}
	return src
}

// buildQueue makes the queue and its two carriers, which ask it back before they begin.
func (sv *server) buildQueue() {
	d := sv.settings.Delivery
	var out *deliver.Carrier
	var play *sandbox.Carrier
	sv.queue = queue.New(queue.Options{
		Store: sv.store, Router: sv.router, Schedule: d.RetrySchedule, SoftLimit: max(d.SoftStop, time.Millisecond), Now: sv.now, Log: sv.log,
		Limits: sv.laneLimits,
		Carrier: func(r *route.Route) lane.Carrier {
			if r.Capture {
				return play
			}
			return out
		},
	})
	sv.tokens = tracking.NewTokens(sv.ring.Derive("links"))
	sv.paths = feedback.NewTokens(sv.ring.Derive("return path"))
	out = deliver.New(deliver.Options{
		Hostname: d.Hostname, Port: uint16(d.MXPort), Begin: sv.queue, Resolver: sv.resolver, Guard: sv.guard, Contents: sv.store,
		Keys: sv.domains, Sign: sign, ReturnPaths: sv.paths, Stamps: sv.tokens, Classify: feedback.Classify, Now: sv.now, Log: sv.log,
	})
	play = sandbox.New(sandbox.Options{Begin: sv.queue, Now: sv.now, Log: sv.log})
}

// sign writes the DKIM signatures of one attempt.
func sign(c mail.Content, keys []dkim.Key, now time.Time) ([]byte, error) {
	return dkim.Sign(c, keys, dkim.Options{Time: now})
}

// Fixed limits of lanes, until pacing learns them: a tenth of the connections, at least
// one where there are two, is never bulk's; a lane holds in memory what its sessions
// carry in a few seconds. Sessions of the sandbox cost nothing, and some play slow servers.
func (sv *server) laneLimits(k lane.Key) lane.Limits {
	n := sv.settings.Delivery.SiteConnections
	if k.Site == sandboxSite {
		n = max(n, sandboxSessions)
	}
	return lane.Limits{Connections: n, Reserved: min(n-1, max(1, n/10)), PerSession: sv.settings.Delivery.SessionMessages,
		Idle: 5 * time.Second, Depth: 8000}
}

// sandboxSite is the site of all captured mail (route.Route.Site).
const (
	sandboxSite     = "sandbox"
	sandboxSessions = 200
)

// buildDoors makes the way in, the read side and the HTTP server.
func (sv *server) buildDoors() {
	s := sv.settings
	links := submit.NewLinks(sv.url, sv.ring.Derive("hosted files"))
	submitter := submit.NewService(submit.Options{Store: sv.store, Domains: sv.domains, Dispatcher: sv.queue, Links: links, Blocked: append([]string{}, s.HTTP.BlockedAttachments...),
		Marking:  submit.Marking{Base: sv.url, MailHost: sv.inbound.mailHost(s)},
		Renderer: render.New(sv.library), Pressure: sv.pressure, Now: sv.now, Log: sv.log})
	sv.visits = visit.New(visit.Options{Store: sv.store, Log: sv.log})
	sv.events = eventlog.NewService(eventlog.Options{Store: sv.store, Wake: sv.store.Wake, BaseURL: sv.url, Log: sv.log})
	wishes := feedback.NewService(sv.store, sv.now)
	sv.reports = report.New(report.Options{Store: sv.store, Paths: sv.paths, Links: sv.tokens, Wishes: wishes, Hostname: s.Delivery.Hostname, Now: sv.now, Log: sv.log})
	sv.inbound.build(s, sv.smtp.cert, smtpd.InboundOptions{Reports: sv.reports, Pressure: sv.pressure.Refuse, Now: sv.now, Log: sv.log})
	sv.jobs = job.NewService(job.Options{Store: sv.store, Dir: filepath.Join(s.Storage.DataDir, "jobs"), Node: sv.queue.Node(), Now: sv.now, Log: sv.log})
	sv.door = httpapi.New(httpapi.Options{Access: sv.access, Sessions: sv.sessions, Pressure: sv.pressure.Refuse, Memory: sv.store, PublicURL: sv.url, MaxBody: int64(s.HTTP.MaxBody), Now: sv.now, Log: sv.log})
	sv.smtp.build(s, smtpd.Options{Access: sv.access, Submitter: submitter, Memory: sv.store, Pressure: sv.pressure.Refuse, Now: sv.now, Log: sv.log})
	b := ThisBuild()
	reading := archive.NewService(sv.store, sv.tokens)
	reading.Now = sv.now
	api := v1.New(v1.Options{
		Door: sv.door, Access: sv.access, Sessions: sv.sessions, Audit: sv.store, Limits: sv.access.Limits(), Submitter: submitter,
		Archive: reading, Erasures: sv.forget, Orders: sv.queue, Domains: sv.domains, Suppressions: wishes, Jobs: sv.jobs,
		Templates: sv.library, Links: links, Webhooks: sv.hooks, HookURLs: sv.poster, Events: sv.events,
		Secret: sv.ring.Derive("cursors"), Wake: sv.store.Wake, Health: sv.health,
		Version: v1.Version{Version: b.Version, Commit: b.Commit, Go: b.Go},
	})
	dialect := hyvor.New(hyvor.Options{Door: sv.door, Access: sv.access, Limits: sv.access.Limits(), Submitter: submitter, Archive: reading,
		Orders: sv.queue, Domains: sv.domains, Suppressions: wishes, Webhooks: sv.hooks, Store: sv.store, Bounds: hyvorBounds(s.Hyvor)})
	linkDoor := linksdoor.New(linksdoor.Options{Tokens: sv.tokens, Wishes: wishes, Visitors: sv.visits, Now: sv.now, Log: sv.log})
	sv.ready = &readiness{ping: sv.store.Ping, schema: sv.store.Schema, room: sv.pressure.Check, now: sv.now, log: sv.log}
	metrics := newMetrics(&measured{queue: sv.queue.Stats, depth: sv.store.Depth, door: sv.door.Stats, hooks: sv.hooks, smtp: sv.smtp.server.Stats, inbound: sv.inbound.stats, reports: sv.reports.Stats, pressure: sv.pressure.Stats, now: sv.now, log: sv.log})
	sv.http = sv.door.Server(newHandler(api, sv.ready, guardMetrics(metrics, s.HTTP), doors(dialect, linkDoor, reference.New(sv.door))))
	sv.http.RegisterOnShutdown(sv.events.Stop) // else waiting readers would hold up the stop
}

// hyvorBounds are the Hyvor dialect's settings.
func hyvorBounds(s config.Hyvor) hyvor.Bounds {
	return hyvor.Bounds{Recipients: s.MaxRecipients, Size: int64(s.MaxSize), Attachments: s.MaxAttachments, Keys: s.MaxKeys, RequireAllowedIPs: s.AllowedIPs,
		Sends: hyvor.Rate{Count: s.SendsLimit.Count, Window: s.SendsLimit.Window}, Key: hyvor.Rate{Count: s.KeyLimit.Count, Window: s.KeyLimit.Window}}
}

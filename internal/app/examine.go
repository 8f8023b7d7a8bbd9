package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/doctor"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/seal"
)

// Check is one thing the doctor looked at.
type Check = doctor.Check

// Examine looks for what would stop mail. Before the first start there are no domains
// and no data to look at; the host can be examined all the same.
func Examine(ctx context.Context, s *config.Settings, offline bool) (checks []Check, err error) {
	err = asOperator(ctx, s, false, func(op operator) error {
		checks, err = op.examine(ctx, offline)
		return err
	})
	if errors.Is(err, errNoDatabase) {
		resolver := newResolver(s, nil, time.Now)
		defer resolver.Close()
		return doctor.Run(ctx, examination(s, "", resolver, offline)), nil
	}
	return checks, err
}

// newResolver asks the servers of the settings, or the system's.
func newResolver(s *config.Settings, guard *route.Guard, now func() time.Time) *dns.Resolver {
	o := dns.Options{Servers: s.Delivery.DNSServers, Now: now}
	if guard != nil {
		o.Guard = guard.Allow
	}
	return dns.New(o)
}

func examination(s *config.Settings, dataDir string, resolver *dns.Resolver, offline bool) doctor.Options {
	return doctor.Options{DataDir: dataDir, Hostname: s.Delivery.Hostname, Source: s.Delivery.SourceAddr, MXPort: s.Delivery.MXPort, Inbound: s.Inbound.Addr,
		Offline: offline, Resolver: resolver}
}

// examine is the doctor's visit while no server runs.
func (l *local) examine(ctx context.Context, offline bool) ([]Check, error) {
	ring, err := seal.Open(l.settings.Storage.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open the key ring: %w", err)
	}
	resolver := newResolver(l.settings, route.NewGuard(l.settings.Delivery.AllowNetworks, nil), l.now)
	defer resolver.Close()
	domains := project.NewDomains(project.DomainsOptions{Store: l.store, Ring: ring, Resolver: resolver,
		Hostname: l.settings.Delivery.Hostname, Now: l.now, Log: slog.New(slog.DiscardHandler)})
	return l.visit(ctx, resolver, domains, offline)
}

// visit examines the host and the domains of every project.
func (l *local) visit(ctx context.Context, resolver *dns.Resolver, domains *project.Domains, offline bool) ([]Check, error) {
	o := examination(l.settings, l.settings.Storage.DataDir, resolver, offline)
	o.Inspect = domains.Inspect
	projects, err := l.store.Projects(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the projects: %w", err)
	}
	for _, p := range projects {
		of, err := domains.List(ctx, p.Row)
		if err != nil {
			return nil, fmt.Errorf("list the domains of %s: %w", p.Name, err)
		}
		o.Domains = append(o.Domains, of...)
	}
	return doctor.Run(ctx, o), nil
}

// examine is the same inside a running server, with its own resolver.
func (sv *server) examine(ctx context.Context, offline bool) ([]Check, error) {
	return sv.visit(ctx, sv.resolver, sv.domains, offline)
}

// health is the doctor's visit for GET /v1/health.
func (sv *server) health(ctx context.Context) []v1.Check {
	checks, err := sv.examine(ctx, false)
	if err != nil {
		sv.log.Error("examine the server", "error", err)
		return []v1.Check{{ID: "store", Status: "fail", Summary: "The store cannot be read."}}
	}
	out := make([]v1.Check, len(checks))
	for i, c := range checks {
		out[i] = v1.Check{ID: c.ID, Status: string(c.Status), Summary: c.Summary, Fix: c.Fix}
	}
	return out
}

package project

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/postroad/postroad/internal/mail"
)

// DefaultProject is the name of the project that exists from the first start on.
const DefaultProject = "default"

// DefaultSettings are those of a new project.
func DefaultSettings() Settings {
	return Settings{OnSuppressed: "accept", ContentDays: 30, EventDays: 30, HostedDays: 30, UnverifiedDomains: "reject"}
}

// First is what the first start made.
type First struct {
	Project Project
	Secret  string // of the first test key, shown once; "" when there were keys already
}

// Bootstrap makes what must exist: the default project, the keys the operator named,
// and, when there is no key at all, a first test key with every scope. Called again it
// finds all there and does nothing.
func (a *Access) Bootstrap(ctx context.Context) (First, error) {
	p, err := a.defaultProject(ctx)
	if err != nil {
		return First{}, fmt.Errorf("make the default project: %w", err)
	}
	for env, secret := range map[mail.Env]string{mail.Live: a.bootstrapLive, mail.Test: a.bootstrapTest} {
		if secret == "" {
			continue
		}
		if err := a.bootstrapKey(ctx, p, env, secret); err != nil {
			return First{}, fmt.Errorf("make the %s bootstrap key: %w", env, err)
		}
	}
	keys, err := a.store.Keys(ctx, p.Row)
	if err != nil {
		return First{}, fmt.Errorf("list keys: %w", err)
	}
	first := First{Project: p}
	if len(keys) == 0 {
		env := mail.Test
		if _, first.Secret, err = a.CreateKey(ctx, NewKey{Project: &p, Name: "first test key", Env: &env, Scopes: []string{ScopeAll}}, nil, nil); err != nil {
			return First{}, fmt.Errorf("make the first test key: %w", err)
		}
	}
	return first, nil
}

func (a *Access) defaultProject(ctx context.Context) (Project, error) {
	p, err := a.store.ProjectByName(ctx, DefaultProject)
	if !errors.Is(err, mail.ErrNotFound) {
		return p, err
	}
	now := a.now()
	p, err = a.store.CreateProject(ctx, Project{ID: mail.NewID(now), Name: DefaultProject, Settings: DefaultSettings(), CreatedAt: now}, nil, nil)
	if errors.Is(err, mail.ErrExists) { // another node was quicker
		return a.store.ProjectByName(ctx, DefaultProject)
	}
	return p, err
}

// bootstrapKey keeps a secret of the operator's choice, unless it is kept already. One
// that was revoked since stays revoked.
func (a *Access) bootstrapKey(ctx context.Context, p Project, env mail.Env, secret string) error {
	m := MintFrom(secret)
	switch k, err := a.store.KeyByHash(ctx, m.Hash); {
	case err == nil && k.Env != env:
		return fmt.Errorf("the same key is already one of the %s environment", k.Env)
	case err == nil:
		return nil
	case !errors.Is(err, mail.ErrNotFound):
		return err
	}
	k := Key{ID: m.ID, Project: p.Row, ProjectID: p.ID, Env: env, Name: "bootstrap " + env.String(), Prefix: m.Prefix, Hash: m.Hash,
		Scopes: []string{ScopeAll}, CreatedBy: "operator", CreatedAt: a.now()}
	_, err := a.store.CreateKey(ctx, k, nil, nil)
	return err
}

// Project gives a project by name, for the operator's own commands.
func (a *Access) Project(ctx context.Context, name string) (Project, error) {
	return a.store.ProjectByName(ctx, name)
}

// trackingHost brings the name of a host for links into the form we compare.
func trackingHost(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return mail.ASCIIDomain(s)
}

func judgeSettings(s *Settings) mail.Faults {
	var f mail.Faults
	fault := func(field, message string) {
		f = append(f, &mail.Error{Code: "invalid_value", Field: field, Pointer: "#/" + field, Message: message})
	}
	if s.OnSuppressed != "accept" && s.OnSuppressed != "reject" {
		fault("on_suppressed", "on_suppressed is 'accept' or 'reject'.")
	}
	if s.UnverifiedDomains != "reject" && s.UnverifiedDomains != "warn" {
		fault("unverified_domains", "unverified_domains is 'reject' or 'warn'.")
	}
	if s.ContentDays < 0 || s.ContentDays > 3650 {
		fault("content_retention_days", "content_retention_days is between 0 and 3650.")
	}
	if s.EventDays < 1 || s.EventDays > 3650 {
		fault("event_retention_days", "event_retention_days is between 1 and 3650.")
	}
	if s.HostedDays < 0 || s.HostedDays > 3650 {
		fault("hosted_link_days", "hosted_link_days is between 1 and 3650.")
	}
	if s.Sandbox != nil {
		f = append(f, s.Sandbox.judge()...)
	}
	if s.DedupeSeconds < 0 || s.DedupeSeconds > 86400 {
		fault("dedupe_window_seconds", "dedupe_window_seconds is between 0 (off) and 86400.")
	}
	if r := s.RatePerMinute; r != nil && (*r < 0 || *r > maxKeyRate) {
		f = append(f, &mail.Error{Code: "invalid_value", Field: "rate_limit.per_minute", Pointer: "#/rate_limit/per_minute",
			Message: "The limit is between 0 (unlimited) and 10000000 requests a minute."})
	}
	if len(s.DisplayName) > 4*255 {
		fault("display_name", "display_name has at most 255 characters.")
	}
	if len(s.DefaultFrom) > 512 {
		fault("default_from", "default_from is too long.")
	}
	if host, err := trackingHost(s.TrackingHost); err != nil {
		fault("tracking_host", "tracking_host is a host name of yours without scheme, port and path, e.g. 'track.acme.test', that leads to this server over https.")
	} else {
		s.TrackingHost = host
	}
	if n := s.DailyMessages; n != nil && (*n < 0 || *n > maxDaily) {
		fault("daily_messages", "daily_messages is between 0 (none may be sent) and 1000000000, or null for no limit.")
	}
	if len(s.AllowedDomains) > 1000 {
		fault("allowed_domains", "At most 1000 domains.")
		return f
	}
	for i, entry := range s.AllowedDomains {
		host, below, ok := parseDomainPattern(entry)
		if !ok {
			f = append(f, &mail.Error{Code: "invalid_value", Field: "allowed_domains[" + strconv.Itoa(i) + "]", Pointer: "#/allowed_domains/" + strconv.Itoa(i),
				Message: "An allowed domain is a domain (acme.test), or '*.' and a domain for all below it (*.acme.test)."})
			continue
		}
		if s.AllowedDomains[i] = host; below {
			s.AllowedDomains[i] = "*." + host
		}
	}
	return f
}

package project

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// slug is what a project's name must look like: it stands in links.
var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ProjectChange is what an operator changes of a project.
type ProjectChange struct {
	Name         *string
	LiveDisabled *bool
	Settings     func(*Settings) // nil: nothing
}

// apply gives the project as it will be, with every fault.
func (c ProjectChange) apply(p Project) (Project, mail.Faults) {
	var f mail.Faults
	p.Settings.AllowedDomains = slices.Clone(p.Settings.AllowedDomains)
	if c.Name != nil && *c.Name != p.Name {
		if p.Name == DefaultProject {
			f = append(f, nameFault("The default project keeps its name."))
		}
		p.Name = strings.TrimSpace(*c.Name)
		if !slug.MatchString(p.Name) {
			f = append(f, nameFault("A project's name has 1 to 63 lower-case letters, digits and hyphens, e.g. 'web-shop'."))
		}
	}
	if c.LiveDisabled != nil {
		p.LiveDisabled = *c.LiveDisabled
	}
	if c.Settings != nil {
		c.Settings(&p.Settings)
		f = append(f, judgeSettings(&p.Settings)...)
	}
	return p, f
}

func nameFault(message string) *mail.Error {
	return &mail.Error{Code: "invalid_value", Field: "name", Pointer: "#/name", Message: message}
}

// UpdateProject keeps what change made of the caller's project; faults are mail.Faults,
// mail.ErrStale tells that it is not at ifVersion (0 = any) any more.
func (a *Access) UpdateProject(ctx context.Context, by Principal, ifVersion int64, change func(*Settings)) (Project, error) {
	return unlessOvertaken(ifVersion, func() (Project, error) {
		p, err := a.store.ProjectByRow(ctx, by.Owner.Project)
		if err != nil {
			return Project{}, err
		}
		return a.keepProject(ctx, p, ifVersion, ProjectChange{Settings: change})
	})
}

// keepProject keeps a change; who has it in memory reads it anew.
func (a *Access) keepProject(ctx context.Context, p Project, ifVersion int64, c ProjectChange) (Project, error) {
	next, faults := c.apply(p)
	if faults != nil {
		return Project{}, faults
	}
	if ifVersion == 0 {
		ifVersion = p.Version
	}
	return a.storeProject(ctx, p, next, ifVersion)
}

func (a *Access) storeProject(ctx context.Context, before, next Project, ifVersion int64) (Project, error) {
	audit.Changed(ctx, next.ID.Text(mail.PrefixProject), projectShape(&before), projectShape(&next))
	kept, err := a.store.UpdateProject(ctx, next, ifVersion)
	if err == nil {
		a.behaviours.Forget(next.Row)
		a.forget(func(g *grant) bool { return g.who.Owner.Project == next.Row })
	}
	return kept, err
}

// projectShape is a project as audits tell of it.
func projectShape(p *Project) any {
	s := &p.Settings
	return map[string]any{"name": p.Name, "suspended": p.Suspended, "suspended_reason": p.SuspendedReason, "live_enabled": !p.LiveDisabled, "default_from": s.DefaultFrom,
		"on_suppressed": s.OnSuppressed, "strict_fields": s.StrictFields, "content_retention_days": s.ContentDays, "event_retention_days": s.EventDays,
		"hosted_link_days": s.HostedDays, "rate_limit_per_minute": s.RatePerMinute, "daily_messages": s.DailyMessages, "unverified_domains": s.UnverifiedDomains,
		"allowed_domains": s.AllowedDomains, "track_opens": s.TrackOpens, "track_clicks": s.TrackClicks, "tracking_host": s.TrackingHost, "dedupe_window_seconds": s.DedupeSeconds, "sandbox": s.Sandbox}
}

// What follows is the operator's (instance.*): all projects.

// CreateProject makes a project.
func (a *Access) CreateProject(ctx context.Context, name string, c ProjectChange, once *mail.Once, answer func(Project) mail.Answer) (Project, error) {
	now := a.now()
	p := Project{ID: mail.NewID(now), Settings: DefaultSettings(), CreatedAt: now}
	c.Name = &name
	p, faults := c.apply(p)
	if faults != nil {
		return Project{}, faults
	}
	audit.Changed(ctx, p.ID.Text(mail.PrefixProject), nil, projectShape(&p))
	return a.store.CreateProject(ctx, p, once, answer)
}

// Projects lists all, oldest first.
func (a *Access) Projects(ctx context.Context) ([]Project, error) { return a.store.Projects(ctx) }

// FindProject gives a project by its id ("prj_…") or its name, or mail.ErrNotFound.
func (a *Access) FindProject(ctx context.Context, ref string) (Project, error) {
	if id, err := mail.ParseID(mail.PrefixProject, ref); err == nil {
		p, err := a.store.ProjectByID(ctx, id)
		if err == nil && !p.DeletedAt.IsZero() {
			err = mail.ErrNotFound
		}
		return p, err
	}
	return a.store.ProjectByName(ctx, ref)
}

// ChangeProject keeps an operator's change of any project.
func (a *Access) ChangeProject(ctx context.Context, ref string, ifVersion int64, c ProjectChange) (Project, error) {
	return unlessOvertaken(ifVersion, func() (Project, error) {
		p, err := a.FindProject(ctx, ref)
		if err != nil {
			return Project{}, err
		}
		return a.keepProject(ctx, p, ifVersion, c)
	})
}

// Suspend stops a project's sending: what it hands in is refused, on this node at once and
// on others within a second. What was accepted goes on. Suspending again changes the reason.
func (a *Access) Suspend(ctx context.Context, ref, reason string) (Project, error) {
	reason = strings.TrimSpace(reason)
	if len(reason) > 500 || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Project{}, mail.Faults{{Code: "too_long", Field: "reason", Pointer: "#/reason", Message: "A reason has at most 500 characters, in one line."}}
	}
	return a.alter(ctx, ref, func(p *Project) {
		if !p.Suspended {
			p.SuspendedAt = a.now()
		}
		p.Suspended, p.SuspendedReason = true, reason
	})
}

// Resume lets a suspended project send again.
func (a *Access) Resume(ctx context.Context, ref string) (Project, error) {
	return a.alter(ctx, ref, func(p *Project) { p.Suspended, p.SuspendedReason, p.SuspendedAt = false, "", time.Time{} })
}

// alter changes a project whatever its version; who was overtaken looks again.
func (a *Access) alter(ctx context.Context, ref string, change func(*Project)) (Project, error) {
	return unlessOvertaken(0, func() (Project, error) {
		p, err := a.FindProject(ctx, ref)
		if err != nil {
			return Project{}, err
		}
		next := p
		if change(&next); next.Suspended == p.Suspended && next.SuspendedReason == p.SuspendedReason {
			return p, nil
		}
		return a.storeProject(ctx, p, next, p.Version)
	})
}

// DeleteProject takes a project away. It must be suspended, so that nothing comes in any
// more, and nothing of it may wait.
func (a *Access) DeleteProject(ctx context.Context, by Principal, ref string) error {
	p, err := a.FindProject(ctx, ref)
	switch {
	case err != nil:
		return err
	case p.Name == DefaultProject:
		return &mail.Error{Code: "state_conflict", Status: 409, Message: "The default project cannot be deleted."}
	case p.Row == by.Owner.Project:
		return &mail.Error{Code: "state_conflict", Status: 409, Message: "This is the project of your own key. Use a key of another one."}
	case !p.Suspended:
		return &mail.Error{Code: "state_conflict", Status: 409, Message: "Suspend the project first (POST …/suspend), so that nothing comes in any more."}
	}
	audit.Changed(ctx, p.ID.Text(mail.PrefixProject), projectShape(&p), nil)
	if err := a.store.DeleteProject(ctx, p.Row, by.By(), a.now()); err != nil {
		if errors.Is(err, mail.ErrExists) {
			return &mail.Error{Code: "state_conflict", Status: 409, Message: "Mail of this project still waits. Cancel it, or wait until all of it has come to its end."}
		}
		return err
	}
	a.forget(func(g *grant) bool { return g.who.Owner.Project == p.Row })
	return nil
}

// Usage tells what the caller's environment accepted on each day.
func (a *Access) Usage(ctx context.Context, owner mail.Owner, from, to Day) ([]Usage, error) {
	return a.store.Usage(ctx, owner, from, to)
}

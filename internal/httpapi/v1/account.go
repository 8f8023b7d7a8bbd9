package v1

import (
	"cmp"
	"net/http"
	"runtime"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

type projectRef struct {
	ID   string `json:"project_id"`
	Name string `json:"name"`
}

type meOut struct {
	Object      string      `json:"object"`
	Project     projectRef  `json:"project"`
	Environment string      `json:"environment"`
	Scopes      []string    `json:"scopes"`
	Key         *keyOut     `json:"key"` // null: the caller has a session
	Session     *sessionOut `json:"session,omitempty"`
	Limits      meLimits    `json:"limits"`
}

// meLimits are the limits that hold for the caller; null is unlimited.
type meLimits struct {
	ProjectPerMinute *int `json:"project_per_minute"`
	KeyPerMinute     *int `json:"key_per_minute"`
	ProjectDaily     *int `json:"project_daily_messages"`
	KeyDaily         *int `json:"key_daily_messages"`
	MaxRecipients    int  `json:"max_recipients"`
	MaxBodyBytes     int  `json:"max_body_bytes"`
}

func (a *API) me(c *httpapi.Call) {
	k, p := c.Who.Key, c.Who.Project
	out := meOut{Object: "me", Project: projectRef{p.ID.Text(mail.PrefixProject), p.Name}, Environment: c.Who.Owner.Env.String(),
		Scopes: k.ShownScopes(), Limits: meLimits{MaxRecipients: 50, MaxBodyBytes: httpapi.MaxBody, ProjectDaily: p.Settings.DailyMessages, KeyDaily: k.DailyMessages}}
	if s := c.Who.Session; s != nil {
		session := sessionOf(s, s)
		out.Session = &session
	} else {
		key := keyOf(k)
		out.Key = &key
	}
	out.Limits.ProjectPerMinute = a.ratePerMinute(p)
	if k.RatePerMinute != nil && *k.RatePerMinute > 0 {
		out.Limits.KeyPerMinute = k.RatePerMinute
	}
	if k.MaxRecipients > 0 {
		out.Limits.MaxRecipients = k.MaxRecipients
	}
	give(c, http.StatusOK, out)
}

func (a *API) ratePerMinute(p *project.Project) *int {
	n := a.o.Limits.Default()
	if p.Settings.RatePerMinute != nil {
		n = *p.Settings.RatePerMinute
	}
	if n <= 0 {
		return nil
	}
	return &n
}

// projectOut is the project with its settings.
type projectOut struct {
	ID                string         `json:"project_id"`
	Object            string         `json:"object"`
	Name              string         `json:"name"`
	Suspended         bool           `json:"suspended"`
	SuspendedReason   *string        `json:"suspended_reason"`
	SuspendedAt       time.Time      `json:"suspended_at"`
	LiveEnabled       bool           `json:"live_enabled"`
	DefaultFrom       *string        `json:"default_from"`
	OnSuppressed      string         `json:"on_suppressed"`
	StrictFields      bool           `json:"strict_fields"`
	ContentDays       int            `json:"content_retention_days"`
	EventDays         int            `json:"event_retention_days"`
	HostedDays        int            `json:"hosted_link_days"`
	RateLimit         rateOut        `json:"rate_limit"`
	DailyMessages     *int           `json:"daily_messages"`
	AllowedDomains    []string       `json:"allowed_domains"`
	Tracking          trackingOut    `json:"tracking"`
	TrackingHost      *string        `json:"tracking_host"`
	DedupeSeconds     int            `json:"dedupe_window_seconds"`
	UnverifiedDomains string         `json:"unverified_domains"`
	CreatedAt         string         `json:"created_at"`
	Warnings          []mail.Warning `json:"warnings,omitempty"`
}

func (a *API) projectOf(p *project.Project) projectOut {
	s := p.Settings
	rate := a.o.Limits.Default()
	if s.RatePerMinute != nil {
		rate = *s.RatePerMinute
	}
	return projectOut{ID: p.ID.Text(mail.PrefixProject), Object: "project", Name: p.Name, Suspended: p.Suspended, SuspendedReason: orNull(p.SuspendedReason),
		SuspendedAt: p.SuspendedAt, LiveEnabled: !p.LiveDisabled, DefaultFrom: orNull(s.DefaultFrom), OnSuppressed: s.OnSuppressed, StrictFields: s.StrictFields,
		ContentDays: s.ContentDays, EventDays: s.EventDays, HostedDays: cmp.Or(s.HostedDays, 30), RateLimit: rateOut{&rate}, DailyMessages: s.DailyMessages,
		AllowedDomains: s.AllowedDomains, Tracking: trackingOut{s.TrackOpens, s.TrackClicks}, TrackingHost: orNull(s.TrackingHost), UnverifiedDomains: s.UnverifiedDomains, DedupeSeconds: s.DedupeSeconds, CreatedAt: p.CreatedAt.UTC().Format(stampLayout)}
}

func (a *API) showProject(c *httpapi.Call, p *project.Project, warnings []mail.Warning) {
	out := a.projectOf(p)
	out.Warnings = warnings
	c.ETag(p.Version)
	give(c, http.StatusOK, out)
}

func (a *API) getProject(c *httpapi.Call) { a.showProject(c, c.Who.Project, nil) }

var projectFields = []string{"default_from", "on_suppressed", "strict_fields", "content_retention_days", "event_retention_days", "hosted_link_days", "rate_limit",
	"allowed_domains", "unverified_domains", "tracking", "tracking_host", "daily_messages", "dedupe_window_seconds"}

type trackingOut struct {
	Opens  bool `json:"opens"`
	Clicks bool `json:"clicks"`
}

func (a *API) patchProject(c *httpapi.Call) {
	var changes []func(*project.Settings)
	set := func(change func(*project.Settings)) { changes = append(changes, change) }
	f, ok := a.readForm(c, projectFields, func(f *form, name string, v value) { patchSetting(f, name, v, set) })
	if !ok || f.failed() {
		return
	}
	p, err := a.o.Access.UpdateProject(c.Context(), c.Who, c.IfMatch(), func(s *project.Settings) {
		for _, change := range changes {
			change(s)
		}
	})
	if err != nil {
		c.Fail(err)
		return
	}
	a.showProject(c, &p, f.allWarnings())
}

// patchSetting notes one change; null means the default.
func patchSetting(f *form, name string, v value, set func(func(*project.Settings))) {
	null, defaults := v.isNull(), project.DefaultSettings()
	switch name {
	case "default_from", "on_suppressed", "unverified_domains":
		text := map[string]string{"default_from": "", "on_suppressed": defaults.OnSuppressed, "unverified_domains": defaults.UnverifiedDomains}[name]
		if !null {
			text, _ = f.text(name, v)
		}
		if name == "default_from" && text != "" {
			if _, err := mail.ParseAddress(text); err != nil {
				f.fault(name, "invalid_email", "'default_from' is not an address.")
			}
		}
		set(func(s *project.Settings) {
			*map[string]*string{"default_from": &s.DefaultFrom, "on_suppressed": &s.OnSuppressed, "unverified_domains": &s.UnverifiedDomains}[name] = text
		})
	case "strict_fields":
		is := false
		if !null {
			is, _ = f.flag(name, v)
		}
		set(func(s *project.Settings) { s.StrictFields = is })
	case "content_retention_days", "event_retention_days", "hosted_link_days":
		n := 30
		if !null {
			n = f.small(name, v)
		}
		if name == "hosted_link_days" && n == 0 {
			n = -1 // the store takes 0 for a project that never said
		}
		set(func(s *project.Settings) {
			*map[string]*int{"content_retention_days": &s.ContentDays, "event_retention_days": &s.EventDays, "hosted_link_days": &s.HostedDays}[name] = n
		})
	case "dedupe_window_seconds":
		n := 0
		if !null {
			n = f.small(name, v)
		}
		set(func(s *project.Settings) { s.DedupeSeconds = n })
	case "rate_limit":
		var rate *int
		if !null {
			rate = readRate(f, v)
		}
		set(func(s *project.Settings) { s.RatePerMinute = rate })
	case "daily_messages":
		n := readDaily(f, v)
		set(func(s *project.Settings) { s.DailyMessages = n })
	case "allowed_domains":
		var list []string
		if !null {
			list = f.texts(name, v)
		}
		set(func(s *project.Settings) { s.AllowedDomains = list })
	case "tracking_host":
		host := ""
		if !null {
			host, _ = f.text(name, v)
		}
		set(func(s *project.Settings) { s.TrackingHost = host })
	case "tracking":
		body := sendBody{r: &submit.Request{}}
		if off := false; null {
			body.r.Tracking = submit.Tracking{Opens: &off, Clicks: &off}
		} else {
			body.tracking(v)
		}
		f.faults, f.unknown = append(f.faults, body.faults...), append(f.unknown, body.unknown...)
		set(func(s *project.Settings) {
			if is := body.r.Tracking.Opens; is != nil {
				s.TrackOpens = *is
			}
			if is := body.r.Tracking.Clicks; is != nil {
				s.TrackClicks = *is
			}
		})
	}
}

type versionOut struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

func (a *API) version(c *httpapi.Call) {
	v := a.o.Version
	if v.Go == "" {
		v.Go = runtime.Version()
	}
	give(c, http.StatusOK, versionOut(v))
}

type healthOut struct {
	Status string  `json:"status"`
	Checks []Check `json:"checks"`
}

// health is the operator's checklist; the worst line names the whole.
func (a *API) health(c *httpapi.Call) {
	out := healthOut{Status: "ok", Checks: []Check{}}
	if a.o.Health != nil {
		out.Checks = append(out.Checks, a.o.Health(c.Context())...)
	}
	for _, check := range out.Checks {
		if check.Status == "warn" && out.Status == "ok" || check.Status == "fail" {
			out.Status = "degraded"
		}
	}
	give(c, http.StatusOK, out)
}

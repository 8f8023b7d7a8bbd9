package postroad

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// ProjectSettings is the project of the client's key.
type ProjectSettings struct{ c *Client }

// Projects are all of an instance: for its operator's keys.
type Projects struct{ c *Client }

// Audit is who changed what.
type Audit struct{ c *Client }

// Project is who mail is sent for.
type Project struct {
	Response
	ProjectID            string    `json:"project_id"`
	Object               string    `json:"object"`
	Name                 string    `json:"name"`
	Suspended            bool      `json:"suspended"`
	SuspendedReason      string    `json:"suspended_reason"`
	SuspendedAt          time.Time `json:"suspended_at"`
	LiveEnabled          bool      `json:"live_enabled"`
	DefaultFrom          string    `json:"default_from"`
	OnSuppressed         string    `json:"on_suppressed"` // "accept", "reject"
	StrictFields         bool      `json:"strict_fields"`
	ContentRetentionDays int       `json:"content_retention_days"`
	EventRetentionDays   int       `json:"event_retention_days"`
	HostedLinkDays       int       `json:"hosted_link_days"`
	RateLimit            KeyRate   `json:"rate_limit"`
	DailyMessages        *int      `json:"daily_messages"`
	AllowedDomains       []string  `json:"allowed_domains"`
	Tracking             Tracking  `json:"tracking"`
	TrackingHost         string    `json:"tracking_host"`
	UnverifiedDomains    string    `json:"unverified_domains"`    // "reject", "warn"
	DedupeWindowSeconds  int       `json:"dedupe_window_seconds"` // 0: equal messages are two
	CreatedAt            time.Time `json:"created_at"`
	Warnings             []Warning `json:"warnings"`
}

// ProjectChange changes settings; null is the default.
type ProjectChange struct {
	Name                 Optional[string]   `json:"name,omitzero"`         // for Projects
	LiveEnabled          Optional[bool]     `json:"live_enabled,omitzero"` // likewise
	DefaultFrom          Optional[string]   `json:"default_from,omitzero"`
	OnSuppressed         Optional[string]   `json:"on_suppressed,omitzero"`
	StrictFields         Optional[bool]     `json:"strict_fields,omitzero"`
	ContentRetentionDays Optional[int]      `json:"content_retention_days,omitzero"`
	EventRetentionDays   Optional[int]      `json:"event_retention_days,omitzero"`
	HostedLinkDays       Optional[int]      `json:"hosted_link_days,omitzero"`
	RateLimit            Optional[KeyRate]  `json:"rate_limit,omitzero"`
	DailyMessages        Optional[int]      `json:"daily_messages,omitzero"`
	AllowedDomains       Optional[[]string] `json:"allowed_domains,omitzero"`
	Tracking             Optional[Tracking] `json:"tracking,omitzero"`
	TrackingHost         Optional[string]   `json:"tracking_host,omitzero"`
	UnverifiedDomains    Optional[string]   `json:"unverified_domains,omitzero"`
	DedupeWindowSeconds  Optional[int]      `json:"dedupe_window_seconds,omitzero"`
}

// Get gives the project.
func (p *ProjectSettings) Get(ctx context.Context, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodGet, at("project"), nil, options)
}

// Update changes its settings.
func (p *ProjectSettings) Update(ctx context.Context, change ProjectChange, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPatch, at("project"), change, options)
}

// Usage is what a project used, and what it may.
type Usage struct {
	Response
	Object      string      `json:"object"`
	Environment string      `json:"environment"`
	Period      string      `json:"period"`
	From        string      `json:"from"` // a day, 2026-04-19
	To          string      `json:"to"`
	ResetsAt    time.Time   `json:"resets_at"` // when today is over
	Limits      UsageLimits `json:"limits"`
	Usage       struct {
		Today  UsageCount `json:"today"`
		Period UsageCount `json:"period"`
	} `json:"usage"`
	Days     []UsageDay `json:"days"`
	Keys     []UsageKey `json:"keys"`
	Warnings []Warning  `json:"warnings"`
}

// UsageLimits are what a project may; nil is unlimited.
type UsageLimits struct {
	PerMinute      *int `json:"per_minute"`
	DailyMessages  *int `json:"daily_messages"`
	RemainingToday *int `json:"remaining_today"`
}

// UsageCount counts what was accepted.
type UsageCount struct {
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
	Bytes      int64 `json:"bytes"`
}

// UsageDay is one day of it.
type UsageDay struct {
	UsageCount
	Date string `json:"date"`
}

// UsageKey is one key's part; KeyID is "" for what came from the console.
type UsageKey struct {
	UsageCount
	KeyID string `json:"key_id"`
}

// Usage counts messages of a period: "day", "week", "month" (default) or "year".
func (p *ProjectSettings) Usage(ctx context.Context, period string) (*Usage, error) {
	var options []CallOption
	if period != "" {
		options = append(options, param("period", period))
	}
	return call[Usage](ctx, p.c, http.MethodGet, at("usage"), nil, options)
}

// List lists projects.
func (p *Projects) List() *List[Project] { return listOf[Project](p.c, nil, "projects") }

// Create makes one; its Name must be set.
func (p *Projects) Create(ctx context.Context, n ProjectChange, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPost, at("projects"), n, options)
}

// Get gives one.
func (p *Projects) Get(ctx context.Context, id string, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodGet, at("projects", id), nil, options)
}

// Update changes one.
func (p *Projects) Update(ctx context.Context, id string, change ProjectChange, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPatch, at("projects", id), change, options)
}

// Delete removes one that is suspended; [ErrConflict] while it is not.
func (p *Projects) Delete(ctx context.Context, id string, options ...CallOption) error {
	return nothing(ctx, p.c, http.MethodDelete, at("projects", id), nil, options)
}

// Suspend has a project's keys refused.
func (p *Projects) Suspend(ctx context.Context, id, reason string, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPost, at("projects", id, "suspend"), map[string]string{"reason": reason}, options)
}

// Resume ends that.
func (p *Projects) Resume(ctx context.Context, id string, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPost, at("projects", id, "resume"), struct{}{}, options)
}

// AuditEntry is one change of configuration.
type AuditEntry struct {
	Response
	AuditID     string        `json:"audit_id"`
	Object      string        `json:"object"`
	At          time.Time     `json:"at"`
	Environment string        `json:"environment"`
	Action      string        `json:"action"`
	Target      string        `json:"target"`
	Actor       AuditActor    `json:"actor"`
	IP          string        `json:"ip"`
	UserAgent   string        `json:"user_agent"`
	RequestID   string        `json:"request_id"`
	Changes     []AuditChange `json:"changes"`
}

// AuditChange is one field that is different now; null is what did not exist.
type AuditChange struct {
	Field string          `json:"field"`
	From  json.RawMessage `json:"from"`
	To    json.RawMessage `json:"to"`
}

// AuditActor is who did it.
type AuditActor struct {
	Type      string `json:"type"` // "api_key", "session", "operator"
	ID        string `json:"id"`
	Name      string `json:"name"`
	SessionID string `json:"session_id"`
}

// AuditFilter selects entries.
type AuditFilter struct {
	Paging
	Actor         string    `query:"actor"`
	Action        string    `query:"action"`
	Target        string    `query:"target"`
	CreatedAfter  time.Time `query:"created_after"`
	CreatedBefore time.Time `query:"created_before"`
}

// List lists changes, newest first.
func (a *Audit) List(filter AuditFilter) *List[AuditEntry] {
	return listOf[AuditEntry](a.c, filter, "audit")
}

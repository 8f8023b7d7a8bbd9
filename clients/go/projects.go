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
	UnverifiedDomains    string    `json:"unverified_domains"` // "reject", "warn"
	CreatedAt            time.Time `json:"created_at"`
	Warnings             []Warning `json:"warnings"`
}

// ProjectChange changes settings; null is the default.
type ProjectChange struct {
	Name                 Optional[string]   `json:"name,omitzero"`
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
	Limits map[string]any            `json:"limits"`
	Usage  map[string]map[string]any `json:"usage"`
}

// Usage counts messages of a period: "day", "month"; "" is the server's own choice.
func (p *ProjectSettings) Usage(ctx context.Context, period string) (*Usage, error) {
	var options []CallOption
	if period != "" {
		options = append(options, param("period", period))
	}
	return call[Usage](ctx, p.c, http.MethodGet, at("usage"), nil, options)
}

// List lists projects.
func (p *Projects) List() *List[Project] { return listOf[Project](p.c, nil, "projects") }

// Create makes one.
func (p *Projects) Create(ctx context.Context, name string, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPost, at("projects"), map[string]string{"name": name}, options)
}

// Get gives one.
func (p *Projects) Get(ctx context.Context, id string, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodGet, at("projects", id), nil, options)
}

// Update changes one.
func (p *Projects) Update(ctx context.Context, id string, change ProjectChange, options ...CallOption) (*Project, error) {
	return call[Project](ctx, p.c, http.MethodPatch, at("projects", id), change, options)
}

// Delete removes one.
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

// AuditEntry is one change of configuration. Further fields stand in [Response.Raw].
type AuditEntry struct {
	Response
	AuditID string          `json:"audit_id"`
	At      time.Time       `json:"at"`
	Action  string          `json:"action"`
	Changes json.RawMessage `json:"changes"`
}

// AuditFilter selects entries.
type AuditFilter struct {
	Paging
	Action       string    `query:"action"`
	CreatedAfter time.Time `query:"created_after"`
}

// List lists changes, newest first.
func (a *Audit) List(filter AuditFilter) *List[AuditEntry] {
	return listOf[AuditEntry](a.c, filter, "audit")
}

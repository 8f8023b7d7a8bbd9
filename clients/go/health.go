package postroad

import (
	"context"
	"net/http"
)

// Health is the server's own state.
type Health struct{ c *Client }

// HealthReport is the operator's checklist.
type HealthReport struct {
	Response
	Status string        `json:"status"` // "ok", "degraded"
	Checks []HealthCheck `json:"checks"`
}

// HealthCheck is a line of it.
type HealthCheck struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // "pass", "warn", "fail", "skip"
	Summary string `json:"summary"`
	Fix     string `json:"fix"`
	Docs    string `json:"docs"`
}

// ServerVersion is what is running.
type ServerVersion struct {
	Response
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Check is the operator's checklist (scope instance.read).
func (h *Health) Check(ctx context.Context) (*HealthReport, error) {
	return call[HealthReport](ctx, h.c, http.MethodGet, at("health"), nil, nil)
}

// Version tells what is running; no key is needed.
func (h *Health) Version(ctx context.Context) (*ServerVersion, error) {
	return call[ServerVersion](ctx, h.c, http.MethodGet, at("version"), nil, nil)
}

package postroad

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Webhooks keeps the URLs events are posted to, and what was posted. [Verify] checks what
// arrives there.
type Webhooks struct{ c *Client }

// NewWebhook is a URL that wants events.
type NewWebhook struct {
	URL           string            `json:"url"`
	Events        []string          `json:"events"` // exact names, "message.*" or "*"
	Description   string            `json:"description,omitempty"`
	Filters       *WebhookFilters   `json:"filters,omitempty"`
	Redact        []string          `json:"redact,omitempty"` // "subject", "recipient", "metadata"
	Format        string            `json:"format,omitempty"` // "standard" (default), "hyvor"
	Ordering      string            `json:"ordering,omitempty"`
	MaxPerSecond  int               `json:"max_per_second,omitempty"`
	CustomHeaders map[string]string `json:"custom_headers,omitempty"`
}

// WebhookFilters narrow events about messages.
type WebhookFilters struct {
	Tags    []string `json:"tags,omitempty"`
	Domains []string `json:"domains,omitempty"`
}

// WebhookChange changes an endpoint.
type WebhookChange struct {
	URL           Optional[string]            `json:"url,omitzero"`
	Events        Optional[[]string]          `json:"events,omitzero"`
	Description   Optional[string]            `json:"description,omitzero"`
	Filters       Optional[WebhookFilters]    `json:"filters,omitzero"`
	Redact        Optional[[]string]          `json:"redact,omitzero"`
	Format        Optional[string]            `json:"format,omitzero"`
	Ordering      Optional[string]            `json:"ordering,omitzero"` // "none", "per_message"
	MaxPerSecond  Optional[int]               `json:"max_per_second,omitzero"`
	CustomHeaders Optional[map[string]string] `json:"custom_headers,omitzero"`
}

// Webhook is an endpoint. Secret is there where it was just made.
type Webhook struct {
	Response
	WebhookID      string            `json:"webhook_id"`
	Object         string            `json:"object"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	Events         []string          `json:"events"`
	Filters        WebhookFilters    `json:"filters"`
	Redact         []string          `json:"redact"`
	PayloadVersion string            `json:"payload_version"`
	Format         string            `json:"format"`
	Status         string            `json:"status"` // "enabled", "disabled"
	DisabledReason string            `json:"disabled_reason"`
	DisabledAt     time.Time         `json:"disabled_at"`
	Ordering       string            `json:"ordering"`
	MaxPerSecond   int               `json:"max_per_second"`
	CustomHeaders  map[string]string `json:"custom_headers"`
	Health         WebhookHealth     `json:"health"`
	Secret         string            `json:"secret"`
	OldExpiresAt   time.Time         `json:"old_secret_expires_at"`
	CreatedAt      time.Time         `json:"created_at"`
	CreatedBy      string            `json:"created_by"`
	Missed         *MissedEvents     `json:"missed"`        // while it is disabled
	ReplayJobID    string            `json:"replay_job_id"` // of Enable
	Warnings       []Warning         `json:"warnings"`
}

// MissedEvents came while an endpoint was disabled; they can be replayed.
type MissedEvents struct {
	Count   int       `json:"count"`
	AtLeast bool      `json:"at_least"` // counting stopped there
	Since   time.Time `json:"since"`
}

// WebhookHealth is how an endpoint does.
type WebhookHealth struct {
	SuccessRate24h *float64  `json:"success_rate_24h"`
	P95MS          *float64  `json:"p95_ms"`
	Backlog        int64     `json:"backlog"`
	Breaker        string    `json:"breaker"`
	FirstFailureAt time.Time `json:"first_failure_at"` // since when nothing gets through
	LastSuccessAt  time.Time `json:"last_success_at"`
	LastError      string    `json:"last_error"`
}

// Create adds an endpoint; its Secret is what [Verify] takes.
func (w *Webhooks) Create(ctx context.Context, n NewWebhook, options ...CallOption) (*Webhook, error) {
	return call[Webhook](ctx, w.c, http.MethodPost, at("webhooks"), n, options)
}

// List lists endpoints.
func (w *Webhooks) List() *List[Webhook] { return listOf[Webhook](w.c, nil, "webhooks") }

// Get gives one.
func (w *Webhooks) Get(ctx context.Context, id string, options ...CallOption) (*Webhook, error) {
	return call[Webhook](ctx, w.c, http.MethodGet, at("webhooks", id), nil, options)
}

// Update changes one.
func (w *Webhooks) Update(ctx context.Context, id string, change WebhookChange, options ...CallOption) (*Webhook, error) {
	return call[Webhook](ctx, w.c, http.MethodPatch, at("webhooks", id), change, options)
}

// Delete removes one.
func (w *Webhooks) Delete(ctx context.Context, id string, options ...CallOption) error {
	return nothing(ctx, w.c, http.MethodDelete, at("webhooks", id), nil, options)
}

// WebhookSecret is what an endpoint's deliveries are signed with. Until OldExpiresAt they
// are signed with the secret before it, too.
type WebhookSecret struct {
	Response
	WebhookID    string    `json:"webhook_id"`
	Object       string    `json:"object"`
	Secret       string    `json:"secret"`
	OldSecret    string    `json:"old_secret"`
	OldExpiresAt time.Time `json:"old_expires_at"`
	Warnings     []Warning `json:"warnings"`
}

// Secret shows an endpoint's secret.
func (w *Webhooks) Secret(ctx context.Context, id string) (*WebhookSecret, error) {
	return call[WebhookSecret](ctx, w.c, http.MethodGet, at("webhooks", id, "secret"), nil, nil)
}

// RotateSecret makes a new secret; both sign for overlapHours (0 to 168; nil: 24). Inside
// that time another rotation is [ErrConflict], unless force.
func (w *Webhooks) RotateSecret(ctx context.Context, id string, overlapHours *int, force bool, options ...CallOption) (*WebhookSecret, error) {
	body := map[string]any{}
	if overlapHours != nil {
		body["overlap_hours"] = *overlapHours
	}
	if force {
		body["force"] = true
	}
	return call[WebhookSecret](ctx, w.c, http.MethodPost, at("webhooks", id, "rotate-secret"), body, options)
}

// ExpireOldSecret ends the overlap now.
func (w *Webhooks) ExpireOldSecret(ctx context.Context, id string, options ...CallOption) error {
	return nothing(ctx, w.c, http.MethodPost, at("webhooks", id, "expire-old-secret"), struct{}{}, options)
}

// Enable has an endpoint called again; replayMissed also delivers what it missed.
func (w *Webhooks) Enable(ctx context.Context, id string, replayMissed bool, options ...CallOption) (*Webhook, error) {
	return call[Webhook](ctx, w.c, http.MethodPost, at("webhooks", id, "enable"), map[string]bool{"replay_missed": replayMissed}, options)
}

// Disable has it called no more; what it misses can be replayed.
func (w *Webhooks) Disable(ctx context.Context, id string, options ...CallOption) (*Webhook, error) {
	return call[Webhook](ctx, w.c, http.MethodPost, at("webhooks", id, "disable"), struct{}{}, options)
}

// WebhookTest is one exchange with an endpoint, and what it means.
type WebhookTest struct {
	Response
	WebhookID string         `json:"webhook_id"`
	Object    string         `json:"object"`
	Type      string         `json:"type"`
	Delivered bool           `json:"delivered"`
	Error     string         `json:"error"`
	Request   WebhookRequest `json:"request"`
	Answer    *WebhookAnswer `json:"response"`
	Verdict   string         `json:"verdict"`
}

// WebhookRequest is what was posted.
type WebhookRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// WebhookAnswer is what the endpoint said.
type WebhookAnswer struct {
	Status     int               `json:"status"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	DurationMS int64             `json:"duration_ms"`
}

// Test posts a signed example of a type ("" = webhook.test) now.
func (w *Webhooks) Test(ctx context.Context, id, eventType string, options ...CallOption) (*WebhookTest, error) {
	body := map[string]string{}
	if eventType != "" {
		body["type"] = eventType
	}
	return call[WebhookTest](ctx, w.c, http.MethodPost, at("webhooks", id, "test"), body, options)
}

// DeliveryFilter selects an endpoint's deliveries.
type DeliveryFilter struct {
	Paging
	Status    string    `query:"status"` // "delivered", "failed", "pending", "parked"
	Type      string    `query:"type"`
	MessageID string    `query:"message_id"`
	After     time.Time `query:"after"`
}

// WebhookDelivery is one event owed to one endpoint.
type WebhookDelivery struct {
	Response
	DeliveryID    string       `json:"delivery_id"`
	Object        string       `json:"object"`
	WebhookID     string       `json:"webhook_id"`
	EventID       string       `json:"event_id"`
	Type          string       `json:"type"`
	MessageID     string       `json:"message_id"`
	Status        string       `json:"status"`
	Position      int64        `json:"position"` // of the event in the log
	URL           string       `json:"url"`      // the endpoint's present one
	AttemptCount  int          `json:"attempt_count"`
	CreatedAt     time.Time    `json:"created_at"`
	NextAttemptAt time.Time    `json:"next_attempt_at"`
	CompletedAt   time.Time    `json:"completed_at"`
	Attempts      []WebhookTry `json:"attempts"` // of Delivery
	Body          string       `json:"body"`     // of Delivery: as it would be sent now
	Warnings      []Warning    `json:"warnings"`
}

// WebhookTry is one try of a delivery.
type WebhookTry struct {
	At         time.Time       `json:"at"`
	DurationMS int64           `json:"duration_ms"`
	Request    *WebhookRequest `json:"request"`
	Response   *WebhookAnswer  `json:"response"`
	Error      string          `json:"error"`
	Probe      bool            `json:"probe"` // of an open breaker: it does not count
}

// Deliveries lists what was and is posted to an endpoint.
func (w *Webhooks) Deliveries(id string, filter DeliveryFilter) *List[WebhookDelivery] {
	return listOf[WebhookDelivery](w.c, filter, "webhooks", id, "deliveries")
}

// Delivery gives one with all tries.
func (w *Webhooks) Delivery(ctx context.Context, deliveryID string) (*WebhookDelivery, error) {
	return call[WebhookDelivery](ctx, w.c, http.MethodGet, at("webhook-deliveries", deliveryID), nil, nil)
}

// Retry posts one again.
func (w *Webhooks) Retry(ctx context.Context, deliveryID string, options ...CallOption) (*WebhookDelivery, error) {
	return call[WebhookDelivery](ctx, w.c, http.MethodPost, at("webhook-deliveries", deliveryID, "retry"), struct{}{}, options)
}

// Replay says which events to post again.
type Replay struct {
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Types  []string  `json:"types,omitempty"`
	Status string    `json:"status,omitempty"` // "failed", "delivered"; "": all of the window
}

// ReplayCount is how many events a replay would post.
type ReplayCount struct {
	Response
	Matched  int       `json:"matched"`
	AtLeast  bool      `json:"at_least"` // counting stopped there
	Warnings []Warning `json:"warnings"`
}

// ReplayCount counts the events a replay would post, and posts none.
func (w *Webhooks) ReplayCount(ctx context.Context, id string, r Replay, options ...CallOption) (*ReplayCount, error) {
	return call[ReplayCount](ctx, w.c, http.MethodPost, at("webhooks", id, "replay"), struct {
		Replay
		DryRun bool `json:"dry_run"`
	}{r, true}, options)
}

// Replay posts them again, with the webhook-id they had.
func (w *Webhooks) Replay(ctx context.Context, id string, r Replay, options ...CallOption) (*Job, error) {
	return call[Job](ctx, w.c, http.MethodPost, at("webhooks", id, "replay"), r, options)
}

// WebhookStats counts an endpoint's deliveries of a window.
type WebhookStats struct {
	Response
	WebhookID      string        `json:"webhook_id"`
	Object         string        `json:"object"`
	WindowSeconds  int64         `json:"window_seconds"`
	Delivered      int64         `json:"delivered"`
	FailedAttempts int64         `json:"failed_attempts"`
	Failed         int64         `json:"failed"`       // given up
	SuccessRate    *float64      `json:"success_rate"` // of tries; nil when there were none
	LatencyMS      *Percentiles  `json:"latency_ms"`   // nil while nothing was delivered
	Backlog        int64         `json:"backlog"`
	Breaker        string        `json:"breaker"`
	Hours          []WebhookHour `json:"hours"`
	Warnings       []Warning     `json:"warnings"`
}

// Percentiles of a time.
type Percentiles struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
}

// WebhookHour is one hour of it.
type WebhookHour struct {
	Start          time.Time `json:"start"`
	Delivered      int64     `json:"delivered"`
	FailedAttempts int64     `json:"failed_attempts"`
	Failed         int64     `json:"failed"`
}

// Stats is how an endpoint did over a window, in whole hours (zero: 24).
func (w *Webhooks) Stats(ctx context.Context, id string, window time.Duration) (*WebhookStats, error) {
	var options []CallOption
	if window > 0 {
		hours := max((window+time.Hour-1)/time.Hour, 1)
		options = append(options, param("window", strconv.Itoa(int(hours))+"h"))
	}
	return call[WebhookStats](ctx, w.c, http.MethodGet, at("webhooks", id, "stats"), nil, options)
}

// EventTypeInfo describes a type of event.
type EventTypeInfo struct {
	Response
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"` // JSON Schema of Data
	Example     json.RawMessage `json:"example"`
}

// EventTypes are all types the server knows.
func (w *Webhooks) EventTypes(ctx context.Context) ([]*EventTypeInfo, error) {
	return whole[EventTypeInfo](ctx, w.c, "event-types")
}

// Verify is [Verify].
func (w *Webhooks) Verify(body []byte, header http.Header, secrets ...string) (*Event, error) {
	return Verify(body, header, secrets...)
}

package postroad

import (
	"context"
	"net/http"
	"time"
)

// APIKeys makes and takes back keys.
type APIKeys struct{ c *Client }

// KeyRate is a key's own limit.
type KeyRate struct {
	PerMinute *int `json:"per_minute"` // nil: none of its own
}

// NewAPIKey is a key to make. It cannot have more rights than the key it is made with.
type NewAPIKey struct {
	Name          string    `json:"name"`
	Environment   string    `json:"environment,omitempty"` // "": that of the client's key
	Scopes        []string  `json:"scopes,omitempty"`
	AllowedFrom   []string  `json:"allowed_from,omitempty"`
	IPAllowlist   []string  `json:"ip_allowlist,omitempty"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
	RateLimit     *KeyRate  `json:"rate_limit,omitempty"`
	MaxRecipients int       `json:"max_recipients,omitempty"`
	DailyMessages *int      `json:"daily_messages,omitempty"` // nil: no quota of its own
}

// APIKey is a key. Its Secret is there once, when it was made or rotated.
type APIKey struct {
	Response
	KeyID             string    `json:"key_id"`
	Object            string    `json:"object"`
	Secret            string    `json:"secret"`
	Prefix            string    `json:"prefix"`
	Name              string    `json:"name"`
	Environment       string    `json:"environment"`
	Scopes            []string  `json:"scopes"`
	AllowedFrom       []string  `json:"allowed_from"`
	IPAllowlist       []string  `json:"ip_allowlist"`
	RateLimit         *KeyRate  `json:"rate_limit"`
	MaxRecipients     int       `json:"max_recipients"` // 0: no limit of its own
	DailyMessages     *int      `json:"daily_messages"`
	ReplacedBy        string    `json:"replaced_by"`
	Enabled           bool      `json:"enabled"`
	Revoked           bool      `json:"revoked"`
	CreatedAt         time.Time `json:"created_at"`
	CreatedBy         string    `json:"created_by"`
	ExpiresAt         time.Time `json:"expires_at"`
	OldKeyID          string    `json:"old_key_id"`     // of a rotation
	OldExpiresAt      time.Time `json:"old_expires_at"` // until then the old one works
	RevokedAt         time.Time `json:"revoked_at"`
	LastUsedAt        time.Time `json:"last_used_at"`
	LastUsedIP        string    `json:"last_used_ip"`
	LastUsedUserAgent string    `json:"last_used_user_agent"`
	Warnings          []Warning `json:"warnings"`
}

// String leaves the secret out.
func (k *APIKey) String() string { return "postroad.APIKey{" + k.KeyID + ", " + k.Name + "}" }

// APIKeyChange changes a key; null takes a restriction away.
type APIKeyChange struct {
	Name          Optional[string]    `json:"name,omitzero"`
	Enabled       Optional[bool]      `json:"enabled,omitzero"`
	Scopes        Optional[[]string]  `json:"scopes,omitzero"`
	AllowedFrom   Optional[[]string]  `json:"allowed_from,omitzero"`
	IPAllowlist   Optional[[]string]  `json:"ip_allowlist,omitzero"`
	ExpiresAt     Optional[time.Time] `json:"expires_at,omitzero"`
	RateLimit     Optional[KeyRate]   `json:"rate_limit,omitzero"`
	MaxRecipients Optional[int]       `json:"max_recipients,omitzero"`
	DailyMessages Optional[int]       `json:"daily_messages,omitzero"`
}

// Create makes a key. The answer is the only place its secret ever stands: a call that is
// answered by an earlier one's answer ([Response.Replayed]) has none.
func (k *APIKeys) Create(ctx context.Context, n NewAPIKey, options ...CallOption) (*APIKey, error) {
	return call[APIKey](ctx, k.c, http.MethodPost, at("api-keys"), n, options)
}

// List lists keys.
func (k *APIKeys) List() *List[APIKey] { return listOf[APIKey](k.c, nil, "api-keys") }

// Get gives one.
func (k *APIKeys) Get(ctx context.Context, id string, options ...CallOption) (*APIKey, error) {
	return call[APIKey](ctx, k.c, http.MethodGet, at("api-keys", id), nil, options)
}

// Update changes one.
func (k *APIKeys) Update(ctx context.Context, id string, change APIKeyChange, options ...CallOption) (*APIKey, error) {
	return call[APIKey](ctx, k.c, http.MethodPatch, at("api-keys", id), change, options)
}

// Revoke ends one for good.
func (k *APIKeys) Revoke(ctx context.Context, id string, options ...CallOption) error {
	return nothing(ctx, k.c, http.MethodDelete, at("api-keys", id), nil, options)
}

// KeyRotation is how one key follows another.
type KeyRotation struct {
	OverlapHours *int      `json:"overlap_hours,omitempty"` // how long the old one goes on working; nil: 24
	ExpiresAt    time.Time `json:"expires_at,omitzero"`     // of the new one
}

// Rotate makes the key that follows one, with the same rights.
func (k *APIKeys) Rotate(ctx context.Context, id string, r KeyRotation, options ...CallOption) (*APIKey, error) {
	return call[APIKey](ctx, k.c, http.MethodPost, at("api-keys", id, "rotate"), r, options)
}

// Me is who the client is.
type Me struct {
	Response
	Object      string     `json:"object"`
	Project     ProjectRef `json:"project"`
	Environment string     `json:"environment"`
	Scopes      []string   `json:"scopes"`
	Key         APIKey     `json:"key"`
	Limits      Limits     `json:"limits"`
}

// ProjectRef names a project.
type ProjectRef struct {
	ProjectID string `json:"project_id"`
	Name      string `json:"name"`
}

// Limits are those that hold for a key; nil is unlimited.
type Limits struct {
	ProjectPerMinute *int `json:"project_per_minute"`
	KeyPerMinute     *int `json:"key_per_minute"`
	ProjectDaily     *int `json:"project_daily_messages"`
	KeyDaily         *int `json:"key_daily_messages"`
	MaxRecipients    int  `json:"max_recipients"`
	MaxBodyBytes     int  `json:"max_body_bytes"`
}

// Me tells which project, environment and rights the client's key has.
func (c *Client) Me(ctx context.Context) (*Me, error) {
	return call[Me](ctx, c, http.MethodGet, at("me"), nil, nil)
}

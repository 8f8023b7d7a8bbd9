package project

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store keeps projects, keys and sending domains.
type Store interface {
	AccessStore
	DomainStore
}

// Project is who we send for.
type Project struct {
	ID        mail.ID
	Row       int64
	Name      string // slug, unique
	Settings  Settings
	Suspended bool
	// SuspendedReason says why, in the operator's words; with Suspended only.
	SuspendedReason string
	SuspendedAt     time.Time
	LiveDisabled    bool // it may have test keys only
	CreatedAt       time.Time
	DeletedAt       time.Time // zero: it is there
	Version         int64     // counts changes; the ETag
}

// Settings of a project, as PATCH /v1/project takes them.
type Settings struct {
	DefaultFrom       string   `json:"default_from"`
	OnSuppressed      string   `json:"on_suppressed"` // "accept" or "reject"
	StrictFields      bool     `json:"strict_fields"`
	ContentDays       int      `json:"content_retention_days"`
	EventDays         int      `json:"event_retention_days"`
	HostedDays        int      `json:"hosted_link_days,omitzero"` // how long links to hosted files work; 0: 30
	RatePerMinute     *int     `json:"rate_per_minute"`           // nil: the operator's default; 0: unlimited
	DailyMessages     *int     `json:"daily_messages,omitzero"`   // accepted per day (UTC) and environment; nil: unlimited
	UnverifiedDomains string   `json:"unverified_domains"`        // "reject" or "warn"
	AllowedDomains    []string `json:"allowed_domains"`
	TrackOpens        bool     `json:"track_opens,omitzero"`
	TrackClicks       bool     `json:"track_clicks,omitzero"`
	TrackingHost      string   `json:"tracking_host,omitzero"` // of links in mail, https; "" = the public URL
	DisplayName       string   `json:"display_name,omitzero"`  // what the Hyvor dialect calls the project; "" = its name
}

// Key is an API key; its secret is known by hash only.
type Key struct {
	ID            string // 8 characters, public
	Project       int64
	ProjectID     mail.ID
	Env           mail.Env
	Name          string
	Prefix        string // shown: "sk_live_k7f2q9xm"
	Hash          [32]byte
	Scopes        []string
	AllowedFrom   []string // "*@acme.test", "billing@acme.io"; empty = any
	IPAllowlist   []string // CIDRs; empty = any
	RatePerMinute *int     // nil: no limit of its own
	MaxRecipients int      // 0: the general limit
	DailyMessages *int     // accepted with it per day (UTC); nil: no limit of its own
	Disabled      bool
	CreatedBy     string
	CreatedAt     time.Time
	ExpiresAt     time.Time
	RevokedAt     time.Time
	LastUsedAt    time.Time
	LastUsedIP    string
	LastUsedAgent string
	ReplacedBy    string // id of the key that follows it; then ExpiresAt ends the overlap
	Warned        int    // days before its end its owner was last told; 0: not yet
	Version       int64
}

// KeyUse is when and from where a key was last used.
type KeyUse struct {
	ID    string
	At    time.Time
	IP    string
	Agent string
}

// Domain is a sending domain: one a project has proved and we sign for.
type Domain struct {
	ID              mail.ID
	Row             int64
	Project         int64
	Name            string // ASCII lower case
	Status          string // "pending", "verified", "degraded", "failed", "suspended"
	ReturnPath      string // host label below the domain, e.g. "bounce"
	ReturnPathOK    bool   // it resolves to us: mail may use it
	TLS             string // "opportunistic" or "required"
	DefaultFrom     string
	Keys            []DKIMKey
	Checks          map[string]string // "dkim", "spf", "return_path", "dmarc" → "pass", "warn", "fail", "unknown"
	Records         []byte            // JSON of the last check, as GET …/dns shows it
	CreatedAt       time.Time
	StatusChangedAt time.Time // zero: it is as it was made, or changed before this was kept
	LastCheckedAt   time.Time
	NextCheckAt     time.Time
	Version         int64 // counts its owner's changes; the ETag
	Revision        int64 // counts all changes, those of checks too
}

// DKIMKey is one signing key of a domain.
type DKIMKey struct {
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"` // "rsa2048", "ed25519"
	State     string    `json:"state"`     // "pending", "active", "retired"
	Sealed    []byte    `json:"sealed"`    // the private key (PKCS #8), encrypted at rest; nil once it is no longer needed
	Public    []byte    `json:"public"`    // what p= says, before base64
	CreatedAt time.Time `json:"created_at"`
	// MissingSince is when the record of an active key was first not there; zero: it is.
	MissingSince time.Time `json:"missing_since,omitzero"`

	// Rotated: it was made to follow another key, or to join one; not with its domain.
	Rotated      bool      `json:"rotated,omitzero"`
	OverlapHours int       `json:"overlap_hours,omitzero"` // how long the key before it stays published
	ActivatedAt  time.Time `json:"activated_at,omitzero"`  // when it first signed; zero: never
	RetiredAt    time.Time `json:"retired_at,omitzero"`
	KeepUntil    time.Time `json:"keep_until,omitzero"` // a retired key's record: mail it signed is under way
}

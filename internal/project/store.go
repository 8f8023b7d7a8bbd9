package project

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store keeps projects, keys and sending domains.
type Store interface {
	// CreateProject keeps a project; mail.ErrExists when the name is taken. A used once key is
	// *mail.Replayed.
	CreateProject(ctx context.Context, p Project, once *mail.Once, answer func(Project) mail.Answer) (Project, error)
	ProjectByID(ctx context.Context, id mail.ID) (Project, error)
	ProjectByName(ctx context.Context, name string) (Project, error)
	ProjectByRow(ctx context.Context, row int64) (Project, error)
	Projects(ctx context.Context) ([]Project, error) // oldest first, without the deleted ones
	// DeleteProject takes a suspended project away: its keys are revoked, its domains removed,
	// its name is free. Its mail is forgotten in its time. mail.ErrExists while some of it
	// waits or is on its way.
	DeleteProject(ctx context.Context, row int64, by string, now time.Time) error
	UpdateProject(ctx context.Context, p Project, ifVersion int64) (Project, error) // ifVersion 0 = any; else mail.ErrStale

	// CreateKey keeps a key with its event api_key.created. A used once key is *mail.Replayed.
	CreateKey(ctx context.Context, k Key, once *mail.Once, answer func(Key) mail.Answer) (Key, error)
	// CreateKeyBelow is CreateKey unless the project has most keys of k's environment that are
	// not revoked: ErrKeysFull. That is decided in the commit.
	CreateKeyBelow(ctx context.Context, k Key, most int) (Key, error)
	KeyByID(ctx context.Context, id string) (Key, error)       // by the 8-character id, whoever owns it
	KeyByHash(ctx context.Context, hash [32]byte) (Key, error) // for keys of any shape
	Keys(ctx context.Context, project int64) ([]Key, error)    // newest first, of both environments
	UpdateKey(ctx context.Context, k Key, ifVersion int64) (Key, error)
	RevokeKey(ctx context.Context, project int64, id string, by string, now time.Time) error
	TouchKeys(ctx context.Context, used []KeyUse) error // last use; gathered, once in a while
	// RotateKey keeps next as the one that follows old, and old as it is now, with the event
	// api_key.rotated. old must stand at its Version, else mail.ErrStale. A used once key is
	// *mail.Replayed.
	RotateKey(ctx context.Context, old, next Key, once *mail.Once, answer func(Key) mail.Answer) (Key, error)
	// ExpiringKeys gives keys of all projects that are not revoked, have no follower and expire
	// after now, until a time.
	ExpiringKeys(ctx context.Context, now, until time.Time) ([]Key, error)
	// WarnKey notes that a key's owner was told days before its end, with the event; false:
	// that was done before, or the key's end is another by now.
	WarnKey(ctx context.Context, k Key, days int, e mail.Event) (bool, error)

	// Usage gives what an owner's keys accepted on each day from..to (inclusive), oldest first.
	Usage(ctx context.Context, owner mail.Owner, from, to Day) ([]Usage, error)

	CreateDomain(ctx context.Context, d Domain, once *mail.Once, answer func(Domain) mail.Answer) (Domain, error) // mail.ErrExists
	DomainByName(ctx context.Context, project int64, name string) (Domain, error)
	DomainByID(ctx context.Context, project int64, id mail.ID) (Domain, error)
	Domains(ctx context.Context, project int64) ([]Domain, error)
	// UpdateDomain keeps the domain as its owner changed it, with these events. It must stand at
	// d.Revision, and at ifVersion unless that is 0; else mail.ErrStale.
	UpdateDomain(ctx context.Context, d Domain, ifVersion int64, events []mail.Event) (Domain, error)
	// UpdateDomainOnce is UpdateDomain under an idempotency key: a used one is *mail.Replayed.
	UpdateDomainOnce(ctx context.Context, d Domain, once *mail.Once, answer func(Domain) mail.Answer) (Domain, error)
	// RecordCheck keeps what a check found, with its events (domain.verified …). Version stays: who
	// edits the domain is not disturbed. It must stand at d.Revision, else mail.ErrStale.
	RecordCheck(ctx context.Context, d Domain, events []mail.Event) (Domain, error)
	// DomainsDue gives domains of all projects whose NextCheckAt has come, longest due first,
	// and when the next of the others' will; zero: there are no others.
	DomainsDue(ctx context.Context, now time.Time, limit int) (due []Domain, next time.Time, err error)
	// HealthOfDomain counts the newest live messages sent from a domain and made since a time: at most
	// limit of them. It looks at no more than ten times limit messages of all domains and, but for
	// the first message, recipients of this one; Traffic.Cut tells that a bound ended it.
	HealthOfDomain(ctx context.Context, project int64, domain string, since time.Time, limit int) (Traffic, error)
	// DeleteDomain removes it; without force it is mail.ErrExists while mail of it waits. With
	// force that mail becomes Failed (domain_removed) in the same commit.
	DeleteDomain(ctx context.Context, project int64, id mail.ID, force bool, by string, now time.Time) error

	// Remembered gives the answer kept under an idempotency key, or mail.ErrNotFound.
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
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

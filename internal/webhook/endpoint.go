package webhook

import (
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// The prefixes of identifiers.
const (
	PrefixEndpoint = "wh"
	PrefixDelivery = "whd"
)

const (
	// MaxEndpoints is how many a project has, in both environments together.
	MaxEndpoints = 50
	// MaxOverlap is how long two secrets may sign, in hours.
	MaxOverlap = 168
)

// What an endpoint can be.
const (
	Enabled  = "enabled"
	Disabled = "disabled"

	FormatStandard = "standard"
	FormatHyvor    = "hyvor"

	OrderNone       = "none"
	OrderPerMessage = "per_message"

	PayloadV1 = "v1"
)

// Where a breaker stands: closed lets everything through; open parks all but one probe a
// minute; half_open, after a probe went well, drains at a growing pace.
const (
	BreakerClosed   = "closed"
	BreakerOpen     = "open"
	BreakerHalfOpen = "half_open"
)

// Endpoint is one URL of an owner's, with what it wants to be told.
type Endpoint struct {
	ID          mail.ID // "wh_"
	Row         int64
	Owner       mail.Owner
	Project     mail.ID // public id of the owner's project
	URL         string
	Description string
	Events      []string // exact names, "message.*", "*"
	Names       []string // what its format calls those it wants, where that says more; nil: all of Events
	Filters     Filters
	Redact      []string // subject, recipient, metadata
	Payload     string   // version of the envelope: PayloadV1
	Format      string
	Ordering    string
	// MaxPerSecond is the most requests begun in a second.
	MaxPerSecond int
	Headers      map[string]string // the owner's own

	Status         string
	DisabledReason string // "" while enabled; "by key_…", "the endpoint answered 410 (Gone)", …
	DisabledAt     time.Time

	// Sealed are the secrets, by the key ring. OldSecret signs too until OldExpires.
	Secret     []byte
	OldSecret  []byte
	OldExpires time.Time

	// From is the position of the first event that is owed; Until, while it is disabled,
	// that of the first one it missed (0: enabled). Given by the store.
	From, Until int64
	// Discard is a position: open hooks before it are not to be delivered any more, as the
	// endpoint was enabled without what it had missed.
	Discard int64

	CreatedAt time.Time
	CreatedBy string
	Version   int64 // counts changes; the ETag
	State     State // filled in on reading
}

// Filters narrow events about messages; others pass. Empty lists let all pass.
type Filters struct {
	Tags    []string `json:"tags"`    // the message has one of these
	Domains []string `json:"domains"` // it is from one of these
}

// State is what an endpoint's past means for its future. It is kept by the node that works
// the endpoint.
type State struct {
	Breaker    string    `json:"breaker,omitzero"`  // "" = closed
	Failures   int       `json:"failures,omitzero"` // in a row
	FailingAt  time.Time `json:"failing_at,omitzero"`
	FailedLast time.Time `json:"failed_last,omitzero"`
	SuccessAt  time.Time `json:"success_at,omitzero"` // the last one
	Warned     int       `json:"warned,omitzero"`     // steps of this outage that were told
	LastError  string    `json:"last_error,omitzero"`
	// Backlog is how many hooks are open; Pending are not, while the breaker parks them.
	Backlog int64 `json:"-"`
}

// Breaking tells where the breaker stands, in words.
func (s State) Breaking() string {
	if s.Breaker == "" {
		return BreakerClosed
	}
	return s.Breaker
}

// Parks tells whether open hooks of the endpoint wait for it to come back.
func (e *Endpoint) Parks() bool { return e.Status == Disabled || e.State.Breaker == BreakerOpen }

// Wants tells whether the endpoint subscribes to what an entry tells. Whether it is owed it,
// as it may be disabled or younger than the event, is for [Endpoint.Owed].
func (e *Endpoint) Wants(n *eventlog.Entry) bool {
	if !eventlog.Seen(n, e.Owner) || len(e.Events) == 0 || !eventlog.MatchType(e.Events, n.Type) {
		return false
	}
	if n.Detail.Object == e.ID.Text(PrefixEndpoint) && strings.HasPrefix(string(n.Type), "webhook.") {
		return false // what befalls an endpoint is told to the others
	}
	m := n.Message
	if len(e.Filters.Tags) == 0 && len(e.Filters.Domains) == 0 || !strings.HasPrefix(string(n.Type), "message.") {
		return true
	}
	if m == nil {
		return false
	}
	if len(e.Filters.Tags) > 0 && !slices.ContainsFunc(e.Filters.Tags, func(tag string) bool { return slices.Contains(m.Tags, tag) }) {
		return false
	}
	return len(e.Filters.Domains) == 0 || slices.ContainsFunc(e.Filters.Domains, func(d string) bool { return strings.EqualFold(d, m.SendingDomain()) })
}

// Owed tells whether an event at a position came while the endpoint was there and enabled.
func (e *Endpoint) Owed(position int64) bool {
	return position >= e.From && (e.Until == 0 || position < e.Until)
}

package mail

import "time"

// EventType is the name of a fact told to the outside.
type EventType string

const (
	EventQueued             EventType = "message.queued"
	EventScheduled          EventType = "message.scheduled"
	EventRescheduled        EventType = "message.rescheduled"
	EventAccepted           EventType = "message.accepted"
	EventDelivered          EventType = "message.delivered"
	EventDeferred           EventType = "message.deferred"
	EventBounced            EventType = "message.bounced"
	EventComplained         EventType = "message.complained"
	EventSuppressed         EventType = "message.suppressed"
	EventExpired            EventType = "message.expired"
	EventFailed             EventType = "message.failed"
	EventCancelled          EventType = "message.cancelled"
	EventSuppressionCreated EventType = "suppression.created"
	EventSuppressionDeleted EventType = "suppression.deleted"
	EventDomainCreated      EventType = "domain.created"
	EventDomainVerified     EventType = "domain.verified"
	EventDomainDeleted      EventType = "domain.deleted"
	EventKeyCreated         EventType = "api_key.created"
	EventKeyRevoked         EventType = "api_key.revoked"
)

// Event is a fact, committed with the change it tells of.
type Event struct {
	ID       ID
	Owner    Owner
	Type     EventType
	At       time.Time
	Message  int64 // row; 0 for events that are not about a message
	Delivery int64 // row; 0 likewise

	MessageID ID     // filled in on reading
	Recipient string // filled in on reading
	Sequence  int    // within its message, from 1; given by the store on writing
	Position  int64  // in the log of its environment; given by the store
	Detail    Detail
}

// Detail is what an event adds to its type: only the fields that apply are set.
// It is stored and shown as JSON.
type Detail struct {
	Summary       string        `json:"summary,omitempty"`
	Previous      string        `json:"previous_status,omitempty"`
	Via           string        `json:"via,omitempty"`
	KeyID         string        `json:"api_key_id,omitempty"`
	AcceptMS      *int64        `json:"accept_ms,omitempty"`
	ScheduledTime *time.Time    `json:"scheduled_time,omitempty"`
	Site          string        `json:"site,omitempty"`
	Pool          string        `json:"pool,omitempty"`
	Attempt       int           `json:"attempt,omitempty"`
	AttemptID     string        `json:"attempt_id,omitempty"`
	Host          string        `json:"mx_host,omitempty"`
	Source        string        `json:"source,omitempty"`
	TLS           *TLSFacts     `json:"tls,omitempty"`
	Reply         *Reply        `json:"reply,omitempty"`
	Class         Class         `json:"class,omitempty"`
	NextAttemptAt *time.Time    `json:"next_attempt_at,omitempty"`
	AttemptsLeft  *int          `json:"attempts_left,omitempty"`
	DeliveryMS    *int64        `json:"delivery_ms,omitempty"`
	Bounce        *Bounce       `json:"bounce,omitempty"`
	Suppression   *SuppressedBy `json:"suppression,omitempty"`
	SuppressionID string        `json:"suppression_id,omitempty"`
	Reason        string        `json:"reason,omitempty"` // uncertain_after_data, superseded, …
	By            string        `json:"by,omitempty"`     // who did it: "key_…", "superseded"
	SupersededBy  string        `json:"superseded_by,omitempty"`
	FeedbackType  string        `json:"feedback_type,omitempty"`
	ExpiresAt     *time.Time    `json:"expires_at,omitempty"`
	Recipient     string        `json:"recipient,omitempty"` // of events that are not about a message
	Object        string        `json:"object,omitempty"`    // id of the domain, key … they are about
}

package mail

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

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
	EventUnsubscribed       EventType = "message.unsubscribed"
	EventOpened             EventType = "message.opened"
	EventClicked            EventType = "message.clicked"
	EventSuppressionCreated EventType = "suppression.created"
	EventSuppressionDeleted EventType = "suppression.deleted"
	EventDomainCreated      EventType = "domain.created"
	EventDomainVerified     EventType = "domain.verified"
	EventDomainDegraded     EventType = "domain.degraded"
	EventDomainFailed       EventType = "domain.failed"
	EventDomainDeleted      EventType = "domain.deleted"
	EventTemplatePublished  EventType = "template.published"
	EventKeyCreated         EventType = "api_key.created"
	EventKeyRotated         EventType = "api_key.rotated"
	EventKeyRevoked         EventType = "api_key.revoked"
	EventKeyExpiring        EventType = "api_key.expiring"
	EventWebhookFailing     EventType = "webhook.failing" // for an hour, a day, four days
	EventWebhookDisabled    EventType = "webhook.disabled"
	EventWebhookRecovered   EventType = "webhook.recovered"
	EventWebhookTest        EventType = "webhook.test" // an example asked for; never in the log
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
	Summary       string        `json:"summary,omitzero"`
	Previous      string        `json:"previous_status,omitzero"`
	Via           string        `json:"via,omitzero"`
	KeyID         string        `json:"api_key_id,omitzero"`
	AcceptMS      *int64        `json:"accept_ms,omitzero"`
	ScheduledTime *time.Time    `json:"scheduled_time,omitzero"`
	Site          string        `json:"site,omitzero"`
	Pool          string        `json:"pool,omitzero"`
	Attempt       int           `json:"attempt,omitzero"`
	AttemptID     string        `json:"attempt_id,omitzero"`
	Host          string        `json:"mx_host,omitzero"`
	Source        string        `json:"source,omitzero"`
	TLS           *TLSFacts     `json:"tls,omitzero"`
	Reply         *Reply        `json:"reply,omitzero"`
	Class         Class         `json:"class,omitzero"`
	Template      string        `json:"template,omitzero"` // its alias, of template.published
	Version       int           `json:"version,omitzero"`
	Before        int           `json:"previous_version,omitzero"`
	NextAttemptAt *time.Time    `json:"next_attempt_at,omitzero"`
	AttemptsLeft  *int          `json:"attempts_left,omitzero"`
	DeliveryMS    *int64        `json:"delivery_ms,omitzero"`
	Bounce        *Bounce       `json:"bounce,omitzero"`
	Suppression   *SuppressedBy `json:"suppression,omitzero"`
	SuppressionID string        `json:"suppression_id,omitzero"`
	Reason        string        `json:"reason,omitzero"` // uncertain_after_data, superseded, …
	By            string        `json:"by,omitzero"`     // who did it: "key_…", "superseded"
	SupersededBy  string        `json:"superseded_by,omitzero"`
	FeedbackType  string        `json:"feedback_type,omitzero"`
	Report        int64         `json:"report,omitzero"` // row of the report that told it; set by the store
	ExpiresAt     *time.Time    `json:"expires_at,omitzero"`
	Recipient     string        `json:"recipient,omitzero"` // of events that are not about a message
	Method        string        `json:"method,omitzero"`    // of an unsubscribe: one_click, link, mailto, report, api
	Topic         string        `json:"topic,omitzero"`     // unsubscribed from; "" = everything
	Machine       *bool         `json:"machine,omitzero"`   // of opens and clicks: no person did it; Reason names what did
	UserAgent     string        `json:"user_agent,omitzero"`
	URL           string        `json:"url,omitzero"`    // followed
	Object        string        `json:"object,omitzero"` // id of the domain, key … they are about
	// Facts are that domain, key … as it was then: see the About functions of eventlog.
	Facts jsontext.Value `json:"facts,omitzero"`
}

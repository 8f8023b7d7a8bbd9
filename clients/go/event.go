package postroad

import (
	"encoding/json"
	"time"
)

// Types of events. There may be others at any time: ignore what you do not know.
const (
	EventMessageQueued       = "message.queued"
	EventMessageScheduled    = "message.scheduled"
	EventMessageRescheduled  = "message.rescheduled"
	EventMessageAccepted     = "message.accepted"
	EventMessageDelivered    = "message.delivered"
	EventMessageDeferred     = "message.deferred"
	EventMessageBounced      = "message.bounced"
	EventMessageComplained   = "message.complained"
	EventMessageSuppressed   = "message.suppressed"
	EventMessageExpired      = "message.expired"
	EventMessageFailed       = "message.failed"
	EventMessageCancelled    = "message.cancelled"
	EventMessageUnsubscribed = "message.unsubscribed"
	EventMessageOpened       = "message.opened"
	EventMessageClicked      = "message.clicked"
	EventSuppressionCreated  = "suppression.created"
	EventSuppressionDeleted  = "suppression.deleted"
	EventDomainCreated       = "domain.created"
	EventDomainVerified      = "domain.verified"
	EventDomainDegraded      = "domain.degraded"
	EventDomainFailed        = "domain.failed"
	EventDomainDeleted       = "domain.deleted"
	EventTemplatePublished   = "template.published"
	EventAPIKeyCreated       = "api_key.created"
	EventAPIKeyRotated       = "api_key.rotated"
	EventAPIKeyRevoked       = "api_key.revoked"
	EventAPIKeyExpiring      = "api_key.expiring"
	EventWebhookDisabled     = "webhook.disabled"
	EventWebhookRecovered    = "webhook.recovered"
	EventWebhookTest         = "webhook.test"
)

// Event is a fact the server tells: on a webhook, in the log and in the stream.
type Event struct {
	Response
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Timestamp   time.Time       `json:"timestamp"`
	APIVersion  string          `json:"api_version"`
	ProjectID   string          `json:"project_id"`
	Environment string          `json:"environment"`
	Sequence    int             `json:"sequence"` // within its message: apply only what is greater than the one you stored
	Position    int64           `json:"position"` // in the log
	Data        json.RawMessage `json:"data"`
}

// Message reads the data of a message.* event; of others most of it is empty.
func (e *Event) Message() (*MessageEvent, error) {
	out := new(MessageEvent)
	if err := json.Unmarshal(e.Data, out); err != nil {
		return nil, &Error{Kind: ErrServer, Message: "the data of " + e.ID + " cannot be read: " + err.Error(), Raw: e.Data, cause: err}
	}
	out.keep(e.Data, nil)
	return out, nil
}

// MessageEvent is the data of every message.* event: it is about one recipient. What only
// some types have is nil or empty in the others.
type MessageEvent struct {
	Response
	MessageID      string            `json:"message_id"`
	RFCMessageID   string            `json:"rfc_message_id"`
	Recipient      string            `json:"recipient"`
	RecipientID    string            `json:"recipient_id"`
	RecipientType  string            `json:"recipient_type"`
	Status         string            `json:"status"`
	PreviousStatus string            `json:"previous_status"`
	From           string            `json:"from"`
	Subject        string            `json:"subject"`
	Topic          string            `json:"topic"`
	Tags           []string          `json:"tags"`
	Metadata       map[string]string `json:"metadata"`
	Template       *TemplateRef      `json:"template"`
	IdempotencyKey string            `json:"idempotency_key"`
	CreatedAt      time.Time         `json:"created_at"`
	URL            string            `json:"url"`

	Reply         *Reply    `json:"reply"`           // deferred
	Class         string    `json:"class"`           // deferred
	Attempt       int       `json:"attempt"`         // deferred
	NextAttemptAt time.Time `json:"next_attempt_at"` // deferred
	AttemptsLeft  int       `json:"attempts_left"`   // deferred

	Delivery      *EventDelivery `json:"delivery"`    // delivered
	Bounce        *Bounce        `json:"bounce"`      // bounced
	Suppression   *Suppressing   `json:"suppression"` // suppressed
	SuppressionID string         `json:"suppression_id"`
	SupersededBy  string         `json:"superseded_by"` // cancelled
	ScheduledTime time.Time      `json:"scheduled_time"`
	ExpiresAt     time.Time      `json:"expires_at"`
}

// EventDelivery is how a message was delivered.
type EventDelivery struct {
	Attempt    int    `json:"attempt"`
	MXHost     string `json:"mx_host"`
	Site       string `json:"site"`
	Source     string `json:"source"`
	TLS        *TLS   `json:"tls"`
	Reply      *Reply `json:"reply"`
	QueueMS    int64  `json:"queue_ms"`
	DeliveryMS int64  `json:"delivery_ms"`
}

package postroad

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// Message is what you send.
type Message struct {
	Recipient string   `json:"recipient,omitempty"` // one To address, "ada@example.com" or "Ada <ada@example.com>"; or
	To        []string `json:"to,omitempty"`        // several: up to 50 with Cc and Bcc
	Cc        []string `json:"cc,omitempty"`
	Bcc       []string `json:"bcc,omitempty"`
	From      string   `json:"from,omitempty"` // "": the template's or the project's default
	ReplyTo   []string `json:"reply_to,omitempty"`
	Subject   string   `json:"subject,omitempty"`

	// The content: HTML and Text, or a template.
	HTML     string `json:"html,omitempty"`
	Text     string `json:"text,omitempty"`      // "": made from the HTML
	AutoText *bool  `json:"auto_text,omitempty"` // false: no text part is made

	Template        string `json:"template,omitempty"` // alias or id; "welcome@7" pins a version
	TemplateVersion string `json:"template_version,omitempty"`
	TemplateData    any    `json:"template_data,omitempty"`    // becomes a JSON object
	StrictVariables *bool  `json:"strict_variables,omitempty"` // false: missing variables are blank
	Locale          string `json:"locale,omitempty"`           // "pt-BR"

	Attachments []Attachment      `json:"attachments,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`

	ScheduledTime    time.Time `json:"scheduled_time,omitzero"` // at most 90 days ahead
	ExpiresInSeconds int       `json:"expires_in_seconds,omitempty"`
	// Supersedes is a key of your choosing ("otp/user-42"): older messages with it, to the
	// same recipient, that still wait are cancelled.
	Supersedes string `json:"supersedes,omitempty"`
	Priority   string `json:"priority,omitempty"` // "urgent", "normal" (default), "bulk"

	Topic                   string            `json:"topic,omitempty"`
	Tags                    []string          `json:"tags,omitempty"`
	Metadata                map[string]string `json:"metadata,omitempty"`
	Tracking                *Tracking         `json:"tracking,omitempty"`
	ListUnsubscribe         string            `json:"list_unsubscribe,omitempty"` // "auto" (default), "always", "none"
	BypassUnsubscribe       bool              `json:"bypass_unsubscribe,omitempty"`
	ContentRetentionSeconds *int              `json:"content_retention_seconds,omitempty"` // 0: the bytes go when all is delivered

	// IdempotencyKey is the same as the option [IdempotencyKey], and the only way within a
	// batch.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
}

// Tracking is off unless asked for.
type Tracking struct {
	Opens  bool `json:"opens"`
	Clicks bool `json:"clicks"`
}

// Attachment is a file. Content is written as base64, or goes beside the message as it is
// when the files have more than 5 MB together.
type Attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type,omitempty"`
	Content     []byte `json:"-"`
	ContentID   string `json:"content_id,omitempty"`  // for <img src="cid:logo">
	Disposition string `json:"disposition,omitempty"` // "attachment" (default), "inline"
	Hosted      bool   `json:"hosted,omitempty"`      // kept by the server; the mail has a link

	beside bool // the content is a part of a form
}

// MarshalJSON writes the content as base64, also that of an empty file.
func (a Attachment) MarshalJSON() ([]byte, error) {
	type plain Attachment
	wire := struct {
		plain
		Base64 *string `json:"content,omitempty"`
	}{plain: plain(a)}
	if !a.beside {
		text := base64.StdEncoding.EncodeToString(a.Content)
		wire.Base64 = &text
	}
	return json.Marshal(wire)
}

// UnmarshalJSON reads what MarshalJSON writes, for test aids and queues of one's own.
func (a *Attachment) UnmarshalJSON(text []byte) error {
	type plain Attachment
	var wire struct {
		*plain
		Content []byte `json:"content"`
	}
	wire.plain = (*plain)(a)
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	a.Content = wire.Content
	return nil
}

// Address is a mailbox.
type Address struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Statuses of a message and of each of its recipients. There may be others one day.
const (
	StatusScheduled  = "scheduled"
	StatusQueued     = "queued"
	StatusAccepted   = "accepted"
	StatusDeferred   = "deferred"
	StatusHeld       = "held"
	StatusDelivered  = "delivered"
	StatusBounced    = "bounced"
	StatusComplained = "complained"
	StatusSuppressed = "suppressed"
	StatusCancelled  = "cancelled"
	StatusExpired    = "expired"
	StatusFailed     = "failed"
)

// Final tells whether a status is an end. One this package does not know is taken as such
// only when it is not one that waits.
func Final(status string) bool {
	switch status {
	case StatusScheduled, StatusQueued, StatusAccepted, StatusDeferred, StatusHeld:
		return false
	}
	return true
}

// Accepted is the answer to a send: the message is on the server's disk. What becomes of
// it is told by events.
type Accepted struct {
	Response
	MessageID     string       `json:"message_id"`
	Object        string       `json:"object"`
	Status        string       `json:"status"`
	Recipient     string       `json:"recipient"`
	Recipients    []Recipient  `json:"recipients"`
	From          string       `json:"from"`
	CreatedAt     time.Time    `json:"created_at"`
	ScheduledTime time.Time    `json:"scheduled_time"`
	ExpiresAt     time.Time    `json:"expires_at"`
	Priority      string       `json:"priority"`
	Environment   string       `json:"environment"` // "live", "test"
	Superseded    []string     `json:"superseded"`
	ResentFrom    string       `json:"resent_from"`
	Suppression   *Suppressing `json:"suppression"` // when all of it was stopped
	Warnings      []Warning    `json:"warnings"`
	Links         Links        `json:"links"`
}

// Links are where a message is to be seen.
type Links struct {
	Self    string `json:"self"`
	Events  string `json:"events"`
	Console string `json:"console"`
}

// DryRun is what would have been sent.
type DryRun struct {
	Response
	Object     string         `json:"object"`
	Valid      bool           `json:"valid"`
	Preview    MessagePreview `json:"preview"`
	From       string         `json:"from"`
	Recipients []Recipient    `json:"recipients"`
	Warnings   []Warning      `json:"warnings"`
}

// MessagePreview is a message's content as a recipient would get it.
type MessagePreview struct {
	Subject   string `json:"subject"`
	HTML      string `json:"html"`
	Text      string `json:"text"`
	SizeBytes int64  `json:"size_bytes"`
}

// Suppressing is why a recipient was not written to.
type Suppressing struct {
	SuppressionID string    `json:"suppression_id"`
	Reason        string    `json:"reason"`
	Kind          string    `json:"kind"`
	Since         time.Time `json:"since"`
}

// Recipient is one address of a message and how far its delivery is.
type Recipient struct {
	RecipientID   string       `json:"recipient_id"`
	Type          string       `json:"type"` // "to", "cc", "bcc"
	Email         string       `json:"email"`
	Name          string       `json:"name"`
	Status        string       `json:"status"`
	Site          string       `json:"site"`
	Attempts      int          `json:"attempts"`
	NextAttemptAt time.Time    `json:"next_attempt_at"`
	DeliveredAt   time.Time    `json:"delivered_at"`
	CompletedAt   time.Time    `json:"completed_at"`
	LastReply     *Reply       `json:"last_reply"`
	WaitsFor      string       `json:"waits_for"`
	Bounce        *Bounce      `json:"bounce"`
	Suppression   *Suppressing `json:"suppression"`
}

// Routing is the way the last attempt took.
type Routing struct {
	RouteID  string `json:"route_id"`
	Pool     string `json:"pool"`
	Source   string `json:"source"`
	PolicyID string `json:"policy_id"`
	QueueID  string `json:"queue_id"`
}

// Reply is what a mail server said.
type Reply struct {
	Code     int       `json:"code"`
	Enhanced string    `json:"enhanced"`
	Text     string    `json:"text"`
	MXHost   string    `json:"mx_host"`
	At       time.Time `json:"at"`
}

// Bounce is a refusal for good.
type Bounce struct {
	Type     string `json:"type"`   // "hard", "soft"
	Reason   string `json:"reason"` // "rejected", "retries_exhausted", "report"
	Class    string `json:"class"`
	Attempts int    `json:"attempts"`
	Reply    *Reply `json:"reply"` // nil when a report told of it
	// Report is what a bounce report told, after the site had taken the message.
	Report *BounceReport `json:"report"`
}

// BounceReport is what came back by mail (RFC 3464).
type BounceReport struct {
	Action     string `json:"action"`
	Status     string `json:"status"` // "5.1.1"
	Diagnostic string `json:"diagnostic"`
}

// TemplateRef is the template a message was made from.
type TemplateRef struct {
	TemplateID string `json:"template_id"`
	Alias      string `json:"alias"`
	Version    int    `json:"version"`
}

// MessageSummary is a message in a list.
type MessageSummary struct {
	Response
	MessageID      string       `json:"message_id"`
	Object         string       `json:"object"`
	Status         string       `json:"status"`
	Recipient      string       `json:"recipient"`
	From           string       `json:"from"`
	Subject        string       `json:"subject"`
	Template       *TemplateRef `json:"template"`
	Priority       string       `json:"priority"`
	Topic          string       `json:"topic"`
	Tags           []string     `json:"tags"`
	CreatedAt      time.Time    `json:"created_at"`
	ScheduledTime  time.Time    `json:"scheduled_time"`
	CompletedAt    time.Time    `json:"completed_at"`
	Recipients     []Recipient  `json:"recipients"` // with include=recipients
	RecipientCount int          `json:"recipient_count"`
	Attempts       int          `json:"attempts"`
	LastEvent      *LastEvent   `json:"last_event"`
}

// LastEvent is the newest of a message.
type LastEvent struct {
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Summary string    `json:"summary"`
}

// MessageRecord is all the server tells of one message.
type MessageRecord struct {
	Response
	MessageID      string             `json:"message_id"`
	Object         string             `json:"object"`
	Status         string             `json:"status"`
	Recipient      string             `json:"recipient"`
	Recipients     []Recipient        `json:"recipients"`
	From           Address            `json:"from"`
	ReplyTo        []Address          `json:"reply_to"`
	Subject        string             `json:"subject"`
	Template       *TemplateRef       `json:"template"`
	Priority       string             `json:"priority"`
	Topic          string             `json:"topic"`
	Tags           []string           `json:"tags"`
	Metadata       map[string]string  `json:"metadata"`
	Headers        map[string]string  `json:"headers"`
	RFCMessageID   string             `json:"rfc_message_id"`
	Attachments    []StoredAttachment `json:"attachments"`
	SizeBytes      int64              `json:"size_bytes"`
	Environment    string             `json:"environment"`
	APIKeyID       string             `json:"api_key_id"`
	Via            string             `json:"via"`
	IdempotencyKey string             `json:"idempotency_key"`
	Supersedes     string             `json:"supersedes"`
	SupersededBy   string             `json:"superseded_by"`
	BatchID        string             `json:"batch_id"`
	ResentFrom     string             `json:"resent_from"`
	CreatedAt      time.Time          `json:"created_at"`
	QueuedAt       time.Time          `json:"queued_at"`
	AcceptedAt     time.Time          `json:"accepted_at"`
	FirstAttemptAt time.Time          `json:"first_attempt_at"`
	CompletedAt    time.Time          `json:"completed_at"`
	ScheduledTime  time.Time          `json:"scheduled_time"`
	ExpiresAt      time.Time          `json:"expires_at"`
	LatencyMS      Latency            `json:"latency_ms"`
	Attempts       int                `json:"attempts"`
	Routing        *Routing           `json:"routing"` // nil before the first attempt
	Content        ContentState       `json:"content"`
	Actions        Actions            `json:"actions"`
	Erased         bool               `json:"erased"`
}

// StoredAttachment is a file of a message. Read it with [Messages.Attachment].
type StoredAttachment struct {
	Index       int    `json:"index"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
	SizeBytes   int64  `json:"size_bytes"`
	SHA256      string `json:"sha256"`
	Hosted      bool   `json:"hosted"`
}

// Latency is how long the stages took, in milliseconds; nil is not reached yet.
type Latency struct {
	Accept       int64  `json:"accept"`
	Queue        *int64 `json:"queue"`
	FirstAttempt *int64 `json:"first_attempt"`
	Total        *int64 `json:"total"`
}

// ContentState is whether the bytes are still kept.
type ContentState struct {
	Available bool      `json:"available"`
	Until     time.Time `json:"until"`
}

// Actions are what the message's state allows now.
type Actions struct {
	Cancel     bool `json:"cancel"`
	Reschedule bool `json:"reschedule"`
	Resend     bool `json:"resend"`
	SendNow    bool `json:"send_now"`
}

// TimelineEvent is a line of a message's timeline. Behind Summary stands what only some
// types have.
type TimelineEvent struct {
	Response
	EventID     string    `json:"event_id"`
	Type        string    `json:"type"`
	Sequence    int       `json:"sequence"`
	At          time.Time `json:"at"`
	Recipient   string    `json:"recipient"`
	RecipientID string    `json:"recipient_id"`
	Summary     string    `json:"summary"`

	PreviousStatus string       `json:"previous_status"`
	Via            string       `json:"via"`
	APIKeyID       string       `json:"api_key_id"`
	AcceptMS       *int64       `json:"accept_ms"`
	ScheduledTime  time.Time    `json:"scheduled_time"`
	ExpiresAt      time.Time    `json:"expires_at"`
	Site           string       `json:"site"`
	Pool           string       `json:"pool"`
	Source         string       `json:"source"`
	MXHost         string       `json:"mx_host"`
	TLS            *TLS         `json:"tls"`
	Attempt        int          `json:"attempt"`
	AttemptID      string       `json:"attempt_id"`
	AttemptsLeft   *int         `json:"attempts_left"`
	NextAttemptAt  time.Time    `json:"next_attempt_at"`
	DeliveryMS     *int64       `json:"delivery_ms"`
	Reply          *Reply       `json:"reply"`
	Class          string       `json:"class"`
	Bounce         *Bounce      `json:"bounce"`
	Suppression    *Suppressing `json:"suppression"`
	SuppressionID  string       `json:"suppression_id"`
	Reason         string       `json:"reason"`
	By             string       `json:"by"`
	SupersededBy   string       `json:"superseded_by"`
	FeedbackType   string       `json:"feedback_type"`
	Report         int64        `json:"report"` // of what came back by mail: the operator's number of it
	Method         string       `json:"method"` // of an unsubscribe
	Topic          string       `json:"topic"`
	Machine        *bool        `json:"machine"` // of opens and clicks: no person did it
	UserAgent      string       `json:"user_agent"`
	URL            string       `json:"url"`
}

// DeliveryAttempt is one SMTP conversation about one recipient.
type DeliveryAttempt struct {
	Response
	AttemptID     string           `json:"attempt_id"`
	RecipientID   string           `json:"recipient_id"`
	Number        int              `json:"number"`
	At            time.Time        `json:"at"`
	DurationMS    int64            `json:"duration_ms"`
	Outcome       string           `json:"outcome"` // "delivered", "deferred", "bounced", "uncertain"
	Site          string           `json:"site"`
	MX            MX               `json:"mx"`
	Source        Source           `json:"source"`
	TLS           *TLS             `json:"tls"`
	DKIMSelectors []string         `json:"dkim_selectors"`
	Reply         *Reply           `json:"reply"`
	Transcript    []TranscriptLine `json:"transcript"`
	Class         string           `json:"class"`
	Temporary     bool             `json:"temporary"`
	Advice        string           `json:"advice"`
}

// MX is which mail exchanger was used.
type MX struct {
	Resolved []string `json:"resolved"`
	Used     string   `json:"used"`
	IP       string   `json:"ip"`
	DNSMS    int64    `json:"dns_ms"`
}

// Source is where a message left from.
type Source struct {
	Pool    string `json:"pool"`
	Address string `json:"address"`
	EHLO    string `json:"ehlo"`
}

// TLS is how a conversation was encrypted.
type TLS struct {
	Version  string `json:"version"`
	Cipher   string `json:"cipher"`
	Verified bool   `json:"verified"`
	Error    string `json:"error"`
}

// TranscriptLine is what one side said.
type TranscriptLine struct {
	Dir  string `json:"dir"` // "C": we, "S": the site
	TMS  int64  `json:"t_ms"`
	Code int    `json:"code"`
	Line string `json:"line"`
}

// MessageContent is a message taken apart.
type MessageContent struct {
	Response
	Subject     string             `json:"subject"`
	HTML        string             `json:"html"`
	Text        string             `json:"text"`
	Headers     map[string]string  `json:"headers"`
	Attachments []StoredAttachment `json:"attachments"`
	Truncated   bool               `json:"truncated"`
}

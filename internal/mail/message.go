package mail

import "time"

// Message is what was accepted: one set of bytes, fixed for ever. Only Tags, Metadata,
// ScheduledAt and SupersededBy change after acceptance, and an erasure empties it.
type Message struct {
	ID    ID
	Row   int64 // its number in the store; the Hyvor dialect's id
	Owner Owner

	From        Address
	ReplyTo     []Address
	Subject     string
	RFCID       string // Message-ID without angle brackets
	Headers     []Header
	Attachments []Attachment
	Size        int64 // of the stored bytes
	// Stamp is the marker of the placeholders in the bytes, "" when there are none. With
	// one each recipient's copy has tokens of its own (package tracking), and so a
	// transaction of its own.
	Stamp string

	Tier       Tier
	Topic      string
	Bypass     bool // an unsubscribe does not stop it; bounces and complaints do
	Tags       []string
	Metadata   map[string]string
	Template   TemplateRef
	Supersedes string // the caller's key; older waiting messages with it are cancelled

	KeyID          string // 8-character id of the API key, "" for the console
	Via            string // "api", "smtp", "hyvor"
	IdempotencyKey string
	Batch          ID
	ResentFrom     ID
	SupersededBy   ID

	CreatedAt   time.Time
	ScheduledAt time.Time     // zero: at once
	ExpiresAt   time.Time     // zero: never
	AcceptTime  time.Duration // from the request's arrival to the commit

	// ContentSeconds is how long the bytes are kept after the last delivery is final; nil:
	// as long as the project says.
	ContentSeconds *int64
	// Erased: it went to an address that was to be forgotten. What could tell of somebody
	// was taken out.
	Erased bool
}

// SendingDomain is the domain the message is signed for: that of its From address.
func (m *Message) SendingDomain() string { return m.From.Domain() }

// TemplateRef names the template version a message was rendered from.
type TemplateRef struct {
	ID      ID
	Alias   string
	Version int
}

// Header is one header field of the caller's.
type Header struct{ Name, Value string }

// Attachment tells of an attached file; its bytes are in the message.
type Attachment struct {
	Filename    string
	ContentType string
	ContentID   string // without angle brackets; empty unless inline
	Inline      bool
	Size        int64
	SHA256      [32]byte
	Hosted      ID // of the [File] when only a link to it is in the message
}

// RecipientType is the header a recipient stands in. Stored: never renumber.
type RecipientType uint8

const (
	To RecipientType = iota
	Cc
	Bcc
)

func (t RecipientType) String() string { return [...]string{"to", "cc", "bcc"}[t%3] }

// Delivery is the work of getting one message to one recipient: what the queue
// schedules. Its public name is the recipient's ("rcp_").
type Delivery struct {
	ID      ID
	Row     int64
	Message ID
	Owner   Owner

	Type        RecipientType
	Address     string // as the site is told: local part as written, domain in ASCII lower case
	Name        string
	Destination string // the domain of Address
	Tier        Tier

	Status Status
	Wait   Wait
	Due    time.Time // when it may next be tried; meaningless once final
	Tries  int       // attempts that counted

	Site         string    // of the last route
	LastReply    *Reply    // of the last attempt
	LastReplyAt  time.Time // the end of the last attempt
	LastHost     string
	LastSource   string // where the last attempt left from
	Bounce       *Bounce
	Suppression  *SuppressedBy
	AcceptedAt   time.Time
	FirstTriedAt time.Time
	DeliveredAt  time.Time
	CompletedAt  time.Time
}

// GaveUp tells of a delivery that ended although its recipient's site did not refuse it for
// good: its retries were used up, its time ran out, somebody stopped it, or it was a fault
// of ours. It may be tried again.
func (d *Delivery) GaveUp() bool {
	switch d.Status {
	case Failed, Expired, Cancelled:
		return true
	case Bounced:
		return d.Bounce != nil && d.Bounce.Reason == BounceExhausted
	}
	return false
}

// The reasons of bounces that something depends on.
const (
	BounceExhausted = "retries_exhausted" // after the last retry
	BounceReported  = "report"            // a bounce report came back
)

// Bounce says how a delivery ended in refusal.
type Bounce struct {
	Type     string `json:"type"`   // "hard", or "soft" (retries exhausted; never suppresses)
	Reason   string `json:"reason"` // "rejected", "retries_exhausted", "report"
	Class    Class  `json:"class"`
	Attempts int    `json:"attempts"`
	Reply    *Reply `json:"reply"`
	// Report is set when the refusal came as a bounce report, after the site had taken the
	// message or without a word of its own.
	Report *BounceReport `json:"report"`
}

// BounceReport is what a bounce report told of one recipient (RFC 3464 §2.3).
type BounceReport struct {
	Action     string `json:"action"`     // failed
	Status     string `json:"status"`     // "5.1.1"; "" = it told none
	Diagnostic string `json:"diagnostic"` // of the site that refused, as [Reply].Text
}

// SuppressedBy names the suppression that stopped a delivery.
type SuppressedBy struct {
	ID     ID        `json:"-"`
	Public string    `json:"suppression_id"`
	Reason string    `json:"reason"`
	Kind   string    `json:"kind"`
	Since  time.Time `json:"since"`
}

// Lease is one node's right to work on one delivery until a time. Token is the
// fence: whoever settles with another token than the row's has lost it.
type Lease struct {
	Delivery int64 // row
	Token    int64
	Until    time.Time
}

// Work is one leased delivery with all that carrying it needs.
type Work struct {
	Lease    Lease
	Message  *Message // shared by the works of one message
	Delivery Delivery
	Content  Content // the message's bytes if they are at hand, else nil: ask the store
}

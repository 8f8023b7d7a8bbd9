package submit

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Request is what every door hands in: content and envelope as the caller wrote them,
// not yet judged. Doors translate; they decide nothing.
type Request struct {
	Key         string   // idempotency key, "" = none
	Route       string   // "POST /v1/messages": the scope of the key
	Fingerprint [32]byte // of method, path and canonical body; set when Key is
	RequestID   string
	Via         string // "api", "smtp", "hyvor"
	Arrived     time.Time

	From    *AddressIn
	To      []AddressIn // at least one of To, Cc, Bcc
	Cc      []AddressIn
	Bcc     []AddressIn
	ReplyTo []AddressIn
	Subject *string

	HTML         *string
	Text         *string
	NoAutoText   bool   // auto_text:false
	Template     string // alias or id, "welcome@7" pins; "" = none
	TemplateData []byte // raw JSON
	Locale       string // the language of the template that is wanted; "" = its default
	LaxVariables bool   // strict_variables:false: what the data lacks prints nothing
	Attachments  []AttachmentIn
	Headers      []mail.Header

	Tier       string // "" = normal
	Topic      string
	Tags       []string
	Metadata   []mail.Header // in the order written
	SendAt     time.Time     // zero = at once
	ExpiresIn  *int64        // seconds
	Supersedes string
	Tracking   Tracking

	ListUnsubscribe   string // "auto" (also ""), "always" or "none"
	BypassUnsubscribe bool

	ResentFrom mail.ID

	MaxRecipients  int    // 0 = the limit of Limits
	MaxSize        int64  // bytes of the message as it is kept, before signing; 0 = no limit of its own
	ContentSeconds *int64 // how long the bytes are kept after the last delivery is final; nil = the project's setting

	DryRun bool
	Strict bool // ?strict=true: unknown fields are faults

	// What the door already found: fields of a wrong type (invalid_type), and unknown
	// ones with the nearest known name. Submit adds its own and reports all at once.
	Faults   mail.Faults
	Unknown  []mail.Warning
	Warnings []mail.Warning

	// Answer writes what this dialect tells the caller. It is called once, in the
	// commit, so that a replay gives the same bytes.
	Answer func(*Accepted) mail.Answer
}

// AddressIn is an address as written, and where: Field is what faults name it
// ("to[1]"), from which the pointer follows ("#/to/1").
type AddressIn struct {
	Text  string // "ada@example.com" or "Ada <ada@example.com>"
	Name  string // of the object form; then Text is the bare address
	Field string
}

// AttachmentIn is a file as written: Base64 (of JSON; borrowed from the request's
// buffer) or Raw (multipart, SMTP).
type AttachmentIn struct {
	Filename    string
	ContentType string // "" = from the file name, else application/octet-stream
	ContentID   string
	Inline      bool
	Hosted      bool // keep the file and mail a link to it
	Base64      []byte
	Raw         mail.Content
	Field       string // "attachments[0]"
}

// Accepted is a message we said yes to, for the door to tell of.
type Accepted struct {
	Message    *mail.Message
	Deliveries []mail.Delivery // in the order To, Cc, Bcc
	Superseded []mail.ID
	Warnings   []mail.Warning
	Preview    *Preview    // of a dry run: nothing was stored
	Answer     mail.Answer // what to tell the caller
	Replayed   bool        // Answer is that of the first request; all else is zero
}

// Preview is what a dry run would have sent.
type Preview struct {
	Subject, HTML, Text string
	Size                int64
}

// Submitter is the one way in.
type Submitter interface {
	// Submit validates, renders and accepts. Errors are mail.Faults (422, every fault at
	// once), *mail.Error with a Status of its own (e.g. 403 from_not_allowed, 422
	// idempotency_key_reused), or ours.
	Submit(ctx context.Context, who project.Principal, r *Request) (*Accepted, error)
}

// Dispatcher takes accepted mail on the fast path, without a claim. The queue is one.
type Dispatcher interface {
	// Reserve asks for room for one delivery; what is reserved must be dispatched or
	// released. No room, or older mail of that tier and destination still waiting in
	// the store, is false: then the delivery is accepted as waiting.
	Reserve(owner mail.Owner, destination string, tier mail.Tier) bool
	Release(owner mail.Owner, destination string, tier mail.Tier)
	// Dispatch takes works whose leases came with their acceptance. It never blocks.
	Dispatch(works []*mail.Work)
	// Waiting tells that deliveries were accepted that nobody leased, due at a time.
	Waiting(owner mail.Owner, destination string, tier mail.Tier, due time.Time)
	// Node is the name leases are taken under; LeaseTime how long they run.
	Node() string
	LeaseTime() time.Duration
}

package mail

import "time"

// Reply is what a site said (RFC 5321 §4.2). A Code of 0 means it said nothing; Text
// then tells what happened instead.
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463, e.g. "5.1.1"
	Text     string `json:"text"`               // valid UTF-8 without control characters, lines joined by "\n", at most 2 KB
}

// Temporary tells whether trying again may help: 4xx, or no reply at all.
func (r Reply) Temporary() bool { return r.Code < 200 || r.Code/100 == 4 }

// Class is the kind of trouble a reply means. Unknown text is ClassOther, never a guess.
type Class string

const (
	ClassNone        Class = ""
	ClassUnknownUser Class = "unknown_user" // the recipient: suppresses
	ClassInactive    Class = "inactive"     // the recipient: suppresses
	ClassBadDomain   Class = "bad_domain"   // the recipient: suppresses
	ClassMailboxFull Class = "mailbox_full" // the recipient
	ClassRateLimited Class = "rate_limited"
	ClassGreylisted  Class = "greylisted"
	ClassReputation  Class = "reputation"
	ClassBlocklisted Class = "blocklisted"
	ClassContent     Class = "content"
	ClassPolicy      Class = "policy"
	ClassAuth        Class = "auth"
	ClassSize        Class = "size"
	ClassTLS         Class = "tls"
	ClassNetwork     Class = "network"
	ClassProtocol    Class = "protocol"
	ClassOther       Class = "other"
)

// Suppresses tells whether a permanent failure of this class blames the recipient, so
// that writing again would be wrong. No other class ever suppresses.
func (c Class) Suppresses() bool {
	return c == ClassUnknownUser || c == ClassInactive || c == ClassBadDomain
}

// Outcome is how one attempt ended. Stored: never renumber.
type Outcome uint8

const (
	Untried           Outcome = iota // given back: our stop, a lost lease, no usable source. Counts as nothing, tells nobody
	OutcomeDelivered                 // 2xx after the final dot
	OutcomeDeferred                  // 4xx, or trouble before the final dot
	OutcomeBounced                   // 5xx, or a permanent fault of the destination's DNS
	OutcomeUncertain                 // the connection broke after the final dot: the site may have it
	OutcomeCancelled                 // found cancelled or superseded before DATA
	OutcomeSuppressed                // found on the suppression list before DATA
	OutcomeExpired                   // its expiry passed before DATA
	OutcomeFailed                    // a permanent fault of ours: content lost
)

func (o Outcome) String() string {
	return [...]string{"untried", "delivered", "deferred", "bounced", "uncertain", "cancelled", "suppressed", "expired", "failed"}[o%9]
}

// Tried tells whether the outside was asked: only then there is an attempt to record.
func (o Outcome) Tried() bool {
	return o == OutcomeDelivered || o == OutcomeDeferred || o == OutcomeBounced || o == OutcomeUncertain
}

// Attempt is one try at one delivery. Several deliveries of one message carried in
// one SMTP transaction have one Attempt each, with the same Transcript.
type Attempt struct {
	ID       ID
	Number   int // 1, 2, … counting only those that were tried
	At       time.Time
	Duration time.Duration
	Outcome  Outcome
	Reply    Reply
	Class    Class
	Advice   string // one sentence of ours, safe to show

	Site       string
	MX         []string // hosts as resolved, in the order tried
	Host       string   // the one that answered
	IP         string
	DNS        time.Duration
	Source     string // local address, or the smart host's name
	EHLO       string
	TLS        *TLSFacts // nil: in clear
	Signed     []string  // DKIM selectors used
	Transcript []Line

	RetryAfter time.Duration // a floor for the next wait, from the site or the lane; 0 = the ladder's
	Scale      float64       // the ladder's wait is this much of itself: the sandbox may hasten; 0 = 1
	Wait       Wait          // for Untried: why it waits now
}

// TLSFacts is how an attempt was encrypted.
type TLSFacts struct {
	Version  string `json:"version"`
	Cipher   string `json:"cipher"`
	Verified bool   `json:"verified"` // the certificate is good for the host's name
	Error    string `json:"error,omitempty"`
}

// Line is one line of a transcript: never credentials, never content.
type Line struct {
	From string        // "C" or "S"; "!" for what happened to the connection
	At   time.Duration // since the attempt began
	Text string
	Code int // of the server's lines
}

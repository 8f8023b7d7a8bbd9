package feedback

import "time"

// Kind is what a mail that came back is.
type Kind string

const (
	KindBounce    Kind = "bounce"     // a delivery status notification, or a bounce told in words
	KindComplaint Kind = "complaint"  // a feedback report of the kind that complains (RFC 5965)
	KindAutoReply Kind = "auto_reply" // an out-of-office note and its like: means nothing
	KindOther     Kind = "other"      // none of these, or not to be read
)

// Report is what a mail that came back says. Its sender is not to be trusted: only a
// signed return path among Paths proves that it has seen our mail.
type Report struct {
	Kind       Kind
	Recipients []Reported // of a bounce: one for each recipient it tells of, at most 100
	Complaint  *Grievance // of a complaint
	Paths      []string   // addresses where our return path may stand: those of the returned message and of the report's own fields
	Unsubs     []string   // addresses and URLs of List-Unsubscribe in the returned message
	MessageID  string     // of the returned message, without < >
	Text       string     // what it tells people, valid UTF-8 without control characters but \n, at most 2 KB
}

// Reported is what a bounce report tells of one recipient (RFC 3464 §2.3).
type Reported struct {
	Final      string // folded address; "" unknown
	Original   string // folded address the sender wrote to, when it was forwarded; "" unknown
	Action     string // failed, delayed, delivered, relayed or expanded
	Status     string // "5.1.1"; "" unknown
	Diagnostic string // of the site that refused, at most 2 KB, as Report.Text
	RemoteMTA  string
	RetryUntil time.Time
}

// Grievance is what a complaint tells (RFC 5965 §3).
type Grievance struct {
	Type       string   // Feedback-Type, lower case: abuse, fraud, virus, not-spam, opt-out …
	Recipients []string // folded addresses, Original-Rcpt-To and what stands for it; often none
	Reporter   string   // User-Agent or Reporting-MTA
	ArrivedAt  time.Time
}

package feedback

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	// LetterKept is how much of a mail that came back is kept while nobody understands it,
	// in bytes.
	LetterKept = 64 << 10
	// LetterDays is for how long.
	LetterDays = 7
	// MaxLetters is how many at most: the oldest go first. Also the most records that are
	// about no message of ours.
	MaxLetters = 1000
	// MaxRecords is how many records are kept of one message. What comes after them has its
	// effects, but no record.
	MaxRecords = 100
)

// Record is a mail that came back as it is kept: what it was about and what it did, no
// addresses and no text. It goes with its message.
type Record struct {
	ID     mail.ID
	Row    int64
	At     time.Time
	Kind   Kind
	Digest [32]byte // of the mail and the token that proves it: the same ones again change nothing
	Size   int64    // of the mail

	Message   int64      // row; 0: it is about none of ours
	MessageID mail.ID    // filled in on reading
	Owner     mail.Owner // filled in on reading

	Items    []RecordItem
	Feedback string // of a complaint: abuse, not-spam …
	Why      string // why nothing, or not all of it, could be matched; "" = it was

	// Letter is how the mail begins, at most LetterKept bytes behind an envelope in a few
	// header lines; nil: not kept. Of a message whose content is gone none is kept.
	Letter   []byte
	Readable bool // filled in on reading: there is a letter
}

// RecordItem is what a record tells of one recipient.
type RecordItem struct {
	Delivery int64      `json:"delivery,omitzero"` // row; 0: none of the message's
	Action   string     `json:"action,omitzero"`   // of a bounce report
	Status   string     `json:"status,omitzero"`
	Class    mail.Class `json:"class,omitzero"`
	Effect   string     `json:"effect,omitzero"` // queue.Effect; "" = it only tells
}

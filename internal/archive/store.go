package archive

import (
	"context"
	"io"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store is what the read side asks. A caller sees only its owner's; what is another's
// is mail.ErrNotFound.
type Store interface {
	Messages(ctx context.Context, q Query) ([]Record, error)
	// Count counts the messages a query finds, of all its pages, at most so many. When ctx's
	// deadline passes it gives what it has, with whole false.
	Count(ctx context.Context, q Query, most int) (n int, whole bool, err error)
	Message(ctx context.Context, owner mail.Owner, id mail.ID) (*Record, error)
	// MessagesByID finds many by their ids, in no order: those the owner does not have are
	// left out. It costs as many reads as one.
	MessagesByID(ctx context.Context, owner mail.Owner, ids []mail.ID) ([]Record, error)
	MessageByRFCID(ctx context.Context, owner mail.Owner, rfcID string) (*Record, error)
	Events(ctx context.Context, owner mail.Owner, message int64) ([]mail.Event, error)
	Attempts(ctx context.Context, owner mail.Owner, message int64) ([]AttemptOf, error)
	// AttemptsOf gives those of many messages by their rows, each as Attempts does; messages
	// the owner does not have are left out. It costs as many reads as one.
	AttemptsOf(ctx context.Context, owner mail.Owner, messages []int64) (map[int64][]AttemptOf, error)
	Content(ctx context.Context, message int64) (mail.Content, error)
	// OpenFile opens a hosted file, expired or not; mail.ErrNotFound when it is gone.
	OpenFile(ctx context.Context, id mail.ID) (mail.File, io.ReadSeekCloser, error)
}

// Query selects messages, newest first unless Ascending. Zero fields select all.
type Query struct {
	Owner         mail.Owner
	Statuses      []mail.Status // any recipient has one of them
	Recipient     string        // folded: an address, "ada*" (prefix) or "*@domain"
	CreatedAfter  time.Time
	CreatedBefore time.Time
	From          string
	Subject       string
	Tag           string
	Topic         string
	Template      string // alias at that time, or id ("tmpl_…"); any version
	Tier          *mail.Tier
	Domain        string // the recipient's
	Site          string
	KeyID         string
	Batch         mail.ID
	RFCID         string
	Idempotency   string
	Supersedes    string
	Class         mail.Class
	SMTPCode      int
	Metadata      map[string]string

	// Parts of texts, in any case of ASCII letters.
	FromPart, RecipientPart, SubjectPart string
	// Exhausted says which Bounced recipients are meant among Statuses: those whose retries
	// were used up, or the others. Nil: both.
	Exhausted *bool

	Ascending bool
	Limit     int
	After     int64 // row of the last one seen: goes on behind it in the order asked; 0 = from the start
}

// Record is a message with its deliveries in the order of the request (to, cc, bcc),
// and what a list shows of its story.
type Record struct {
	Message      mail.Message
	Deliveries   []mail.Delivery
	LastEvent    *mail.Event
	Attempts     int
	ContentUntil time.Time // when the content's time is over; zero: some delivery is open, or there is none
	HasContent   bool
}

// AttemptOf is an attempt with the delivery it was made for.
type AttemptOf struct {
	mail.Attempt
	Row       int64
	Recipient mail.ID
}

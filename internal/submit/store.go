package submit

import (
	"context"
	"io"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Store is what accepting asks to be remembered.
type Store interface {
	// Accept makes all that an Acceptance says true, or nothing of it; several may
	// share one commit, and one's failure is not another's. When it returns, they are
	// on disk. The receipts stand in the order of the acceptances.
	//
	// For an Acceptance whose Once key was used before, nothing is written and its
	// Receipt has Replayed. Twins in one call count: the second replays the first.
	Accept(ctx context.Context, batch []*Acceptance) ([]Receipt, error)

	// AcceptBatch makes a batch true in one commit, or nothing of it.
	AcceptBatch(ctx context.Context, b *BatchAcceptance) (BatchReceipt, error)

	// Remembered gives the answer kept under an idempotency key, or mail.ErrNotFound.
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)

	// Spool writes content too large for memory or the database to where the store
	// keeps such bodies, compressed and fsynced, and tells its identity. It belongs to
	// no message until an Acceptance carries it; until then Discard takes it away, and
	// so does the next start of the store.
	Spool(ctx context.Context, write func(io.Writer) error) (Spooled, error)

	// SpoolFile is Spool for a hosted file: kept apart from the bodies and as it is, so
	// that any stretch of it can be read. An Acceptance carries it in Files.
	SpoolFile(ctx context.Context, write func(io.Writer) error) (Spooled, error)
	// DeleteFiles removes the hosted files of a message, and tells how many there were.
	DeleteFiles(ctx context.Context, message int64) (int, error)
	// SweepFiles removes the hosted files that have expired at now.
	SweepFiles(ctx context.Context, now time.Time) (int, error)

	// Suppressed tells which of these addresses (folded, see [mail.FoldAddress]) the
	// owner must not write to at now, for mail of this topic ("" = no topic: only
	// suppressions without topic apply). The weightiest cause of each is given.
	Suppressed(ctx context.Context, owner mail.Owner, addresses []string, topic string, now time.Time) (map[string]mail.Suppression, error)
}

// Spooled is content the store already keeps.
type Spooled interface {
	mail.Content
	Discard() error
}

// Acceptance is everything that becomes true at once when we say yes.
type Acceptance struct {
	Once       *mail.Once // nil: the caller gave no key
	Message    *mail.Message
	Content    mail.Content // mail.Bytes, or what Spool gave
	Deliveries []NewDelivery
	Files      []NewFile
	Lease      Lease // for the deliveries that have Leased set
	// Quotas are the caller's. A message that does not fit, or a batch whose new messages do
	// not, is a *project.QuotaError; one that replays its key counts nothing.
	Quotas project.Quotas

	// Answer writes what the caller is told, from what only the commit knows. It is
	// called once inside the commit, must be quick, and what it returns is kept under
	// the key of Once (when there is one) and given back in the Receipt.
	Answer func(Receipt) mail.Answer
}

// NewDelivery is a delivery with the first events of its life.
type NewDelivery struct {
	mail.Delivery
	// Leased asks that this node has the delivery's lease from the same commit on, so
	// that it can be offered to a lane without a claim.
	Leased bool
	Events []mail.Event // in order; the store fills in rows and sequence
}

// NewFile is a hosted file with what SpoolFile gave; the store fills in the message's row.
type NewFile struct {
	mail.File
	Content Spooled
}

// BatchAcceptance is several acceptances and the answer to the request that brought them.
type BatchAcceptance struct {
	Once  *mail.Once // of the request; nil: the caller gave no key
	Items []*Acceptance
	// RefuseAt is how many items whose key was used for another request refuse them all;
	// 0: no number does.
	RefuseAt int

	// Answer writes what the caller is told of them all; as that of an Acceptance.
	Answer func([]Receipt) mail.Answer
}

// BatchReceipt is what a commit tells of a batch.
type BatchReceipt struct {
	Items    []Receipt // in order; some may be Replayed
	Refused  bool      // for items that are Replayed with another fingerprint: nothing was written
	Answer   mail.Answer
	Replayed *mail.Answer // the first answer of the request's key; then all else is zero
}

// Lease says for whom and until when leases of an Acceptance are.
type Lease struct {
	Node  string
	Until time.Time
}

// Receipt is what a commit tells of one Acceptance.
type Receipt struct {
	Row        int64        // of the message
	Deliveries []int64      // rows, in the order of the Acceptance
	Leases     []mail.Lease // of the deliveries that asked, in order; zero Lease for the others
	Superseded []mail.ID    // older messages cancelled by this one
	Answer     mail.Answer
	Replayed   *mail.Answer // the first answer of the key; then nothing was written and all else is zero
}

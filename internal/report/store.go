package report

import (
	"context"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// Store is what taking in reports asks to be remembered.
type Store interface {
	queue.Reporter

	// Copies finds the deliveries that a mail about one of them may tell of: those of the
	// same message whose recipient's site was given the same copy, under the same return
	// path. path is its local part as it was written; "" means that the delivery's copy was its
	// own. mail.ErrNotFound: the delivery is not kept any more, or its recipient was erased.
	Copies(ctx context.Context, delivery int64, path string) (Copies, error)

	// Reports gives records, newest first, those before a row (0: from the newest).
	Reports(ctx context.Context, before int64, limit int) ([]feedback.Record, error)
	// ReportByID gives one with its letter, where that is kept. mail.ErrNotFound.
	ReportByID(ctx context.Context, id mail.ID) (feedback.Record, error)
}

// Copies are the deliveries that share one copy of a message.
type Copies struct {
	Message   int64 // row
	MessageID mail.ID
	Owner     mail.Owner
	All       []Copy // the one asked for first
}

// Copy is one of them.
type Copy struct {
	Delivery int64  // row
	Address  string // folded
	Site     string
	Status   mail.Status
	Tries    int
}

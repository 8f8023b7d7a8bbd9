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
	// own. mail.ErrNotFound: none of them is kept any more, or their recipients were erased.
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
	All       []Copy // the one asked for first, unless its recipient was erased

	// Others may share the copy, too: what a report says of somebody who is none of All may
	// be theirs, and is nobody's by guess.
	Pending   bool // some are on the wire: ask again when that is settled
	Forgotten bool // of some nothing tells any more: erased, or their attempt was cut off by a crash
}

// only is the one delivery that the copy was surely for alone; nil: it was for several.
func (c *Copies) only() *Copy {
	if len(c.All) == 1 && !c.Pending && !c.Forgotten {
		return &c.All[0]
	}
	return nil
}

// Copy is one of them.
type Copy struct {
	Delivery int64  // row
	Address  string // folded
	Site     string
	Status   mail.Status
	Tries    int
}

package retention

import (
	"context"
	"errors"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// ErrBusy says that Scrub could not finish because of somebody who reads: try again.
var ErrBusy = errors.New("the log of the store is in use")

// Store is what forgetting asks. Forget and Erase are small: some milliseconds of the
// writer at most. They are called by one caller at a time.
type Store interface {
	// Forget removes some of what is due at now, and tells when to call again.
	Forget(ctx context.Context, now time.Time) (Step, error)
	// Scrub makes sure that what was removed before stands nowhere on disk any more, or
	// fails with ErrBusy.
	Scrub(ctx context.Context) error

	// Clear removes some of an owner's messages that have come to their end, whatever their
	// age, behind a row; last is the row it looked at last, 0: there are no more.
	Clear(ctx context.Context, owner mail.Owner, after int64) (done Step, last int64, err error)

	// CreateErasure keeps an order; a used once key is *mail.Replayed.
	CreateErasure(ctx context.Context, e Erasure, once *mail.Once, answer func(Erasure) mail.Answer) (Erasure, error)
	// Erasure gives one of a project's, or mail.ErrNotFound.
	Erasure(ctx context.Context, project int64, id mail.ID) (Erasure, error)
	// Erase goes one step on with the order that waits longest, and tells when to call
	// again; Next is zero when no order is open.
	Erase(ctx context.Context, now time.Time) (Step, error)
}

// Step tells what one call did.
type Step struct {
	Contents int   // bytes of messages removed
	Messages int   // removed whole
	Events   int   // about no message, removed
	Erased   int   // deliveries whose recipient was forgotten
	Bytes    int64 // of the contents, as stored
	// Next is when there may be more to do: not after now means at once.
	Next time.Time
}

// Removed tells whether anything went.
func (s Step) Removed() bool { return s.Contents+s.Messages+s.Events+s.Erased > 0 }

// Erasure is an order to forget an address in both environments of a project.
type Erasure struct {
	ID      mail.ID
	Row     int64
	Project int64
	// Address is folded; empty once the order is done: then nobody can tell whom it was
	// about.
	Address string
	// Token stands where the address stood: the same for the same address, and no way back.
	Token        string
	Suppressions bool // the entries of the suppression list too
	By           string
	CreatedAt    time.Time
	FinishedAt   time.Time // zero: it runs
	Counts       Counts
}

// Counts is what an erasure found and did so far.
type Counts struct {
	Messages     int `json:"messages"`     // that had the address among their recipients
	Deliveries   int `json:"deliveries"`   // to it, made anonymous
	Cancelled    int `json:"cancelled"`    // of them, because they were still open
	Contents     int `json:"contents"`     // removed; that of a message with an open delivery to somebody else goes when that is final
	Events       int `json:"events"`       // about no message, that named it
	Answers      int `json:"answers"`      // kept for idempotency, that named it
	Suppressions int `json:"suppressions"` // removed
	OnTheWire    int `json:"on_the_wire"`  // deliveries that were being carried at the last look: they are waited for
}

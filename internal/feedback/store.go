package feedback

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store keeps the suppression lists, and what recipients do.
type Store interface {
	Wishes

	// AddSuppression enters one with its event suppression.created. When the address
	// has one of that kind and topic already, that one is given back and created is
	// false. A used key is a *mail.Replayed error.
	AddSuppression(ctx context.Context, s mail.Suppression, once *mail.Once, answer func(s mail.Suppression, created bool) mail.Answer) (got mail.Suppression, created bool, err error)
	Suppressions(ctx context.Context, q Query) ([]mail.Suppression, error)
	Suppression(ctx context.Context, owner mail.Owner, id mail.ID) (mail.Suppression, error)
	// SuppressionsByID gives many, in no order; those the owner does not have are left out.
	SuppressionsByID(ctx context.Context, owner mail.Owner, ids []mail.ID) ([]mail.Suppression, error)
	// SuppressionsOf gives all of an address, weightiest first.
	SuppressionsOf(ctx context.Context, owner mail.Owner, address string) ([]mail.Suppression, error)
	// DeleteSuppression removes one with its event suppression.deleted; it goes on as a Past.
	DeleteSuppression(ctx context.Context, owner mail.Owner, id mail.ID, by string, now time.Time) (mail.Suppression, error)
	// ChangeSuppressions enters and removes many in one commit, each with its event. A used
	// key is a *mail.Replayed error.
	ChangeSuppressions(ctx context.Context, c Changes) (Changed, error)
	// PastSuppressions gives those of an address that were lifted or had run out when
	// another took their place, oldest first; at most 100.
	PastSuppressions(ctx context.Context, owner mail.Owner, address string) ([]Past, error)

	// Suppressed tells which of these addresses (folded, see [mail.FoldAddress]) the
	// owner must not write to at now, for mail of this topic ("" = no topic: only
	// suppressions without topic apply). The weightiest cause of each is given.
	Suppressed(ctx context.Context, owner mail.Owner, addresses []string, topic string, now time.Time) (map[string]mail.Suppression, error)
}

// Changes are what one call changes.
type Changes struct {
	Owner  mail.Owner
	Add    []mail.Suppression
	Remove []mail.ID
	By     string
	Now    time.Time
	Once   *mail.Once // nil: no idempotency key
	Answer func(Changed) mail.Answer
}

// Changed tells what became of each, in the order asked.
type Changed struct {
	Added   []Added
	Removed []*mail.Suppression // nil: there was none any more
	Answer  mail.Answer
}

// Added is one that stands now; Created is false when it stood before.
type Added struct {
	mail.Suppression
	Created bool
}

// Past is a suppression that is over.
type Past struct {
	mail.Suppression
	EndedAt time.Time
	By      string // who lifted it; "" = it had expired
}

// Query selects suppressions, newest first.
type Query struct {
	Owner        mail.Owner
	Recipient    string // folded address, exact
	Reason       string // matches reason or kind
	Kind         string
	Topic        string
	Source       string
	CreatedAfter time.Time
	Search       string   // part of the address
	Kinds        []string // any of these
	NotKinds     []string // none of these
	Offset       int      // how many to pass over
	Limit        int
	After        int64 // row of the last one seen
	Ascending    bool
}

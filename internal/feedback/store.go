package feedback

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store keeps the suppression lists.
type Store interface {
	// AddSuppression enters one with its event suppression.created. When the address
	// has one of that kind and topic already, that one is given back and created is
	// false. A used key is a *mail.Replayed error.
	AddSuppression(ctx context.Context, s mail.Suppression, once *mail.Once, answer func(s mail.Suppression, created bool) mail.Answer) (got mail.Suppression, created bool, err error)
	Suppressions(ctx context.Context, q Query) ([]mail.Suppression, error)
	Suppression(ctx context.Context, owner mail.Owner, id mail.ID) (mail.Suppression, error)
	// SuppressionsOf gives all of an address, weightiest first.
	SuppressionsOf(ctx context.Context, owner mail.Owner, address string) ([]mail.Suppression, error)
	// DeleteSuppression removes one with its event suppression.deleted.
	DeleteSuppression(ctx context.Context, owner mail.Owner, id mail.ID, by string, now time.Time) (mail.Suppression, error)
}

// Query selects suppressions, newest first.
type Query struct {
	Owner        mail.Owner
	Recipient    string // folded address, exact
	Reason       string // matches reason or kind
	Topic        string
	Source       string
	CreatedAfter time.Time
	Search       string // part of the address
	Limit        int
	After        int64 // row of the last one seen
	Ascending    bool
}

package hyvor

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store is what only this dialect asks to be remembered.
type Store interface {
	// Remembered gives the answer kept under an idempotency key, or mail.ErrNotFound.
	Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error)
	// Remember keeps an answer that commits with nothing else: a refusal. A key that is
	// used is a *mail.Replayed error, and the answer before stands.
	Remember(ctx context.Context, once *mail.Once, a mail.Answer) error

	// Whose tells which project something belongs to, by the number this dialect shows.
	// mail.ErrNotFound: there is no such thing.
	Whose(ctx context.Context, what Thing, row int64) (mail.Owner, error)
	// WhoseMessage is Whose for the id of a message.
	WhoseMessage(ctx context.Context, id mail.ID) (mail.Owner, error)
	// KeyRows gives the numbers of a project's keys by their ids.
	KeyRows(ctx context.Context, project int64) (map[string]int64, error)

	// Tally counts recipients of an owner's messages made since a time, by the UTC day of
	// their message and by status.
	Tally(ctx context.Context, owner mail.Owner, since time.Time) ([]Count, error)
}

// Thing is a kind of things that have numbers.
type Thing uint8

const (
	ThingSend Thing = iota
	ThingDomain
	ThingKey
	ThingSuppression
	ThingWebhook
)

// Count is how many recipients of a day's messages have a status.
type Count struct {
	Day       string // "2026-04-19", in UTC
	Status    mail.Status
	Exhausted bool // Bounced because the retries were used up
	Count     int64
}

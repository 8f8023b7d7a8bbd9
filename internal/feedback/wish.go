package feedback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Recipient is whom a token that came back is about.
type Recipient struct {
	Delivery    int64 // row
	Message     mail.ID
	Owner       mail.Owner
	Address     string // folded
	From        mail.Address
	Topic       string
	DeliveredAt time.Time // zero: not yet, or never
}

// Unsubscription is a recipient's wish, made by themselves. Owner, Address and Message of
// the suppression are the delivery's.
type Unsubscription struct {
	Delivery int64 // row
	Suppress mail.Suppression
	Method   string // "one_click", "link" or "mailto"
}

// Visit is one open or one followed link.
type Visit struct {
	Delivery int64 // row
	Event    mail.Event
}

// MaxVisits bounds the events of one delivery: whoever loads an image a million times
// fills no log.
const MaxVisits = 200

// Wishes keeps what recipients do with their mail.
type Wishes interface {
	// Recipients gives those of these deliveries (rows) that are still kept.
	Recipients(ctx context.Context, deliveries []int64) (map[int64]Recipient, error)
	// Unsubscribe enters the suppression with its event suppression.created and the
	// delivery's message.unsubscribed, in one commit. When it stands already, it is
	// given back and nothing is told. mail.ErrNotFound: there is no such delivery.
	Unsubscribe(ctx context.Context, u Unsubscription) (got mail.Suppression, created bool, err error)
	// Visited records opens and clicks. Those of deliveries that are gone, or that have
	// MaxVisits events, are left out.
	Visited(ctx context.Context, visits []Visit) error
}

// Unsubscribe has the recipient of a delivery written to no more: for the message's topic,
// or with everything for all mail of the project. Asked again it changes nothing.
func (s *Service) Unsubscribe(ctx context.Context, delivery int64, method string, everything bool) (Recipient, error) {
	to, err := s.Recipient(ctx, delivery)
	if err != nil {
		return to, err
	}
	now := s.now()
	u := Unsubscription{Delivery: delivery, Method: method, Suppress: mail.Suppression{
		ID: mail.NewID(now), Reason: mail.KindUnsubscribe, Kind: mail.KindUnsubscribe, Topic: to.Topic, Source: "recipient", CreatedAt: now,
	}}
	if everything {
		u.Suppress.Topic = ""
	}
	_, _, err = s.store.Unsubscribe(ctx, u)
	return to, err
}

// Resubscribe takes back what the recipient of a delivery wished by a link: those
// unsubscribes of theirs that would stop this message again.
func (s *Service) Resubscribe(ctx context.Context, delivery int64) (Recipient, error) {
	to, err := s.Recipient(ctx, delivery)
	if err != nil {
		return to, err
	}
	all, err := s.store.SuppressionsOf(ctx, to.Owner, to.Address)
	if err != nil {
		return to, fmt.Errorf("look up suppressions: %w", err)
	}
	for i := range all {
		if x := &all[i]; x.Kind != mail.KindUnsubscribe || x.Source != "recipient" || x.Topic != "" && x.Topic != to.Topic {
			continue
		}
		if _, err := s.store.DeleteSuppression(ctx, to.Owner, all[i].ID, "recipient", s.now()); err != nil && !errors.Is(err, mail.ErrNotFound) {
			return to, err
		}
	}
	return to, nil
}

// Recipient tells whom a token is about: mail.ErrNotFound when the message is not kept any more.
func (s *Service) Recipient(ctx context.Context, delivery int64) (Recipient, error) {
	found, err := s.store.Recipients(ctx, []int64{delivery})
	if err != nil {
		return Recipient{}, fmt.Errorf("look up a recipient: %w", err)
	}
	to, ok := found[delivery]
	if !ok {
		return to, mail.ErrNotFound
	}
	return to, nil
}

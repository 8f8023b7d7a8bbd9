package feedback

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// Bounds of what a caller writes (api-v1.md §1.7).
const (
	maxReason = 64
	maxTopic  = 64
	maxNote   = 500
	// MaxBatch is how many addresses one call checks or changes.
	MaxBatch = 1000
)

// Service is what may be done to the suppression lists. Doors translate for it.
type Service struct {
	store Store
	now   func() time.Time
}

// NewService builds a service; now nil is time.Now.
func NewService(store Store, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{store: store, now: now}
}

// Judge tells everything that is wrong with a suppression a caller wants entered, and sets
// its kind. Fields are named as the API names them.
func Judge(s *mail.Suppression, now time.Time) mail.Faults {
	var faults mail.Faults
	fault := func(field, code, message string) {
		faults = append(faults, &mail.Error{Code: code, Field: field, Pointer: "#/" + field, Message: message})
	}
	if !isSlug(s.Reason) {
		fault("reason", "invalid_value", "A reason is 1 to 64 of a-z, 0-9, '_' and '-', and begins with a letter or digit.")
	}
	s.Kind = mail.KindOf(s.Reason)
	if len(s.Topic) > maxTopic {
		fault("topic", "too_long", "A topic has at most 64 characters.")
	}
	if !utf8.ValidString(s.Topic) || strings.IndexByte(s.Topic, 0) >= 0 {
		fault("topic", "invalid_value", "A topic is text in UTF-8 without NUL characters.")
	}
	if s.Topic != "" && s.Kind != mail.KindUnsubscribe {
		fault("topic", "invalid_value", "Only an unsubscribe can be bound to a topic: everything else blocks all mail.")
	}
	if len(s.Note) > maxNote {
		fault("note", "too_long", "A note has at most 500 bytes.")
	}
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) {
		fault("expires_at", "invalid_value", "It would have expired already.")
	}
	return faults
}

func isSlug(s string) bool {
	if len(s) == 0 || len(s) > maxReason || s[0] == '_' || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// Add enters one; see [Store.AddSuppression].
func (s *Service) Add(ctx context.Context, in mail.Suppression, once *mail.Once, answer func(s mail.Suppression, created bool) mail.Answer) (got mail.Suppression, created bool, err error) {
	return s.store.AddSuppression(ctx, in, once, func(kept mail.Suppression, created bool) mail.Answer {
		audit.Changed(ctx, kept.ID.Text(mail.PrefixSuppression), nil, shapeOf(&kept))
		if answer == nil {
			return mail.Answer{}
		}
		return answer(kept, created)
	})
}

// shapeOf is a suppression as audits tell of it: without the address, which may be erased.
func shapeOf(x *mail.Suppression) any {
	return map[string]any{"kind": x.Kind, "reason": x.Reason, "topic": x.Topic}
}

// List gives a page of suppressions.
func (s *Service) List(ctx context.Context, q Query) ([]mail.Suppression, error) {
	return s.store.Suppressions(ctx, q)
}

// Find gives what a path names: one by its id, or all of an address, weightiest first.
// mail.ErrNotFound when there is none.
func (s *Service) Find(ctx context.Context, owner mail.Owner, ref string) ([]mail.Suppression, error) {
	if id, err := mail.ParseID(mail.PrefixSuppression, ref); err == nil {
		found, err := s.store.Suppression(ctx, owner, id)
		return []mail.Suppression{found}, err
	}
	address, err := mail.ParseAddress(ref)
	if err != nil {
		return nil, mail.ErrNotFound
	}
	all, err := s.store.SuppressionsOf(ctx, owner, mail.FoldAddress(address.Email))
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	return all, err
}

// Removal says which of an address's suppressions to lift.
type Removal struct {
	Reason string  // matches reason or kind; "" = any
	Topic  *string // nil = any
	Kind   string  // "" = any
	Force  bool    // a complaint too
	By     string
}

// What stands in the way of lifting a suppression.
var (
	ErrComplaint = errors.New("the recipient reported mail as spam")
)

// SeveralError says that an address has several suppressions and it is not clear which is meant.
type SeveralError struct{ Reasons []string }

func (*SeveralError) Error() string { return "the address is suppressed for several reasons" }

// Lift takes one suppression away. An address with several needs more words, so that
// nobody lifts more than they meant: else it is a [*SeveralError]. One for a complaint
// needs force: else it is [ErrComplaint].
func (s *Service) Lift(ctx context.Context, owner mail.Owner, ref string, r Removal) (mail.Suppression, error) {
	x, err := s.choose(ctx, owner, ref, r)
	if err != nil {
		return x, err
	}
	audit.Changed(ctx, x.ID.Text(mail.PrefixSuppression), shapeOf(&x), nil)
	return s.store.DeleteSuppression(ctx, owner, x.ID, r.By, s.now())
}

// choose finds the one suppression that is meant.
func (s *Service) choose(ctx context.Context, owner mail.Owner, ref string, r Removal) (mail.Suppression, error) {
	found, err := s.Find(ctx, owner, ref)
	if err != nil {
		return mail.Suppression{}, err
	}
	found = slices.DeleteFunc(found, func(x mail.Suppression) bool {
		return r.Reason != "" && x.Reason != r.Reason && x.Kind != r.Reason || r.Topic != nil && x.Topic != *r.Topic || r.Kind != "" && x.Kind != r.Kind
	})
	switch {
	case len(found) == 0:
		return mail.Suppression{}, mail.ErrNotFound
	case len(found) > 1:
		several := &SeveralError{}
		for i := range found {
			several.Reasons = append(several.Reasons, found[i].Reason)
		}
		return found[0], several
	case found[0].Kind == mail.KindComplaint && !r.Force:
		return found[0], ErrComplaint
	}
	return found[0], nil
}

// Item is one line of a batch: to add (Suppression) or to lift (Ref), with what is wrong with it.
type Item struct {
	Suppression mail.Suppression
	Ref         string
	Removal     Removal
	Err         error // of the caller's: mail.Faults, a *mail.Error, mail.ErrNotFound, ErrComplaint or a *SeveralError
	Done        *mail.Suppression
	Created     bool
}

// Change adds and lifts many, what is right of them in one commit. The items tell what
// became of each; answer sees them so.
func (s *Service) Change(ctx context.Context, owner mail.Owner, add, lift []Item, by string, once *mail.Once, answer func() mail.Answer) (mail.Answer, error) {
	c := Changes{Owner: owner, By: by, Now: s.now(), Once: once}
	var adding, lifting []*Item
	for i := range add {
		if x := &add[i]; x.Err == nil {
			c.Add, adding = append(c.Add, x.Suppression), append(adding, x)
		}
	}
	for i := range lift {
		x := &lift[i]
		if x.Err != nil {
			continue
		}
		found, err := s.choose(ctx, owner, x.Ref, x.Removal)
		var several *SeveralError
		switch {
		case err == nil:
			c.Remove, lifting = append(c.Remove, found.ID), append(lifting, x)
		case errors.Is(err, mail.ErrNotFound), errors.Is(err, ErrComplaint), errors.As(err, &several):
			x.Err = err
		default:
			return mail.Answer{}, err
		}
	}
	c.Answer = func(out Changed) mail.Answer {
		for i, x := range adding {
			x.Done, x.Created = &out.Added[i].Suppression, out.Added[i].Created
		}
		for i, x := range lifting {
			if x.Done = out.Removed[i]; x.Done == nil {
				x.Err = mail.ErrNotFound
			}
		}
		return answer()
	}
	audit.Changed(ctx, "", nil, map[string]int{"to_add": len(c.Add), "to_remove": len(c.Remove)})
	out, err := s.store.ChangeSuppressions(ctx, c)
	return out.Answer, err
}

// Check tells which of some folded addresses must not be written to now, for mail of a topic.
func (s *Service) Check(ctx context.Context, owner mail.Owner, addresses []string, topic string) (map[string]mail.Suppression, error) {
	return s.store.Suppressed(ctx, owner, addresses, topic, s.now())
}

// Past gives an address's suppressions that are over, oldest first.
func (s *Service) Past(ctx context.Context, owner mail.Owner, address string) ([]Past, error) {
	return s.store.PastSuppressions(ctx, owner, mail.FoldAddress(address))
}

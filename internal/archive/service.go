package archive

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Service answers questions about messages.
type Service struct {
	store  Store
	stamps Stamps
	// Now judges whether content is still kept: from the second its time is over it is not
	// given any more, though the store may need a while to remove it. Nil: only what the
	// store has removed is gone.
	Now func() time.Time
}

// Stamps gives the copy of a message for one delivery: see tracking.Tokens.
type Stamps interface {
	Stamp(c mail.Content, marker string, delivery int64) mail.Content
}

// NewService reads from a store. Without stamps placeholders are shown as they are stored.
func NewService(store Store, stamps Stamps) *Service { return &Service{store: store, stamps: stamps} }

// Find gives a message by its id ("msg_…") or by its RFC Message-ID, with or without
// angle brackets. What the owner does not have is mail.ErrNotFound.
func (s *Service) Find(ctx context.Context, owner mail.Owner, ref string) (*Record, error) {
	if id, err := mail.ParseID(mail.PrefixMessage, ref); err == nil {
		return s.kept(s.store.Message(ctx, owner, id))
	}
	rfc, ok := strings.CutPrefix(ref, "<")
	if ok {
		rfc, ok = strings.CutSuffix(rfc, ">")
	} else {
		ok = strings.Contains(ref, "@")
	}
	if !ok || rfc == "" || len(rfc) > 998 {
		return nil, mail.ErrNotFound
	}
	return s.kept(s.store.MessageByRFCID(ctx, owner, rfc))
}

// FindAll gives many by their ids, in no order; those the owner does not have are left out.
func (s *Service) FindAll(ctx context.Context, owner mail.Owner, ids []mail.ID) ([]Record, error) {
	records, err := s.store.MessagesByID(ctx, owner, ids)
	for i := range records {
		_, _ = s.kept(&records[i], err)
	}
	return records, err
}

// AttemptsOf are the tries of many of an owner's messages, by their rows, oldest first.
func (s *Service) AttemptsOf(ctx context.Context, owner mail.Owner, messages []int64) (map[int64][]AttemptOf, error) {
	return s.store.AttemptsOf(ctx, owner, messages)
}

// kept says of a record whether its content is still given.
func (s *Service) kept(r *Record, err error) (*Record, error) {
	if err == nil && s.over(r) {
		r.HasContent = false
	}
	return r, err
}

// over tells whether the content's time is over. That of an erased message is only kept for
// somebody else's open delivery.
func (s *Service) over(r *Record) bool {
	return r.Message.Erased || s.Now != nil && !r.ContentUntil.IsZero() && !s.Now().Before(r.ContentUntil)
}

// List gives one page.
func (s *Service) List(ctx context.Context, q Query) ([]Record, error) {
	records, err := s.store.Messages(ctx, q)
	for i := range records {
		_, _ = s.kept(&records[i], err)
	}
	return records, err
}

// countTime is how long one count may take: a filter that few messages meet has to look at
// all of them.
const countTime = time.Second

// Count counts what [Service.List] would give on all its pages, at most so many and for at
// most a second; whole is false when it gave up before.
func (s *Service) Count(ctx context.Context, q Query, most int) (n int, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	return s.store.Count(ctx, q, most)
}

// Events is a message's timeline, oldest first.
func (s *Service) Events(ctx context.Context, r *Record) ([]mail.Event, error) {
	return s.store.Events(ctx, r.Message.Owner, r.Message.Row)
}

// Attempts are all tries at a message's deliveries, oldest first.
func (s *Service) Attempts(ctx context.Context, r *Record) ([]AttemptOf, error) {
	return s.store.Attempts(ctx, r.Message.Owner, r.Message.Row)
}

// Content gives the stored bytes, or mail.ErrNoContent: also when their time is over and
// they were not removed yet.
func (s *Service) Content(ctx context.Context, r *Record) (mail.Content, error) {
	if s.over(r) {
		return nil, mail.ErrNoContent
	}
	return s.store.Content(ctx, r.Message.Row)
}

// Copy gives the bytes to be shown. Captured mail is that of its first recipient, with
// tokens that work, so that they can be tried. Of live mail nobody but the recipient ever
// holds their tokens: there the placeholders stay, and lead nowhere.
func (s *Service) Copy(ctx context.Context, r *Record) (mail.Content, error) {
	c, err := s.Content(ctx, r)
	if err != nil || r.Message.Stamp == "" || s.stamps == nil || r.Message.Owner.Env != mail.Test || len(r.Deliveries) == 0 {
		return c, err
	}
	return s.stamps.Stamp(c, r.Message.Stamp, r.Deliveries[0].Row), nil
}

// File opens a hosted file, expired or not; mail.ErrNotFound when it is gone.
func (s *Service) File(ctx context.Context, id mail.ID) (mail.File, io.ReadSeekCloser, error) {
	return s.store.OpenFile(ctx, id)
}

// Overall is the message's own status: see mail.Overall.
func (r *Record) Overall() mail.Status {
	all := make([]mail.Status, len(r.Deliveries))
	for i := range r.Deliveries {
		all[i] = r.Deliveries[i].Status
	}
	return mail.Overall(all...)
}

// Recipient is the first To, or the first recipient where there is none.
func (r *Record) Recipient() string {
	for i := range r.Deliveries {
		if r.Deliveries[i].Type == mail.To {
			return r.Deliveries[i].Address
		}
	}
	if len(r.Deliveries) > 0 {
		return r.Deliveries[0].Address
	}
	return ""
}

// Times of a message, zero where the thing did not happen (yet).
type Times struct {
	Queued         time.Time // durable on our disk
	Accepted       time.Time // the first delivery came into a lane
	FirstAttempt   time.Time
	Completed      time.Time // the last delivery became final
	Accept         time.Duration
	Queue          time.Duration // from queued (or its scheduled time) into a lane
	ToFirstAttempt time.Duration // from queued (or its scheduled time)
	Total          time.Duration // from the request's arrival to the end
}

// Times tells when the message got how far, over all its recipients.
func (r *Record) Times() Times {
	m := &r.Message
	t := Times{Queued: m.CreatedAt, Accept: m.AcceptTime}
	done := len(r.Deliveries) > 0
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		t.Accepted = earliest(t.Accepted, d.AcceptedAt)
		t.FirstAttempt = earliest(t.FirstAttempt, d.FirstTriedAt)
		if d.CompletedAt.After(t.Completed) {
			t.Completed = d.CompletedAt
		}
		done = done && d.Status.Final()
	}
	if !done {
		t.Completed = time.Time{}
	}
	from := m.CreatedAt
	if m.ScheduledAt.After(from) {
		from = m.ScheduledAt
	}
	t.Queue = since(from, t.Accepted)
	t.ToFirstAttempt = since(from, t.FirstAttempt)
	if total := since(from, t.Completed); total > 0 || !t.Completed.IsZero() {
		t.Total = total + m.AcceptTime
	}
	return t
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func since(from, to time.Time) time.Duration {
	if to.IsZero() {
		return 0
	}
	return max(to.Sub(from), 0)
}

// Actions says what may be done to a message now.
type Actions struct {
	Cancel     bool `json:"cancel"`
	Reschedule bool `json:"reschedule"`
	Resend     bool `json:"resend"`
	SendNow    bool `json:"send_now"`
}

// Actions derives what is allowed from where the deliveries are. Between looking and
// doing things move on: the order itself has the last word.
func (r *Record) Actions() Actions {
	a := Actions{Resend: r.HasContent, Reschedule: len(r.Deliveries) > 0}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		a.Cancel = a.Cancel || !d.Status.Final()
		a.Reschedule = a.Reschedule && d.Status == mail.Scheduled
		a.SendNow = a.SendNow || d.Status == mail.Scheduled || d.Status == mail.Deferred
	}
	return a
}

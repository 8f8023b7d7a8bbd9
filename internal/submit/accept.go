package submit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// replayTime is how long an idempotency key is remembered after its message is due.
const replayTime = 24 * time.Hour

// entry is a message that was judged and written, about to be accepted.
type entry struct {
	who        project.Principal
	now        time.Time
	message    *mail.Message
	content    mail.Content
	files      []NewFile
	recipients []recipient
	warnings   []mail.Warning

	key, route  string // of idempotency; "" = none
	fingerprint [32]byte
	requestID   string
	arrived     time.Time
	answer      func(*Accepted) mail.Answer
	same        *mail.Once // instead of a key: see same.go; nil = none
}

func (d *draft) entry(content mail.Content) *entry {
	return &entry{
		who: d.who, now: d.now, message: d.message, content: content, files: d.kept, recipients: d.recipients, warnings: d.warnings,
		key: d.r.Key, route: d.r.Route, fingerprint: d.r.Fingerprint, requestID: d.r.RequestID, arrived: d.r.Arrived, answer: d.r.Answer, same: d.once(),
	}
}

// accepted tells of the message and its deliveries as they will be.
func (e *entry) accepted() *Accepted {
	out := &Accepted{Message: e.message, Deliveries: make([]mail.Delivery, len(e.recipients)), Warnings: e.warnings}
	for i := range e.recipients {
		out.Deliveries[i] = e.delivery(&e.recipients[i])
	}
	return out
}

func (e *entry) delivery(to *recipient) mail.Delivery {
	m := e.message
	d := mail.Delivery{
		ID: mail.NewID(e.now), Message: m.ID, Owner: m.Owner, Type: to.kind, Address: to.Email, Name: to.Name,
		Destination: to.Domain(), Tier: m.Tier, Status: mail.Queued, Wait: mail.WaitNew, Due: e.now, Suppression: to.suppressed,
	}
	switch {
	case to.suppressed != nil:
		d.Status, d.Wait, d.CompletedAt = mail.Suppressed, mail.NoWait, e.now
	case !m.ScheduledAt.IsZero():
		d.Status, d.Wait, d.Due = mail.Scheduled, mail.WaitScheduled, m.ScheduledAt
	}
	return d
}

// accept commits the entry and hands on what it leased. Content that the store spooled
// is discarded unless it became the message's.
func (s *Service) accept(ctx context.Context, e *entry) (*Accepted, error) {
	out := e.accepted()
	a := s.acceptance(e, out)
	leased := s.reserve(a)
	// Once the commit is asked for it may happen, and what it leases must be handed on:
	// a caller who goes away changes nothing any more.
	receipts, err := s.store.Accept(context.WithoutCancel(ctx), []*Acceptance{a})
	if err == nil && len(receipts) != 1 {
		err = errors.New("the store gave no receipt")
	}
	if err != nil {
		s.undo(a, leased)
		return nil, fmt.Errorf("accept: %w", err)
	}
	receipt := &receipts[0]
	if receipt.Replayed != nil {
		s.undo(a, leased)
		return e.replay(receipt.Replayed)
	}
	out.take(receipt)
	out.Answer = receipt.Answer
	s.handOn(a, out, receipt, leased)
	return out, nil
}

// take fills in what only the commit knows.
func (out *Accepted) take(r *Receipt) {
	out.Message.Row = r.Row
	for i := range out.Deliveries {
		out.Deliveries[i].Row = r.Deliveries[i]
	}
	out.Superseded = r.Superseded
}

// replay is of a key, or of an equal message: then the answer is kept under no key of the
// caller's, and has no fingerprint it could compare.
func (e *entry) replay(first *mail.Answer) (*Accepted, error) {
	if e.same != nil {
		a := *first
		a.Fingerprint = e.fingerprint
		return &Accepted{Answer: a, Replayed: true}, nil
	}
	return replay(first, e.fingerprint)
}

// replay answers a key that was used before: with the first answer if the request is
// the same.
func replay(first *mail.Answer, fingerprint [32]byte) (*Accepted, error) {
	if first.Fingerprint != fingerprint {
		return nil, keyReused()
	}
	return &Accepted{Answer: *first, Replayed: true}, nil
}

func keyReused() *mail.Error {
	return &mail.Error{Code: "idempotency_key_reused", Status: 422,
		Message: "This idempotency key was used before with another request. Use a new key for a new message."}
}

func (s *Service) acceptance(e *entry, out *Accepted) *Acceptance {
	arrived := e.arrived
	if arrived.IsZero() {
		arrived = e.now
	}
	// The commit itself is still to come: this is what everything before it took.
	e.message.AcceptTime = max(s.now().Sub(arrived), 0)
	a := &Acceptance{Message: e.message, Content: e.content, Files: e.files, Quotas: project.QuotasOf(e.who), Deliveries: make([]NewDelivery, len(out.Deliveries))}
	e.tell(a, out)
	a.Once = e.same
	if e.key != "" {
		a.Once = &mail.Once{
			Owner: e.message.Owner, Route: e.route, Key: e.key, Fingerprint: e.fingerprint, RequestID: e.requestID,
			Created: e.now, Expires: e.forgottenAt(),
		}
	}
	if e.answer != nil {
		a.Answer = func(r Receipt) mail.Answer {
			out.take(&r)
			return e.answer(out)
		}
	}
	return a
}

// forgottenAt is when the key is new again: 24 h on, or 24 h after the scheduled time.
func (e *entry) forgottenAt() time.Time {
	if at := e.message.ScheduledAt; at.After(e.now) {
		return at.Add(replayTime)
	}
	return e.now.Add(replayTime)
}

// tell gives each delivery the first events of its life: queued or scheduled, or queued
// and suppressed.
func (e *entry) tell(a *Acceptance, out *Accepted) {
	ms := e.message.AcceptTime.Milliseconds()
	queued := mail.Detail{Summary: e.summary(ms), Via: e.message.Via, KeyID: e.who.By(), AcceptMS: &ms}
	if e.who.Session != nil {
		queued.KeyID, queued.By = "", e.who.By()
	}
	events := make([]mail.Event, 0, 2*len(out.Deliveries))
	for i := range out.Deliveries {
		d := &out.Deliveries[i]
		first := e.event(mail.EventQueued, queued)
		if d.Status == mail.Scheduled {
			first.Type, first.Detail.ScheduledTime = mail.EventScheduled, &e.message.ScheduledAt
		}
		from := len(events)
		events = append(events, first)
		if by := d.Suppression; by != nil {
			events = append(events, e.event(mail.EventSuppressed, mail.Detail{
				Summary: "On the suppression list: " + by.Reason, Previous: mail.Queued.String(), Suppression: by, SuppressionID: by.Public,
			}))
		}
		a.Deliveries[i] = NewDelivery{Delivery: *d, Events: events[from:len(events):len(events)]}
	}
}

func (e *entry) event(kind mail.EventType, detail mail.Detail) mail.Event {
	return mail.Event{ID: mail.NewID(e.now), Owner: e.message.Owner, Type: kind, At: e.now, Detail: detail}
}

// summary is "Accepted by API (key k7f2q9xm, 4 ms)".
func (e *entry) summary(ms int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "Accepted by "...)
	switch e.message.Via {
	case "api":
		b = append(b, "API"...)
	case "smtp":
		b = append(b, "SMTP"...)
	case "hyvor":
		b = append(b, "Hyvor API"...)
	default:
		b = append(b, "console"...)
	}
	b = append(b, " ("...)
	if e.message.KeyID != "" {
		b = append(b, "key "...)
		b = append(b, e.message.KeyID...)
		b = append(b, ", "...)
	}
	b = strconv.AppendInt(b, ms, 10)
	return string(append(b, " ms)"...))
}

// reserve asks room for deliveries that can leave at once, and has them leased in the
// commit. It tells how many.
func (s *Service) reserve(a *Acceptance) (leased int) {
	if s.dispatcher == nil {
		return 0
	}
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if d.Status == mail.Queued && s.dispatcher.Reserve(d.Owner, d.Destination, d.Tier) {
			d.Leased, d.Wait = true, mail.NoWait
			leased++
		}
	}
	if leased > 0 {
		a.Lease = Lease{Node: s.dispatcher.Node(), Until: s.now().Add(s.dispatcher.LeaseTime())}
	}
	return leased
}

// undo gives back what an acceptance that did not happen had taken.
func (s *Service) undo(a *Acceptance, leased int) {
	for i := range a.Deliveries {
		if d := &a.Deliveries[i]; leased > 0 && d.Leased {
			s.dispatcher.Release(d.Owner, d.Destination, d.Tier)
		}
	}
	s.discard(a.Content)
	s.discardFiles(a.Files)
}

func (s *Service) discard(c mail.Content) {
	spooled, ok := c.(Spooled)
	if !ok {
		return
	}
	if err := spooled.Discard(); err != nil {
		s.log.Warn("spooled content stays until the next start", "error", err)
	}
}

// handOn dispatches what was leased, and tells of what waits to be claimed.
func (s *Service) handOn(a *Acceptance, out *Accepted, r *Receipt, leased int) {
	if s.dispatcher == nil {
		return
	}
	works, pointers := make([]mail.Work, 0, leased), make([]*mail.Work, 0, leased)
	for i := range out.Deliveries {
		d := &out.Deliveries[i]
		switch {
		case a.Deliveries[i].Leased:
			d.Wait = mail.NoWait
			works = append(works, mail.Work{Lease: r.Leases[i], Message: out.Message, Delivery: *d, Content: a.Content})
			pointers = append(pointers, &works[len(works)-1])
		case !d.Status.Final():
			s.dispatcher.Waiting(d.Owner, d.Destination, d.Tier, d.Due)
		}
	}
	if len(pointers) > 0 {
		s.dispatcher.Dispatch(pointers)
	}
}

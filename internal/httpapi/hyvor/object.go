package hyvor

import (
	"cmp"
	"slices"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

// The statuses of recipients. Their accepted is our delivered.
const (
	statusQueued     = "queued"
	statusAccepted   = "accepted"
	statusDeferred   = "deferred"
	statusBounced    = "bounced"
	statusFailed     = "failed"
	statusComplained = "complained"
	statusSuppressed = "suppressed"
	statusPartial    = "partial" // of attempts only
)

type sendOut struct {
	ID         int64          `json:"id"`
	UUID       string         `json:"uuid"`
	CreatedAt  int64          `json:"created_at"`
	From       string         `json:"from_address"`
	FromName   *string        `json:"from_name"`
	Subject    *string        `json:"subject"`
	Size       int64          `json:"size_bytes"`
	Queued     bool           `json:"queued"`
	SendAfter  int64          `json:"send_after"`
	Recipients []recipientOut `json:"recipients"`
	Attempts   []attemptOut   `json:"attempts"`
	Feedback   []feedbackOut  `json:"feedback"`
	Status     string         `json:"status"`
	MessageID  string         `json:"message_id"`
}

type recipientOut struct {
	ID      int64  `json:"id"`
	Type    string `json:"type"`
	Address string `json:"address"`
	Name    string `json:"name"`
	Tries   int    `json:"try_count"`
	Status  string `json:"status"`
}

type feedbackOut struct {
	ID        int64  `json:"id"`
	CreatedAt int64  `json:"created_at"`
	Type      string `json:"type"` // "bounce", "complaint"
	Recipient int64  `json:"recipient_id"`
	Report    int64  `json:"debug_incoming_email_id"`
}

// statusOf is a recipient's status.
func statusOf(d *mail.Delivery) string {
	switch d.Status {
	case mail.Delivered:
		return statusAccepted
	case mail.Deferred:
		return statusDeferred
	case mail.Complained:
		return statusComplained
	case mail.Suppressed:
		return statusSuppressed
	}
	switch {
	case d.GaveUp():
		return statusFailed
	case d.Status == mail.Bounced:
		return statusBounced
	}
	return statusQueued
}

// statusesOf are ours that a recipient's status of this dialect means; exhausted says
// which of those that bounced. Nil: there is no such status.
func statusesOf(status string) (ours []mail.Status, exhausted *bool) {
	yes, no := true, false
	switch status {
	case statusQueued, "processing":
		return []mail.Status{mail.Scheduled, mail.Queued, mail.Accepted, mail.Held}, nil
	case statusAccepted:
		return []mail.Status{mail.Delivered}, nil
	case statusDeferred:
		return []mail.Status{mail.Deferred}, nil
	case statusBounced:
		return []mail.Status{mail.Bounced}, &no
	case statusFailed:
		return []mail.Status{mail.Bounced, mail.Cancelled, mail.Expired, mail.Failed}, &yes
	case statusComplained:
		return []mail.Status{mail.Complained}, nil
	case statusSuppressed:
		return []mail.Status{mail.Suppressed}, nil
	}
	return nil, nil
}

// sendOf is a message as this dialect shows it, without attempts and feedback.
func sendOf(r *archive.Record) sendOut {
	m := &r.Message
	out := sendOut{ID: m.Row, UUID: m.ID.UUID(), CreatedAt: m.CreatedAt.Unix(), From: m.From.Email, FromName: orNull(m.From.Name), Subject: &m.Subject,
		Size: m.Size, Recipients: make([]recipientOut, len(r.Deliveries)), Attempts: []attemptOut{}, Feedback: []feedbackOut{},
		MessageID: m.RFCID}
	var due time.Time
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		out.Recipients[i] = recipientOf(d)
		if !d.Status.Final() {
			out.Queued = true
			if due.IsZero() || d.Due.Before(due) {
				due = d.Due
			}
		}
	}
	if due.IsZero() { // nothing is left to do: when it was first to be done
		due = m.CreatedAt
		if m.ScheduledAt.After(due) {
			due = m.ScheduledAt
		}
	}
	out.SendAfter, out.Status = due.Unix(), overall(out.Recipients)
	return out
}

func recipientOf(d *mail.Delivery) recipientOut {
	return recipientOut{ID: d.Row, Type: d.Type.String(), Address: d.Address, Name: d.Name, Tries: d.Tries, Status: statusOf(d)}
}

// overall is a send's status for readers of the older page: four values, the first that
// any recipient has.
func overall(recipients []recipientOut) string {
	any := func(statuses ...string) bool {
		return slices.ContainsFunc(recipients, func(r recipientOut) bool { return slices.Contains(statuses, r.Status) })
	}
	switch {
	case any(statusQueued, statusDeferred):
		return statusQueued
	case any(statusComplained):
		return statusComplained
	case any(statusBounced, statusFailed, statusSuppressed):
		return statusBounced
	}
	return statusAccepted
}

// feedbackOf tells of reports that came back, from the message's events.
func feedbackOf(events []mail.Event) []feedbackOut {
	out := []feedbackOut{}
	for _, e := range events {
		kind := ""
		switch {
		case e.Type == mail.EventComplained:
			kind = "complaint"
		case e.Type == mail.EventBounced && e.Detail.Bounce != nil && e.Detail.Bounce.Reason == mail.BounceReported:
			kind = "bounce"
		default:
			continue
		}
		report := e.Detail.Report
		if report == 0 { // the sandbox's own
			report = e.Position
		}
		out = append(out, feedbackOut{ID: e.Position, CreatedAt: e.At.Unix(), Type: kind, Recipient: e.Delivery, Report: report})
	}
	return out
}

// hasFeedback tells whether a report may have come back about a recipient.
func hasFeedback(r *archive.Record) bool {
	return slices.ContainsFunc(r.Deliveries, func(d mail.Delivery) bool {
		return d.Status == mail.Complained || d.Bounce != nil && d.Bounce.Reason == "report"
	})
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// unixOrNull is a time in seconds, null when it never was.
func unixOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.Unix()
	return &n
}

// newestFirst orders by number.
func newestFirst[T any](list []T, number func(*T) int64) {
	slices.SortFunc(list, func(x, y T) int { return cmp.Compare(number(&y), number(&x)) })
}

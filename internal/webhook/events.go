package webhook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// types are the events there are to subscribe to.
func types() []string {
	return []string{"message.queued", "message.scheduled", "message.rescheduled", "message.accepted", "message.delivered", "message.deferred",
		"message.bounced", "message.complained", "message.suppressed", "message.expired", "message.failed", "message.cancelled",
		"message.unsubscribed", "message.opened", "message.clicked", "suppression.created", "suppression.deleted", "domain.created",
		"domain.verified", "domain.deleted", "template.published", "api_key.created", "api_key.revoked",
		"webhook.failing", "webhook.disabled", "webhook.recovered", "webhook.test"}
}

// judgeEvent wants a name that is known, or a family of them. Where it stands is for the
// caller to say.
func judgeEvent(name string) *mail.Error {
	known := types()
	if name == "*" || slices.Contains(known, name) {
		return nil
	}
	if family, ok := strings.CutSuffix(name, "*"); ok && strings.HasSuffix(family, ".") &&
		slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, family) }) {
		return nil
	}
	f := fault("events", "invalid_value", fmt.Sprintf("There is no event '%s'; GET /v1/event-types lists them.", name))
	if f.Suggestion = nearest(name, known); f.Suggestion != "" {
		f.Message = fmt.Sprintf("There is no event '%s'. Did you mean '%s'?", name, f.Suggestion)
	}
	return f
}

// TypeFault tells what is wrong with the name of an event or of a family of them; nil: nothing.
func TypeFault(name string) *mail.Error { return judgeEvent(name) }

// nearest gives the known name that takes the fewest changes, if these are few; "delivered"
// is short for "message.delivered".
func nearest(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if strings.HasSuffix(k, "."+strings.ToLower(name)) {
			return k
		}
		if d := distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is Levenshtein's; of what is much too long it is too much.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// sample makes an example of a type, for [Service.Test].
func sample(t mail.EventType, e *Endpoint, now time.Time) *eventlog.Entry {
	n := &eventlog.Entry{Event: mail.Event{ID: mail.NewID(now), Owner: e.Owner, Type: t, At: now}}
	object := map[string]string{"domain": mail.PrefixDomain, "template": mail.PrefixTemplate, "suppression": mail.PrefixSuppression}
	kind, _, _ := strings.Cut(string(t), ".")
	switch {
	case kind == "message":
		sampleMessage(n, now)
	case kind == "webhook":
		n.Detail = mail.Detail{Object: e.ID.Text(PrefixEndpoint), Summary: "An example"}
	case kind == "api_key":
		n.Detail = mail.Detail{Object: mail.PrefixKey + "_k7f2q9xm", Summary: "An example"}
	default:
		n.Detail = mail.Detail{Object: mail.NewID(now).Text(object[kind]), Summary: "example.com", Recipient: "ada@example.com", Reason: "hard_bounce",
			Template: "welcome", Version: 7, Before: 6}
	}
	return n
}

func sampleMessage(n *eventlog.Entry, now time.Time) {
	m := &mail.Message{ID: mail.NewID(now), Owner: n.Owner, From: mail.Address{Name: "Acme", Email: "hello@example.com"}, Subject: "Welcome, Ada",
		Tags: []string{"example"}, Metadata: map[string]string{"user_id": "42"}, CreatedAt: now.Add(-2 * time.Second), Via: "api"}
	m.RFCID = m.ID.UUID() + "@example.com"
	d := &mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: n.Owner, Address: "ada@example.com", Destination: "example.com", Tries: 1, AcceptedAt: m.CreatedAt}
	n.Message, n.Delivery, n.MessageID, n.Recipient, n.Sequence = m, d, m.ID, d.Address, 3
	took, left := int64(812), 4
	next := now.Add(5 * time.Minute)
	n.Detail = mail.Detail{Previous: "accepted", Attempt: 1, Host: "mx.example.com", Site: "example.com", Source: "192.0.2.10"}
	switch n.Type {
	case mail.EventDelivered:
		d.Status = mail.Delivered
		n.Detail.Reply, n.Detail.DeliveryMS = &mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}, &took
	case mail.EventDeferred:
		d.Status = mail.Deferred
		n.Detail.Reply, n.Detail.Class, n.Detail.NextAttemptAt, n.Detail.AttemptsLeft = &mail.Reply{Code: 421, Enhanced: "4.7.28", Text: "Try again later"}, "rate_limited", &next, &left
	case mail.EventBounced:
		d.Status = mail.Bounced
		reply := &mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}
		d.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: "unknown_user", Attempts: 1, Reply: reply}
		n.Detail.Reply, n.Detail.Class, n.Detail.Bounce = reply, "unknown_user", d.Bounce
	case mail.EventScheduled, mail.EventRescheduled:
		d.Status = mail.Scheduled
		n.Detail = mail.Detail{ScheduledTime: &next}
	}
}

package eventlog

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Sample makes up an entry of a type, as the examples show it and test hooks send it; nil
// when there is no such type. It is an owner's, and everything in it happened before now.
func Sample(kind mail.EventType, owner mail.Owner, projectID mail.ID, now time.Time) *Entry {
	s := sampling{now: now, owner: owner, entry: Entry{Project: projectID,
		Event: mail.Event{ID: mail.NewID(now), Owner: owner, Type: kind, At: now, Position: 918273}}}
	switch {
	case messageData[kind] != nil:
		s.message()
	case objectData[kind] != nil:
		s.object()
	default:
		return nil
	}
	return &s.entry
}

type sampling struct {
	now   time.Time
	owner mail.Owner
	entry Entry
}

// message is one to Ada that took two attempts.
func (s *sampling) message() {
	created := s.now.Add(-31 * time.Second)
	m := &mail.Message{ID: mail.NewID(created), Row: 1, Owner: s.owner, From: mail.Address{Name: "Acme", Email: "hello@acme.test"}, Subject: "Welcome, Ada",
		Tags: []string{"welcome"}, Metadata: map[string]string{"user_id": "42"}, Template: mail.TemplateRef{ID: mail.NewID(created), Alias: "welcome", Version: 7},
		KeyID: "k7f2q9xm", Via: "api", IdempotencyKey: "welcome-user/42", CreatedAt: created, AcceptTime: 4 * time.Millisecond}
	m.RFCID = m.ID.UUID() + "@acme.test"
	d := &mail.Delivery{ID: mail.NewID(created), Row: 1, Message: m.ID, Owner: s.owner, Address: "ada@example.com", Destination: "example.com",
		AcceptedAt: created.Add(11 * time.Millisecond)}
	e := &s.entry
	e.Message, e.Delivery, e.MessageID, e.Recipient = m, d, m.ID, d.Address
	e.Event.Message, e.Event.Delivery = m.Row, d.Row
	e.Sequence, e.Detail = s.detail(m)
}

// detail is what the type adds, and the place it commonly has in a message's life.
func (s *sampling) detail(m *mail.Message) (sequence int, d mail.Detail) {
	yes, left, took := false, 5, int64(812)
	soon := s.now.Add(30 * time.Second)
	blocked := &mail.SuppressedBy{Reason: "hard_bounce", Kind: mail.KindHardBounce, Since: m.CreatedAt.Add(-24 * time.Hour), Public: mail.NewID(m.CreatedAt).Text(mail.PrefixSuppression)}
	try := mail.Detail{Previous: "deferred", Attempt: 2, AttemptID: mail.NewID(s.now).Text(mail.PrefixAttempt), Host: "mx1.example.com", Site: "example.com", Source: "192.0.2.10",
		DeliveryMS: &took, TLS: &mail.TLSFacts{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Verified: true}}
	switch s.entry.Type {
	case mail.EventQueued:
		ms := m.AcceptTime.Milliseconds()
		return 1, mail.Detail{Via: m.Via, KeyID: "key_" + m.KeyID, AcceptMS: &ms}
	case mail.EventScheduled:
		return 1, mail.Detail{ScheduledTime: &soon}
	case mail.EventRescheduled:
		return 2, mail.Detail{Previous: "scheduled", ScheduledTime: &soon}
	case mail.EventAccepted:
		return 2, mail.Detail{Previous: "queued", Site: "example.com", Pool: "main"}
	case mail.EventDelivered:
		try.Reply = &mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "2.0.0 Ok: queued as 4F2A11C0B3"}
		return 4, try
	case mail.EventDeferred:
		try.Previous, try.Attempt, try.Class, try.NextAttemptAt, try.AttemptsLeft = "accepted", 1, mail.ClassRateLimited, &soon, &left
		try.Reply = &mail.Reply{Code: 421, Enhanced: "4.7.28", Text: "4.7.28 Too many messages, slow down"}
		return 3, try
	case mail.EventBounced:
		try.Reply = &mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "5.1.1 <ada@example.com>: no such user"}
		try.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 2, Reply: try.Reply}
		try.Class, try.SuppressionID = mail.ClassUnknownUser, mail.NewID(s.now).Text(mail.PrefixSuppression)
		return 4, try
	case mail.EventComplained:
		return 5, mail.Detail{Previous: "delivered", Site: "example.com", FeedbackType: "abuse", SuppressionID: mail.NewID(s.now).Text(mail.PrefixSuppression)}
	case mail.EventSuppressed:
		return 2, mail.Detail{Previous: "queued", Suppression: blocked, SuppressionID: blocked.Public}
	case mail.EventExpired:
		return 4, mail.Detail{Previous: "deferred", ExpiresAt: &s.now, Attempt: 2}
	case mail.EventFailed:
		return 3, mail.Detail{Previous: "accepted", Reason: "content_lost", Attempt: 1, Summary: "The message's bytes are gone."}
	case mail.EventCancelled:
		return 2, mail.Detail{Previous: "queued", Reason: "order withdrawn", By: "key_" + m.KeyID}
	case mail.EventUnsubscribed:
		return 5, mail.Detail{Previous: "delivered", Method: "one_click", SuppressionID: mail.NewID(s.now).Text(mail.PrefixSuppression)}
	case mail.EventClicked:
		return 6, mail.Detail{Previous: "delivered", Machine: &yes, UserAgent: "Mozilla/5.0", URL: "https://acme.test/start"}
	}
	return 5, mail.Detail{Previous: "delivered", Machine: &yes, UserAgent: "Mozilla/5.0"}
}

func (s *sampling) object() {
	before := s.now.Add(-24 * time.Hour)
	d := &s.entry.Detail
	d.By = "key_k7f2q9xm"
	switch kind := s.entry.Type; kind {
	case mail.EventSuppressionCreated, mail.EventSuppressionDeleted:
		d.Facts = AboutSuppression(&mail.Suppression{ID: mail.NewID(before), Owner: s.owner, Address: "ada@example.com", Reason: "hard_bounce", Kind: mail.KindHardBounce,
			Source: "system", Message: mail.NewID(before), Detail: "550 5.1.1 no such user", CreatedAt: before})
		if kind == mail.EventSuppressionCreated {
			d.By = ""
		}
	case mail.EventTemplatePublished:
		d.Version, d.Before = 7, 6
		d.Facts = AboutTemplate(mail.NewID(before), "welcome", "Welcome")
	case mail.EventKeyCreated, mail.EventKeyRotated, mail.EventKeyRevoked, mail.EventKeyExpiring:
		k := project.Key{ID: "m4t8w2pd", Env: s.owner.Env, Name: "api-prod", Prefix: "sk_" + s.owner.Env.String() + "_m4t8w2pd", Scopes: []string{"messages.send"},
			CreatedBy: d.By, CreatedAt: before, ExpiresAt: s.now.Add(14 * 24 * time.Hour)}
		if kind == mail.EventKeyRotated {
			end := s.now.Add(24 * time.Hour)
			d.Previous, d.ExpiresAt = "key_a1b2c3d4", &end
		}
		if kind == mail.EventKeyRevoked {
			k.RevokedAt = s.now
		}
		d.Facts = AboutKey(&k)
	case mail.EventWebhookFailing, mail.EventWebhookDisabled, mail.EventWebhookRecovered, mail.EventWebhookTest:
		s.webhook(before)
	default:
		s.domain(before)
	}
}

func (s *sampling) domain(before time.Time) {
	d := &s.entry.Detail
	x := project.Domain{ID: mail.NewID(before), Name: "acme.test", Status: project.DomainVerified,
		Checks: map[string]string{"dkim": "pass", "spf": "pass", "return_path": "pass", "dmarc": "warn"}}
	d.Previous = project.DomainPending
	switch s.entry.Type {
	case mail.EventDomainCreated:
		d.Previous, x.Status, x.Checks = "", project.DomainPending, nil
	case mail.EventDomainDegraded:
		d.Previous, x.Status, x.Checks["dkim"] = project.DomainVerified, project.DomainDegraded, "fail"
	case mail.EventDomainFailed:
		d.Previous, x.Status, x.Checks["dkim"] = project.DomainDegraded, project.DomainFailed, "fail"
	case mail.EventDomainDeleted:
		d.Previous = ""
	}
	d.Facts = AboutDomain(&x)
}

func (s *sampling) webhook(before time.Time) {
	id, reason := mail.NewID(before).Text("wh"), "failing"
	d := &s.entry.Detail
	h := WebhookFacts{ID: id, URL: "https://app.acme.test/hooks/mail", Status: "enabled"}
	switch s.entry.Type {
	case mail.EventWebhookDisabled:
		h.Status, h.DisabledReason = "disabled", &reason
		d.Summary = "It has not taken an event for 5 days. What it missed is kept and can be replayed."
	case mail.EventWebhookRecovered:
		d.Summary = "It takes events again."
	}
	d.Object, d.Facts = id, AboutWebhook(h)
}

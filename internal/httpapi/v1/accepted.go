package v1

import (
	"net/http"
	"strconv"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// teller writes what the caller of a send is told. It is made before the commit and
// used in it, so it holds nothing of the request's buffers.
type teller struct {
	requestID   string
	fingerprint [32]byte
	console     string // "https://HOST/p/acme/messages/"
	warnings    []mail.Warning
}

// answer is submit.Request.Answer: the 202, or the 200 of a dry run.
func (t *teller) answer(a *submit.Accepted) mail.Answer {
	if a.Preview != nil {
		return mail.Answer{Status: http.StatusOK, Body: appendPreview(nil, a), RequestID: t.requestID}
	}
	id := a.Message.ID.Text(mail.PrefixMessage)
	out := mail.Answer{Status: http.StatusAccepted, Location: "/v1/messages/" + id, RequestID: t.requestID, Fingerprint: t.fingerprint,
		Expires: expiryOf(a.Message.CreatedAt, a.Message.ScheduledAt)}
	out.Body = t.appendAccepted(make([]byte, 0, 640+192*len(a.Deliveries)), a, id)
	return out
}

func (t *teller) appendAccepted(b []byte, a *submit.Accepted, id string) []byte {
	m := a.Message
	b = append(b, `{"message_id":"`...)
	b = append(b, id...)
	b = append(b, `","status":"`...)
	b = append(b, overall(a.Deliveries).String()...)
	b = append(b, `","recipient":`...)
	b = httpapi.AppendString(b, firstTo(a.Deliveries))
	b = append(b, `,"created_at":`...)
	b = appendTime(b, m.CreatedAt)
	b = append(b, `,"object":"message","from":`...)
	b = httpapi.AppendString(b, shownAddress(m.From))
	b = append(b, `,"recipients":[`...)
	for i := range a.Deliveries {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRecipient(b, &a.Deliveries[i])
	}
	b = append(b, `],"scheduled_time":`...)
	b = appendTime(b, m.ScheduledAt)
	b = append(b, `,"expires_at":`...)
	b = appendTime(b, m.ExpiresAt)
	b = append(b, `,"priority":"`...)
	b = append(b, m.Tier.String()...)
	b = append(b, `","environment":"`...)
	b = append(b, m.Owner.Env.String()...)
	b = append(b, `","superseded":[`...)
	for i, old := range a.Superseded {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), old.Text(mail.PrefixMessage)...), '"')
	}
	b = append(b, `],"warnings":`...)
	b = appendWarnings(b, append(t.warnings[:len(t.warnings):len(t.warnings)], a.Warnings...))
	if !m.ResentFrom.IsZero() {
		b = append(b, `,"resent_from":"`...)
		b = append(append(b, m.ResentFrom.Text(mail.PrefixMessage)...), '"')
	}
	if s := suppressionOf(a.Deliveries); s != nil {
		b = append(b, `,"suppression":`...)
		b = appendSuppressedBy(b, s)
	}
	b = append(b, `,"links":{"self":"/v1/messages/`...)
	b = append(b, id...)
	b = append(b, `","events":"/v1/messages/`...)
	b = append(b, id...)
	b = append(b, `/events","console":`...)
	b = httpapi.AppendString(b, t.console+id)
	return append(b, "}}"...)
}

func appendRecipient(b []byte, d *mail.Delivery) []byte {
	b = append(b, `{"recipient_id":"`...)
	b = append(b, d.ID.Text(mail.PrefixRecipient)...)
	b = append(b, `","type":"`...)
	b = append(b, d.Type.String()...)
	b = append(b, `","email":`...)
	b = httpapi.AppendString(b, d.Address)
	b = append(b, `,"status":"`...)
	b = append(append(b, d.Status.String()...), '"')
	if d.Suppression != nil {
		b = append(b, `,"suppression":`...)
		b = appendSuppressedBy(b, d.Suppression)
	}
	return append(b, '}')
}

func appendSuppressedBy(b []byte, s *mail.SuppressedBy) []byte {
	public := s.Public
	if public == "" {
		public = s.ID.Text(mail.PrefixSuppression)
	}
	b = append(b, `{"reason":`...)
	b = httpapi.AppendString(b, s.Reason)
	b = append(b, `,"kind":`...)
	b = httpapi.AppendString(b, s.Kind)
	b = append(b, `,"since":`...)
	b = appendTime(b, s.Since)
	b = append(b, `,"suppression_id":`...)
	return append(httpapi.AppendString(b, public), '}')
}

func appendWarnings(b []byte, warnings []mail.Warning) []byte {
	b = append(b, '[')
	for i, w := range warnings {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"code":`...)
		b = httpapi.AppendString(b, w.Code)
		if w.Pointer != "" {
			b = append(b, `,"pointer":`...)
			b = httpapi.AppendString(b, w.Pointer)
		}
		b = append(b, `,"message":`...)
		b = append(httpapi.AppendString(b, w.Message), '}')
	}
	return append(b, ']')
}

// appendPreview tells what would have been sent; nothing was.
func appendPreview(b []byte, a *submit.Accepted) []byte {
	b = append(b, `{"object":"dry_run","valid":true,"preview":{"subject":`...)
	b = httpapi.AppendString(b, a.Preview.Subject)
	b = append(b, `,"html":`...)
	b = httpapi.AppendString(b, a.Preview.HTML)
	b = append(b, `,"text":`...)
	b = httpapi.AppendString(b, a.Preview.Text)
	b = append(b, `,"size_bytes":`...)
	b = strconv.AppendInt(b, a.Preview.Size, 10)
	b = append(b, `},"from":`...)
	from := ""
	if a.Message != nil {
		from = shownAddress(a.Message.From)
	}
	b = httpapi.AppendString(b, from)
	b = append(b, `,"recipients":[`...)
	for i := range a.Deliveries {
		if i > 0 {
			b = append(b, ',')
		}
		d := &a.Deliveries[i]
		b = append(b, `{"type":"`...)
		b = append(b, d.Type.String()...)
		b = append(b, `","email":`...)
		b = httpapi.AppendString(b, d.Address)
		b = append(b, `,"status":"`...)
		b = append(b, d.Status.String()...)
		b = append(b, `"}`...)
	}
	b = append(b, `],"warnings":`...)
	return append(appendWarnings(b, a.Warnings), '}')
}

// shownAddress is an address for people: names as they are, nothing encoded.
func shownAddress(a mail.Address) string {
	if a.Name == "" {
		return a.Email
	}
	return a.Name + " <" + a.Email + ">"
}

// overall is the message's own status.
func overall(deliveries []mail.Delivery) mail.Status {
	var room [8]mail.Status
	all := room[:0]
	for i := range deliveries {
		all = append(all, deliveries[i].Status)
	}
	return mail.Overall(all...)
}

// firstTo is the message's recipient where one is shown: the first To, else the first.
func firstTo(deliveries []mail.Delivery) string {
	for i := range deliveries {
		if deliveries[i].Type == mail.To {
			return deliveries[i].Address
		}
	}
	if len(deliveries) > 0 {
		return deliveries[0].Address
	}
	return ""
}

// suppressionOf is what stopped the whole message, nil unless all of it was stopped.
func suppressionOf(deliveries []mail.Delivery) *mail.SuppressedBy {
	if overall(deliveries) != mail.Suppressed {
		return nil
	}
	for i := range deliveries {
		if deliveries[i].Suppression != nil {
			return deliveries[i].Suppression
		}
	}
	return nil
}

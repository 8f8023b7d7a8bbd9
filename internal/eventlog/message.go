package eventlog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// aboutMessage is what every message.* event says: one recipient of one message.
type aboutMessage struct {
	MessageID      string            `json:"message_id" doc:"The message."`
	RFCID          *string           `json:"rfc_message_id" doc:"Its Message-ID header, with angle brackets."`
	Recipient      *string           `json:"recipient" doc:"The address; null where the endpoint redacts it."`
	RecipientID    *string           `json:"recipient_id" doc:"The recipient, and its delivery."`
	RecipientType  *string           `json:"recipient_type" doc:"to, cc or bcc."`
	Status         string            `json:"status" doc:"Of the delivery, as of this event."`
	Previous       *string           `json:"previous_status" doc:"Before this event; null at the first."`
	From           *string           `json:"from" doc:"The sender's address."`
	Subject        *string           `json:"subject" doc:"As sent; null where the endpoint redacts it."`
	Topic          *string           `json:"topic" doc:"What unsubscribes count for; of message.unsubscribed what is not wanted any more, null for all mail."`
	Tags           []string          `json:"tags" doc:"The sender's labels."`
	Metadata       map[string]string `json:"metadata" doc:"The sender's own facts; null where the endpoint redacts them."`
	Template       *templateVersion  `json:"template" doc:"What it was rendered from."`
	IdempotencyKey *string           `json:"idempotency_key" doc:"Of the request that sent it."`
	CreatedAt      *stamp            `json:"created_at" doc:"When it was accepted."`
	URL            string            `json:"url" doc:"Where the message is read; of message.clicked the link that was followed."`
	Truncated      *[]string         `json:"truncated,omitempty" doc:"Names of fields that were cut, because an event stays under 8 KB."`
}

type templateVersion struct {
	Alias   string `json:"alias"`
	Version int    `json:"version"`
}

// statuses is where a delivery stands after an event of this type. The others change
// nothing: it stands where it stood.
var statuses = map[mail.EventType]mail.Status{
	mail.EventQueued: mail.Queued, mail.EventScheduled: mail.Scheduled, mail.EventRescheduled: mail.Scheduled, mail.EventAccepted: mail.Accepted,
	mail.EventDelivered: mail.Delivered, mail.EventDeferred: mail.Deferred, mail.EventBounced: mail.Bounced, mail.EventComplained: mail.Complained,
	mail.EventSuppressed: mail.Suppressed, mail.EventExpired: mail.Expired, mail.EventFailed: mail.Failed, mail.EventCancelled: mail.Cancelled,
}

// message is the base.
func (w *writing) message() aboutMessage {
	e := w.e
	out := aboutMessage{MessageID: e.MessageID.Text(mail.PrefixMessage), Status: e.Detail.Previous, Previous: orNull(e.Detail.Previous), Tags: []string{}, Truncated: &w.truncated}
	if s, known := statuses[e.Type]; known && !(e.Type == mail.EventDeferred && e.Detail.Reason == mail.BounceReported) {
		out.Status = s.String()
	} else if out.Status == "" { // opens and clicks recorded before they said so
		out.Status = mail.Delivered.String()
	}
	if e.Message != nil {
		w.ofMessage(&out, e.Message)
	}
	out.URL = w.base + "/v1/messages/" + out.MessageID
	address := e.Recipient
	if d := e.Delivery; d != nil {
		out.RecipientID, out.RecipientType = orNull(d.ID.Text(mail.PrefixRecipient)), orNull(d.Type.String())
		if address == "" {
			address = d.Address
		}
	}
	if !w.redacted("recipient") {
		out.Recipient = orNull(address)
	}
	return out
}

func (w *writing) ofMessage(out *aboutMessage, m *mail.Message) {
	out.MessageID = m.ID.Text(mail.PrefixMessage)
	out.RFCID, out.From, out.Topic = orNull("<"+w.ours("rfc_message_id", m.RFCID)+">"), orNull(w.ours("from", m.From.Email)), orNull(w.ours("topic", m.Topic))
	out.IdempotencyKey, out.CreatedAt = orNull(w.ours("idempotency_key", m.IdempotencyKey)), stampOf(m.CreatedAt)
	if !w.redacted("subject") {
		subject := w.ours("subject", m.Subject)
		out.Subject = &subject
	}
	for _, tag := range m.Tags {
		out.Tags = append(out.Tags, w.ours("tags", tag))
	}
	if !w.redacted("metadata") {
		out.Metadata = w.metadataOf(m.Metadata)
	}
	if m.Template.Alias != "" || !m.Template.ID.IsZero() {
		out.Template = &templateVersion{w.ours("template", m.Template.Alias), m.Template.Version}
	}
}

// metadataOf keeps what has room, in the order of the names.
func (w *writing) metadataOf(all map[string]string) map[string]string {
	out, size := make(map[string]string, len(all)), 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		size += len(name) + len(all[name])
		if w.metadata > 0 && size > w.metadata {
			w.cuts("metadata")
			break
		}
		out[name] = all[name]
	}
	return out
}

type replyData struct {
	Code     int     `json:"code" doc:"Of SMTP; 0: the site said nothing."`
	Enhanced *string `json:"enhanced" doc:"RFC 3463, e.g. 5.1.1."`
	Text     string  `json:"text" doc:"What the site said, or what happened instead."`
}

func (w *writing) replyOf(r *mail.Reply) *replyData {
	if r == nil {
		return nil
	}
	return &replyData{r.Code, orNull(r.Enhanced), w.theirs("reply", r.Text)}
}

type tlsData struct {
	Version  string `json:"version"`
	Verified bool   `json:"verified" doc:"The certificate is good for the host's name."`
}

type (
	intakeData struct {
		Via      string  `json:"via" doc:"api, smtp, hyvor or console."`
		KeyID    *string `json:"api_key_id"`
		AcceptMS int64   `json:"accept_ms" doc:"From the request's arrival until it was on disk."`
	}
	queuedData struct {
		aboutMessage `json:",inline"`
		Intake       intakeData `json:"intake"`
	}
	scheduledData struct {
		aboutMessage  `json:",inline"`
		ScheduledTime *stamp `json:"scheduled_time" doc:"When message.queued will follow."`
	}
	laneData struct {
		QueueID string `json:"queue_id"`
		Site    string `json:"site" doc:"Whom the mail goes to: a group of exchangers."`
		Pool    string `json:"pool"`
	}
	acceptedData struct {
		aboutMessage `json:",inline"`
		Queue        laneData `json:"queue"`
	}
	deliveryData struct {
		Attempt    int        `json:"attempt"`
		Host       *string    `json:"mx_host"`
		Site       *string    `json:"site"`
		Source     *string    `json:"source" doc:"The address it was sent from."`
		TLS        *tlsData   `json:"tls" doc:"Null: in clear."`
		Reply      *replyData `json:"reply"`
		QueueMS    *int64     `json:"queue_ms" doc:"From queued until it was placed in a lane."`
		DeliveryMS *int64     `json:"delivery_ms" doc:"Of the attempt."`
	}
	deliveredData struct {
		aboutMessage `json:",inline"`
		Delivery     deliveryData `json:"delivery"`
	}
	deferredData struct {
		aboutMessage  `json:",inline"`
		Attempt       int        `json:"attempt"`
		Reply         *replyData `json:"reply"`
		Class         *string    `json:"class" doc:"What kind of trouble it is."`
		Reason        *string    `json:"reason" doc:"uncertain_after_data: the connection broke after the final dot, the site may have it. report: the site took it, and a report tells that it waits there; status stays, and we do not try again."`
		NextAttemptAt *stamp     `json:"next_attempt_at"`
		AttemptsLeft  *int       `json:"attempts_left"`
	}
	reportData struct {
		Action     string `json:"action"`
		Status     string `json:"status"`
		Diagnostic string `json:"diagnostic"`
	}
	bounceData struct {
		Type     string      `json:"type" doc:"hard, or soft: the attempts are used up, or a report tells of trouble that passes."`
		Reason   string      `json:"reason" doc:"rejected, retries_exhausted or report."`
		Class    *string     `json:"class"`
		Attempts int         `json:"attempts"`
		Reply    *replyData  `json:"reply"`
		Report   *reportData `json:"report" doc:"Of a bounce report that came later."`
	}
	bouncedData struct {
		aboutMessage  `json:",inline"`
		Bounce        bounceData `json:"bounce"`
		Suppressed    bool       `json:"suppressed" doc:"The address is on the suppression list now."`
		SuppressionID *string    `json:"suppression_id"`
		DeadLetterID  *string    `json:"dead_letter_id"`
	}
	complaintData struct {
		Site         *string `json:"site"`
		FeedbackType string  `json:"feedback_type"`
		ReceivedAt   stamp   `json:"received_at"`
	}
	complainedData struct {
		aboutMessage  `json:",inline"`
		Complaint     complaintData `json:"complaint"`
		SuppressionID *string       `json:"suppression_id"`
	}
	blockData struct {
		Reason        string  `json:"reason" doc:"As whoever caused it wrote it."`
		Kind          string  `json:"kind" doc:"complaint, hard_bounce, manual or unsubscribe."`
		Since         *stamp  `json:"since"`
		SuppressionID *string `json:"suppression_id"`
	}
	suppressedData struct {
		aboutMessage `json:",inline"`
		Suppression  blockData `json:"suppression"`
	}
	expiredData struct {
		aboutMessage `json:",inline"`
		ExpiresAt    *stamp `json:"expires_at"`
		Attempts     int    `json:"attempts"`
	}
	failureData struct {
		Reason   string  `json:"reason" doc:"domain_removed, content_lost or internal."`
		Attempts int     `json:"attempts"`
		Detail   *string `json:"detail"`
	}
	failedData struct {
		aboutMessage `json:",inline"`
		Failure      failureData `json:"failure"`
		DeadLetterID *string     `json:"dead_letter_id"`
	}
	actorData struct {
		Type string  `json:"type" doc:"api_key, session, superseded or system."`
		ID   *string `json:"id"`
	}
	cancelledData struct {
		aboutMessage `json:",inline"`
		By           actorData `json:"by"`
		Reason       *string   `json:"reason"`
		SupersededBy *string   `json:"superseded_by" doc:"The newer message."`
	}
	unsubscribedData struct {
		aboutMessage  `json:",inline"`
		Method        string  `json:"method" doc:"one_click, link, mailto, report or api."`
		SuppressionID *string `json:"suppression_id"`
	}
	visitData struct {
		aboutMessage `json:",inline"`
		Machine      bool    `json:"machine" doc:"A scanner or a proxy did it, no person."`
		UserAgent    *string `json:"user_agent"`
	}
)

// messageData makes the data of each type there is.
var messageData = map[mail.EventType]func(*writing) any{
	mail.EventQueued:       queued,
	mail.EventScheduled:    scheduled,
	mail.EventRescheduled:  scheduled,
	mail.EventAccepted:     accepted,
	mail.EventDelivered:    delivered,
	mail.EventDeferred:     deferred,
	mail.EventBounced:      bounced,
	mail.EventComplained:   complained,
	mail.EventSuppressed:   suppressed,
	mail.EventExpired:      expired,
	mail.EventFailed:       failed,
	mail.EventCancelled:    cancelled,
	mail.EventUnsubscribed: unsubscribed,
	mail.EventOpened:       visited,
	mail.EventClicked:      visited,
}

func queued(w *writing) any {
	d := &w.e.Detail
	in := intakeData{Via: d.Via, KeyID: orNull(d.KeyID)}
	if m := w.e.Message; m != nil {
		in.AcceptMS = m.AcceptTime.Milliseconds()
		if in.Via == "" { // it was scheduled before: then that event said so
			in.Via = m.Via
			if m.KeyID != "" {
				in.KeyID = orNull(mail.PrefixKey + "_" + m.KeyID)
			}
		}
	}
	if d.AcceptMS != nil {
		in.AcceptMS = *d.AcceptMS
	}
	return queuedData{w.message(), in}
}

func scheduled(w *writing) any {
	return scheduledData{w.message(), stampPtr(w.e.Detail.ScheduledTime)}
}

func accepted(w *writing) any {
	d := &w.e.Detail
	return acceptedData{w.message(), laneData{"q_" + d.Pool + "_" + d.Site, d.Site, d.Pool}}
}

func delivered(w *writing) any {
	d := &w.e.Detail
	out := deliveryData{Attempt: d.Attempt, Host: orNull(d.Host), Site: orNull(d.Site), Source: orNull(d.Source), Reply: w.replyOf(d.Reply),
		QueueMS: w.queueMS(), DeliveryMS: d.DeliveryMS}
	if d.TLS != nil {
		out.TLS = &tlsData{d.TLS.Version, d.TLS.Verified}
	}
	return deliveredData{w.message(), out}
}

// queueMS is the time from queued, or its scheduled time, into a lane.
func (w *writing) queueMS() *int64 {
	m, d := w.e.Message, w.e.Delivery
	if m == nil || d == nil || d.AcceptedAt.IsZero() {
		return nil
	}
	from := m.CreatedAt
	if m.ScheduledAt.After(from) {
		from = m.ScheduledAt
	}
	ms := max(d.AcceptedAt.Sub(from), 0) / time.Millisecond
	return (*int64)(&ms)
}

func deferred(w *writing) any {
	d := &w.e.Detail
	return deferredData{aboutMessage: w.message(), Attempt: d.Attempt, Reply: w.replyOf(d.Reply), Class: orNull(string(d.Class)), Reason: orNull(d.Reason),
		NextAttemptAt: stampPtr(d.NextAttemptAt), AttemptsLeft: d.AttemptsLeft}
}

func bounced(w *writing) any {
	d := &w.e.Detail
	out := bouncedData{aboutMessage: w.message(), SuppressionID: orNull(d.SuppressionID), Suppressed: d.SuppressionID != ""}
	if b := d.Bounce; b != nil {
		out.Bounce = bounceData{Report: w.reportOf(b.Report), Type: b.Type, Reason: b.Reason, Class: orNull(string(b.Class)), Attempts: b.Attempts, Reply: w.replyOf(b.Reply)}
	}
	return out
}

func (w *writing) reportOf(r *mail.BounceReport) *reportData {
	if r == nil {
		return nil
	}
	return &reportData{r.Action, r.Status, w.theirs("report", r.Diagnostic)}
}

func complained(w *writing) any {
	d := &w.e.Detail
	return complainedData{w.message(), complaintData{orNull(d.Site), d.FeedbackType, stamp(w.e.At)}, orNull(d.SuppressionID)}
}

func suppressed(w *writing) any {
	out := suppressedData{aboutMessage: w.message()}
	if s := w.e.Detail.Suppression; s != nil {
		out.Suppression = blockData{w.ours("suppression", s.Reason), s.Kind, stampOf(s.Since), orNull(s.Public)}
	}
	return out
}

func expired(w *writing) any {
	d := &w.e.Detail
	return expiredData{w.message(), stampPtr(d.ExpiresAt), d.Attempt}
}

func failed(w *writing) any {
	d := &w.e.Detail
	return failedData{aboutMessage: w.message(), Failure: failureData{d.Reason, d.Attempt, orNull(w.theirs("failure", d.Summary))}}
}

func cancelled(w *writing) any {
	d := &w.e.Detail
	return cancelledData{w.message(), actorOf(d.By), orNull(w.ours("reason", d.Reason)), orNull(d.SupersededBy)}
}

// actorOf tells what a By names.
func actorOf(by string) actorData {
	kind, _, _ := strings.Cut(by, "_")
	switch kind {
	case "":
		return actorData{"system", nil}
	case mail.PrefixKey:
		return actorData{"api_key", &by}
	case "superseded":
		return actorData{"superseded", nil}
	}
	return actorData{"session", &by}
}

func unsubscribed(w *writing) any {
	d := &w.e.Detail
	out := unsubscribedData{w.message(), d.Method, orNull(d.SuppressionID)}
	out.Topic = orNull(w.ours("topic", d.Topic)) // what is not wanted any more; null: all mail
	return out
}

func visited(w *writing) any {
	d := &w.e.Detail
	out := visitData{w.message(), d.Machine != nil && *d.Machine, orNull(w.theirs("user_agent", d.UserAgent))}
	if d.URL != "" {
		out.URL = w.theirs("url", d.URL) // of message.clicked: the link that was followed
	}
	return out
}

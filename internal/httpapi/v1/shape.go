package v1

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// marshalOptions write times as the contract wants them, wherever they stand. Texts
// that came in over SMTP or DNS are made UTF-8 before they are stored; should one slip
// through it is replaced, not refused.
var marshalOptions = json.JoinOptions(
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, t time.Time) error {
		return enc.WriteValue(appendTime(make([]byte, 0, 32), t))
	})),
	jsontext.AllowInvalidUTF8(true),
)

// give answers with anything as JSON.
func give(c *httpapi.Call, status int, v any) {
	body, err := json.Marshal(v, marshalOptions)
	if err != nil {
		c.Fail(err)
		return
	}
	c.JSON(status, body)
}

// encode is give for answers that are kept.
func encode(v any) []byte {
	body, err := json.Marshal(v, marshalOptions)
	if err != nil {
		return []byte(`{}`) // shapes of ours always marshal; a test holds it
	}
	return body
}

type addressOut struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

func addressesOut(in []mail.Address) []addressOut {
	out := make([]addressOut, len(in))
	for i, a := range in {
		out[i] = addressOut{a.Email, a.Name}
	}
	return out
}

type replyOut struct {
	Code     int       `json:"code"`
	Enhanced string    `json:"enhanced"`
	Text     string    `json:"text"`
	Host     string    `json:"mx_host"`
	At       time.Time `json:"at"`
}

type recipientOut struct {
	ID            string             `json:"recipient_id"`
	Type          string             `json:"type"`
	Email         string             `json:"email"`
	Name          string             `json:"name"`
	Status        string             `json:"status"`
	Site          *string            `json:"site"`
	Attempts      int                `json:"attempts"`
	NextAttemptAt time.Time          `json:"next_attempt_at"`
	DeliveredAt   time.Time          `json:"delivered_at"`
	CompletedAt   time.Time          `json:"completed_at"`
	LastReply     *replyOut          `json:"last_reply"`
	WaitsFor      *string            `json:"waits_for"`
	Bounce        *mail.Bounce       `json:"bounce"`
	Suppression   *mail.SuppressedBy `json:"suppression,omitempty"`
}

func recipientsOut(deliveries []mail.Delivery) []recipientOut {
	out := make([]recipientOut, len(deliveries))
	for i := range deliveries {
		out[i] = recipientOf(&deliveries[i])
	}
	return out
}

func recipientOf(d *mail.Delivery) recipientOut {
	r := recipientOut{ID: d.ID.Text(mail.PrefixRecipient), Type: d.Type.String(), Email: d.Address, Name: d.Name, Status: d.Status.String(),
		Site: orNull(d.Site), Attempts: d.Tries, DeliveredAt: d.DeliveredAt, CompletedAt: d.CompletedAt, Bounce: d.Bounce, Suppression: d.Suppression}
	if d.LastReply != nil {
		r.LastReply = &replyOut{d.LastReply.Code, d.LastReply.Enhanced, d.LastReply.Text, d.LastHost, d.LastReplyAt}
	}
	if !d.Status.Final() {
		if d.Wait != mail.NoWait {
			wait := d.Wait.String()
			r.WaitsFor = &wait
		}
		if d.Status == mail.Deferred || d.Status == mail.Scheduled {
			r.NextAttemptAt = d.Due
		}
	}
	if r.Suppression != nil && r.Suppression.Public == "" {
		s := *r.Suppression
		s.Public = s.ID.Text(mail.PrefixSuppression)
		r.Suppression = &s
	}
	return r
}

// orNull makes an empty text null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type templateOut struct {
	ID      string `json:"template_id,omitempty"`
	Alias   string `json:"alias"`
	Version int    `json:"version"`
}

func templateOf(t mail.TemplateRef) *templateOut {
	if t.Alias == "" && t.ID.IsZero() {
		return nil
	}
	return &templateOut{t.ID.Text(mail.PrefixTemplate), t.Alias, t.Version}
}

type attachmentOut struct {
	Index       int     `json:"index"`
	Filename    string  `json:"filename"`
	ContentType string  `json:"content_type"`
	ContentID   *string `json:"content_id"`
	Size        int64   `json:"size_bytes"`
	SHA256      string  `json:"sha256"`
	Hosted      bool    `json:"hosted"`
}

type latencyOut struct {
	Accept       int64  `json:"accept"`
	Queue        *int64 `json:"queue"`
	FirstAttempt *int64 `json:"first_attempt"`
	Total        *int64 `json:"total"`
}

type contentState struct {
	Available bool      `json:"available"`
	Until     time.Time `json:"until"`
}

// routingOut is the way the last attempt took; rules, policies and queues of the caller's own
// are for later, so they are null.
type routingOut struct {
	Route  *string `json:"route_id"`
	Pool   string  `json:"pool"`
	Source *string `json:"source"`
	Policy *string `json:"policy_id"`
	Queue  *string `json:"queue_id"`
}

// routingOf is null until something was tried. Captured mail has no source: it leaves by none.
func routingOf(r *archive.Record) *routingOut {
	out := routingOut{Pool: "main"}
	if r.Message.Owner.Env == mail.Test {
		out.Pool = "sandbox"
	}
	tried := false
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.LastReply != nil || d.LastSource != "" {
			tried = true
			if out.Source == nil {
				out.Source = orNull(d.LastSource)
			}
		}
	}
	if !tried {
		return nil
	}
	return &out
}

// messageOut is §3.5.
type messageOut struct {
	ID             string            `json:"message_id"`
	Object         string            `json:"object"`
	Status         string            `json:"status"`
	Recipient      string            `json:"recipient"`
	Recipients     []recipientOut    `json:"recipients"`
	From           addressOut        `json:"from"`
	ReplyTo        []addressOut      `json:"reply_to"`
	Subject        string            `json:"subject"`
	Template       *templateOut      `json:"template"`
	Priority       string            `json:"priority"`
	Topic          *string           `json:"topic"`
	Tags           []string          `json:"tags"`
	Metadata       map[string]string `json:"metadata"`
	Headers        map[string]string `json:"headers"`
	RFCID          string            `json:"rfc_message_id"`
	Attachments    []attachmentOut   `json:"attachments"`
	Size           int64             `json:"size_bytes"`
	Environment    string            `json:"environment"`
	KeyID          *string           `json:"api_key_id"`
	Via            string            `json:"via"`
	IdempotencyKey *string           `json:"idempotency_key"`
	Supersedes     *string           `json:"supersedes"`
	SupersededBy   *string           `json:"superseded_by"`
	Batch          *string           `json:"batch_id"`
	ResentFrom     *string           `json:"resent_from"`
	CreatedAt      time.Time         `json:"created_at"`
	QueuedAt       time.Time         `json:"queued_at"`
	AcceptedAt     time.Time         `json:"accepted_at"`
	FirstAttemptAt time.Time         `json:"first_attempt_at"`
	CompletedAt    time.Time         `json:"completed_at"`
	ScheduledTime  time.Time         `json:"scheduled_time"`
	ExpiresAt      time.Time         `json:"expires_at"`
	Latency        latencyOut        `json:"latency_ms"`
	Attempts       int               `json:"attempts"`
	Routing        *routingOut       `json:"routing"`
	Content        contentState      `json:"content"`
	Actions        archive.Actions   `json:"actions"`
	Erased         bool              `json:"erased,omitzero"`
}

func messageOf(r *archive.Record) messageOut {
	m, t := &r.Message, r.Times()
	out := messageOut{
		ID: m.ID.Text(mail.PrefixMessage), Object: "message", Status: r.Overall().String(), Recipient: r.Recipient(),
		Recipients: recipientsOut(r.Deliveries), From: addressOut{m.From.Email, m.From.Name}, ReplyTo: addressesOut(m.ReplyTo), Subject: m.Subject,
		Template: templateOf(m.Template), Priority: m.Tier.String(), Topic: orNull(m.Topic), Tags: m.Tags, Metadata: m.Metadata,
		Headers: headersOut(m.Headers), RFCID: "<" + m.RFCID + ">", Attachments: attachmentsOut(m.Attachments), Size: m.Size,
		Environment: m.Owner.Env.String(), Via: m.Via, IdempotencyKey: orNull(m.IdempotencyKey), Supersedes: orNull(m.Supersedes),
		SupersededBy: orNull(m.SupersededBy.Text(mail.PrefixMessage)), Batch: orNull(m.Batch.Text(mail.PrefixBatch)),
		ResentFrom: orNull(m.ResentFrom.Text(mail.PrefixMessage)), CreatedAt: m.CreatedAt, QueuedAt: t.Queued, AcceptedAt: t.Accepted,
		FirstAttemptAt: t.FirstAttempt, CompletedAt: t.Completed, ScheduledTime: m.ScheduledAt, ExpiresAt: m.ExpiresAt,
		Latency: latencyOf(t), Attempts: r.Attempts, Routing: routingOf(r), Content: contentState{r.HasContent, r.ContentUntil}, Actions: r.Actions(),
		Erased: m.Erased,
	}
	if m.KeyID != "" {
		out.KeyID = orNull(mail.PrefixKey + "_" + m.KeyID)
	}
	return out
}

func latencyOf(t archive.Times) latencyOut {
	out := latencyOut{Accept: t.Accept.Milliseconds()}
	if !t.Accepted.IsZero() {
		ms := t.Queue.Milliseconds()
		out.Queue = &ms
	}
	if !t.FirstAttempt.IsZero() {
		ms := t.ToFirstAttempt.Milliseconds()
		out.FirstAttempt = &ms
	}
	if !t.Completed.IsZero() {
		ms := t.Total.Milliseconds()
		out.Total = &ms
	}
	return out
}

// headersOut: a name that stands there twice shows its values line by line.
func headersOut(in []mail.Header) map[string]string {
	out := make(map[string]string, len(in))
	for _, h := range in {
		if before, twice := out[h.Name]; twice {
			out[h.Name] = before + "\n" + h.Value
			continue
		}
		out[h.Name] = h.Value
	}
	return out
}

func attachmentsOut(in []mail.Attachment) []attachmentOut {
	out := make([]attachmentOut, len(in))
	for i, a := range in {
		out[i] = attachmentOut{Index: i, Filename: a.Filename, ContentType: a.ContentType, ContentID: orNull(a.ContentID), Size: a.Size, SHA256: hexOf(a.SHA256), Hosted: !a.Hosted.IsZero()}
	}
	return out
}

package postroad

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Messages sends mail and tells what became of it.
type Messages struct{ c *Client }

// MaxBody is the largest request the server takes, in bytes.
const MaxBody = 50 << 20

// Send hands one message over. Success says that it is on the server's disk and will be
// worked on, not that it was delivered.
func (m *Messages) Send(ctx context.Context, message Message, options ...CallOption) (*Accepted, error) {
	r, err := sendRequest(&message, options)
	if err != nil {
		return nil, err
	}
	return into[Accepted](m.c.do(ctx, r))
}

// DryRun validates and renders a message as Send would, and sends nothing.
func (m *Messages) DryRun(ctx context.Context, message Message, options ...CallOption) (*DryRun, error) {
	r, err := sendRequest(&message, options)
	if err != nil {
		return nil, err
	}
	r.query = url.Values{"dry_run": {"true"}}
	return into[DryRun](m.c.do(ctx, r))
}

func sendRequest(message *Message, options []CallOption) (request, error) {
	options = keyed(options, message.IdempotencyKey)
	plain := *message
	plain.IdempotencyKey = ""
	total := sizeOf(plain.Attachments)
	if total > MaxBody {
		return request{}, tooLarge(total)
	}
	var r request
	var err error
	if total > formOver {
		r, err = formRequest(plain)
	} else {
		r, err = requestOf(http.MethodPost, at("messages"), plain, nil)
	}
	if err == nil && len(r.body) > MaxBody {
		err = tooLarge(len(r.body))
	}
	r.options, r.ownKey = options, carriesKey(message.Headers)
	return r, err
}

// sizeOf is how many bytes files have together.
func sizeOf(files []Attachment) (total int) {
	for i := range files {
		total += len(files[i].Content)
	}
	return total
}

// keyed makes the key a message carries the call's, unless an option names one.
func keyed(options []CallOption, key string) []CallOption {
	if key == "" {
		return options
	}
	return append([]CallOption{IdempotencyKey(key)}, options...)
}

// carriesKey: an idempotency key among the mail's headers is one too, and a second that
// differs would be a fault.
func carriesKey(headers map[string]string) bool {
	for name := range headers {
		if strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key") {
			return true
		}
	}
	return false
}

func tooLarge(have int) *Error {
	e := invalid("payload_too_large", "attachments", "the message has "+strconv.Itoa(have)+" bytes, and a request at most "+strconv.Itoa(MaxBody)+": link to large files instead")
	e.Status = http.StatusRequestEntityTooLarge
	return e
}

// Batch is up to 1,000 messages in one request.
type Batch struct {
	Mode     string    `json:"mode,omitempty"` // "partial" (default): each for itself; "atomic": all or none
	Defaults *Message  `json:"defaults,omitempty"`
	Messages []Message `json:"messages"`
}

// BatchAccepted tells of each message of a batch, in order.
type BatchAccepted struct {
	Response
	Object   string       `json:"object"`
	BatchID  string       `json:"batch_id"`
	Summary  BatchSummary `json:"summary"`
	Data     []BatchItem  `json:"data"`
	Warnings []Warning    `json:"warnings"`
}

// BatchSummary counts.
type BatchSummary struct {
	Total      int `json:"total"`
	Queued     int `json:"queued"`
	Suppressed int `json:"suppressed"`
	Rejected   int `json:"rejected"`
	Replayed   int `json:"replayed"`
}

// BatchItem is one message's answer: Error is nil when it was accepted.
type BatchItem struct {
	Index       int          `json:"index"`
	MessageID   string       `json:"message_id"`
	Status      string       `json:"status"`
	Recipient   string       `json:"recipient"`
	Replayed    bool         `json:"replayed"`
	Suppression *Suppressing `json:"suppression"`
	Error       *ItemError   `json:"error"`
	Warnings    []Warning    `json:"warnings"`
}

// ItemError is why one item of many was refused.
type ItemError struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Errors  []FieldError `json:"errors"`
}

// SendBatch hands many messages over. In mode "partial" refused ones stand in Data and are
// no error of the call.
func (m *Messages) SendBatch(ctx context.Context, batch Batch, options ...CallOption) (*BatchAccepted, error) {
	files := 0
	for i := range batch.Messages {
		files += sizeOf(batch.Messages[i].Attachments)
	}
	if files > MaxBody {
		return nil, tooLarge(files)
	}
	r, err := requestOf(http.MethodPost, at("messages", "batch"), batch, options)
	if err != nil {
		return nil, err
	}
	if len(r.body) > MaxBody {
		return nil, tooLarge(len(r.body))
	}
	return into[BatchAccepted](m.c.do(ctx, r))
}

// RawMessage is a message that is written already (RFC 5322). Envelope fields left empty
// are read from its headers.
type RawMessage struct {
	From       string
	Recipients []string
	Content    []byte
}

// SendRaw hands over a message as it is.
func (m *Messages) SendRaw(ctx context.Context, raw RawMessage, options ...CallOption) (*Accepted, error) {
	if len(raw.Content) > MaxBody {
		return nil, tooLarge(len(raw.Content))
	}
	query := url.Values{}
	if raw.From != "" {
		query.Set("from", raw.From)
	}
	if len(raw.Recipients) > 0 {
		query["recipient"] = raw.Recipients
	}
	return into[Accepted](m.c.do(ctx, request{method: http.MethodPost, path: "/v1/messages/raw", query: query, body: raw.Content,
		contentType: "message/rfc822", options: options, ownKey: rawKey(raw.Content)}))
}

// rawKey tells whether a raw message's headers carry an idempotency key.
func rawKey(content []byte) bool {
	for line := range bytes.Lines(content) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return false
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		if carriesKey(map[string]string{string(bytes.TrimSpace(name)): ""}) {
			return true
		}
	}
	return false
}

// MessageFilter selects messages; zero fields select all.
type MessageFilter struct {
	Paging
	Status         []string          `query:"status"`    // matches if any recipient has one of them
	Recipient      string            `query:"recipient"` // exact, "ada*" or "*@example.com"
	CreatedAfter   time.Time         `query:"created_after"`
	CreatedBefore  time.Time         `query:"created_before"`
	From           string            `query:"from"`
	Subject        string            `query:"subject"`
	Tag            string            `query:"tag"`
	Topic          string            `query:"topic"`
	Template       string            `query:"template"`
	Priority       string            `query:"priority"`
	Domain         string            `query:"domain"` // the recipient's
	Site           string            `query:"site"`
	APIKeyID       string            `query:"api_key_id"`
	BatchID        string            `query:"batch_id"`
	RFCMessageID   string            `query:"rfc_message_id"`
	IdempotencyKey string            `query:"idempotency_key"`
	Supersedes     string            `query:"supersedes"`
	SMTPCode       int               `query:"smtp_code"`
	Class          string            `query:"class"`
	Metadata       map[string]string `query:"metadata"`
	Include        []string          `query:"include"` // "recipients"
}

// List lists messages, newest first.
func (m *Messages) List(filter MessageFilter) *List[MessageSummary] {
	return listOf[MessageSummary](m.c, filter, "messages")
}

// Get gives one message by its id, or by the RFC Message-ID in angle brackets.
func (m *Messages) Get(ctx context.Context, id string, options ...CallOption) (*MessageRecord, error) {
	return call[MessageRecord](ctx, m.c, http.MethodGet, at("messages", id), nil, options)
}

// Events is the message's timeline, oldest first.
func (m *Messages) Events(ctx context.Context, id string) ([]*TimelineEvent, error) {
	return whole[TimelineEvent](ctx, m.c, "messages", id, "events")
}

// Attempts are its SMTP conversations.
func (m *Messages) Attempts(ctx context.Context, id string) ([]*DeliveryAttempt, error) {
	return whole[DeliveryAttempt](ctx, m.c, "messages", id, "attempts")
}

// Content is the message taken apart. Once the bytes are no longer kept it is
// [ErrNotFound] with code content_expired.
func (m *Messages) Content(ctx context.Context, id string) (*MessageContent, error) {
	return call[MessageContent](ctx, m.c, http.MethodGet, at("messages", id, "content"), nil, nil)
}

// Raw is the message as it is stored.
func (m *Messages) Raw(ctx context.Context, id string) (*Download, error) {
	return download(ctx, m.c, "message/rfc822, application/problem+json", nil, "messages", id, "raw")
}

// Preview is its HTML, else its text, as a page in which nothing runs and nothing is fetched from elsewhere.
func (m *Messages) Preview(ctx context.Context, id string) (*Download, error) {
	return download(ctx, m.c, "text/html, application/problem+json", nil, "messages", id, "preview")
}

// Attachment is one of its files, counted from 0.
func (m *Messages) Attachment(ctx context.Context, id string, n int) (*Download, error) {
	return download(ctx, m.c, "*/*", nil, "messages", id, "attachments", strconv.Itoa(n))
}

// Delete takes a message back as long as no attempt began; afterwards it is [ErrNotFound]
// with code message_not_cancellable.
func (m *Messages) Delete(ctx context.Context, id string, options ...CallOption) (*MessageRecord, error) {
	return call[MessageRecord](ctx, m.c, http.MethodDelete, at("messages", id), nil, options)
}

// Cancel stops what can still be stopped, per recipient; [ErrConflict] when that is nothing.
func (m *Messages) Cancel(ctx context.Context, id, reason string, options ...CallOption) (*MessageRecord, error) {
	body := map[string]string{}
	if reason != "" {
		body["reason"] = reason
	}
	return call[MessageRecord](ctx, m.c, http.MethodPost, at("messages", id, "cancel"), body, options)
}

// MessageChange changes a message that is still scheduled.
type MessageChange struct {
	ScheduledTime Optional[time.Time]         `json:"scheduled_time,omitzero"`
	Tags          Optional[[]string]          `json:"tags,omitzero"`
	Metadata      Optional[map[string]string] `json:"metadata,omitzero"`
}

// Update changes a scheduled message; [ErrConflict] when it is no longer scheduled.
func (m *Messages) Update(ctx context.Context, id string, change MessageChange, options ...CallOption) (*MessageRecord, error) {
	return call[MessageRecord](ctx, m.c, http.MethodPatch, at("messages", id), change, options)
}

// Reschedule is Update of the time alone.
func (m *Messages) Reschedule(ctx context.Context, id string, to time.Time, options ...CallOption) (*MessageRecord, error) {
	return m.Update(ctx, id, MessageChange{ScheduledTime: Set(to)}, options...)
}

// SendNow sends what is scheduled, and tries again at once what is deferred.
func (m *Messages) SendNow(ctx context.Context, id string, options ...CallOption) (*MessageRecord, error) {
	return call[MessageRecord](ctx, m.c, http.MethodPost, at("messages", id, "send-now"), struct{}{}, options)
}

// Resend says to whom a message goes again: to all it had when nothing is said.
type Resend struct {
	Recipients []string `json:"recipients,omitempty"` // recipient ids of the message; or
	To         string   `json:"to,omitempty"`         // another address
}

// Resend sends a message's content again, as a new message.
func (m *Messages) Resend(ctx context.Context, id string, to Resend, options ...CallOption) (*Accepted, error) {
	return call[Accepted](ctx, m.c, http.MethodPost, at("messages", id, "resend"), to, options)
}

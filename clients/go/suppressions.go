package postroad

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Suppressions keeps the addresses that must not be written to. One is named by its id or
// address.
type Suppressions struct{ c *Client }

// Unsubscribes are the voluntary ones among them.
type Unsubscribes struct{ c *Client }

// Suppression is an address that is not written to, and why.
type Suppression struct {
	Response
	SuppressionID string             `json:"suppression_id"`
	Object        string             `json:"object"`
	Recipient     string             `json:"recipient"`
	Reason        string             `json:"reason"` // as it was written
	Kind          string             `json:"kind"`   // what it means: "complaint", "hard_bounce", "manual", "unsubscribe"
	Topic         string             `json:"topic"`  // "": all mail
	Source        string             `json:"source"`
	MessageID     string             `json:"message_id"`
	Detail        string             `json:"detail"`
	Note          string             `json:"note"`
	CreatedAt     time.Time          `json:"created_at"`
	ExpiresAt     time.Time          `json:"expires_at"`
	BlockedCount  int64              `json:"blocked_count"`
	LastBlockedAt time.Time          `json:"last_blocked_at"`
	Created       *bool              `json:"created"` // of an addition: false when it was there already
	History       []SuppressionEvent `json:"history"` // of Get
	Warnings      []Warning          `json:"warnings"`
}

// SuppressionEvent is a line of an address' history.
type SuppressionEvent struct {
	At        time.Time `json:"at"`
	Event     string    `json:"event"`
	By        string    `json:"by"`
	Count     int64     `json:"count"`
	Reason    string    `json:"reason"`
	Topic     string    `json:"topic"`
	MessageID string    `json:"message_id"`
}

// NewSuppression enters an address.
type NewSuppression struct {
	Recipient string    `json:"recipient"`
	Reason    string    `json:"reason,omitempty"` // "": "manual"
	Topic     string    `json:"topic,omitempty"`
	Note      string    `json:"note,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// SuppressionFilter selects suppressions.
type SuppressionFilter struct {
	Paging
	Recipient    string    `query:"recipient"`
	Reason       string    `query:"reason"` // or kind
	Topic        string    `query:"topic"`
	Source       string    `query:"source"`
	CreatedAfter time.Time `query:"created_after"`
	Text         string    `query:"q"`
}

// Add enters an address. It is no error when it is there already: Created tells.
func (s *Suppressions) Add(ctx context.Context, n NewSuppression, options ...CallOption) (*Suppression, error) {
	return call[Suppression](ctx, s.c, http.MethodPost, at("suppressions"), n, options)
}

// List lists them.
func (s *Suppressions) List(filter SuppressionFilter) *List[Suppression] {
	return listOf[Suppression](s.c, filter, "suppressions")
}

// Get gives one with its history.
func (s *Suppressions) Get(ctx context.Context, suppression string) (*Suppression, error) {
	return call[Suppression](ctx, s.c, http.MethodGet, at("suppressions", suppression), nil, nil)
}

// Removal says which entry is meant where an address has several.
type Removal struct {
	Reason string  // or kind
	Topic  *string // "" is all mail
}

func (r Removal) options(more []CallOption) []CallOption {
	options := append([]CallOption(nil), more...)
	if r.Reason != "" {
		options = append(options, param("reason", r.Reason))
	}
	if r.Topic != nil {
		options = append(options, param("topic", *r.Topic))
	}
	return options
}

// Remove takes one away and gives it. A complaint needs [Force]. [ErrConflict] when the
// address has several entries and r does not say which.
func (s *Suppressions) Remove(ctx context.Context, suppression string, r Removal, options ...CallOption) (*Suppression, error) {
	return call[Suppression](ctx, s.c, http.MethodDelete, at("suppressions", suppression), nil, r.options(options))
}

// SuppressionCheck tells of one address whether it may be written to.
type SuppressionCheck struct {
	Recipient     string `json:"recipient"`
	Suppressed    bool   `json:"suppressed"`
	Reason        string `json:"reason"`
	Kind          string `json:"kind"`
	SuppressionID string `json:"suppression_id"`
	Bypassable    bool   `json:"bypassable"`
}

// Check tells of up to 1,000 addresses whether mail of a topic ("" = any) would be stopped.
func (s *Suppressions) Check(ctx context.Context, recipients []string, topic string, options ...CallOption) ([]SuppressionCheck, error) {
	body := map[string]any{"recipients": recipients}
	if topic != "" {
		body["topic"] = topic
	}
	out, err := call[struct {
		Data []SuppressionCheck `json:"data"`
	}](ctx, s.c, http.MethodPost, at("suppressions", "check"), body, options)
	if err != nil {
		return nil, err
	}
	return out.Data, nil
}

// SuppressionBatch adds and removes up to 1,000 addresses.
type SuppressionBatch struct {
	Add    []NewSuppression     `json:"add,omitempty"`
	Remove []SuppressionRemoval `json:"remove,omitempty"`
}

// SuppressionRemoval names an entry of a batch.
type SuppressionRemoval struct {
	Recipient     string `json:"recipient,omitempty"`
	SuppressionID string `json:"suppression_id,omitempty"`
	Reason        string `json:"reason,omitempty"`
	Topic         string `json:"topic,omitempty"`
	Force         bool   `json:"force,omitempty"`
}

// SuppressionBatchResult tells of each entry.
type SuppressionBatchResult struct {
	Response
	Object  string `json:"object"`
	Summary struct {
		Total   int `json:"total"`
		Created int `json:"created"`
		Removed int `json:"removed"`
		Failed  int `json:"failed"`
	} `json:"summary"`
	Data     []SuppressionLine `json:"data"`
	Warnings []Warning         `json:"warnings"`
}

// SuppressionLine is what became of one entry of a batch.
type SuppressionLine struct {
	Op          string       `json:"op"` // "add", "remove"
	Index       int          `json:"index"`
	Recipient   string       `json:"recipient"`
	Suppression *Suppression `json:"suppression"`
	Error       *ItemError   `json:"error"`
}

// Batch adds and removes; what is refused stands in Data and is no error of the call.
func (s *Suppressions) Batch(ctx context.Context, b SuppressionBatch, options ...CallOption) (*SuppressionBatchResult, error) {
	return call[SuppressionBatchResult](ctx, s.c, http.MethodPost, at("suppressions", "batch"), b, options)
}

// Import is a list another system exported.
type Import struct {
	CSV    []byte // UTF-8, with a line of names
	Preset string // "sendgrid", "mailgun", "postmark", "ses", "resend", "hyvor"; "": our own columns
	Reason string // of entries that say none
	Topic  string
}

// Import reads a list in the background; [Jobs.Wait] waits for its end.
func (s *Suppressions) Import(ctx context.Context, i Import, options ...CallOption) (*Job, error) {
	query := url.Values{}
	for name, value := range map[string]string{"preset": i.Preset, "reason": i.Reason, "topic": i.Topic} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return into[Job](s.c.do(ctx, request{method: http.MethodPost, path: "/v1/suppressions/import", query: query, body: append([]byte{}, i.CSV...),
		contentType: "text/csv; charset=utf-8", options: options}))
}

// Export is the list as "csv" or "ndjson".
func (s *Suppressions) Export(ctx context.Context, format string, filter SuppressionFilter) (*Download, error) {
	return download(ctx, s.c, "*/*", struct {
		SuppressionFilter
		Format string `query:"format"`
	}{filter, format}, "suppressions", "export")
}

// NewUnsubscribe enters somebody who wants no more mail.
type NewUnsubscribe struct {
	Recipient string `json:"recipient"`
	Topic     string `json:"topic,omitempty"` // "": all mail
	MessageID string `json:"message_id,omitempty"`
	Note      string `json:"note,omitempty"`
}

// UnsubscribeFilter selects unsubscribes.
type UnsubscribeFilter struct {
	Paging
	Recipient string `query:"recipient"`
	Topic     string `query:"topic"`
}

// Add enters one.
func (u *Unsubscribes) Add(ctx context.Context, n NewUnsubscribe, options ...CallOption) (*Suppression, error) {
	return call[Suppression](ctx, u.c, http.MethodPost, at("unsubscribes"), n, options)
}

// List lists them.
func (u *Unsubscribes) List(filter UnsubscribeFilter) *List[Suppression] {
	return listOf[Suppression](u.c, filter, "unsubscribes")
}

// Remove subscribes again: an id or address, and the topic where there are several (nil:
// whichever there is).
func (u *Unsubscribes) Remove(ctx context.Context, suppression string, topic *string, options ...CallOption) (*Suppression, error) {
	return call[Suppression](ctx, u.c, http.MethodDelete, at("unsubscribes", suppression), nil, Removal{Topic: topic}.options(options))
}

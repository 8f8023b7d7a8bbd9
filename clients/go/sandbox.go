package postroad

import (
	"context"
	"net/http"
	"time"
)

// Sandbox is the inbox of the test environment.
type Sandbox struct{ c *Client }

// SandboxMessage is a captured message with what is in it.
type SandboxMessage struct {
	MessageRecord
	Content   *MessageContent `json:"content"` // nil: no longer kept
	Extracted Extracted       `json:"extracted"`
}

// Extracted is what tests look for in a mail.
type Extracted struct {
	Codes []string `json:"codes"`
	Links []string `json:"links"`
}

// SandboxFilter selects captured messages.
type SandboxFilter struct {
	Paging
	Recipient     string    `query:"recipient"`
	Subject       string    `query:"subject"`
	Status        []string  `query:"status"`
	CreatedAfter  time.Time `query:"created_after"`
	CreatedBefore time.Time `query:"created_before"`
}

// List lists what was captured.
func (s *Sandbox) List(filter SandboxFilter) *List[MessageSummary] {
	return listOf[MessageSummary](s.c, filter, "sandbox", "messages")
}

// Get gives one with its content.
func (s *Sandbox) Get(ctx context.Context, id string) (*SandboxMessage, error) {
	return call[SandboxMessage](ctx, s.c, http.MethodGet, at("sandbox", "messages", id), nil, nil)
}

// SandboxChecks is what would go wrong with a captured message if it were live.
type SandboxChecks struct {
	Response
	Object    string         `json:"object"`
	MessageID string         `json:"message_id"`
	Status    string         `json:"status"` // the worst of them
	Checks    []SandboxCheck `json:"checks"`
}

// SandboxCheck is one thing that was looked at.
type SandboxCheck struct {
	ID       string            `json:"id"`     // "html_support", "links", "list_unsubscribe", "authentication", "size"
	Status   string            `json:"status"` // "pass", "warn", "fail"
	Summary  string            `json:"summary"`
	Fix      string            `json:"fix"`
	Problems []TemplateProblem `json:"problems"`
}

// Checks looks at a captured message.
func (s *Sandbox) Checks(ctx context.Context, id string) (*SandboxChecks, error) {
	return call[SandboxChecks](ctx, s.c, http.MethodGet, at("sandbox", "messages", id, "checks"), nil, nil)
}

// Release really sends a captured message to one address, as a new live message. The
// client's key must be a live one with messages.send and messages.content.
func (s *Sandbox) Release(ctx context.Context, id, to string, options ...CallOption) (*Accepted, error) {
	return call[Accepted](ctx, s.c, http.MethodPost, at("sandbox", "messages", id, "release"), map[string]string{"to": to}, options)
}

// SandboxBehaviour is how the sandbox treats the project's test mail. What is zero is the
// default: all is delivered, at once.
type SandboxBehaviour struct {
	Response  `json:"-"`
	Default   string           `json:"default,omitempty"` // "deliver", "bounce", "defer"
	LatencyMS int              `json:"latency_ms,omitempty"`
	TimeScale float64          `json:"time_scale,omitempty"` // waits are this much of themselves, 0.0001–1
	Chaos     map[string]Chaos `json:"chaos,omitempty"`      // by stage: "connect", "mail", "rcpt", "data"
}

// Chaos is refusals by chance.
type Chaos struct {
	Code        int     `json:"code"`        // 400–499 defers, 500–599 bounces
	Probability float64 `json:"probability"` // percent
}

// Behaviour tells how the sandbox behaves.
func (s *Sandbox) Behaviour(ctx context.Context) (*SandboxBehaviour, error) {
	return call[SandboxBehaviour](ctx, s.c, http.MethodGet, at("sandbox", "behaviour"), nil, nil)
}

// SetBehaviour replaces it whole.
func (s *Sandbox) SetBehaviour(ctx context.Context, b SandboxBehaviour, options ...CallOption) (*SandboxBehaviour, error) {
	return call[SandboxBehaviour](ctx, s.c, http.MethodPut, at("sandbox", "behaviour"), b, options)
}

// SandboxCleared tells how much went.
type SandboxCleared struct {
	Response
	Object  string `json:"object"`
	Deleted int    `json:"deleted"` // messages
}

// Clear removes all that was captured and has come to its end.
func (s *Sandbox) Clear(ctx context.Context, options ...CallOption) (*SandboxCleared, error) {
	return call[SandboxCleared](ctx, s.c, http.MethodDelete, at("sandbox", "messages"), nil, options)
}

// Expected is a message a test waits for.
type Expected struct {
	Recipient string        `query:"recipient"`
	Subject   string        `query:"subject"` // part of it
	After     time.Time     `query:"after"`   // zero: also what came in the last minute
	Timeout   time.Duration `query:"timeout"` // zero: 30 s; at most 60 s
}

// WaitFor waits until a message that fits was captured. When none comes in time it is
// [ErrNotFound].
func (s *Sandbox) WaitFor(ctx context.Context, e Expected) (*SandboxMessage, error) {
	r, err := requestOf(http.MethodGet, at("sandbox", "messages", "wait"), nil, nil)
	if err != nil {
		return nil, err
	}
	if r.query, err = queryOf(e); err != nil {
		return nil, err
	}
	if r.wait = e.Timeout; r.wait == 0 {
		r.wait = 30 * time.Second
	}
	return into[SandboxMessage](s.c.do(ctx, r))
}

package webhook

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Poster signs a request and posts it, through the guard that keeps it out of networks it
// has no business in. What goes wrong is told in the [Try]; it never fails otherwise.
// It is called from many goroutines.
type Poster interface {
	Post(ctx context.Context, r Request) Try
}

// Request is one try at one hook.
type Request struct {
	Endpoint *Endpoint // as it is now; not to be changed: others read it
	// Secrets sign it, as they are shown to their owner: the present one first, then the
	// one before while it is still good.
	Secrets []string
	ID      string // webhook-id: the event's, "evt_…"
	Type    mail.EventType
	Body    []byte
	Attempt int       // from 1; X-Postroad-Attempt
	At      time.Time // webhook-timestamp
}

// Try is what came of a request.
type Try struct {
	At              time.Time
	Duration        time.Duration
	RequestHeaders  []mail.Header // as sent
	Status          int           // of the answer; 0: there was none
	ResponseHeaders []mail.Header // secrets taken out
	// Response is at most [MaxResponse] bytes of the answer's body, in valid UTF-8.
	Response string
	// Error says in words why there was no answer: "10.20.1.4 is private. An operator can
	// allow it with …", "no answer within 15 s". Safe to show.
	Error string
	// Refused: the guard or the URL forbade it, so nothing was sent.
	Refused    bool
	RetryAfter time.Duration // of the answer's Retry-After, at most 24 h; 0: none
	Abort      bool          // webhook-delivery: abort-message
}

// MaxResponse bounds what is kept of an answer's body.
const MaxResponse = 16 << 10

// Delivered tells whether the endpoint took the event: any 2xx. A redirect is not followed
// and is a failure.
func (t *Try) Delivered() bool { return t.Status >= 200 && t.Status <= 299 }

// Gone tells whether the endpoint does not want anything any more.
func (t *Try) Gone() bool { return t.Status == 410 }

// Slow tells whether the endpoint is to be asked less often: it said so, or did not
// answer in time.
func (t *Try) Slow() bool {
	switch t.Status {
	case 0, 429, 502, 503, 504:
		return true
	}
	return false
}

package webhook

import (
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// Standard is the format of endpoints that do not ask for another: the envelope the log and
// the stream have too.
type Standard struct {
	BaseURL string // what links begin with
}

// Speaks has words for everything.
func (Standard) Speaks(mail.EventType) bool { return true }

// Body writes the envelope.
func (f Standard) Body(n *eventlog.Entry, e *Endpoint) ([]byte, error) {
	return eventlog.Envelope(*n, f.BaseURL, e.Redact)
}

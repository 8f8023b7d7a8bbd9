package webhook

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// Store is what the hooks ask to be remembered.
type Store interface {
	// Relay reads the log of all owners from where the last call ended, asks plan which
	// hooks its entries owe, and commits these with the new place: an event makes a hook for
	// an endpoint once, however often the process is killed. It gives how many entries it
	// passed; 0 says that there was nothing new.
	Relay(ctx context.Context, now time.Time, max int, plan func([]eventlog.Entry) []Hook) (passed int, err error)
}

// Hook is one event owed to one endpoint.
type Hook struct {
	ID       mail.ID // "whd_"
	Endpoint mail.ID // "wh_"
	Owner    mail.Owner
	Event    mail.ID
	Position int64 // of the event in its log
	Type     mail.EventType
	Message  mail.ID // zero when the event is about no message
	Due      time.Time
}

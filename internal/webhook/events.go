package webhook

import (
	"fmt"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// TypeFault tells what is wrong with the name of an event or of a family of them; nil: nothing.
// Where it stands is for the caller to say.
func TypeFault(name string) *mail.Error {
	known, near := eventlog.Known(name)
	switch {
	case known:
		return nil
	case near == "":
		return fault("events", "invalid_value", fmt.Sprintf("There is no event '%s'; GET /v1/event-types lists them.", clip(name, 100)))
	}
	f := fault("events", "invalid_value", fmt.Sprintf("There is no event '%s'. Did you mean '%s'?", clip(name, 100), near))
	f.Suggestion = near
	return f
}

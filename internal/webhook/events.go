package webhook

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// types are the events there are to subscribe to.
var types = sync.OnceValue(func() (names []string) {
	for _, t := range eventlog.Types() {
		names = append(names, string(t.Name))
	}
	return names
})

// judgeEvent wants a name that is known, or a family of them. Where it stands is for the
// caller to say.
func judgeEvent(name string) *mail.Error {
	known := types()
	if name == "*" || slices.Contains(known, name) {
		return nil
	}
	if family, ok := strings.CutSuffix(name, "*"); ok && strings.HasSuffix(family, ".") &&
		slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, family) }) {
		return nil
	}
	f := fault("events", "invalid_value", fmt.Sprintf("There is no event '%s'; GET /v1/event-types lists them.", name))
	if f.Suggestion = nearest(name, known); f.Suggestion != "" {
		f.Message = fmt.Sprintf("There is no event '%s'. Did you mean '%s'?", name, f.Suggestion)
	}
	return f
}

// TypeFault tells what is wrong with the name of an event or of a family of them; nil: nothing.
func TypeFault(name string) *mail.Error { return judgeEvent(name) }

// nearest gives the known name that takes the fewest changes, if these are few; "delivered"
// is short for "message.delivered".
func nearest(name string, known []string) string {
	for _, k := range known {
		if strings.HasSuffix(k, "."+strings.ToLower(name)) {
			return k
		}
	}
	return mail.NearestWord(strings.ToLower(name), known)
}

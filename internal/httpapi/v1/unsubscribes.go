package v1

import (
	"errors"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// Unsubscribes are the voluntary suppressions: the same store by another door (§6).

func (a *API) addUnsubscribe(c *httpapi.Call) {
	a.enterSuppression(c, []string{"recipient", "email", "topic", "message_id", "note"}, mail.Suppression{Reason: mail.KindUnsubscribe})
}

// readCause looks up the message an unsubscribe names. An error is ours.
func (a *API) readCause(c *httpapi.Call, f *form, ref string) (mail.ID, error) {
	if ref == "" {
		return mail.ID{}, nil
	}
	r, err := a.o.Archive.Find(c.Context(), c.Who.Owner, ref)
	if errors.Is(err, mail.ErrNotFound) {
		f.fault("message_id", "invalid_value", "There is no such message.")
		return mail.ID{}, nil
	}
	if err != nil {
		return mail.ID{}, err
	}
	return r.Message.ID, nil
}

func (a *API) listUnsubscribes(c *httpapi.Call) { a.listKind(c, mail.KindUnsubscribe) }

// deleteUnsubscribe subscribes again.
func (a *API) deleteUnsubscribe(c *httpapi.Call) { a.lift(c, mail.KindUnsubscribe) }

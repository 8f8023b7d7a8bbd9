package submit

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// screen finds recipients on the suppression list. They are not a fault of the caller's
// unless the project wants that.
func (d *draft) screen(ctx context.Context) error {
	if err := d.s.findSuppressed(ctx, d.who.Owner, d.recipients, d.message, d.now); err != nil {
		return err
	}
	if !rejectsSuppressed(d.who) {
		return nil
	}
	for i := range d.recipients {
		if by := d.recipients[i].suppressed; by != nil {
			d.fault("recipient_suppressed", d.recipients[i].field, "'"+d.recipients[i].Email+"' is on the suppression list ("+by.Reason+").")
		}
	}
	return d.verdict()
}

func rejectsSuppressed(who project.Principal) bool {
	return who.Project != nil && who.Project.Settings.OnSuppressed == "reject"
}

// findSuppressed asks once for all recipients. A bypass is of unsubscribes only: they are
// the lightest cause, so what is reported as one is nothing else besides.
func (s *Service) findSuppressed(ctx context.Context, owner mail.Owner, to []recipient, m *mail.Message, now time.Time) error {
	addresses := make([]string, len(to))
	for i := range to {
		addresses[i] = to[i].folded
	}
	found, err := s.store.Suppressed(ctx, owner, addresses, m.Topic, now)
	if err != nil {
		return fmt.Errorf("look up suppressions: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	for i := range to {
		if by, ok := found[to[i].folded]; ok && !(m.Bypass && by.Kind == mail.KindUnsubscribe) {
			to[i].suppressed = &mail.SuppressedBy{
				ID: by.ID, Public: by.ID.Text(mail.PrefixSuppression), Reason: by.Reason, Kind: by.Kind, Since: by.CreatedAt,
			}
		}
	}
	return nil
}

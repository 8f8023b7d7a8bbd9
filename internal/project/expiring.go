package project

import (
	"context"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// warnings are how many days before its end a key's owner is told.
var warnings = [...]int{1, 3, 14}

const day = 24 * time.Hour

// warningDue tells which warning a key is due now, in days before its end; 0: none. A
// warning whose time was over when the key was made is none, and after a pause only the
// most urgent is given.
func warningDue(k *Key, now time.Time) int {
	for _, days := range warnings {
		at := k.ExpiresAt.Add(-time.Duration(days) * day)
		if now.Before(at) {
			continue
		}
		if at.Before(k.CreatedAt) || k.Warned != 0 && k.Warned <= days {
			return 0
		}
		return days
	}
	return 0
}

// warn tells of keys that are about to expire, each time once, however often the process
// was restarted: that it was told commits with the telling.
func (a *Access) warn(ctx context.Context) error {
	now := a.now()
	keys, err := a.store.ExpiringKeys(ctx, now, now.Add(time.Duration(warnings[len(warnings)-1])*day))
	if err != nil {
		return fmt.Errorf("look for keys that expire: %w", err)
	}
	for i := range keys {
		k := &keys[i]
		days := warningDue(k, now)
		if days == 0 || k.Disabled {
			continue
		}
		told, err := a.store.WarnKey(ctx, *k, days, expiringEvent(k, now))
		if err != nil {
			return fmt.Errorf("tell of a key that expires: %w", err)
		}
		if told {
			a.log.WarnContext(ctx, "an API key expires soon", "key", k.ID, "name", k.Name, "expires_at", k.ExpiresAt.Format(time.RFC3339))
		}
	}
	return nil
}

func expiringEvent(k *Key, now time.Time) mail.Event {
	left := k.ExpiresAt.Sub(now).Round(time.Hour)
	words := fmt.Sprintf("%d hours", int(left.Hours()))
	if left >= 2*day {
		words = fmt.Sprintf("%d days", int(left.Round(day).Hours()/24))
	}
	expires := k.ExpiresAt
	return mail.Event{ID: mail.NewID(now), Owner: mail.Owner{Project: k.Project, Env: k.Env}, Type: mail.EventKeyExpiring, At: now,
		Detail: mail.Detail{Object: mail.PrefixKey + "_" + k.ID, Summary: fmt.Sprintf("%s expires in %s", k.Name, words), ExpiresAt: &expires}}
}

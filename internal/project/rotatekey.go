package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// Bounds of the time for which a key and its follower both work.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// KeyRotation asks for a key that follows another.
type KeyRotation struct {
	ID        string // of the old one
	IfVersion int64  // of the old one; 0: any
	Overlap   time.Duration
	ExpiresAt time.Time // of the new one; zero: as long after now as the old one's was after its making
}

// RotatedKey is the new key, with its secret and the time the old one works until.
type RotatedKey struct {
	Key
	Secret  string
	Old     string // id
	OldEnds time.Time
}

// RotateKey makes a key with the rights of another, which goes on for the overlap. Faults
// are mail.Faults: who rotates a key learns a secret with all its rights, so they must have
// these themselves.
func (a *Access) RotateKey(ctx context.Context, by Principal, r KeyRotation, once *mail.Once, answer func(RotatedKey) mail.Answer) (RotatedKey, error) {
	old, err := a.Key(ctx, by, r.ID)
	if err != nil {
		return RotatedKey{}, err
	}
	now := a.now()
	if fault := rotatable(&old, r.IfVersion, now); fault != nil {
		return RotatedKey{}, fault
	}
	next := follower(&old, r, by.By(), now)
	if faults := judgeKey(&next, &by, now); faults != nil {
		return RotatedKey{}, faults
	}
	before := keyShape(&old)
	ends := now.Add(r.Overlap)
	if old.ExpiresAt.IsZero() || ends.Before(old.ExpiresAt) {
		old.ExpiresAt = ends
	}
	out := RotatedKey{Old: old.ID, OldEnds: old.ExpiresAt}
	for try := 0; ; try++ {
		m := Mint(next.Env)
		next.ID, next.Prefix, next.Hash = m.ID, m.Prefix, m.Hash
		old.ReplacedBy = m.ID
		audit.Changed(ctx, mail.PrefixKey+"_"+old.ID, before, keyShape(&old))
		var tell func(Key) mail.Answer
		if answer != nil {
			tell = func(k Key) mail.Answer { out.Key, out.Secret = k, m.Secret; return answer(out) }
		}
		kept, err := a.store.RotateKey(ctx, old, next, once, tell)
		if errors.Is(err, mail.ErrExists) && try < 3 { // the id is taken
			continue
		}
		if err != nil {
			return RotatedKey{}, err
		}
		out.Key, out.Secret = kept, m.Secret
		a.forget(func(g *grant) bool { return g.who.Key.ID == old.ID })
		a.log.InfoContext(ctx, "API key rotated", "key", old.ID, "follower", kept.ID, "by", kept.CreatedBy)
		return out, nil
	}
}

// rotatable tells why a key has no follower.
func rotatable(old *Key, ifVersion int64, now time.Time) error {
	state := ""
	switch {
	case ifVersion != 0 && ifVersion != old.Version:
		return mail.ErrStale
	case !old.RevokedAt.IsZero():
		state = "revoked"
	case !old.ExpiresAt.IsZero() && !old.ExpiresAt.After(now):
		state = "expired"
	case old.ReplacedBy != "":
		return &mail.Error{Code: "state_conflict", Status: 409, Message: fmt.Sprintf("This key was rotated already; the one that follows it is %s_%s.", mail.PrefixKey, old.ReplacedBy)}
	default:
		return nil
	}
	return &mail.Error{Code: "state_conflict", Status: 409, Message: "This key is " + state + ": it cannot be rotated. Create another key."}
}

// follower is a key with all the old one may.
func follower(old *Key, r KeyRotation, by string, now time.Time) Key {
	next := *old
	next.CreatedBy, next.CreatedAt, next.ExpiresAt = by, now, r.ExpiresAt
	next.RevokedAt, next.LastUsedAt, next.LastUsedIP, next.LastUsedAgent = time.Time{}, time.Time{}, "", ""
	next.ReplacedBy, next.Warned, next.Version = "", 0, 0
	if next.ExpiresAt.IsZero() && !old.ExpiresAt.IsZero() {
		next.ExpiresAt = now.Add(old.ExpiresAt.Sub(old.CreatedAt))
	}
	return next
}

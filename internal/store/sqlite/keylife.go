package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// RotateKey keeps the follower of a key and the key's end in one commit, with the event.
func (s *Store) RotateKey(ctx context.Context, old, next project.Key, once *mail.Once, answer func(project.Key) mail.Answer) (project.Key, error) {
	facts, err := keyFactsOf(&next)
	if err != nil {
		return project.Key{}, err
	}
	ending, err := keyFactsOf(&old)
	if err != nil {
		return project.Key{}, err
	}
	next.Version = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		row, err := t.keyRow(old.Project, old.ID)
		if err != nil {
			return err
		}
		if err := t.fresh(`SELECT version FROM keys WHERE row = ? AND revoked_at IS NULL`, row, old.Version); err != nil {
			return err
		}
		if taken, err := t.exists(`SELECT 1 FROM keys WHERE id = ? OR hash = ?`, next.ID, next.Hash[:]); err != nil || taken {
			return orExists(err)
		}
		if err := t.changeKey(row, ending); err != nil {
			return err
		}
		if err := t.insertKey(&next, facts); err != nil {
			return err
		}
		if err := t.addOther(rotatedEvent(&old, &next)); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(next))
	})
	if err != nil {
		return project.Key{}, err
	}
	return next, nil
}

// rotatedEvent is about the new key; the old one and its end stand beside it.
func rotatedEvent(old, next *project.Key) mail.Event {
	e := keyEvent(mail.EventKeyRotated, next, next.CreatedBy, next.CreatedAt)
	e.Detail.Previous, e.Detail.ExpiresAt = mail.PrefixKey+"_"+old.ID, &old.ExpiresAt
	return e
}

// ExpiringKeys gives those whose end lies in (now, until].
func (s *Store) ExpiringKeys(ctx context.Context, now, until time.Time) ([]project.Key, error) {
	return s.keys(ctx, ` WHERE k.expires_at > ? AND k.expires_at <= ? AND k.revoked_at IS NULL AND k.facts ->> '$.replaced_by' IS NULL ORDER BY k.expires_at`,
		func(b *binder) { b.int(micros(now)); b.int(micros(until)) })
}

// WarnKey changes no version: who edits the key is not disturbed.
func (s *Store) WarnKey(ctx context.Context, k project.Key, days int, e mail.Event) (told bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		told = false
		b := bind(t.conn.Prep(`SELECT 1 FROM keys WHERE id = ?1 AND revoked_at IS NULL AND expires_at = ?2
			AND (coalesce(facts ->> '$.warned', 0) = 0 OR facts ->> '$.warned' > ?3)`))
		b.text(k.ID)
		b.int(micros(k.ExpiresAt))
		b.int(int64(days))
		if due, err := first(b.s, func(*sqlite.Stmt) {}); err != nil || !due {
			return err
		}
		b = bind(t.conn.Prep(`UPDATE keys SET facts = json_set(facts, '$.warned', ?) WHERE id = ?`))
		b.int(int64(days))
		b.text(k.ID)
		if err := t.exec(b.s); err != nil {
			return err
		}
		told = true
		e.Detail.Facts = eventlog.AboutKey(&k)
		return t.addOther(e)
	})
	return told, err
}

// DeleteProject marks the row; what walks over the project's mail goes on until none is left.
func (s *Store) DeleteProject(ctx context.Context, row int64, by string, now time.Time) error {
	busy, err := s.projectBusy(ctx, row)
	if err != nil || busy {
		return orExists(err)
	}
	return s.write(ctx, func(t *tx) error {
		found, err := t.exists(`SELECT 1 FROM projects WHERE row = ? AND deleted_at IS NULL`, row)
		if err != nil || !found {
			return orNotFound(err)
		}
		if err := firstError(t.revokeAll(row, by, now), t.removeEndpoints(row)); err != nil {
			return err
		}
		for _, order := range []string{
			`DELETE FROM domains WHERE project = ?1`,
			`UPDATE projects SET deleted_at = ?2, suspended = 1, name = name || '~' || row, version = version + 1 WHERE row = ?1`,
		} {
			q := t.conn.Prep(order)
			q.BindInt64(1, row)
			if q.BindParamCount() > 1 {
				q.BindInt64(2, micros(now))
			}
			if err := t.exec(q); err != nil {
				return err
			}
		}
		return nil
	})
}

func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return mail.ErrNotFound
}

// projectBusy tells whether mail of a project waits or is on its way. It walks over what is
// open in the whole store: the project takes nothing in any more, and the order is rare.
func (s *Store) projectBusy(ctx context.Context, row int64) (busy bool, err error) {
	live, test := ownerKey(mail.Owner{Project: row}), ownerKey(mail.Owner{Project: row, Env: mail.Test})
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		for _, query := range []string{
			`SELECT 1 FROM deliveries INDEXED BY deliveries_waiting WHERE queue IS NOT NULL AND owner IN (?,?) LIMIT 1`,
			`SELECT 1 FROM deliveries INDEXED BY deliveries_leased WHERE lease_until IS NOT NULL AND owner IN (?,?) LIMIT 1`,
		} {
			b := bind(conn.Prep(query))
			b.int(live)
			b.int(test)
			if busy, err = first(b.s, func(*sqlite.Stmt) {}); err != nil || busy {
				return err
			}
		}
		return nil
	})
	return busy, err
}

// revokeAll ends every key of a project, each with its event.
func (t *tx) revokeAll(row int64, by string, now time.Time) error {
	var keys []project.Key
	q := t.conn.Prep(keySelect + ` WHERE k.project = ? AND k.revoked_at IS NULL`)
	q.BindInt64(1, row)
	if err := each(q, func(q *sqlite.Stmt) error {
		k, err := scanKey(q)
		keys = append(keys, k)
		return err
	}); err != nil {
		return err
	}
	for i := range keys {
		b := bind(t.conn.Prep(`UPDATE keys SET revoked_at = ?, version = version + 1 WHERE id = ?`))
		b.int(micros(now))
		b.text(keys[i].ID)
		if err := t.exec(b.s); err != nil {
			return err
		}
		if err := t.addOther(keyEvent(mail.EventKeyRevoked, &keys[i], by, now)); err != nil {
			return err
		}
	}
	return nil
}

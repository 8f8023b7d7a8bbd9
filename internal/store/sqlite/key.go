package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// keyFacts is keys.facts: what is never searched.
type keyFacts struct {
	Name          string   `json:"name"`
	Prefix        string   `json:"prefix"`
	Scopes        []string `json:"scopes"`
	AllowedFrom   []string `json:"allowed_from"`
	IPAllowlist   []string `json:"ip_allowlist"`
	RatePerMinute *int     `json:"rate_per_minute"`
	MaxRecipients int      `json:"max_recipients"`
	DailyMessages *int     `json:"daily_messages,omitzero"`
	Disabled      bool     `json:"disabled"`
	CreatedBy     string   `json:"created_by"`
	ExpiresAt     int64    `json:"expires_at"`
	ReplacedBy    string   `json:"replaced_by,omitzero"`
	Warned        int      `json:"warned,omitzero"`
}

func keyFactsOf(k *project.Key) (string, error) {
	b, err := json.Marshal(keyFacts{Name: k.Name, Prefix: k.Prefix, Scopes: k.Scopes, AllowedFrom: k.AllowedFrom,
		IPAllowlist: k.IPAllowlist, RatePerMinute: k.RatePerMinute, MaxRecipients: k.MaxRecipients, DailyMessages: k.DailyMessages, Disabled: k.Disabled,
		CreatedBy: k.CreatedBy, ExpiresAt: micros(k.ExpiresAt), ReplacedBy: k.ReplacedBy, Warned: k.Warned})
	if err != nil {
		return "", fmt.Errorf("write key facts: %w", err)
	}
	return string(b), nil
}

const keySelect = `SELECT k.id, k.project, p.id, k.env, k.hash, k.created_at, k.revoked_at, k.last_used_at, k.last_used_ip,
	k.last_used_agent, k.version, k.facts FROM keys k JOIN projects p ON p.row = k.project`

func scanKey(q *sqlite.Stmt) (project.Key, error) {
	k := project.Key{
		ID: q.ColumnText(0), Project: q.ColumnInt64(1), ProjectID: columnID(q, 2), Env: mail.Env(q.ColumnInt64(3)),
		CreatedAt: columnTime(q, 5), RevokedAt: columnTime(q, 6), LastUsedAt: columnTime(q, 7), LastUsedIP: q.ColumnText(8),
		LastUsedAgent: q.ColumnText(9), Version: q.ColumnInt64(10),
	}
	q.ColumnBytes(4, k.Hash[:])
	var f keyFacts
	if err := read("key facts", columnBlob(q, 11), &f); err != nil {
		return k, err
	}
	k.Name, k.Prefix, k.Scopes, k.AllowedFrom, k.IPAllowlist = f.Name, f.Prefix, f.Scopes, f.AllowedFrom, f.IPAllowlist
	k.RatePerMinute, k.MaxRecipients, k.Disabled, k.CreatedBy = f.RatePerMinute, f.MaxRecipients, f.Disabled, f.CreatedBy
	k.ExpiresAt, k.ReplacedBy, k.Warned, k.DailyMessages = fromMicros(f.ExpiresAt), f.ReplacedBy, f.Warned, f.DailyMessages
	return k, nil
}

// CreateKey keeps a key with its event. [mail.ErrExists] when its id or secret is another's.
func (s *Store) CreateKey(ctx context.Context, k project.Key, once *mail.Once, answer func(project.Key) mail.Answer) (project.Key, error) {
	return s.createKey(ctx, k, 0, once, answer)
}

// CreateKeyBelow is CreateKey where the project's environment has fewer than most keys that
// are not revoked.
func (s *Store) CreateKeyBelow(ctx context.Context, k project.Key, most int) (project.Key, error) {
	return s.createKey(ctx, k, most, nil, nil)
}

// createKey keeps a key; most is how many there may be, 0: any number.
func (s *Store) createKey(ctx context.Context, k project.Key, most int, once *mail.Once, answer func(project.Key) mail.Answer) (project.Key, error) {
	facts, err := keyFactsOf(&k)
	if err != nil {
		return project.Key{}, err
	}
	k.Version = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if taken, err := t.exists(`SELECT 1 FROM keys WHERE id = ? OR hash = ?`, k.ID, k.Hash[:]); err != nil || taken {
			return orExists(err)
		}
		if most > 0 {
			if err := t.roomForKey(&k, most); err != nil {
				return err
			}
		}
		if k.ProjectID, err = t.projectID(k.Project); err != nil {
			return err
		}
		if err := t.insertKey(&k, facts); err != nil {
			return err
		}
		if err := t.addOther(keyEvent(mail.EventKeyCreated, &k, k.CreatedBy, k.CreatedAt)); err != nil {
			return err
		}
		if answer == nil {
			return nil
		}
		return t.remember(once, answer(k))
	})
	if err != nil {
		return project.Key{}, err
	}
	return k, nil
}

// roomForKey is project.ErrKeysFull when there are most of k's kind.
func (t *tx) roomForKey(k *project.Key, most int) error {
	b := bind(t.conn.Prep(`SELECT count(*) >= ? FROM keys WHERE project = ? AND env = ? AND revoked_at IS NULL`))
	b.int(int64(most))
	b.int(k.Project)
	b.int(int64(k.Env))
	full := false
	if _, err := first(b.s, func(q *sqlite.Stmt) { full = q.ColumnBool(0) }); err != nil {
		return err
	}
	if full {
		return project.ErrKeysFull
	}
	return nil
}

// projectID gives the id of a project that is there.
func (t *tx) projectID(row int64) (id mail.ID, err error) {
	q := t.conn.Prep(`SELECT id FROM projects WHERE row = ? AND deleted_at IS NULL`)
	q.BindInt64(1, row)
	found, err := first(q, func(q *sqlite.Stmt) { id = columnID(q, 0) })
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	return id, err
}

func (t *tx) insertKey(k *project.Key, facts string) error {
	b := bind(t.conn.Prep(`INSERT INTO keys (id, hash, project, env, created_at, version, facts) VALUES (?,?,?,?,?,?,?)`))
	b.text(k.ID)
	b.bytes(k.Hash[:])
	b.int(k.Project)
	b.int(int64(k.Env))
	b.int(micros(k.CreatedAt))
	b.int(k.Version)
	b.text(facts)
	return t.exec(b.s)
}

func keyEvent(kind mail.EventType, k *project.Key, by string, at time.Time) mail.Event {
	return mail.Event{ID: mail.NewID(at), Owner: mail.Owner{Project: k.Project, Env: k.Env}, Type: kind, At: at,
		Detail: mail.Detail{Object: mail.PrefixKey + "_" + k.ID, By: by, Summary: k.Name, Facts: eventlog.AboutKey(k)}}
}

func (s *Store) KeyByID(ctx context.Context, id string) (project.Key, error) {
	return s.keyWhere(ctx, `k.id = ?`, func(b *binder) { b.text(id) })
}

func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (project.Key, error) {
	return s.keyWhere(ctx, `k.hash = ?`, func(b *binder) { b.bytes(hash[:]) })
}

func (s *Store) keyWhere(ctx context.Context, condition string, args func(*binder)) (project.Key, error) {
	all, err := s.keys(ctx, ` WHERE `+condition, args)
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return project.Key{}, err
	}
	return all[0], nil
}

// Keys lists a project's, newest first.
func (s *Store) Keys(ctx context.Context, project int64) ([]project.Key, error) {
	return s.keys(ctx, ` WHERE k.project = ? ORDER BY k.row DESC`, func(b *binder) { b.int(project) })
}

func (s *Store) keys(ctx context.Context, rest string, args func(*binder)) (out []project.Key, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(keySelect + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			k, err := scanKey(q)
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// UpdateKey changes what may change of a key: name, scopes, restrictions, expiry,
// disabled. Its secret, project and environment stay.
func (s *Store) UpdateKey(ctx context.Context, k project.Key, ifVersion int64) (project.Key, error) {
	facts, err := keyFactsOf(&k)
	if err != nil {
		return project.Key{}, err
	}
	err = s.write(ctx, func(t *tx) error {
		row, err := t.keyRow(k.Project, k.ID)
		if err != nil {
			return err
		}
		if err := t.fresh(`SELECT version FROM keys WHERE row = ?`, row, ifVersion); err != nil {
			return err
		}
		return t.changeKey(row, facts)
	})
	if err != nil {
		return project.Key{}, err
	}
	return s.KeyByID(ctx, k.ID)
}

func (t *tx) changeKey(row int64, facts string) error {
	b := bind(t.conn.Prep(`UPDATE keys SET facts = ?, version = version + 1 WHERE row = ?`))
	b.text(facts)
	b.int(row)
	return t.exec(b.s)
}

func (t *tx) keyRow(project int64, id string) (row int64, err error) {
	b := bind(t.conn.Prep(`SELECT row FROM keys WHERE id = ? AND project = ?`))
	b.text(id)
	b.int(project)
	found, err := first(b.s, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	return row, err
}

// RevokeKey ends a key for ever, with its event. A second time changes nothing.
func (s *Store) RevokeKey(ctx context.Context, projectRow int64, id string, by string, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		row, err := t.keyRow(projectRow, id)
		if err != nil {
			return err
		}
		q := t.conn.Prep(keySelect + ` WHERE k.row = ?`)
		q.BindInt64(1, row)
		var k project.Key
		var scanErr error
		if _, err := first(q, func(q *sqlite.Stmt) { k, scanErr = scanKey(q) }); err != nil || scanErr != nil {
			return fmt.Errorf("revoke a key: %w", firstError(err, scanErr))
		}
		if !k.RevokedAt.IsZero() {
			return nil
		}
		b := bind(t.conn.Prep(`UPDATE keys SET revoked_at = ?, version = version + 1 WHERE row = ?`))
		b.int(micros(now))
		b.int(row)
		if err := t.exec(b.s); err != nil {
			return err
		}
		k.RevokedAt = now
		return t.addOther(keyEvent(mail.EventKeyRevoked, &k, by, now))
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TouchKeys notes last uses; an older use than is known changes nothing.
func (s *Store) TouchKeys(ctx context.Context, used []project.KeyUse) error {
	if len(used) == 0 {
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		for _, u := range used {
			b := bind(t.conn.Prep(`UPDATE keys SET last_used_at = ?1, last_used_ip = ?2, last_used_agent = ?3
				WHERE id = ?4 AND coalesce(last_used_at, 0) <= ?1`))
			b.int(micros(u.At))
			b.text(u.IP)
			b.text(u.Agent)
			b.text(u.ID)
			if err := t.exec(b.s); err != nil {
				return err
			}
		}
		return nil
	})
}

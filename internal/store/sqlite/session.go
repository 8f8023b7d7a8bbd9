package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

const userColumns = `row, id, name, password, created_at, changed_at`

func scanUser(q *sqlite.Stmt) project.User {
	return project.User{Row: q.ColumnInt64(0), ID: columnID(q, 1), Name: q.ColumnText(2), Password: q.ColumnText(3), CreatedAt: columnTime(q, 4), ChangedAt: columnTime(q, 5)}
}

func (s *Store) CreateUser(ctx context.Context, u project.User) (project.User, error) {
	err := s.write(ctx, func(t *tx) error {
		if taken, err := t.exists(`SELECT 1 FROM users WHERE name = ?`, u.Name); err != nil || taken {
			return orExists(err)
		}
		b := bind(t.conn.Prep(`INSERT INTO users (id, name, password, created_at, changed_at) VALUES (?,?,?,?,?)`))
		b.id(u.ID)
		b.text(u.Name)
		b.text(u.Password)
		b.int(micros(u.CreatedAt))
		b.int(micros(u.ChangedAt))
		if err := t.exec(b.s); err != nil {
			return err
		}
		u.Row = t.conn.LastInsertRowID()
		return nil
	})
	return u, err
}

func (s *Store) UserByName(ctx context.Context, name string) (project.User, error) {
	all, err := s.users(ctx, ` WHERE name = ?`, func(b *binder) { b.text(name) })
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return project.User{}, err
	}
	return all[0], nil
}

// Users lists all, oldest first.
func (s *Store) Users(ctx context.Context) ([]project.User, error) {
	return s.users(ctx, ` ORDER BY row`, func(*binder) {})
}

func (s *Store) users(ctx context.Context, rest string, args func(*binder)) (out []project.User, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + userColumns + ` FROM users` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			out = append(out, scanUser(q))
			return nil
		})
	})
	return out, err
}

// SetPassword changes it and ends the sessions it opened, in one commit.
func (s *Store) SetPassword(ctx context.Context, user int64, password string, keep [32]byte, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		b := bind(t.conn.Prep(`UPDATE users SET password = ?, changed_at = ? WHERE row = ?`))
		b.text(password)
		b.int(micros(now))
		b.int(user)
		if err := t.exec(b.s); err != nil {
			return err
		}
		if t.conn.Changes() == 0 {
			return mail.ErrNotFound
		}
		b = bind(t.conn.Prep(`DELETE FROM sessions WHERE user = ? AND hash <> ?`))
		b.int(user)
		b.bytes(keep[:])
		return t.exec(b.s)
	})
}

func (s *Store) CreateSession(ctx context.Context, n project.Session) error {
	return s.write(ctx, func(t *tx) error {
		b := bind(t.conn.Prep(`INSERT INTO sessions (id, hash, user, created_at, seen_at, expires_at, ip, agent) VALUES (?,?,?,?,?,?,?,?)`))
		b.id(n.ID)
		b.bytes(n.Hash[:])
		b.int(n.User)
		b.int(micros(n.CreatedAt))
		b.int(micros(n.SeenAt))
		b.int(micros(n.ExpiresAt))
		b.text(n.IP)
		b.text(n.Agent)
		return t.exec(b.s)
	})
}

func scanSession(q *sqlite.Stmt) project.Session {
	n := project.Session{ID: columnID(q, 0), User: q.ColumnInt64(2), UserID: columnID(q, 3), UserName: q.ColumnText(4), CreatedAt: columnTime(q, 5),
		SeenAt: columnTime(q, 6), ExpiresAt: columnTime(q, 7), IP: q.ColumnText(8), Agent: q.ColumnText(9)}
	q.ColumnBytes(1, n.Hash[:])
	return n
}

func (s *Store) sessions(ctx context.Context, rest string, args func(*binder)) (out []project.Session, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT n.id, n.hash, n.user, u.id, u.name, n.created_at, n.seen_at, n.expires_at, n.ip, n.agent
			FROM sessions n JOIN users u ON u.row = n.user` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			out = append(out, scanSession(q))
			return nil
		})
	})
	return out, err
}

func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (project.Session, error) {
	all, err := s.sessions(ctx, ` WHERE n.hash = ?`, func(b *binder) { b.bytes(hash[:]) })
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return project.Session{}, err
	}
	return all[0], nil
}

func (s *Store) SessionsOf(ctx context.Context, user int64) ([]project.Session, error) {
	return s.sessions(ctx, ` WHERE n.user = ? ORDER BY n.row DESC`, func(b *binder) { b.int(user) })
}

// TouchSession goes by itself: it must not be taken for the change a request makes.
func (s *Store) TouchSession(_ context.Context, hash [32]byte, at time.Time, ip string) error {
	return s.write(context.Background(), func(t *tx) error {
		b := bind(t.conn.Prep(`UPDATE sessions SET seen_at = max(seen_at, ?), ip = ? WHERE hash = ?`))
		b.int(micros(at))
		b.text(ip)
		b.bytes(hash[:])
		return t.exec(b.s)
	})
}

func (s *Store) EndSession(ctx context.Context, user int64, id mail.ID) error {
	return s.write(ctx, func(t *tx) error {
		found, err := t.exists(`SELECT 1 FROM sessions WHERE user = ? AND id = ?`, user, id[:])
		if err != nil || !found {
			return orNotFound(err)
		}
		b := bind(t.conn.Prep(`DELETE FROM sessions WHERE user = ? AND id = ?`))
		b.int(user)
		b.id(id)
		return t.exec(b.s)
	})
}

func (s *Store) ForgetSessions(ctx context.Context, now, seenBefore time.Time) error {
	return s.write(ctx, func(t *tx) error {
		b := bind(t.conn.Prep(`DELETE FROM sessions WHERE expires_at <= ? OR seen_at < ?`))
		b.int(micros(now))
		b.int(micros(seenBefore))
		return t.exec(b.s)
	})
}

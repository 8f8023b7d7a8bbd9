package sqlite

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

const projectColumns = `row, id, name, suspended, created_at, version, settings, facts, deleted_at`

// projectFacts is projects.facts.
type projectFacts struct {
	SuspendedReason string `json:"suspended_reason,omitzero"`
	SuspendedAt     int64  `json:"suspended_at,omitzero"`
	LiveDisabled    bool   `json:"live_disabled,omitzero"`
}

func projectTexts(p *project.Project) (settings, facts string, err error) {
	s, err := json.Marshal(p.Settings)
	if err != nil {
		return "", "", fmt.Errorf("write project settings: %w", err)
	}
	f, err := json.Marshal(projectFacts{p.SuspendedReason, micros(p.SuspendedAt), p.LiveDisabled})
	if err != nil {
		return "", "", fmt.Errorf("write project facts: %w", err)
	}
	return string(s), string(f), nil
}

func scanProject(q *sqlite.Stmt) (project.Project, error) {
	p := project.Project{
		Row: q.ColumnInt64(0), ID: columnID(q, 1), Name: q.ColumnText(2), Suspended: q.ColumnBool(3),
		CreatedAt: columnTime(q, 4), Version: q.ColumnInt64(5), DeletedAt: columnTime(q, 8),
	}
	var f projectFacts
	if err := read("project facts", columnBlob(q, 7), &f); err != nil {
		return p, err
	}
	p.SuspendedReason, p.SuspendedAt, p.LiveDisabled = f.SuspendedReason, fromMicros(f.SuspendedAt), f.LiveDisabled
	return p, read("project settings", columnBlob(q, 6), &p.Settings)
}

// CreateProject makes a project; its first version is 1.
func (s *Store) CreateProject(ctx context.Context, p project.Project, once *mail.Once, answer func(project.Project) mail.Answer) (project.Project, error) {
	settings, facts, err := projectTexts(&p)
	if err != nil {
		return project.Project{}, err
	}
	p.Version = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if taken, err := t.exists(`SELECT 1 FROM projects WHERE name = ?`, p.Name); err != nil || taken {
			return orExists(err)
		}
		b := bind(t.conn.Prep(`INSERT INTO projects (id, name, suspended, created_at, version, settings, facts) VALUES (?,?,?,?,?,?,?)`))
		b.id(p.ID)
		b.text(p.Name)
		b.flag(p.Suspended)
		b.int(micros(p.CreatedAt))
		b.int(p.Version)
		b.text(settings)
		b.text(facts)
		if err := t.exec(b.s); err != nil {
			return err
		}
		p.Row = t.conn.LastInsertRowID()
		if answer == nil {
			return nil
		}
		return t.remember(once, answer(p))
	})
	if err != nil {
		return project.Project{}, err
	}
	return s.ProjectByRow(ctx, p.Row)
}

// exists tells whether a query gives a row.
func (t *tx) exists(sql string, args ...any) (bool, error) {
	b := bind(t.conn.Prep(sql))
	for _, arg := range args {
		switch v := arg.(type) {
		case int64:
			b.int(v)
		case string:
			b.text(v)
		case []byte:
			b.bytes(v)
		}
	}
	return first(b.s, func(*sqlite.Stmt) {})
}

func orExists(err error) error {
	if err != nil {
		return err
	}
	return mail.ErrExists
}

func (s *Store) ProjectByName(ctx context.Context, name string) (project.Project, error) {
	return s.projectWhere(ctx, `name = ? AND deleted_at IS NULL`, func(b *binder) { b.text(name) })
}

func (s *Store) ProjectByID(ctx context.Context, id mail.ID) (project.Project, error) {
	return s.projectWhere(ctx, `id = ?`, func(b *binder) { b.id(id) })
}

func (s *Store) ProjectByRow(ctx context.Context, row int64) (project.Project, error) {
	return s.projectWhere(ctx, `row = ?`, func(b *binder) { b.int(row) })
}

func (s *Store) projectWhere(ctx context.Context, condition string, args func(*binder)) (p project.Project, err error) {
	all, err := s.projects(ctx, ` WHERE `+condition, args)
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return p, err
	}
	return all[0], nil
}

// Projects lists all, oldest first.
func (s *Store) Projects(ctx context.Context) ([]project.Project, error) {
	return s.projects(ctx, ` WHERE deleted_at IS NULL ORDER BY row`, func(*binder) {})
}

func (s *Store) projects(ctx context.Context, rest string, args func(*binder)) (out []project.Project, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + projectColumns + ` FROM projects` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			p, err := scanProject(q)
			out = append(out, p)
			return err
		})
	})
	return out, err
}

// UpdateProject changes name, settings and suspension.
func (s *Store) UpdateProject(ctx context.Context, p project.Project, ifVersion int64) (project.Project, error) {
	settings, facts, err := projectTexts(&p)
	if err != nil {
		return project.Project{}, err
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.fresh(`SELECT version FROM projects WHERE row = ? AND deleted_at IS NULL`, p.Row, ifVersion); err != nil {
			return err
		}
		if taken, err := t.exists(`SELECT 1 FROM projects WHERE name = ? AND row <> ?`, p.Name, p.Row); err != nil || taken {
			return orExists(err)
		}
		b := bind(t.conn.Prep(`UPDATE projects SET name = ?, suspended = ?, settings = ?, facts = ?, version = version + 1 WHERE row = ?`))
		b.text(p.Name)
		b.flag(p.Suspended)
		b.text(settings)
		b.text(facts)
		b.int(p.Row)
		return t.exec(b.s)
	})
	if err != nil {
		return project.Project{}, err
	}
	return s.ProjectByRow(ctx, p.Row)
}

// fresh makes sure that a row is there, and of the version asked (0: any).
func (t *tx) fresh(sql string, row, version int64) error {
	q := t.conn.Prep(sql)
	q.BindInt64(1, row)
	var have int64
	found, err := first(q, func(q *sqlite.Stmt) { have = q.ColumnInt64(0) })
	switch {
	case err != nil:
		return err
	case !found:
		return mail.ErrNotFound
	case version != 0 && version != have:
		return mail.ErrStale
	}
	return nil
}

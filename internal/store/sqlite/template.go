package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/template"
)

// templateFacts is templates.facts.
type templateFacts struct {
	Description string            `json:"description,omitzero"`
	Engine      string            `json:"engine"`
	DefaultFrom string            `json:"default_from,omitzero"`
	Layout      string            `json:"layout,omitzero"`
	Draft       int               `json:"draft,omitzero"`
	Latest      int               `json:"latest"`
	UpdatedAt   int64             `json:"updated_at"`
	UpdatedBy   string            `json:"updated_by,omitzero"`
	Variables   []render.Variable `json:"variables,omitzero"`
}

// versionFacts is template_versions.facts.
type versionFacts struct {
	Declared    []render.Variable `json:"declared,omitzero"`
	InlineCSS   bool              `json:"inline_css,omitzero"`
	Note        string            `json:"note,omitzero"`
	SHA256      []byte            `json:"sha256"`
	Variables   []render.Variable `json:"variables,omitzero"`
	CreatedAt   int64             `json:"created_at"`
	CreatedBy   string            `json:"created_by,omitzero"`
	PublishedAt int64             `json:"published_at,omitzero"`
	PublishedBy string            `json:"published_by,omitzero"`
}

// versionParts is template_versions.parts.
type versionParts struct {
	Default render.Parts            `json:"default"`
	Locales map[string]render.Parts `json:"locales,omitzero"`
	Inlined map[string]string       `json:"inlined,omitzero"`
}

func jsonText(what string, v any) (string, error) {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return "", fmt.Errorf("write %s: %w", what, err)
	}
	return string(b), nil
}

func templateFactsOf(t *render.Template) (string, error) {
	return jsonText("template facts", templateFacts{Description: t.Description, Engine: t.Engine.String(), DefaultFrom: t.DefaultFrom, Layout: t.Layout,
		Draft: t.Draft, Latest: t.Latest, UpdatedAt: micros(t.UpdatedAt), UpdatedBy: t.UpdatedBy, Variables: t.Variables})
}

const templateColumns = `row, id, project, alias, name, published, created_at, archived_at, revision, facts`

func scanTemplate(q *sqlite.Stmt) (render.Template, error) {
	t := render.Template{Row: q.ColumnInt64(0), ID: columnID(q, 1), Project: q.ColumnInt64(2), Alias: q.ColumnText(3), Name: q.ColumnText(4),
		Published: q.ColumnInt(5), CreatedAt: columnTime(q, 6), ArchivedAt: columnTime(q, 7), Revision: q.ColumnInt64(8)}
	var f templateFacts
	if err := read("template facts", columnBlob(q, 9), &f); err != nil {
		return t, err
	}
	t.Engine, _ = template.EngineOf(f.Engine)
	t.Description, t.DefaultFrom, t.Layout, t.Draft, t.Latest = f.Description, f.DefaultFrom, f.Layout, f.Draft, f.Latest
	t.UpdatedAt, t.UpdatedBy, t.Variables = fromMicros(f.UpdatedAt), f.UpdatedBy, f.Variables
	return t, nil
}

// versionTexts are facts and parts of a version as they are stored.
func versionTexts(v *render.Version) (facts, parts string, err error) {
	if facts, err = jsonText("template version", versionFacts{Declared: v.Declared, InlineCSS: v.InlineCSS, Note: v.Note, SHA256: v.SHA256[:],
		Variables: v.Variables, CreatedAt: micros(v.CreatedAt), CreatedBy: v.CreatedBy, PublishedAt: micros(v.PublishedAt), PublishedBy: v.PublishedBy}); err != nil {
		return "", "", err
	}
	parts, err = jsonText("template parts", versionParts{v.Parts, v.Locales, v.Inlined})
	return facts, parts, err
}

// scanVersion reads number, state, facts and, where they were asked for, parts.
func scanVersion(q *sqlite.Stmt, withParts bool) (render.Version, error) {
	v := render.Version{Number: q.ColumnInt(0), State: q.ColumnText(1)}
	var f versionFacts
	if err := read("template version", columnBlob(q, 2), &f); err != nil {
		return v, err
	}
	v.Declared, v.InlineCSS, v.Note, v.Variables = f.Declared, f.InlineCSS, f.Note, f.Variables
	copy(v.SHA256[:], f.SHA256)
	v.CreatedAt, v.CreatedBy, v.PublishedAt, v.PublishedBy = fromMicros(f.CreatedAt), f.CreatedBy, fromMicros(f.PublishedAt), f.PublishedBy
	if !withParts {
		return v, nil
	}
	var p versionParts
	if err := read("template parts", columnBlob(q, 3), &p); err != nil {
		return v, err
	}
	v.Parts, v.Locales, v.Inlined = p.Default, p.Locales, p.Inlined
	return v, nil
}

// CreateTemplate keeps a template with its first version.
func (s *Store) CreateTemplate(ctx context.Context, n render.Template, first render.Version, once *mail.Once, answer func(render.Template) mail.Answer) (render.Template, error) {
	facts, err := templateFactsOf(&n)
	if err != nil {
		return render.Template{}, err
	}
	versionFacts, parts, err := versionTexts(&first)
	if err != nil {
		return render.Template{}, err
	}
	n.Revision = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if taken, err := t.aliasTaken(&n); err != nil || taken {
			return orExists(err)
		}
		b := bind(t.conn.Prep(`INSERT INTO templates (id, project, alias, name, published, created_at, revision, facts) VALUES (?,?,?,?,?,?,?,?)`))
		b.id(n.ID)
		b.int(n.Project)
		b.text(n.Alias)
		b.text(n.Name)
		b.int(int64(n.Published))
		b.int(micros(n.CreatedAt))
		b.int(n.Revision)
		b.text(facts)
		if err := t.exec(b.s); err != nil {
			return err
		}
		n.Row = t.conn.LastInsertRowID()
		if err := t.addVersion(n.Row, &first, versionFacts, parts); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(n))
	})
	if err != nil {
		return render.Template{}, err
	}
	return n, nil
}

func (t *tx) aliasTaken(n *render.Template) (bool, error) {
	return t.exists(`SELECT 1 FROM templates WHERE project = ? AND alias = ? AND archived_at IS NULL AND row <> ?`, n.Project, n.Alias, n.Row)
}

func (t *tx) addVersion(row int64, v *render.Version, facts, parts string) error {
	b := bind(t.conn.Prep(`INSERT INTO template_versions (template, number, state, facts, parts) VALUES (?,?,?,?,?)`))
	b.int(row)
	b.int(int64(v.Number))
	b.text(v.State)
	b.text(facts)
	b.text(parts)
	return t.exec(b.s)
}

// ChangeTemplate writes a template's change with its versions and events.
func (s *Store) ChangeTemplate(ctx context.Context, c render.Change) (render.Template, error) {
	n := c.Template
	facts, err := templateFactsOf(&n)
	if err != nil {
		return render.Template{}, err
	}
	var texts [2][2]string // of the version added, of the one published
	for i, v := range []*render.Version{c.Add, c.Publish} {
		if v == nil {
			continue
		}
		if texts[i][0], texts[i][1], err = versionTexts(v); err != nil {
			return render.Template{}, err
		}
	}
	err = s.write(ctx, func(t *tx) error {
		before, err := t.once(c.Once) // first: its twin has changed the template
		if err != nil {
			return err
		}
		if before != nil {
			return &mail.Replayed{Answer: *before}
		}
		if err := t.moveTemplate(&n, facts); err != nil {
			return err
		}
		if c.Add != nil {
			if err := t.addVersion(n.Row, c.Add, texts[0][0], texts[0][1]); err != nil {
				return err
			}
		}
		if c.Publish != nil {
			if err := t.publishVersion(n.Row, c.Publish, texts[1][0], texts[1][1]); err != nil {
				return err
			}
		}
		for _, e := range c.Events {
			e.Detail.Facts = eventlog.AboutTemplate(n.ID, n.Alias, n.Name)
			if err := t.addOther(e); err != nil {
				return err
			}
		}
		if c.Answer == nil {
			return nil
		}
		kept := n
		kept.Revision++
		return t.remember(c.Once, c.Answer(kept))
	})
	if err != nil {
		return render.Template{}, err
	}
	n.Revision++
	return n, nil
}

// moveTemplate writes the template if it stands as it was read.
func (t *tx) moveTemplate(n *render.Template, facts string) error {
	if err := t.templateStands(n.Row, n.Project, n.Revision); err != nil {
		return err
	}
	if taken, err := t.aliasTaken(n); err != nil || taken {
		return orExists(err)
	}
	b := bind(t.conn.Prep(`UPDATE templates SET alias = ?, name = ?, published = ?, facts = ?, revision = revision + 1 WHERE row = ?`))
	b.text(n.Alias)
	b.text(n.Name)
	b.int(int64(n.Published))
	b.text(facts)
	b.int(n.Row)
	return t.exec(b.s)
}

// templateStands makes sure that a template is there, in use, and at the revision asked
// (0: any).
func (t *tx) templateStands(row, project, revision int64) error {
	b := bind(t.conn.Prep(`SELECT revision FROM templates WHERE row = ? AND project = ? AND archived_at IS NULL`))
	b.int(row)
	b.int(project)
	var have int64
	found, err := first(b.s, func(q *sqlite.Stmt) { have = q.ColumnInt64(0) })
	switch {
	case err != nil:
		return err
	case !found:
		return mail.ErrNotFound
	case revision != 0 && revision != have:
		return mail.ErrStale
	}
	return nil
}

// publishVersion makes one version the published one. That of an earlier time, and drafts
// it was preferred to, become archived.
func (t *tx) publishVersion(row int64, v *render.Version, facts, parts string) error {
	b := bind(t.conn.Prep(`UPDATE template_versions SET state = ? WHERE template = ? AND number <> ? AND (state = ? OR state = ? AND number < ?)`))
	b.text(render.VersionArchived)
	b.int(row)
	b.int(int64(v.Number))
	b.text(render.VersionPublished)
	b.text(render.VersionDraft)
	b.int(int64(v.Number))
	if err := t.exec(b.s); err != nil {
		return err
	}
	b = bind(t.conn.Prep(`UPDATE template_versions SET state = ?, facts = ?, parts = ? WHERE template = ? AND number = ?`))
	b.text(v.State)
	b.text(facts)
	b.text(parts)
	b.int(row)
	b.int(int64(v.Number))
	if err := t.exec(b.s); err != nil {
		return err
	}
	if t.conn.Changes() != 1 {
		return fmt.Errorf("template %d has no version %d", row, v.Number)
	}
	return nil
}

// ArchiveTemplate takes a template out of use.
func (s *Store) ArchiveTemplate(ctx context.Context, project int64, id mail.ID, ifRevision int64, force bool, by string, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		var row int64
		b := bind(t.conn.Prep(`SELECT row FROM templates WHERE id = ? AND project = ? AND archived_at IS NULL`))
		b.id(id)
		b.int(project)
		found, err := first(b.s, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
		if err != nil {
			return err
		}
		if !found {
			return mail.ErrNotFound
		}
		if err := t.templateStands(row, project, ifRevision); err != nil {
			return err
		}
		if !force {
			if used, err := t.templateScheduled(project, id); err != nil || used {
				return orExists(err)
			}
		}
		b = bind(t.conn.Prep(`UPDATE templates SET archived_at = ?1, facts = json_set(facts, '$.updated_at', ?1, '$.updated_by', ?2), revision = revision + 1 WHERE row = ?3`))
		b.int(micros(now))
		b.text(by)
		b.int(row)
		return t.exec(b.s)
	})
}

// templateScheduled tells whether a scheduled message was rendered from a template. It
// looks at scheduled deliveries only; archiving is rare enough for that.
func (t *tx) templateScheduled(project int64, id mail.ID) (bool, error) {
	// The index of statuses leaves out the frequent ones; its condition must stand here as
	// it stands there.
	const scheduled = `SELECT 1 FROM deliveries d JOIN messages m ON m.row = d.message
		WHERE d.owner = ? AND d.status = ? AND d.status <> 2 AND d.status <> 3 AND d.status <> 6 AND m.facts ->> '$.template' = ? LIMIT 1`
	for _, env := range []mail.Env{mail.Live, mail.Test} {
		used, err := t.exists(scheduled, ownerKey(mail.Owner{Project: project, Env: env}), int64(mail.Scheduled), id.UUID())
		if err != nil || used {
			return used, err
		}
	}
	return false, nil
}

// TemplateByAlias finds one that is in use.
func (s *Store) TemplateByAlias(ctx context.Context, project int64, alias string) (render.Template, error) {
	return s.templateWhere(ctx, `project = ? AND alias = ? AND archived_at IS NULL`, func(b *binder) {
		b.int(project)
		b.text(alias)
	})
}

// TemplateByID finds one that is in use or archived.
func (s *Store) TemplateByID(ctx context.Context, project int64, id mail.ID) (render.Template, error) {
	return s.templateWhere(ctx, `id = ? AND project = ?`, func(b *binder) {
		b.id(id)
		b.int(project)
	})
}

func (s *Store) templateWhere(ctx context.Context, condition string, args func(*binder)) (render.Template, error) {
	return only(s.templates(ctx, condition, args))
}

// Templates gives one page of a project's, by rows.
func (s *Store) Templates(ctx context.Context, q render.Query) ([]render.Template, error) {
	order, beyond := `DESC`, `<`
	if q.Ascending {
		order, beyond = `ASC`, `>`
	}
	return s.templates(ctx, `project = ?1 AND archived_at IS NULL AND (?2 = 0 OR row `+beyond+` ?2)
		AND (?3 = '' OR instr(lower(alias), lower(?3)) OR instr(lower(name), lower(?3)))
		AND (?4 = 0 OR ?4 = 1 AND published > 0 OR ?4 = 2 AND published = 0) ORDER BY row `+order+` LIMIT ?5`, func(b *binder) {
		b.int(q.Project)
		b.int(q.After)
		b.text(q.Text)
		switch {
		case q.Published == nil:
			b.int(0)
		case *q.Published:
			b.int(1)
		default:
			b.int(2)
		}
		b.int(int64(q.Limit))
	})
}

func (s *Store) templates(ctx context.Context, rest string, args func(*binder)) (out []render.Template, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + templateColumns + ` FROM templates WHERE ` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			t, err := scanTemplate(q)
			out = append(out, t)
			return err
		})
	})
	return out, err
}

// TemplateVersion gives one version, whole.
func (s *Store) TemplateVersion(ctx context.Context, row int64, number int) (v render.Version, err error) {
	found := false
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT number, state, facts, parts FROM template_versions WHERE template = ? AND number = ?`))
		b.int(row)
		b.int(int64(number))
		var scanErr error
		found, err = first(b.s, func(q *sqlite.Stmt) { v, scanErr = scanVersion(q, true) })
		return firstError(err, scanErr)
	})
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	return v, err
}

// TemplateVersions lists versions without their parts.
func (s *Store) TemplateVersions(ctx context.Context, row int64, after, limit int, ascending bool) (out []render.Version, err error) {
	order, beyond := `DESC`, `<`
	if ascending {
		order, beyond = `ASC`, `>`
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT number, state, facts FROM template_versions WHERE template = ?1 AND (?2 = 0 OR number ` + beyond + ` ?2)
			ORDER BY number ` + order + ` LIMIT ?3`))
		b.int(row)
		b.int(int64(after))
		b.int(int64(limit))
		return each(b.s, func(q *sqlite.Stmt) error {
			v, err := scanVersion(q, false)
			out = append(out, v)
			return err
		})
	})
	return out, err
}

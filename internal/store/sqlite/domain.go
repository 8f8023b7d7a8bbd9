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
	"github.com/postroad/postroad/internal/project"
)

// domainFacts is domains.facts.
type domainFacts struct {
	Status        string            `json:"status"`
	ReturnPath    string            `json:"return_path"`
	ReturnPathOK  bool              `json:"return_path_ok"`
	TLS           string            `json:"tls"`
	DefaultFrom   string            `json:"default_from"`
	Keys          []project.DKIMKey `json:"keys"`
	Checks        map[string]string `json:"checks"`
	Records       []byte            `json:"records"`
	LastCheckedAt int64             `json:"last_checked_at"`
	NextCheckAt   int64             `json:"next_check_at"`
	ChangedAt     int64             `json:"status_changed_at,omitzero"`
}

func domainFactsOf(d *project.Domain) (string, error) {
	b, err := json.Marshal(domainFacts{Status: d.Status, ReturnPath: d.ReturnPath, ReturnPathOK: d.ReturnPathOK, TLS: d.TLS,
		DefaultFrom: d.DefaultFrom, Keys: d.Keys, Checks: d.Checks, Records: d.Records,
		LastCheckedAt: micros(d.LastCheckedAt), NextCheckAt: micros(d.NextCheckAt), ChangedAt: micros(d.StatusChangedAt)}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return "", fmt.Errorf("write domain facts: %w", err)
	}
	return string(b), nil
}

const domainColumns = `row, id, project, name, created_at, version, facts, revision`

func scanDomain(q *sqlite.Stmt) (project.Domain, error) {
	d := project.Domain{Row: q.ColumnInt64(0), ID: columnID(q, 1), Project: q.ColumnInt64(2), Name: q.ColumnText(3),
		CreatedAt: columnTime(q, 4), Version: q.ColumnInt64(5), Revision: q.ColumnInt64(7)}
	var f domainFacts
	if err := read("domain facts", columnBlob(q, 6), &f); err != nil {
		return d, err
	}
	d.Status, d.ReturnPath, d.ReturnPathOK, d.TLS, d.DefaultFrom = f.Status, f.ReturnPath, f.ReturnPathOK, f.TLS, f.DefaultFrom
	d.Keys, d.Checks, d.Records = f.Keys, f.Checks, f.Records
	d.LastCheckedAt, d.NextCheckAt, d.StatusChangedAt = fromMicros(f.LastCheckedAt), fromMicros(f.NextCheckAt), fromMicros(f.ChangedAt)
	return d, nil
}

// domainEvents are told to the live environment's log: domains serve both environments,
// an event stands in one.
func domainEvent(kind mail.EventType, d *project.Domain, by string, at time.Time) mail.Event {
	return mail.Event{ID: mail.NewID(at), Owner: mail.Owner{Project: d.Project, Env: mail.Live}, Type: kind, At: at,
		Detail: mail.Detail{Object: d.ID.Text(mail.PrefixDomain), By: by, Summary: d.Name, Facts: eventlog.AboutDomain(d)}}
}

// CreateDomain keeps a domain with its event domain.created.
func (s *Store) CreateDomain(ctx context.Context, d project.Domain, once *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error) {
	facts, err := domainFactsOf(&d)
	if err != nil {
		return project.Domain{}, err
	}
	d.Version = 1
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if taken, err := t.exists(`SELECT 1 FROM domains WHERE project = ? AND name = ?`, d.Project, d.Name); err != nil || taken {
			return orExists(err)
		}
		b := bind(t.conn.Prep(`INSERT INTO domains (id, project, name, created_at, version, facts) VALUES (?,?,?,?,?,?)`))
		b.id(d.ID)
		b.int(d.Project)
		b.text(d.Name)
		b.int(micros(d.CreatedAt))
		b.int(d.Version)
		b.text(facts)
		if err := t.exec(b.s); err != nil {
			return err
		}
		d.Row = t.conn.LastInsertRowID()
		if err := t.addOther(domainEvent(mail.EventDomainCreated, &d, "", d.CreatedAt)); err != nil {
			return err
		}
		if answer == nil {
			return nil
		}
		return t.remember(once, answer(d))
	})
	if err != nil {
		return project.Domain{}, err
	}
	return d, nil
}

func (s *Store) DomainByName(ctx context.Context, project int64, name string) (project.Domain, error) {
	return s.domainWhere(ctx, `project = ? AND name = ?`, func(b *binder) {
		b.int(project)
		b.text(name)
	})
}

func (s *Store) DomainByID(ctx context.Context, project int64, id mail.ID) (project.Domain, error) {
	return s.domainWhere(ctx, `project = ? AND id = ?`, func(b *binder) {
		b.int(project)
		b.id(id)
	})
}

func (s *Store) domainWhere(ctx context.Context, condition string, args func(*binder)) (project.Domain, error) {
	return only(s.domains(ctx, condition, args))
}

// Domains lists a project's, oldest first; of every project when it is 0, for the one
// who checks them all.
func (s *Store) Domains(ctx context.Context, project int64) ([]project.Domain, error) {
	if project == 0 {
		return s.domains(ctx, `true ORDER BY row`, func(*binder) {})
	}
	return s.domains(ctx, `project = ? ORDER BY row`, func(b *binder) { b.int(project) })
}

func (s *Store) domains(ctx context.Context, rest string, args func(*binder)) (out []project.Domain, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + domainColumns + ` FROM domains WHERE ` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			d, err := scanDomain(q)
			out = append(out, d)
			return err
		})
	})
	return out, err
}

// UpdateDomain keeps the domain as its owner changed it, with events about it.
func (s *Store) UpdateDomain(ctx context.Context, d project.Domain, ifVersion int64, events []mail.Event) (project.Domain, error) {
	return s.keepDomain(ctx, d, func(t *tx, facts string) error {
		row, err := t.moveDomain(&d, ifVersion, facts)
		if err != nil {
			return err
		}
		return t.editDomain(row, &d, events)
	})
}

func (t *tx) domainRow(project int64, id mail.ID) (row int64, err error) {
	b := bind(t.conn.Prep(`SELECT row FROM domains WHERE id = ? AND project = ?`))
	b.id(id)
	b.int(project)
	found, err := first(b.s, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	return row, err
}

// DeleteDomain removes a domain with its event domain.deleted. Mail of it that is
// still open stops it, or fails with it when forced.
func (s *Store) DeleteDomain(ctx context.Context, projectRow int64, id mail.ID, force bool, by string, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		row, err := t.domainRow(projectRow, id)
		if err != nil {
			return err
		}
		q := t.conn.Prep(`SELECT ` + domainColumns + ` FROM domains WHERE row = ?`)
		q.BindInt64(1, row)
		var d project.Domain
		var scanErr error
		if _, err := first(q, func(q *sqlite.Stmt) { d, scanErr = scanDomain(q) }); err != nil || scanErr != nil {
			return firstError(err, scanErr)
		}
		open, err := t.openOfDomain(projectRow, d.Name)
		if err != nil {
			return err
		}
		if len(open) > 0 && !force {
			return mail.ErrExists
		}
		for _, delivery := range open {
			if err := t.failDelivery(delivery, "domain_removed", by, now); err != nil {
				return err
			}
		}
		q = t.conn.Prep(`DELETE FROM domains WHERE row = ?`)
		q.BindInt64(1, row)
		if err := t.exec(q); err != nil {
			return err
		}
		return t.addOther(domainEvent(mail.EventDomainDeleted, &d, by, now))
	})
}

// openOfDomain finds open deliveries of live messages from a domain, by the indexes of
// what waits and what is leased. Removing a domain is rare: it may look at all of them.
func (t *tx) openOfDomain(projectRow int64, name string) (rows []int64, err error) {
	for _, index := range []string{"deliveries_waiting WHERE queue IS NOT NULL", "deliveries_leased WHERE lease_until IS NOT NULL"} {
		b := bind(t.conn.Prep(`SELECT d.row FROM deliveries d INDEXED BY ` + index + ` AND d.owner = ? AND EXISTS (
			SELECT 1 FROM messages m WHERE m.row = d.message AND instr(m.facts, ?) > 0
			AND substr(m.facts ->> '$.from', -length(?)) = ?)`))
		suffix := "@" + name
		b.int(ownerKey(mail.Owner{Project: projectRow, Env: mail.Live}))
		b.text(suffix)
		b.text(suffix)
		b.text(suffix)
		if err := each(b.s, func(q *sqlite.Stmt) error {
			rows = append(rows, q.ColumnInt64(0))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// failDelivery ends an open delivery. One that is on the wire cannot be called back: it
// may still arrive, but is not tried again.
func (t *tx) failDelivery(row int64, reason, by string, now time.Time) error {
	p, _, err := t.progress(row, false)
	if err != nil {
		return err
	}
	if p.begun {
		_, err := t.stopDelivery(&p, stopOrder{Reason: reason, By: by}, now)
		return err
	}
	e := mail.Event{ID: mail.NewID(now), Type: mail.EventFailed, At: now,
		Detail: mail.Detail{Previous: p.status.String(), Reason: reason, By: by}}
	c := p.keep()
	c.status, c.wait, c.done = mail.Failed, mail.NoWait, micros(now)
	return t.moveWith(&p, c, &e)
}

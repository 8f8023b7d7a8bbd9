package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// A domain is changed by its owner and by the checks of its records. Both must have
// read it as it is (revision); only the owner's changes count in version, the ETag.

// keepDomain writes in one transaction what work does, and gives the domain as it is then.
func (s *Store) keepDomain(ctx context.Context, d project.Domain, work func(t *tx, facts string) error) (project.Domain, error) {
	facts, err := domainFactsOf(&d)
	if err != nil {
		return project.Domain{}, err
	}
	if err := s.write(ctx, func(t *tx) error { return work(t, facts) }); err != nil {
		return project.Domain{}, err
	}
	return s.DomainByID(ctx, d.Project, d.ID)
}

// moveDomain writes the facts of a domain that stands as d was read, and at ifVersion
// unless that is 0.
func (t *tx) moveDomain(d *project.Domain, ifVersion int64, facts string) (row int64, err error) {
	if row, err = t.domainRow(d.Project, d.ID); err != nil {
		return 0, err
	}
	stands, err := t.exists(`SELECT 1 FROM domains WHERE row = ? AND revision = ? AND ? IN (0, version)`, row, d.Revision, ifVersion)
	if err != nil {
		return 0, err
	}
	if !stands {
		return 0, mail.ErrStale
	}
	b := bind(t.conn.Prep(`UPDATE domains SET facts = ?, revision = revision + 1 WHERE row = ?`))
	b.text(facts)
	b.int(row)
	return row, t.exec(b.s)
}

// editDomain counts an owner's change.
func (t *tx) editDomain(row int64, d *project.Domain, events []mail.Event) error {
	q := t.conn.Prep(`UPDATE domains SET version = version + 1 WHERE row = ?`)
	q.BindInt64(1, row)
	if err := t.exec(q); err != nil {
		return err
	}
	return t.addDomainEvents(d, events)
}

func (t *tx) addDomainEvents(d *project.Domain, events []mail.Event) error {
	for _, e := range events {
		if e.Owner.Project == 0 {
			e.Owner.Project = d.Project
		}
		e.Detail.Facts = eventlog.AboutDomain(d)
		if err := t.addOther(e); err != nil {
			return err
		}
	}
	return nil
}

// UpdateDomainOnce is UpdateDomain under an idempotency key.
func (s *Store) UpdateDomainOnce(ctx context.Context, d project.Domain, once *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error) {
	return s.keepDomain(ctx, d, func(t *tx, facts string) error {
		before, err := t.once(once) // first: its twin has changed the domain
		if err != nil {
			return err
		}
		if before != nil {
			return &mail.Replayed{Answer: *before}
		}
		row, err := t.moveDomain(&d, 0, facts)
		if err != nil {
			return err
		}
		if err := t.editDomain(row, &d, nil); err != nil || answer == nil {
			return err
		}
		kept := d
		kept.Version, kept.Revision = d.Version+1, d.Revision+1
		return t.remember(once, answer(kept))
	})
}

// RecordCheck keeps what a check found, with its events. Version stays.
func (s *Store) RecordCheck(ctx context.Context, d project.Domain, events []mail.Event) (project.Domain, error) {
	return s.keepDomain(ctx, d, func(t *tx, facts string) error {
		if _, err := t.moveDomain(&d, 0, facts); err != nil {
			return err
		}
		return t.addDomainEvents(&d, events)
	})
}

// DomainsDue finds the domains whose check has come, by the index of when that is.
func (s *Store) DomainsDue(ctx context.Context, now time.Time, limit int) (due []project.Domain, next time.Time, err error) {
	due, err = s.domains(ctx, `check_at <= ? ORDER BY check_at LIMIT ?`, func(b *binder) {
		b.int(micros(now))
		b.int(int64(limit))
	})
	if err != nil {
		return nil, next, err
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT check_at FROM domains WHERE check_at > ? ORDER BY check_at LIMIT 1`))
		b.int(micros(now))
		_, err := first(b.s, func(q *sqlite.Stmt) { next = fromMicros(q.ColumnInt64(0)) })
		return err
	})
	return due, next, err
}

package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/store"
)

const schemaTable = `CREATE TABLE IF NOT EXISTS schema (
	version INTEGER PRIMARY KEY, name TEXT NOT NULL, sum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT`

// Schema tells the version on disk (0: none) and the binary's.
func (s *Store) Schema(ctx context.Context) (have, want int, err error) {
	steps, err := store.Migrations(migrationFiles, "migrations")
	if err != nil {
		return 0, 0, err
	}
	err = s.writer.do(ctx, func(t *tx) error {
		have, err = schemaVersion(t.conn)
		return err
	}, false)
	return have, len(steps), err
}

func schemaWanted() (int, error) {
	steps, err := store.Migrations(migrationFiles, "migrations")
	return len(steps), err
}

func schemaVersion(conn *sqlite.Conn) (version int, err error) {
	known, err := first(conn.Prep(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema'`), func(*sqlite.Stmt) {})
	if err != nil || !known {
		return 0, err
	}
	_, err = first(conn.Prep(`SELECT coalesce(max(version), 0) FROM schema`), func(s *sqlite.Stmt) { version = s.ColumnInt(0) })
	return version, err
}

func schemaTooNew(have, want int) error {
	if have <= want {
		return nil
	}
	return fmt.Errorf("the database has schema %d, this binary knows %d: use a newer Postroad", have, want)
}

// Migrate applies the steps that are missing, each with its line in the schema table,
// all in one transaction.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := store.Migrations(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	err = s.writer.do(ctx, func(t *tx) error {
		have, err := schemaVersion(t.conn)
		if err != nil {
			return err
		}
		if err := schemaTooNew(have, len(steps)); err != nil {
			return err
		}
		if err := checkSums(t.conn, steps[:have]); err != nil {
			return err
		}
		for _, m := range steps[have:] {
			if err := t.migrate(m); err != nil {
				return fmt.Errorf("migration %04d_%s: %w", m.Version, m.Name, err)
			}
		}
		return nil
	}, false)
	if err != nil || s.ready.Load() {
		return err
	}
	return s.load(ctx)
}

// checkSums refuses a database whose steps were not the ones this binary has.
func checkSums(conn *sqlite.Conn, applied []store.Migration) error {
	for _, m := range applied {
		stmt := conn.Prep(`SELECT sum FROM schema WHERE version = ?`)
		stmt.BindInt64(1, int64(m.Version))
		var sum string
		if _, err := first(stmt, func(s *sqlite.Stmt) { sum = s.ColumnText(0) }); err != nil {
			return err
		}
		if sum != m.Sum {
			return fmt.Errorf("migration %04d_%s was applied with another text than this binary's", m.Version, m.Name)
		}
	}
	return nil
}

func (t *tx) migrate(m store.Migration) error {
	t.wrote = true
	if err := script(t.conn, schemaTable+";"+m.SQL); err != nil {
		return err
	}
	b := bind(t.conn.Prep(`INSERT INTO schema (version, name, sum, applied_at) VALUES (?,?,?,?)`))
	b.int(int64(m.Version))
	b.text(m.Name)
	b.text(m.Sum)
	b.int(time.Now().UnixMicro())
	return t.exec(b.s)
}

// script runs statements one after another.
func script(conn *sqlite.Conn, sql string) error {
	for {
		sql = strings.TrimSpace(sql)
		if sql == "" {
			return nil
		}
		stmt, trailing, err := conn.PrepareTransient(sql)
		if err != nil {
			return err
		}
		sql = sql[len(sql)-trailing:]
		if _, err := stmt.Step(); err != nil {
			_ = stmt.Finalize()
			return err
		}
		if err := stmt.Finalize(); err != nil {
			return err
		}
	}
}

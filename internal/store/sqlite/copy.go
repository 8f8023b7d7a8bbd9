package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"
)

const (
	copyPrefix = "copy-" // of files that Copy makes in the data directory
	copySuffix = ".tmp"
)

// DatabaseName is the database's file in the data directory, and in a copy.
const DatabaseName = "postroad.db"

// contentDirs hold files that the database names.
var contentDirs = []string{bodiesDir, "files"}

// Copy gives a consistent copy, file by file with names relative to the data directory:
// the database as of one moment, rewritten, so that it holds what is in it and nothing
// that ever was; then the files of contents. One that goes meanwhile is left out: the
// content's time was over. The database is copied into the data directory first, which
// needs the room for it.
func (s *Store) Copy(ctx context.Context, give func(name string, size int64, from io.Reader) error) error {
	if !s.ready.Load() {
		return errSchema
	}
	db, err := s.copyDatabase(ctx)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	err = giveFile(DatabaseName, db, give)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	for _, dir := range contentDirs {
		if err := s.copyContents(ctx, dir, give); err != nil {
			return fmt.Errorf("copy %s: %w", dir, err)
		}
	}
	return nil
}

// copyDatabase gives the copy as an open file that has no name any more: it is gone when it
// is closed, or when the process dies.
func (s *Store) copyDatabase(ctx context.Context) (*os.File, error) {
	made, err := os.CreateTemp(s.dir, copyPrefix+"*"+copySuffix) // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(made.Name())
	if err := s.vacuumInto(ctx, made.Name()); err != nil {
		return nil, errors.Join(err, made.Close())
	}
	return made, nil
}

// vacuumInto writes the database as a reader sees it. Mail goes on meanwhile.
func (s *Store) vacuumInto(ctx context.Context, path string) error {
	conn, err := sqlite.OpenConn(s.path(), sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	conn.SetInterrupt(ctx.Done())
	err = setPragmas(conn, "wal_autocheckpoint = 0")
	if err == nil {
		err = vacuum(conn, path)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return errors.Join(err, conn.Close())
}

func vacuum(conn *sqlite.Conn, path string) error {
	stmt, _, err := conn.PrepareTransient(`VACUUM INTO ?`)
	if err != nil {
		return err
	}
	stmt.BindText(1, path)
	_, err = stmt.Step()
	return errors.Join(err, stmt.Finalize())
}

func giveFile(name string, file *os.File, give func(string, int64, io.Reader) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return give(name, info.Size(), io.LimitReader(file, info.Size()))
}

func (s *Store) copyContents(ctx context.Context, dir string, give func(string, int64, io.Reader) error) error {
	return filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !e.Type().IsRegular() || strings.HasSuffix(path, bodyUnsettle):
			return nil
		}
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err == nil {
			err = giveFile(filepath.ToSlash(name), file, give)
		}
		return errors.Join(err, file.Close())
	})
}

// sweepCopies removes what a Copy left behind whose process died.
func sweepCopies(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, copyPrefix+"*"+copySuffix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// Verify examines a database that no process has open: it is whole, and of a schema this
// binary knows.
func Verify(ctx context.Context, path string) error {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	conn.SetInterrupt(ctx.Done())
	return errors.Join(verify(conn), conn.Close())
}

func verify(conn *sqlite.Conn) error {
	stmt, _, err := conn.PrepareTransient(`PRAGMA integrity_check(1)`) // it may be too damaged even for that
	if err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	var verdict string
	_, err = first(stmt, func(q *sqlite.Stmt) { verdict = q.ColumnText(0) })
	if err := errors.Join(err, stmt.Finalize()); err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("the database is damaged: %s", verdict)
	}
	have, err := schemaVersion(conn)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if have == 0 {
		return errors.New("the database has no schema of Postroad's")
	}
	want, err := schemaWanted()
	if err != nil {
		return err
	}
	return schemaTooNew(have, want)
}

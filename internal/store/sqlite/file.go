package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// Hosted files stand uncompressed below files/, so that any stretch of one can be read.
// A file is on disk before its row, and its row is gone before the file is removed: what
// a crash leaves in between has no row, and the next start takes it away.
const (
	filesDir   = "files"
	fileSuffix = ".bin"
)

// sweepSoon is from opening to the first look for expired files.
const sweepSoon = time.Minute

func (s *Store) filePath(name string) string { return filepath.Join(s.dir, filesDir, name[:2], name) }

// SpoolFile writes a hosted file and syncs it.
func (s *Store) SpoolFile(ctx context.Context, write func(io.Writer) error) (submit.Spooled, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	f := &spooled{store: s, name: hex.EncodeToString(random[:]) + fileSuffix, plain: true}
	if err := f.settle(func(path string) (int64, error) { return writePlain(ctx, path, write) }, filepath.Join(s.dir, filesDir), s.dir); err != nil {
		return nil, fmt.Errorf("keep a file: %w", err)
	}
	return f, nil
}

func writePlain(ctx context.Context, path string, write func(io.Writer) error) (int64, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	count := counter{ctx: ctx, w: file}
	if err = write(&count); err == nil {
		err = file.Sync()
	}
	return count.n, errors.Join(err, file.Close())
}

// writeFile gives a hosted file to the message of this entry.
func (e *entry) writeFile(t *tx, f *submit.NewFile) error {
	kept, ok := f.Content.(*spooled)
	if !ok || !kept.plain || kept.store != t.w.store {
		return errors.New("a hosted file that this store does not keep")
	}
	b := bind(t.conn.Prep(`INSERT INTO files (id, owner, message, name, filename, content_type, size, sha256, created_at, expires_at)
		VALUES (?,?,?,?,?,?,?,?,?,?)`))
	b.id(f.ID)
	b.int(ownerKey(e.a.Message.Owner))
	b.int(e.receipt.Row)
	b.text(kept.name)
	b.text(f.Filename)
	b.text(f.ContentType)
	b.int(kept.size)
	b.bytes(f.SHA256[:])
	b.int(micros(f.CreatedAt))
	b.int(micros(f.ExpiresAt))
	if err := t.exec(b.s); err != nil {
		return fmt.Errorf("insert a file: %w", err)
	}
	t.files = append(t.files, kept)
	return nil
}

// OpenFile opens a hosted file, expired or not.
func (s *Store) OpenFile(ctx context.Context, id mail.ID) (f mail.File, r io.ReadSeekCloser, err error) {
	name := ""
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT owner, message, name, filename, content_type, size, sha256, created_at, expires_at FROM files WHERE id = ?`))
		b.id(id)
		found, err := first(b.s, func(q *sqlite.Stmt) {
			f = mail.File{ID: id, Owner: ownerOf(q.ColumnInt64(0)), Message: q.ColumnInt64(1), Filename: q.ColumnText(3), ContentType: q.ColumnText(4),
				Size: q.ColumnInt64(5), CreatedAt: columnTime(q, 7), ExpiresAt: columnTime(q, 8)}
			q.ColumnBytes(6, f.SHA256[:])
			name = q.ColumnText(2)
		})
		if err == nil && !found {
			err = mail.ErrNotFound
		}
		return err
	})
	if err != nil {
		return mail.File{}, nil, err
	}
	file, err := os.Open(s.filePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil, mail.ErrNotFound
	}
	if err != nil {
		return f, nil, err
	}
	return f, file, nil
}

// The rows to be removed, as many as one commit does. A message has at most 100.
const (
	filesOfMessage = `SELECT id, name FROM files WHERE message = ? LIMIT 500`
	filesExpired   = `SELECT id, name FROM files WHERE expires_at <= ? LIMIT 500`
	maxUnlinked    = 500
)

// DeleteFiles removes the hosted files of a message.
func (s *Store) DeleteFiles(ctx context.Context, message int64) (int, error) {
	return s.removeFiles(ctx, filesOfMessage, message)
}

// SweepFiles removes the hosted files that have expired.
func (s *Store) SweepFiles(ctx context.Context, now time.Time) (int, error) {
	all := 0
	for {
		n, err := s.removeFiles(ctx, filesExpired, micros(now))
		if all += n; err != nil || n < maxUnlinked {
			return all, err
		}
	}
}

// removeFiles takes rows away in one commit, and after it the files. It looks with a
// reading connection first: where there is nothing, nothing is written.
func (s *Store) removeFiles(ctx context.Context, find string, arg int64) (int, error) {
	some := false
	err := s.read(ctx, func(conn *sqlite.Conn) (err error) {
		q := conn.Prep(find)
		q.BindInt64(1, arg)
		some, err = first(q, func(*sqlite.Stmt) {})
		return err
	})
	if err != nil || !some {
		return 0, err
	}
	var names []string
	if err := s.write(ctx, func(t *tx) (err error) {
		names, err = t.forgetFiles(find, arg)
		return err
	}); err != nil {
		return 0, err
	}
	s.unlinkFiles(names)
	return len(names), nil
}

// unlinkFiles removes files whose rows are gone. One that resists is removed by the next
// start.
func (s *Store) unlinkFiles(names []string) {
	for _, name := range names {
		if err := os.Remove(s.filePath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("remove a hosted file: the next start tries again", "error", err)
		}
	}
}

func (t *tx) forgetFiles(find string, arg int64) (names []string, err error) {
	var ids []mail.ID
	q := t.conn.Prep(find)
	q.BindInt64(1, arg)
	if err := each(q, func(q *sqlite.Stmt) error {
		ids, names = append(ids, columnID(q, 0)), append(names, q.ColumnText(1))
		return nil
	}); err != nil {
		return nil, err
	}
	for _, id := range ids {
		b := bind(t.conn.Prep(`DELETE FROM files WHERE id = ?`))
		b.id(id)
		if err := t.exec(b.s); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// sweepFiles removes expired files now and then.
func (s *Store) sweepFiles(ctx context.Context) {
	next := time.NewTimer(sweepSoon)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-next.C:
			next.Reset(sweepEvery)
			if _, err := s.SweepFiles(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Warn("remove expired files", "error", err)
			}
		}
	}
}

// sweepOrphans removes files without a row: spooled, but the process died before the
// acceptance that would have carried them, or after the row went.
func (t *tx) sweepOrphans(s *Store) error {
	root := filepath.Join(s.dir, filesDir)
	swept := 0
	known := map[string]bool{}
	if err := each(t.conn.Prep(`SELECT name FROM files`), func(q *sqlite.Stmt) error {
		known[q.ColumnText(0)] = true
		return nil
	}); err != nil {
		return err
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || e.IsDir() || known[e.Name()] {
			return err
		}
		if ext := filepath.Ext(e.Name()); ext != fileSuffix && ext != bodyUnsettle {
			return nil
		}
		swept++
		return os.Remove(path)
	})
	if swept > 0 {
		s.log.Info("removed files that belong to no message", "count", swept)
	}
	return err
}

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/postroad/postroad/internal/backup"
	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/seal"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// Backup writes a backup of the data directory: by the running server when there is one,
// else from the store. When it fails, what was written is no backup.
func Backup(ctx context.Context, s *config.Settings, to io.Writer) error {
	return asOperator(ctx, s, false, func(op operator) error { return op.backup(ctx, to) })
}

// backup packs database, contents and keys.
func (l *local) backup(ctx context.Context, to io.Writer) (err error) {
	began := l.now()
	defer func() {
		if err != nil {
			l.log.Error("no backup was made", "error", err)
			return
		}
		l.log.Info("a backup was made", "took", l.now().Sub(began).String())
	}()
	if err := l.roomForCopy(); err != nil {
		return err
	}
	schema, err := l.schema(ctx)
	if err != nil {
		return err
	}
	w, err := backup.NewWriter(to, backup.Head{CreatedAt: l.now().UTC(), Version: ThisBuild().Version, Schema: schema.Have})
	if err != nil {
		return err
	}
	if err := l.store.Copy(ctx, w.Add); err != nil {
		return err
	}
	keys, err := os.ReadFile(filepath.Join(l.settings.Storage.DataDir, seal.FileName))
	if err == nil {
		err = w.Add(seal.FileName, int64(len(keys)), strings.NewReader(string(keys)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without a first serve there are none
		return fmt.Errorf("add the keys: %w", err)
	}
	return w.Close()
}

// roomForCopy makes sure that the copy of the database does not fill the disk: it lies in
// the data directory until it is packed.
func (l *local) roomForCopy() error {
	dir := l.settings.Storage.DataDir
	info, err := os.Stat(filepath.Join(dir, sqlite.DatabaseName))
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	room, err := freeRoom(dir)
	if err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	if need := info.Size() + int64(l.settings.Storage.DiskFloor); room.DiskBytes < need {
		return fmt.Errorf("a backup needs %d MB free in %s for a while, there are %d", need>>20, dir, room.DiskBytes>>20)
	}
	return nil
}

// serveBackup streams a backup through the socket. One that fails on the way is cut off, so
// that nobody takes it for whole.
func serveBackup(op operator, w http.ResponseWriter, r *http.Request) {
	out := &begun{w: w}
	err := op.backup(r.Context(), out)
	switch {
	case err == nil:
	case !out.yes:
		answerSocket(w, nil, err)
	default:
		panic(http.ErrAbortHandler)
	}
}

// begun knows whether something was written.
type begun struct {
	w   io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

// backup has the running server make it.
func (r *remote) backup(ctx context.Context, to io.Writer) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://postroad/backup", nil)
	if err != nil {
		return err
	}
	res, err := r.client.Do(q)
	if err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return faultOf(res)
	}
	in := &marked{from: res.Body}
	if _, err := io.Copy(to, in); in.err != nil {
		return fmt.Errorf("the running server broke off, its log says why: %w", in.err)
	} else if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// marked remembers a failure to read.
type marked struct {
	from io.Reader
	err  error
}

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// Restored tells what came out of a backup.
type Restored struct {
	backup.Head
	Files int
	Bytes int64
}

// Restore unpacks a backup into the data directory, which must be empty. The database is
// examined before anything is put in place.
func Restore(ctx context.Context, s *config.Settings, from io.Reader) (Restored, error) {
	head, files, err := backup.Unpack(ctx, from, s.Storage.DataDir, func(dir string, _ backup.Head) error {
		if err := sqlite.Verify(ctx, filepath.Join(dir, sqlite.DatabaseName)); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, seal.FileName)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		_, err := seal.Open(dir)
		return err
	})
	out := Restored{Head: head, Files: len(files)}
	for _, f := range files {
		out.Bytes += f.Size
	}
	return out, err
}

package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// unpackDir is where files lie inside the directory until all are there and right.
const unpackDir = "restore.tmp"

const (
	maxJSON   = 256 << 20 // of files.json: about two million files
	maxWindow = 64 << 20  // bytes of history an archive may ask us to keep
)

var (
	// ErrNotEmpty says that there is something where an archive was to be unpacked.
	ErrNotEmpty = errors.New("the data directory is not empty")
	// ErrBroken says that an archive is not whole, or not one of ours.
	ErrBroken = errors.New("this is not a whole backup of Postroad")
)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
}

// Unpack restores an archive into a directory that is empty, or not there yet. check looks
// at the unpacked files before they are put in place. When anything is wrong, the directory
// is left as it was.
func Unpack(ctx context.Context, from io.Reader, dir string, check func(dir string, head Head) error) (Head, []File, error) {
	if err := makeEmpty(dir); err != nil {
		return Head{}, nil, err
	}
	to := filepath.Join(dir, unpackDir)
	head, files, err := unpack(ctx, from, to)
	if err == nil && check != nil {
		err = check(to, head)
	}
	if err == nil {
		err = putInPlace(to, dir)
	}
	if err != nil {
		return Head{}, nil, errors.Join(err, os.RemoveAll(to))
	}
	return head, files, nil
}

// makeEmpty makes the directory, or makes sure that nothing is in it but what a restore
// that was cut off has left.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into the data directory: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != unpackDir && name != "lost+found" {
			return fmt.Errorf("%w: %s has %s", ErrNotEmpty, dir, name)
		}
	}
	return os.RemoveAll(filepath.Join(dir, unpackDir))
}

func unpack(ctx context.Context, from io.Reader, to string) (head Head, files []File, err error) {
	plain, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return head, nil, broken("%v", err)
	}
	defer plain.Close()
	u := unpacker{ctx: ctx, to: to, tar: tar.NewReader(plain)}
	if err := u.head(&head); err != nil {
		return head, nil, err
	}
	for u.list == nil {
		if err := u.next(); err != nil {
			return head, nil, err
		}
	}
	if !slices.Equal(u.list, u.files) {
		return head, nil, broken("its files are not those of its list")
	}
	return head, u.files, nil
}

// unpacker reads one archive.
type unpacker struct {
	ctx   context.Context // of the one call
	to    string
	tar   *tar.Reader
	files []File
	list  []File // the last entry; nil: not come yet
}

func (u *unpacker) head(into *Head) error {
	h, err := u.tar.Next()
	if err != nil || h.Name != headName {
		return broken("it does not begin as one")
	}
	if err := u.json(into); err != nil {
		return err
	}
	if into.Format != format {
		return fmt.Errorf("the backup has format %d, this version reads %d: use the version that made it (%s)", into.Format, format, into.Version)
	}
	return os.MkdirAll(u.to, 0o700)
}

func (u *unpacker) json(into any) error {
	text, err := io.ReadAll(io.LimitReader(u.tar, maxJSON))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return broken("%v", err)
	}
	return nil
}

func (u *unpacker) next() error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	h, err := u.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return broken("it is cut off")
	case err != nil:
		return broken("%v", err)
	case h.Name == listName:
		u.list = []File{}
		return u.json(&u.list)
	case h.Typeflag != tar.TypeReg || !safeName(h.Name):
		return broken("%q is no file of it", h.Name)
	}
	return u.file(h.Name)
}

func (u *unpacker) file(name string) error {
	full := filepath.Join(u.to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return broken("%q stands in it twice", name)
	}
	if err != nil {
		return err
	}
	sum := sha256.New()
	in := &reading{from: u.tar}
	n, err := io.Copy(out, io.TeeReader(in, sum))
	if in.err != nil {
		err = broken("%v", in.err)
	}
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	u.files = append(u.files, File{name, n, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// reading tells faults of the archive from those of the disk it is unpacked to.
type reading struct {
	from io.Reader
	err  error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// safeName allows relative names that stay below their directory.
func safeName(name string) bool {
	return fs.ValidPath(name) && name != "." && path.Clean(name) == name && filepath.IsLocal(filepath.FromSlash(name)) &&
		name != headName && name != listName
}

// putInPlace moves what was unpacked up to its directory.
func putInPlace(from, dir string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("put %s in place: %w", e.Name(), err)
		}
	}
	if err := os.Remove(from); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

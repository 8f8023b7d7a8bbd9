package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

const (
	bodiesDir    = "bodies"
	bodyInside   = 256 << 10 // up to so many bytes a body stands in the database
	bodyPlain    = 4 << 10   // up to so many it is not worth compressing
	bodySuffix   = ".zst"
	bodyUnsettle = ".tmp" // being written
)

// The kinds of bodies, as stored.
const (
	bodyRaw = iota
	bodyZstd
	bodyFile
	bodySealedRaw // encrypted: see bodykey.go. The first two are of older versions.
	bodySealedZstd
)

// body is a message's content on its way into its row.
type body struct {
	kind  int64
	size  int64
	bytes []byte
	key   bodyKey  // of the sealed kinds
	file  *spooled // of kind bodyFile
	own   bool     // the file was written here, not by a caller of Spool
}

// prepareBody decides where content will stand; what is too large for the database is
// written to its file now, so that the commit only names it.
func (s *Store) prepareBody(ctx context.Context, c mail.Content) (body, error) {
	switch c := c.(type) {
	case nil:
		return body{}, errors.New("a message without content")
	case *spooled:
		if c.store != s {
			return body{}, errors.New("content spooled by another store")
		}
		return body{kind: bodyFile, size: c.size, bytes: []byte(c.name), file: c}, nil
	case mail.Bytes:
		if len(c) <= bodyInside {
			return insideBody(c), nil
		}
	}
	if c.Size() <= bodyInside {
		whole, err := readAll(c)
		return insideBody(whole), err
	}
	f, err := s.spool(ctx, func(w io.Writer) error { return copyContent(w, c) })
	if err != nil {
		return body{}, err
	}
	return body{kind: bodyFile, size: f.size, bytes: []byte(f.name), file: f, own: true}, nil
}

// dropOwn takes back a file that prepareBody wrote when the message did not enter.
func (b *body) dropOwn() {
	if b.own {
		_ = b.file.Discard()
	}
}

func insideBody(c []byte) body {
	b := body{kind: bodySealedRaw, size: int64(len(c)), key: newBodyKey()}
	if len(c) > bodyPlain {
		enc := smallEncoders.Get().(*zstd.Encoder)
		packed := enc.EncodeAll(c, make([]byte, 0, len(c)))
		smallEncoders.Put(enc)
		if len(packed) < len(c) {
			b.kind, b.bytes = bodySealedZstd, packed
			b.key.crypt(packed, packed)
			return b
		}
	}
	b.bytes = make([]byte, len(c)) // the caller goes on with c
	b.key.crypt(b.bytes, c)
	return b
}

func readAll(c mail.Content) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(c.Size()))
	err := copyContent(&buf, c)
	return buf.Bytes(), err
}

func copyContent(w io.Writer, c mail.Content) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// The fastest level: it gives up on data that does not compress after a look, so that
// 50 MB of random bytes cost little more than copying them.
var (
	smallEncoders = sync.Pool{New: func() any { return newEncoder(nil) }}
	largeEncoders = sync.Pool{New: func() any { return newEncoder(nil) }}
	decoders      = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(bodyWindow))
		if err != nil {
			panic(err) // only wrong options fail
		}
		return d
	}}
)

const bodyWindow = 512 << 10 // bytes of history: bounds the memory of both directions

func newEncoder(w io.Writer) *zstd.Encoder {
	e, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(bodyWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // only wrong options fail
	}
	return e
}

// spooled is a body in a file of its own.
type spooled struct {
	store   *Store
	name    string
	size    int64
	plain   bool        // a hosted file: below files/, not compressed
	adopted atomic.Bool // a message owns it: Discard does nothing
}

// Spool writes content to a file below bodies/, compressed and fsynced.
func (s *Store) Spool(ctx context.Context, write func(io.Writer) error) (submit.Spooled, error) {
	f, err := s.spool(ctx, write)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s *Store) spool(ctx context.Context, write func(io.Writer) error) (*spooled, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	f := &spooled{store: s, name: hex.EncodeToString(random[:]) + bodySuffix}
	if err := f.settle(func(path string) (int64, error) { return writeBody(ctx, path, write) }, filepath.Join(s.dir, bodiesDir)); err != nil {
		return nil, fmt.Errorf("spool a body: %w", err)
	}
	return f, nil
}

// settle has the file written beside its place, moves it there when it is whole, and syncs
// its directory and those above that name it. When it fails nothing is left.
func (f *spooled) settle(write func(path string) (int64, error), above ...string) error {
	final := f.path()
	temporary := final + bodyUnsettle
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	size, err := write(temporary)
	if err == nil {
		err = os.Rename(temporary, final)
	}
	if err == nil {
		err = syncDir(filepath.Dir(final))
		for _, dir := range above {
			err = errors.Join(err, syncDir(dir))
		}
	}
	if err != nil {
		_ = os.Remove(temporary)
		_ = os.Remove(final)
		return err
	}
	f.size = size
	return nil
}

// writeBody compresses what write gives into a new file and syncs it; it tells the size
// before compression.
func writeBody(ctx context.Context, path string, write func(io.Writer) error) (int64, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	enc := largeEncoders.Get().(*zstd.Encoder)
	enc.Reset(file)
	count := counter{ctx: ctx, w: enc}
	err = write(&count)
	err = errors.Join(err, enc.Close())
	enc.Reset(nil)
	largeEncoders.Put(enc)
	if err == nil {
		err = file.Sync()
	}
	return count.n, errors.Join(err, file.Close())
}

type counter struct {
	ctx context.Context
	w   io.Writer
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) bodyPath(name string) string {
	return filepath.Join(s.dir, bodiesDir, name[:2], name)
}

func (f *spooled) path() string {
	if f.plain {
		return f.store.filePath(f.name)
	}
	return f.store.bodyPath(f.name)
}

func (f *spooled) Size() int64 { return f.size }

// Discard removes the file unless a message has it.
func (f *spooled) Discard() error {
	if f.adopted.Load() {
		return nil
	}
	err := os.Remove(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Open reads the file from its beginning. [mail.ErrNoContent] when it is gone.
func (f *spooled) Open() (io.ReadCloser, error) {
	file, err := os.Open(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mail.ErrNoContent
	}
	if err != nil {
		return nil, err
	}
	if f.plain {
		return file, nil
	}
	dec := decoders.Get().(*zstd.Decoder)
	if err := dec.Reset(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &bodyReader{dec: dec, file: file}, nil
}

type bodyReader struct {
	dec  *zstd.Decoder
	file *os.File
}

func (r *bodyReader) Read(p []byte) (int, error) {
	if r.dec == nil {
		return 0, fs.ErrClosed
	}
	return r.dec.Read(p)
}

func (r *bodyReader) WriteTo(w io.Writer) (int64, error) {
	if r.dec == nil {
		return 0, fs.ErrClosed
	}
	return r.dec.WriteTo(w)
}

func (r *bodyReader) Close() error {
	if r.dec == nil {
		return nil
	}
	_ = r.dec.Reset(nil)
	decoders.Put(r.dec)
	r.dec = nil
	return r.file.Close()
}

// Content gives a message's bytes, from memory or from its file.
func (s *Store) Content(ctx context.Context, message int64) (c mail.Content, err error) {
	var kind, size int64
	var stored []byte
	var key bodyKey
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		q := conn.Prep(`SELECT kind, size, bytes, key FROM bodies LEFT JOIN body_keys USING (message) WHERE message = ?`)
		q.BindInt64(1, message)
		found, err := first(q, func(q *sqlite.Stmt) {
			kind, size, stored = q.ColumnInt64(0), q.ColumnInt64(1), columnBlob(q, 2)
			q.ColumnBytes(3, key[:])
		})
		if err == nil && !found {
			err = mail.ErrNoContent
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if kind == bodySealedRaw || kind == bodySealedZstd {
		key.crypt(stored, stored)
	}
	switch kind {
	case bodyRaw, bodySealedRaw:
		return mail.Bytes(stored), nil
	case bodyZstd, bodySealedZstd:
		dec := decoders.Get().(*zstd.Decoder)
		defer decoders.Put(dec)
		whole, err := dec.DecodeAll(stored, make([]byte, 0, size))
		return mail.Bytes(whole), err
	}
	f := &spooled{store: s, name: string(stored), size: size}
	f.adopted.Store(true)
	if _, err := os.Stat(s.bodyPath(f.name)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, mail.ErrNoContent
		}
		return nil, err
	}
	return f, nil
}

// sweepBodies removes files that no message has: spooled, but the process died before
// the acceptance that would have carried them.
func (t *tx) sweepBodies(s *Store) error {
	known := make(map[string]bool)
	err := each(t.conn.Prep(`SELECT bytes FROM bodies WHERE kind = 2`), func(q *sqlite.Stmt) error {
		known[string(columnBlob(q, 0))] = true
		return nil
	})
	if err != nil {
		return err
	}
	root := filepath.Join(s.dir, bodiesDir)
	swept := 0
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := e.Name()
		if known[name] || !strings.HasSuffix(name, bodySuffix) && !strings.HasSuffix(name, bodyUnsettle) {
			return nil
		}
		swept++
		return os.Remove(path)
	})
	if swept > 0 {
		s.log.Info("removed bodies that belong to no message", "count", swept)
	}
	return err
}

package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

const (
	format   = 1
	headName = "postroad-backup.json"
	listName = "files.json"
)

// Head says what an archive is.
type Head struct {
	Format    int       `json:"format"`
	CreatedAt time.Time `json:"created_at"`
	Version   string    `json:"version"` // of the Postroad that made it
	Schema    int       `json:"schema"`
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"` // relative, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Writer writes an archive. Without a Close that succeeded it is no archive.
type Writer struct {
	packed *zstd.Encoder
	tar    *tar.Writer
	head   Head
	files  []File
}

// NewWriter begins an archive.
func NewWriter(to io.Writer, head Head) (*Writer, error) {
	packed, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("begin the archive: %w", err)
	}
	head.Format = format
	w := &Writer{packed: packed, tar: tar.NewWriter(packed), head: head}
	return w, w.addJSON(headName, head)
}

// Add writes one file; from must give exactly size bytes.
func (w *Writer) Add(name string, size int64, from io.Reader) error {
	if !safeName(name) {
		return fmt.Errorf("%q is no name for a file of the archive", name)
	}
	sum := sha256.New()
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: w.head.CreatedAt, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	n, err := io.Copy(w.tar, io.TeeReader(from, sum))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.files = append(w.files, File{name, size, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Close writes the list of files and ends the archive.
func (w *Writer) Close() error {
	err := w.addJSON(listName, w.files)
	return errors.Join(err, w.tar.Close(), w.packed.Close())
}

func (w *Writer) addJSON(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600, ModTime: w.head.CreatedAt, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := w.tar.Write(text); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

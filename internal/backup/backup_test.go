package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/postroad/postroad/internal/backup"
)

var moment = time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)

func pack(t testing.TB, files map[string]string, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, backup.Head{CreatedAt: moment, Version: "1.2.3", Schema: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := w.Add(name, int64(len(files[name])), strings.NewReader(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var (
	some  = map[string]string{"postroad.db": strings.Repeat("rows", 5000), "bodies/ab/abcd.zst": "content", "secret.key": "key"}
	names = []string{"postroad.db", "bodies/ab/abcd.zst", "secret.key"}
)

func unpack(archive []byte, dir string) error {
	_, _, err := backup.Unpack(context.Background(), bytes.NewReader(archive), dir, nil)
	return err
}

func left(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWhatWasPackedIsUnpacked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	checked := false
	head, files, err := backup.Unpack(t.Context(), bytes.NewReader(pack(t, some, names...)), dir, func(at string, _ backup.Head) error {
		_, err := os.Stat(filepath.Join(at, "postroad.db"))
		checked = err == nil
		return err
	})
	if err != nil || !checked {
		t.Fatal(err, checked)
	}
	if head.Version != "1.2.3" || head.Schema != 5 || !head.CreatedAt.Equal(moment) || len(files) != 3 || left(t, dir) != 3 {
		t.Errorf("%+v %v, %d entries", head, files, left(t, dir))
	}
	for name, want := range some {
		text, err := os.ReadFile(filepath.Join(dir, name))
		info, _ := os.Stat(filepath.Join(dir, name))
		if err != nil || string(text) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, err, info.Mode())
		}
	}
}

func TestNothingIsPutWhereSomethingIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "postroad.db"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unpack(pack(t, some, names...), dir); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("got %v", err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "postroad.db")); string(text) != "mine" || left(t, dir) != 1 {
		t.Errorf("there is %q now, %d entries", text, left(t, dir))
	}
}

func TestARestoreThatWasCutOffCanBeDoneAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "restore.tmp", "bodies"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unpack(pack(t, some, names...), dir); err != nil || left(t, dir) != 3 {
		t.Errorf("%v, %d entries", err, left(t, dir))
	}
}

func TestABrokenArchiveLeavesNothing(t *testing.T) {
	t.Parallel()
	whole := pack(t, some, names...)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x40
	for says, archive := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "cut off": whole[:len(whole)-20], "half": whole[:len(whole)/2], "flipped": flipped,
		"without its head":      handmade(t, "postroad.db", "x", "files.json", `[]`),
		"without its list":      handmade(t, "postroad-backup.json", `{"format":1}`, "postroad.db", "x"),
		"with a file too many":  handmade(t, "postroad-backup.json", `{"format":1}`, "postroad.db", "x", "files.json", `[]`),
		"with a file too few":   handmade(t, "postroad-backup.json", `{"format":1}`, "files.json", `[{"name":"postroad.db","size":1,"sha256":""}]`),
		"of another format":     handmade(t, "postroad-backup.json", `{"format":2}`, "files.json", `[]`),
		"climbing":              handmade(t, "postroad-backup.json", `{"format":1}`, "../evil", "x", "files.json", `[]`),
		"with an absolute name": handmade(t, "postroad-backup.json", `{"format":1}`, "/tmp/evil", "x", "files.json", `[]`),
		"with a name twice":     handmade(t, "postroad-backup.json", `{"format":1}`, "a", "x", "a", "y", "files.json", `[]`),
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := unpack(archive, dir); err == nil {
			t.Errorf("an archive %s was unpacked", says)
		}
		if n := left(t, dir); n != 0 {
			t.Errorf("an archive %s left %d entries", says, n)
		}
	}
}

func TestAFailedCheckLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, _, err := backup.Unpack(t.Context(), bytes.NewReader(pack(t, some, names...)), dir, func(string, backup.Head) error { return errors.New("no") })
	if err == nil || left(t, dir) != 0 {
		t.Errorf("%v, %d entries", err, left(t, dir))
	}
}

func TestAFileThatIsShorterThanToldIsNotPacked(t *testing.T) {
	t.Parallel()
	w, err := backup.NewWriter(&bytes.Buffer{}, backup.Head{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add("a", 10, strings.NewReader("short")); err == nil {
		t.Error("it was")
	}
}

// handmade is an archive of names and texts in turn.
func handmade(t testing.TB, parts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	packed, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(packed)
	for i := 0; i < len(parts); i += 2 {
		if err := archive.WriteHeader(&tar.Header{Name: parts[i], Size: int64(len(parts[i+1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(parts[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, some, names...))
	f.Add(handmade(f, "postroad-backup.json", `{"format":1}`, "../evil", "x", "files.json", `[]`))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "data")
		err := unpack(archive, dir)
		if left(t, outer) > 1 {
			t.Error("something was put outside of the directory")
		}
		if n := left(t, dir); err != nil && n != 0 {
			t.Errorf("%v left %d entries", err, n)
		}
	})
}

package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/store/sqlite"
)

// copyTo copies a store into a directory.
func copyTo(t testing.TB, s *sqlite.Store, dir string) {
	t.Helper()
	err := s.Copy(context.Background(), func(name string, size int64, from io.Reader) error {
		text, err := io.ReadAll(from)
		if int64(len(text)) != size {
			t.Errorf("%s has %d bytes, %d were told", name, len(text), size)
		}
		full := filepath.Join(dir, name)
		return errors.Join(err, os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, text, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestACopyMadeUnderLoadIsAWholeStore(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	owner := keeping(t, s, "one", 1)
	known := []secret{newSecret(1, owner, 100), newSecret(2, owner, 300_000)}
	deliverAll(t, s, known)
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load() || n < 20; n++ {
			deliverAll(t, s, []secret{newSecret(100+n, owner, 1000)})
		}
		done <- n
	}()
	dir := t.TempDir()
	copyTo(t, s, dir)
	stop.Store(true)
	<-done
	if err := sqlite.Verify(t.Context(), filepath.Join(dir, sqlite.DatabaseName)); err != nil {
		t.Fatal(err)
	}
	twin := open(t, dir)
	for _, k := range known {
		r, err := twin.Message(t.Context(), owner, k.a.Message.ID)
		if err != nil || !r.HasContent {
			t.Fatal(r, err)
		}
		c, err := twin.Content(t.Context(), r.Message.Row)
		if err != nil {
			t.Fatal(err)
		}
		in, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil || !bytes.Contains(text, k.token) {
			t.Errorf("a content of %d bytes came back without its token: %v", len(text), err)
		}
	}
	deliverAll(t, twin, []secret{newSecret(3, owner, 100)}) // it works, too
}

func TestACopyHasNothingOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	short, long := keeping(t, s, "short", 1), keeping(t, s, "long", 20)
	var pairs [][]secret
	for n := range 100 {
		pair := []secret{newSecret(2*n, short, 900), newSecret(2*n+1, long, 900)}
		deliverAll(t, s, pair)
		pairs = append(pairs, pair)
	}
	keys, _, err := s.BodyKeys()
	if err != nil || len(keys) != 200 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	sweep(t, s, time.Now().Add(2*aDay))
	dir := t.TempDir()
	copyTo(t, s, dir)
	files := onDisk(t, dir)
	for _, pair := range pairs {
		for _, trace := range pair[0].traces(keys) {
			if found := holders(files, trace); found != nil {
				t.Errorf("of a content %d bytes are left in %v", len(trace), found)
			}
		}
		if holders(files, keys[pair[1].row]) == nil {
			t.Fatal("a content is gone before its time")
		}
	}
}

func TestACopyThatIsGivenUpLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	deliverAll(t, s, []secret{newSecret(1, keeping(t, s, "one", 1), 300_000)})
	full := errors.New("no room there")
	if err := s.Copy(t.Context(), func(string, int64, io.Reader) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Copy(ctx, func(string, int64, io.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "copy-*"))
	if left != nil {
		t.Errorf("%v is left", left)
	}
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(dir, "copy-123.tmp"), []byte("x"), 0o600)); err != nil { // of a process that died
		t.Fatal(err)
	}
	open(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, "copy-*")); left != nil {
		t.Errorf("%v is left after a start", left)
	}
}

func TestADamagedDatabaseIsNotRestored(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	owner := keeping(t, s, "one", 1)
	for n := range 20 {
		deliverAll(t, s, []secret{newSecret(n, owner, 3000)})
	}
	dir := t.TempDir()
	copyTo(t, s, dir)
	path := filepath.Join(dir, sqlite.DatabaseName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for says, damage := range map[string]func([]byte) []byte{
		"overwritten": func(b []byte) []byte { copy(b[len(b)/2:], bytes.Repeat([]byte{0xff}, 20_000)); return b },
		"cut off":     func(b []byte) []byte { return b[:len(b)/2] },
		"no database": func([]byte) []byte { return []byte(strings.Repeat("hello ", 1000)) },
		"empty":       func([]byte) []byte { return nil },
	} {
		broken := filepath.Join(t.TempDir(), "broken.db")
		if err := os.WriteFile(broken, damage(bytes.Clone(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sqlite.Verify(t.Context(), broken); err == nil {
			t.Errorf("one that is %s was found good", says)
		}
	}
}

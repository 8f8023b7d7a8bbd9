package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/internal/seal"
)

func open(t *testing.T, dir string) *seal.Ring {
	t.Helper()
	ring, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestWhatIsSealedOpensAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	sealed := first.Seal([]byte("private"), "dkim")
	if bytes.Contains(sealed, []byte("private")) {
		t.Error("it is not encrypted")
	}
	if bytes.Equal(sealed, first.Seal([]byte("private"), "dkim")) {
		t.Error("two seals of one text are the same")
	}
	second := open(t, dir)
	if plain, err := second.Open(sealed, "dkim"); err != nil || string(plain) != "private" {
		t.Errorf("got %q, %v", plain, err)
	}
	if first.Derive("a") != second.Derive("a") || first.Derive("a") == first.Derive("b") {
		t.Error("derived keys must depend on the label, and on nothing else")
	}
	info, err := os.Stat(filepath.Join(dir, seal.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestNothingElseOpens(t *testing.T) {
	t.Parallel()
	ring := open(t, t.TempDir())
	sealed := ring.Seal([]byte("private"), "dkim")
	if _, err := ring.Open(sealed, "cursor"); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("another label: %v", err)
	}
	if _, err := open(t, t.TempDir()).Open(sealed, "dkim"); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("another ring: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := ring.Open(changed, "dkim"); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := ring.Open(sealed[:i], "dkim"); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("cut off at %d: %v", i, err)
		}
	}
}

func TestAKeyIsRotatedByAddingALine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, seal.FileName)
	before := open(t, dir)
	sealed, derived := before.Seal([]byte("old"), "x"), before.Derive("x")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	more := string(text) + "0000cafe " + strings.Repeat("A", 43) + "=\n"
	if err := os.WriteFile(path, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir)
	if plain, err := after.Open(sealed, "x"); err != nil || string(plain) != "old" {
		t.Errorf("sealed before the rotation: %q, %v", plain, err)
	}
	if _, err := before.Open(after.Seal([]byte("new"), "x"), "x"); err == nil {
		t.Error("the new key is not used")
	}
	if after.Derive("x") != derived {
		t.Error("derived keys changed")
	}
}

func TestTwoThatStartAtOnceShareARing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wait sync.WaitGroup
	keys := make([][32]byte, 16)
	for i := range keys {
		wait.Go(func() {
			if ring, err := seal.Open(dir); err == nil {
				keys[i] = ring.Derive("x")
			}
		})
	}
	wait.Wait()
	for i, k := range keys {
		if k != keys[0] || k == [32]byte{} {
			t.Fatalf("start %d has another ring", i)
		}
	}
}

func TestADamagedKeyFileIsNeverReplaced(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "only a remark": "# nothing\n", "short key": "00000001 AAAA\n", "no identifier": strings.Repeat("A", 43) + "=\n",
		"bad identifier": "zz " + strings.Repeat("A", 43) + "=\n",
		"twice":          strings.Repeat("00000001 "+strings.Repeat("A", 43)+"=\n", 2),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, seal.FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(dir); err == nil {
			t.Errorf("%s: opened", name)
		}
		if after, _ := os.ReadFile(path); string(after) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := seal.Open(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a directory that is not there: opened")
	}
}

package sqlite_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

func TestFilesNobodyHasAreSweptAtTheNextStart(t *testing.T) {
	t.Parallel()
	ctx, dir, now := context.Background(), t.TempDir(), time.Now()
	s := open(t, dir)
	spool := func() submit.Spooled {
		f, err := s.SpoolFile(ctx, func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err })
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, id := newAcceptance(1, false), mail.NewID(now)
	a.Files = []submit.NewFile{{File: mail.File{ID: id, Filename: "a", ExpiresAt: now.Add(time.Hour)}, Content: spool()}}
	accept(t, s, a)
	spool() // and the process dies
	if err := os.WriteFile(filepath.Join(dir, "files", "half.bin.tmp"), []byte("he"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	files := 0
	_ = filepath.WalkDir(filepath.Join(dir, "files"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files++
		}
		return err
	})
	if files != 1 {
		t.Errorf("%d files", files)
	}
	_, r, err := s.OpenFile(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestABatchOfAThousandIsOneCommit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	b := &submit.BatchAcceptance{}
	for i := range 1000 {
		b.Items = append(b.Items, newAcceptance(int64(i), false))
	}
	before := s.Stats()
	if r, err := s.AcceptBatch(context.Background(), b); err != nil || len(r.Items) != 1000 || r.Items[999].Row == 0 {
		t.Fatal(len(r.Items), err)
	}
	if after := s.Stats(); after.Commits-before.Commits != 1 {
		t.Errorf("%d commits", after.Commits-before.Commits)
	}
}

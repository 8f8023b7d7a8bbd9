package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeOperator answers as it is told and remembers what it was asked.
type fakeOperator struct {
	asked    NewKey
	password string
	err      error
	early    error // of a backup that does not begin
}

func (f *fakeOperator) createKey(_ context.Context, n NewKey) (MadeKey, error) {
	f.asked = n
	return MadeKey{ID: "key_12345678", Secret: "sk_test_…"}, f.err
}
func (f *fakeOperator) setPassword(_ context.Context, password string) error {
	f.password = password
	return f.err
}
func (f *fakeOperator) backup(_ context.Context, to io.Writer) error {
	if f.early != nil {
		return f.early
	}
	if _, err := io.WriteString(to, strings.Repeat("backup", 10_000)); err != nil {
		return err
	}
	return f.err
}
func (f *fakeOperator) schema(context.Context) (Schema, error) { return Schema{2, 3}, f.err }
func (f *fakeOperator) reportList(_ context.Context, before int64, limit int) ([]Report, error) {
	return []Report{{ID: "rep_x", Row: before - 1, Size: int64(limit)}}, f.err
}
func (f *fakeOperator) report(_ context.Context, id string) (Report, error) {
	return Report{ID: id, Letter: []byte{0, 255, 10}}, f.err
}
func (f *fakeOperator) examine(_ context.Context, offline bool) ([]Check, error) {
	if offline {
		return []Check{{ID: "port25_egress", Status: "skip"}}, f.err
	}
	return []Check{{ID: "port25_egress", Status: "fail", Summary: "closed", Fix: "open it"}}, f.err
}

func serveSocket(t *testing.T, dir string, op operator) {
	t.Helper()
	l, release, err := listenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: socketHandler(op)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done; release() })
}

func TestTheSocketCarriesTheOperatorsOrders(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"in a short path":                   t.TempDir(),
		"in one longer than a socket's may": filepath.Join(t.TempDir(), strings.Repeat("deep", 20), strings.Repeat("deeper", 20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			op := &fakeOperator{}
			serveSocket(t, dir, op)
			if info, err := os.Stat(filepath.Join(dir, socketName)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode: %v, %v", info, err)
			}
			r, hangUp, err := dialServer(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			defer hangUp()
			made, err := r.createKey(t.Context(), NewKey{Project: "default", Env: "live", Scopes: []string{"send"}, Name: "ci", ExpiresIn: 3600})
			if err != nil || made.Secret != "sk_test_…" || op.asked.Name != "ci" || op.asked.ExpiresIn != 3600 || op.asked.Scopes[0] != "send" {
				t.Errorf("%+v, %v; asked %+v", made, err, op.asked)
			}
			if err := r.setPassword(t.Context(), "correct horse"); err != nil || op.password != "correct horse" {
				t.Errorf("%v; asked %q", err, op.password)
			}
			if s, err := r.schema(t.Context()); err != nil || s != (Schema{2, 3}) {
				t.Errorf("%+v, %v", s, err)
			}
			if c, err := r.examine(t.Context(), true); err != nil || c[0].Status != "skip" {
				t.Errorf("%+v, %v", c, err)
			}
			if c, err := r.examine(t.Context(), false); err != nil || c[0].Fix != "open it" {
				t.Errorf("%+v, %v", c, err)
			}
			if all, err := r.reportList(t.Context(), 12, 7); err != nil || len(all) != 1 || all[0].Row != 11 || all[0].Size != 7 {
				t.Errorf("%+v, %v", all, err)
			}
			if one, err := r.report(t.Context(), "rep_y"); err != nil || one.ID != "rep_y" || string(one.Letter) != "\x00\xff\n" {
				t.Errorf("%+v, %v", one, err)
			}
			op.err = errors.New("there is no project \"x\"")
			if _, err := r.createKey(t.Context(), NewKey{}); err == nil || err.Error() != op.err.Error() {
				t.Errorf("the server's reason became %v", err)
			}
		})
	}
}

func TestASocketLeftByACrashIsReplacedAndNobodyAnswersAtIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := dialServer(t.Context(), dir); !errors.Is(err, errNoServer) {
		t.Errorf("an empty directory: %v", err)
	}
	l, release, err := listenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	_ = l.Close()
	release()
	if _, err := os.Lstat(filepath.Join(dir, socketName)); err != nil {
		t.Fatalf("the test left no socket behind: %v", err)
	}
	if _, _, err := dialServer(t.Context(), dir); !errors.Is(err, errNoServer) {
		t.Errorf("a dead socket: %v", err)
	}
	serveSocket(t, dir, &fakeOperator{})
	if _, hangUp, err := dialServer(t.Context(), dir); err != nil {
		t.Errorf("after the next start: %v", err)
	} else {
		hangUp()
	}
}

func TestABackupThroughTheSocketIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op   fakeOperator
		want string
	}{
		{fakeOperator{}, ""},
		{fakeOperator{early: errors.New("no room")}, "no room"},
		{fakeOperator{err: errors.New("the disk broke")}, "broke off"},
	} {
		dir := t.TempDir()
		serveSocket(t, dir, &c.op)
		r, hangUp, err := dialServer(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp()
		var got strings.Builder
		err = r.backup(t.Context(), &got)
		if c.want == "" && (err != nil || got.Len() != 60_000) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("want %q, got %v and %d bytes", c.want, err, got.Len())
		}
	}
}

package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/retention"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

const aDay = 24 * time.Hour

// keeping makes a project that keeps contents so many days, and messages for 30.
func keeping(t testing.TB, s *sqlite.Store, name string, days int) mail.Owner {
	t.Helper()
	settings := project.DefaultSettings()
	settings.ContentDays = days
	p, err := s.CreateProject(context.Background(), project.Project{ID: mail.NewID(time.Now()), Name: name, Settings: settings}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mail.Owner{Project: p.Row}
}

// secret is a message whose content has a token that stands nowhere else. Random bytes
// are stored by zstd as they are, so the token can be searched for in every form. In the
// database contents are encrypted: what shows that one can be read is its key.
type secret struct {
	a     *submit.Acceptance
	token []byte
	row   int64
}

// traces are what must be nowhere when the content is forgotten.
func (s *secret) traces(keys map[int64][]byte) [][]byte {
	if key := keys[s.row]; key != nil {
		return [][]byte{s.token, key}
	}
	return [][]byte{s.token}
}

func newSecret(n int, owner mail.Owner, size int) secret {
	token := make([]byte, 24)
	for i := range token {
		token[i] = byte(rand.Uint32())
	}
	content := make([]byte, 0, size+64)
	for len(content) < size {
		content = append(content, byte(rand.Uint32()))
	}
	half := len(content) / 2
	// Twice, since one may lie across two pages.
	content = slices.Concat(content[:half], token, content[:16], token, content[half:])
	a := newAcceptance(int64(n), true)
	a.Message.Owner, a.Deliveries[0].Owner = owner, owner
	a.Content, a.Message.Size = mail.Bytes(content), int64(len(content))
	return secret{a: a, token: token}
}

// deliverAll accepts messages and delivers them, in commits of several.
func deliverAll(t testing.TB, s *sqlite.Store, all []secret) {
	t.Helper()
	deliverAllAt(t, s, time.Now(), all)
}

func deliverAllAt(t testing.TB, s *sqlite.Store, now time.Time, all []secret) {
	t.Helper()
	ctx := context.Background()
	for len(all) > 0 {
		part := all[:min(len(all), 50)]
		all = all[len(part):]
		batch := make([]*submit.Acceptance, len(part))
		for i := range part {
			batch[i] = part[i].a
			batch[i].Message.CreatedAt = now
		}
		receipts, err := s.Accept(ctx, batch)
		if err != nil {
			t.Fatal(err)
		}
		var results []queue.Result
		for i, r := range receipts {
			part[i].row = r.Row
			if err := begin(ctx, s, batch[i], r.Leases[0], r.Row); err != nil {
				t.Fatal(err)
			}
			results = append(results, delivered(r.Leases[0]))
		}
		if lost, err := s.Settle(ctx, now, results); err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
	}
}

// sweep forgets and erases all that is due.
func sweep(t testing.TB, s *sqlite.Store, now time.Time) retention.Step {
	t.Helper()
	all, err := retention.New(retention.Options{Store: s}).Sweep(context.Background(), now)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// onDisk reads all files of a directory.
func onDisk(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !e.Type().IsRegular() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func holders(files map[string][]byte, token []byte) (found []string) {
	for name, text := range files {
		if bytes.Contains(text, token) {
			found = append(found, filepath.Base(name))
		}
	}
	return found
}

// Another process reads the files: one of ours that opened and closed the database file
// would let go of SQLite's locks on it.
func TestNothingOfAContentIsLeftOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	short, long := keeping(t, s, "short", 1), keeping(t, s, "long", 20)
	var goes, stays []secret
	var all []secret
	for n := range 500 {
		size := []int{60, 900, 3000, 6000, 30_000}[rand.IntN(5)] // in the row; over more than one page; tried with zstd
		if n%200 == 7 {
			size = 400_000 // in a file
		}
		if rand.IntN(3) > 0 {
			all = append(all, newSecret(n, short, size))
		} else {
			all = append(all, newSecret(n, long, size))
		}
	}
	deliverAll(t, s, all)
	for _, one := range all {
		if one.a.Message.Owner == short {
			goes = append(goes, one)
		} else {
			stays = append(stays, one)
		}
	}
	keys, _, err := s.BodyKeys()
	if err != nil || len(keys) < 450 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	did := sweep(t, s, time.Now().Add(aDay+time.Minute))
	if did.Contents != len(goes) {
		t.Fatalf("%d contents removed, want %d", did.Contents, len(goes))
	}
	copied := filepath.Join(t.TempDir(), "copy") // as it lies on disk while the store is open
	if err := copyTree(copied, dir); err != nil {
		t.Fatal(err)
	}
	files := onDisk(t, copied)
	left := 0
	for _, g := range goes {
		for _, trace := range g.traces(keys) {
			if found := holders(files, trace); found != nil {
				left++
				t.Logf("of a content of %d bytes %d are left in %v", g.a.Message.Size, len(trace), found)
			}
		}
	}
	if left > 0 {
		t.Errorf("%d of %d contents are left", left, len(goes))
	}
	for _, k := range stays {
		traces := k.traces(keys)
		if holders(files, traces[len(traces)-1]) == nil {
			t.Fatal("a content is gone before its time, or this test searches for the wrong thing")
		}
		c, err := s.Content(t.Context(), k.row)
		if err != nil || !bytes.Equal(readWhole(t, c), k.a.Content.(mail.Bytes)) {
			t.Fatal("a content that stays cannot be read", err)
		}
	}
}

func readWhole(t testing.TB, c mail.Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Rows of forgotten keys go in time, but not near one that is kept.
func TestForgottenKeysGoWhenNoLivingOneIsNear(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	short, long := keeping(t, s, "short", 1), keeping(t, s, "long", 20)
	var all []secret
	for n := range 3000 {
		owner := short
		if n == 2500 {
			owner = long
		}
		all = append(all, newSecret(n, owner, 20))
	}
	deliverAll(t, s, all)
	sweep(t, s, time.Now().Add(aDay+time.Minute))
	keys, forgotten, err := s.BodyKeys()
	if err != nil || len(keys) != 1 || forgotten != 2547 {
		t.Errorf("%d keys are kept and %d rows of forgotten ones, want 1 and 2048 before it with 499 after: %v", len(keys), forgotten, err)
	}
}

// copyTree copies by a process of its own.
func copyTree(to, from string) error {
	return exec.Command("cp", "-r", from, to).Run()
}

func TestNothingOfAnErasedAddressIsLeftOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	owner := keeping(t, s, "one", 30)
	token := "q7zk3vhw"
	var all []secret
	var erased secret
	for n := range 200 {
		all = append(all, newSecret(n, owner, 500))
		if n%40 != 3 {
			continue
		}
		a := all[n].a
		a.Deliveries[0].Address, a.Deliveries[0].Name = token+"@Example.com", token+"-name"
		a.Message.Subject, a.Message.Metadata = "for "+token, map[string]string{"user": token}
		a.Message.IdempotencyKey = "welcome/" + token
		a.Deliveries[0].Events[0].Detail.Summary = "to " + token
		a.Once = &mail.Once{Owner: owner, Route: "POST /v1/messages", Key: fmt.Sprint("key", n), Created: time.Now(), Expires: time.Now().Add(aDay)}
		a.Answer = func(submit.Receipt) mail.Answer {
			return mail.Answer{Status: 202, Body: []byte(`{"recipient":"` + token + `@Example.com"}`)}
		}
	}
	deliverAll(t, s, all)
	erased = all[3]
	keys, _, err := s.BodyKeys()
	if err != nil {
		t.Fatal(err)
	}
	service := retention.New(retention.Options{Store: s, Key: [32]byte{1}})
	order, err := service.Order(t.Context(), retention.Asked{Project: owner.Project, Address: token + "@example.com", By: "key_x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if did := sweep(t, s, time.Now()); did.Erased != 5 || did.Contents != 5 {
		t.Fatalf("erased %+v", did)
	}
	got, err := service.Find(t.Context(), owner.Project, order.ID.Text(mail.PrefixErasure))
	if err != nil || got.FinishedAt.IsZero() || got.Address != "" {
		t.Fatal(got, err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := copyTree(copied, dir); err != nil {
		t.Fatal(err)
	}
	files := onDisk(t, copied)
	for name, text := range files {
		if at := bytes.Index(bytes.ToLower(text), []byte(token)); at >= 0 {
			t.Errorf("%s still has %q", filepath.Base(name), text[max(0, at-60):min(len(text), at+60)])
		}
	}
	for _, trace := range erased.traces(keys) {
		if holders(files, trace) != nil {
			t.Error("its content is left")
		}
	}
	if holders(files, all[0].traces(keys)[1]) == nil || holders(files, []byte(got.Token)) == nil {
		t.Error("what should have stayed is gone, or this test searches for the wrong thing")
	}
}

func TestTheSizeIsFlatWhileMailComesAndGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	owner := keeping(t, s, "one", 1)
	size := func() (n int64) {
		for _, text := range onDiskSizes(t, dir) {
			n += text
		}
		return n
	}
	var settled int64
	for round := range 12 {
		var all []secret
		for n := range 150 {
			size := 2000
			if n == 0 {
				size = 300_000
			}
			all = append(all, newSecret(n, owner, size))
		}
		now := time.Now().Add(time.Duration(round) * 31 * aDay)
		deliverAllAt(t, s, now, all)
		if _, _, err := s.AddSuppression(t.Context(), mail.Suppression{ID: mail.NewID(time.Now()), Owner: owner, Address: "x@y.test", Kind: "manual", Reason: "manual",
			CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, nil, nil); err != nil {
			t.Fatal(err)
		}
		did := sweep(t, s, now.Add(31*aDay))
		if did.Messages != 150 || did.Contents != 150 || did.Events != 1 {
			t.Fatalf("round %d: %+v", round, did)
		}
		if round == 2 {
			settled = size()
		}
	}
	if last := size(); last > settled+settled/10 {
		t.Errorf("%d bytes after 3 rounds, %d after 12", settled, last)
	} else {
		t.Logf("%d bytes after 3 rounds, %d after 12", settled, last)
	}
	if n, err := s.CountRows(); err != nil || n > 3 {
		t.Errorf("%d rows are left of what should be forgotten, %v", n, err)
	}
}

// onDiskSizes does not open the files: see above.
func onDiskSizes(t testing.TB, dir string) (all []int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all = append(all, info.Size())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRowsAreNotGivenOutAgainAfterAStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	owner := keeping(t, s, "one", 1)
	first := newSecret(1, owner, 100)
	deliverAll(t, s, []secret{first})
	if did := sweep(t, s, time.Now().Add(31*aDay)); did.Messages != 1 {
		t.Fatalf("%+v", did)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	second := newSecret(2, owner, 100)
	r := accept(t, s, second.a)
	if r.Row != 2 || r.Deliveries[0] != 2 {
		t.Errorf("message %d and delivery %d, want 2: the walks have passed 1", r.Row, r.Deliveries[0])
	}
	events, err := s.Events(t.Context(), owner, r.Row)
	if err != nil || events[0].Position <= 3 {
		t.Errorf("position %d was another event's, %v", events[0].Position, err)
	}
}

func TestAFileThatACrashLeftGoesAtTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	owner := keeping(t, s, "one", 1)
	deliverAll(t, s, []secret{newSecret(1, owner, 300_000)})
	bodies := func() (found []string) {
		_ = filepath.WalkDir(filepath.Join(dir, "bodies"), func(path string, e fs.DirEntry, err error) error {
			if !e.IsDir() {
				found = append(found, path)
			}
			return err
		})
		return found
	}
	file := bodies()[0]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sweep(t, s, time.Now().Add(2*aDay))
	if n := len(bodies()); n != 0 {
		t.Fatalf("%d files after the sweep", n)
	}
	if err := errors.Join(s.Close(), os.WriteFile(file, text, 0o600)); err != nil { // as if the process had died before unlink
		t.Fatal(err)
	}
	open(t, dir)
	if n := len(bodies()); n != 0 {
		t.Errorf("%d files after the start", n)
	}
}

func TestAReaderOfAnOldStateMakesScrubBusy(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	owner := keeping(t, s, "one", 1)
	deliverAll(t, s, []secret{newSecret(1, owner, 100)})
	err := s.WhileReading(func() error {
		deliverAll(t, s, []secret{newSecret(2, owner, 100)})
		var err error
		took := time.Hour
		for round := 0; took > 5*time.Second && round < 3; round++ { // a machine that stalls is measured again
			began := time.Now()
			err = s.Scrub(t.Context())
			took = time.Since(began)
		}
		if took > 5*time.Second {
			t.Errorf("the writer waited %v", took)
		}
		return err
	})
	if !errors.Is(err, retention.ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Error(err)
	}
}

// What it costs while nothing is due, and to forget a message whole.
func BenchmarkForget(b *testing.B) {
	s := openStore(b)
	owner := keeping(b, s, "one", 1)
	now := time.Now()
	b.Run("nothing is due", func(b *testing.B) {
		deliverAllAt(b, s, now, []secret{newSecret(1, owner, 100)})
		for b.Loop() {
			if did, err := s.Forget(b.Context(), now); err != nil || did.Removed() {
				b.Fatal(did, err)
			}
		}
	})
	b.Run("a message", func(b *testing.B) {
		for left := b.N; left > 0; {
			var all []secret
			for n := range min(left, 1000) {
				all = append(all, newSecret(n, owner, 2000))
			}
			b.StopTimer()
			deliverAllAt(b, s, now, all)
			now = now.Add(31 * aDay)
			b.StartTimer()
			did := sweep(b, s, now)
			left -= did.Messages
		}
	})
}

package job_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/store/sqlite"
)

var owner = mail.Owner{Project: 1, Env: mail.Live}

type world struct {
	*testing.T
	dir   string
	store *sqlite.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	var err error
	if w.store, err = sqlite.Open(sqlite.Options{Dir: w.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) service(store job.Store) *job.Service {
	return job.NewService(job.Options{Store: store, Dir: filepath.Join(w.dir, "jobs"), Node: "one"})
}

func (w *world) start(s *job.Service, list io.Reader) job.Job {
	w.Helper()
	in, err := s.Spool(list)
	if err != nil {
		w.Fatal(err)
	}
	j, err := s.Start(w.Context(), in, owner, job.Facts{}, nil, nil)
	if err != nil {
		w.Fatal(err)
	}
	return j
}

// patience bounds every wait: whoever waits longer waits for ever.
const patience = time.Minute

// run works until a job is over.
func (w *world) run(s *job.Service, id mail.ID, limit time.Duration) job.Job {
	w.Helper()
	return w.runUntil(s, id, limit, func() bool { return false })
}

// runUntil works until a job is over, or stop says so.
func (w *world) runUntil(s *job.Service, id mail.ID, limit time.Duration, stop func() bool) job.Job {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), limit)
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for {
		j, err := w.store.Job(w.Context(), owner, id)
		if err != nil {
			w.Fatal(err)
		}
		if j.Over() || stop() {
			return j
		}
		select {
		case <-ctx.Done():
			return j
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *world) files() int {
	found, err := os.ReadDir(filepath.Join(w.dir, "jobs"))
	if err != nil {
		w.Fatal(err)
	}
	return len(found)
}

// addresses is a list of n lines, made as it is read.
func addresses(n int) io.Reader {
	r, out := io.Pipe()
	go func() {
		b := bufio.NewWriter(out)
		_, _ = b.WriteString("email,reason\n")
		for i := range n {
			_, _ = fmt.Fprintf(b, "user%d@example.com,manual\n", i)
		}
		_ = b.Flush()
		_ = out.Close()
	}()
	return r
}

// failing is a store that fails or counts.
type failing struct {
	*sqlite.Store
	fail  atomic.Int64 // batches that go well before one fails
	calls atomic.Int64
	third chan struct{} // what the third batch waits for; may be nil
	// lasting: after the one that fails no batch goes well.
	lasting bool
}

func (f *failing) ImportSuppressions(ctx context.Context, j job.Job, batch []mail.Suppression) (job.Job, error) {
	if f.calls.Add(1) == 3 && f.third != nil {
		<-f.third
	}
	if n := f.fail.Add(-1); n == 0 || n < 0 && f.lasting {
		return j, errors.New("the store is away")
	}
	return f.Store.ImportSuppressions(ctx, j, batch)
}

func TestAnImportGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &failing{Store: w.store, lasting: true}
	store.fail.Store(3)
	s := w.service(store)
	j := w.start(s, addresses(2600))
	// The third batch fails, and so does each that is tried instead a second later.
	w.runUntil(s, j.ID, patience, func() bool { return store.calls.Load() >= 3 })
	got, err := w.store.Job(t.Context(), owner, j.ID)
	if err != nil || got.Status != job.Running || got.Facts.Done != 1000 || got.Facts.Created != 1000 {
		t.Fatalf("after the fault: %+v %v", got, err)
	}
	got = w.run(w.service(w.store), j.ID, patience) // the next life
	if got.Status != job.Done || got.Facts.Done != 2600 || got.Facts.Created != 2600 || got.Facts.Existing != 0 || got.Facts.StartedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if w.files() != 0 {
		t.Error("the input is still there")
	}
}

func TestAJobWhoseInputIsGoneIsFailedAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.service(w.store)
	j := w.start(s, addresses(3))
	if err := os.RemoveAll(filepath.Join(w.dir, "jobs")); err != nil {
		t.Fatal(err)
	}
	if got := w.run(s, j.ID, patience); got.Status != job.Failed || !strings.Contains(got.Facts.Error, "gone") {
		t.Errorf("%+v", got)
	}
}

func TestAnotherNodesJobIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := job.NewService(job.Options{Store: w.store, Dir: filepath.Join(w.dir, "elsewhere"), Node: "two"})
	j := w.start(other, addresses(3))
	if got := w.run(w.service(w.store), j.ID, 200*time.Millisecond); got.Status != job.Queued {
		t.Errorf("%+v", got)
	}
}

func TestACancelledJobStopsBeforeItsNextBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &failing{Store: w.store, third: make(chan struct{})}
	s := w.service(store)
	j := w.start(s, addresses(50_000))
	go func() {
		defer close(store.third)
		for store.calls.Load() < 3 {
			time.Sleep(time.Millisecond)
		}
		_, _ = s.Cancel(context.Background(), owner, j.ID)
	}()
	got := w.run(s, j.ID, patience)
	if got.Status != job.Cancelled || got.Facts.Done > 3*500 || got.Facts.FinishedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if _, err := s.Cancel(t.Context(), owner, j.ID); !errors.Is(err, mail.ErrStale) {
		t.Errorf("cancelled twice: %v", err)
	}
	if found, err := w.store.Suppressed(t.Context(), owner, []string{"user0@example.com", "user49999@example.com"}, "", time.Now()); err != nil || len(found) != 1 {
		t.Errorf("%v %v", found, err)
	}
}

var usualRows = 100_000

// The whole size: POSTROAD_IMPORT_ROWS=1000000 go test -run Large ./internal/job
func TestALargeImportKeepsMemoryFlatAndTheListIsAsked(t *testing.T) {
	rows := usualRows
	if n, err := strconv.Atoi(os.Getenv("POSTROAD_IMPORT_ROWS")); err == nil {
		rows = n
	}
	w := newWorld(t)
	s := w.service(w.store)
	began := time.Now()
	j := w.start(s, addresses(rows))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done, most := make(chan job.Job), uint64(0)
	go func() { done <- w.run(s, j.ID, 10*time.Minute) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var got job.Job
	for got.ID.IsZero() {
		select {
		case got = <-done:
		case <-tick.C:
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
		}
	}
	// What grows is the filter: 8 bytes an address that is in it, made anew in steps.
	grown, may := int64(most)-int64(before.HeapInuse), int64(48<<20)+24*int64(rows)
	if got.Status != job.Done || got.Facts.Created != int64(rows) || grown > may {
		t.Errorf("%+v; the heap grew by %d KB, may be %d KB", got, grown>>10, may>>10)
	}
	t.Logf("%d rows in %v, the heap grew by %d KB", rows, time.Since(began).Round(time.Millisecond), grown>>10)
	asked := make([]string, 0, 1000)
	for i := range 1000 {
		asked = append(asked, fmt.Sprintf("user%d@example.com", i*(2*rows/1000))) // every other one is there
	}
	began = time.Now()
	found, err := w.store.Suppressed(t.Context(), owner, asked, "", time.Now())
	if err != nil || len(found) != 500 {
		t.Errorf("%d found, %v", len(found), err)
	}
	t.Logf("1000 addresses checked in %v", time.Since(began))
}

// BenchmarkCheck asks 1000 addresses, half of them suppressed, against 1,000,000 rows
// (POSTROAD_IMPORT_ROWS, 100,000 by default).
func BenchmarkCheck(b *testing.B) {
	rows := 100_000
	if n, err := strconv.Atoi(os.Getenv("POSTROAD_IMPORT_ROWS")); err == nil {
		rows = n
	}
	dir := b.TempDir()
	store, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	j := job.Job{ID: mail.NewID(now), Owner: owner, Status: job.Running, CreatedAt: now}
	if err := store.CreateJob(b.Context(), j, nil, nil); err != nil {
		b.Fatal(err)
	}
	var batch []mail.Suppression
	for i := range rows {
		batch = append(batch, mail.Suppression{ID: mail.NewID(now), Owner: owner, Address: fmt.Sprintf("user%d@example.com", i), Reason: "manual", Kind: "manual", Source: "import", CreatedAt: now})
		if len(batch) == 5000 || i == rows-1 {
			if _, err := store.ImportSuppressions(b.Context(), j, batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	// As it is from day to day: the list in the database, not in the log of its import.
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	if store, err = sqlite.Open(sqlite.Options{Dir: dir}); err != nil {
		b.Fatal(err)
	}
	asked := make([]string, 1000)
	for i := range asked {
		asked[i] = fmt.Sprintf("user%d@example.com", i*(2*rows/1000))
	}
	for b.Loop() {
		found, err := store.Suppressed(b.Context(), owner, asked, "", now)
		if err != nil || len(found) != 500 {
			b.Fatal(len(found), err)
		}
	}
}

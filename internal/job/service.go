package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

const (
	// MaxInput is the largest input of a job in bytes.
	MaxInput = 1 << 30

	batchSize = 500 // records in one commit: some milliseconds of the store
	maxFaults = 100 // records whose faults are told
	patience  = time.Second
)

// ErrTooLarge says that an input has more than MaxInput bytes.
var ErrTooLarge = errors.New("the input is too large")

// Options of a [Service].
type Options struct {
	Store Store
	Dir   string // where inputs are kept until their job is over; made when it is missing
	Node  string
	Now   func() time.Time
	Log   *slog.Logger
}

// Service keeps and does jobs.
type Service struct {
	o    Options
	wake chan struct{}
}

// NewService builds a service.
func NewService(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, wake: make(chan struct{}, 1)}
}

// Input is a body on disk, on its way to being a job's.
type Input struct {
	ID    mail.ID // of the job it will be
	Sum   [32]byte
	Size  int64
	Lines int64
	path  string
}

// Spool writes an input to disk and syncs it; it holds 64 KB.
func (s *Service) Spool(r io.Reader) (_ *Input, err error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool an input: %w", err)
	}
	in := &Input{ID: mail.NewID(s.o.Now())}
	in.path = s.path(in.ID)
	file, err := os.OpenFile(in.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool an input: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			in.Discard()
		}
	}()
	digest := sha256.New()
	count := &lines{}
	if in.Size, err = io.CopyBuffer(io.MultiWriter(file, digest, count), io.LimitReader(r, MaxInput+1), make([]byte, 64<<10)); err != nil {
		return nil, err
	}
	if in.Size > MaxInput {
		return nil, ErrTooLarge
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("spool an input: %w", err)
	}
	digest.Sum(in.Sum[:0])
	in.Lines = count.n
	if !count.ended && in.Size > 0 {
		in.Lines++
	}
	return in, nil
}

// lines counts line ends.
type lines struct {
	n     int64
	ended bool
}

func (l *lines) Write(p []byte) (int, error) {
	l.n += int64(bytes.Count(p, []byte("\n")))
	if len(p) > 0 {
		l.ended = p[len(p)-1] == '\n'
	}
	return len(p), nil
}

// Discard removes an input that becomes no job.
func (in *Input) Discard() { _ = os.Remove(in.path) }

// Open reads an input from its beginning.
func (in *Input) Open() (*os.File, error) { return os.Open(in.path) }

func (s *Service) path(id mail.ID) string {
	return filepath.Join(s.o.Dir, id.Text(mail.PrefixJob)+".csv")
}

// Start makes a job of an input. On an error the input is the caller's to discard.
func (s *Service) Start(ctx context.Context, in *Input, owner mail.Owner, f Facts, once *mail.Once, answer func(Job) mail.Answer) (Job, error) {
	f.Total = max(in.Lines-1, 1)
	j := Job{ID: in.ID, Owner: owner, Type: ImportSuppressions, Status: Queued, Node: s.o.Node, CreatedAt: s.o.Now(), Facts: f}
	if err := s.o.Store.CreateJob(ctx, j, once, answer); err != nil {
		return j, err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return j, nil
}

// Job gives one of an owner's, or mail.ErrNotFound.
func (s *Service) Job(ctx context.Context, owner mail.Owner, id mail.ID) (Job, error) {
	return s.o.Store.Job(ctx, owner, id)
}

// Cancel stops a job before its next batch. One that is over is mail.ErrStale.
func (s *Service) Cancel(ctx context.Context, owner mail.Owner, id mail.ID) (Job, error) {
	j, err := s.o.Store.Job(ctx, owner, id)
	if err != nil {
		return j, err
	}
	if j.Over() {
		return j, mail.ErrStale
	}
	j.Status, j.Facts.FinishedAt = Cancelled, s.o.Now()
	if err := s.o.Store.SaveJob(ctx, j); err != nil {
		return j, err
	}
	return s.o.Store.Job(ctx, owner, id)
}

// Run does what is queued, one job at a time, until ctx ends. What is then in work goes on
// at the next start.
func (s *Service) Run(ctx context.Context) error {
	for {
		open, err := s.o.Store.OpenJobs(ctx)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error("jobs cannot be read", "error", err)
		}
		worked := false
		for i := range open {
			if ctx.Err() != nil {
				return nil
			}
			if open[i].Type == ReplayWebhook { // package webhook's
				continue
			}
			worked = s.work(ctx, open[i]) || worked
		}
		if worked {
			continue
		}
		wait := time.NewTimer(30 * time.Second)
		if err != nil {
			wait.Reset(patience)
		}
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-s.wake:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// work does one job; false when nothing could be done for it now.
func (s *Service) work(ctx context.Context, j Job) bool {
	file, err := os.Open(s.path(j.ID))
	if errors.Is(err, fs.ErrNotExist) {
		if j.Node != s.o.Node {
			return false // its node has the input
		}
		return s.end(ctx, &j, errors.New("the input is gone: send it again"))
	}
	if err != nil {
		s.o.Log.Error("the input of a job cannot be read", "job_id", j.ID.Text(mail.PrefixJob), "error", err)
		return false
	}
	defer func() { _ = file.Close() }()
	err = s.load(ctx, &j, file)
	switch {
	case err == nil || errors.Is(err, errInput):
		return s.end(ctx, &j, err)
	case errors.Is(err, mail.ErrStale): // cancelled
		_ = os.Remove(s.path(j.ID))
		return true
	case ctx.Err() == nil:
		s.o.Log.Error("a job cannot go on now; it is tried again", "job_id", j.ID.Text(mail.PrefixJob), "error", err)
		pause(ctx, patience)
	}
	return ctx.Err() == nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// errInput marks what is wrong with the input itself, which trying again does not mend.
var errInput = errors.New("the input cannot be read")

// end keeps how a job ended, and lets go of its input.
func (s *Service) end(ctx context.Context, j *Job, why error) bool {
	j.Status, j.Facts.FinishedAt = Done, s.o.Now()
	if why != nil {
		j.Status, j.Facts.Error = Failed, strings.TrimPrefix(why.Error(), errInput.Error()+": ")
	} else {
		j.Facts.Total = j.Facts.Done
	}
	if err := s.o.Store.SaveJob(ctx, *j); err != nil && !errors.Is(err, mail.ErrStale) {
		if ctx.Err() == nil {
			s.o.Log.Error("the end of a job could not be kept; it is tried again", "job_id", j.ID.Text(mail.PrefixJob), "error", err)
			pause(ctx, patience)
		}
		return false
	}
	_ = os.Remove(s.path(j.ID))
	return true
}

// load reads a list from where the job stopped last.
func (s *Service) load(ctx context.Context, j *Job, file io.Reader) error {
	f := &j.Facts
	if j.Status == Queued {
		j.Status, f.StartedAt = Running, s.o.Now()
	}
	in, err := feedback.NewImport(file, feedback.ImportOptions{Preset: f.Preset, Reason: f.Reason, Topic: f.Topic, Owner: j.Owner, Now: j.CreatedAt})
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	for range f.Done {
		if _, err := in.Next(); err != nil && !isFault(err) {
			return fmt.Errorf("%w: it ends before line %d, where the job stopped", errInput, f.Done)
		}
	}
	batch := make([]mail.Suppression, 0, batchSize)
	for {
		var end bool
		if batch, end, err = s.gather(in, f, batch[:0]); err != nil {
			return fmt.Errorf("%w: line %d: %w", errInput, in.Line, err)
		}
		kept, err := s.o.Store.ImportSuppressions(ctx, *j, batch)
		if err != nil {
			return err
		}
		*j = kept
		f = &j.Facts
		if end {
			return nil
		}
	}
}

// gather reads one batch; what is no suppression is counted, and the first faults are told.
func (s *Service) gather(in *feedback.Import, f *Facts, batch []mail.Suppression) (_ []mail.Suppression, end bool, err error) {
	for n := 0; n < batchSize; n++ {
		x, err := in.Next()
		var fault *mail.Error
		switch {
		case err == io.EOF:
			return batch, true, nil
		case errors.As(err, &fault):
			f.Invalid++
			if len(f.Faults) < maxFaults {
				f.Faults = append(f.Faults, Fault{Line: in.Line, Code: fault.Code, Message: fault.Message})
			}
		case err != nil:
			return batch, false, err
		default:
			batch = append(batch, x)
		}
		f.Done++
	}
	return batch, false, nil
}

func isFault(err error) bool {
	var fault *mail.Error
	return errors.As(err, &fault)
}

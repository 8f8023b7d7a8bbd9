package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

const (
	replayLook  = 30 * time.Second // between two looks at what jobs there are
	replayTick  = time.Second      // a job opens so much of its pace at a time
	replayDepth = 10               // seconds of an endpoint's pace that may be open before a replay waits
	replayMost  = 20               // jobs at a time
)

// replay does the jobs that post events again, until ctx ends; they go on at the next start.
func (s *Service) replay(ctx context.Context) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	var mu sync.Mutex
	running := map[mail.ID]bool{}
	for ctx.Err() == nil {
		open, err := s.o.Memory.OpenJobs(ctx)
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Error("replays of webhooks cannot be read; it is tried again", "error", err)
		}
		mu.Lock()
		for _, j := range open {
			if j.Type != job.ReplayWebhook || running[j.ID] || len(running) >= replayMost || j.Facts.Replay == nil {
				continue
			}
			running[j.ID] = true
			jobs.Go(func() {
				s.work(ctx, j)
				mu.Lock()
				delete(running, j.ID)
				mu.Unlock()
				s.replayBell.ring()
			})
		}
		mu.Unlock()
		s.replayBell.wait(ctx, replayLook)
	}
}

// errEnded says that a replay cannot go on, and why: it is safe to show.
type errEnded string

func (e errEnded) Error() string { return string(e) }

// work does one job from where it stopped.
func (s *Service) work(ctx context.Context, j job.Job) {
	id := j.ID.Text(mail.PrefixJob)
	for ctx.Err() == nil {
		err := s.replayOn(ctx, &j)
		var ended errEnded
		switch {
		case err == nil || errors.As(err, &ended):
			j.Status, j.Facts.FinishedAt = job.Done, s.o.Now()
			if err != nil {
				j.Status, j.Facts.Error = job.Failed, err.Error()
			}
			j.Facts.Total = j.Facts.Done
			if err = s.o.Memory.SaveJob(ctx, j); err == nil {
				s.o.Logger.Info("a replay of a webhook ended", "job_id", id, "status", j.Status, "opened", j.Facts.Created)
				return
			}
		}
		if errors.Is(err, mail.ErrStale) || ctx.Err() != nil {
			return // cancelled
		}
		s.o.Logger.Error("a replay of a webhook cannot go on now; it is tried again", "job_id", id, "error", err)
		pause(ctx, troubled)
	}
}

// replayOn opens hooks at half the endpoint's pace until all are, so that what happens
// meanwhile has the other half.
func (s *Service) replayOn(ctx context.Context, j *job.Job) error {
	f := &j.Facts
	webhook, err := mail.ParseID(PrefixEndpoint, f.Replay.Webhook)
	if err != nil {
		return errEnded("The job names no webhook.")
	}
	if j.Status == job.Queued {
		j.Status, f.StartedAt = job.Running, s.o.Now()
	}
	for {
		e, err := s.o.Store.Endpoint(ctx, j.Owner, webhook)
		switch {
		case errors.Is(err, mail.ErrNotFound):
			return errEnded("The webhook was deleted.")
		case err != nil:
			return err
		case e.Status == Disabled:
			return errEnded("The webhook was disabled meanwhile: " + e.DisabledReason + ". Enable it and replay again.")
		}
		pace := max(1, e.MaxPerSecond/2)
		if e.Parks() || e.State.Backlog > int64(replayDepth*e.MaxPerSecond) {
			if pause(ctx, replayTick); ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		w := walk{s: s, e: &e, r: *f.Replay}
		page, end, err := w.next(ctx)
		if err != nil {
			return err
		}
		if err := s.openPaced(ctx, j, &e, page, &w.r, pace); err != nil || end {
			return err
		}
	}
}

// openPaced opens the hooks of a page, so many a second; with the last of them the job stands
// behind the page.
func (s *Service) openPaced(ctx context.Context, j *job.Job, e *Endpoint, page []Hook, behind *job.Replay, pace int) error {
	for {
		n := min(len(page), pace)
		part := page[:n]
		page = page[n:]
		kept := *j
		replay := *behind
		if len(page) > 0 {
			replay = *j.Facts.Replay
			replay.At = part[n-1].Position
		}
		kept.Facts.Replay = &replay
		kept.Facts.Done += int64(n)
		kept.Facts.Total = max(kept.Facts.Total, kept.Facts.Done+int64(len(page)))
		added, err := s.o.Store.ReplayHooks(ctx, kept, e.Row, part, s.o.Now())
		if err != nil {
			return err
		}
		kept.Facts.Created += int64(added)
		kept.Facts.Existing += int64(n - added)
		*j = kept
		s.look(e.Row)
		if added > 0 {
			if pause(ctx, replayTick*time.Duration(added)/time.Duration(pace)); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if len(page) == 0 {
			return nil
		}
	}
}

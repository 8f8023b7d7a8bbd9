package postroad

import (
	"context"
	"net/http"
	"time"
)

// Jobs is work that outlives its request: imports, replays.
type Jobs struct{ c *Client }

// Job is one piece of such work.
type Job struct {
	Response
	JobID      string         `json:"job_id"`
	Object     string         `json:"object"`
	Type       string         `json:"type"`
	Status     string         `json:"status"` // "queued", "running", "done", "failed", "cancelled"
	Progress   JobProgress    `json:"progress"`
	Errors     []JobFault     `json:"errors"` // the first of them
	Result     map[string]any `json:"result"` // numbers are float64
	Error      string         `json:"error"`  // why it failed
	CreatedAt  time.Time      `json:"created_at"`
	StartedAt  time.Time      `json:"started_at"`
	FinishedAt time.Time      `json:"finished_at"`
}

// JobProgress counts records; Total is an estimate until the job is over.
type JobProgress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// JobFault is a record that was refused.
type JobFault struct {
	Line    int64  `json:"line"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Over tells whether a job has come to an end, whichever.
func (j *Job) Over() bool { return !j.FinishedAt.IsZero() }

// Get gives a job as it is now.
func (j *Jobs) Get(ctx context.Context, id string) (*Job, error) {
	return call[Job](ctx, j.c, http.MethodGet, at("jobs", id), nil, nil)
}

// Cancel stops a job; what it has done stays. [ErrConflict] when it is over.
func (j *Jobs) Cancel(ctx context.Context, id string, options ...CallOption) (*Job, error) {
	return call[Job](ctx, j.c, http.MethodPost, at("jobs", id, "cancel"), struct{}{}, options)
}

// Wait looks until a job is over, every 100 ms at first and every 5 s later on. The
// context bounds it.
func (j *Jobs) Wait(ctx context.Context, id string) (*Job, error) {
	return poll(ctx, func() (*Job, bool, error) {
		job, err := j.Get(ctx, id)
		return job, err == nil && job.Over(), err
	})
}

// poll looks until look says that it is done.
func poll[T any](ctx context.Context, look func() (*T, bool, error)) (*T, error) {
	for wait := 100 * time.Millisecond; ; wait = min(wait*3/2, 5*time.Second) {
		got, done, err := look()
		if err != nil || done {
			return got, err
		}
		if err := sleep(ctx, wait); err != nil {
			return got, unanswered(ctx, ctx, err, 0)
		}
	}
}

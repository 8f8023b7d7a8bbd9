package job

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// What a job can be.
const (
	Queued    = "queued"
	Running   = "running"
	Done      = "done"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// The types of jobs: what reads a list of suppressions is done here, what posts events to a
// webhook again by package webhook.
const (
	ImportSuppressions = "suppressions.import"
	ReplayWebhook      = "webhooks.replay"
)

// Job is one piece of work and how far it is.
type Job struct {
	ID        mail.ID
	Owner     mail.Owner
	Type      string
	Status    string
	Node      string // whose disk has the input
	CreatedAt time.Time
	Facts     Facts
}

// Facts are what a job is about and what came of it; stored as JSON.
type Facts struct {
	Preset string  `json:"preset,omitzero"`
	Reason string  `json:"reason,omitzero"`
	Topic  string  `json:"topic,omitzero"`
	By     string  `json:"by,omitzero"`
	Replay *Replay `json:"replay,omitzero"`

	Done       int64     `json:"done"`  // records
	Total      int64     `json:"total"` // records, about, until it is done
	Created    int64     `json:"created"`
	Existing   int64     `json:"existing"` // were there already
	Invalid    int64     `json:"invalid"`
	Faults     []Fault   `json:"faults,omitzero"` // the first of them
	Error      string    `json:"error,omitzero"`  // why it failed
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

// Replay says which events are posted again, and how far that is.
type Replay struct {
	Webhook string    `json:"webhook"` // "wh_…"
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Types   []string  `json:"types,omitzero"`
	Status  string    `json:"status,omitzero"` // of their hooks; "" = also events without any
	// From and To bound the positions, To excluded; 0: no bound. What the webhook missed while
	// it was disabled is between such two.
	From int64 `json:"from,omitzero"`
	To   int64 `json:"to,omitzero"`
	At   int64 `json:"at,omitzero"` // the last position looked at
	// Open: first what is open is made due now; then At begins anew.
	Open bool `json:"open,omitzero"`
}

// Fault is what is wrong with one record.
type Fault struct {
	Line    int64  `json:"line"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Over tells whether nothing more will happen to the job.
func (j *Job) Over() bool { return j.Status == Done || j.Status == Failed || j.Status == Cancelled }

// Store keeps jobs.
type Store interface {
	// CreateJob keeps a job; a used key is a *mail.Replayed error.
	CreateJob(ctx context.Context, j Job, once *mail.Once, answer func(Job) mail.Answer) error
	// Job gives one, or mail.ErrNotFound.
	Job(ctx context.Context, owner mail.Owner, id mail.ID) (Job, error)
	// OpenJobs gives those that are not over, of every owner, oldest first.
	OpenJobs(ctx context.Context) ([]Job, error)
	// SaveJob keeps status and facts; mail.ErrStale when it is over meanwhile (cancelled).
	SaveJob(ctx context.Context, j Job) error
	// ImportSuppressions enters a batch and keeps the job with it, in one commit: what is
	// new is added to Created, the rest to Existing. Nothing is told of single rows. It gives the
	// job as it is now; mail.ErrStale when it is over meanwhile: then nothing was written.
	ImportSuppressions(ctx context.Context, j Job, batch []mail.Suppression) (Job, error)
}

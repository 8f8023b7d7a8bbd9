// Package store is the sum of what the core asks to be remembered. The engines
// (sqlite, later postgres) implement [Store]; storetest holds the contract as tests.
//
// Every method is a whole fact: it commits or it did not happen, and no transaction
// leaves an engine. Time comes in as a parameter.
package store

import (
	"context"
	"io"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/retention"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// Store is one engine.
type Store interface {
	submit.Store
	queue.Store
	report.Store
	archive.Store
	audit.Store
	eventlog.Store
	feedback.Store
	hyvor.Store
	job.Store
	project.Store
	project.SessionStore
	render.Store
	retention.Store
	webhook.Store

	// Migrate brings the schema up to this binary's; a second call does nothing. A
	// schema newer than the binary's is an error, and nothing is touched.
	Migrate(ctx context.Context) error
	// Schema tells the version on disk and the binary's.
	Schema(ctx context.Context) (have, want int, err error)
	// Ping tells whether the store can commit now: it writes and syncs.
	Ping(ctx context.Context) error
	// Strain tells how hard writing is at the moment; it costs nothing.
	Strain() submit.Strain
	// Wake gives a channel that is closed at the next commit of events of any owner;
	// call again for the one after. For waiting readers, never for correctness.
	Wake() <-chan struct{}
	// Copy gives a consistent copy while all goes on, as files with names relative to the
	// data directory. It holds nothing of what was removed before.
	Copy(ctx context.Context, give func(name string, size int64, from io.Reader) error) error
	Close() error
}

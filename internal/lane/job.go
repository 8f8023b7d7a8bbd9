package lane

import (
	"context"
	"errors"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// What Offer says.
var (
	ErrFull    = errors.New("the lane is full")            // no room for a job of its tier now
	ErrStopped = errors.New("the lanes begin nothing new") // we are stopping
)

// Key names a lane: one source to one site.
type Key struct{ Source, Site string }

// Job is one message on its way to one site: all its deliveries there travel in one
// transaction.
type Job struct {
	Message *mail.Message
	Works   []*mail.Work // at least one, all of Message
	Route   *route.Route
	Tier    mail.Tier
	Offered time.Time
	Holder  any // of whoever offers it; the lane does not look at it
}

// Session carries jobs one after another over one connection (or in the sandbox's
// case over none). It is used by one goroutine at a time.
type Session interface {
	// Carry tries the job and gives one attempt for each of its works, in order. It
	// returns when every outcome is known. When soft ends, a session begins nothing
	// new: what is not begun comes back Untried. When ctx ends it gives up at once:
	// what was behind the final dot is Uncertain. It never returns an error: trouble
	// is an outcome.
	Carry(ctx context.Context, soft <-chan struct{}, job *Job) []mail.Attempt
	// Reusable tells whether another job can be carried at once.
	Reusable() bool
	// Close says QUIT when there is somebody to say it to.
	Close()
}

// Carrier opens sessions; the deliver package and the sandbox are carriers.
type Carrier interface {
	// Session gives a session for jobs of this lane. It must not block: connecting is
	// the first Carry's work, whose attempt tells how it went.
	Session(key Key, r *route.Route) Session
}

// Limits of one lane.
type Limits struct {
	Connections int           // sessions at a time
	Reserved    int           // of them, not for bulk: urgent never waits behind it for a slot
	PerSession  int           // jobs a session carries before it is closed
	Idle        time.Duration // a session with nothing to do is closed after it
	Depth       int           // jobs waiting in memory, per tier
}

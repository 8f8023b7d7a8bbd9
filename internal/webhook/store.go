package webhook

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

// Store is what hooks ask to be remembered.
type Store interface {
	// CreateEndpoint keeps an endpoint that is owed what commits from now on. mail.ErrExists
	// when the project has `most` already; a used once key is *mail.Replayed.
	CreateEndpoint(ctx context.Context, e Endpoint, most int, once *mail.Once, answer func(Endpoint) mail.Answer) (Endpoint, error)
	// ChangeEndpoint makes a change true at once, or nothing of it: mail.ErrStale when the
	// endpoint is not at the Version of Change.Endpoint any more, mail.ErrNotFound.
	ChangeEndpoint(ctx context.Context, c Change) (Endpoint, error)
	// DeleteEndpoint removes an endpoint; its hooks follow by SweepHooks. ifVersion 0 is any.
	DeleteEndpoint(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64) error
	// Endpoint gives one of an owner's, or mail.ErrNotFound.
	Endpoint(ctx context.Context, owner mail.Owner, id mail.ID) (Endpoint, error)
	// Endpoints lists an owner's, oldest first.
	Endpoints(ctx context.Context, owner mail.Owner) ([]Endpoint, error)
	// AllEndpoints gives those of every owner with the revision they are at: it grows with
	// each change of any.
	AllEndpoints(ctx context.Context) (all []Endpoint, revision int64, err error)

	// Relay looks at the events behind its place, asks plan which hooks they owe, and commits
	// these with the new place: an event makes a hook for an endpoint once, however often
	// the process is killed and whoever else relays. Without endpoints it does nothing.
	Relay(ctx context.Context, now time.Time, max int, plan Plan) (Relayed, error)
	// LeaseEndpoints keeps the node's leases until a time, takes those nobody else holds, and
	// gives all it has. A lease of the node's past life is taken at once, with a new token.
	LeaseEndpoints(ctx context.Context, node string, now, until time.Time) ([]Lease, error)
	// DueHooks gives a page of an endpoint's open hooks in the order they are due, and when
	// the first one behind the page is (zero: there is none). It writes nothing.
	DueHooks(ctx context.Context, q Due) (page []Hook, next time.Time, err error)
	// SettleHooks records what came of posts, with the states of their endpoints after them.
	// It tells the endpoints whose lease is another's: nothing was recorded for these.
	SettleHooks(ctx context.Context, now time.Time, all []Settlement) (lost []int64, err error)

	// Deliveries finds hooks; each has its last try with q.Last, its Entry with q.Bodies.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)
	// Delivery gives one with its tries and what it tells, or mail.ErrNotFound.
	Delivery(ctx context.Context, owner mail.Owner, id mail.ID) (Delivery, *eventlog.Entry, error)
	// ReopenHook makes a hook due now; one that is over begins again. mail.ErrNotFound, or
	// mail.ErrStale when its endpoint is disabled.
	ReopenHook(ctx context.Context, owner mail.Owner, id mail.ID, now time.Time, once *mail.Once, answer func(Delivery) mail.Answer) (Delivery, error)
	// ReplayHooks opens hooks of an endpoint for events at these positions, whether there were
	// any before or not, and keeps the job with it, in one commit. Open ones are due now;
	// those to Hasten are nothing but that.
	// added is how many were opened; mail.ErrStale when the job is over meanwhile.
	ReplayHooks(ctx context.Context, j job.Job, endpoint int64, hooks []Hook, now time.Time) (added int, err error)
	// SweepHooks removes some of what is not kept any longer: hooks whose event is gone, those
	// of removed endpoints, delivered ones from before a time, old counts; and fails open ones
	// that are to be discarded. It tells whether there is more to do.
	SweepHooks(ctx context.Context, now, deliveredBefore time.Time) (more bool, err error)
	// HookCounts sums up what was counted for each of these endpoints since a time, by hour,
	// oldest first.
	HookCounts(ctx context.Context, endpoints []int64, since time.Time) (map[int64][]Hour, error)
}

// Plan gives what decides which hooks entries owe, by the endpoints at a revision: as it was
// when the entries were read, so no event between the creation of an endpoint and its being
// known is missed. A later one does as well.
type Plan func(ctx context.Context, revision int64) (Planner, error)

// Planner says which hooks entries owe.
type Planner interface {
	// Wants tells whether any endpoint may be owed such an event: the others are not read.
	Wants(owner mail.Owner, t mail.EventType) bool
	Hooks(entries []eventlog.Entry) []Hook
}

// Relayed is what one call of Relay did.
type Relayed struct {
	Passed int64     // positions; 0: there was nothing new
	Hooks  []Hook    // written
	Last   time.Time // when the last event passed happened
}

// Change is everything that becomes true at once when an endpoint is changed.
type Change struct {
	Endpoint Endpoint // as it will be; Version as it was read
	// Enable makes it owed what commits from now on; Disable, nothing from now on. They set
	// From and Until.
	Enable, Disable bool
	Job             *job.Job // begun with it: its Replay.From and .To become what was missed
	Events          []mail.Event
	Once            *mail.Once
	Answer          func(Endpoint) mail.Answer
}

// Lease is a node's right to work on an endpoint.
type Lease struct {
	Endpoint int64 // row
	Token    int64
	State    State
}

// Due asks for open hooks.
type Due struct {
	Endpoint int64 // row
	Now      time.Time
	Limit    int
	// Ordered leaves out hooks of a message that has an older open one, unless they have
	// waited since before Patience.
	Ordered  bool
	Patience time.Time
	// Probe takes them although their time has not come: the breaker wants to know.
	Probe bool
}

// Settlement is what came of an endpoint's posts.
type Settlement struct {
	Endpoint int64 // row
	Token    int64
	State    State
	Results  []Result
	Events   []mail.Event // of the endpoint: it fails, it has recovered
}

// Result is one hook after a post.
type Result struct {
	Position int64
	Status   string    // Pending, Delivered or Failed
	Due      time.Time // of a pending one
	Tries    int
	Record   Record
}

// Hour is what was counted within one.
type Hour struct {
	Start     time.Time
	Delivered int64
	Tries     int64 // that failed
	Failed    int64 // hooks that were given up
	// Durations counts successes by the bucket of their duration, see [DurationBucket].
	Durations [Buckets]int64
}

// Buckets is how many there are.
const Buckets = 16

// DurationBucket gives the bucket of a duration: each bound is twice the one before.
func DurationBucket(d time.Duration) int {
	bound := time.Millisecond
	for i := range Buckets - 1 {
		if d < bound {
			return i
		}
		bound *= 2
	}
	return Buckets - 1
}

// BucketBound is the upper bound of a bucket: 1 ms, 2 ms, 4 ms …
func BucketBound(i int) time.Duration { return time.Millisecond << min(i, Buckets-1) }

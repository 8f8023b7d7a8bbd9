package queue

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Store is what the queue asks to be remembered: the store is the queue.
type Store interface {
	// Claim leases due deliveries: for each destination the most urgent tier first,
	// then the oldest due; destinations without room are passed over at a cost that
	// does not depend on how much waits for them. The deliveries of one message to one
	// destination stand together in the answer.
	Claim(ctx context.Context, p ClaimParams) ([]*mail.Work, error)

	// NextDue tells when the earliest delivery waits to be claimed, of those
	// destinations and tiers for which room says more than 0; false when none waits.
	NextDue(ctx context.Context, room Room) (time.Time, bool, error)

	// Begin records that an attempt begins, before anything is said to the site: a
	// crash from here to Settle is uncertain. It is the last look before the wire: the
	// verdicts, in order, say which deliveries may go on.
	Begin(ctx context.Context, now time.Time, batch []Beginning) ([]Verdict, error)

	// Settle records attempts, next states, events and suppressions together. Results
	// whose lease was lost change nothing and are given back. Cancelled meanwhile: a
	// Deferred result becomes Cancelled.
	Settle(ctx context.Context, now time.Time, batch []Result) (lost []mail.Lease, err error)

	// Renew moves the end of leases that are still worked on; lost ones are given back.
	Renew(ctx context.Context, leases []mail.Lease, until time.Time) (lost []mail.Lease, err error)

	// Rescue takes leases back: with own set, all held under p.Node's name (a start
	// after a crash); otherwise those of any node that ran out before p.Now. What had
	// not begun waits again at once ([mail.WaitRescued]), counted in returned. What had
	// begun is leased to p.Node afresh and given back, to be settled as uncertain.
	Rescue(ctx context.Context, p RescueParams) (begun []*mail.Work, returned int, err error)

	// Cancel stops what it still can of a message: deliveries that wait, and leased
	// ones that have not begun; of begun ones it forbids a retry. With OnlyUntried set
	// nothing is stopped unless no attempt of the message ever began.
	Cancel(ctx context.Context, c Change) (Changed, error)

	// Reschedule moves the time of a message all of whose deliveries are Scheduled.
	Reschedule(ctx context.Context, c Change) (Changed, error)

	// SendNow makes scheduled and deferred deliveries due at once.
	SendNow(ctx context.Context, c Change) (Changed, error)

	// Retry puts deliveries that were given up (mail.Delivery.GaveUp) back into the queue,
	// due at c.To or now, their tries counted anew; with rows given only those among them.
	// Each has the event message.queued. mail.ErrNoContent: the bytes are gone.
	Retry(ctx context.Context, c Change, rows []int64) (Changed, error)

	// Content gives a message's bytes: mail.ErrNoContent when they are gone.
	Content(ctx context.Context, message int64) (mail.Content, error)

	// Depth counts what waits and what is leased, by tier and wait reason; cheap
	// enough for a metrics scrape every few seconds.
	Depth(ctx context.Context) ([]Depth, error)
}

// Room says how many more deliveries of one owner and tier to one destination may be
// claimed. It is asked for each owner, since nobody waits for another's mail. A delivery that
// was written down before owners were parted may be asked for with project 0.
type Room func(destination string, owner mail.Owner, tier mail.Tier) int

type ClaimParams struct {
	Node  string
	Now   time.Time
	Until time.Time // end of the leases
	Max   int
	Room  Room
}

type RescueParams struct {
	Node  string
	Own   bool
	Now   time.Time
	Until time.Time // end of the fresh leases of what had begun
	Max   int       // at most so many a call; call again while it returns any
}

// Beginning is one delivery about to be tried.
type Beginning struct {
	Lease   mail.Lease
	Message int64  // row
	Address string // folded
	Topic   string
	Bypass  bool // an unsubscribe does not stop it
	Owner   mail.Owner
	// Accepted is the event of the delivery's first way into a lane, nil on later
	// tries; with it the status becomes Accepted.
	Accepted *mail.Event
	Site     string
}

// Verdict is the last look before the wire.
type Verdict struct {
	Go         bool
	Lost       bool              // the lease is another's now, or the delivery was cancelled: say nothing more of it
	Suppressed *mail.Suppression // it entered the list meanwhile
}

// Result is what became of one leased delivery.
type Result struct {
	Lease   mail.Lease
	Attempt *mail.Attempt // nil: nothing was tried
	Status  mail.Status   // as it is from now on
	Wait    mail.Wait     // why it waits; NoWait when Status is final
	Due     time.Time     // when it may be tried next
	Tries   int           // attempts that counted, this one included
	Site    string
	Bounce  *mail.Bounce
	Blocked *mail.Suppression // what suppressed it, when Status is Suppressed
	Events  []mail.Event
	// Suppress, when set, enters the list in the same commit unless it is there, with
	// its event suppression.created.
	Suppress *mail.Suppression
}

// Change is a caller's order about one message.
type Change struct {
	Owner   mail.Owner
	Message mail.ID
	Now     time.Time
	Once    *mail.Once // nil: no idempotency key; a used key is a *mail.Replayed error
	Answer  func(Changed) mail.Answer

	OnlyUntried bool   // Cancel: all or nothing, and nothing once an attempt began (DELETE)
	Reason      string // Cancel
	By          string // "key_k7f2q9xm"
	To          time.Time
	Tags        *[]string // Reschedule: new tags, nil = as they are
	Metadata    *map[string]string
}

// Changed tells what an order did. A message the owner does not have is
// mail.ErrNotFound.
type Changed struct {
	Count  int         // deliveries changed; 0: the state did not allow it, nothing was written
	Status mail.Status // of the message, after
	Answer mail.Answer
}

// Depth is how many deliveries of a tier are in one place of the queue.
type Depth struct {
	Tier   mail.Tier
	Wait   mail.Wait // NoWait: leased
	Count  int64
	Oldest time.Time
}

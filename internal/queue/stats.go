package queue

import (
	"sync/atomic"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
)

// Stats is what the queue did since it was made, and what it holds now.
type Stats struct {
	Delivered, Deferred, Bounced, Uncertain     int64 // attempts that ended so
	Suppressed, Expired, Cancelled, Failed      int64 // deliveries that ended so before the wire
	GivenBack                                   int64 // leases ended without an attempt
	Dispatched, Claimed, Rescued, Lost, Retried int64 // Lost: results whose lease was another's; Retried: settles the store refused at first
	Held                                        int   // deliveries in memory
	Content                                     int64 // bytes of content in memory
	LookingUp                                   int   // destinations whose route is being looked up
	Backlogs                                    int   // queues known to have mail waiting in the store
	Lanes                                       []lane.LaneStats
}

// InFlight is how many sessions carry a job now.
func (s Stats) InFlight() (n int) {
	for _, l := range s.Lanes {
		n += l.Busy
	}
	return n
}

type counters struct {
	outcomes                                    [9]atomic.Int64 // by mail.Outcome
	dispatched, claimed, rescued, lost, retried atomic.Int64
}

func (c *counters) count(o mail.Outcome) { c.outcomes[o%9].Add(1) }

func (c *counters) read() Stats {
	of := func(o mail.Outcome) int64 { return c.outcomes[o].Load() }
	return Stats{
		Delivered: of(mail.OutcomeDelivered), Deferred: of(mail.OutcomeDeferred), Bounced: of(mail.OutcomeBounced),
		Uncertain: of(mail.OutcomeUncertain), Suppressed: of(mail.OutcomeSuppressed), Expired: of(mail.OutcomeExpired),
		Cancelled: of(mail.OutcomeCancelled), Failed: of(mail.OutcomeFailed), GivenBack: of(mail.Untried),
		Dispatched: c.dispatched.Load(), Claimed: c.claimed.Load(), Rescued: c.rescued.Load(),
		Lost: c.lost.Load(), Retried: c.retried.Load(),
	}
}

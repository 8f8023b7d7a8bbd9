package queue

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
)

const (
	claimGap   = 2 * time.Millisecond // between two small claims, so that single rooms gather
	idleMin    = 10 * time.Millisecond
	idleMax    = time.Second      // between claims that find nothing although something seems due
	claimAtAll = 30 * time.Second // between claims at most, in case that a wake-up was missed
	troubleMax = 5 * time.Second  // between claims of a store that fails
)

// claimLoop leases what is due, whenever something is due and there is room for it.
func (q *Queue) claimLoop(ctx context.Context) {
	idle, trouble := idleMin, 100*time.Millisecond
	for ctx.Err() == nil {
		q.alarm.reset()
		claimed, err := q.claimAll(ctx)
		var due time.Time
		var waits bool
		if err == nil {
			due, waits, err = q.o.Store.NextDue(ctx, q.room)
		}
		now := q.o.Now()
		switch {
		case err != nil:
			if ctx.Err() == nil {
				q.o.Log.Error("the queue cannot claim", "error", err, "again", trouble)
			}
			pause(ctx, trouble)
			trouble = min(2*trouble, troubleMax)
			continue
		case claimed > 0:
			idle = idleMin
		case waits && !due.After(now): // it is not for us, or nobody can have it now
			due = now.Add(idle)
			idle = min(2*idle, idleMax)
		}
		trouble = 100 * time.Millisecond
		if latest := now.Add(claimAtAll); !waits || due.After(latest) {
			due = latest
		}
		q.alarm.set(due)
		pause(ctx, claimGap)
		q.alarm.wait(ctx, q.o.Now)
	}
}

// claimAll claims until nothing is due that has room.
func (q *Queue) claimAll(ctx context.Context) (claimed int, err error) {
	for ctx.Err() == nil {
		n, more, err := q.claim(ctx)
		claimed += n
		if err != nil || !more {
			return claimed, err
		}
	}
	return claimed, nil
}

// claim leases once; more says that there may be more with room.
func (q *Queue) claim(ctx context.Context) (n int, more bool, err error) {
	places := min(q.o.ClaimMax, q.ledger.free(mail.Urgent))
	if places == 0 {
		q.starved.Store(true)
		return 0, false, nil
	}
	c := q.newRound()
	now := q.o.Now()
	q.ledger.take(places)
	works, err := q.o.Store.Claim(ctx, ClaimParams{
		Node: q.o.Node, Now: now, Until: now.Add(q.o.LeaseTime), Max: places, Room: c.room,
	})
	q.release(places - len(works))
	if err != nil {
		return 0, false, err
	}
	q.stats.claimed.Add(int64(len(works)))
	more = c.settleUp(works, len(works) < places, now)
	q.admit(works)
	return len(works), more, nil
}

// grant is what a claim was allowed for one place.
type grant struct {
	given, used int
	more        bool // there was more room than was given
}

// round is one claim with its view of the room there is. What it grants to one place is taken
// from its lane, so that many destinations of one site do not get the same room.
type round struct {
	q      *Queue
	mark   uint64
	asked  map[place]*grant
	lanes  map[laneTier]int  // granted
	shares map[laneShare]int // of it, to each project
	budget [mail.Tiers]int   // deliveries that may be held more
}

type laneTier struct {
	key  lane.Key
	tier mail.Tier
}

type laneShare struct {
	laneTier
	project int64
}

func (q *Queue) newRound() *round {
	c := &round{q: q, mark: q.backlog.mark(), asked: make(map[place]*grant), lanes: make(map[laneTier]int), shares: make(map[laneShare]int)}
	for t := range c.budget {
		c.budget[t] = q.ledger.free(mail.Tier(t))
	}
	return c
}

// room is the Room of a claim. Asked twice it says the same, since a store may have to
// begin a claim anew.
func (c *round) room(destination string, owner mail.Owner, tier mail.Tier) int {
	p := place{owner, tier, destination}
	if g := c.asked[p]; g != nil {
		return g.given
	}
	left := c.left(p)
	g := &grant{given: max(min(left, c.budget[tier], c.q.o.ClaimMax), 0)}
	if left > g.given {
		g.more = c.budget[tier] > g.given
		if !g.more {
			c.q.starved.Store(true)
		}
	}
	c.take(p, g.given)
	c.asked[p] = g
	if g.given == 0 {
		c.q.backlog.enter(p)
	}
	return g.given
}

// left is the room of a place's lane, or of its route's look-up.
func (c *round) left(p place) int {
	r := c.q.o.Router.Cached(p.owner.Env, p.destination)
	if r == nil {
		return c.q.lookups.room(p.owner.Env, p.destination)
	}
	key := laneTier{lane.KeyOf(r), p.tier}
	space := c.q.lanes.Space(key.key, p.tier, p.owner.Project)
	space.Free -= c.lanes[key]
	space.Share -= c.shares[laneShare{key, p.owner.Project}]
	return space.Room()
}

func (c *round) take(p place, n int) {
	if r := c.q.o.Router.Cached(p.owner.Env, p.destination); r != nil {
		key := laneTier{lane.KeyOf(r), p.tier}
		c.lanes[key] += n
		c.shares[laneShare{key, p.owner.Project}] += n
	}
}

// settleUp compares what was granted with what came, and so learns which places are
// empty now. It tells whether claiming again may give more.
func (c *round) settleUp(works []*mail.Work, walked bool, now time.Time) (more bool) {
	for _, w := range works {
		if g := c.asked[placeOf(&w.Delivery)]; g != nil {
			g.used++
		}
	}
	if walked {
		for p, g := range c.asked {
			switch {
			case g.used < g.given:
				c.q.backlog.empty(p, c.mark)
			case g.more:
				more = true
			}
		}
		c.q.backlog.walked(c.asked, c.mark, now)
	}
	return more || !walked
}

// room tells how many more deliveries of a place may be held, outside of a claim.
func (q *Queue) room(destination string, owner mail.Owner, tier mail.Tier) int {
	free := q.ledger.free(tier)
	if free == 0 {
		q.starved.Store(true)
		return 0
	}
	if r := q.o.Router.Cached(owner.Env, destination); r != nil {
		return min(free, q.lanes.Room(lane.KeyOf(r), tier, owner.Project))
	}
	return min(free, q.lookups.room(owner.Env, destination))
}

// release gives places back that were taken, and wakes the claim loop if it waits for some.
func (q *Queue) release(n int) {
	if n != 0 && q.ledger.release(n) {
		q.roomy()
	}
}

func (q *Queue) roomy() {
	if q.starved.Load() && q.starved.CompareAndSwap(true, false) {
		q.alarm.wake()
	}
}

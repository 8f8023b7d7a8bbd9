package queue

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	renewMax  = 64 // leases in one call, so that it does not hold up the store's other work
	rescueMax = 256
)

// keep renews the leases of all that is held, and takes back those that run out
// elsewhere. It renews before it rescues, in this one goroutine: so it never takes back
// what we hold ourselves, even when the clock jumps or the store was away for long.
func (q *Queue) keep(ctx context.Context) {
	tick := time.NewTicker(q.o.LeaseTime / 12)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !q.renew(ctx) || turn%2 != 0 || q.settler.troubled() || q.stopping.Load() {
			continue
		}
		if err := q.rescue(ctx, false); err != nil && ctx.Err() == nil {
			q.o.Log.Error("leases that ran out cannot be rescued", "error", err)
		}
	}
}

// renew moves the end of leases of which a third has passed by the next look. False: the
// store failed.
func (q *Queue) renew(ctx context.Context) bool {
	for {
		now := q.o.Now()
		loads, leases := q.ledger.ending(now.Add(q.o.LeaseTime*3/4), renewMax)
		if len(loads) == 0 {
			return true
		}
		until := now.Add(q.o.LeaseTime)
		lost, err := q.o.Store.Renew(ctx, leases, until)
		if err != nil {
			if ctx.Err() == nil {
				q.o.Log.Error("leases cannot be renewed", "leases", len(leases), "error", err)
			}
			return false
		}
		if len(lost) > 0 { // settled meanwhile, cancelled, or another's: Begin and Settle find out
			q.o.Log.Debug("leases were lost", "leases", len(lost))
		}
		q.ledger.renewed(loads, until)
	}
}

// rescueOwn takes back, at the start, all that a process of this node's name held when
// it ended. It goes on until the store answers; an error is that of ctx.
func (q *Queue) rescueOwn(ctx context.Context) error {
	wait := 100 * time.Millisecond
	for {
		err := q.rescue(ctx, true)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		q.o.Log.Error("the leases of the last run cannot be taken back: nothing is delivered until then", "error", err, "again", wait)
		pause(ctx, wait)
		wait = min(2*wait, troubleMax)
	}
}

// rescue takes leases back. What had begun may have arrived: it is settled as an
// uncertain attempt.
func (q *Queue) rescue(ctx context.Context, own bool) error {
	for {
		now := q.o.Now()
		begun, returned, err := q.o.Store.Rescue(ctx, RescueParams{
			Node: q.o.Node, Own: own, Now: now, Until: now.Add(q.o.LeaseTime), Max: rescueMax,
		})
		if err != nil {
			return err
		}
		if len(begun) == 0 && returned == 0 {
			return nil
		}
		q.stats.rescued.Add(int64(len(begun) + returned))
		q.o.Log.Info("deliveries rescued", "waiting_again", returned, "uncertain", len(begun))
		q.ledger.take(len(begun))
		q.refuse(begun, mail.Attempt{
			At: now, Outcome: mail.OutcomeUncertain, Class: mail.ClassOther,
			Reply:      mail.Reply{Text: "Uncertain: we were interrupted during this attempt; the site may have the message"},
			Advice:     "The attempt had begun when this node went away. It is tried again with the same Message-ID.",
			Transcript: []mail.Line{{From: "!", Text: "found unfinished after an interruption"}},
		})
		q.alarm.wake()
		if own && !q.drained(ctx) {
			return ctx.Err()
		}
	}
}

// drained waits until what was rescued is settled: asked again before that, the store
// would give the same deliveries under new leases. When that takes long, the rest of our
// old leases is left to run out.
func (q *Queue) drained(ctx context.Context) bool {
	for range 1000 {
		if held, _ := q.ledger.totals(); held == 0 {
			return true
		}
		pause(ctx, 5*time.Millisecond)
	}
	return false
}

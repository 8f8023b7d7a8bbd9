package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

// crowd accepts n letters to so many destinations in turn.
func (w *world) crowd(n, destinations int) {
	w.Helper()
	var all []*submit.Acceptance
	for i := range n {
		all = append(all, w.letter(fmt.Sprintf("a%d@d%d.test", i, i%destinations)))
	}
	w.acceptAll(all)
}

var claimClauses = []clause{
	{"claims go by tier, then due time, then first come", func(w *world) {
		w.accept(tiered(w.letter("bulk@example.com"), mail.Bulk))
		w.accept(w.letter("first@example.com"))
		w.accept(w.letter("second@example.com"))
		early := w.letter("early@example.com")
		early.Deliveries[0].Due = w.now.Add(-time.Second)
		w.accept(early)
		w.accept(tiered(w.letter("urgent@example.com"), mail.Urgent))
		equalList(w, "claimed", addresses(w.claim(3)), []string{"urgent@example.com", "early@example.com", "first@example.com"})
		equalList(w, "claimed", addresses(w.claim(3)), []string{"second@example.com", "bulk@example.com"})
		equal(w, "claimed", len(w.claim(3)), 0)
	}},
	{"nothing is claimed before it is due", func(w *world) {
		at := w.now.Add(time.Hour)
		a := scheduled(w.letter("ada@example.com"), at)
		r := w.accept(a)
		equal(w, "claimed", len(w.claim(10)), 0)
		due, ok, err := w.s.NextDue(w.ctx, roomy)
		w.must(err)
		equal(w, "waits", ok, true)
		equal(w, "next due", due, at)
		w.now = at
		works := w.claim(10)
		equal(w, "claimed", len(works), 1)
		equal(w, "status", works[0].Delivery.Status, mail.Queued)
		w.story(r.Row, mail.EventScheduled, mail.EventQueued)
		_, ok, err = w.s.NextDue(w.ctx, roomy)
		w.must(err)
		equal(w, "waits", ok, false)
	}},
	{"room is respected for each destination and tier", func(w *world) {
		for i := range 5 {
			w.accept(w.letter(fmt.Sprintf("n%d@full.test", i)))
			w.accept(w.letter(fmt.Sprintf("n%d@some.test", i)))
			w.accept(tiered(w.letter(fmt.Sprintf("u%d@full.test", i)), mail.Urgent))
		}
		room := func(destination string, owner mail.Owner, tier mail.Tier) int {
			equal(w, "owner", owner, w.owner)
			switch {
			case destination == "full.test" && tier == mail.Normal:
				return 0
			case destination == "some.test":
				return 2
			}
			return 3
		}
		equalList(w, "claimed", addresses(w.claimRoom(100, room)),
			[]string{"u0@full.test", "u1@full.test", "u2@full.test", "n0@some.test", "n1@some.test"})
		none := func(string, mail.Owner, mail.Tier) int { return 0 }
		equal(w, "claimed without room", len(w.claimRoom(100, none)), 0)
		_, ok, err := w.s.NextDue(w.ctx, none)
		w.must(err)
		equal(w, "something due where there is room", ok, false)
		due, ok, err := w.s.NextDue(w.ctx, func(d string, _ mail.Owner, t mail.Tier) int {
			if d == "full.test" && t == mail.Normal {
				return 1
			}
			return 0
		})
		w.must(err)
		equal(w, "something due where there is room", ok, true)
		equal(w, "due", due, w.now)
		equal(w, "rest", len(w.claim(100)), 10)
	}},
	{"a claim larger than one step takes all there is", func(w *world) {
		w.crowd(700, 3)
		seen := map[string]bool{}
		for _, work := range w.claimRoom(10_000, func(string, mail.Owner, mail.Tier) int { return 200 }) {
			seen[work.Delivery.Address] = true
		}
		equal(w, "claimed with room for 200 each", len(seen), 600)
		equal(w, "rest", len(w.claim(10_000)), 100)
	}},
	{"deliveries of one message to one destination stand together", func(w *world) {
		a := w.letter("a@one.test", "b@two.test", "c@one.test")
		w.accept(a)
		w.accept(w.letter("d@one.test"))
		works := w.claim(10)
		equalList(w, "claimed", addresses(works), []string{"a@one.test", "c@one.test", "d@one.test", "b@two.test"})
		if works[0].Message != works[1].Message {
			w.Fatal("the works of one message do not share it")
		}
		equal(w, "message", works[0].Message.ID, a.Message.ID)
		equal(w, "destination", works[1].Delivery.Destination, "one.test")
	}},
	{"deliveries of one message stay together though their turns differ", func(w *world) {
		a := w.letter("a@one.test", "c@one.test")
		a.Deliveries[0].Due = w.now.Add(-2 * time.Second)
		w.accept(a)
		between := w.letter("b@one.test")
		between.Deliveries[0].Due = w.now.Add(-time.Second)
		w.accept(between)
		equalList(w, "claimed", addresses(w.claim(10)), []string{"a@one.test", "c@one.test", "b@one.test"})
	}},
	{"two claimers never share a delivery", func(w *world) {
		w.crowd(300, 7)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[int64]int{}
		for i := range 8 {
			wg.Go(func() {
				for {
					works, err := w.s.Claim(w.ctx, queue.ClaimParams{Node: fmt.Sprint("node", i), Now: w.now, Until: w.now.Add(time.Minute), Max: 7, Room: roomy})
					if err != nil {
						w.Error(err)
						return
					}
					if len(works) == 0 {
						return
					}
					mu.Lock()
					for _, work := range works {
						seen[work.Lease.Delivery]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		equal(w, "deliveries claimed", len(seen), 300)
		for row, times := range seen {
			if times != 1 {
				w.Fatalf("delivery %d was claimed %d times", row, times)
			}
		}
	}},
	{"projects wait apart for one destination, and still do when it comes back", func(w *world) {
		for i := range 20 {
			w.accept(w.letter(fmt.Sprintf("a%d@example.com", i)))
		}
		b := w.letter("b0@example.com")
		b.Message.Owner.Project = w.owner.Project + 1
		w.accept(b)
		mine := 2
		room := func(_ string, owner mail.Owner, _ mail.Tier) int {
			if owner == w.owner {
				return mine
			}
			return 5
		}
		works := w.claimRoom(10, room)
		equalList(w, "claimed", addresses(works), []string{"a0@example.com", "a1@example.com", "b0@example.com"})
		w.goes(works[2])
		w.settle(w.deferred(works[2], w.now.Add(time.Minute)))
		w.now, mine = w.now.Add(time.Minute), 0
		equalList(w, "claimed again", addresses(w.claimRoom(10, room)), []string{"b0@example.com"})
	}},
	{"test mail and live mail wait apart", func(w *world) {
		w.accept(w.letter("ada@example.com"))
		a := w.letter("bob@example.com")
		a.Message.Owner.Env = mail.Test
		w.accept(a)
		works := w.claimRoom(10, func(_ string, owner mail.Owner, _ mail.Tier) int {
			if owner.Env == mail.Test {
				return 5
			}
			return 0
		})
		equalList(w, "claimed", addresses(works), []string{"bob@example.com"})
		equal(w, "owner", works[0].Message.Owner, a.Message.Owner)
		equal(w, "delivery's owner", works[0].Delivery.Owner, a.Message.Owner)
	}},
	{"depth counts what waits and what is leased", func(w *world) {
		for i := range 3 {
			w.accept(w.letter(fmt.Sprintf("a%d@example.com", i)))
		}
		w.accept(scheduled(w.letter("later@example.com"), w.now.Add(time.Hour)))
		equal(w, "new", w.waiting(mail.WaitNew), 3)
		equal(w, "scheduled", w.waiting(mail.WaitScheduled), 1)
		works := w.claim(2)
		equal(w, "new", w.waiting(mail.WaitNew), 1)
		equal(w, "leased", w.waiting(mail.NoWait), 2)
		w.settle(w.delivered(works[0]), w.deferred(works[1], w.now.Add(time.Hour)))
		equal(w, "leased", w.waiting(mail.NoWait), 0)
		equal(w, "retry", w.waiting(mail.WaitRetry), 1)
	}},
}

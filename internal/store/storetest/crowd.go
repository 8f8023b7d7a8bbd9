package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/submit"
)

const crowd = 200 // messages

var crowdClauses = []clause{
	{"accepting, claiming, beginning, settling and reading at once loses nothing", func(w *world) {
		var sent atomic.Int64
		ctx, stop := context.WithTimeout(w.ctx, time.Minute)
		defer stop()
		var wg, readers sync.WaitGroup
		for g := range 4 {
			letters := make([]*submit.Acceptance, crowd/4)
			for i := range letters {
				letters[i] = w.letter(fmt.Sprintf("a%d-%d@d%d.test", g, i, i%5))
			}
			wg.Go(func() {
				for _, a := range letters {
					if _, err := w.s.Accept(ctx, []*submit.Acceptance{a}); err != nil {
						w.Error(err)
					}
				}
			})
		}
		for g := range 3 {
			wg.Go(func() { w.work(ctx, g, &sent) })
		}
		reading, done := context.WithCancel(ctx)
		for range 2 {
			readers.Go(func() { w.watch(reading) })
		}
		wg.Wait()
		done()
		readers.Wait()
		equal(w, "delivered", sent.Load(), crowd)
		for _, wait := range []mail.Wait{mail.NoWait, mail.WaitNew} {
			equal(w, "left in the queue", w.waiting(wait), 0)
		}
		seen := 0
		q := archive.Query{Owner: w.owner, Limit: 100}
		for {
			page, err := w.s.Messages(w.ctx, q)
			w.must(err)
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				seen++
				w.story(r.Message.Row, mail.EventQueued, mail.EventAccepted, mail.EventDelivered)
			}
			q.After = page[len(page)-1].Message.Row
		}
		equal(w, "messages", seen, crowd)
	}},
}

// work delivers until all is delivered.
func (w *world) work(ctx context.Context, n int, sent *atomic.Int64) {
	for sent.Load() < crowd && ctx.Err() == nil {
		works, err := w.s.Claim(ctx, queue.ClaimParams{Node: fmt.Sprint("node", n), Now: w.now, Until: w.now.Add(time.Hour), Max: 20, Room: roomy})
		if err != nil {
			w.Error(err)
			return
		}
		for _, work := range works {
			if v, err := w.s.Begin(ctx, w.now, []queue.Beginning{w.beginning(work)}); err != nil || !v[0].Go {
				w.Error(v, err)
			}
			if lost, err := w.s.Settle(ctx, w.now, []queue.Result{w.delivered(work)}); err != nil || len(lost) > 0 {
				w.Error(lost, err)
			}
			sent.Add(1)
		}
	}
}

// watch reads what changes meanwhile: a delivered message always has its event.
func (w *world) watch(ctx context.Context) {
	for ctx.Err() == nil {
		page, err := w.s.Messages(ctx, archive.Query{Owner: w.owner, Limit: 20})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.Error(err)
			return
		}
		for _, r := range page {
			d := r.Deliveries[0]
			if (d.Status == mail.Delivered) != (r.LastEvent.Type == mail.EventDelivered) {
				w.Errorf("status %v with last event %v", d.Status, r.LastEvent.Type)
			}
		}
		if _, err := w.s.Depth(ctx); err != nil {
			w.Error(err)
		}
	}
}

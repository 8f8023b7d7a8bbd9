package sqlite

import (
	"context"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

const waits = int(mail.WaitRescued) + 1

// depthCount counts deliveries in the queue by tier and wait reason (NoWait: leased).
// The writer keeps it with every change, so that asking costs nothing.
type depthCount [mail.Tiers][waits]int64

func (c *depthCount) add(t mail.Tier, w mail.Wait, n int64) {
	c[t%mail.Tiers][int(w)%waits] += n
}

// Depth gives the counters of the last commit. Oldest is the earliest due time in the
// tier, whatever the reason; it is zero for what is leased.
func (s *Store) Depth(ctx context.Context) ([]queue.Depth, error) {
	if !s.ready.Load() {
		return nil, errSchema
	}
	s.published.Lock()
	count := s.published.depth
	s.published.Unlock()
	var out []queue.Depth
	for tier := range count {
		oldest := fromMicros(s.heads.oldest(tier))
		for wait, n := range count[tier] {
			if n == 0 {
				continue
			}
			d := queue.Depth{Tier: mail.Tier(tier), Wait: mail.Wait(wait), Count: n}
			if d.Wait != mail.NoWait {
				d.Oldest = oldest
			}
			out = append(out, d)
		}
	}
	return out, nil
}

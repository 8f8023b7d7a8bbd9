package report

import (
	"maps"
	"sync"
)

// Count names one of the counters.
type Count struct {
	Kind   string // of feedback.Kind, or unsubscribe
	Result string // a queue.Effect; informative, again, unmatched, put_off or ignored
}

type counts struct {
	sync.Mutex
	by map[Count]int64
}

func (c *counts) add(kind, result string) {
	c.Lock()
	defer c.Unlock()
	c.by[Count{kind, result}]++
}

// Stats tells what was taken in since the start: a letter counts once for each recipient it
// did something to.
func (s *Service) Stats() map[Count]int64 {
	s.counts.Lock()
	defer s.counts.Unlock()
	return maps.Clone(s.counts.by)
}

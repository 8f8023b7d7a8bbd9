package dns

import (
	"sync"
	"time"
)

// cache remembers answers until their time is over. It never holds more than max.
type cache struct {
	mu      sync.Mutex
	max     int
	entries map[question]*answer
}

func newCache(max int) *cache { return &cache{max: max, entries: map[question]*answer{}} }

func (c *cache) get(q question, now time.Time) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.entries[q]
	if a == nil || !now.Before(a.until) {
		return nil
	}
	return a
}

func (c *cache) put(q question, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.entries[q]; !known && len(c.entries) >= c.max {
		c.evict()
	}
	c.entries[q] = a
}

// evict makes room: of a few entries picked at random (Go's map order is) the one whose
// time is over first.
func (c *cache) evict() {
	var worst question
	var until time.Time
	seen := 0
	for q, a := range c.entries {
		if seen == 0 || a.until.Before(until) {
			worst, until = q, a.until
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(c.entries, worst)
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

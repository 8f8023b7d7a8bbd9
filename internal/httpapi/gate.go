package httpapi

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// gate bounds the memory of large bodies. A body takes its whole room at once, before
// it is read, so that two half-read ones never wait for each other.
type gate struct {
	room     *semaphore.Weighted
	patience time.Duration
	held     atomic.Int64
}

func newGate(bytes int64, patience time.Duration) *gate {
	return &gate{room: semaphore.NewWeighted(bytes), patience: patience}
}

// enter waits a moment for room; false when there is none.
func (g *gate) enter(ctx context.Context, bytes int64) bool {
	if !g.room.TryAcquire(bytes) {
		ctx, cancel := context.WithTimeout(ctx, g.patience)
		defer cancel()
		if g.room.Acquire(ctx, bytes) != nil {
			return false
		}
	}
	g.held.Add(bytes)
	return true
}

func (g *gate) leave(bytes int64) {
	g.held.Add(-bytes)
	g.room.Release(bytes)
}

package smtpd

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// room is the memory for contents over smallContent: so many at a time. Who holds it for
// longest, and longer than the grace, gives it up when somebody else waits: contents that
// never end cannot keep out others.
type room struct {
	grace  time.Duration
	places *semaphore.Weighted

	mu      sync.Mutex
	holders *list.List // of holder, the longest first
}

type holder struct {
	session *session
	since   time.Time
}

func newRoom(places int, grace time.Duration) *room {
	return &room{grace: grace, places: semaphore.NewWeighted(int64(places)), holders: list.New()}
}

// enter waits for a place for at most patienceForRoom. False: there is none. The session
// calls leave once.
func (r *room) enter(ctx context.Context, s *session) (leave func(), ok bool) {
	if !r.places.TryAcquire(1) {
		r.press(time.Now())
		ctx, cancel := context.WithTimeout(ctx, patienceForRoom)
		defer cancel()
		if r.places.Acquire(ctx, 1) != nil {
			return nil, false
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	place := r.holders.PushBack(holder{s, time.Now()})
	return func() {
		r.mu.Lock()
		r.holders.Remove(place) // of the list's own, or nothing: press did
		r.mu.Unlock()
		r.places.Release(1)
	}, true
}

// press cuts the session that has held its place for longest.
func (r *room) press(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.holders.Front()
	if oldest == nil {
		return
	}
	if h := oldest.Value.(holder); now.Sub(h.since) >= r.grace {
		r.holders.Remove(oldest)
		h.session.wire.cut(errPressed)
	}
}

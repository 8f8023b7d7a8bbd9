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

// enter waits for a place: until the grace of who holds one is over, and for a little
// longer. False: there is none. The session calls leave once.
func (r *room) enter(ctx context.Context, s *session) (leave func(), ok bool) {
	if !r.places.TryAcquire(1) && !r.queue(ctx) {
		return nil, false
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

func (r *room) queue(ctx context.Context) bool {
	if left := r.press(time.Now()); left > 0 {
		if r.wait(ctx, left) {
			return true
		}
		r.press(time.Now())
	}
	return r.wait(ctx, patienceForRoom)
}

func (r *room) wait(ctx context.Context, most time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return r.places.Acquire(ctx, 1) == nil
}

// press cuts the session that has held its place for longest, unless that is not yet for
// the grace: then it tells how much is left.
func (r *room) press(now time.Time) (left time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.holders.Front()
	if oldest == nil {
		return 0
	}
	h := oldest.Value.(holder)
	if left = r.grace - now.Sub(h.since); left <= 0 {
		r.holders.Remove(oldest)
		h.session.wire.cut(errPressed)
	}
	return left
}

// Package recent remembers for a while what was read somewhere slower.
package recent

import (
	"sync"
	"sync/atomic"
	"time"
)

// Memory holds values by key, each for as long as whoever read it says. When that is over
// one caller reads it again while the others go on with what is known, and what cannot be
// read again stays true meanwhile. Safe for concurrent use; values are shared: who gets
// one does not change what it points to.
type Memory[K comparable, V any] struct {
	most int

	mu      sync.RWMutex
	changes uint64 // counts forgettings
	known   map[K]*entry[V]
}

// entry is one value; all but until never changes.
type entry[V any] struct {
	value V
	until atomic.Int64 // unix nanoseconds
}

// retry is how long a reader has before another one reads too.
const retry = time.Second

// New makes a Memory of at most so many values: one more pushes any other out.
func New[K comparable, V any](most int) *Memory[K, V] {
	return &Memory[K, V]{most: most, known: map[K]*entry[V]{}}
}

// Get gives the value of a key. read is called where nothing fresh is known; it is given
// what was known, nil for nothing, and says how long the new value is fresh. Its error is
// Get's when nothing was known; else the old value is given.
func (m *Memory[K, V]) Get(key K, now time.Time, read func(old *V) (V, time.Duration, error)) (V, error) {
	m.mu.RLock()
	old, change := m.known[key], m.changes
	m.mu.RUnlock()
	var before *V
	if old != nil {
		until := old.until.Load()
		if now.UnixNano() < until || !old.until.CompareAndSwap(until, now.Add(retry).UnixNano()) {
			return old.value, nil
		}
		before = &old.value
	}
	value, fresh, err := read(before)
	switch {
	case err != nil && old != nil:
		return old.value, nil
	case err != nil:
		return value, err
	}
	m.learn(key, change, value, now.Add(fresh))
	return value, nil
}

// learn keeps a value, unless something was forgotten while it was read: it may tell of
// the time before.
func (m *Memory[K, V]) learn(key K, change uint64, value V, until time.Time) {
	next := &entry[V]{value: value}
	next.until.Store(until.UnixNano())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes != change {
		return
	}
	if _, known := m.known[key]; !known && len(m.known) >= m.most {
		for other := range m.known { // Go's map order is random
			delete(m.known, other)
			break
		}
	}
	m.known[key] = next
}

// Forget drops the value of a key: it is not true any more. What is being read now is
// given to who reads it, and not kept.
func (m *Memory[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	delete(m.known, key)
}

// ForgetAll drops the values of all keys that which names.
func (m *Memory[K, V]) ForgetAll(which func(K) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	for key := range m.known {
		if which(key) {
			delete(m.known, key)
		}
	}
}

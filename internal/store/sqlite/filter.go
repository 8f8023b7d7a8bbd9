package sqlite

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"zombiezen.com/go/sqlite"
)

// filter answers "is this address surely not suppressed?" without asking the database:
// a Bloom filter over (owner, address) that is only ever added to. What it lets through
// is looked up, so a removed or expired suppression costs a query and nothing else.
// Addresses are added before the commit that suppresses them, never after.
type filter struct {
	seed  maphash.Seed
	bits  []atomic.Uint64
	added atomic.Int64 // addresses, those added twice counted twice
}

const (
	filterBits   = 16 // per address, four of them set: one false alarm in about 400
	filterSpare  = 4  // room for so many times what was there at open
	filterLeast  = 1 << 20
	filterProbes = 4
)

func newFilter(addresses int64) *filter {
	bits := max(addresses*filterBits*filterSpare, filterLeast)
	return &filter{seed: maphash.MakeSeed(), bits: make([]atomic.Uint64, (bits+63)/64)}
}

func (f *filter) hash(owner int64, address string) (uint64, uint64) {
	h := maphash.String(f.seed, address) ^ uint64(owner)*0x9e3779b97f4a7c15
	return h, h>>33 | 1
}

func (f *filter) add(owner int64, address string) {
	f.added.Add(1)
	h, step := f.hash(owner, address)
	for range filterProbes {
		bit := h % uint64(len(f.bits)*64)
		f.bits[bit/64].Or(1 << (bit % 64))
		h += step
	}
}

// maybe is false only for what was never added.
func (f *filter) maybe(owner int64, address string) bool {
	h, step := f.hash(owner, address)
	for range filterProbes {
		bit := h % uint64(len(f.bits)*64)
		if f.bits[bit/64].Load()&(1<<(bit%64)) == 0 {
			return false
		}
		h += step
	}
	return true
}

// full tells whether so much was added that too many false alarms come.
func (f *filter) full() bool { return f.added.Load() > int64(len(f.bits)*64/filterBits) }

// suppressing notes an address in the filter, and in the one that is being made to take
// its place.
func (s *Store) suppressing(owner int64, address string) {
	next := s.nextBlocked.Load() // first: were it looked at last, it could be in place and gone meanwhile
	s.blocked.Load().add(owner, address)
	if next != nil {
		next.add(owner, address)
	}
}

// growFilter makes a larger filter when the present one is full. Every suppression is
// either committed when the reading begins, or noted in the new one by whoever commits it
// later: the new one is put in place by an op of the writer, and ops do not overlap.
func (s *Store) growFilter(ctx context.Context) error {
	if !s.blocked.Load().full() {
		return nil
	}
	s.growing.Lock()
	defer s.growing.Unlock()
	old := s.blocked.Load()
	if !old.full() {
		return nil
	}
	next := newFilter(old.added.Load())
	if err := s.write(ctx, func(*tx) error { s.nextBlocked.Store(next); return nil }); err != nil {
		return err
	}
	defer s.nextBlocked.Store(nil)
	for row := int64(0); ; {
		last := row
		err := s.read(ctx, func(conn *sqlite.Conn) error {
			q := conn.Prep(`SELECT row, owner, address FROM suppressions WHERE row > ? ORDER BY row LIMIT 10000`)
			q.BindInt64(1, row)
			return each(q, func(q *sqlite.Stmt) error {
				row = q.ColumnInt64(0)
				next.add(q.ColumnInt64(1), q.ColumnText(2))
				return nil
			})
		})
		if err != nil {
			return err
		}
		if row == last {
			break
		}
	}
	// Nobody reads the old one after this; whoever is adding now adds to both.
	s.blocked.Store(next)
	return nil
}

package sqlite

import (
	"hash/maphash"
	"sync/atomic"
)

// filter answers "is this address surely not suppressed?" without asking the database:
// a Bloom filter over (owner, address) that is only ever added to. What it lets through
// is looked up, so a removed or expired suppression costs a query and nothing else.
// Addresses are added before the commit that suppresses them, never after.
type filter struct {
	seed maphash.Seed
	bits []atomic.Uint64
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

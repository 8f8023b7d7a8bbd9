package lane

// fifo is the jobs of one tier of a lane in the order they came. The zero value is
// ready for use. It is a ring that grows by doubling and is dropped when it runs empty
// after having been large, so that a burst is not kept for ever.
type fifo struct {
	ring  []*Job
	first int
	count int
	soon  int // of the first jobs, how many Options.Soon was told of
}

const keepRing = 256 // a ring of up to this many places is kept when empty

func (f *fifo) push(j *Job) {
	if f.count == len(f.ring) {
		f.grow()
	}
	f.ring[(f.first+f.count)&(len(f.ring)-1)] = j
	f.count++
}

func (f *fifo) grow() {
	bigger := make([]*Job, max(16, 2*len(f.ring))) // a power of two: positions are masked
	n := copy(bigger, f.ring[f.first:])
	copy(bigger[n:], f.ring[:f.first])
	f.ring, f.first = bigger, 0
}

// head is the oldest job, nil when there is none.
func (f *fifo) head() *Job {
	if f.count == 0 {
		return nil
	}
	return f.ring[f.first]
}

func (f *fifo) pop() *Job {
	j := f.ring[f.first]
	f.ring[f.first] = nil
	f.first = (f.first + 1) & (len(f.ring) - 1)
	f.soon = max(f.soon-1, 0)
	if f.count--; f.count == 0 && len(f.ring) > keepRing {
		f.ring, f.first = nil, 0
	}
	return j
}

// next gives the first job that Options.Soon was not told of, nil when there is none among
// the first so many.
func (f *fifo) next(window int) *Job {
	if f.soon >= f.count || f.soon >= window {
		return nil
	}
	f.soon++
	return f.ring[(f.first+f.soon-1)&(len(f.ring)-1)]
}

// drain takes all jobs out, in order, appending them to jobs.
func (f *fifo) drain(jobs []*Job) []*Job {
	for f.count > 0 {
		jobs = append(jobs, f.pop())
	}
	return jobs
}

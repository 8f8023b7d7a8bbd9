package lane

import "time"

// shareOf is the part of a tier's depth that a project finds free though others have filled
// it: one of so many.
const shareOf = 16

// tier is what waits in a lane of one rank: a line for each project, which take turns, so that
// nobody waits behind another's burst. The zero value is ready for use.
type tier struct {
	lines       map[int64]*line // by project; those with nothing in them go with a sweep
	first, last *line           // those with jobs, in the order of their turns
	count       int             // jobs
	shut        int             // lines that are closed
	asked       bool            // some line is wanted
	moved       bool            // one that is wanted has half of its share free again
}

// line is the jobs of one project.
type line struct {
	fifo
	behind *line     // whose turn comes after
	closed time.Time // just given back: takes nothing until then, or until it or the lane moves
	wanted bool      // somebody was told that there is no room
}

func (t *tier) line(project int64) *line {
	l := t.lines[project]
	if l == nil {
		if t.lines == nil {
			t.lines = make(map[int64]*line)
		}
		l = &line{}
		t.lines[project] = l
	}
	return l
}

func (t *tier) push(j *Job) {
	l := t.line(j.Message.Owner.Project)
	if l.fifo.push(j); l.count == 1 {
		t.enqueue(l)
	}
	t.count++
}

func (t *tier) enqueue(l *line) {
	if t.last == nil {
		t.first = l
	} else {
		t.last.behind = l
	}
	t.last, l.behind = l, nil
}

// head is the job whose turn it is, nil when there is none.
func (t *tier) head() *Job {
	if t.first == nil {
		return nil
	}
	return t.first.head()
}

// pop takes out the head; its line goes to the end of the turns.
func (t *tier) pop() (*Job, *line) {
	l := t.first
	if t.first = l.behind; t.first == nil {
		t.last = nil
	}
	j := l.fifo.pop()
	if l.count > 0 {
		t.enqueue(l)
	}
	t.count--
	t.open(l)
	return j, l
}

func (t *tier) close(l *line, until time.Time) {
	if l.closed.IsZero() {
		t.shut++
	}
	l.closed = until
}

func (t *tier) open(l *line) {
	if !l.closed.IsZero() {
		l.closed = time.Time{}
		t.shut--
	}
}

// reopen opens the lines whose rest is over by a time.
func (t *tier) reopen(now time.Time) {
	if t.shut == 0 {
		return
	}
	for _, l := range t.lines {
		if !now.Before(l.closed) {
			t.open(l)
		}
	}
}

func (t *tier) want(l *line) { l.wanted, t.asked = true, true }

// told says of all lines that somebody was told of room. Who waits for a closed one is not
// told yet.
func (t *tier) told() (any bool) {
	t.asked = false
	for _, l := range t.lines {
		switch {
		case l.wanted && l.closed.IsZero():
			l.wanted, any = false, true
		case l.wanted:
			t.asked = true
		}
	}
	return any
}

// giveUp takes out the jobs of the lines whose oldest was offered before a time, appending
// them to jobs, and tells which lines these were.
func (t *tier) giveUp(before time.Time, jobs []*Job) ([]*Job, []*line) {
	var given []*line
	for _, l := range t.lines {
		if head := l.head(); head != nil && !head.Offered.After(before) {
			given = append(given, l)
		}
	}
	for _, l := range given {
		t.count -= l.count
		jobs = l.drain(jobs)
	}
	if given == nil {
		return jobs, nil
	}
	rest := t.first
	t.first, t.last = nil, nil
	for rest != nil {
		l := rest
		if rest = l.behind; l.count > 0 {
			t.enqueue(l)
		}
	}
	return jobs, given
}

// tidy forgets lines with nothing to remember.
func (t *tier) tidy() {
	for project, l := range t.lines {
		if l.count == 0 && !l.wanted && l.closed.IsZero() {
			delete(t.lines, project)
		}
	}
}

// soon calls tell for jobs it was not called for that come next, about so many.
func (t *tier) soon(window int, tell func(*Job)) {
	for l := t.first; l != nil && window > 0; l = l.behind {
		part := window // alone it has all of it; of several each has its turn
		if t.first != t.last {
			part = 1
		}
		for j := l.next(part); j != nil; j = l.next(part) {
			tell(j)
		}
		window--
	}
}

// oldest tells when the job that waits longest was offered; zero: none waits.
func (t *tier) oldest() (at time.Time) {
	for l := t.first; l != nil; l = l.behind {
		if offered := l.head().Offered; at.IsZero() || offered.Before(at) {
			at = offered
		}
	}
	return at
}

package sqlite

import (
	"container/heap"
	"strconv"
	"strings"
	"sync"

	"github.com/postroad/postroad/internal/mail"
)

// queueKey names one queue of waiting deliveries: environment, tier, project and destination
// ("01 7 gmail.com"), as stored in deliveries.queue.
func queueKey(owner mail.Owner, tier mail.Tier, destination string) string {
	b := make([]byte, 0, 64)
	b = append(b, '0'+byte(owner.Env&1), '0'+byte(tier%mail.Tiers), ' ')
	b = strconv.AppendInt(b, owner.Project, 10)
	b = append(b, ' ')
	return string(append(b, destination...))
}

// splitQueueKey reads a key. Those written by the first versions have no project
// ("01gmail.com"): theirs is 0.
func splitQueueKey(key string) (mail.Owner, mail.Tier, string) {
	if len(key) < 2 {
		return mail.Owner{}, 0, key
	}
	owner, tier, destination := mail.Owner{Env: mail.Env(key[0] - '0')}, mail.Tier(key[1]-'0')%mail.Tiers, key[2:]
	if rest, ok := strings.CutPrefix(destination, " "); ok {
		project, name, _ := strings.Cut(rest, " ")
		if row, err := strconv.ParseInt(project, 10, 64); err == nil {
			owner.Project, destination = row, name
		}
	}
	return owner, tier, destination
}

// head is what is known of one queue without asking: nothing of it is due before due.
// It may be early (what was due was cancelled), never late.
type head struct {
	key    string
	due    int64
	number uint64 // in the order they were made: what is due at once is given in that order
	slot   int    // in its tier's heap
}

func (h *head) before(o *head) bool { return h.due < o.due || h.due == o.due && h.number < o.number }

// heads holds one head per queue in which something waits. So a million deliveries
// waiting for one destination are one entry here, and looking past them costs one
// call of Room. They are rebuilt at open by one walk over the waiting index; memory
// is about 120 bytes per project and destination with waiting mail.
type heads struct {
	mu    sync.Mutex
	byKey map[string]*head
	tiers [mail.Tiers]headHeap
	made  uint64
}

// headChange is what a transaction learned of a queue.
type headChange struct {
	key   string
	due   int64
	exact bool // due is the earliest now, or nothing waits when it is never; else: something is due then
}

const never = int64(1<<63 - 1)

func newHeads() *heads { return &heads{byKey: make(map[string]*head)} }

// apply takes over the changes of a committed transaction, in order.
func (h *heads) apply(changes []headChange) {
	if len(changes) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		_, tier, _ := splitQueueKey(c.key)
		queue := &h.tiers[tier]
		known := h.byKey[c.key]
		switch {
		case known == nil && c.due == never:
		case known == nil:
			h.made++
			known = &head{key: c.key, due: c.due, number: h.made}
			h.byKey[c.key] = known
			heap.Push(queue, known)
		case c.exact && c.due == never:
			heap.Remove(queue, known.slot)
			delete(h.byKey, c.key)
		case c.exact && c.due != known.due, c.due < known.due:
			known.due = c.due
			heap.Fix(queue, known.slot)
		}
	}
}

// candidate is a queue that may have something due.
type candidate struct {
	key string
	due int64
}

// candidates gives heads of one tier in due order until visit says false. visit is
// called without the lock, and may ask questions; it gets few heads at first, since
// mostly the first ones are enough.
func (h *heads) candidates(tier int, visit func(candidate) bool) {
	for seen, n := 0, 16; ; n *= 8 {
		page := h.page(tier, seen, n)
		for _, c := range page {
			if !visit(c) {
				return
			}
		}
		if seen += len(page); len(page) < n {
			return
		}
	}
}

func (h *heads) page(tier, skip, n int) []candidate {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []candidate
	h.tiers[tier].walk(func(x *head) bool {
		if skip > 0 {
			skip--
			return true
		}
		out = append(out, candidate{x.key, x.due})
		return len(out) < n
	})
	return out
}

// oldest tells the earliest due time of a tier, 0 when nothing waits.
func (h *heads) oldest(tier int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tiers[tier]) == 0 {
		return 0
	}
	return h.tiers[tier][0].due
}

// headHeap is a binary heap by due time.
type headHeap []*head

func (q headHeap) Len() int           { return len(q) }
func (q headHeap) Less(i, j int) bool { return q[i].before(q[j]) }
func (q headHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].slot, q[j].slot = i, j
}
func (q *headHeap) Push(x any) {
	e := x.(*head)
	e.slot = len(*q)
	*q = append(*q, e)
}
func (q *headHeap) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}

// walk visits the heap in due order without changing it, until visit is false. The
// frontier holds the places whose parents were visited: k visits cost k·log k.
func (q headHeap) walk(visit func(*head) bool) {
	if len(q) == 0 {
		return
	}
	f := frontier{q: q, at: []int{0}}
	for len(f.at) > 0 {
		i := heap.Pop(&f).(int)
		if !visit(q[i]) {
			return
		}
		for child := 2*i + 1; child <= 2*i+2 && child < len(q); child++ {
			heap.Push(&f, child)
		}
	}
}

type frontier struct {
	q  headHeap
	at []int
}

func (f *frontier) Len() int           { return len(f.at) }
func (f *frontier) Less(i, j int) bool { return f.q[f.at[i]].before(f.q[f.at[j]]) }
func (f *frontier) Swap(i, j int)      { f.at[i], f.at[j] = f.at[j], f.at[i] }
func (f *frontier) Push(x any)         { f.at = append(f.at, x.(int)) }
func (f *frontier) Pop() any {
	x := f.at[len(f.at)-1]
	f.at = f.at[:len(f.at)-1]
	return x
}

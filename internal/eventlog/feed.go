package eventlog

import (
	"context"
	"fmt"
	"math"
	"sort"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	feedPage  = 1000             // entries read at once
	feedPoll  = time.Second      // how long a feed goes without looking, should nobody wake it
	feedIdle  = 10 * time.Second // how long it goes on without readers: pollers come back
	feedFault = time.Second      // after an error of the store
)

// Item is an event as readers get it.
type Item struct {
	Position int64
	Type     mail.EventType
	Envelope []byte // shared: never to be changed

	about filtered
}

// filtered is what filters ask, without all the rest of an entry.
type filtered struct {
	at        time.Time
	message   mail.ID
	recipient string // folded
	tags      []string
}

// itemOf renders an entry.
func (s *Service) itemOf(e *Entry) (Item, error) {
	b, err := Envelope(*e, s.o.BaseURL, nil)
	item := Item{Position: e.Position, Type: e.Type, Envelope: b, about: filtered{at: e.At, message: e.MessageID, recipient: mail.FoldAddress(e.Recipient)}}
	if e.Message != nil {
		item.about.tags = e.Message.Tags
	}
	return item, err
}

// feed is the end of one owner's log in memory: the events that came since it was made,
// the oldest forgotten when they are too many. One goroutine reads them for all readers.
type feed struct {
	s     *Service
	owner mail.Owner

	mu      sync.Mutex
	items   []Item
	size    int           // bytes of their envelopes
	gone    int64         // items that were forgotten: items[0] is number gone
	from    int64         // what lies behind this position is in items
	seen    int64         // up to where the log was read
	changed chan struct{} // closed when there is something new
	readers int
	idle    time.Time // since when there are none
}

// attach gives the owner's feed, with one more reader.
func (s *Service) attach(owner mail.Owner) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[owner]
	if f == nil {
		f = &feed{s: s, owner: owner, from: math.MaxInt64, changed: make(chan struct{})}
		s.feeds[owner] = f
		s.pumps.Go(func() { f.run(s.ctx) })
	}
	f.mu.Lock()
	f.readers++
	f.mu.Unlock()
	return f
}

func (f *feed) detach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers--; f.readers == 0 {
		f.idle = time.Now()
	}
}

// over takes the feed away when nobody has needed it for a while.
func (f *feed) over() bool {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers > 0 || time.Since(f.idle) < feedIdle {
		return false
	}
	delete(f.s.feeds, f.owner)
	return true
}

// run follows the log until nobody needs it, or ctx ends.
func (f *feed) run(ctx context.Context) {
	faulty := false
	for ctx.Err() == nil && !f.over() {
		woken := f.s.o.Wake() // before looking, so that nothing slips in between
		began := time.Now()
		err := f.look(ctx)
		if err != nil && ctx.Err() == nil && !faulty {
			f.s.o.Log.Error("the event log cannot be read: readers wait", "error", err)
		}
		if faulty = err != nil; faulty {
			pause(ctx, nil, feedFault, feedFault)
			continue
		}
		pause(ctx, woken, f.s.o.Interval-time.Since(began), feedPoll)
	}
}

// pause lasts at least and at most so long, and in between until woken.
func pause(ctx context.Context, woken <-chan struct{}, least, most time.Duration) {
	timer := time.NewTimer(max(least, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	timer.Reset(max(most-least, 0))
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
}

// look reads what is new.
func (f *feed) look(ctx context.Context) error {
	if f.from == math.MaxInt64 { // only this goroutine changes it
		_, newest, err := f.s.o.Store.LogBounds(ctx, f.owner)
		if err != nil {
			return fmt.Errorf("read the log's bounds: %w", err)
		}
		f.mu.Lock()
		f.from, f.seen = newest, newest
		f.tell()
		f.mu.Unlock()
		return nil
	}
	for ctx.Err() == nil {
		entries, seen, err := f.s.o.Store.Log(ctx, Query{Owner: f.owner, After: f.seen, Limit: feedPage})
		if err != nil {
			return fmt.Errorf("read the log after %d: %w", f.seen, err)
		}
		if seen == f.seen {
			return nil
		}
		items := make([]Item, len(entries))
		for i := range entries {
			if items[i], err = f.s.itemOf(&entries[i]); err != nil {
				return err
			}
		}
		f.add(items, seen)
	}
	return ctx.Err()
}

func (f *feed) add(items []Item, seen int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = seen
	if len(items) == 0 {
		return // positions move on, nobody has to know
	}
	for i := range items {
		f.size += len(items[i].Envelope)
	}
	f.items = append(f.items, items...)
	f.forget()
	f.tell()
}

// forget keeps the feed within its bounds.
func (f *feed) forget() {
	n := 0
	for ; n < len(f.items) && (len(f.items)-n > f.s.o.Buffer || f.size > f.s.o.Bytes); n++ {
		f.size -= len(f.items[n].Envelope)
	}
	if n == 0 {
		return
	}
	f.from = f.items[n-1].Position
	f.gone += int64(n)
	clear(f.items[:n])
	f.items = f.items[n:]
}

// tell wakes all who wait.
func (f *feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// behind gives the index of the first item behind a position.
func (f *feed) behind(position int64) int {
	return sort.Search(len(f.items), func(i int) bool { return f.items[i].Position > position })
}

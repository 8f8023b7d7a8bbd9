package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Dropped is the error of a reader that was at the end of the log and could not keep up:
// it took its events so slowly that the feed's memory of them ran out.
type Dropped struct {
	Count       int64 `json:"count"`        // events it did not get, those among them it did not ask for
	ResumeAfter int64 `json:"resume_after"` // nothing is lost: from here the log goes on
}

func (d *Dropped) Error() string {
	return fmt.Sprintf("too slow: %d events behind position %d", d.Count, d.ResumeAfter)
}

// Reader follows the log from a position on. It holds no events itself: those it is about
// to get are the feed's, or still in the store.
type Reader struct {
	s      *Service
	q      Query // After is where it stands
	f      *feed
	leave  func()
	live   bool  // it has come to the feed: from now on it can be too slow
	number int64 // of the feed's items: the next one it gets
}

// Follow makes a reader. It must be closed. A gap says that events behind q.After are gone.
func (s *Service) Follow(ctx context.Context, r Reading) (*Reader, *Gap, error) {
	if s.ctx.Err() != nil {
		return nil, nil, ErrStopping
	}
	oldest, newest, err := s.o.Store.LogBounds(ctx, r.Owner)
	if err != nil {
		return nil, nil, err
	}
	gap := gapOf(&r.Query, oldest, newest)
	reader, err := s.reader(r)
	return reader, gap, err
}

func (s *Service) reader(r Reading) (*Reader, error) {
	leave, err := s.enter(r)
	if err != nil {
		return nil, err
	}
	return &Reader{s: s, q: r.Query, f: s.attach(r.Owner), leave: leave}, nil
}

// Close ends it.
func (r *Reader) Close() {
	r.f.detach()
	r.leave()
}

// Position is up to where the reader has seen all it asked for.
func (r *Reader) Position() int64 { return r.q.After }

// Next waits until there is something, and gives at most max items in the order of their
// positions. Its errors are [*Dropped], [ErrStopping], those of ctx, and the store's.
func (r *Reader) Next(ctx context.Context, max int) ([]Item, error) {
	for {
		if err := r.ended(ctx); err != nil {
			return nil, err
		}
		items, changed, err := r.fromFeed(max)
		if err != nil || len(items) > 0 {
			return items, err
		}
		if !r.live {
			items, moved, err := r.fromStore(ctx, max)
			if err != nil || len(items) > 0 {
				return items, err
			}
			if moved {
				continue
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-r.s.ctx.Done():
		}
	}
}

func (r *Reader) ended(ctx context.Context) error {
	if r.s.ctx.Err() != nil {
		return ErrStopping
	}
	return ctx.Err()
}

// fromFeed gives what is in memory. When that is nothing, changed says when to look again.
func (r *Reader) fromFeed(max int) (items []Item, changed <-chan struct{}, err error) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.live && r.number < f.gone:
		return nil, nil, &Dropped{Count: f.gone + int64(len(f.items)) - r.number, ResumeAfter: r.q.After}
	case !r.live && r.q.After < f.from:
		return nil, f.changed, nil // it is further behind, or the feed does not stand yet
	case !r.live:
		r.live, r.number = true, f.gone+int64(f.behind(r.q.After))
	}
	for i := int(r.number - f.gone); i < len(f.items) && len(items) < max; i++ {
		item := &f.items[i]
		r.number++
		if item.Position <= r.q.After {
			continue // the reader came from the store, and was ahead of the feed
		}
		r.q.After = item.Position
		if r.q.wants(item) {
			items = append(items, *item)
		}
	}
	if r.number == f.gone+int64(len(f.items)) && f.seen > r.q.After {
		r.q.After = f.seen // what lies up to there is not the owner's
	}
	return items, f.changed, nil
}

// fromStore reads on towards the feed, and tells whether that moved it.
func (r *Reader) fromStore(ctx context.Context, max int) (items []Item, moved bool, err error) {
	q := r.q
	q.Limit = max
	entries, seen, err := r.s.o.Store.Log(ctx, q)
	if err != nil {
		return nil, false, err
	}
	items = make([]Item, len(entries))
	for i := range entries {
		if items[i], err = r.s.itemOf(&entries[i]); err != nil {
			return nil, false, err
		}
	}
	moved = seen > r.q.After
	r.q.After = seen
	return items, moved, nil
}

// wants is Matches for what a feed keeps.
func (q *Query) wants(item *Item) bool {
	e := Entry{Event: mail.Event{Type: item.Type, At: item.about.at, Owner: q.Owner, MessageID: item.about.message, Recipient: item.about.recipient}}
	if item.about.tags != nil {
		e.Message = &mail.Message{Tags: item.about.tags}
	}
	return q.Matches(&e)
}

const (
	// readBudget bounds how long one page searches for what is rare: then it is given as it
	// is, and the reader goes on from there.
	readBudget = 500 * time.Millisecond
	// A long poll that was woken waits this long for more, so that a busy log does not make
	// a request of every event.
	readLinger = 100 * time.Millisecond
)

// Page is a part of the log.
type Page struct {
	Items  []Item
	Next   int64 // where to read on
	More   bool  // there is more already
	Newest int64
	Gap    *Gap
}

// Read gives entries behind a position. When there are none it waits, for at most so long.
// Waiting readers are bounded: [ErrTooMany]. A stop of the server ends the wait.
func (s *Service) Read(ctx context.Context, r Reading, wait time.Duration) (p Page, err error) {
	oldest, newest, err := s.o.Store.LogBounds(ctx, r.Owner)
	if err != nil {
		return p, err
	}
	p.Gap = gapOf(&r.Query, oldest, newest)
	if err := s.readStored(ctx, &r.Query, newest, &p); err != nil {
		return p, err
	}
	if len(p.Items) == 0 && !p.More && wait > 0 {
		if err := s.readLive(ctx, r, wait, &p); err != nil {
			return p, err
		}
	}
	p.Next, p.Newest = max(p.Next, r.After), max(newest, p.Next)
	return p, nil
}

// readStored fills the page from the store. q.After moves on.
func (s *Service) readStored(ctx context.Context, q *Query, newest int64, p *Page) error {
	limit := q.Limit
	began := time.Now()
	for {
		q.Limit = limit - len(p.Items)
		entries, seen, err := s.o.Store.Log(ctx, *q)
		if err != nil {
			return err
		}
		for i := range entries {
			item, err := s.itemOf(&entries[i])
			if err != nil {
				return err
			}
			p.Items = append(p.Items, item)
		}
		end := seen == q.After
		q.After, p.Next = seen, seen
		if end || len(p.Items) == limit || time.Since(began) > readBudget {
			p.More, q.Limit = !end && seen < newest, limit
			return nil
		}
	}
}

// readLive waits at the feed.
func (s *Service) readLive(ctx context.Context, r Reading, wait time.Duration, p *Page) error {
	reader, err := s.reader(r)
	if err != nil {
		return err
	}
	defer reader.Close()
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for len(p.Items) < r.Limit {
		items, err := reader.Next(waiting, r.Limit-len(p.Items))
		first := len(p.Items) == 0
		p.Items = append(p.Items, items...)
		p.Next = reader.Position()
		var slow *Dropped
		switch {
		case err == nil:
		case errors.Is(err, ErrStopping), errors.As(err, &slow), waiting.Err() != nil && ctx.Err() == nil:
			return nil // what it has is its answer
		default:
			return err
		}
		if first {
			waiting, cancel = context.WithTimeout(waiting, readLinger)
			defer cancel()
		}
	}
	p.More = true // perhaps: it costs a look to know
	return nil
}

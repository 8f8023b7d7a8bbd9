package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// fakeStore remembers in memory what a queue asks, and fails by order.
type fakeStore struct {
	mu        sync.Mutex
	token     int64
	rows      []*row
	suppress  map[string]mail.Suppression // by address
	fail      map[string]int              // how often a method fails yet; -1: always
	slow      time.Duration               // every write takes it
	claims    int
	settles   int
	begins    int
	renewed   int
	refuseRow int64 // a settle with this delivery always fails
}

type row struct {
	work   mail.Work
	place  string // "waiting", "leased", "done"
	begun  bool
	node   string
	events []mail.Event
	tried  []mail.Attempt
	result queue.Result // the last
}

func newStore() *fakeStore {
	return &fakeStore{suppress: map[string]mail.Suppression{}, fail: map[string]int{}}
}

var errStore = errors.New("the store is away")

// enter is called at the top of every method.
func (s *fakeStore) enter(method string) error {
	if s.slow > 0 {
		time.Sleep(s.slow)
	}
	s.mu.Lock()
	if n := s.fail[method]; n != 0 {
		s.fail[method] = max(n-1, -1)
		s.mu.Unlock()
		return errStore
	}
	return nil
}

// accept enters a message to some addresses; leased, it gives the works for Dispatch.
func (s *fakeStore) accept(now time.Time, tier mail.Tier, leased bool, addresses ...string) []*mail.Work {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &mail.Message{ID: mail.NewID(now), Row: int64(len(s.rows) + 1), CreatedAt: now, Tier: tier,
		From: mail.Address{Email: "me@example.com"}, Owner: mail.Owner{Project: 1, Env: mail.Live}}
	var works []*mail.Work
	for _, address := range addresses {
		s.token++
		r := &row{place: "waiting", work: mail.Work{Message: m, Content: mail.Bytes("body"), Delivery: mail.Delivery{
			ID: mail.NewID(now), Row: int64(len(s.rows) + 1), Message: m.ID, Owner: m.Owner, Address: address, Tier: tier,
			Destination: mail.Address{Email: address}.Domain(), Status: mail.Queued, Wait: mail.WaitNew, Due: now,
		}}}
		s.rows = append(s.rows, r)
		if leased {
			s.lease(r, "node", now.Add(time.Minute))
			w := r.work
			works = append(works, &w)
		}
	}
	return works
}

func (s *fakeStore) lease(r *row, node string, until time.Time) {
	s.token++
	r.place, r.node = "leased", node
	r.work.Lease = mail.Lease{Delivery: r.work.Delivery.Row, Token: s.token, Until: until}
}

func (s *fakeStore) Claim(_ context.Context, p queue.ClaimParams) ([]*mail.Work, error) {
	if err := s.enter("Claim"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.claims++
	due := make([]*row, 0, 16)
	for _, r := range s.rows {
		if r.place == "waiting" && !r.work.Delivery.Due.After(p.Now) {
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *row) int {
		x, y := &a.work.Delivery, &b.work.Delivery
		if x.Tier != y.Tier {
			return int(x.Tier) - int(y.Tier)
		}
		return x.Due.Compare(y.Due)
	})
	left := map[string]int{}
	var works []*mail.Work
	for _, r := range due {
		d := &r.work.Delivery
		key := fmt.Sprint(d.Owner, d.Tier, d.Destination)
		if _, asked := left[key]; !asked {
			left[key] = p.Room(d.Destination, d.Owner, d.Tier)
		}
		if left[key] <= 0 || len(works) == p.Max {
			continue
		}
		left[key]--
		s.lease(r, p.Node, p.Until)
		w := r.work
		works = append(works, &w)
	}
	return works, nil
}

func (s *fakeStore) NextDue(_ context.Context, room queue.Room) (time.Time, bool, error) {
	if err := s.enter("NextDue"); err != nil {
		return time.Time{}, false, err
	}
	defer s.mu.Unlock()
	var next time.Time
	found := false
	for _, r := range s.rows {
		d := &r.work.Delivery
		if r.place == "waiting" && (!found || d.Due.Before(next)) && room(d.Destination, d.Owner, d.Tier) > 0 {
			next, found = d.Due, true
		}
	}
	return next, found, nil
}

// held gives the row of a lease that still holds.
func (s *fakeStore) held(l mail.Lease) *row {
	r := s.rows[l.Delivery-1]
	if r.place != "leased" || r.work.Lease.Token != l.Token {
		return nil
	}
	return r
}

func (s *fakeStore) Begin(_ context.Context, _ time.Time, batch []queue.Beginning) ([]queue.Verdict, error) {
	if err := s.enter("Begin"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.begins++
	verdicts := make([]queue.Verdict, len(batch))
	for i, b := range batch {
		r := s.held(b.Lease)
		if r == nil {
			verdicts[i].Lost = true
			continue
		}
		if sup, ok := s.suppress[b.Address]; ok {
			verdicts[i].Suppressed = &sup
			continue
		}
		verdicts[i].Go, r.begun = true, true
		if b.Accepted != nil {
			r.events = append(r.events, *b.Accepted)
			r.work.Delivery.Status, r.work.Delivery.AcceptedAt = mail.Accepted, b.Accepted.At
		}
	}
	return verdicts, nil
}

func (s *fakeStore) Settle(_ context.Context, _ time.Time, batch []queue.Result) (lost []mail.Lease, err error) {
	if err := s.enter("Settle"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	for _, x := range batch {
		if s.refuseRow != 0 && x.Lease.Delivery == s.refuseRow {
			return nil, errStore
		}
	}
	s.settles++
	for _, x := range batch {
		r := s.held(x.Lease)
		if r == nil {
			lost = append(lost, x.Lease)
			continue
		}
		r.result, r.begun, r.node = x, false, ""
		r.events = append(r.events, x.Events...)
		if x.Attempt != nil {
			r.tried = append(r.tried, *x.Attempt)
		}
		if x.Suppress != nil {
			s.suppress[x.Suppress.Address] = *x.Suppress
		}
		d := &r.work.Delivery
		d.Status, d.Wait, d.Due, d.Tries = x.Status, x.Wait, x.Due, x.Tries
		r.place = "waiting"
		if x.Status.Final() {
			r.place = "done"
		}
	}
	return lost, nil
}

func (s *fakeStore) Renew(_ context.Context, leases []mail.Lease, until time.Time) (lost []mail.Lease, err error) {
	if err := s.enter("Renew"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	for _, l := range leases {
		if r := s.held(l); r != nil {
			r.work.Lease.Until = until
			s.renewed++
		} else {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

func (s *fakeStore) Rescue(_ context.Context, p queue.RescueParams) (begun []*mail.Work, returned int, err error) {
	if err := s.enter("Rescue"); err != nil {
		return nil, 0, err
	}
	defer s.mu.Unlock()
	for _, r := range s.rows {
		mine := p.Own && r.node == p.Node || !p.Own && r.work.Lease.Until.Before(p.Now)
		if r.place != "leased" || !mine || len(begun)+returned == p.Max {
			continue
		}
		if !r.begun {
			r.place, r.work.Delivery.Wait, r.node = "waiting", mail.WaitRescued, ""
			returned++
			continue
		}
		s.lease(r, p.Node, p.Until)
		w := r.work
		begun = append(begun, &w)
	}
	return begun, returned, nil
}

func (s *fakeStore) Report(_ context.Context, _ time.Time, all queue.Report) (out queue.Recorded, err error) {
	if err := s.enter("Report"); err != nil {
		return out, err
	}
	defer s.mu.Unlock()
	for _, r := range all.Outcomes {
		x := s.rows[r.Delivery-1]
		if x.work.Delivery.Status != mail.Delivered {
			return out, mail.ErrStale
		}
		x.work.Delivery.Status = r.Status
		x.events = append(x.events, r.Events...)
		s.suppress[r.Suppress.Address] = *r.Suppress
		out.Effects = append(out.Effects, queue.EffectDone)
	}
	return out, nil
}

func (s *fakeStore) Cancel(_ context.Context, c queue.Change) (queue.Changed, error) {
	if err := s.enter("Cancel"); err != nil {
		return queue.Changed{}, err
	}
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.rows {
		if r.work.Message.ID == c.Message && r.place != "done" {
			r.place, r.work.Delivery.Status = "done", mail.Cancelled
			n++
		}
	}
	return queue.Changed{Count: n, Status: mail.Cancelled}, nil
}

func (s *fakeStore) move(c queue.Change, to time.Time) (queue.Changed, error) {
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.rows {
		if r.work.Message.ID == c.Message && r.place == "waiting" {
			r.work.Delivery.Due = to
			n++
		}
	}
	return queue.Changed{Count: n}, nil
}

func (s *fakeStore) Reschedule(_ context.Context, c queue.Change) (queue.Changed, error) {
	if err := s.enter("Reschedule"); err != nil {
		return queue.Changed{}, err
	}
	return s.move(c, c.To)
}

func (s *fakeStore) Retry(context.Context, queue.Change, []int64) (queue.Changed, error) {
	return queue.Changed{}, nil
}

func (s *fakeStore) SendNow(_ context.Context, c queue.Change) (queue.Changed, error) {
	if err := s.enter("SendNow"); err != nil {
		return queue.Changed{}, err
	}
	return s.move(c, c.Now)
}

func (s *fakeStore) Content(context.Context, int64) (mail.Content, error) {
	return mail.Bytes("body"), nil
}

func (s *fakeStore) Depth(context.Context) ([]queue.Depth, error) { return nil, nil }

// places counts the rows by place.
func (s *fakeStore) places() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, r := range s.rows {
		n[r.place]++
	}
	return n
}

func (s *fakeStore) claimed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims
}

func (s *fakeStore) beginCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begins
}

// story is what one delivery's events tell.
func (s *fakeStore) story(i int) (types []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.rows[i].events {
		types = append(types, string(e.Type)[len("message."):])
	}
	return types
}

func (s *fakeStore) row(i int) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.rows[i]
}

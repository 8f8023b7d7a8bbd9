package sqlite

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// Settle records attempts, next states, events and suppressions together.
func (s *Store) Settle(ctx context.Context, now time.Time, batch []queue.Result) ([]mail.Lease, error) {
	ready := make([]settlement, len(batch))
	for i := range batch {
		ready[i].prepare(&batch[i])
	}
	var lost []mail.Lease
	err := s.write(ctx, func(t *tx) error {
		lost = lost[:0]
		for i := range ready {
			held, err := t.settle(&ready[i], now)
			if err != nil {
				return fmt.Errorf("settle a delivery: %w", err)
			}
			if !held {
				lost = append(lost, ready[i].r.Lease)
			}
		}
		return nil
	})
	return lost, err
}

// settlement is a result encoded outside of the writer.
type settlement struct {
	r       *queue.Result
	attempt string   // facts; "" when nothing was tried
	state   string   // the whole new state, when there was an attempt and it left one
	details []string // of the events
}

func (s *settlement) prepare(r *queue.Result) {
	s.r = r
	buf := make([]byte, 0, 1024)
	cut := func(from int) string { return unsafe.String(unsafe.SliceData(buf[from:]), len(buf)-from) }
	if a := r.Attempt; a != nil && a.Outcome.Tried() {
		site := a.Site
		if site == "" {
			site = r.Site
		}
		buf = appendAttempt(buf, a, site)
		s.attempt = cut(0)
		if r.Bounce != nil || r.Blocked != nil {
			from := len(buf)
			buf = appendState(buf, &state{Bounce: r.Bounce, Suppression: suppressedBy(r.Blocked)})
			s.state = cut(from)
		}
	}
	s.encodeEvents()
}

func (s *settlement) encodeEvents() {
	if len(s.r.Events) == 0 {
		return
	}
	s.details = make([]string, len(s.r.Events))
	for i := range s.r.Events {
		s.details[i] = detailText(&s.r.Events[i].Detail)
	}
}

func suppressedBy(s *mail.Suppression) *mail.SuppressedBy {
	if s == nil {
		return nil
	}
	return &mail.SuppressedBy{ID: s.ID, Public: s.ID.Text(mail.PrefixSuppression), Reason: s.Reason, Kind: s.Kind, Since: s.CreatedAt}
}

// settle writes one result; held is false when its lease was lost and nothing was written.
func (t *tx) settle(s *settlement, now time.Time) (held bool, err error) {
	r := s.r
	p, found, err := t.progress(r.Lease.Delivery, !r.Status.Final())
	if err != nil || !found || !p.holds(r.Lease) {
		return false, err
	}
	c := change{status: r.Status, wait: r.Wait, due: micros(r.Due), tries: int64(r.Tries), attempt: p.lastAttempt,
		tried: p.tried, state: s.state}
	if c.status.Final() {
		c.done = micros(now)
	}
	if s.attempt != "" {
		if c.attempt, err = t.addAttempt(&p, s.attempt); err != nil {
			return false, err
		}
		if c.tried == 0 {
			c.tried = micros(r.Attempt.At)
		}
	} else if c.state, err = t.mergeState(&p, r); err != nil {
		return false, err
	}
	if r.Suppress != nil {
		if err := t.settleSuppression(s, now); err != nil {
			return false, err
		}
	}
	chain, err := t.chain(&p)
	if err != nil {
		return false, err
	}
	stopped := p.stop != nil && !r.Status.Final()
	for i := range r.Events {
		if stopped && r.Events[i].Type == mail.EventDeferred {
			continue // it is not tried again: cancelled follows instead
		}
		if err := t.addEvent(&chain, &r.Events[i], s.details[i]); err != nil {
			return false, err
		}
	}
	if stopped {
		if err := t.cancelled(&p, &c, &chain, now); err != nil {
			return false, err
		}
	}
	if r.Status == mail.Suppressed && r.Blocked != nil {
		if err := t.countBlocked(ownerOf(p.owner), r.Blocked.ID, micros(now)); err != nil {
			return false, err
		}
	}
	return true, t.move(&p, c, &chain)
}

func (t *tx) addAttempt(p *progress, facts string) (int64, error) {
	row := t.now.attempt
	t.now.attempt++
	b := bind(t.s.attempt)
	b.int(row)
	b.int(p.row)
	b.intOrNull(p.lastAttempt)
	b.text(facts)
	return row, t.exec(b.s)
}

// mergeState is for results without an attempt: what the result adds is laid over what
// stands. A site is only worth the writing when the delivery ends with it untried.
func (t *tx) mergeState(p *progress, r *queue.Result) (string, error) {
	if r.Bounce == nil && r.Blocked == nil && (r.Site == "" || p.accepted != 0) {
		return "", nil
	}
	q := t.conn.Prep(`SELECT state FROM deliveries WHERE row = ?`)
	q.BindInt64(1, p.row)
	var text []byte
	if _, err := first(q, func(q *sqlite.Stmt) { text = columnBlob(q, 0) }); err != nil {
		return "", err
	}
	st, err := readState(text)
	if err != nil {
		return "", err
	}
	if r.Site != "" {
		st.Site = r.Site
	}
	if r.Bounce != nil {
		st.Bounce = r.Bounce
	}
	if r.Blocked != nil {
		st.Suppression = suppressedBy(r.Blocked)
	}
	return string(appendState(nil, &st)), nil
}

// settleSuppression enters what the result found out about its recipient. When the list
// has it already, the result's events name the entry that stands.
func (t *tx) settleSuppression(s *settlement, now time.Time) error {
	want := s.r.Suppress
	got, created, err := t.suppress(*want, now)
	if err != nil || created {
		return err
	}
	ours, standing := want.ID.Text(mail.PrefixSuppression), got.ID.Text(mail.PrefixSuppression)
	for i := range s.r.Events {
		if d := s.r.Events[i].Detail; d.SuppressionID == ours && ours != "" {
			d.SuppressionID = standing
			s.details[i] = detailText(&d)
		}
	}
	return nil
}

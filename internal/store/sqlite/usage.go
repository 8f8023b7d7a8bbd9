package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// What is accepted is counted by the writer in memory, so that a message costs no write for
// it, and written down when a commit finds that this was long ago. A start counts what
// came in since: usage_mark is the first message that is not in the table.
const (
	usageEvery = time.Second // between two writings
	usageKept  = 400         // days in the table
	usageHeld  = 1           // days back in memory, once all is written
)

type usageKey struct {
	owner int64
	key   string
	day   project.Day
}

type usageCount struct{ messages, recipients, bytes int64 }

func (c *usageCount) add(o usageCount) {
	c.messages += o.messages
	c.recipients += o.recipients
	c.bytes += o.bytes
}

// used is messages of the open transaction, of one key and day.
type used struct {
	usageKey
	usageCount
}

// usage is the writer's. It holds, all told, the days it met; others are read from the table
// when they are met. Changes stand under Store.published's lock, as others read it.
type usage struct {
	counts map[usageKey]usageCount
	totals map[usageKey]int64 // messages of an owner's day, key "": for the quota
	dirty  map[usageKey]struct{}
	saved  time.Time
}

// use notes a message of the open transaction.
func (t *tx) use(m *mail.Message, recipients int) error {
	u := usageOf(m, recipients)
	if n := len(t.used); n > 0 && t.used[n-1].usageKey == u.usageKey { // as a rule one key sends many
		t.used[n-1].add(u.usageCount)
		return nil
	}
	t.used = append(t.used, u)
	return t.meetUsage(u.usageKey)
}

// meetUsage makes sure that what was counted before is in memory.
func (t *tx) meetUsage(k usageKey) error {
	u, day := &t.w.usage, usageKey{owner: k.owner, day: k.day}
	_, known := u.counts[k]
	_, met := u.totals[day]
	if known && met {
		return nil
	}
	var total int64
	var own usageCount
	b := bind(t.conn.Prep(`SELECT key, messages, recipients, bytes FROM usage WHERE owner = ? AND day = ?`))
	b.int(k.owner)
	b.int(int64(k.day))
	if err := each(b.s, func(q *sqlite.Stmt) error {
		total += q.ColumnInt64(1)
		if q.ColumnText(0) == k.key {
			own = usageCount{q.ColumnInt64(1), q.ColumnInt64(2), q.ColumnInt64(3)}
		}
		return nil
	}); err != nil {
		return err
	}
	s := t.w.store
	s.published.Lock()
	defer s.published.Unlock()
	if u.counts[k] = own; !met {
		u.totals[day] = total
	}
	return nil
}

func usageOf(m *mail.Message, recipients int) used {
	return used{usageKey{ownerKey(m.Owner), m.KeyID, project.DayOf(m.CreatedAt)}, usageCount{1, int64(recipients), m.Size}}
}

// within tells whether these messages, all of one caller, fit into its quotas; else it is a
// *project.QuotaError.
func (t *tx) within(as []*submit.Acceptance) error {
	if len(as) == 0 || as[0].Quotas == (project.Quotas{}) {
		return nil
	}
	q, m := as[0].Quotas, as[0].Message
	k := usageOf(m, 0).usageKey
	if err := t.meetUsage(k); err != nil {
		return err
	}
	total, own := t.w.usage.totals[usageKey{owner: k.owner, day: k.day}], t.w.usage.counts[k].messages
	for i := range t.used {
		if u := &t.used[i]; u.owner == k.owner && u.day == k.day {
			total += u.messages
			if u.key == k.key {
				own += u.messages
			}
		}
	}
	refuse := func(policy string, limit, used int64) error {
		return &project.QuotaError{Policy: policy, Limit: limit, Used: used, Owner: m.Owner, Resets: (k.day + 1).Start()}
	}
	n := int64(len(as))
	switch {
	case q.Project.On && total+n > q.Project.Limit:
		return refuse("project", q.Project.Limit, total)
	case q.Key.On && own+n > q.Key.Limit:
		return refuse("key", q.Key.Limit, own)
	}
	return nil
}

// countUsed makes the transaction's messages count, after the commit is on disk. The caller
// holds Store.published.
func (t *tx) countUsed() {
	u := &t.w.usage
	if t.usageSaved {
		clear(u.dirty)
	}
	defer func() {
		if t.dropUsage {
			u.drop()
		}
	}()
	for i := range t.used {
		e := &t.used[i]
		c := u.counts[e.usageKey]
		c.add(e.usageCount)
		u.counts[e.usageKey] = c
		u.totals[usageKey{owner: e.owner, day: e.day}] += e.messages
		if !t.usageSaved {
			u.dirty[e.usageKey] = struct{}{}
		}
	}
}

// saveUsage writes down what was counted, now and then.
func (t *tx) saveUsage() error {
	u := &t.w.usage
	if len(u.dirty) == 0 && len(t.used) == 0 {
		return nil
	}
	now := time.Now()
	if since := now.Sub(u.saved); since < usageEvery && since >= 0 {
		return nil
	}
	fresh := make(map[usageKey]usageCount, len(u.dirty)+1)
	for k := range u.dirty {
		fresh[k] = u.counts[k]
	}
	for i := range t.used {
		e := &t.used[i]
		c, begun := fresh[e.usageKey]
		if !begun {
			c = u.counts[e.usageKey]
		}
		c.add(e.usageCount)
		fresh[e.usageKey] = c
	}
	for k, c := range fresh {
		if err := t.putUsage(k, c); err != nil {
			return err
		}
	}
	q := t.conn.Prep(`UPDATE usage_mark SET message = ? WHERE row = 1`)
	q.BindInt64(1, t.now.message)
	if err := t.exec(q); err != nil {
		return err
	}
	if err := t.forgetUsage(now); err != nil {
		return err
	}
	u.saved, t.usageSaved = now, true
	return nil
}

func (t *tx) putUsage(k usageKey, c usageCount) error {
	b := bind(t.conn.Prep(`INSERT OR REPLACE INTO usage (owner, key, day, messages, recipients, bytes) VALUES (?,?,?,?,?,?)`))
	b.int(k.owner)
	b.text(k.key)
	b.int(int64(k.day))
	b.int(c.messages)
	b.int(c.recipients)
	b.int(c.bytes)
	return t.exec(b.s)
}

// forgetUsage drops, once a day, what is old: from memory and from the table.
func (t *tx) forgetUsage(now time.Time) error {
	today := project.DayOf(now)
	if project.DayOf(t.w.usage.saved) == today {
		return nil
	}
	t.dropUsage = true
	q := t.conn.Prep(`DELETE FROM usage WHERE day < ?`)
	q.BindInt64(1, int64(today-usageKept))
	return t.exec(q)
}

// drop forgets what is written down, but for the newest days.
func (u *usage) drop() {
	var newest project.Day
	for k := range u.totals {
		newest = max(newest, k.day)
	}
	for k := range u.counts {
		if k.day < newest-usageHeld {
			delete(u.counts, k)
			delete(u.totals, usageKey{owner: k.owner, day: k.day})
		}
	}
}

// loadUsage counts what came in after the table was written.
func (t *tx) loadUsage(*Store) error {
	t.w.usage = usage{counts: map[usageKey]usageCount{}, totals: map[usageKey]int64{}, dirty: map[usageKey]struct{}{}}
	if err := each(t.conn.Prep(`SELECT owner, coalesce(facts ->> '$.key', ''), created_at / 86400000000, 1, deliveries, coalesce(facts ->> '$.size', 0)
		FROM messages WHERE row >= (SELECT message FROM usage_mark)`), func(q *sqlite.Stmt) error {
		k, c := scanUsage(q)
		t.used = append(t.used, used{k, c})
		return nil
	}); err != nil {
		return err
	}
	for i := range t.used {
		if err := t.meetUsage(t.used[i].usageKey); err != nil {
			return err
		}
	}
	return nil
}

func scanUsage(q *sqlite.Stmt) (usageKey, usageCount) {
	return usageKey{q.ColumnInt64(0), q.ColumnText(1), project.Day(q.ColumnInt64(2))}, usageCount{q.ColumnInt64(3), q.ColumnInt64(4), q.ColumnInt64(5)}
}

// Usage reads the table; what the writer has counted of the last days goes over it.
func (s *Store) Usage(ctx context.Context, owner mail.Owner, from, to project.Day) ([]project.Usage, error) {
	counts := map[usageKey]usageCount{}
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT owner, key, day, messages, recipients, bytes FROM usage WHERE owner = ? AND day BETWEEN ? AND ?`))
		b.int(ownerKey(owner))
		b.int(int64(from))
		b.int(int64(to))
		return each(b.s, func(q *sqlite.Stmt) error {
			k, c := scanUsage(q)
			counts[k] = c
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	s.published.Lock()
	for k, c := range s.writer.usage.counts {
		if k.owner == ownerKey(owner) && k.day >= from && k.day <= to {
			counts[k] = c
		}
	}
	s.published.Unlock()
	out := make([]project.Usage, 0, len(counts))
	for k, c := range counts {
		if c.messages == 0 {
			continue // met, when something was refused
		}
		out = append(out, project.Usage{Day: k.day, KeyID: k.key, Messages: c.messages, Recipients: c.recipients, Bytes: c.bytes})
	}
	slices.SortFunc(out, func(a, b project.Usage) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.KeyID, b.KeyID)) })
	return out, nil
}

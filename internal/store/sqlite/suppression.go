package sqlite

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

const suppressionColumns = `row, id, owner, address, kind, topic, reason, source, message, detail, note,
	created_at, expires_at, blocked_count, last_blocked_at`

func scanSuppression(q *sqlite.Stmt) mail.Suppression {
	return mail.Suppression{
		Row: q.ColumnInt64(0), ID: columnID(q, 1), Owner: ownerOf(q.ColumnInt64(2)), Address: q.ColumnText(3),
		Kind: q.ColumnText(4), Topic: q.ColumnText(5), Reason: q.ColumnText(6), Source: q.ColumnText(7),
		Message: columnID(q, 8), Detail: q.ColumnText(9), Note: q.ColumnText(10), CreatedAt: columnTime(q, 11),
		ExpiresAt: columnTime(q, 12), BlockedCount: q.ColumnInt64(13), LastBlockedAt: columnTime(q, 14),
	}
}

// weight orders the kinds: the least is the one reported.
func weight(kind string) int {
	switch kind {
	case mail.KindComplaint:
		return 0
	case mail.KindHardBounce:
		return 1
	case mail.KindUnsubscribe:
		return 3
	}
	return 2
}

func expired(s *mail.Suppression, now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now)
}

// The plus keeps the order from choosing the index: by owner it would walk the whole list.
const suppressionsOf = `SELECT ` + suppressionColumns + ` FROM suppressions WHERE owner = ? AND address = ? ORDER BY +row`

// suppressionFor gives the weightiest suppression of an address that applies to mail
// of a topic now, or nil. The filter spares most addresses the query.
func (s *Store) suppressionFor(conn *sqlite.Conn, owner mail.Owner, address, topic string, now time.Time) (*mail.Suppression, error) {
	if !s.blocked.Load().maybe(ownerKey(owner), address) {
		return nil, nil
	}
	b := bind(conn.Prep(suppressionsOf))
	b.int(ownerKey(owner))
	b.text(address)
	var best *mail.Suppression
	err := each(b.s, func(q *sqlite.Stmt) error {
		got := scanSuppression(q)
		applies := (got.Topic == "" || got.Topic == topic) && !expired(&got, now)
		if applies && (best == nil || weight(got.Kind) < weight(best.Kind)) {
			best = &got
		}
		return nil
	})
	return best, err
}

// Suppressed tells which addresses must not be written to.
func (s *Store) Suppressed(ctx context.Context, owner mail.Owner, addresses []string, topic string, now time.Time) (map[string]mail.Suppression, error) {
	if !s.ready.Load() {
		return nil, errSchema
	}
	var likely []string
	for _, a := range addresses {
		if s.blocked.Load().maybe(ownerKey(owner), a) {
			likely = append(likely, a)
		}
	}
	if len(likely) == 0 {
		return nil, ctx.Err()
	}
	found := make(map[string]mail.Suppression)
	look := s.read
	if len(likely) > 8 {
		// One snapshot spares a lock for each address; in order they share pages.
		look = s.readLong
		slices.Sort(likely)
	}
	err := look(ctx, func(conn *sqlite.Conn) error {
		for _, a := range likely {
			got, err := s.suppressionFor(conn, owner, a, topic, now)
			if err != nil {
				return err
			}
			if got != nil {
				found[a] = *got
			}
		}
		return nil
	})
	return found, err
}

func (t *tx) countBlocked(owner mail.Owner, id mail.ID, now int64) error {
	b := bind(t.conn.Prep(`UPDATE suppressions SET blocked_count = blocked_count + 1, last_blocked_at = ? WHERE id = ? AND owner = ?`))
	b.int(now)
	b.id(id)
	b.int(ownerKey(owner))
	return t.exec(b.s)
}

// suppress enters a suppression with its event, unless one of that kind and topic
// stands: then that one is given back. One that has expired is replaced.
func (t *tx) suppress(s mail.Suppression, now time.Time) (got mail.Suppression, created bool, err error) {
	b := bind(t.conn.Prep(`SELECT ` + suppressionColumns + ` FROM suppressions WHERE owner = ? AND address = ? AND kind = ? AND topic = ?`))
	b.int(ownerKey(s.Owner))
	b.text(s.Address)
	b.text(s.Kind)
	b.text(s.Topic)
	found, err := first(b.s, func(q *sqlite.Stmt) { got = scanSuppression(q) })
	if err != nil || found && !expired(&got, now) {
		return got, false, err
	}
	if found {
		if err := t.endSuppression(got.Row, got.ExpiresAt, ""); err != nil {
			return got, false, err
		}
	}
	if s.CreatedAt.IsZero() {
		s.CreatedAt = now
	}
	t.w.store.suppressing(ownerKey(s.Owner), s.Address) // before the commit: see filter
	s.Row = t.now.suppression
	t.now.suppression++
	if err := t.insertSuppression(&s); err != nil {
		return s, false, err
	}
	return s, true, t.addOther(suppressionEvent(mail.EventSuppressionCreated, &s, "", now))
}

func suppressionEvent(kind mail.EventType, s *mail.Suppression, by string, now time.Time) mail.Event {
	d := mail.Detail{SuppressionID: s.ID.Text(mail.PrefixSuppression), Recipient: s.Address, By: by, Reason: s.Reason, Facts: eventlog.AboutSuppression(s),
		Suppression: &mail.SuppressedBy{ID: s.ID, Public: s.ID.Text(mail.PrefixSuppression), Reason: s.Reason, Kind: s.Kind, Since: s.CreatedAt}}
	if !s.ExpiresAt.IsZero() {
		d.ExpiresAt = &s.ExpiresAt
	}
	return mail.Event{ID: mail.NewID(now), Owner: s.Owner, Type: kind, At: now, Detail: d}
}

func (t *tx) insertSuppression(s *mail.Suppression) error {
	b := bind(t.conn.Prep(`INSERT INTO suppressions (` + suppressionColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`))
	b.suppression(s)
	return t.exec(b.s)
}

// suppression binds suppressionColumns.
func (b *binder) suppression(s *mail.Suppression) {
	b.int(s.Row)
	b.id(s.ID)
	b.int(ownerKey(s.Owner))
	b.text(s.Address)
	b.text(s.Kind)
	b.text(s.Topic)
	b.text(s.Reason)
	b.text(s.Source)
	b.idOrNull(s.Message)
	b.text(s.Detail)
	b.text(s.Note)
	b.int(micros(s.CreatedAt))
	b.time(s.ExpiresAt)
	b.int(s.BlockedCount)
	b.time(s.LastBlockedAt)
}

// AddSuppression enters one, for a caller.
func (s *Store) AddSuppression(ctx context.Context, in mail.Suppression, once *mail.Once, answer func(mail.Suppression, bool) mail.Answer) (got mail.Suppression, created bool, err error) {
	now := in.CreatedAt
	if now.IsZero() {
		now = time.Now()
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if got, created, err = t.suppress(in, now); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(got, created))
	})
	return got, created, err
}

// DeleteSuppression removes one.
func (s *Store) DeleteSuppression(ctx context.Context, owner mail.Owner, id mail.ID, by string, now time.Time) (got mail.Suppression, err error) {
	err = s.write(ctx, func(t *tx) error {
		if got, err = suppressionByID(t.conn, owner, id); err != nil {
			return err
		}
		if err := t.endSuppression(got.Row, now, by); err != nil {
			return err
		}
		return t.addOther(suppressionEvent(mail.EventSuppressionDeleted, &got, by, now))
	})
	return got, err
}

// ChangeSuppressions enters and removes many in one commit.
func (s *Store) ChangeSuppressions(ctx context.Context, c feedback.Changes) (out feedback.Changed, err error) {
	err = s.write(ctx, func(t *tx) error {
		out = feedback.Changed{}
		if err := t.unused(c.Once); err != nil {
			return err
		}
		for i := range c.Add {
			got, created, err := t.suppress(c.Add[i], c.Now)
			if err != nil {
				return err
			}
			out.Added = append(out.Added, feedback.Added{Suppression: got, Created: created})
		}
		for _, id := range c.Remove {
			got, err := t.unsuppress(c.Owner, id, c.By, c.Now)
			if err != nil {
				return err
			}
			out.Removed = append(out.Removed, got)
		}
		if c.Answer == nil {
			return nil
		}
		out.Answer = c.Answer(out)
		return t.remember(c.Once, out.Answer)
	})
	if err == nil {
		err = s.growFilter(ctx)
	}
	return out, err
}

// unsuppress removes one with its event; nil when there is none.
func (t *tx) unsuppress(owner mail.Owner, id mail.ID, by string, now time.Time) (*mail.Suppression, error) {
	got, err := suppressionByID(t.conn, owner, id)
	if errors.Is(err, mail.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := t.endSuppression(got.Row, now, by); err != nil {
		return nil, err
	}
	return &got, t.addOther(suppressionEvent(mail.EventSuppressionDeleted, &got, by, now))
}

func suppressionByID(conn *sqlite.Conn, owner mail.Owner, id mail.ID) (got mail.Suppression, err error) {
	b := bind(conn.Prep(`SELECT ` + suppressionColumns + ` FROM suppressions WHERE id = ? AND owner = ?`))
	b.id(id)
	b.int(ownerKey(owner))
	found, err := first(b.s, func(q *sqlite.Stmt) { got = scanSuppression(q) })
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	return got, err
}

func (s *Store) Suppression(ctx context.Context, owner mail.Owner, id mail.ID) (got mail.Suppression, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		got, err = suppressionByID(conn, owner, id)
		return err
	})
	return got, err
}

// SuppressionsByID finds many by their IDs.
func (s *Store) SuppressionsByID(ctx context.Context, owner mail.Owner, ids []mail.ID) (out []mail.Suppression, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + suppressionColumns + ` FROM suppressions WHERE id IN (SELECT unhex(value) FROM json_each(?)) AND owner = ?`))
		b.text(idList(ids))
		b.int(ownerKey(owner))
		return each(b.s, func(q *sqlite.Stmt) error {
			out = append(out, scanSuppression(q))
			return nil
		})
	})
	return out, err
}

// SuppressionsOf gives all of an address, weightiest first.
func (s *Store) SuppressionsOf(ctx context.Context, owner mail.Owner, address string) (out []mail.Suppression, err error) {
	var byWeight [4][]mail.Suppression
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(suppressionsOf))
		b.int(ownerKey(owner))
		b.text(mail.FoldAddress(address))
		return each(b.s, func(q *sqlite.Stmt) error {
			got := scanSuppression(q)
			byWeight[weight(got.Kind)] = append(byWeight[weight(got.Kind)], got)
			return nil
		})
	})
	for _, list := range byWeight {
		out = append(out, list...)
	}
	return out, err
}

// Suppressions lists an owner's. Row order is the order of entry; an exact recipient
// goes by its index, everything else walks the owner's list.
func (s *Store) Suppressions(ctx context.Context, q feedback.Query) (out []mail.Suppression, err error) {
	w := where{}
	w.add("owner = ?", ownerKey(q.Owner))
	if q.Recipient != "" {
		w.add("address = ?", mail.FoldAddress(q.Recipient))
	}
	if q.Reason != "" {
		w.add("(reason = ? OR kind = ?)", q.Reason, q.Reason)
	}
	if q.Kind != "" {
		w.add("kind = ?", q.Kind)
	}
	w.list("kind IN", q.Kinds)
	w.list("kind NOT IN", q.NotKinds)
	if q.Topic != "" {
		w.add("topic = ?", q.Topic)
	}
	if q.Source != "" {
		w.add("source = ?", q.Source)
	}
	if !q.CreatedAfter.IsZero() {
		w.add("created_at >= ?", micros(q.CreatedAfter))
	}
	if q.Search != "" {
		w.add("instr(address, ?) > 0", mail.FoldAddress(q.Search))
	}
	w.after("row", q.After, q.Ascending)
	order := "row"
	if q.Recipient != "" {
		order = "+row" // see suppressionsOf
	}
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		stmt, err := w.prepare(conn, `SELECT `+suppressionColumns+` FROM suppressions`, orderBy(order, q.Ascending), limitOf(q.Limit), int64(max(q.Offset, 0)))
		if err != nil {
			return err
		}
		out = nil
		return errors.Join(each(stmt, func(r *sqlite.Stmt) error {
			out = append(out, scanSuppression(r))
			return nil
		}), stmt.Finalize())
	})
	return out, err
}

// where gathers conditions with their values.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(condition string, args ...any) {
	w.parts = append(w.parts, condition)
	w.args = append(w.args, args...)
}

// list asks for a column that is (or is not) one of some texts; none are no condition.
func (w *where) list(condition string, texts []string) {
	if len(texts) == 0 {
		return
	}
	args := make([]any, len(texts))
	for i, text := range texts {
		args[i] = text
	}
	w.add(condition+" (?"+strings.Repeat(",?", len(texts)-1)+")", args...)
}

// after goes on behind a row in the order asked.
func (w *where) after(column string, row int64, ascending bool) {
	switch {
	case row == 0:
	case ascending:
		w.add(column+" > ?", row)
	default:
		w.add(column+" < ?", row)
	}
}

func orderBy(column string, ascending bool) string {
	if ascending {
		return " ORDER BY " + column
	}
	return " ORDER BY " + column + " DESC"
}

const listLimit = 1000 // rows a list gives at most

func limitOf(n int) int64 {
	if n <= 0 || n > listLimit {
		return listLimit
	}
	return int64(n)
}

// prepare makes the statement; the caller finalizes it.
func (w *where) prepare(conn *sqlite.Conn, from, order string, limit int64, offset ...int64) (*sqlite.Stmt, error) {
	sql := from + " WHERE " + strings.Join(w.parts, " AND ") + order + " LIMIT ?"
	args := append(w.args, limit)
	if len(offset) > 0 {
		sql, args = sql+" OFFSET ?", append(args, offset[0])
	}
	stmt, _, err := conn.PrepareTransient(sql)
	if err != nil {
		return nil, err
	}
	b := bind(stmt)
	for _, arg := range args {
		switch v := arg.(type) {
		case int64:
			b.int(v)
		case string:
			b.text(v)
		case []byte:
			b.bytes(v)
		}
	}
	return stmt, nil
}

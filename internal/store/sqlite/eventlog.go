package sqlite

import (
	"context"
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// The log is read by its rows, without an index: whoever follows it wants most of what is
// new, and the rows of others are passed over at about a microsecond each. logScan bounds
// how many one call looks at, so that somebody else's million events make many short calls
// and no long one.
const (
	logScan  = 8192
	logLimit = 1000 // entries in one call, when none is asked for

	// Rows lie in the order of commits, times in the order in which things happened: this
	// is how far they may be apart for a search by time.
	logSlack = time.Hour
)

// Log gives entries in the order of their positions.
func (s *Store) Log(ctx context.Context, q eventlog.Query) (out []eventlog.Entry, seen int64, err error) {
	l := logReading{q: &q}
	if q.Limit <= 0 {
		q.Limit = logLimit
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error { return snapshot(conn, l.run) })
	return l.out, l.seen, err
}

// logReading is one call of Log.
type logReading struct {
	q    *eventlog.Query
	out  []eventlog.Entry
	seen int64
}

func (l *logReading) run(conn *sqlite.Conn) error {
	l.seen = l.q.After
	newest, err := newestEvent(conn)
	if err != nil || newest <= l.q.After {
		return err
	}
	if !l.q.Message.IsZero() && !l.q.All {
		err = l.chain(conn, newest)
	} else {
		err = l.window(conn, newest)
	}
	if err != nil {
		return err
	}
	return complete(conn, l.out)
}

// newestEvent is the last position there was, also when its event is removed already.
func newestEvent(conn *sqlite.Conn) (newest int64, err error) {
	_, err = first(conn.Prep(`SELECT max((SELECT coalesce(max(row), 0) FROM events), (SELECT event - 1 FROM numbers))`),
		func(q *sqlite.Stmt) { newest = q.ColumnInt64(0) })
	return newest, err
}

// window looks at the next rows behind After.
func (l *logReading) window(conn *sqlite.Conn, newest int64) error {
	after := l.q.After
	if !l.q.CreatedAfter.IsZero() {
		from, err := eventAt(conn, newest, micros(l.q.CreatedAfter.Add(-logSlack)))
		if err != nil {
			return err
		}
		after = max(after, from-1)
	}
	q := conn.Prep(`SELECT row FROM events WHERE row > ? ORDER BY row LIMIT 1`)
	q.BindInt64(1, after)
	var next int64
	if found, err := first(q, func(q *sqlite.Stmt) { next = q.ColumnInt64(0) }); err != nil || !found {
		l.seen = newest
		return err
	}
	to := min(next+logScan-1, newest)
	b := l.selection(conn, `e.row >= ? AND e.row <= ?`, next, to)
	err := l.gather(b.s)
	if errors.Is(err, errEnough) {
		l.seen = l.out[len(l.out)-1].Position
		return nil
	}
	l.seen = to
	return err
}

// selection is the statement that finds what the query asks for, types aside.
func (l *logReading) selection(conn *sqlite.Conn, rows string, args ...int64) binder {
	var where strings.Builder
	where.WriteString(`SELECT ` + eventColumns + ` FROM events e WHERE ` + rows)
	q := l.q
	if !q.All {
		where.WriteString(` AND (e.owner = ? OR e.message IS NULL AND e.owner = ?)`)
	}
	if !q.CreatedAfter.IsZero() {
		where.WriteString(` AND e.at >= ?`)
	}
	if !q.CreatedBefore.IsZero() {
		where.WriteString(` AND e.at < ?`)
	}
	if q.Recipient != "" {
		where.WriteString(` AND (EXISTS (SELECT 1 FROM deliveries d WHERE d.row = e.delivery AND d.address = ?) OR e.message IS NULL AND e.detail ->> '$.recipient' = ?)`)
	}
	if q.Tag != "" {
		where.WriteString(` AND EXISTS (SELECT 1 FROM messages m WHERE m.row = e.message AND instr(m.facts, ?) > 0
			AND EXISTS (SELECT 1 FROM json_each(m.facts, '$.tags') t WHERE t.value = ?))`)
	}
	where.WriteString(` ORDER BY e.row`)
	b := bind(conn.Prep(where.String()))
	for _, v := range args {
		b.int(v)
	}
	if !q.All {
		b.int(ownerKey(q.Owner))
		b.int(ownerKey(q.Owner) ^ 1) // what both environments share stands in one of them
	}
	if !q.CreatedAfter.IsZero() {
		b.int(micros(q.CreatedAfter))
	}
	if !q.CreatedBefore.IsZero() {
		b.int(micros(q.CreatedBefore))
	}
	if q.Recipient != "" {
		b.text(q.Recipient)
		b.text(q.Recipient)
	}
	if q.Tag != "" {
		b.text(`"tags"`)
		b.text(q.Tag)
	}
	return b
}

// gather takes what the query asks for, errEnough when there is no more room.
func (l *logReading) gather(q *sqlite.Stmt) error {
	return each(q, func(q *sqlite.Stmt) error {
		kind := mail.EventType(q.ColumnText(3))
		if !eventlog.MatchType(l.q.Types, kind) || !l.q.All && ownerOf(q.ColumnInt64(2)) != l.q.Owner && !eventlog.Shared(kind) {
			return nil
		}
		e, err := scanEvent(q)
		if err != nil {
			return err
		}
		l.out = append(l.out, eventlog.Entry{Event: e})
		if len(l.out) == l.q.Limit {
			return errEnough
		}
		return nil
	})
}

// chain reads the events of one message, which hang together: however long the log is.
func (l *logReading) chain(conn *sqlite.Conn, newest int64) error {
	l.seen = newest
	b := bind(conn.Prep(`SELECT delivery, deliveries FROM messages WHERE id = ? AND owner = ?`))
	b.id(l.q.Message)
	b.int(ownerKey(l.q.Owner))
	var from, count int64
	if found, err := first(b.s, func(q *sqlite.Stmt) { from, count = q.ColumnInt64(0), q.ColumnInt64(1) }); err != nil || !found {
		return err
	}
	sel := l.selection(conn, `e.row IN (WITH RECURSIVE chain (row) AS (
		SELECT d.last_event FROM deliveries d WHERE d.row >= ? AND d.row < ? AND d.last_event IS NOT NULL
		UNION ALL SELECT p.previous FROM chain JOIN events p ON p.row = chain.row WHERE p.previous IS NOT NULL)
		SELECT row FROM chain) AND e.row > ?`, from, from+count, l.q.After)
	err := l.gather(sel.s)
	if errors.Is(err, errEnough) {
		l.seen = l.out[len(l.out)-1].Position
		return nil
	}
	return err
}

// complete adds to entries what they are about.
func complete(conn *sqlite.Conn, entries []eventlog.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	messages, deliveries, err := aboutEntries(conn, entries)
	if err != nil {
		return err
	}
	projects, err := projectIDs(conn, entries)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		e.Project, e.Recipient = projects[e.Owner.Project], e.Detail.Recipient
		if e.Message = messages[e.Event.Message]; e.Message != nil {
			e.MessageID = e.Message.ID
		}
		if e.Delivery = deliveries[e.Event.Delivery]; e.Delivery != nil {
			e.Recipient = e.Delivery.Address
		}
	}
	return nil
}

// aboutEntries reads the messages and deliveries of entries, each once.
func aboutEntries(conn *sqlite.Conn, entries []eventlog.Entry) (map[int64]*mail.Message, map[int64]*mail.Delivery, error) {
	messages, deliveries := map[int64]*mail.Message{}, map[int64]*mail.Delivery{}
	for i := range entries {
		messages[entries[i].Event.Message], deliveries[entries[i].Event.Delivery] = nil, nil
	}
	ids := map[int64]mail.ID{}
	q := conn.Prep(`SELECT ` + messageColumns + ` FROM json_each(?) j CROSS JOIN messages m ON m.row = j.value`)
	q.BindText(1, rowList(maps.Keys(messages)))
	if err := each(q, func(q *sqlite.Stmt) error {
		row := scanMessage(q)
		m, err := row.decode()
		messages[row.row], ids[row.row] = m, row.message.ID
		return err
	}); err != nil {
		return nil, nil, err
	}
	q = conn.Prep(`SELECT ` + plainDelivery + ` FROM json_each(?) j CROSS JOIN deliveries d ON d.row = j.value`)
	q.BindText(1, rowList(maps.Keys(deliveries)))
	err := each(q, func(q *sqlite.Stmt) error {
		row := scanDelivery(q)
		d, err := row.decode(ids[row.message])
		deliveries[row.delivery.Row] = d
		return err
	})
	return messages, deliveries, err
}

// plainDelivery is deliveryColumns without the last attempt: the events tell of those.
const plainDelivery = `d.row, d.id, d.message, d.owner, d.address, d.tier, d.status, d.wait, d.due_at, d.tries,
	d.accepted_at, d.tried_at, d.done_at, d.facts, d.state, d.last_event, NULL, NULL`

// rowList writes rows as a JSON array; 0 is none.
func rowList(rows iter.Seq[int64]) string {
	b := []byte{'['}
	for row := range rows {
		if row == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, row, 10)
	}
	return string(append(b, ']'))
}

func projectIDs(conn *sqlite.Conn, entries []eventlog.Entry) (map[int64]mail.ID, error) {
	ids := map[int64]mail.ID{}
	for i := range entries {
		project := entries[i].Owner.Project
		if _, known := ids[project]; known {
			continue
		}
		q := conn.Prep(`SELECT id FROM projects WHERE row = ?`)
		q.BindInt64(1, project)
		ids[project] = mail.ID{}
		if _, err := first(q, func(q *sqlite.Stmt) { ids[project] = columnID(q, 0) }); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// eventAt finds the first row that is not older than a time, in so far as rows are in the
// order of time; newest+1 when all are older.
func eventAt(conn *sqlite.Conn, newest, at int64) (int64, error) {
	low, high := int64(1), newest+1
	for low < high {
		mid := low + (high-low)/2
		q := conn.Prep(`SELECT row, at FROM events WHERE row >= ? ORDER BY row LIMIT 1`)
		q.BindInt64(1, mid)
		var row, when int64
		found, err := first(q, func(q *sqlite.Stmt) { row, when = q.ColumnInt64(0), q.ColumnInt64(1) })
		switch {
		case err != nil:
			return 0, err
		case !found || when >= at:
			high = mid
		default:
			low = row + 1
		}
	}
	return low, nil
}

// logNear is how many rows around the time of an ID are looked at for it, wider and wider:
// an event is committed within moments of getting its ID, and what commits meanwhile is
// bounded by what fits into memory.
var logNear = []int64{512, 16 << 10, 256 << 10}

// LogEntry finds one by its ID, which tells when it was made.
func (s *Store) LogEntry(ctx context.Context, owner mail.Owner, id mail.ID) (eventlog.Entry, error) {
	var found []eventlog.Entry
	err := s.readLong(ctx, func(conn *sqlite.Conn) error {
		newest, err := newestEvent(conn)
		if err != nil {
			return err
		}
		around, err := eventAt(conn, newest, id.Time().UnixMicro())
		if err != nil {
			return err
		}
		row, err := findEvent(conn, around, id)
		if err != nil || row == 0 {
			return err
		}
		l := logReading{q: &eventlog.Query{Owner: owner, Limit: 2}}
		sel := l.selection(conn, `e.row >= ? AND e.row <= ?`, row, row)
		if err := l.gather(sel.s); err != nil {
			return err
		}
		found = l.out
		return complete(conn, found)
	})
	if err == nil && len(found) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return eventlog.Entry{}, err
	}
	return found[0], nil
}

func findEvent(conn *sqlite.Conn, around int64, id mail.ID) (row int64, err error) {
	low, high := around, around // looked at already: [low, high)
	for _, near := range logNear {
		for _, part := range [][2]int64{{around - near, low}, {high, around + near}} {
			b := bind(conn.Prep(`SELECT row FROM events WHERE row >= ? AND row < ? AND id = ?`))
			b.int(part[0])
			b.int(part[1])
			b.id(id)
			if found, err := first(b.s, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) }); err != nil || found {
				return row, err
			}
		}
		low, high = around-near, around+near
	}
	return 0, nil
}

// LogBounds tells from where an owner's log is whole.
func (s *Store) LogBounds(ctx context.Context, owner mail.Owner) (oldest, newest int64, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			q := conn.Prep(`SELECT coalesce((SELECT removed FROM event_ends WHERE owner = ?), 0) + 1`)
			q.BindInt64(1, ownerKey(owner))
			if _, err := first(q, func(q *sqlite.Stmt) { oldest = q.ColumnInt64(0) }); err != nil {
				return err
			}
			newest, err = newestEvent(conn)
			return err
		})
	})
	return oldest, newest, err
}

// shortenLog notes that retention takes an event out of an owner's log.
func (t *tx) shortenLog(owner, position int64) error {
	if position == 0 {
		return nil
	}
	b := bind(t.conn.Prep(`INSERT INTO event_ends (owner, removed) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET removed = max(removed, excluded.removed)`))
	b.int(owner)
	b.int(position)
	return t.exec(b.s)
}

package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

// Messages finds messages in the order of their rows (of their commits). A page takes
// five statements whatever its size: the messages, their deliveries, their last events,
// how long contents are kept, and where in the row order the asked time lies. What drives the first one:
//
//   - an exact recipient, or the beginning of one: the index of recipients;
//   - statuses few deliveries have: the index of statuses;
//   - Message-ID, idempotency key, supersedes, batch: their own indexes;
//   - else the owner's messages in order, within the row bounds of the time asked.
//
// Filters without an index (subject, tag, class …) are judged message by message on
// the way: about a second for a million messages that do not match. ctx ends that.
func (s *Store) Messages(ctx context.Context, q archive.Query) (out []archive.Record, err error) {
	tail := s.tail()
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		f, err := newFind(conn, tail, &q)
		if err != nil {
			return err
		}
		rows, err := f.run(conn)
		if err != nil {
			return err
		}
		out, err = records(conn, rows)
		return err
	})
	return out, err
}

// Count counts as Messages would find, row by row, so that what was counted is known when
// the time is over.
func (s *Store) Count(ctx context.Context, q archive.Query, most int) (n int, whole bool, err error) {
	tail := s.tail()
	q.After = 0
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		f, err := newFind(conn, tail, &q)
		if err != nil || f.none {
			return err
		}
		stmt, err := f.prepare(conn, `SELECT 1 FROM `+f.from, "", int64(most))
		if err != nil {
			return err
		}
		defer stmt.Finalize()
		for {
			more, err := stmt.Step()
			if err != nil || !more {
				return err
			}
			n++
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return n, false, nil
	}
	return n, true, err
}

// Message finds one by its ID.
func (s *Store) Message(ctx context.Context, owner mail.Owner, id mail.ID) (*archive.Record, error) {
	return s.messageWhere(ctx, `m.id = ? AND m.owner = ?`, func(b *binder) {
		b.id(id)
		b.int(ownerKey(owner))
	})
}

// MessagesByID finds many by their IDs.
func (s *Store) MessagesByID(ctx context.Context, owner mail.Owner, ids []mail.ID) (out []archive.Record, err error) {
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + recordColumns + ` FROM json_each(?) l CROSS JOIN messages m ON m.id = unhex(l.value) WHERE m.owner = ?`))
		b.text(idList(ids))
		b.int(ownerKey(owner))
		rows, err := scanRecords(b.s)
		if err != nil {
			return err
		}
		out, err = records(conn, rows)
		return err
	})
	return out, err
}

// idList writes ids for json_each and unhex.
func idList(ids []mail.ID) string {
	b := make([]byte, 0, 2+35*len(ids))
	b = append(b, '[')
	for i := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(hex.AppendEncode(append(b, '"'), ids[i][:]), '"')
	}
	return string(append(b, ']'))
}

// MessageByRFCID finds one by its Message-ID, with or without angle brackets; the
// newest, should several have it.
func (s *Store) MessageByRFCID(ctx context.Context, owner mail.Owner, rfcID string) (*archive.Record, error) {
	rfcID = strings.TrimSuffix(strings.TrimPrefix(rfcID, "<"), ">")
	if id, ok := idOfRFCID(rfcID); ok {
		got, err := s.Message(ctx, owner, id)
		if err == nil && got.Message.RFCID == rfcID || err != nil && !errors.Is(err, mail.ErrNotFound) {
			return got, err
		}
	}
	return s.messageWhere(ctx, `m.owner = ? AND m.rfc_id = ?`, func(b *binder) {
		b.int(ownerKey(owner))
		b.text(rfcID)
	})
}

// idOfRFCID reads the ID out of a Message-ID of our own making.
func idOfRFCID(rfcID string) (mail.ID, bool) {
	local, _, _ := strings.Cut(rfcID, "@")
	var id uuid
	if len(local) != 36 || id.UnmarshalText([]byte(local)) != nil {
		return mail.ID{}, false
	}
	return mail.ID(id), true
}

func (s *Store) messageWhere(ctx context.Context, condition string, args func(*binder)) (*archive.Record, error) {
	var found []archive.Record
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			b := bind(conn.Prep(`SELECT ` + recordColumns + ` FROM messages m WHERE ` + condition + ` ORDER BY m.row DESC LIMIT 1`))
			args(&b)
			rows, err := scanRecords(b.s)
			if err != nil {
				return err
			}
			found, err = records(conn, rows)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, mail.ErrNotFound
	}
	return &found[0], nil
}

const recordColumns = messageColumns + `, EXISTS (SELECT 1 FROM bodies b WHERE b.message = m.row)`

type recordRow struct {
	messageRow
	hasContent bool
}

func scanRecords(stmt *sqlite.Stmt) (rows []recordRow, err error) {
	err = each(stmt, func(q *sqlite.Stmt) error {
		rows = append(rows, recordRow{scanMessage(q), q.ColumnBool(12)})
		return nil
	})
	return rows, err
}

// records completes messages with their deliveries and last events: two statements.
func records(conn *sqlite.Conn, rows []recordRow) ([]archive.Record, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out := make([]archive.Record, len(rows))
	at := make(map[int64]*archive.Record, len(rows))
	for i := range rows {
		m, err := rows[i].decode()
		if err != nil {
			return nil, err
		}
		out[i] = archive.Record{Message: *m, HasContent: rows[i].hasContent}
		at[rows[i].row] = &out[i]
	}
	last, err := readDeliveries(conn, rows, at)
	if err != nil {
		return nil, err
	}
	if err := readUntil(conn, out); err != nil {
		return nil, err
	}
	return out, readLastEvents(conn, last, at)
}

// readDeliveries adds the deliveries, and tells the newest event of each message.
func readDeliveries(conn *sqlite.Conn, rows []recordRow, at map[int64]*archive.Record) (last []int64, err error) {
	spans := make([]byte, 0, 24*len(rows))
	for i, r := range rows {
		if i > 0 {
			spans = append(spans, ',')
		}
		spans = append(spans, '[')
		spans = strconv.AppendInt(spans, r.first, 10)
		spans = append(spans, ',')
		spans = strconv.AppendInt(spans, r.first+r.count, 10)
		spans = append(spans, ']')
	}
	q := conn.Prep(`SELECT ` + deliveryColumns + ` FROM json_each(?) span CROSS JOIN deliveries d
		ON d.row >= span.value ->> 0 AND d.row < span.value ->> 1` + lastAttempt + ` ORDER BY d.row`)
	q.BindText(1, "["+string(spans)+"]")
	newest := make(map[int64]int64, len(rows))
	err = each(q, func(q *sqlite.Stmt) error {
		row := scanDelivery(q)
		record := at[row.message]
		if record == nil {
			return nil
		}
		d, err := row.decode(record.Message.ID)
		if err != nil {
			return err
		}
		record.Deliveries = append(record.Deliveries, *d)
		record.Attempts += d.Tries
		newest[row.message] = max(newest[row.message], row.lastEvent)
		return nil
	})
	for _, event := range newest {
		last = append(last, event)
	}
	return last, err
}

// readUntil says how long contents are kept, of messages that have come to their end. The
// settings of their project (there is one on a page) are read once.
func readUntil(conn *sqlite.Conn, records []archive.Record) error {
	var keeps map[int64]keep
	for i := range records {
		r := &records[i]
		if !r.HasContent {
			continue
		}
		done := r.Times().Completed
		if done.IsZero() {
			continue
		}
		if keeps == nil {
			var err error
			if keeps, err = readKeep(conn, r.Message.Owner.Project); err != nil {
				return err
			}
		}
		if k, known := keeps[r.Message.Owner.Project]; known {
			r.ContentUntil = fromMicros(micros(done) + k.ofMessage(r.Message.ContentSeconds))
		}
	}
	return nil
}

func readLastEvents(conn *sqlite.Conn, rows []int64, at map[int64]*archive.Record) error {
	list := make([]byte, 0, 12*len(rows))
	for i, row := range rows {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, row, 10)
	}
	q := conn.Prep(`SELECT ` + eventColumns + ` FROM events e WHERE e.row IN (SELECT value FROM json_each(?))`)
	q.BindText(1, "["+string(list)+"]")
	return each(q, func(q *sqlite.Stmt) error {
		e, err := scanEvent(q)
		if record := at[e.Message]; err == nil && record != nil {
			e.MessageID = record.Message.ID
			for i := range record.Deliveries {
				if record.Deliveries[i].Row == e.Delivery {
					e.Recipient = record.Deliveries[i].Address
				}
			}
			record.LastEvent = &e
		}
		return err
	})
}

// Events gives a message's timeline: the chains of its deliveries, in order.
func (s *Store) Events(ctx context.Context, owner mail.Owner, message int64) (out []mail.Event, err error) {
	err = s.chained(ctx, owner, message, func(conn *sqlite.Conn, names map[int64]recipient, id mail.ID) error {
		q := conn.Prep(`WITH RECURSIVE chain (row) AS (
			SELECT d.last_event FROM messages m JOIN deliveries d ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries
				WHERE m.row = ? AND d.last_event IS NOT NULL
			UNION ALL SELECT e.previous FROM chain JOIN events e ON e.row = chain.row WHERE e.previous IS NOT NULL)
			SELECT ` + eventColumns + ` FROM chain JOIN events e ON e.row = chain.row ORDER BY e.row`)
		q.BindInt64(1, message)
		return each(q, func(q *sqlite.Stmt) error {
			e, err := scanEvent(q)
			e.MessageID, e.Recipient = id, names[e.Delivery].address
			out = append(out, e)
			return err
		})
	})
	return out, err
}

// Attempts gives a message's attempts in the order they were recorded.
func (s *Store) Attempts(ctx context.Context, owner mail.Owner, message int64) (out []archive.AttemptOf, err error) {
	err = s.chained(ctx, owner, message, func(conn *sqlite.Conn, names map[int64]recipient, _ mail.ID) error {
		q := conn.Prep(`WITH RECURSIVE chain (row) AS (
			SELECT d.last_attempt FROM messages m JOIN deliveries d ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries
				WHERE m.row = ? AND d.last_attempt IS NOT NULL
			UNION ALL SELECT a.previous FROM chain JOIN attempts a ON a.row = chain.row WHERE a.previous IS NOT NULL)
			SELECT a.delivery, a.facts, a.row FROM chain JOIN attempts a ON a.row = chain.row ORDER BY a.row`)
		q.BindInt64(1, message)
		return each(q, func(q *sqlite.Stmt) error {
			a, err := readAttempt(columnBlob(q, 1))
			out = append(out, archive.AttemptOf{Attempt: a, Row: q.ColumnInt64(2), Recipient: names[q.ColumnInt64(0)].id})
			return err
		})
	})
	return out, err
}

// AttemptsOf gives those of many messages.
func (s *Store) AttemptsOf(ctx context.Context, owner mail.Owner, messages []int64) (out map[int64][]archive.AttemptOf, err error) {
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		out = make(map[int64][]archive.AttemptOf, len(messages))
		b := bind(conn.Prep(`WITH RECURSIVE chain (row, message, recipient) AS (
			SELECT d.last_attempt, m.row, d.id FROM json_each(?) l CROSS JOIN messages m ON m.row = l.value
				CROSS JOIN deliveries d ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries
				WHERE m.owner = ? AND d.last_attempt IS NOT NULL
			UNION ALL SELECT a.previous, chain.message, chain.recipient FROM chain JOIN attempts a ON a.row = chain.row WHERE a.previous IS NOT NULL)
			SELECT chain.message, chain.recipient, a.facts, a.row FROM chain JOIN attempts a ON a.row = chain.row ORDER BY a.row`))
		b.text(rowList(slices.Values(messages)))
		b.int(ownerKey(owner))
		return each(b.s, func(q *sqlite.Stmt) error {
			a, err := readAttempt(columnBlob(q, 2))
			of := q.ColumnInt64(0)
			out[of] = append(out[of], archive.AttemptOf{Attempt: a, Row: q.ColumnInt64(3), Recipient: columnID(q, 1)})
			return err
		})
	})
	return out, err
}

type recipient struct {
	id      mail.ID
	address string // as written
}

// chained reads what hangs on a message's deliveries, after it has made sure whose the
// message is.
func (s *Store) chained(ctx context.Context, owner mail.Owner, message int64, query func(*sqlite.Conn, map[int64]recipient, mail.ID) error) error {
	return s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			b := bind(conn.Prep(`SELECT m.id, d.row, d.id, coalesce(d.facts ->> 'written', d.address) FROM messages m
				JOIN deliveries d ON d.row >= m.delivery AND d.row < m.delivery + m.deliveries WHERE m.row = ? AND m.owner = ?`))
			b.int(message)
			b.int(ownerKey(owner))
			names := make(map[int64]recipient)
			var id mail.ID
			err := each(b.s, func(q *sqlite.Stmt) error {
				id = columnID(q, 0)
				names[q.ColumnInt64(1)] = recipient{columnID(q, 2), q.ColumnText(3)}
				return nil
			})
			if err == nil && len(names) == 0 {
				err = mail.ErrNotFound
			}
			if err != nil {
				return err
			}
			return query(conn, names, id)
		})
	})
}

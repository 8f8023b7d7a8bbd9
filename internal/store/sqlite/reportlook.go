package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/retention"
)

// Copies finds the deliveries that share one copy of a message.
func (s *Store) Copies(ctx context.Context, delivery int64, path string) (out report.Copies, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error { return readCopies(conn, delivery, path, &out) })
	})
	return out, err
}

func readCopies(conn *sqlite.Conn, delivery int64, path string, out *report.Copies) error {
	q := conn.Prep(`SELECT m.row, m.id, m.owner, coalesce(m.facts ->> '$.stamp', '') <> '', m.delivery, m.deliveries
		FROM deliveries d JOIN messages m ON m.row = d.message WHERE d.row = ?`)
	q.BindInt64(1, delivery)
	var from, count int64
	apart := path == ""
	found, err := first(q, func(q *sqlite.Stmt) {
		*out = report.Copies{Message: q.ColumnInt64(0), MessageID: columnID(q, 1), Owner: ownerOf(q.ColumnInt64(2))}
		apart = apart || q.ColumnBool(3) // each recipient's copy has tokens of their own, so a transaction
		from, count = q.ColumnInt64(4), q.ColumnInt64(5)
	})
	if err == nil && !found {
		err = mail.ErrNotFound
	}
	if err != nil {
		return err
	}
	if apart {
		from, count = delivery, 1
	}
	return readSharing(conn, delivery, from, count, mailFrom+path+"@", out)
}

// sibling is a delivery of the message, that may share the copy.
type sibling struct {
	report.Copy
	attempt int64 // the last
	onWire  bool
}

// readSharing adds the delivery asked for, and the others one of whose attempts began with the
// command that says its return path.
func readSharing(conn *sqlite.Conn, delivery, from, count int64, command string, out *report.Copies) error {
	all, err := readSiblings(conn, delivery, from, count)
	if err != nil {
		return err
	}
	for _, one := range all {
		erased, asked := retention.Erased(one.Address), one.Delivery == delivery
		shares, unknown := asked, false
		if !asked && !erased {
			if shares, unknown, err = wentUnder(conn, one.attempt, command); err != nil {
				return err
			}
			out.Pending = out.Pending || one.onWire && !shares
		}
		if unknown || erased && (asked || one.attempt != 0 || one.onWire) {
			out.Forgotten = true
		}
		if shares && !erased {
			out.All = append(out.All, one.Copy)
		}
	}
	if len(out.All) == 0 {
		return mail.ErrNotFound
	}
	return nil
}

func readSiblings(conn *sqlite.Conn, delivery, from, count int64) (all []sibling, err error) {
	b := bind(conn.Prep(`SELECT row, address, status, tries, last_attempt, coalesce(state ->> '$.site', ''), begun AND lease_until IS NOT NULL FROM deliveries
		WHERE row >= ? AND row < ? ORDER BY row <> ?, row`))
	b.int(from)
	b.int(from + count)
	b.int(delivery)
	err = each(b.s, func(q *sqlite.Stmt) error {
		all = append(all, sibling{report.Copy{Delivery: q.ColumnInt64(0), Address: q.ColumnText(1), Status: mail.Status(q.ColumnInt64(2)), Tries: q.ColumnInt(3),
			Site: q.ColumnText(5)}, q.ColumnInt64(4), q.ColumnBool(6)})
		return nil
	})
	return all, err
}

// wentUnder looks for a command in the transcripts of a chain of attempts. unknown: it is not
// there, but an attempt was interrupted before its transcript was recorded.
func wentUnder(conn *sqlite.Conn, attempt int64, command string) (found, unknown bool, err error) {
	for attempt != 0 && !found {
		b := bind(conn.Prep(`SELECT coalesce(previous, 0), instr(facts, ?) > 0, facts ->> '$.outcome' = ? AND instr(facts, ?) = 0 FROM attempts WHERE row = ?`))
		b.text(command)
		b.int(int64(mail.OutcomeUncertain))
		b.text(mailFrom)
		b.int(attempt)
		attempt = 0
		if _, err := first(b.s, func(q *sqlite.Stmt) {
			attempt, found, unknown = q.ColumnInt64(0), q.ColumnBool(1), unknown || q.ColumnBool(2)
		}); err != nil {
			return false, false, err
		}
	}
	return found, unknown && !found, nil
}

const reportColumns = `SELECT r.row, r.id, r.at, coalesce(r.message, 0), r.digest, r.facts, m.id, coalesce(m.owner, 0),
	EXISTS (SELECT 1 FROM report_letters l WHERE l.report = r.row) FROM reports r LEFT JOIN messages m ON m.row = r.message `

func scanReport(q *sqlite.Stmt) (feedback.Record, error) {
	r := feedback.Record{Row: q.ColumnInt64(0), ID: columnID(q, 1), At: columnTime(q, 2), Message: q.ColumnInt64(3),
		MessageID: columnID(q, 6), Owner: ownerOf(q.ColumnInt64(7)), Readable: q.ColumnBool(8)}
	q.ColumnBytes(4, r.Digest[:])
	var f reportFacts
	err := read("report facts", columnBlob(q, 5), &f)
	r.Kind, r.Size, r.Items, r.Feedback, r.Why = f.Kind, f.Size, f.Items, f.Feedback, f.Why
	return r, err
}

// Reports gives records, newest first.
func (s *Store) Reports(ctx context.Context, before int64, limit int) (out []feedback.Record, err error) {
	if before == 0 {
		before = never
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(reportColumns + `WHERE r.row < ? ORDER BY r.row DESC LIMIT ?`))
		b.int(before)
		b.int(limitOf(limit))
		out = nil
		return each(b.s, func(q *sqlite.Stmt) error {
			r, err := scanReport(q)
			out = append(out, r)
			return err
		})
	})
	return out, err
}

// ReportByID gives one with its letter.
func (s *Store) ReportByID(ctx context.Context, id mail.ID) (out feedback.Record, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			b := bind(conn.Prep(reportColumns + `WHERE r.id = ?`))
			b.id(id)
			found := false
			if err := each(b.s, func(q *sqlite.Stmt) (err error) {
				found = true
				out, err = scanReport(q)
				return err
			}); err != nil {
				return err
			}
			if !found {
				return mail.ErrNotFound
			}
			out.Letter, err = readLetter(conn, out.Row)
			return err
		})
	})
	return out, err
}

// readLetter opens a letter; nil: there is none.
func readLetter(conn *sqlite.Conn, row int64) (letter []byte, err error) {
	q := conn.Prep(`SELECT bytes, key FROM report_letters JOIN report_keys USING (report) WHERE report = ?`)
	q.BindInt64(1, row)
	_, err = first(q, func(q *sqlite.Stmt) {
		var key bodyKey
		letter = columnBlob(q, 0)
		q.ColumnBytes(1, key[:])
		key.crypt(letter, letter)
	})
	return letter, err
}

// oldLetters gathers what was kept of mail that came back for long enough.
func (f *forgetting) oldLetters(conn *sqlite.Conn) error {
	keep := (feedback.LetterDays * 24 * time.Hour).Microseconds()
	for _, oldest := range []string{
		`SELECT report, at FROM report_letters JOIN reports ON row = report ORDER BY report LIMIT ?`,
		`SELECT row, at FROM reports INDEXED BY reports_unmatched WHERE message IS NULL ORDER BY row LIMIT ?`,
	} {
		q := conn.Prep(oldest)
		q.BindInt64(1, surveyStep)
		if err := each(q, func(q *sqlite.Stmt) error {
			if due := q.ColumnInt64(1) + keep; due > f.now {
				f.next = min(f.next, due)
			} else {
				f.round.errands = append(f.round.errands, errand{kind: forgetReport, row: q.ColumnInt64(0)})
			}
			return nil
		}); err != nil || len(f.round.errands) > 0 {
			return err
		}
	}
	return nil
}

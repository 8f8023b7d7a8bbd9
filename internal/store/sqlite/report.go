package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/retention"
)

var _ queue.Reporter = (*Store)(nil)

// Report records what one mail tells.
func (s *Store) Report(ctx context.Context, now time.Time, r queue.Report) (out queue.Recorded, err error) {
	err = s.write(ctx, func(t *tx) error {
		out = queue.Recorded{Effects: make([]queue.Effect, len(r.Outcomes))}
		if err := t.offTheWire(r.Outcomes); err != nil { // first: who fails after writing costs the others of its commit
			return err
		}
		if again, err := t.reportedBefore(r.Record); err != nil || again {
			out.Again = again
			return err
		}
		row, err := t.nextReport(r.Record)
		if err != nil {
			return err
		}
		for i := range r.Outcomes {
			if out.Effects[i], err = t.cameBack(&r.Outcomes[i], row, now); err != nil {
				return fmt.Errorf("record what came back: %w", err)
			}
		}
		if row == 0 {
			return nil
		}
		out.Row = row
		return t.keepRecord(r.Record, row, out.Effects)
	})
	return out, err
}

// offTheWire fails when a delivery is on the wire: what that comes to decides first.
func (t *tx) offTheWire(all []queue.Returned) error {
	for i := range all {
		p, found, err := t.progress(all[i].Delivery, false)
		if err != nil {
			return err
		}
		if found && p.until != 0 && p.begun {
			return mail.ErrStale
		}
	}
	return nil
}

// cameBack is one outcome.
func (t *tx) cameBack(r *queue.Returned, report int64, now time.Time) (queue.Effect, error) {
	p, found, err := t.progress(r.Delivery, true)
	switch {
	case err != nil:
		return "", err
	case !found || retention.Erased(p.address):
		return queue.EffectGone, nil
	}
	can, err := t.canBecome(&p, r.Status)
	if err != nil || !can {
		return queue.EffectNone, err
	}
	late := queue.Result{Status: r.Status, Bounce: r.Bounce, Events: append([]mail.Event{}, r.Events...), Suppress: r.Suppress}
	for i := range late.Events {
		late.Events[i].Detail.Previous, late.Events[i].Detail.Report = p.status.String(), report
	}
	st := settlement{r: &late}
	st.encodeEvents()
	if late.Suppress != nil {
		if err := t.settleSuppression(&st, now); err != nil {
			return "", err
		}
	}
	return queue.EffectDone, t.turn(&p, &st, now)
}

// canBecome tells whether what came back can follow on where a delivery stands.
func (t *tx) canBecome(p *progress, status mail.Status) (bool, error) {
	open := p.status == mail.Delivered || !p.status.Final()
	switch {
	case status == 0:
		return open && p.events < feedback.MaxVisits, nil
	case open || status != mail.Complained:
		return open, nil
	case p.status == mail.Bounced: // unless the site never had it
		q := t.conn.Prep(`SELECT state ->> '$.bounce.reason' FROM deliveries WHERE row = ?`)
		q.BindInt64(1, p.row)
		reason := ""
		_, err := first(q, func(q *sqlite.Stmt) { reason = q.ColumnText(0) })
		return reason == mail.BounceReported || reason == mail.BounceExhausted, err
	}
	return p.tried != 0 && (p.status == mail.Expired || p.status == mail.Cancelled || p.status == mail.Failed), nil
}

// turn hangs on the events and writes what the delivery becomes.
func (t *tx) turn(p *progress, st *settlement, now time.Time) error {
	chain, err := t.chain(p)
	if err != nil {
		return err
	}
	for i := range st.r.Events {
		if err := t.addEvent(&chain, &st.r.Events[i], st.details[i]); err != nil {
			return err
		}
	}
	state, err := t.mergeState(p, st.r)
	if err != nil {
		return err
	}
	if st.r.Status != 0 && !p.status.Final() { // it ends here: a lease, too
		c := p.keep()
		c.status, c.wait, c.done, c.state = st.r.Status, mail.NoWait, micros(now), state
		return t.move(p, c, &chain)
	}
	status := st.r.Status
	if status == 0 {
		status = p.status
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET status = ?, events = ?, last_event = ?, state = coalesce(?, state) WHERE row = ?`))
	b.int(int64(status))
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.textOrNull(state)
	b.int(p.row)
	return t.exec(b.s)
}

// reportFacts is reports.facts.
type reportFacts struct {
	Kind     feedback.Kind         `json:"kind"`
	Size     int64                 `json:"size"`
	Items    []feedback.RecordItem `json:"items,omitempty"`
	Feedback string                `json:"feedback,omitempty"`
	Why      string                `json:"why,omitempty"`
}

// reportedBefore tells whether a mail is kept already, about the same message.
func (t *tx) reportedBefore(r *feedback.Record) (bool, error) {
	if r == nil {
		return false, nil
	}
	if r.Message == 0 {
		return t.exists(`SELECT 1 FROM reports WHERE message IS NULL AND digest = ?`, r.Digest[:])
	}
	return t.exists(`SELECT 1 FROM reports WHERE message = ? AND digest = ?`, r.Message, r.Digest[:])
}

// nextReport makes a record's row, its facts yet to come; 0: none is kept, or its message has
// as many as it may.
func (t *tx) nextReport(r *feedback.Record) (int64, error) {
	if r == nil {
		return 0, nil
	}
	if r.Message != 0 {
		full, err := t.exists(`SELECT 1 FROM reports WHERE message = ? LIMIT 1 OFFSET ?`, r.Message, int64(feedback.MaxRecords-1))
		if err != nil || full {
			return 0, err
		}
	}
	b := bind(t.conn.Prep(`INSERT INTO reports (id, at, message, digest, facts) SELECT ?, ?, ?, ?, '{}'
		WHERE ?3 IS NULL OR EXISTS (SELECT 1 FROM messages WHERE row = ?3) RETURNING row`))
	b.id(r.ID)
	b.int(micros(r.At))
	b.intOrNull(r.Message)
	b.bytes(r.Digest[:])
	row := int64(0)
	t.wrote = true
	_, err := first(b.s, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
	return row, err
}

// keepRecord writes what a record tells, and its letter.
func (t *tx) keepRecord(r *feedback.Record, row int64, effects []queue.Effect) error {
	f := reportFacts{Kind: r.Kind, Size: r.Size, Items: append([]feedback.RecordItem{}, r.Items...), Feedback: r.Feedback, Why: r.Why}
	for i := range min(len(f.Items), len(effects)) {
		if f.Items[i].Effect == "" {
			f.Items[i].Effect = string(effects[i])
		}
	}
	facts, err := json.Marshal(f)
	if err != nil {
		return err
	}
	b := bind(t.conn.Prep(`UPDATE reports SET facts = ? WHERE row = ?`))
	b.text(string(facts))
	b.int(row)
	if err := t.exec(b.s); err != nil {
		return err
	}
	if err := t.keepLetter(r, row); err != nil {
		return err
	}
	return t.boundReports()
}

// keepLetter seals a letter. That of a message whose content is gone, or of which a recipient
// was erased, is not kept: it would bring it back.
func (t *tx) keepLetter(r *feedback.Record, row int64) error {
	key, letter := newBodyKey(), r.Letter
	if r.Message != 0 && letter != nil {
		there, err := t.exists(`SELECT 1 FROM bodies JOIN messages ON row = message WHERE message = ? AND NOT coalesce(facts ->> '$.erased', 0)`, r.Message)
		if err != nil {
			return err
		}
		if !there {
			letter = nil
		}
	}
	b := bind(t.conn.Prep(`INSERT INTO report_keys (report, key) VALUES (?,?)`))
	b.int(row)
	b.bytes(key[:])
	if err := t.exec(b.s); err != nil || letter == nil {
		return err
	}
	sealed := make([]byte, len(letter))
	key.crypt(sealed, letter)
	b = bind(t.conn.Prep(`INSERT INTO report_letters (report, bytes) VALUES (?,?)`))
	b.int(row)
	b.bytes(sealed)
	return t.exec(b.s)
}

// boundReports has the oldest go where there are too many.
func (t *tx) boundReports() error {
	for _, oldest := range []string{
		`SELECT report FROM report_letters ORDER BY report DESC LIMIT 1 OFFSET ?`,
		`SELECT row FROM reports INDEXED BY reports_unmatched WHERE message IS NULL ORDER BY row DESC LIMIT 1 OFFSET ?`,
	} {
		q := t.conn.Prep(oldest)
		q.BindInt64(1, feedback.MaxLetters)
		row := int64(0)
		found, err := first(q, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
		if err != nil {
			return err
		}
		if found {
			if err := t.expireReport(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// expireReport forgets a record's letter, and the record when it is about no message.
func (t *tx) expireReport(row int64) error {
	if err := t.forgetLetter(row); err != nil {
		return err
	}
	q := t.conn.Prep(`DELETE FROM reports WHERE row = ? AND message IS NULL`)
	q.BindInt64(1, row)
	return t.exec(q)
}

// forgetLetter forgets by the key, as contents are: the new row has the size of the old one.
func (t *tx) forgetLetter(row int64) error {
	for _, sql := range []string{`UPDATE report_keys SET key = zeroblob(16) WHERE report = ?`, `DELETE FROM report_letters WHERE report = ?`} {
		q := t.conn.Prep(sql)
		q.BindInt64(1, row)
		if err := t.exec(q); err != nil {
			return err
		}
	}
	b := bind(t.conn.Prep(`DELETE FROM report_keys WHERE report < coalesce((SELECT min(report) FROM report_letters), ?1) - ?2
		AND report < (SELECT min(report) FROM report_keys) + ?3`))
	b.int(row)
	b.int(keyMargin)
	b.int(keyStep)
	return t.exec(b.s)
}

// reportsOf gives the rows of a message's records.
func (t *tx) reportsOf(message int64) (rows []int64, err error) {
	q := t.conn.Prep(`SELECT row FROM reports WHERE message = ?`)
	q.BindInt64(1, message)
	return rows, each(q, func(q *sqlite.Stmt) error {
		rows = append(rows, q.ColumnInt64(0))
		return nil
	})
}

// forgetLetters forgets what was kept of mail that came back about a message: it has the
// message's content in it.
func (t *tx) forgetLetters(message int64) error {
	rows, err := t.reportsOf(message)
	for i := 0; err == nil && i < len(rows); i++ {
		err = t.forgetLetter(rows[i])
	}
	return err
}

// removeReports removes a message's records whole.
func (t *tx) removeReports(message int64) error {
	rows, err := t.reportsOf(message)
	if err != nil || len(rows) == 0 {
		return err
	}
	for _, row := range rows {
		if err := t.forgetLetter(row); err != nil {
			return err
		}
	}
	q := t.conn.Prep(`DELETE FROM reports WHERE message = ?`)
	q.BindInt64(1, message)
	return t.exec(q)
}

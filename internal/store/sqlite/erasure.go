package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/retention"
)

// The parts of an erasure, in order, as stored.
const (
	eraseDeliveries = iota // of both environments, with their messages
	eraseEvents            // that are about no message
	eraseAnswers           // kept for idempotency
	eraseList              // the suppression list, and the end
	eraseReports           // mail that came back and is about no message; after the answers
)

const (
	eraseRows  = 16    // deliveries looked at in one step
	eraseLog   = 20000 // rows of the log
	eraseKeys  = 500   // kept answers
	eraseMails = 20    // letters that came back
	eraseAgain = time.Second
)

// erasureFacts is erasures.facts: what was asked, what was done, and where it stands.
type erasureFacts struct {
	By           string           `json:"by"`
	Suppressions bool             `json:"suppressions"`
	Counts       retention.Counts `json:"counts"`
	// What came in after the order is none of it.
	Deliveries int64 `json:"deliveries"` // rows below this one
	Events     int64 `json:"events"`

	Part  int    `json:"part"`
	Env   int64  `json:"env"`
	After int64  `json:"after"` // the row looked at last
	Wire  int    `json:"wire"`  // deliveries that could not be touched in this pass
	Owner int64  `json:"owner"` // the answer looked at last
	Route string `json:"route"`
	Key   string `json:"key"`
}

// erasure is one with what the public form leaves out.
type erasure struct {
	retention.Erasure
	facts erasureFacts
	mask  mask
}

// owner is whose deliveries it is at.
func (e *erasure) owner() int64 { return e.Project<<1 | e.facts.Env }

const erasureColumns = `SELECT row, id, project, address, token, created_at, finished_at, facts FROM erasures `

func scanErasure(q *sqlite.Stmt) (*erasure, error) {
	e := &erasure{Erasure: retention.Erasure{Row: q.ColumnInt64(0), ID: columnID(q, 1), Project: q.ColumnInt64(2), Address: q.ColumnText(3),
		Token: q.ColumnText(4), CreatedAt: columnTime(q, 5), FinishedAt: columnTime(q, 6)}}
	err := read("an erasure", columnBlob(q, 7), &e.facts)
	e.By, e.Suppressions, e.Counts = e.facts.By, e.facts.Suppressions, e.facts.Counts
	e.mask = newMask(e.Token, e.Address)
	return e, err
}

// CreateErasure keeps an order; Erase carries it out.
func (s *Store) CreateErasure(ctx context.Context, in retention.Erasure, once *mail.Once, answer func(retention.Erasure) mail.Answer) (retention.Erasure, error) {
	err := s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		facts, err := json.Marshal(erasureFacts{By: in.By, Suppressions: in.Suppressions, Deliveries: t.now.delivery, Events: t.now.event})
		if err != nil {
			return err
		}
		b := bind(t.conn.Prep(`INSERT INTO erasures (id, project, address, token, created_at, due_at, facts) VALUES (?,?,?,?,?,?,?)`))
		b.id(in.ID)
		b.int(in.Project)
		b.text(in.Address)
		b.text(in.Token)
		b.int(micros(in.CreatedAt))
		b.int(micros(in.CreatedAt))
		b.text(string(facts))
		if err := t.exec(b.s); err != nil {
			return err
		}
		in.Row = t.conn.LastInsertRowID()
		if answer == nil {
			return nil
		}
		return t.remember(once, answer(in))
	})
	return in, err
}

// Erasure gives one of a project's.
func (s *Store) Erasure(ctx context.Context, project int64, id mail.ID) (retention.Erasure, error) {
	var got *erasure
	err := s.read(ctx, func(conn *sqlite.Conn) (err error) {
		b := bind(conn.Prep(erasureColumns + `WHERE id = ? AND project = ?`))
		b.id(id)
		b.int(project)
		return each(b.s, func(q *sqlite.Stmt) error {
			got, err = scanErasure(q)
			return err
		})
	})
	switch {
	case err != nil:
		return retention.Erasure{}, err
	case got == nil:
		return retention.Erasure{}, mail.ErrNotFound
	}
	return got.Erasure, nil
}

// Erase makes one step of the order that is due first. What only has to be looked through
// is read outside of the writer.
func (s *Store) Erase(ctx context.Context, now time.Time) (retention.Step, error) {
	w := eraseStep{now: now}
	if err := s.read(ctx, func(conn *sqlite.Conn) error { return snapshot(conn, w.look) }); err != nil {
		return retention.Step{}, fmt.Errorf("look for what is to be erased: %w", err)
	}
	if w.e == nil || w.next.After(now) {
		return retention.Step{Next: w.next}, nil
	}
	if err := s.write(ctx, w.write); err != nil {
		return retention.Step{}, fmt.Errorf("erase: %w", err)
	}
	s.unlink(w.files)
	s.unlinkFiles(w.hosted)
	w.step.Next = now
	return w.step, nil
}

// eraseStep is one step while it is made.
type eraseStep struct {
	now     time.Time
	next    time.Time // when the order is due
	e       *erasure
	events  []maskedEvent
	answers []maskedAnswer
	letters []int64 // of mail that came back, by record
	step    retention.Step
	files   []string
	hosted  []string
}

type maskedEvent struct {
	row    int64
	detail string
}

type maskedAnswer struct {
	key    onceKey
	body   string
	forget bool // the key itself names the address
}

// look finds the order, and what its next step needs.
func (w *eraseStep) look(conn *sqlite.Conn) error {
	var err error
	if err := each(conn.Prep(erasureColumns+`WHERE address IS NOT NULL ORDER BY due_at LIMIT 1`), func(q *sqlite.Stmt) error {
		w.e, err = scanErasure(q)
		return err
	}); err != nil || w.e == nil {
		return err
	}
	q := conn.Prep(`SELECT due_at FROM erasures WHERE row = ?`)
	q.BindInt64(1, w.e.Row)
	if _, err := first(q, func(q *sqlite.Stmt) { w.next = columnTime(q, 0) }); err != nil {
		return err
	}
	switch w.e.facts.Part {
	case eraseEvents:
		return w.lookThroughLog(conn)
	case eraseAnswers:
		return w.lookThroughAnswers(conn)
	case eraseReports:
		return w.lookThroughLetters(conn)
	}
	return nil
}

// lookThroughLetters finds letters that name the address as it is written: what is encoded
// (base64) goes in its time.
func (w *eraseStep) lookThroughLetters(conn *sqlite.Conn) error {
	f := &w.e.facts
	b := bind(conn.Prep(`SELECT report FROM report_letters WHERE report > ? ORDER BY report LIMIT ?`))
	b.int(f.After)
	b.int(eraseMails)
	var rows []int64
	if err := each(b.s, func(q *sqlite.Stmt) error {
		rows = append(rows, q.ColumnInt64(0))
		return nil
	}); err != nil {
		return err
	}
	for _, row := range rows {
		letter, err := readLetter(conn, row)
		if err != nil {
			return err
		}
		f.After = row
		if _, found := w.e.mask.over(string(letter)); found {
			w.letters = append(w.letters, row)
		}
	}
	if len(rows) < eraseMails {
		f.Part = eraseList
	}
	return nil
}

func (w *eraseStep) lookThroughLog(conn *sqlite.Conn) error {
	e := w.e
	if e.facts.After == 0 {
		if _, err := first(conn.Prep(`SELECT min(row) - 1 FROM events`), func(q *sqlite.Stmt) { e.facts.After = q.ColumnInt64(0) }); err != nil {
			return err
		}
	}
	to := min(e.facts.After+eraseLog, e.facts.Events)
	b := bind(conn.Prep(`SELECT row, detail FROM events WHERE row > ? AND row <= ? AND message IS NULL AND owner >> 1 = ?`))
	b.int(e.facts.After)
	b.int(to)
	b.int(e.Project)
	e.facts.After = to
	return each(b.s, func(q *sqlite.Stmt) error {
		if detail, found := e.mask.over(q.ColumnText(1)); found {
			w.events = append(w.events, maskedEvent{q.ColumnInt64(0), detail})
		}
		return nil
	})
}

func (w *eraseStep) lookThroughAnswers(conn *sqlite.Conn) error {
	f := &w.e.facts
	b := bind(conn.Prep(`SELECT owner, route, key, body FROM idempotency
		WHERE (owner, route, key) > (?, ?, ?) AND owner <= ? ORDER BY owner, route, key LIMIT ?`))
	b.int(max(f.Owner, w.e.Project<<1))
	b.text(f.Route)
	b.text(f.Key)
	b.int(w.e.Project<<1 | 1)
	b.int(eraseKeys)
	seen := 0
	err := each(b.s, func(q *sqlite.Stmt) error {
		seen++
		a := maskedAnswer{key: onceKey{q.ColumnInt64(0), q.ColumnText(1), q.ColumnText(2)}}
		f.Owner, f.Route, f.Key = a.key.owner, a.key.route, a.key.key
		body, found := w.e.mask.over(string(columnBlob(q, 3)))
		_, a.forget = w.e.mask.over(a.key.key)
		if a.body = body; found || a.forget {
			w.answers = append(w.answers, a)
		}
		return nil
	})
	if seen < eraseKeys {
		f.Part, f.After = eraseReports, 0
	}
	return err
}

// write is the op: the step, and where the order stands after it.
func (w *eraseStep) write(t *tx) error {
	e := *w.e // this may run again
	w.step, w.files, w.hosted = retention.Step{}, w.files[:0], w.hosted[:0]
	due := w.now
	var err error
	switch w.e.facts.Part {
	case eraseDeliveries:
		due, err = w.deliveries(t, &e)
	case eraseEvents:
		err = w.maskEvents(t, &e)
	default:
		if err = firstError(w.maskAnswers(t, &e), w.removeLetters(t)); err == nil && e.facts.Part == eraseList {
			return w.finish(t, &e)
		}
	}
	if err != nil {
		return err
	}
	facts, err := json.Marshal(e.facts)
	if err != nil {
		return err
	}
	b := bind(t.conn.Prep(`UPDATE erasures SET due_at = ?, facts = ? WHERE row = ?`))
	b.int(micros(due))
	b.text(string(facts))
	b.int(e.Row)
	return t.exec(b.s)
}

func (w *eraseStep) maskEvents(t *tx, e *erasure) error {
	for _, m := range w.events {
		e.facts.Counts.Events++
		w.step.Events++
		if err := firstError(t.setDetail(m.row, m.detail), t.eraseTries(e.owner(), m.row)); err != nil {
			return err
		}
	}
	if e.facts.After >= e.facts.Events {
		e.facts.Part = eraseAnswers
	}
	return nil
}

func (w *eraseStep) removeLetters(t *tx) error {
	for _, row := range w.letters {
		w.step.Events++
		if err := t.expireReport(row); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) setDetail(row int64, detail string) error {
	b := bind(t.conn.Prep(`UPDATE events SET detail = ? WHERE row = ?`))
	b.text(detail)
	b.int(row)
	return t.exec(b.s)
}

func (w *eraseStep) maskAnswers(t *tx, e *erasure) error {
	for _, a := range w.answers {
		e.facts.Counts.Answers++
		w.step.Events++
		b := bind(t.conn.Prep(`UPDATE idempotency SET body = ? WHERE owner = ? AND route = ? AND key = ?`))
		if a.forget {
			b = bind(t.conn.Prep(`DELETE FROM idempotency WHERE owner = ? AND route = ? AND key = ?`))
		} else {
			b.bytes([]byte(a.body))
		}
		b.int(a.key.owner)
		b.text(a.key.route)
		b.text(a.key.key)
		if err := t.exec(b.s); err != nil {
			return err
		}
	}
	return nil
}

// finish works on the list, and forgets the address itself.
func (w *eraseStep) finish(t *tx, e *erasure) error {
	for env := range int64(2) {
		if err := w.list(t, e, e.Project<<1|env); err != nil {
			return err
		}
	}
	e.facts.Route, e.facts.Key = "", ""
	facts, err := json.Marshal(e.facts)
	if err != nil {
		return err
	}
	w.step.Events++ // something went: the log is to be emptied
	b := bind(t.conn.Prep(`UPDATE erasures SET address = NULL, finished_at = ?, facts = ? WHERE row = ?`))
	b.int(micros(w.now))
	b.text(string(facts))
	b.int(e.Row)
	return t.exec(b.s)
}

// list removes the address' suppressions when that was asked. Else they stand, since they
// keep mail away from the address, but what they tell of a message is taken out.
func (w *eraseStep) list(t *tx, e *erasure, owner int64) error {
	if !e.Suppressions {
		for _, table := range []string{"suppressions", "past_suppressions"} {
			if err := t.ofAddress(`UPDATE `+table+` SET message = NULL, detail = ''`, owner, e.Address); err != nil {
				return err
			}
		}
		return nil
	}
	var found []mail.Suppression
	b := bind(t.conn.Prep(suppressionsOf))
	b.int(owner)
	b.text(e.Address)
	if err := each(b.s, func(q *sqlite.Stmt) error {
		found = append(found, scanSuppression(q))
		return nil
	}); err != nil {
		return err
	}
	for i := range found {
		s := &found[i]
		e.facts.Counts.Suppressions++
		s.Address, s.Message, s.Detail = e.Token, mail.ID{}, "" // a reply names whom it is about
		s.Note, _ = e.mask.over(s.Note)
		if err := t.addOther(suppressionEvent(mail.EventSuppressionDeleted, s, e.By, w.now)); err != nil {
			return err
		}
	}
	for _, table := range []string{"suppressions", "past_suppressions"} {
		if err := t.ofAddress(`DELETE FROM `+table, owner, e.Address); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	return t.keepNumbers()
}

// ofAddress changes the rows an owner's list has of an address.
func (t *tx) ofAddress(change string, owner int64, address string) error {
	b := bind(t.conn.Prep(change + ` WHERE owner = ? AND address = ?`))
	b.int(owner)
	b.text(address)
	return t.exec(b.s)
}

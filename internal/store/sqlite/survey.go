package sqlite

import (
	"strconv"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// How the walks go. An owner's messages are in the order of time, so the first message that
// is not old enough ends a walk, and tells when to look again: that costs nothing per
// message before it is due, and one look at an index while nothing is. Old enough by its
// creation is not yet due: the time counts from the last delivery's end. What ends soon is
// waited for; what is open for longer, or ended late, is passed over and revisited.
const (
	surveyStep = 64               // messages looked at in one step
	eventStep  = 4096             // events likewise; most are of messages, and passed over
	waitShort  = 10 * time.Second // a walk waits so long for a message instead of passing it over
	openShort  = 10 * time.Minute // open messages are looked at again so often, when their time is short …
	openLong   = 6 * time.Hour    // … and so often when it is days, which is how soon a changed setting reaches them
	longKeep   = 24 * time.Hour
	relayWait  = time.Minute // what has yet to be relayed is looked at again so often
	day        = 24 * time.Hour
)

// forgetting is a step's look at what is due.
type forgetting struct {
	now   int64
	floor int64 // events from here on have yet to be relayed
	looks map[walkKey]*look
	keeps map[int64]keep // by project
	round round
	next  int64 // when there is something to do again, if round is empty
}

// keep is a project's times in microseconds. Content never outlives its message.
type keep struct{ content, events int64 }

func (k keep) of(kind int64) int64 {
	if kind == forgetContent {
		return min(k.content, k.events)
	}
	return k.events
}

// ofMessage is a content's time, of a message that may have one of its own.
func (k keep) ofMessage(own *int64) int64 {
	if own == nil {
		return k.of(forgetContent)
	}
	return min(*own*time.Second.Microseconds(), k.events)
}

func (f *forgetting) survey(conn *sqlite.Conn) error {
	var err error
	if f.keeps, err = readKeeps(conn); err != nil {
		return err
	}
	f.next = never
	if err := f.revisits(conn); err != nil || len(f.round.errands) > 0 {
		return err
	}
	if err := f.oldLetters(conn); err != nil || len(f.round.errands) > 0 {
		return err
	}
	for project := range f.keeps {
		for env := range int64(2) {
			for _, kind := range []int64{forgetContent, forgetMessage} {
				found, err := f.walk(conn, walkKey{project<<1 | env, kind}, f.keeps[project].of(kind), f.messages)
				if err != nil || found {
					return err
				}
			}
		}
	}
	_, err = f.walk(conn, walkKey{0, forgetEvent}, f.shortest(), f.events)
	return err
}

const keepColumns = `SELECT row, settings ->> '$.content_retention_days', settings ->> '$.event_retention_days' FROM projects`

func readKeeps(conn *sqlite.Conn) (map[int64]keep, error) {
	return scanKeeps(conn.Prep(keepColumns))
}

func readKeep(conn *sqlite.Conn, project int64) (map[int64]keep, error) {
	q := conn.Prep(keepColumns + ` WHERE row = ?`)
	q.BindInt64(1, project)
	return scanKeeps(q)
}

func scanKeeps(q *sqlite.Stmt) (map[int64]keep, error) {
	keeps := make(map[int64]keep)
	return keeps, each(q,
		func(q *sqlite.Stmt) error {
			keeps[q.ColumnInt64(0)] = keep{q.ColumnInt64(1) * day.Microseconds(), q.ColumnInt64(2) * day.Microseconds()}
			return nil
		})
}

func (f *forgetting) shortest() int64 {
	least := int64(never)
	for _, k := range f.keeps {
		least = min(least, k.events)
	}
	return least
}

// walk goes on with one walk if its time has come, and tells whether it found work.
func (f *forgetting) walk(conn *sqlite.Conn, key walkKey, keep int64, visit func(*sqlite.Conn, walkKey, int64, *look) error) (bool, error) {
	if keep == never {
		return false, nil
	}
	l := f.looks[key]
	if l == nil {
		l = &look{}
		b := bind(conn.Prep(`SELECT row FROM retention_walks WHERE owner = ? AND kind = ?`))
		b.int(key.owner)
		b.int(key.kind)
		if _, err := first(b.s, func(q *sqlite.Stmt) { l.row = q.ColumnInt64(0) }); err != nil {
			return false, err
		}
		f.looks[key] = l
	}
	// The clock may have gone back: nothing is put off for longer than it would be from now.
	if l.keep != keep || l.at > f.now+max(keep, waitShort.Microseconds()) {
		l.keep, l.at = keep, 0
	}
	if l.at > f.now {
		f.next = min(f.next, l.at)
		return false, nil
	}
	f.round = round{row: l.row}
	if err := visit(conn, key, keep, l); err != nil {
		return false, err
	}
	if f.round.row == l.row {
		f.next = min(f.next, l.at)
		return false, nil
	}
	f.round.walk = &key
	return true, nil
}

// messages gathers what a walk of messages finds.
func (f *forgetting) messages(conn *sqlite.Conn, key walkKey, keep int64, l *look) error {
	b := bind(conn.Prep(`SELECT row, created_at, delivery, deliveries, facts ->> '$.content_seconds' IS NOT NULL
		FROM messages INDEXED BY messages_of_owner WHERE owner = ? AND row > ? ORDER BY row LIMIT ` + strconv.Itoa(surveyStep)))
	b.int(key.owner)
	b.int(l.row)
	var found []candidateMessage
	if err := each(b.s, func(q *sqlite.Stmt) error {
		found = append(found, candidateMessage{q.ColumnInt64(0), q.ColumnInt64(1), q.ColumnInt64(2), q.ColumnInt64(3), q.ColumnBool(4)})
		return nil
	}); err != nil {
		return err
	}
	l.at = f.now // more of them
	if len(found) < surveyStep {
		l.at = f.now + max(keep, time.Second.Microseconds()) // what comes in from now on is not due before
	}
	for _, m := range found {
		if m.created+keep > f.now {
			l.at = m.created + keep
			return nil
		}
		if key.kind == forgetContent && m.own { // it has a revisit since it was accepted
			f.round.row = m.row
			continue
		}
		state, err := readProgressOf(conn, m.first, m.count)
		if err != nil {
			return err
		}
		again := f.again(key.kind, m.created, keep, state)
		if wait := m.created + keep + waitShort.Microseconds(); again != 0 && (state.open && f.now < wait || !state.open && again < wait) {
			l.at = min(again, wait)
			return nil
		}
		f.round.row = m.row
		f.round.errands = append(f.round.errands, errand{kind: key.kind, row: m.row, again: again})
	}
	return nil
}

type candidateMessage struct {
	row, created, first, count int64
	own                        bool // a time of its own for its content
}

// stateOf is how far the deliveries of a message are.
type stateOf struct {
	open bool
	done int64 // the last one's end
	told int64 // the newest event
	due  int64 // when the last one of those that wait is tried again
}

func readProgressOf(conn *sqlite.Conn, from, count int64) (s stateOf, err error) {
	b := bind(conn.Prep(`SELECT status, done_at, due_at, queue IS NOT NULL, last_event FROM deliveries WHERE row >= ? AND row < ?`))
	b.int(from)
	b.int(from + count)
	err = each(b.s, func(q *sqlite.Stmt) error {
		s.told = max(s.told, q.ColumnInt64(4))
		if mail.Status(q.ColumnInt64(0)).Final() {
			s.done = max(s.done, q.ColumnInt64(1))
			return nil
		}
		s.open = true
		if q.ColumnBool(3) {
			s.due = max(s.due, q.ColumnInt64(2))
		}
		return nil
	})
	return s, err
}

// again is judge, but a message whose events have yet to be relayed to webhooks waits for
// that. It is a matter of moments, unless hooks are not worked on.
func (f *forgetting) again(kind, created, keep int64, s stateOf) int64 {
	when := f.judge(created, keep, s)
	if when == 0 && kind == forgetMessage && s.told >= f.floor {
		when = f.now + relayWait.Microseconds()
	}
	return when
}

// judge tells when to look at a message again; 0: it is due now.
func (f *forgetting) judge(created, keep int64, s stateOf) int64 {
	soon, cap := f.now+time.Second.Microseconds(), f.now+openShort.Microseconds()
	if keep >= longKeep.Microseconds() {
		cap = f.now + openLong.Microseconds()
	}
	if s.open { // it cannot end before its next try, unless somebody ends it
		return max(soon, min(s.due+time.Second.Microseconds(), cap))
	}
	due := max(s.done, created) + keep
	if due <= f.now {
		return 0
	}
	return min(due, f.now+openLong.Microseconds())
}

// revisits gathers what was passed over and is to be looked at again.
func (f *forgetting) revisits(conn *sqlite.Conn) error {
	b := bind(conn.Prep(`SELECT due, kind, row FROM retention_revisits ORDER BY due, kind, row LIMIT ` + strconv.Itoa(surveyStep)))
	var found []errand
	if err := each(b.s, func(q *sqlite.Stmt) error {
		if due := q.ColumnInt64(0); due > f.now {
			f.next = min(f.next, due)
			return nil
		}
		found = append(found, errand{was: q.ColumnInt64(0), kind: q.ColumnInt64(1), row: q.ColumnInt64(2)})
		return nil
	}); err != nil {
		return err
	}
	for _, e := range found {
		if err := f.lookAgain(conn, &e); err != nil {
			return err
		}
		f.round.errands = append(f.round.errands, e)
	}
	return nil
}

// lookAgain judges one revisit by the settings as they are now.
func (f *forgetting) lookAgain(conn *sqlite.Conn, e *errand) error {
	if e.kind == forgetEvent {
		return f.lookAtEvent(conn, e)
	}
	q := conn.Prep(`SELECT owner, created_at, delivery, deliveries, facts ->> '$.content_seconds' FROM messages WHERE row = ?`)
	q.BindInt64(1, e.row)
	var owner, own int64
	var m candidateMessage
	found, err := first(q, func(q *sqlite.Stmt) {
		owner, m = q.ColumnInt64(0), candidateMessage{e.row, q.ColumnInt64(1), q.ColumnInt64(2), q.ColumnInt64(3), !q.ColumnIsNull(4)}
		own = q.ColumnInt64(4)
	})
	k, known := f.keeps[owner>>1]
	if err != nil || !found || !known {
		e.again = never
		return err
	}
	keep := k.of(e.kind)
	if e.kind == forgetContent && m.own {
		keep = k.ofMessage(&own)
	}
	state, err := readProgressOf(conn, m.first, m.count)
	e.again = f.again(e.kind, m.created, keep, state)
	return err
}

// events gathers those that are about no message: the log is read in order, once.
func (f *forgetting) events(conn *sqlite.Conn, key walkKey, keep int64, l *look) error {
	b := bind(conn.Prep(`SELECT row, at, owner, message IS NULL FROM events WHERE row > ? ORDER BY row LIMIT ` + strconv.Itoa(eventStep)))
	b.int(l.row)
	type event struct {
		row, at, owner int64
		alone          bool
	}
	found := make([]event, 0, eventStep)
	if err := each(b.s, func(q *sqlite.Stmt) error {
		found = append(found, event{q.ColumnInt64(0), q.ColumnInt64(1), q.ColumnInt64(2), q.ColumnBool(3)})
		return nil
	}); err != nil {
		return err
	}
	l.at = f.now
	if len(found) < eventStep {
		l.at = f.now + keep
	}
	for _, e := range found {
		if e.at+keep > f.now {
			l.at = e.at + keep
			return nil
		}
		f.round.row = e.row
		if k, known := f.keeps[e.owner>>1]; e.alone && known {
			found := errand{kind: key.kind, row: e.row}
			if due := e.at + k.events; due > f.now {
				found.again = due
			} else if e.row >= f.floor {
				found.again = f.now + relayWait.Microseconds()
			}
			f.round.errands = append(f.round.errands, found)
		}
	}
	return nil
}

func (f *forgetting) lookAtEvent(conn *sqlite.Conn, e *errand) error {
	q := conn.Prep(`SELECT at, owner FROM events WHERE row = ?`)
	q.BindInt64(1, e.row)
	e.again = never
	_, err := first(q, func(q *sqlite.Stmt) {
		k, known := f.keeps[q.ColumnInt64(1)>>1]
		switch due := q.ColumnInt64(0) + k.events; {
		case !known:
		case due <= f.now && e.row >= f.floor:
			e.again = f.now + relayWait.Microseconds()
		case due <= f.now:
			e.again = 0
		default:
			e.again = due
		}
	})
	return err
}

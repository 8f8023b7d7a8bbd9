package sqlite

import (
	"time"

	"zombiezen.com/go/sqlite"
)

const spanRows = 1024 // messages in one span

func (p *span) extend(row, created int64) {
	if p.first == 0 {
		*p = span{row, row, created, created}
		return
	}
	p.last, p.oldest, p.newest = row, min(p.oldest, created), max(p.newest, created)
}

// closeSpan writes the span that is full, in the commit of its last message.
func (t *tx) closeSpan() error {
	p := t.now.tail
	if p.first == 0 || p.last-p.first+1 < spanRows {
		return nil
	}
	b := bind(t.conn.Prep(`INSERT INTO spans (first, last, oldest, newest) VALUES (?,?,?,?)`))
	b.int(p.first)
	b.int(p.last)
	b.int(p.oldest)
	b.int(p.newest)
	t.now.tail = span{}
	return t.exec(b.s)
}

// rowBounds tells between which message rows those created in [after, before) lie.
// Other messages may lie there too. Zero times do not bound. The tail was looked at
// before the connection's snapshot began, so each message is in a span or in it.
func rowBounds(conn *sqlite.Conn, tail span, after, before time.Time) (low, high int64, err error) {
	low, high = 1, never
	if after.IsZero() && before.IsZero() {
		return low, high, nil
	}
	from, to := micros(after), never
	if !before.IsZero() {
		to = micros(before)
	}
	low, high = never, 0
	b := bind(conn.Prep(`SELECT min(first), max(last) FROM spans WHERE newest >= ? AND oldest < ?`))
	b.int(from)
	b.int(to)
	if _, err := first(b.s, func(q *sqlite.Stmt) {
		if !q.ColumnIsNull(0) {
			low, high = q.ColumnInt64(0), q.ColumnInt64(1)
		}
	}); err != nil {
		return 0, 0, err
	}
	if tail.first != 0 && tail.newest >= from && tail.oldest < to {
		low, high = min(low, tail.first), never
	}
	return low, high, nil
}

// tail is the stretch of messages that no span covers yet.
func (s *Store) tail() span {
	s.published.Lock()
	defer s.published.Unlock()
	return s.published.tail
}

package sqlite

import (
	"fmt"
	"unsafe"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// eventChain is the events of one delivery while new ones are hung on. The caller
// writes count and last into the delivery's row.
type eventChain struct {
	message, delivery, owner int64
	sequence                 int64 // of the newest event of the message, of any delivery
	count, last              int64 // of this delivery
}

// addEvent writes one event of a delivery. Its row is its position in the log: there
// is one writer, and it gives rows out in the order in which they commit, so a reader
// that follows positions never misses one that commits late.
func (t *tx) addEvent(c *eventChain, e *mail.Event, detail string) error {
	row := t.now.event
	t.now.event++
	c.sequence++
	b := bind(t.s.event)
	b.int(row)
	b.id(e.ID)
	b.int(c.owner)
	b.text(string(e.Type))
	b.int(micros(e.At))
	b.intOrNull(c.message)
	b.intOrNull(c.delivery)
	b.intOrNull(c.sequence)
	b.intOrNull(c.last)
	b.text(detail)
	if err := t.exec(b.s); err != nil {
		return fmt.Errorf("insert an event: %w", err)
	}
	c.count++
	c.last = row
	t.woke = true
	return nil
}

// addOther writes an event that is about no message.
func (t *tx) addOther(e mail.Event) error {
	c := eventChain{owner: ownerKey(e.Owner), sequence: -1} // 0 is stored as NULL
	return t.addEvent(&c, &e, detailText(&e.Detail))
}

func detailText(d *mail.Detail) string {
	b := appendDetail(make([]byte, 0, 256), d)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// eventColumns is what scanEvent expects, in order.
const eventColumns = `e.row, e.id, e.owner, e.type, e.at, e.message, e.delivery, e.sequence, e.detail`

func scanEvent(q *sqlite.Stmt) (mail.Event, error) {
	detail, err := readDetail(columnBlob(q, 8))
	return mail.Event{
		Position: q.ColumnInt64(0), ID: columnID(q, 1), Owner: ownerOf(q.ColumnInt64(2)),
		Type: mail.EventType(q.ColumnText(3)), At: columnTime(q, 4),
		Message: q.ColumnInt64(5), Delivery: q.ColumnInt64(6), Sequence: q.ColumnInt(7), Detail: detail,
	}, err
}

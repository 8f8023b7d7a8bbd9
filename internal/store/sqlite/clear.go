package sqlite

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/retention"
)

// clearLook bounds the messages one Clear looks at.
const clearLook = 500

// Clear goes over the owner's messages in the order of their rows and removes, in one op as
// short as a step of Forget, those of which nothing is open.
func (s *Store) Clear(ctx context.Context, owner mail.Owner, after int64) (done retention.Step, last int64, err error) {
	var r round
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return snapshot(conn, func(conn *sqlite.Conn) error {
			seen := 0
			b := bind(conn.Prep(`SELECT m.row, EXISTS (SELECT 1 FROM deliveries d WHERE d.row >= m.delivery AND d.row < m.delivery + m.deliveries AND d.status < ?)
				FROM messages m WHERE m.owner = ? AND m.row > ? ORDER BY m.row LIMIT ?`))
			b.int(int64(mail.Delivered)) // those before it are open
			b.int(ownerKey(owner))
			b.int(after)
			b.int(clearLook)
			err := each(b.s, func(q *sqlite.Stmt) error {
				seen++
				if last = q.ColumnInt64(0); !q.ColumnBool(1) {
					r.errands = append(r.errands, errand{kind: forgetMessage, row: last})
				}
				return nil
			})
			if seen < clearLook {
				last = 0
			}
			return err
		})
	})
	if err != nil || len(r.errands) == 0 {
		return done, last, err
	}
	if err := s.write(ctx, r.write); err != nil {
		return done, 0, fmt.Errorf("clear messages: %w", err)
	}
	s.unlink(r.files)
	s.unlinkFiles(r.hosted)
	if r.done < len(r.errands) { // the op's time was over
		last = r.errands[r.done-1].row
	}
	return r.step, last, nil
}

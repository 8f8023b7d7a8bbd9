package sqlite

import (
	"fmt"

	"zombiezen.com/go/sqlite"
)

// statements are the writer's, prepared once: what stands on the path of every
// message. Rarer ones are prepared where they are used (Conn.Prep caches them).
type statements struct {
	message, body, bodyKey, delivery, event, attempt *sqlite.Stmt // inserts
	progress                                         *sqlite.Stmt // of a delivery, before it changes
	begin, requeue, finish                           *sqlite.Stmt // changes of a delivery
	once, remember                                   *sqlite.Stmt
}

func (s *statements) prepare(conn *sqlite.Conn) error {
	for _, p := range []struct {
		to  **sqlite.Stmt
		sql string
	}{
		{&s.message, `INSERT INTO messages (row, id, owner, created_at, delivery, deliveries, rfc_id,
			idempotency_key, supersedes, batch, facts) VALUES (?,?,?,?,?,?,?,?,?,?,?)`},
		{&s.body, `INSERT INTO bodies (message, kind, size, bytes) VALUES (?,?,?,?)`},
		{&s.bodyKey, `INSERT INTO body_keys (message, key) VALUES (?,?)`},
		{&s.delivery, `INSERT INTO deliveries (row, id, message, owner, address, siblings, tier, status, wait, due_at,
			queue, lease_until, token, node, events, last_event, done_at, supersedes, facts, state)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`},
		{&s.event, `INSERT INTO events (row, id, owner, type, at, message, delivery, sequence, previous, detail)
			VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.attempt, `INSERT INTO attempts (row, delivery, previous, facts) VALUES (?,?,?,?)`},
		{&s.progress, `SELECT message, owner, siblings, tier, status, wait, lease_until, token, begun, tries, events,
			last_event, last_attempt, accepted_at, tried_at, due_at, queue IS NOT NULL, stop, address
			FROM deliveries WHERE row = ?`},
		{&s.begin, `UPDATE deliveries SET begun = 1, status = ?, accepted_at = ?, events = ?, last_event = ? WHERE row = ?`},
		{&s.requeue, `UPDATE deliveries SET status = ?, wait = ?, due_at = ?, queue = ?, lease_until = NULL, begun = 0,
			tries = ?, events = ?, last_event = ?, last_attempt = ?, tried_at = ?, state = coalesce(?, state) WHERE row = ?`},
		{&s.finish, `UPDATE deliveries SET status = ?, wait = 0, queue = NULL, lease_until = NULL, token = NULL, begun = 0,
			tries = ?, events = ?, last_event = ?, last_attempt = ?, tried_at = ?, done_at = ?, supersedes = NULL,
			stop = NULL, state = coalesce(?, state) WHERE row = ?`},
		{&s.once, `SELECT fingerprint, status, location, body, request_id, expires_at FROM idempotency
			WHERE owner = ? AND route = ? AND key = ?`},
		{&s.remember, `INSERT OR REPLACE INTO idempotency (owner, route, key, fingerprint, status, location, body,
			request_id, expires_at) VALUES (?,?,?,?,?,?,?,?,?)`},
	} {
		stmt, err := conn.Prepare(p.sql)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.sql, err)
		}
		*p.to = stmt
	}
	return nil
}

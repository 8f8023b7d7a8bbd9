package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// Every write that takes an idempotency key goes through once and remember, so the
// key's row commits with what it guards, and the twin finds it: within the same
// transaction too, as ops run one after another.

// once tells what the key's first request was told, nil when the key is new. A row
// that has expired counts as absent.
func (t *tx) once(o *mail.Once) (*mail.Answer, error) {
	if o == nil {
		return nil, nil
	}
	return remembered(t.s.once, o.Owner, o.Route, o.Key, o.Created)
}

// remember keeps the answer under the key, over a row that has expired.
func (t *tx) remember(o *mail.Once, a mail.Answer) error {
	if o == nil {
		return nil
	}
	b := bind(t.s.remember)
	b.int(ownerKey(o.Owner))
	b.text(o.Route)
	b.text(o.Key)
	b.bytes(o.Fingerprint[:])
	b.int(int64(a.Status))
	b.text(a.Location)
	b.bytes(a.Body)
	b.text(o.RequestID)
	b.int(micros(o.Expires))
	return t.exec(b.s)
}

func remembered(q *sqlite.Stmt, owner mail.Owner, route, key string, now time.Time) (*mail.Answer, error) {
	b := bind(q)
	b.int(ownerKey(owner))
	b.text(route)
	b.text(key)
	var a mail.Answer
	found, err := first(q, func(q *sqlite.Stmt) {
		q.ColumnBytes(0, a.Fingerprint[:])
		a.Status, a.Location, a.Body = q.ColumnInt(1), q.ColumnText(2), columnBlob(q, 3)
		a.RequestID, a.Expires = q.ColumnText(4), columnTime(q, 5)
	})
	if err != nil || !found || !a.Expires.After(now) {
		return nil, err
	}
	return &a, nil
}

// Remembered looks a key up without writing.
func (s *Store) Remembered(ctx context.Context, owner mail.Owner, route, key string, now time.Time) (mail.Answer, error) {
	var got *mail.Answer
	err := s.read(ctx, func(conn *sqlite.Conn) (err error) {
		got, err = remembered(conn.Prep(`SELECT fingerprint, status, location, body, request_id, expires_at FROM idempotency
			WHERE owner = ? AND route = ? AND key = ?`), owner, route, key, now)
		return err
	})
	if err != nil {
		return mail.Answer{}, err
	}
	if got == nil {
		return mail.Answer{}, mail.ErrNotFound
	}
	return *got, nil
}

const (
	sweepEvery = time.Hour
	sweepPause = 100 * time.Millisecond
	sweepStep  = 500 // keys looked at in one step
)

type onceKey struct {
	owner      int64
	route, key string
}

// sweepKeys removes expired keys now and then, in small steps: it looks with a reading
// connection and writes only where something has expired, so that no index on the
// expiry is paid for by every message.
func (s *Store) sweepKeys(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := s.sweepKeysOnce(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Warn("remove expired idempotency keys", "error", err)
			}
		}
	}
}

func (s *Store) sweepKeysOnce(ctx context.Context, now time.Time) error {
	var at onceKey
	at.owner = -1
	for {
		expired, next, more, err := s.expiredKeys(ctx, at, now)
		if err != nil {
			return err
		}
		if len(expired) > 0 {
			if err := s.write(ctx, func(t *tx) error { return t.forget(expired, now) }); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		at = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sweepPause):
		}
	}
}

func (s *Store) expiredKeys(ctx context.Context, after onceKey, now time.Time) (expired []onceKey, last onceKey, more bool, err error) {
	seen := 0
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT owner, route, key, expires_at FROM idempotency
			WHERE (owner, route, key) > (?, ?, ?) ORDER BY owner, route, key LIMIT ?`))
		b.int(after.owner)
		b.text(after.route)
		b.text(after.key)
		b.int(sweepStep)
		return each(b.s, func(q *sqlite.Stmt) error {
			seen++
			last = onceKey{q.ColumnInt64(0), q.ColumnText(1), q.ColumnText(2)}
			if q.ColumnInt64(3) <= micros(now) {
				expired = append(expired, last)
			}
			return nil
		})
	})
	return expired, last, seen == sweepStep, err
}

func (t *tx) forget(keys []onceKey, now time.Time) error {
	for _, k := range keys {
		b := bind(t.conn.Prep(`DELETE FROM idempotency WHERE owner = ? AND route = ? AND key = ? AND expires_at <= ?`))
		b.int(k.owner)
		b.text(k.route)
		b.text(k.key)
		b.int(micros(now))
		if err := t.exec(b.s); err != nil {
			return err
		}
	}
	return nil
}

// unused is for writes whose replay is an error: a used key is [mail.Replayed].
func (t *tx) unused(once *mail.Once) error {
	before, err := t.once(once)
	if err == nil && before != nil {
		err = &mail.Replayed{Answer: *before}
	}
	return err
}

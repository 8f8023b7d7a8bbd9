package sqlite

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// healthReach is how many messages of all domains, and how many recipients, are looked
// at for each message of the domain that may be.
const healthReach = 10

// HealthOfDomain walks the owner's newest messages by the index of owners, then reads
// the deliveries of those that are of the domain: three statements, whatever is there.
func (s *Store) HealthOfDomain(ctx context.Context, owner int64, domain string, since time.Time, limit int) (t project.Traffic, err error) {
	tail := s.tail()
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		low, _, err := rowBounds(conn, tail, since, time.Time{})
		if err != nil {
			return err
		}
		w := healthWalk{since: micros(since), limit: int64(limit), oldest: math.MaxInt64}
		if err := w.run(conn, ownerKey(mail.Owner{Project: owner, Env: mail.Live}), low, domain); err != nil {
			return err
		}
		t = project.Traffic{Messages: w.messages, Cut: w.cut, Statuses: map[mail.Status]int64{}, Bounces: map[mail.Class]int64{},
			Selectors: map[string]int64{}, ReturnPaths: map[string]int64{}}
		if w.oldest != math.MaxInt64 {
			t.Oldest = fromMicros(w.oldest)
		}
		return countTraffic(conn, &t, w.spans)
	})
	return t, err
}

// healthWalk gathers the rows of a domain's deliveries.
type healthWalk struct {
	since, limit int64

	looked, messages, recipients int64
	oldest                       int64
	cut                          bool
	spans                        []byte // JSON: [first, end] …
}

var errEnough = errors.New("enough was read")

func (w *healthWalk) run(conn *sqlite.Conn, owner, low int64, domain string) error {
	b := bind(conn.Prep(`SELECT m.created_at, m.delivery, m.deliveries,
		instr(m.facts, ? || '"') > 0 AND substr(m.facts ->> 'from', -length(?)) = ? FROM messages m INDEXED BY messages_of_owner
		WHERE m.owner = ? AND m.row >= ? ORDER BY m.row DESC`))
	at := "@" + domain
	b.text(at)
	b.text(at)
	b.text(at)
	b.int(owner)
	b.int(low)
	err := each(b.s, w.look)
	if errors.Is(err, errEnough) {
		w.cut, err = true, nil
	}
	return err
}

// look takes one message, or says that a bound is reached before it.
func (w *healthWalk) look(q *sqlite.Stmt) error {
	created, first, count := q.ColumnInt64(0), q.ColumnInt64(1), q.ColumnInt64(2)
	if w.looked == healthReach*w.limit {
		return errEnough
	}
	w.looked++
	if created < w.since { // clocks go back: newer ones may follow, as far as the spans say
		return nil
	}
	if q.ColumnBool(3) {
		if w.messages == w.limit || w.messages > 0 && w.recipients+count > healthReach*w.limit {
			return errEnough
		}
		w.messages++
		w.recipients += count
		if len(w.spans) > 0 {
			w.spans = append(w.spans, ',')
		}
		w.spans = append(w.spans, '[')
		w.spans = strconv.AppendInt(w.spans, first, 10)
		w.spans = append(w.spans, ',')
		w.spans = strconv.AppendInt(w.spans, first+count, 10)
		w.spans = append(w.spans, ']')
	}
	w.oldest = min(w.oldest, created)
	return nil
}

// mailFrom is how the command begins as a transcript's line stands in JSON. What a site
// said has a code, and its quotation marks are escaped: it cannot look like this.
const mailFrom = `,0,"MAIL FROM:<`

// countTraffic counts deliveries by their status, and those a site took by what their
// last attempt recorded.
func countTraffic(conn *sqlite.Conn, t *project.Traffic, spans []byte) error {
	if len(spans) == 0 {
		return nil
	}
	q := conn.Prep(`SELECT d.status, d.state ->> '$.bounce.class', coalesce(a.facts ->> '$.outcome', 0), a.facts ->> '$.signed',
		a.facts -> '$.tls' IS NOT NULL, coalesce(a.facts ->> '$.tls.verified', 0),
		iif(instr(a.facts, ?2) > 0, substr(a.facts, instr(a.facts, ?2) + length(?2), 600), '')
		FROM json_each(?1) span CROSS JOIN deliveries d ON d.row >= span.value ->> 0 AND d.row < span.value ->> 1
		LEFT JOIN attempts a ON a.row = d.last_attempt`)
	q.BindText(1, "["+string(spans)+"]")
	q.BindText(2, mailFrom)
	return each(q, func(q *sqlite.Stmt) error {
		status := mail.Status(q.ColumnInt64(0))
		t.Recipients++
		t.Statuses[status]++
		if status == mail.Bounced {
			class := mail.Class(q.ColumnText(1))
			if class == mail.ClassNone {
				class = mail.ClassOther
			}
			t.Bounces[class]++
		}
		if mail.Outcome(q.ColumnInt64(2)) != mail.OutcomeDelivered {
			return nil
		}
		return countTaken(q, t)
	})
}

func countTaken(q *sqlite.Stmt, t *project.Traffic) error {
	t.Taken++
	var selectors []string
	if err := read("the selectors of an attempt", columnBlob(q, 3), &selectors); err != nil {
		return err
	}
	if len(selectors) > 0 {
		t.Signed++
	}
	for _, s := range selectors {
		t.Selectors[s]++
	}
	if q.ColumnBool(4) {
		t.Encrypted++
		if q.ColumnBool(5) {
			t.Verified++
		}
	}
	sender, _, whole := strings.Cut(q.ColumnText(6), ">")
	if whole {
		t.ReturnPaths[mail.Address{Email: sender}.Domain()]++
	}
	return nil
}

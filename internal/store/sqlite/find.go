package sqlite

import (
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

// find is a query for messages being put together.
type find struct {
	where
	from  string
	order string
	limit int64
	none  bool // nothing can match
}

func newFind(conn *sqlite.Conn, tail span, q *archive.Query) (*find, error) {
	f := &find{order: orderBy("m.row", q.Ascending), limit: limitOf(q.Limit)}
	low, high, err := rowBounds(conn, tail, q.CreatedAfter, q.CreatedBefore)
	if err != nil {
		return nil, err
	}
	f.none = low > high
	f.drive(q)
	f.add("m.owner = ?", ownerKey(q.Owner))
	if low > 1 {
		f.add("m.row >= ?", low)
	}
	if high < never {
		f.add("m.row <= ?", high)
	}
	f.after("m.row", q.After, q.Ascending)
	f.columns(q)
	f.facts(q)
	f.deliveries(q)
	return f, nil
}

// drive chooses the index that leads. Deliveries' rows ascend with their messages', so
// an index that ends in the delivery's row gives messages in order and the page stops
// where it is full. Where several stretches of an index are asked for (statuses, the
// beginning of an address) their messages are gathered first.
func (f *find) drive(q *archive.Query) {
	const gathered = ` hit CROSS JOIN messages m ON m.row = hit.message`
	prefix, isPrefix := strings.CutSuffix(q.Recipient, "*")
	switch {
	case q.Recipient != "" && !strings.Contains(q.Recipient, "*"):
		f.from = `deliveries hit INDEXED BY deliveries_of_recipient CROSS JOIN messages m ON m.row = hit.message`
		f.add("hit.owner = ? AND hit.address = ?", ownerKey(q.Owner), q.Recipient)
		f.follow(q)
		f.oncePerMessage("x.address = hit.address")
	case isPrefix && len(prefix) >= prefixLeast && !strings.Contains(prefix, "*"):
		f.from = `(SELECT DISTINCT message FROM deliveries INDEXED BY deliveries_of_recipient
			WHERE owner = ? AND address >= ? AND address < ?)` + gathered
		f.args = append(f.args, ownerKey(q.Owner), prefix, prefix+"\U0010FFFF")
	case len(q.Statuses) == 1 && rare(q.Statuses):
		f.from = `deliveries hit INDEXED BY deliveries_by_status CROSS JOIN messages m ON m.row = hit.message`
		f.add("hit.owner = ? AND hit.status = ? AND "+rareStatus("hit."), ownerKey(q.Owner), int64(q.Statuses[0]))
		f.follow(q)
		f.oncePerMessage("x.status = hit.status")
	case len(q.Statuses) > 1 && rare(q.Statuses):
		f.from = `(SELECT DISTINCT message FROM deliveries INDEXED BY deliveries_by_status
			WHERE owner = ? AND status IN (` + statusList(q.Statuses) + `) AND ` + rareStatus("") + `)` + gathered
		f.args = append(f.args, ownerKey(q.Owner))
	default:
		f.from = `messages m`
	}
}

const prefixLeast = 3 // shorter beginnings match so much that the time order finds them sooner

// follow keeps a leading index in its own order, and starts it where the page begins.
func (f *find) follow(q *archive.Query) {
	f.order = orderBy("hit.row", q.Ascending)
	switch {
	case q.After == 0:
	case q.Ascending:
		f.add("hit.row >= coalesce((SELECT delivery + deliveries FROM messages WHERE row = ?), 0)", q.After)
	default:
		f.add("hit.row < coalesce((SELECT delivery FROM messages WHERE row = ?), ?)", q.After, never)
	}
}

// oncePerMessage leaves out hits whose message had one before.
func (f *find) oncePerMessage(same string) {
	f.add("(m.deliveries = 1 OR NOT EXISTS (SELECT 1 FROM deliveries x WHERE x.row >= m.delivery AND x.row < hit.row AND " + same + "))")
}

// rareStatus is the condition of the index of statuses, as the planner wants it said.
func rareStatus(of string) string {
	return of + "status <> 2 AND " + of + "status <> 3 AND " + of + "status <> 6"
}

// rare tells whether the index of statuses has them all.
func rare(statuses []mail.Status) bool {
	for _, s := range statuses {
		if s == mail.Queued || s == mail.Accepted || s == mail.Delivered {
			return false
		}
	}
	return true
}

func statusList(statuses []mail.Status) string {
	var b []byte
	for i, s := range statuses {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(s), 10)
	}
	return string(b)
}

// columns are the filters on a message's own columns.
func (f *find) columns(q *archive.Query) {
	if !q.CreatedAfter.IsZero() {
		f.add("m.created_at >= ?", micros(q.CreatedAfter))
	}
	if !q.CreatedBefore.IsZero() {
		f.add("m.created_at < ?", micros(q.CreatedBefore))
	}
	if q.Idempotency != "" {
		f.add("m.idempotency_key = ?", q.Idempotency)
	}
	if q.Supersedes != "" {
		f.add("m.supersedes = ?", q.Supersedes)
	}
	if !q.Batch.IsZero() {
		f.add("m.batch = ?", q.Batch[:])
	}
	if q.RFCID != "" {
		rfcID := strings.TrimSuffix(strings.TrimPrefix(q.RFCID, "<"), ">")
		if id, ok := idOfRFCID(rfcID); ok {
			f.add("(m.rfc_id = ? OR m.rfc_id IS NULL AND m.id = ? AND m.facts ->> 'from' LIKE '%@' || ?)",
				rfcID, id[:], rfcID[37:])
		} else {
			f.add("m.rfc_id = ?", rfcID)
		}
	}
}

// part asks for a piece of a text, whatever the case of its ASCII letters.
func (w *where) part(column, piece string) {
	if piece != "" {
		w.add("instr(lower("+column+"), ?) > 0", lowerASCII(piece))
	}
}

// facts are the filters on what stands in JSON: first a look for the value's text
// anywhere in it, which is cheap, then the exact question.
func (f *find) facts(q *archive.Query) {
	member := func(name, value string) {
		if value != "" {
			f.add("instr(m.facts, ?) > 0 AND m.facts ->> ? = ?", quoted(value), "$."+name, value)
		}
	}
	member("from", q.From)
	member("subject", q.Subject)
	member("topic", q.Topic)
	if id, err := mail.ParseID(mail.PrefixTemplate, q.Template); err == nil {
		member("template", id.UUID())
	} else {
		member("template_alias", q.Template)
	}
	member("key", q.KeyID)
	f.part("m.facts ->> '$.from'", q.FromPart)
	f.part("m.facts ->> '$.subject'", q.SubjectPart)
	if q.Tag != "" {
		f.add("instr(m.facts, ?) > 0 AND EXISTS (SELECT 1 FROM json_each(m.facts, '$.tags') WHERE value = ?)", quoted(q.Tag), q.Tag)
	}
	if q.Tier != nil {
		f.add("coalesce(m.facts ->> '$.tier', 0) = ?", int64(*q.Tier))
	}
	for name, value := range q.Metadata {
		f.add("instr(m.facts, ?) > 0 AND EXISTS (SELECT 1 FROM json_each(m.facts, '$.metadata') WHERE key = ? AND value = ?)",
			quoted(name)+":"+quoted(value), name, value)
	}
}

// quoted is a text as it stands in JSON that we wrote.
func quoted(v string) string {
	var o object
	o.quote(v)
	return string(o.b)
}

// deliveries are the filters that one of the message's deliveries must meet, all of them.
func (f *find) deliveries(q *archive.Query) {
	var d where
	if len(q.Statuses) > 0 {
		d.add("d.status IN (" + statusList(q.Statuses) + ")")
	}
	if q.Exhausted != nil {
		is := "<>"
		if *q.Exhausted {
			is = "="
		}
		d.add("(d.status <> ? OR coalesce(d.state ->> '$.bounce.reason', '') "+is+" 'retries_exhausted')", int64(mail.Bounced))
	}
	if q.RecipientPart != "" {
		d.add("instr(d.address, ?) > 0", mail.FoldAddress(q.RecipientPart))
	}
	switch r := q.Recipient; {
	case r == "":
	case strings.HasPrefix(r, "*"):
		d.add("substr(d.address, -length(?)) = ?", r[1:], r[1:])
	case strings.HasSuffix(r, "*"):
		d.add("substr(d.address, 1, length(?)) = ?", strings.TrimSuffix(r, "*"), strings.TrimSuffix(r, "*"))
	default:
		d.add("d.address = ?", r)
	}
	if q.Domain != "" {
		d.add("substr(d.address, -length(?)) = ?", "@"+q.Domain, "@"+q.Domain)
	}
	if q.Site != "" {
		d.add("coalesce(a.facts ->> '$.site', (SELECT e.detail ->> '$.site' FROM events e WHERE e.row = d.last_event)) = ?", q.Site)
	}
	if q.Class != "" {
		d.add("instr(a.facts, ?) > 0 AND a.facts ->> '$.class' = ?", quoted(string(q.Class)), string(q.Class))
	}
	if q.SMTPCode != 0 {
		d.add("a.facts ->> '$.reply.code' = ?", int64(q.SMTPCode))
	}
	if len(d.parts) == 0 {
		return
	}
	join := ""
	if q.Site != "" || q.Class != "" || q.SMTPCode != 0 {
		join = " LEFT JOIN attempts a ON a.row = d.last_attempt"
	}
	f.add("EXISTS (SELECT 1 FROM deliveries d"+join+" WHERE d.row >= m.delivery AND d.row < m.delivery + m.deliveries AND "+
		strings.Join(d.parts, " AND ")+")", d.args...)
}

func (f *find) run(conn *sqlite.Conn) ([]recordRow, error) {
	if f.none {
		return nil, nil
	}
	stmt, err := f.prepare(conn, `SELECT `+recordColumns+` FROM `+f.from, f.order, f.limit)
	if err != nil {
		return nil, err
	}
	defer stmt.Finalize()
	return scanRecords(stmt)
}

package sqlite

import (
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// deliveries goes on with the deliveries to the address, and tells when to go on. Those on
// the wire are waited for: what their attempt will record is to be erased too. When all
// others are done, they are looked at again.
func (w *eraseStep) deliveries(t *tx, e *erasure) (due time.Time, err error) {
	rows, err := e.rows(t)
	if err != nil {
		return due, err
	}
	began := time.Now()
	for i, row := range rows {
		if i > 0 && time.Since(began) > forgetTime {
			return w.now, nil
		}
		if err := w.delivery(t, e, row); err != nil {
			return due, err
		}
		e.facts.After = row
	}
	switch f := &e.facts; {
	case len(rows) == eraseRows:
	case f.Env == 0:
		f.Env, f.After = 1, 0
	case f.Wire > 0:
		f.Env, f.After, f.Counts.OnTheWire, f.Wire = 0, 0, f.Wire, 0
		return w.now.Add(eraseAgain), nil
	default:
		f.Part, f.After, f.Counts.OnTheWire = eraseEvents, 0, 0
	}
	return w.now, nil
}

func (e *erasure) rows(t *tx) (rows []int64, err error) {
	b := bind(t.conn.Prep(`SELECT row FROM deliveries INDEXED BY deliveries_of_recipient
		WHERE owner = ? AND address = ? AND row > ? AND row < ? ORDER BY row LIMIT ?`))
	b.int(e.owner())
	b.text(e.Address)
	b.int(e.facts.After)
	b.int(e.facts.Deliveries)
	b.int(eraseRows)
	err = each(b.s, func(q *sqlite.Stmt) error {
		rows = append(rows, q.ColumnInt64(0))
		return nil
	})
	return rows, err
}

// delivery makes one delivery anonymous, with what its message tells of the recipient.
func (w *eraseStep) delivery(t *tx, e *erasure, row int64) error {
	p, found, err := t.progress(row, true)
	if err != nil || !found {
		return err
	}
	if !p.status.Final() {
		did, err := t.stopDelivery(&p, stopOrder{Reason: "erased", By: e.By}, w.now)
		if err != nil {
			return err
		}
		if did != ended {
			e.facts.Wire++
			return nil
		}
		e.facts.Counts.Cancelled++
	}
	e.facts.Counts.Deliveries++
	w.step.Erased++
	d, err := t.readErased(row)
	if err != nil {
		return err
	}
	mask := newMask(e.Token, e.Address, d.written)
	if err := d.anonymise(t, e.Token); err != nil {
		return err
	}
	if err := t.eraseTriesOf(e.owner(), d.event); err != nil {
		return err
	}
	return w.message(t, e, p.message, row, mask)
}

// erasedDelivery is a delivery's row as far as it tells of the recipient.
type erasedDelivery struct {
	row, event, attempt int64
	address, written    string
	kind                mail.RecipientType
	state               []byte
}

func (t *tx) readErased(row int64) (d erasedDelivery, err error) {
	q := t.conn.Prep(`SELECT last_event, last_attempt, address, facts, state FROM deliveries WHERE row = ?`)
	q.BindInt64(1, row)
	var facts []byte
	if _, err := first(q, func(q *sqlite.Stmt) {
		d = erasedDelivery{row: row, event: q.ColumnInt64(0), attempt: q.ColumnInt64(1), address: q.ColumnText(2), state: columnBlob(q, 4)}
		facts = columnBlob(q, 3)
	}); err != nil {
		return d, err
	}
	var f deliveryFacts
	err = read("delivery facts", facts, &f)
	d.kind, d.written = f.Type, f.Written
	return d, err
}

// anonymise rewrites the delivery with its events and attempts. What is left counts and
// tells no more: times, statuses, codes, classes.
func (d *erasedDelivery) anonymise(t *tx, token string) error {
	domain := mail.Address{Email: d.address}.Domain()
	if err := t.rewriteChain(`SELECT previous, detail FROM events WHERE row = ?`, `UPDATE events SET detail = ? WHERE row = ?`, d.event,
		func(text []byte) (string, error) { return anonymousDetail(text, domain) }); err != nil {
		return err
	}
	if err := t.rewriteChain(`SELECT previous, facts FROM attempts WHERE row = ?`, `UPDATE attempts SET facts = ? WHERE row = ?`, d.attempt,
		func(text []byte) (string, error) { return anonymousAttempt(text, domain) }); err != nil {
		return err
	}
	s, err := readState(d.state)
	if err != nil {
		return err
	}
	s.Site = publicSite(s.Site, domain)
	anonymousBounce(s.Bounce)
	unlinked(s.Suppression)
	state := ""
	if d.state != nil {
		state = string(appendState(nil, &s))
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET address = ?, facts = ?, state = ?, supersedes = NULL WHERE row = ?`))
	b.text(token)
	b.textOrNull(string(appendDeliveryFacts(nil, &mail.Delivery{Type: d.kind, Address: token}, token)))
	b.textOrNull(state)
	b.int(d.row)
	return t.exec(b.s)
}

// rewriteChain gives each text of a chain to change.
func (t *tx) rewriteChain(get, set string, row int64, change func([]byte) (string, error)) error {
	for row != 0 {
		q := t.conn.Prep(get)
		q.BindInt64(1, row)
		var previous int64
		var text []byte
		if _, err := first(q, func(q *sqlite.Stmt) { previous, text = q.ColumnInt64(0), columnBlob(q, 1) }); err != nil {
			return err
		}
		now, err := change(text)
		if err != nil {
			return err
		}
		if now != string(text) {
			b := bind(t.conn.Prep(set))
			b.text(now)
			b.int(row)
			if err := t.exec(b.s); err != nil {
				return err
			}
		}
		row = previous
	}
	return nil
}

// anonymousDetail keeps what is named here, so that whatever events will tell some day is
// left out until somebody has thought about it.
func anonymousDetail(text []byte, domain string) (string, error) {
	d, err := readDetail(text)
	if err != nil {
		return "", err
	}
	kept := mail.Detail{
		Previous: d.Previous, Via: d.Via, KeyID: d.KeyID, AcceptMS: d.AcceptMS, ScheduledTime: d.ScheduledTime, Site: publicSite(d.Site, domain),
		Pool: d.Pool, Attempt: d.Attempt, AttemptID: d.AttemptID, Source: d.Source, TLS: d.TLS, Reply: d.Reply, Class: d.Class,
		NextAttemptAt: d.NextAttemptAt, AttemptsLeft: d.AttemptsLeft, DeliveryMS: d.DeliveryMS, Bounce: d.Bounce, Suppression: d.Suppression,
		Reason: d.Reason, By: d.By, SupersededBy: d.SupersededBy, FeedbackType: d.FeedbackType, Report: d.Report, Method: d.Method, Topic: d.Topic, Machine: d.Machine,
	}
	if kept.Reply != nil {
		kept.Reply.Text = ""
	}
	anonymousTLS(kept.TLS)
	anonymousBounce(kept.Bounce)
	unlinked(kept.Suppression)
	return detailText(&kept), nil
}

func anonymousAttempt(text []byte, domain string) (string, error) {
	a, err := readAttempt(text)
	if err != nil {
		return "", err
	}
	a.Reply.Text, a.MX, a.Host, a.IP, a.Transcript = "", nil, "", "", nil
	anonymousTLS(a.TLS)
	return string(appendAttempt(nil, &a, publicSite(a.Site, domain))), nil
}

// anonymousTLS: an error names the host.
func anonymousTLS(t *mail.TLSFacts) {
	if t != nil {
		t.Error = ""
	}
}

func anonymousBounce(b *mail.Bounce) {
	if b != nil && b.Reply != nil {
		b.Reply.Text = ""
	}
	if b != nil && b.Report != nil {
		b.Report.Diagnostic = ""
	}
}

// unlinked leaves out which entry of the list it was: that one has the address.
func unlinked(s *mail.SuppressedBy) {
	if s != nil {
		s.ID, s.Public = mail.ID{}, ""
	}
}

// publicSite leaves out a site that is the recipient's own.
func publicSite(site, domain string) string {
	if site == "" || strings.HasSuffix(domain, site) || strings.Contains(site, domain) {
		return ""
	}
	return site
}

// message empties the message, takes the address out of what its other recipients' rows
// tell, and removes the content; where that is still needed for somebody else, as soon as it
// is not.
func (w *eraseStep) message(t *tx, e *erasure, message, row int64, mask mask) error {
	q := t.conn.Prep(`SELECT ` + messageColumns + ` FROM messages m WHERE m.row = ?`)
	q.BindInt64(1, message)
	var r messageRow
	if _, err := first(q, func(q *sqlite.Stmt) { r = scanMessage(q) }); err != nil {
		return err
	}
	m, err := r.decode()
	if err != nil {
		return err
	}
	if !m.Erased {
		e.facts.Counts.Messages++
	}
	for sibling := r.first; sibling < r.first+r.count; sibling++ {
		if sibling == row {
			continue
		}
		if err := t.maskDelivery(sibling, &mask); err != nil {
			return err
		}
	}
	if err := firstError(t.removeReports(message), w.content(t, e, &r, m)); err != nil {
		return err
	}
	return t.emptyMessage(m, message, &mask)
}

// maskDelivery takes the address out of another recipient's rows: replies and transcripts of
// a shared conversation name it.
func (t *tx) maskDelivery(row int64, mask *mask) error {
	d, err := t.readErased(row)
	if err != nil {
		return err
	}
	masked := func(text []byte) (string, error) {
		out, _ := mask.over(string(text))
		return out, nil
	}
	if err := t.rewriteChain(`SELECT previous, detail FROM events WHERE row = ?`, `UPDATE events SET detail = ? WHERE row = ?`, d.event, masked); err != nil {
		return err
	}
	if err := t.rewriteChain(`SELECT previous, facts FROM attempts WHERE row = ?`, `UPDATE attempts SET facts = ? WHERE row = ?`, d.attempt, masked); err != nil {
		return err
	}
	state, found := mask.over(string(d.state))
	if !found {
		return nil
	}
	b := bind(t.conn.Prep(`UPDATE deliveries SET state = ? WHERE row = ?`))
	b.text(state)
	b.int(row)
	return t.exec(b.s)
}

func (w *eraseStep) content(t *tx, e *erasure, r *messageRow, m *mail.Message) error {
	names, err := t.forgetFiles(filesOfMessage, r.row) // at once: whoever has the link could read on
	if err != nil {
		return err
	}
	w.hosted = append(w.hosted, names...)
	state, err := readProgressOf(t.conn, r.first, r.count)
	if err != nil {
		return err
	}
	if state.open {
		atOnce := int64(0)
		m.ContentSeconds = &atOnce
		return t.revisit(micros(w.now), forgetContent, r.row)
	}
	file, _, found, err := t.deleteBody(r.row)
	if err != nil || !found {
		return err
	}
	e.facts.Counts.Contents++
	w.step.Contents++
	if file != "" {
		w.files = append(w.files, file)
	}
	return nil
}

// emptyMessage leaves of a message what counts: sender, sizes, labels, times.
func (t *tx) emptyMessage(m *mail.Message, row int64, mask *mask) error {
	m.Erased, m.Subject, m.ReplyTo, m.Headers, m.Metadata = true, "", nil, nil, nil
	m.Tags = slices.DeleteFunc(m.Tags, func(tag string) bool {
		_, named := mask.over(tag)
		return named
	})
	for i, a := range m.Attachments {
		m.Attachments[i] = mail.Attachment{ContentType: a.ContentType, Inline: a.Inline, Size: a.Size}
	}
	rfcID := ""
	if _, named := mask.over(m.RFCID); !named && !isDerivedRFCID(m) {
		rfcID = m.RFCID
	}
	b := bind(t.conn.Prep(`UPDATE messages SET facts = ?, rfc_id = ?, idempotency_key = NULL, supersedes = NULL WHERE row = ?`))
	b.text(string(appendMessageFacts(nil, m)))
	b.textOrNull(rfcID)
	b.int(row)
	return t.exec(b.s)
}

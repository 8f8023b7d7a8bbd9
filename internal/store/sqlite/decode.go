package sqlite

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
)

// read decodes a JSON column; what names it in the error.
func read(what string, text []byte, into any) error {
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// uuid is a mail.ID as its UUID in JSON.
type uuid mail.ID

func (u *uuid) UnmarshalText(text []byte) error {
	var plain [32]byte
	n := 0
	for _, c := range text {
		if c != '-' && n < len(plain) {
			plain[n] = c
			n++
		}
	}
	if _, err := hex.Decode(u[:], plain[:n]); err != nil || n != len(plain) {
		return mail.ErrBadID
	}
	return nil
}

func (u uuid) MarshalText() ([]byte, error) { return appendUUID(nil, mail.ID(u)), nil }

type address struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type attachment struct {
	Filename  string `json:"filename"`
	Type      string `json:"type"`
	ContentID string `json:"content_id"`
	Inline    bool   `json:"inline"`
	Hosted    uuid   `json:"hosted"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// messageFacts is messages.facts.
type messageFacts struct {
	From            string            `json:"from"`
	FromName        string            `json:"from_name"`
	ReplyTo         []address         `json:"reply_to"`
	Subject         string            `json:"subject"`
	Headers         []header          `json:"headers"`
	Attachments     []attachment      `json:"attachments"`
	Size            int64             `json:"size"`
	Tier            mail.Tier         `json:"tier"`
	Stamp           string            `json:"stamp"`
	Topic           string            `json:"topic"`
	Bypass          bool              `json:"bypass"`
	Tags            []string          `json:"tags"`
	Metadata        map[string]string `json:"metadata"`
	Template        uuid              `json:"template"`
	TemplateAlias   string            `json:"template_alias"`
	TemplateVersion int               `json:"template_version"`
	Key             string            `json:"key"`
	Via             string            `json:"via"`
	ResentFrom      uuid              `json:"resent_from"`
	ScheduledAt     int64             `json:"scheduled_at"`
	ExpiresAt       int64             `json:"expires_at"`
	AcceptMicros    int64             `json:"accept_us"`
	ContentSeconds  *int64            `json:"content_seconds"`
	Erased          bool              `json:"erased"`
}

// messageColumns is what readMessage expects, in order.
const messageColumns = `m.row, m.id, m.owner, m.created_at, m.delivery, m.deliveries, m.rfc_id, m.idempotency_key,
	m.supersedes, m.superseded_by, m.batch, m.facts`

// messageRow is a message as it stands in its row.
type messageRow struct {
	row, first, count int64
	message           mail.Message
	facts             []byte
}

func scanMessage(s *sqlite.Stmt) messageRow {
	return messageRow{
		row: s.ColumnInt64(0), first: s.ColumnInt64(4), count: s.ColumnInt64(5),
		message: mail.Message{
			ID: columnID(s, 1), Row: s.ColumnInt64(0), Owner: ownerOf(s.ColumnInt64(2)), CreatedAt: columnTime(s, 3),
			RFCID: s.ColumnText(6), IdempotencyKey: s.ColumnText(7), Supersedes: s.ColumnText(8),
			SupersededBy: columnID(s, 9), Batch: columnID(s, 10),
		},
		facts: columnBlob(s, 11),
	}
}

// decode fills in the facts. It needs no connection, so it is done after the row was read.
func (r *messageRow) decode() (*mail.Message, error) {
	var f messageFacts
	if err := read("message facts", r.facts, &f); err != nil {
		return nil, err
	}
	m := &r.message
	m.From = mail.Address{Name: f.FromName, Email: f.From}
	for _, a := range f.ReplyTo {
		m.ReplyTo = append(m.ReplyTo, mail.Address{Name: a.Name, Email: a.Email})
	}
	for _, h := range f.Headers {
		m.Headers = append(m.Headers, mail.Header{Name: h.Name, Value: h.Value})
	}
	for _, a := range f.Attachments {
		out := mail.Attachment{Filename: a.Filename, ContentType: a.Type, ContentID: a.ContentID, Inline: a.Inline, Size: a.Size, Hosted: mail.ID(a.Hosted)}
		_, _ = hex.Decode(out.SHA256[:], []byte(a.SHA256))
		m.Attachments = append(m.Attachments, out)
	}
	if m.RFCID == "" {
		m.RFCID = derivedRFCID(m)
	}
	m.Subject, m.Size, m.Tier, m.Topic, m.Tags, m.Metadata = f.Subject, f.Size, f.Tier, f.Topic, f.Tags, f.Metadata
	m.Template = mail.TemplateRef{ID: mail.ID(f.Template), Alias: f.TemplateAlias, Version: f.TemplateVersion}
	m.Stamp, m.Bypass = f.Stamp, f.Bypass
	m.KeyID, m.Via, m.ResentFrom = f.Key, f.Via, mail.ID(f.ResentFrom)
	m.ScheduledAt, m.ExpiresAt = fromMicros(f.ScheduledAt), fromMicros(f.ExpiresAt)
	m.AcceptTime = time.Duration(f.AcceptMicros) * time.Microsecond
	m.ContentSeconds, m.Erased = f.ContentSeconds, f.Erased
	return m, nil
}

// derivedRFCID is the Message-ID most messages have; then it is not stored.
func derivedRFCID(m *mail.Message) string {
	b := make([]byte, 0, 64)
	b = append(appendUUID(b, m.ID), '@')
	return string(append(b, m.SendingDomain()...))
}

// deliveryFacts is deliveries.facts.
type deliveryFacts struct {
	Type    mail.RecipientType `json:"type"`
	Name    string             `json:"name"`
	Written string             `json:"written"`
}

// state is deliveries.state: how a delivery ended, where that needs words. Most end
// without any. Site, reply and host are the last attempt's, or the last event's before
// there was one: rows that grow when they are settled would split their pages.
type state struct {
	Site        string             `json:"site"`
	Bounce      *mail.Bounce       `json:"bounce"`
	Suppression *mail.SuppressedBy `json:"suppression"`
}

// lastTry is what a delivery shows of its last attempt, or of its last event.
type lastTry struct {
	Site    string       `json:"site"`
	Reply   *mail.Reply  `json:"reply"`
	Host    string       `json:"host"`
	Outcome mail.Outcome `json:"outcome"`
	At      int64        `json:"at"`
	Micros  int64        `json:"us"`
	Source  string       `json:"source"` // where it left from
}

func readState(text []byte) (state, error) {
	var s state
	err := read("delivery state", text, &s)
	restoreID(s.Suppression)
	return s, err
}

// restoreID gives a stored SuppressedBy its ID back, which JSON leaves out.
func restoreID(s *mail.SuppressedBy) {
	if s != nil {
		s.ID, _ = mail.ParseID(mail.PrefixSuppression, s.Public)
	}
}

// stopOrder is deliveries.stop: who forbade a retry while it was on the wire.
type stopOrder struct {
	Reason       string `json:"reason"`
	By           string `json:"by"`
	SupersededBy string `json:"superseded_by"`
}

// deliveryColumns is what scanDelivery expects, in order.
const deliveryColumns = `d.row, d.id, d.message, d.owner, d.address, d.tier, d.status, d.wait, d.due_at, d.tries,
	d.accepted_at, d.tried_at, d.done_at, d.facts, d.state, d.last_event, last.facts,
	iif(d.last_attempt IS NULL, (SELECT e.detail FROM events e WHERE e.row = d.last_event), NULL)`

// lastAttempt is what deliveryColumns need joined to d.
const lastAttempt = ` LEFT JOIN attempts last ON last.row = d.last_attempt`

type deliveryRow struct {
	message      int64
	lastEvent    int64
	delivery     mail.Delivery
	facts, state []byte
	attempt      []byte // facts of the last one
	event        []byte // detail of the last one, when nothing was tried yet
}

func scanDelivery(s *sqlite.Stmt) deliveryRow {
	r := deliveryRow{
		message: s.ColumnInt64(2), lastEvent: s.ColumnInt64(15),
		delivery: mail.Delivery{
			Row: s.ColumnInt64(0), ID: columnID(s, 1), Owner: ownerOf(s.ColumnInt64(3)), Address: s.ColumnText(4),
			Tier: mail.Tier(s.ColumnInt64(5)), Status: mail.Status(s.ColumnInt64(6)), Wait: mail.Wait(s.ColumnInt64(7)),
			Due: columnTime(s, 8), Tries: s.ColumnInt(9),
			AcceptedAt: columnTime(s, 10), FirstTriedAt: columnTime(s, 11), CompletedAt: columnTime(s, 12),
		},
		facts: columnBlob(s, 13), state: columnBlob(s, 14), attempt: columnBlob(s, 16), event: columnBlob(s, 17),
	}
	r.delivery.Destination = mail.Address{Email: r.delivery.Address}.Domain()
	return r
}

func (r *deliveryRow) decode(message mail.ID) (*mail.Delivery, error) {
	var f deliveryFacts
	if err := read("delivery facts", r.facts, &f); err != nil {
		return nil, err
	}
	s, err := readState(r.state)
	if err != nil {
		return nil, err
	}
	d := &r.delivery
	d.Message, d.Type, d.Name = message, f.Type, f.Name
	if f.Written != "" {
		d.Address = f.Written
	}
	d.Site, d.Bounce, d.Suppression = s.Site, s.Bounce, s.Suppression
	var last lastTry
	if err := read("the last event", r.event, &last); err != nil {
		return nil, err
	}
	if last.Site != "" {
		d.Site = last.Site
	}
	if r.attempt == nil {
		return d, nil
	}
	last = lastTry{}
	err = read("the last attempt", r.attempt, &last)
	d.LastReply, d.LastHost, d.LastSource = last.Reply, last.Host, last.Source
	if last.At != 0 {
		d.LastReplyAt = fromMicros(last.At + last.Micros)
	}
	if last.Outcome == mail.OutcomeDelivered { // also when a report came back later
		d.DeliveredAt = d.CompletedAt
	}
	if last.Site != "" {
		d.Site = last.Site
	}
	return d, err
}

// attemptFacts is attempts.facts.
type attemptFacts struct {
	ID         uuid             `json:"id"`
	Number     int              `json:"number"`
	At         int64            `json:"at"`
	Micros     int64            `json:"us"`
	Outcome    mail.Outcome     `json:"outcome"`
	Reply      mail.Reply       `json:"reply"`
	Class      mail.Class       `json:"class"`
	Advice     string           `json:"advice"`
	Site       string           `json:"site"`
	MX         []string         `json:"mx"`
	Host       string           `json:"host"`
	IP         string           `json:"ip"`
	DNSMicros  int64            `json:"dns_us"`
	Source     string           `json:"source"`
	EHLO       string           `json:"ehlo"`
	TLS        *mail.TLSFacts   `json:"tls"`
	Signed     []string         `json:"signed"`
	RetryAfter int64            `json:"retry_after_us"`
	Transcript []transcriptLine `json:"transcript"`
}

type transcriptLine mail.Line

// UnmarshalJSONFrom reads [from, µs, code, text].
func (l *transcriptLine) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var parts [4]jsontext.Value
	if err := json.UnmarshalDecode(dec, &parts); err != nil {
		return err
	}
	var micros int64
	for i, into := range []any{&l.From, &micros, &l.Code, &l.Text} {
		if err := json.Unmarshal(parts[i], into); err != nil {
			return err
		}
	}
	l.At = time.Duration(micros) * time.Microsecond
	return nil
}

func readAttempt(text []byte) (mail.Attempt, error) {
	var f attemptFacts
	if err := read("attempt", text, &f); err != nil {
		return mail.Attempt{}, err
	}
	a := mail.Attempt{
		ID: mail.ID(f.ID), Number: f.Number, At: fromMicros(f.At), Duration: time.Duration(f.Micros) * time.Microsecond,
		Outcome: f.Outcome, Reply: f.Reply, Class: f.Class, Advice: f.Advice, Site: f.Site, MX: f.MX, Host: f.Host, IP: f.IP,
		DNS: time.Duration(f.DNSMicros) * time.Microsecond, Source: f.Source, EHLO: f.EHLO, TLS: f.TLS, Signed: f.Signed,
		RetryAfter: time.Duration(f.RetryAfter) * time.Microsecond,
	}
	for _, l := range f.Transcript {
		a.Transcript = append(a.Transcript, mail.Line(l))
	}
	return a, nil
}

func readDetail(text []byte) (mail.Detail, error) {
	var d mail.Detail
	err := read("event detail", text, &d)
	restoreID(d.Suppression)
	return d, err
}

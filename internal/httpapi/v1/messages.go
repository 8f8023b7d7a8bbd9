package v1

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// messageFilters are the parameters of GET /v1/messages.
var messageFilters = []string{"status", "recipient", "created_after", "created_before", "from_date", "to_date", "start_date", "end_date",
	"since", "until", "date_from", "date_to", "from", "subject", "tag", "topic", "template", "priority", "domain", "site", "pool", "api_key_id",
	"batch_id", "rfc_message_id", "idempotency_key", "supersedes", "metadata", "smtp_code", "class", "q"}

func (a *API) listMessages(c *httpapi.Call) {
	l := a.list(c, append([]string{"include=recipients", "include=last_event", "include=total"}, messageFilters...)...)
	q := l.messageQuery()
	if l.failed() {
		return
	}
	records, err := a.o.Archive.List(c.Context(), q)
	withRecipients := l.includes("recipients")
	pageOf(a, l, records, err, a.countMessages(q), func(r *archive.Record) listedMessage { return listedOf(r, withRecipients) }, func(m *listedMessage) int64 { return m.row })
}

func (a *API) countMessages(q archive.Query) counter {
	return func(ctx context.Context, most int) (int, bool, error) { return a.o.Archive.Count(ctx, q, most) }
}

// messageQuery reads the filters.
func (l *listing) messageQuery() archive.Query {
	q := archive.Query{Owner: l.c.Who.Owner, Limit: l.Limit + 1, After: l.After, Ascending: l.Ascending,
		Recipient: mail.FoldAddress(l.text("recipient")), From: l.text("from"), Subject: l.text("subject"), Tag: l.text("tag"), Topic: l.text("topic"), Template: l.text("template"),
		Domain: strings.ToLower(l.text("domain")), Site: l.text("site"), KeyID: strings.TrimPrefix(l.text("api_key_id"), "key_"),
		Batch: l.id("batch_id", mail.PrefixBatch), RFCID: strings.Trim(l.text("rfc_message_id"), "<>"), Idempotency: l.text("idempotency_key"),
		Supersedes: l.text("supersedes"), Class: mail.Class(l.text("class")),
		CreatedAfter:  l.time("created_after", "from_date", "start_date", "since", "date_from"),
		CreatedBefore: l.time("created_before", "to_date", "end_date", "until", "date_to")}
	q.Statuses = l.statuses()
	if v, given := l.value("priority"); given {
		tier, ok := mail.ParseTier(v)
		if !ok {
			l.invalid("priority", "'priority' is 'urgent', 'normal' or 'bulk'.")
		}
		q.Tier = &tier
	}
	if v, given := l.value("smtp_code"); given {
		code, err := strconv.Atoi(v)
		if err != nil || code < 200 || code > 599 {
			l.invalid("smtp_code", "'smtp_code' is a number from 200 to 599.")
		}
		q.SMTPCode = code
	}
	for name, v := range l.q {
		if key, ok := strings.CutPrefix(name, "metadata["); ok && strings.HasSuffix(key, "]") && len(v) > 0 {
			if q.Metadata == nil {
				q.Metadata = map[string]string{}
			}
			q.Metadata[strings.TrimSuffix(key, "]")] = v[0]
		}
	}
	l.notYet("pool", "q")
	return q
}

func (l *listing) statuses() (out []mail.Status) {
	for _, v := range l.q["status"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			s, ok := mail.ParseStatus(strings.ToLower(name))
			if !ok {
				l.invalid("status", "There is no status '"+clip(strings.ToValidUTF8(name, "\uFFFD"), 64)+"'. There are: scheduled, queued, accepted, deferred, held, delivered, bounced, complained, suppressed, cancelled, expired, failed.")
				return nil
			}
			out = append(out, s)
		}
	}
	return out
}

// notYet refuses filters of the contract that this version cannot apply: to ignore
// them would answer another question.
func (l *listing) notYet(names ...string) {
	for _, name := range names {
		if _, given := l.value(name); given {
			l.invalid(name, "Filtering by '"+name+"' is not supported by this version.")
		}
	}
}

type lastEventOut struct {
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Summary string    `json:"summary"`
}

// listedMessage is a row of §3.4.
type listedMessage struct {
	row         int64
	ID          string         `json:"message_id"`
	Object      string         `json:"object"`
	Status      string         `json:"status"`
	Recipient   string         `json:"recipient"`
	From        string         `json:"from"`
	Subject     string         `json:"subject"`
	Template    *templateOut   `json:"template"`
	Priority    string         `json:"priority"`
	Topic       *string        `json:"topic"`
	Tags        []string       `json:"tags"`
	CreatedAt   time.Time      `json:"created_at"`
	Scheduled   time.Time      `json:"scheduled_time"`
	CompletedAt time.Time      `json:"completed_at"`
	Recipients  []recipientOut `json:"recipients,omitempty"`
	Count       int            `json:"recipient_count"`
	Attempts    int            `json:"attempts"`
	LastEvent   *lastEventOut  `json:"last_event"`
}

func listedOf(r *archive.Record, recipients bool) listedMessage {
	m := &r.Message
	out := listedMessage{row: m.Row, ID: m.ID.Text(mail.PrefixMessage), Object: "message", Status: r.Overall().String(), Recipient: r.Recipient(),
		From: m.From.Email, Subject: m.Subject, Template: templateOf(m.Template), Priority: m.Tier.String(), Topic: orNull(m.Topic), Tags: m.Tags,
		CreatedAt: m.CreatedAt, Scheduled: m.ScheduledAt, CompletedAt: r.Times().Completed, Count: len(r.Deliveries), Attempts: r.Attempts}
	if recipients {
		out.Recipients = recipientsOut(r.Deliveries)
	}
	if e := r.LastEvent; e != nil {
		out.LastEvent = &lastEventOut{string(e.Type), e.At, e.Detail.Summary}
	}
	return out
}

// find gives the message a path names; where there is none it has answered.
func (a *API) find(c *httpapi.Call) (*archive.Record, bool) {
	r, err := a.o.Archive.Find(c.Context(), c.Who.Owner, c.Param(0))
	if errors.Is(err, mail.ErrNotFound) {
		c.Fail(messageNotFound())
		return nil, false
	}
	if err != nil {
		c.Fail(err)
		return nil, false
	}
	return r, true
}

func messageNotFound() *mail.Error {
	return &mail.Error{Code: "message_not_found", Status: 404, Message: "There is no such message in this project and environment."}
}

func (a *API) getMessage(c *httpapi.Call) {
	if r, ok := a.find(c); ok {
		give(c, http.StatusOK, messageOf(r))
	}
}

type lineOut struct {
	Dir  string `json:"dir"`
	At   int64  `json:"t_ms"`
	Code int    `json:"code,omitzero"`
	Line string `json:"line"`
}

type mxOut struct {
	Resolved []string `json:"resolved"`
	Used     string   `json:"used"`
	IP       string   `json:"ip"`
	DNS      int64    `json:"dns_ms"`
}

type sourceOut struct {
	Pool    string `json:"pool"`
	Address string `json:"address"`
	EHLO    string `json:"ehlo"`
}

// attemptOut is §3.7.
type attemptOut struct {
	ID          string         `json:"attempt_id"`
	RecipientID string         `json:"recipient_id"`
	Number      int            `json:"number"`
	At          time.Time      `json:"at"`
	Duration    int64          `json:"duration_ms"`
	Outcome     string         `json:"outcome"`
	Site        string         `json:"site"`
	MX          mxOut          `json:"mx"`
	Source      sourceOut      `json:"source"`
	TLS         *mail.TLSFacts `json:"tls"`
	Signed      []string       `json:"dkim_selectors"`
	Reply       *mail.Reply    `json:"reply"`
	Transcript  []lineOut      `json:"transcript"`
	Class       *string        `json:"class"`
	Temporary   bool           `json:"temporary"`
	Advice      *string        `json:"advice"`
}

func (a *API) listAttempts(c *httpapi.Call) {
	l := a.list(c, "include=total")
	if l.failed() {
		return
	}
	r, ok := a.find(c)
	if !ok {
		return
	}
	attempts, err := a.o.Archive.Attempts(c.Context(), r)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]attemptOut, len(attempts))
	for i := range attempts {
		out[i] = attemptOf(&attempts[i])
	}
	pageStory(a, l, out)
}

func attemptOf(t *archive.AttemptOf) attemptOut {
	out := attemptOut{ID: t.ID.Text(mail.PrefixAttempt), RecipientID: t.Recipient.Text(mail.PrefixRecipient), Number: t.Number, At: t.At,
		Duration: t.Duration.Milliseconds(), Outcome: t.Outcome.String(), Site: t.Site, MX: mxOut{t.MX, t.Host, t.IP, t.DNS.Milliseconds()},
		Source: sourceOut{"main", t.Source, t.EHLO}, TLS: t.TLS, Signed: t.Signed, Class: orNull(string(t.Class)), Advice: orNull(t.Advice),
		Temporary: t.Outcome == mail.OutcomeDeferred || t.Outcome == mail.OutcomeUncertain, Transcript: make([]lineOut, len(t.Transcript))}
	if t.Reply != (mail.Reply{}) {
		out.Reply = &t.Reply
	}
	for i, l := range t.Transcript {
		out.Transcript[i] = lineOut{l.From, l.At.Milliseconds(), l.Code, l.Text}
	}
	return out
}

func hexOf(sum [32]byte) string {
	if sum == ([32]byte{}) {
		return ""
	}
	return hex.EncodeToString(sum[:])
}

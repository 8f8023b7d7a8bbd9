package hyvor

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/queue"
)

// listSends is GET /sends. An unknown status is no filter; a time that cannot be read is a
// fault.
func (a *API) listSends(c *httpapi.Call) (any, error) {
	q := c.R.URL.Query()
	limit, _, err := page(q)
	if err != nil {
		return nil, err
	}
	find := archive.Query{Owner: c.Who.Owner, Limit: limit, FromPart: q.Get("from_search"), RecipientPart: q.Get("to_search"), SubjectPart: q.Get("subject_search")}
	find.Statuses, find.Exhausted = statusesOf(q.Get("status"))
	var wrong faults
	if v := q.Get("before_id"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			wrong.add("before_id", textInt)
		}
		if find.After = n; n == 0 {
			limit = 0 // nothing is below it
		}
	}
	if v := q.Get("date_from_search"); v != "" {
		find.CreatedAfter, _ = filterMoment("date_from_search", v, &wrong)
	}
	if v := q.Get("date_to_search"); v != "" {
		_, last := filterMoment("date_to_search", v, &wrong)
		find.CreatedBefore = last.Add(time.Second) // the last second is still meant
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	out := []sendOut{}
	if limit == 0 {
		return out, nil
	}
	records, err := a.o.Archive.List(c.Context(), find)
	for i := range records {
		out = append(out, sendOf(&records[i]))
	}
	return out, err
}

func filterMoment(name, v string, wrong *faults) (first, last time.Time) {
	first, last, ok := moment(v)
	if !ok {
		wrong.add(name, "This value is not a valid date: use 2026-04-19T14:30:00Z, 2026-04-19, '2026-04-19 14:30:00' or unix seconds.")
	}
	return first, last
}

// find gives the send a path names by number.
func (a *API) find(c *httpapi.Call) (*archive.Record, error) {
	row, err := number(c.Param(0))
	if err != nil {
		return nil, err
	}
	if row < 1<<62 {
		found, err := a.o.Archive.List(c.Context(), archive.Query{Owner: c.Who.Owner, After: row + 1, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Message.Row == row {
			return &found[0], nil
		}
	}
	return nil, a.entity(c, ThingSend, row)
}

func (a *API) getSend(c *httpapi.Call) (any, error) {
	r, err := a.find(c)
	if err != nil {
		return nil, err
	}
	return a.whole(c, r)
}

// whole is a send with its attempts and feedback.
func (a *API) whole(c *httpapi.Call, r *archive.Record) (*sendOut, error) {
	out := sendOf(r)
	attempts, err := a.o.Archive.Attempts(c.Context(), r)
	if err != nil {
		return nil, err
	}
	out.Attempts = attemptsOf(r, attempts)
	if hasFeedback(r) {
		events, err := a.o.Archive.Events(c.Context(), r)
		if err != nil {
			return nil, err
		}
		out.Feedback = feedbackOf(events)
	}
	return &out, nil
}

// findUUID gives the send a path names by UUID.
func (a *API) findUUID(c *httpapi.Call) (*archive.Record, error) {
	written := c.Param(0)
	missing := &refusal{Status: http.StatusNotFound, Message: "Send with UUID " + clip(written) + " not found"}
	id, ok := readUUID(written)
	if !ok {
		return nil, missing
	}
	r, err := a.o.Archive.Find(c.Context(), c.Who.Owner, id.Text(mail.PrefixMessage))
	if !errors.Is(err, mail.ErrNotFound) {
		return r, err
	}
	owner, err := a.o.Store.WhoseMessage(c.Context(), id)
	switch {
	case errors.Is(err, mail.ErrNotFound), err == nil && owner.Project == c.Who.Owner.Project:
		return nil, missing
	case err != nil:
		return nil, err
	}
	return nil, bad("Send with UUID %s does not belong to project", clip(written))
}

// readUUID reads 8-4-4-4-12 hexadecimal digits.
func readUUID(s string) (id mail.ID, ok bool) {
	if len(s) != 36 {
		return id, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return id, false
			}
			continue
		}
		v := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if v < 0 || s[i] < '0' {
			return id, false
		}
		id[n/2] = id[n/2]<<4 | byte(v)
		n++
	}
	return id, true
}

func (a *API) getSendByUUID(c *httpapi.Call) (any, error) {
	r, err := a.findUUID(c)
	if err != nil {
		return nil, err
	}
	return a.whole(c, r)
}

type contentOut struct {
	HTML    *string           `json:"body_html"`
	Text    *string           `json:"body_text"`
	Headers map[string]string `json:"headers"` // lower-case names
	Raw     string            `json:"raw"`
}

// getContent gives a send's content while it is kept.
func (a *API) getContent(c *httpapi.Call) (any, error) {
	r, err := a.findUUID(c)
	if err != nil {
		return nil, err
	}
	content, err := a.o.Archive.Copy(c.Context(), r)
	if errors.Is(err, mail.ErrNoContent) {
		return nil, &refusal{Status: http.StatusNotFound, Message: "Content for send with UUID " + r.Message.ID.UUID() + " not found"}
	}
	if err != nil {
		return nil, a.noContent(c, err)
	}
	raw, err := readAll(content)
	if err != nil {
		return nil, a.noContent(c, err)
	}
	parts, err := mime.Parse(strings.NewReader(raw), mime.Limits{})
	if err != nil {
		return nil, a.noContent(c, err)
	}
	out := contentOut{HTML: orNull(asWritten(parts.HTML)), Text: orNull(asWritten(parts.Text)), Headers: map[string]string{}, Raw: strings.ToValidUTF8(raw, "\uFFFD")}
	for _, h := range parts.Headers {
		name := strings.ToLower(h.Name)
		if before, twice := out.Headers[name]; twice {
			h.Value = before + ", " + h.Value
		}
		out.Headers[name] = h.Value
	}
	return out, nil
}

// asWritten is a text as it came in, as far as that can be told: mail ends every line with
// CR LF, the last one too.
func asWritten(text string) string {
	return strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
}

func readAll(content mail.Content) (string, error) {
	in, err := content.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	return string(b), err
}

// noContent is the answer where content is kept and cannot be had now.
func (a *API) noContent(c *httpapi.Call, err error) error {
	a.o.Door.Log().Error("a message's content cannot be read", "request_id", c.RequestID, "error", err)
	c.W.Header().Set("Retry-After", "1")
	return &refusal{Status: http.StatusServiceUnavailable, Message: "Failed to retrieve email content. Please try again later."}
}

type retryOut struct {
	Retried int      `json:"retried_recipients"`
	Send    *sendOut `json:"send"`
}

// retrySend is POST /sends/{id}/retry: what waits goes now; else what failed is put back
// into the queue.
func (a *API) retrySend(c *httpapi.Call) (any, error) {
	if fault := c.Who.MaySend(); fault != nil {
		return nil, forbidden(fault.Message)
	}
	r, err := a.find(c)
	if err != nil {
		return nil, err
	}
	order, ids, err := a.readRetry(c, r)
	if err != nil {
		return nil, err
	}
	out := retryOut{}
	if slices.ContainsFunc(r.Deliveries, func(d mail.Delivery) bool { return !d.Status.Final() }) {
		_, err = a.o.Orders.SendNow(c.Context(), order)
	} else if out.Retried, err = a.retry(c, r, order, ids); err == nil && out.Retried == 0 {
		err = bad("No failed recipients to retry") // somebody else was faster
	}
	if err != nil {
		return nil, err
	}
	if r, err = a.find(c); err != nil {
		return nil, err
	}
	out.Send, err = a.whole(c, r)
	return out, err
}

func (a *API) readRetry(c *httpapi.Call, r *archive.Record) (order queue.Change, ids []int64, err error) {
	now := a.now().UTC().Truncate(time.Millisecond)
	order = queue.Change{Owner: c.Who.Owner, Message: r.Message.ID, Now: now, By: c.Who.By()}
	f, err := readFields(c)
	if err != nil {
		return order, nil, err
	}
	var wrong faults
	if after, ok := f.numberOf("send_after", &wrong); ok {
		if after > maxUnix {
			wrong.add("send_after", textInt)
		}
		order.To = time.Unix(min(after, maxUnix), 0).UTC()
	}
	if f.given("recipient_ids") {
		if ids, err = numbers(f["recipient_ids"], &wrong); err != nil {
			return order, nil, err
		}
	}
	if err := wrong.err(); err != nil {
		return order, nil, err
	}
	if !order.To.IsZero() && order.To.Unix() < now.Unix() {
		return order, nil, bad("You cannot schedule a retry in the past")
	}
	return order, ids, nil
}

// retry puts back what failed: of all recipients, or of those named.
func (a *API) retry(c *httpapi.Call, r *archive.Record, order queue.Change, ids []int64) (int, error) {
	failed := 0
	var rows []int64
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if !d.GaveUp() {
			continue
		}
		failed++
		if slices.Contains(ids, d.Row) {
			rows = append(rows, d.Row)
		}
	}
	switch {
	case failed == 0:
		return 0, bad("No failed recipients to retry")
	case len(ids) > 0 && len(rows) == 0:
		return 0, bad("No matching failed recipients found for the provided IDs")
	case !r.HasContent:
		return 0, bad("The content of this send is no longer kept, so it cannot be retried.")
	}
	if err := a.maySend(c, r.Message.SendingDomain()); err != nil {
		return 0, err
	}
	got, err := a.o.Orders.Retry(c.Context(), order, rows)
	if errors.Is(err, mail.ErrNoContent) {
		err = bad("The content of this send is no longer kept, so it cannot be retried.")
	}
	return got.Count, err
}

// maySend asks whether mail may still go out from a domain. Captured mail may be from any.
func (a *API) maySend(c *httpapi.Call, name string) error {
	if c.Who.Owner.Env == mail.Test {
		return nil
	}
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, name)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return bad("Domain %s is not registered for this project", name)
	case err == nil && !d.CanSend():
		return bad("Domain %s is not allowed to send emails (status: %s)", name, domainStatus(d.Status))
	}
	return err
}

package v1

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
)

// The sandbox inbox is the messages of the test environment; for a live key, its own
// messages to sandbox.test, which never leave either.

const (
	sandboxDomain  = "sandbox.test"
	defaultWait    = 30 * time.Second
	longestWait    = 60 * time.Second
	waitLooksBack  = time.Minute // where after= is not given
	waitPoll       = time.Second // the longest a waiting reader goes without looking
	waitShortest   = 50 * time.Millisecond
	waitCandidates = 50
)

type extractedOut struct {
	Codes []string `json:"codes"`
	Links []string `json:"links"`
}

// sandboxOut is a message with what is in it (settled.md 11).
type sandboxOut struct {
	messageOut `json:",inline"`
	Content    *contentOut  `json:"content"`
	Extracted  extractedOut `json:"extracted"`
}

func (a *API) sandboxQuery(l *listing) archive.Query {
	q := archive.Query{Owner: l.c.Who.Owner, Recipient: mail.FoldAddress(l.text("recipient")), Subject: l.text("subject"),
		CreatedAfter: l.time("created_after", "after", "since"), CreatedBefore: l.time("created_before", "until"),
		Limit: l.Limit + 1, After: l.After, Ascending: l.Ascending, Statuses: l.statuses()}
	if q.Owner.Env == mail.Live {
		q.Domain = sandboxDomain
	}
	return q
}

func (a *API) listSandbox(c *httpapi.Call) {
	l := a.list(c, "include=total", "recipient", "subject", "created_after", "after", "since", "created_before", "until", "status", "q")
	q := a.sandboxQuery(l)
	l.notYet("q")
	if l.failed() {
		return
	}
	records, err := a.o.Archive.List(c.Context(), q)
	pageOf(a, l, records, err, a.countMessages(q), func(r *archive.Record) listedMessage { return listedOf(r, true) }, func(m *listedMessage) int64 { return m.row })
}

type clearedOut struct {
	Object  string `json:"object"`
	Deleted int    `json:"deleted"`
}

// clearSandbox removes what was captured; what still plays stays.
func (a *API) clearSandbox(c *httpapi.Call) {
	if c.Who.Owner.Env != mail.Test {
		c.Fail(&mail.Error{Code: "state_conflict", Status: 409, Message: "This is the live environment: its messages are not cleared. Use a test key."})
		return
	}
	n, err := a.o.Erasures.Clear(c.Context(), c.Who.Owner)
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, clearedOut{"sandbox_cleared", n})
}

func (a *API) getSandbox(c *httpapi.Call) {
	if r, ok := a.findSandbox(c); ok {
		a.showSandbox(c, r)
	}
}

// findSandbox gives the message that a path names, if it was captured; else it has answered.
func (a *API) findSandbox(c *httpapi.Call) (*archive.Record, bool) {
	r, ok := a.find(c)
	if ok && !captured(r) {
		c.Fail(messageNotFound())
		return nil, false
	}
	return r, ok
}

// captured tells whether a message is one that never leaves.
func captured(r *archive.Record) bool {
	if r.Message.Owner.Env == mail.Test {
		return true
	}
	for i := range r.Deliveries {
		if r.Deliveries[i].Destination == sandboxDomain {
			return true
		}
	}
	return false
}

func (a *API) showSandbox(c *httpapi.Call, r *archive.Record) {
	out := sandboxOut{messageOut: messageOf(r)}
	parts, err := a.parts(c.Context(), r)
	switch {
	case err == nil:
		content := contentOf(parts)
		out.Content = &content
		out.Extracted.Codes, out.Extracted.Links = mime.Extract(parts.HTML, parts.Text)
	case r.HasContent:
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, out)
}

func (a *API) parts(ctx context.Context, r *archive.Record) (*mime.Parts, error) {
	content, err := a.o.Archive.Copy(ctx, r)
	if err != nil {
		return nil, err
	}
	in, err := content.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return mime.Parse(in, mime.Limits{})
}

// waitSandbox waits until a message that fits has been captured (or has otherwise come
// to its end), and gives it with its codes and links: a test of a whole OTP flow in one
// line. Without after= it also finds what came in the last minute. A stop of the server
// ends the wait.
func (a *API) waitSandbox(c *httpapi.Call) {
	l := a.list(c, "recipient", "subject", "after", "created_after", "since", "timeout")
	q := a.sandboxQuery(l)
	q.Limit, q.Subject = waitCandidates, ""
	if q.CreatedAfter.IsZero() {
		q.CreatedAfter = c.Arrived.Add(-waitLooksBack)
	}
	wait := l.wait()
	if l.failed() {
		return
	}
	subject := strings.ToLower(l.text("subject"))
	rc, until := http.NewResponseController(c.W), time.Now().Add(wait+time.Minute)
	_ = rc.SetReadDeadline(until) // not every writer has one; past it the server takes the client for gone
	_ = rc.SetWriteDeadline(until)
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	r, err := a.await(ctx, q, subject)
	switch {
	case errors.Is(err, eventlog.ErrStopping):
		c.Problem(httpapi.Problem{Code: "maintenance", RetryAfter: tryAgainAfter, Detail: "The server is stopping. Ask again when it is back; what arrived meanwhile is found with 'after'."})
	case err != nil && ctx.Err() == nil:
		c.Fail(err)
	case r == nil:
		c.Fail(&mail.Error{Code: "message_not_found", Status: 404, Message: "No message that fits arrived within " + strconv.Itoa(int(wait.Seconds())) + " s."})
	default:
		a.showSandbox(c, r)
	}
}

func (l *listing) wait() time.Duration {
	v, given := l.value("timeout")
	if !given {
		return defaultWait
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v, "s"))
	if err != nil || n < 0 {
		l.invalid("timeout", "'timeout' is a number of seconds, at most 60.")
	}
	return min(time.Duration(n)*time.Second, longestWait)
}

// await looks whenever something was committed, and every second in any case. Nil:
// nothing came until ctx ended.
func (a *API) await(ctx context.Context, q archive.Query, subject string) (*archive.Record, error) {
	for {
		var woken <-chan struct{}
		if a.o.Wake != nil {
			woken = a.o.Wake() // before looking, so that nothing slips in between
		}
		records, err := a.o.Archive.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range records {
			if arrived(&records[i], subject) {
				return &records[i], nil
			}
		}
		if !a.sleep(ctx, woken) {
			return nil, nil
		}
		if isOver(a.o.Events.Stopping()) {
			return nil, eventlog.ErrStopping
		}
	}
}

func arrived(r *archive.Record, subject string) bool {
	return r.Overall().Final() && (subject == "" || strings.Contains(strings.ToLower(r.Message.Subject), subject))
}

// sleep ends with ctx (false), or when it is time to look again. A busy store does not
// make it look more often than every 50 ms.
func (a *API) sleep(ctx context.Context, woken <-chan struct{}) bool {
	shortest := time.NewTimer(waitShortest)
	defer shortest.Stop()
	longest := time.NewTimer(waitPoll)
	defer longest.Stop()
	select {
	case <-shortest.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-woken:
	case <-longest.C:
	case <-a.o.Events.Stopping():
	case <-ctx.Done():
		return false
	}
	return true
}

func isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

package v1

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// Events is the log with its readers: eventlog.Service.
type Events interface {
	Read(ctx context.Context, r eventlog.Reading, wait time.Duration) (eventlog.Page, error)
	Follow(ctx context.Context, r eventlog.Reading) (*eventlog.Reader, *eventlog.Gap, error)
	Entry(ctx context.Context, owner mail.Owner, id mail.ID) ([]byte, error)
	Bounds(ctx context.Context, owner mail.Owner) (oldest, newest int64, err error)
	Stopping() <-chan struct{}
}

const (
	maxEvents     = 1000 // in one page: who follows a busy log needs larger ones than lists have
	longestPoll   = 25 * time.Second
	tryAgainAfter = 5 // seconds, for who has too many readers
)

// logFilters are the parameters of the log that select; those of its stream, too.
var logFilters = []string{"types", "message_id", "recipient", "tag", "created_after", "created_before"}

// eventPage is a list with where to read on.
type eventPage struct {
	Object     string           `json:"object"`
	Data       []jsontext.Value `json:"data"`
	HasMore    bool             `json:"has_more"`
	NextCursor *string          `json:"next_cursor"`
	URL        string           `json:"url"`
	NextAfter  int64            `json:"next_after"` // give it as after= to go on
	Position   int64            `json:"position"`   // of the newest event there is
	Gap        *eventlog.Gap    `json:"gap"`        // events behind after= are gone
	Warnings   []mail.Warning   `json:"warnings,omitempty"`
}

// readLog gives a part of the log, oldest first, and waits for it when asked to.
func (a *API) readLog(c *httpapi.Call) {
	l := a.list(c, append([]string{"after", "wait"}, logFilters...)...)
	r := a.reading(l)
	r.Limit = l.limitUpTo(maxEvents)
	if v, given := l.value("order"); given && v != "asc" {
		l.invalid("order", "The log is read oldest first: 'order' is 'asc'.")
	}
	if l.After > 0 { // of the cursor
		r.After = l.After
	}
	wait := l.poll()
	if l.failed() {
		return
	}
	if l.text("after") == "now" && l.After == 0 && !a.fromNow(c, &r) {
		return
	}
	if wait > 0 {
		c.Patience(wait)
	}
	p, err := a.o.Events.Read(c.Context(), r, wait)
	if err != nil {
		a.failLog(c, err)
		return
	}
	a.giveLog(c, l, p)
}

func (a *API) giveLog(c *httpapi.Call, l *listing, p eventlog.Page) {
	out := eventPage{Object: "list", Data: make([]jsontext.Value, len(p.Items)), HasMore: p.More, URL: c.R.URL.Path,
		NextAfter: p.Next, Position: p.Newest, Gap: p.Gap, Warnings: l.warnings()}
	for i := range p.Items {
		out.Data[i] = p.Items[i].Envelope
	}
	if p.More {
		out.NextCursor = a.next(l, p.Next)
	}
	give(c, http.StatusOK, out)
}

// reading reads the filters and the place.
func (a *API) reading(l *listing) eventlog.Reading {
	r := eventlog.Reading{Key: keyID(l.c), Query: eventlog.Query{Owner: l.c.Who.Owner, Types: l.types(), Message: l.id("message_id", mail.PrefixMessage),
		Recipient: mail.FoldAddress(l.text("recipient")), Tag: l.text("tag"), CreatedAfter: l.time("created_after"), CreatedBefore: l.time("created_before")}}
	if v, given := l.value("after"); given && v != "now" {
		var ok bool
		if r.After, ok = parsePosition(v); !ok {
			l.invalid("after", "'after' is a position: the 'position' of an event, or 'next_after' of a page; or 'now'.")
		}
	}
	return r
}

func keyID(c *httpapi.Call) string {
	if c.Who.Key == nil {
		return ""
	}
	return c.Who.Key.ID
}

// fromNow has a reader begin at the end of the log; when that is not known it has answered.
func (a *API) fromNow(c *httpapi.Call, r *eventlog.Reading) bool {
	_, newest, err := a.o.Events.Bounds(c.Context(), r.Owner)
	if err != nil {
		c.Fail(err)
		return false
	}
	r.After = newest
	return true
}

// parsePosition reads a place in the log: a whole number, not negative.
func parsePosition(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// types reads names and patterns; a name nobody knows would wait for ever, so it is a fault.
func (l *listing) types() (out []string) {
	for _, v := range l.q["types"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if known, near := eventlog.Known(name); !known {
				hint := "GET /v1/event-types tells all there are."
				if near != "" {
					hint = "Did you mean '" + near + "'?"
				}
				l.invalid("types", "There is no event type '"+clip(strings.ToValidUTF8(name, "\uFFFD"), 64)+"'. "+hint)
				return nil
			}
			if len(out) < len(eventlog.Types()) {
				out = append(out, name)
			}
		}
	}
	return out
}

// limitUpTo is the limit of a list that gives more than others.
func (l *listing) limitUpTo(most int) int {
	if v, given := l.value("limit"); given {
		if n, err := strconv.Atoi(v); err == nil && n > l.Limit {
			return min(n, most)
		}
	}
	return l.Limit
}

// poll is how long to wait for the first event: seconds, none unless asked for.
func (l *listing) poll() time.Duration {
	v, given := l.value("wait")
	if !given {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v, "s"))
	if err != nil || n < 0 {
		l.invalid("wait", "'wait' is a number of seconds from 0 to 25.")
		return 0
	}
	return min(time.Duration(min(n, 3600))*time.Second, longestPoll)
}

func (a *API) failLog(c *httpapi.Call, err error) {
	switch {
	case errors.Is(err, eventlog.ErrTooMany):
		c.Problem(httpapi.Problem{Code: "concurrency_limited", RetryAfter: tryAgainAfter,
			Detail: "Too many readers of the event log wait at the same time for this key, this project or this server. Close one, or read without 'wait'."})
	case errors.Is(err, eventlog.ErrStopping):
		c.Problem(httpapi.Problem{Code: "maintenance", RetryAfter: tryAgainAfter, Detail: "The server is stopping. Go on from where you are when it is back."})
	default:
		c.Fail(err)
	}
}

func (a *API) getLogEntry(c *httpapi.Call) {
	id, err := mail.ParseID(mail.PrefixEvent, c.Param(0))
	var envelope []byte
	if err == nil {
		envelope, err = a.o.Events.Entry(c.Context(), c.Who.Owner, id)
	}
	if errors.Is(err, mail.ErrBadID) || errors.Is(err, mail.ErrNotFound) {
		c.Fail(&mail.Error{Code: "not_found", Status: 404, Message: "There is no such event in this project and environment, or it is no longer kept."})
		return
	}
	if err != nil {
		c.Fail(err)
		return
	}
	c.JSON(http.StatusOK, envelope)
}

type eventTypeOut struct {
	Name        string         `json:"name"`
	Object      string         `json:"object"`
	Description string         `json:"description"`
	Schema      jsontext.Value `json:"schema"`
	Example     jsontext.Value `json:"example"`
}

func (a *API) listEventTypes(c *httpapi.Call) {
	l := a.list(c)
	if l.failed() {
		return
	}
	all := eventlog.Types()
	out := make([]eventTypeOut, len(all))
	for i, t := range all {
		out[i] = eventTypeOut{string(t.Name), "event_type", t.Description, t.Schema, t.Example}
	}
	pageWhole(a, l, out)
}

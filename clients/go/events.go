package postroad

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Events is the log of everything that happened, in the order of its positions. It is the
// pull alternative to webhooks, and the way back after an outage.
type Events struct{ c *Client }

// EventFilter selects events; zero fields select all.
type EventFilter struct {
	Types         []string  `query:"types"` // exact names, "message.*" or "*"
	MessageID     string    `query:"message_id"`
	Recipient     string    `query:"recipient"`
	Tag           string    `query:"tag"`
	CreatedAfter  time.Time `query:"created_after"`
	CreatedBefore time.Time `query:"created_before"`
	Limit         int       `query:"limit"` // of a page, 1 to 1000

	// After is a position: events behind it, so 0 is all that are kept. FromNow is only what
	// happens from now on.
	After   int64
	FromNow bool
}

func (f *EventFilter) query() (url.Values, error) {
	plain := *f
	plain.After, plain.FromNow = 0, false
	query, err := queryOf(plain)
	if err == nil {
		query.Set("after", strconv.FormatInt(f.After, 10))
		if f.FromNow {
			query.Set("after", "now")
		}
	}
	return query, err
}

// EventPage is a piece of the log.
type EventPage struct {
	Response
	Data      []*Event
	HasMore   bool
	NextAfter int64 // where to go on, also when nothing matched
	Position  int64 // of the newest event there is
	Gap       *Gap  // events behind After are no longer kept
}

// Gap says that events were lost to a reader, because it came back too late.
type Gap struct {
	After  int64 `json:"after"`  // where it wanted to go on
	Oldest int64 `json:"oldest"` // from this position on the log is whole
}

// longPoll is how long the server holds a request that finds nothing new; 25 s is the most
// it does.
const longPoll = 25 * time.Second

// Page reads a piece of the log, oldest first; a limit above 200 is taken here. wait up to 25 s has the server wait for
// something new.
func (e *Events) Page(ctx context.Context, filter EventFilter, wait time.Duration) (*EventPage, error) {
	return e.page(ctx, filter, wait, false)
}

func (e *Events) page(ctx context.Context, filter EventFilter, wait time.Duration, single bool) (*EventPage, error) {
	r, err := requestOf(http.MethodGet, at("events"), nil, nil)
	if err != nil {
		return nil, err
	}
	if r.query, err = filter.query(); err != nil {
		return nil, err
	}
	if r.wait, r.single = wait, single; wait > 0 {
		r.query.Set("wait", strconv.Itoa(int(min(wait, longPoll)/time.Second)))
	}
	got, err := e.c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	page, err := pageOf[Event](got, nil)
	if err != nil {
		return nil, err
	}
	out := &EventPage{Response: page.Response, Data: page.Data, HasMore: page.HasMore, NextAfter: filter.After}
	page.Field("position", &out.Position)
	page.Field("gap", &out.Gap)
	if !page.Field("next_after", &out.NextAfter) && len(page.Data) > 0 {
		out.NextAfter = page.Data[len(page.Data)-1].Position
	}
	return out, nil
}

// Get gives one event.
func (e *Events) Get(ctx context.Context, id string) (*Event, error) {
	return call[Event](ctx, e.c, http.MethodGet, at("events", id), nil, nil)
}

// All goes through the log as far as it reaches now.
func (e *Events) All(ctx context.Context, filter EventFilter) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for {
			page, err := e.Page(ctx, filter, 0)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, event := range page.Data {
				if !yield(event, nil) {
					return
				}
			}
			if page.NextAfter <= filter.After || !page.HasMore && len(page.Data) == 0 {
				return
			}
			filter.After, filter.FromNow = page.NextAfter, false
		}
	}
}

// Follow goes through the log and waits for what comes, until the context ends (that is
// no error). It yields an error for each call that failed; whoever goes on with the loop
// has it tried again, later each time. The Position of the last event is where the next
// Follow begins: nothing is skipped and nothing comes twice.
func (e *Events) Follow(ctx context.Context, filter EventFilter) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for failures := 0; ctx.Err() == nil; {
			page, err := e.page(ctx, filter, longPoll, true)
			if err != nil {
				if !pause(ctx, yield, err, &failures) {
					return
				}
				continue
			}
			failures, filter.FromNow = 0, false
			if page.Gap != nil && !yield(gapEvent(page.Gap), nil) {
				return
			}
			for _, event := range page.Data {
				if filter.After = event.Position; !yield(event, nil) {
					return
				}
			}
			filter.After = max(filter.After, page.NextAfter)
		}
	}
}

// pause yields an error and waits; false ends the loop.
func pause(ctx context.Context, yield func(*Event, error) bool, err error, failures *int) bool {
	if ctx.Err() != nil || !yield(nil, err) {
		return false
	}
	wait := Backoff(*failures)
	var e *Error
	if errors.As(err, &e) && e.asked {
		wait = e.RetryAfter
	}
	*failures++
	return sleep(ctx, wait) == nil
}

// EventGap is the type of what [Events.Follow] and [Events.Stream] yield when events behind
// the position asked for are no longer kept: they are lost to this reader. Its Data is a
// [Gap].
const EventGap = "gap"

func gapEvent(g *Gap) *Event {
	data, _ := json.Marshal(g) // two numbers
	event := &Event{Type: EventGap, Data: data}
	event.keep(data, nil)
	return event
}

// silence is how long a stream may say nothing: the server sends something every 15 s.
const silence = 45 * time.Second

// errBye is the end of a stream as the server means it: it closes each after half an hour.
var errBye = errors.New("bye")

// Stream is Follow over one connection (Server-Sent Events), which is made anew where it
// ended, from the last position. A reader that is too slow is sent back to where it was,
// so that it misses nothing.
func (e *Events) Stream(ctx context.Context, filter EventFilter) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for failures := 0; ctx.Err() == nil; {
			went, err := e.stream(ctx, &filter, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case errors.Is(err, errBye):
				failures = 0
			default:
				if went {
					failures = 0
				}
				if !pause(ctx, yield, err, &failures) {
					return
				}
			}
		}
	}
}

// errStopped: the loop's body ended it.
var errStopped = errors.New("stopped")

// stream reads one connection to its end. went tells whether an event came.
func (e *Events) stream(ctx context.Context, filter *EventFilter, yield func(*Event, error) bool) (went bool, err error) {
	if filter.FromNow { // a connection that breaks before its first event must not move "now"
		page, err := e.page(ctx, EventFilter{FromNow: true, Limit: 1}, 0, true)
		if err != nil {
			return false, err
		}
		filter.After, filter.FromNow = page.NextAfter, false
	}
	r, err := requestOf(http.MethodGet, at("events", "stream"), nil, nil)
	if err != nil {
		return false, err
	}
	asked := *filter
	asked.Limit = 0
	if r.query, err = asked.query(); err != nil {
		return false, err
	}
	r.accept, r.stream, r.single = "text/event-stream", true, true
	got, err := e.c.do(ctx, r)
	if err != nil {
		return false, err
	}
	defer got.stream.Close()
	quiet := time.AfterFunc(silence, func() { _ = got.stream.Close() })
	defer quiet.Stop()
	in := newFrames(got.stream, func() { quiet.Reset(silence) })
	for {
		f, err := in.next()
		if err != nil {
			return went, &Error{Kind: ErrConnection, Message: "the stream broke off: " + err.Error(), Attempts: 1, cause: err}
		}
		quiet.Stop() // the loop's body may take its time
		event, err := e.take(f, filter)
		if err != nil {
			return went, err
		}
		if event != nil {
			if went = true; !yield(event, nil) {
				return went, errStopped
			}
		}
		quiet.Reset(silence)
	}
}

// take reads one frame of a stream: an event, or what the stream says of itself.
func (e *Events) take(f frame, filter *EventFilter) (*Event, error) {
	switch f.event {
	case "bye":
		return nil, errBye
	case "dropped":
		var d struct {
			ResumeAfter int64 `json:"resume_after"`
		}
		if json.Unmarshal(f.data, &d) == nil && d.ResumeAfter > 0 {
			filter.After = d.ResumeAfter
		}
		return nil, errBye
	case EventGap:
		event := &Event{Type: EventGap, Data: f.data}
		event.keep(f.data, nil)
		return event, nil
	}
	if len(f.data) == 0 { // a heartbeat moves the place past what was not asked for
		if position, err := strconv.ParseInt(f.id, 10, 64); err == nil {
			filter.After = max(filter.After, position)
		}
		return nil, nil
	}
	event, err := eventOf(f.data)
	if err != nil {
		return nil, &Error{Kind: ErrServer, Message: "the stream holds something that is no event: " + err.Error(), Raw: f.data, cause: err}
	}
	if event.Position == 0 {
		event.Position, _ = strconv.ParseInt(f.id, 10, 64)
	}
	filter.After = max(filter.After, event.Position)
	return event, nil
}

// frame is one event of a stream (HTML Living Standard, 9.2.6).
type frame struct {
	id, event string
	data      []byte
}

// maxFrame bounds one line; events have less than 8 KB.
const maxFrame = 1 << 20

type frames struct {
	in    *bufio.Scanner
	heard func() // called with every line
}

func newFrames(r io.Reader, heard func()) *frames {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 16<<10), maxFrame)
	in.Split(sseLines)
	return &frames{in, heard}
}

// sseLines splits at CRLF, LF or CR.
func sseLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF, len(data) == 0:
		return len(data), nil, nil // what has no end is no line
	case i < 0:
		return 0, nil, nil
	case data[i] == '\r' && i+1 == len(data) && !atEOF:
		return 0, nil, nil // an LF may follow
	case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	}
	return i + 1, data[:i], nil
}

// next reads up to the next blank line; comments and blank frames are passed over.
func (s *frames) next() (f frame, err error) {
	some := false
	for s.in.Scan() {
		s.heard()
		line := s.in.Text()
		if line == "" {
			if some {
				f.data = bytes.TrimSuffix(f.data, []byte("\n"))
				return f, nil
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			f.id, some = value, true
		case "event":
			f.event, some = value, true
		case "data":
			f.data, some = append(append(f.data, value...), '\n'), true
		}
	}
	if err := s.in.Err(); err != nil {
		return f, err
	}
	return f, io.EOF
}

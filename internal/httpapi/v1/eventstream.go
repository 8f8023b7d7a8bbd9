package v1

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

const (
	streamType  = "text/event-stream"
	streamRetry = "retry: 2000\n\n" // milliseconds until a client comes back
	streamPage  = 256               // events taken at once
	streamPiece = 32 << 10          // bytes written at once, and one event more
	streamTime  = 30 * time.Minute
	streamBeat  = 15 * time.Second
)

// streamLog tells events as they come, as Server-Sent Events: the id is the position, so a
// client that lost its connection goes on where it was.
func (a *API) streamLog(c *httpapi.Call) {
	l := a.list(c, append([]string{"after"}, logFilters...)...)
	r := a.reading(l)
	resumed := l.lastEventID(&r)
	if l.failed() {
		return
	}
	if !resumed && (l.text("after") == "" || l.text("after") == "now") && !a.fromNow(c, &r) {
		return
	}
	reader, gap, err := a.o.Events.Follow(c.Context(), r)
	if err != nil {
		a.failLog(c, err)
		return
	}
	defer reader.Close()
	flow := c.Flow(streamType, a.o.StreamTime)
	if flow == nil {
		return
	}
	s := streaming{flow: flow, reader: reader, lasts: a.o.StreamTime, every: a.o.StreamBeat}
	s.buffer = append(s.buffer, streamRetry...)
	if gap != nil {
		s.tell("gap", gap)
	}
	s.run(c.Context())
}

// lastEventID has a reader go on behind what it saw last; it tells whether it said so. What
// reconnects keeps its URL, so this counts more than after=.
func (l *listing) lastEventID(r *eventlog.Reading) bool {
	v := l.c.R.Header.Get("Last-Event-ID")
	if v == "" {
		return false
	}
	position, ok := parsePosition(v)
	if !ok && l.fault == nil {
		l.fault = &mail.Error{Code: "invalid_header", Status: 400, Field: "Last-Event-ID", Message: "'Last-Event-ID' is the id of an event of this stream: a position."}
	}
	r.After = position
	return true
}

// streaming is one stream while it lasts.
type streaming struct {
	flow   *httpapi.Flow
	reader *eventlog.Reader
	lasts  time.Duration
	every  time.Duration // beats
	buffer []byte
}

// run writes until the client goes, its time is over, its key is revoked, it is too slow, or the server stops.
func (s *streaming) run(ctx context.Context) {
	whole, cancel := context.WithTimeout(ctx, s.lasts)
	defer cancel()
	beat := time.Now().Add(s.every)
	for s.send() {
		if !s.flow.Allowed() {
			return
		}
		look, done := context.WithTimeout(whole, max(min(time.Until(beat), time.Second), time.Millisecond))
		items, err := s.reader.Next(look, streamPage)
		done()
		var slow *eventlog.Dropped
		switch {
		case err == nil:
			if !s.events(items) {
				return
			}
		case errors.As(err, &slow):
			s.tell("dropped", slow)
			s.send()
			return
		case ctx.Err() != nil:
			return
		case whole.Err() != nil || errors.Is(err, eventlog.ErrStopping):
			s.tell("bye", struct{}{})
			s.send()
			return
		case !errors.Is(err, context.DeadlineExceeded):
			return // the store's: it was logged by who reads for all; the client comes back
		}
		if time.Now().After(beat) {
			s.beat()
		}
		if len(s.buffer) > 0 {
			beat = time.Now().Add(s.every)
		}
	}
}

// events writes items, a piece at a time: with as many streams as there may be, what each of them
// gathers is what memory is bounded by. False: nobody reads it.
func (s *streaming) events(items []eventlog.Item) bool {
	for i := range items {
		if s.event(&items[i]); len(s.buffer) >= streamPiece && !s.send() {
			return false
		}
	}
	return true
}

// send writes what is gathered; false: nobody reads it.
func (s *streaming) send() bool {
	if len(s.buffer) == 0 {
		return true
	}
	err := s.flow.Write(s.buffer)
	s.buffer = s.buffer[:0]
	return err == nil
}

func (s *streaming) event(i *eventlog.Item) {
	b := append(s.buffer, "id: "...)
	b = strconv.AppendInt(b, i.Position, 10)
	b = append(append(b, "\nevent: "...), i.Type...)
	b = append(append(b, "\ndata: "...), i.Envelope...)
	s.buffer = append(b, "\n\n"...)
}

// tell writes what is about the stream itself. It has no id: nothing of the log was passed.
func (s *streaming) tell(event string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		text = []byte("{}") // shapes of ours always marshal
	}
	b := append(append(s.buffer, "event: "...), event...)
	s.buffer = append(append(append(b, "\ndata: "...), text...), "\n\n"...)
}

// beat shows that the stream is alive, and moves the client's place past what was not asked
// for: an id without data is no event to a client.
func (s *streaming) beat() {
	b := append(s.buffer, ": hb\nid: "...)
	b = strconv.AppendInt(b, s.reader.Position(), 10)
	s.buffer = append(b, "\n\n"...)
}

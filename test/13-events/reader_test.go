package events

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// goal is how many events there will be, once that is known.
type goal struct {
	n     atomic.Int64
	known chan struct{}
}

func newGoal() *goal {
	g := &goal{known: make(chan struct{})}
	g.n.Store(1 << 40)
	return g
}

func (g *goal) set(n int64) {
	g.n.Store(n)
	close(g.known)
}

// reader follows the log in one of the ways there are, and counts.
type reader struct {
	name     string
	p        *harness.Postroad
	expected *goal

	after     int64            // the position of the last event seen
	sequences map[string]int64 // the last one of each message
	types     map[string]int
	seen      int64
	breaks    int // connections it began
	drops     int
	byes      int
	tail      []int64 // positions, for who compares
}

func newReader(name string, p *harness.Postroad, expected *goal) *reader {
	return &reader{name: name, p: p, expected: expected, sequences: map[string]int64{}, types: map[string]int{}}
}

func (r *reader) done() bool { return r.seen >= r.expected.n.Load() }

// take checks one envelope: it comes behind the one before, and next in its message.
func (r *reader) take(envelope []byte) error {
	position, err := strconv.ParseInt(between(envelope, `"position":`, `,`), 10, 64)
	sequence, err2 := strconv.ParseInt(between(envelope, `"sequence":`, `,`), 10, 64)
	message := between(envelope, `"message_id":"`, `"`)
	switch last := r.sequences[message]; {
	case err != nil || err2 != nil || message == "":
		return fmt.Errorf("not an event of a message: %.200s", envelope)
	case position <= r.after:
		return fmt.Errorf("position %d after %d", position, r.after)
	case sequence != last+1:
		return fmt.Errorf("event %d of %s after %d", sequence, message, last)
	}
	r.after, r.sequences[message] = position, sequence
	r.types[between(envelope, `"type":"`, `"`)]++
	r.seen++
	r.tail = append(r.tail, position)
	return nil
}

func between(b []byte, from, to string) string {
	_, rest, _ := bytes.Cut(b, []byte(from))
	out, _, _ := bytes.Cut(rest, []byte(to))
	return string(out)
}

// poll reads pages, each asked for when the one before was worked through.
func (r *reader) poll(ctx context.Context, limit int, pause time.Duration) error {
	for !r.done() && ctx.Err() == nil {
		r.breaks++
		body, err := r.get(ctx, fmt.Sprintf("/v1/events?types=message.*&wait=2&limit=%d&after=%d", limit, r.after))
		if err != nil {
			if again(ctx) {
				continue
			}
			return err
		}
		parts := bytes.Split(body, []byte(`{"id":"evt_`))
		for _, envelope := range parts[1:] {
			if err := r.take(envelope); err != nil {
				return err
			}
		}
		if gap := between(parts[len(parts)-1], `"gap":`, `}`); gap != "null" {
			return fmt.Errorf("gap %s", gap)
		}
		next, err := strconv.ParseInt(between(parts[len(parts)-1], `"next_after":`, `,`), 10, 64)
		if err != nil || next < r.after {
			return fmt.Errorf("next_after %d behind %d: %w", next, r.after, err)
		}
		r.after = next
		time.Sleep(pause)
	}
	return ctx.Err()
}

// again waits a moment, and tells whether to try once more: the process may be restarting.
func again(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func (r *reader) open(ctx context.Context, path string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", r.p.URL+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+harness.TestKey)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return res, err
}

func (r *reader) get(ctx context.Context, path string) ([]byte, error) {
	res, err := r.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// stream reads by Server-Sent Events, over as many connections as it takes. every is after
// how many events it breaks off and comes back, 0: never; pause is after every hundred events.
func (r *reader) stream(ctx context.Context, every int, pause time.Duration) error {
	for !r.done() && ctx.Err() == nil {
		r.breaks++
		connection, cancel := context.WithCancel(ctx)
		r.breakAtGoal(connection, cancel)
		var resume []string
		path := "/v1/events/stream?types=message.*&after=0"
		if r.after > 0 {
			resume = []string{"Last-Event-ID", strconv.FormatInt(r.after, 10)}
		}
		res, err := r.open(connection, path, resume...)
		if err == nil {
			err = r.listen(res.Body, every, pause)
			_ = res.Body.Close()
		} else if again(ctx) {
			err = nil
		}
		cancel()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// breakAtGoal cuts a connection when the goal becomes known: it may be reached already, and
// then nothing comes any more.
func (r *reader) breakAtGoal(ctx context.Context, cut func()) {
	select {
	case <-r.expected.known:
		return
	default:
	}
	go func() {
		select {
		case <-r.expected.known:
			cut()
		case <-ctx.Done():
		}
	}()
}

// listen reads one connection to its end, or as far as it wants to.
func (r *reader) listen(body io.Reader, every int, pause time.Duration) error {
	in := bufio.NewReaderSize(body, 64<<10)
	var event, id string
	for n := 0; !r.done() && (every == 0 || n < every); {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil // the process went, or the connection: it comes back
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "id":
			id = string(value)
		case "event":
			event = string(value)
		case "data":
			switch event {
			case "dropped":
				r.drops++
				if resume := between(value, `"resume_after":`, `}`); resume != strconv.FormatInt(r.after, 10) {
					return fmt.Errorf("resume_after %s, the last seen was %d", resume, r.after)
				}
				return nil
			case "bye":
				r.byes++
				return nil
			case "gap":
				return fmt.Errorf("gap: %s", value)
			}
			if err := r.take(value); err != nil {
				return err
			}
			if id != strconv.FormatInt(r.after, 10) {
				return fmt.Errorf("id %s of an event at %d", id, r.after)
			}
			if n++; n%100 == 0 {
				time.Sleep(pause)
			}
		}
	}
	return nil
}

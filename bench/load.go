package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load sends messages over HTTP in a closed loop: each connection asks, waits for the
// answer, asks again. Its client is a socket and a buffer, since what it burns is
// missing to the server on the same cores.
type load struct {
	addr        string // host:port of the API
	key         string
	connections int
	messages    int
	prefix      string // of the request body, up to where the number stands
	suffix      string // behind it
	first       int    // the number of the first message
	answered    func(number int, at time.Time)
	every       time.Duration // open loop: one message each so long, 0 = closed loop
}

// answers is what came back.
type answers struct {
	accepted  int
	refused   map[int]int // other statuses
	example   string      // the first refusal's body
	took      time.Duration
	latencies []time.Duration // sorted
}

func (a *answers) quantile(q float64) time.Duration { return quantile(a.latencies, q) }

func (a *answers) perSecond() float64 { return float64(a.accepted) / a.took.Seconds() }

// err tells when not all was accepted.
func (a *answers) err() error {
	if len(a.refused) == 0 {
		return nil
	}
	return fmt.Errorf("refused by status: %v, e.g. %s", a.refused, a.example)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// send runs the load to its end.
func (l *load) send(ctx context.Context) (*answers, error) {
	var next atomic.Int64
	var workers sync.WaitGroup
	parts := make([]answers, l.connections)
	errs := make([]error, l.connections)
	start := time.Now()
	for i := range l.connections {
		workers.Add(1)
		go func() {
			defer workers.Done()
			errs[i] = l.connection(ctx, &next, start, &parts[i])
		}()
	}
	workers.Wait()
	all := &answers{took: time.Since(start), refused: map[int]int{}}
	for _, p := range parts {
		all.accepted += p.accepted
		all.latencies = append(all.latencies, p.latencies...)
		for status, n := range p.refused {
			all.refused[status] += n
			all.example = p.example
		}
	}
	slices.Sort(all.latencies)
	return all, errors.Join(errs...)
}

func (l *load) connection(ctx context.Context, next *atomic.Int64, start time.Time, got *answers) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return fmt.Errorf("connect to the API: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	got.refused = map[int]int{}
	got.latencies = make([]time.Duration, 0, l.messages/l.connections+16)
	head := l.head()
	var out []byte
	in := make([]byte, 16<<10)
	for {
		n := int(next.Add(1)) - 1
		if n >= l.messages {
			return nil
		}
		if l.every > 0 {
			if !sleepUntil(ctx, start.Add(time.Duration(n)*l.every)) {
				return ctx.Err()
			}
		}
		out = append(out[:0], head...)
		out = append(out, l.prefix...)
		out = appendNumber(out, l.first+n)
		out = append(out, l.suffix...)
		began := time.Now()
		if _, err := c.Write(out); err != nil {
			return fmt.Errorf("write a request: %w", err)
		}
		status, body, err := readAnswer(c, in)
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
		now := time.Now()
		if status != 202 {
			got.refused[status]++
			got.example = string(body)
			continue
		}
		got.accepted++
		got.latencies = append(got.latencies, now.Sub(began))
		if l.answered != nil {
			l.answered(l.first+n, now)
		}
	}
}

func (l *load) head() []byte {
	return fmt.Appendf(nil, "POST /v1/messages HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		l.addr, l.key, len(l.prefix)+digits+len(l.suffix))
}

// digits of a message's number: fixed, so that all requests are of one length.
const digits = 9

func appendNumber(b []byte, n int) []byte {
	s := strconv.Itoa(n)
	for range digits - len(s) {
		b = append(b, '0')
	}
	return append(b, s...)
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var (
	errAnswer     = errors.New("this is not an HTTP answer with a Content-Length")
	contentLength = []byte("\r\nContent-Length: ")
	endOfHead     = []byte("\r\n\r\n")
)

// readAnswer reads one answer whole; its body is borrowed from buf.
func readAnswer(r io.Reader, buf []byte) (status int, body []byte, err error) {
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		if end := bytes.Index(buf[:have], endOfHead); end >= 0 {
			status, length, err := readHead(buf[:end+2])
			if err != nil {
				return 0, nil, err
			}
			whole := end + 4 + length
			if whole > len(buf) {
				return 0, nil, errAnswer
			}
			if have < whole {
				if _, err := io.ReadFull(r, buf[have:whole]); err != nil {
					return 0, nil, err
				}
			}
			return status, buf[end+4 : whole], nil
		}
		if err != nil {
			return 0, nil, err
		}
		if have == len(buf) {
			return 0, nil, errAnswer
		}
	}
}

func readHead(head []byte) (status, length int, err error) {
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return 0, 0, errAnswer
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, 0, errAnswer
	}
	_, after, ok := bytes.Cut(head, contentLength)
	if !ok {
		return 0, 0, errAnswer
	}
	number, _, _ := bytes.Cut(after, []byte("\r\n"))
	if length, err = strconv.Atoi(string(number)); err != nil {
		return 0, 0, errAnswer
	}
	return status, length, nil
}

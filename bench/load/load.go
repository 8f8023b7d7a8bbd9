// Package load sends messages to Postroad's HTTP API as fast as it answers, or one each
// interval, and tells what came back and when. The benchmark uses it, and the scenarios
// that need a crowd.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Load sends messages over HTTP in a closed loop: each connection asks, waits for the
// answer, asks again. Its client is a socket and a buffer, since what it burns is
// missing to the server on the same cores.
type Load struct {
	Addr        string // host:port of the API
	Key         string // API key
	Connections int
	Messages    int
	Prefix      string        // of the request body, up to where the message's number stands
	Suffix      string        // behind it
	First       int           // the number of the first message
	Every       time.Duration // one message each so long however fast they are answered; 0 = one after another
	// Patient has a message that is refused with 503, as by a server whose machine stood still, sent again
	// on another connection.
	Patient bool
	// Answered, when set, is called for each 202, by the connections' goroutines.
	Answered func(number int, at time.Time)
}

// Answers is what came back.
type Answers struct {
	Accepted  int
	Refused   map[int]int // other statuses
	Example   string      // the body of one refusal
	Took      time.Duration
	Latencies []time.Duration // of the accepted, sorted
}

// Quantile of the latencies, 0 ≤ q < 1.
func (a *Answers) Quantile(q float64) time.Duration { return Quantile(a.Latencies, q) }

// PerSecond is how many were accepted a second.
func (a *Answers) PerSecond() float64 { return float64(a.Accepted) / a.Took.Seconds() }

// Err tells when not all was accepted.
func (a *Answers) Err() error {
	if len(a.Refused) == 0 {
		return nil
	}
	return fmt.Errorf("refused by status: %v, e.g. %s", a.Refused, a.Example)
}

// Quantile of sorted durations.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Send runs the load to its end.
func (l *Load) Send(ctx context.Context) (*Answers, error) {
	var next atomic.Int64
	var workers sync.WaitGroup
	parts := make([]Answers, l.Connections)
	errs := make([]error, l.Connections)
	start := time.Now()
	for i := range l.Connections {
		workers.Add(1)
		go func() {
			defer workers.Done()
			errs[i] = l.connection(ctx, &next, start, &parts[i])
		}()
	}
	workers.Wait()
	return gather(parts, time.Since(start)), errors.Join(errs...)
}

// refused is how long a patient connection waits after a 503.
const refused = 200 * time.Millisecond

// none is the number of no message.
const none = -1

func (l *Load) connection(ctx context.Context, next *atomic.Int64, start time.Time, got *Answers) error {
	got.Refused = map[int]int{}
	got.Latencies = make([]time.Duration, 0, l.Messages/l.Connections+16)
	for owed := none; ; {
		var err error
		if owed, err = l.talk(ctx, next, start, got, owed); err != nil || owed == none {
			return err
		}
		if !sleepUntil(ctx, time.Now().Add(refused)) {
			return ctx.Err()
		}
	}
}

// talk sends over one connection until all is sent, or one of a patient load is refused: that one is
// owed, and first on the next.
func (l *Load) talk(ctx context.Context, next *atomic.Int64, start time.Time, got *Answers, owed int) (int, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return none, fmt.Errorf("connect to the API: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	head := l.head()
	var out []byte
	in := make([]byte, 16<<10)
	for {
		n := owed
		if owed = none; n == none {
			n = int(next.Add(1)) - 1
		}
		if n >= l.Messages {
			return none, nil
		}
		if l.Every > 0 {
			if !sleepUntil(ctx, start.Add(time.Duration(n)*l.Every)) {
				return none, ctx.Err()
			}
		}
		out = append(out[:0], head...)
		out = append(out, l.Prefix...)
		out = appendNumber(out, l.First+n)
		out = append(out, l.Suffix...)
		began := time.Now()
		if _, err := c.Write(out); err != nil {
			return none, fmt.Errorf("write a request: %w", err)
		}
		status, body, err := readAnswer(c, in)
		if err != nil {
			return none, fmt.Errorf("read an answer: %w", err)
		}
		now := time.Now()
		if status == 503 && l.Patient {
			return n, nil
		}
		if status != 202 {
			got.Refused[status]++
			got.Example = string(body)
			continue
		}
		got.Accepted++
		got.Latencies = append(got.Latencies, now.Sub(began))
		if l.Answered != nil {
			l.Answered(l.First+n, now)
		}
	}
}

func (l *Load) head() []byte {
	return fmt.Appendf(nil, "POST /v1/messages HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		l.Addr, l.Key, len(l.Prefix)+Digits+len(l.Suffix))
}

// Digits is how many a message's number is written with: fixed, so that all requests are of one length.
const Digits = 9

func appendNumber(b []byte, n int) []byte {
	s := strconv.Itoa(n)
	for range Digits - len(s) {
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

package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Header values that never change are shared by all answers: nobody appends to them.
var (
	contentJSON     = []string{"application/json"}
	contentProblem  = []string{"application/problem+json"}
	noStore         = []string{"no-store"}
	noSniff         = []string{"nosniff"}
	frameDeny       = []string{"DENY"}
	shouldRetry     = []string{"true"}
	shouldNotRetry  = []string{"false"}
	wwwAuthenticate = []string{"Bearer"}
	yes             = []string{"true"}
	no              = []string{"false"}
	connectionClose = []string{"close"}
)

// timing is what Server-Timing tells, at most three parts.
type timing struct {
	names [3]string
	took  [3]time.Duration
	n     int
}

func (t *timing) mark(name string, took time.Duration) {
	if t.n < len(t.names) {
		t.names[t.n], t.took[t.n] = name, took
		t.n++
	}
}

// Timed tells Server-Timing how long a part of the work took.
func (c *Call) Timed(name string, took time.Duration) { c.timing.mark(name, took) }

// JSON answers with a body that is JSON already.
func (c *Call) JSON(status int, body []byte) { c.write(status, contentJSON, body) }

// Empty answers 204.
func (c *Call) Empty() { c.write(http.StatusNoContent, nil, nil) }

// Answer gives what a work's commit said, for the first time or again.
func (c *Call) Answer(a mail.Answer, key string, replayed bool) {
	h := c.W.Header()
	if a.Location != "" {
		h["Location"] = []string{a.Location}
	}
	if key != "" {
		h["Idempotency-Key"] = []string{key}
		h["Idempotency-Replayed"] = no
	}
	if replayed {
		c.door.counts.replays.Add(1)
		h["Idempotency-Replayed"] = yes
		h["Idempotency-Original-Request"] = []string{a.RequestID}
		h["X-Idempotency-Short-Circuit"] = yes
	}
	c.write(a.Status, contentJSON, a.Body)
}

// Stream answers 200 with bytes of any size, at the client's pace as long as it keeps
// one. Once the first byte is out a fault can only be shown by cutting the connection.
func (c *Call) Stream(contentType, disposition string, size int64, r io.Reader) {
	h := c.W.Header()
	if disposition != "" {
		h.Set("Content-Disposition", disposition)
	}
	if h.Get("Content-Security-Policy") == "" {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	if size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	c.head(http.StatusOK, []string{contentType})
	if c.R.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(c.W)
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(paceTimeout)) // not every writer has one
		n, err := io.CopyN(c.W, r, 256<<10)
		if err == io.EOF {
			return
		}
		if err != nil {
			c.door.log.Debug("an answer was cut", "request_id", c.RequestID, "after", n, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// write sends a whole answer.
func (c *Call) write(status int, contentType []string, body []byte) {
	if c.wrote {
		return
	}
	if body != nil {
		c.W.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.head(status, contentType)
	if body != nil && c.R.Method != http.MethodHead {
		_, _ = c.W.Write(body) // the client is gone, then: nobody to tell
	}
}

// head writes the status and the headers every answer has.
func (c *Call) head(status int, contentType []string) {
	c.wrote = true
	h := c.W.Header()
	if contentType != nil {
		h["Content-Type"] = contentType
	}
	h["X-Request-Id"] = []string{c.RequestID}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = noStore
	}
	h["X-Content-Type-Options"] = noSniff
	h["X-Frame-Options"] = frameDeny
	if h["X-Should-Retry"] == nil {
		h["X-Should-Retry"] = shouldNotRetry
	}
	c.rateHeaders(h)
	c.serverTiming(h)
	if class := status / 100; class < len(c.door.counts.status) {
		c.door.counts.status[class].Add(1)
	}
	c.W.WriteHeader(status)
}

// rateHeaders tells of the tightest limit. All values share one piece of memory: this
// runs once for every message.
func (c *Call) rateHeaders(h http.Header) {
	s := c.standing
	if !c.drawn {
		s = c.lookStanding()
	}
	b := make([]byte, 0, 112)
	var ends [5]int
	b = strconv.AppendInt(b, int64(s.Limit), 10)
	ends[0] = len(b)
	b = strconv.AppendInt(b, int64(s.Remaining), 10)
	ends[1] = len(b)
	b = strconv.AppendInt(b, int64(s.Reset), 10)
	ends[2] = len(b)
	b = append(append(append(b, '"'), s.Policy...), `";q=`...)
	b = append(strconv.AppendInt(b, int64(s.Limit), 10), ";w="...)
	b = strconv.AppendInt(b, int64(s.Seconds()), 10)
	ends[3] = len(b)
	b = append(append(append(b, '"'), s.Policy...), `";r=`...)
	b = append(strconv.AppendInt(b, int64(s.Remaining), 10), ";t="...)
	b = strconv.AppendInt(b, int64(s.Reset), 10)
	ends[4] = len(b)

	all := string(b)
	values := &[5]string{all[:ends[0]], all[ends[0]:ends[1]], all[ends[1]:ends[2]], all[ends[2]:ends[3]], all[ends[3]:]}
	h["X-Ratelimit-Limit"] = values[0:1:1]
	h["X-Ratelimit-Remaining"] = values[1:2:2]
	h["X-Ratelimit-Reset"] = values[2:3:3]
	h["Ratelimit-Policy"] = values[3:4:4]
	h["Ratelimit"] = values[4:5:5]
}

// lookStanding is for answers given before anything was drawn.
func (c *Call) lookStanding() project.Standing {
	if c.known {
		return c.look()
	}
	return c.door.limits.TakeAddress(c.IP, c.Arrived)
}

func (c *Call) serverTiming(h http.Header) {
	b := make([]byte, 0, 80)
	for i := range c.timing.n {
		b = appendTiming(append(append(b, c.timing.names[i]...), ";dur="...), c.timing.took[i])
		b = append(b, ", "...)
	}
	b = appendTiming(append(b, "total;dur="...), c.door.now().Sub(c.Arrived))
	h["Server-Timing"] = []string{string(b)}
}

// appendTiming writes milliseconds with two decimals.
func appendTiming(b []byte, d time.Duration) []byte {
	hundredths := max(int64(d/(10*time.Microsecond)), 0)
	b = append(strconv.AppendInt(b, hundredths/100, 10), '.')
	return append(b, byte('0'+hundredths/10%10), byte('0'+hundredths%10))
}

// ETag sets the entity tag of a configuration's version.
func (c *Call) ETag(version int64) { c.W.Header()["Etag"] = []string{fmt.Sprintf(`"v%d"`, version)} }

// IfMatch is the version an If-Match header asks for; 0 when there is none. A header
// that names none of ours is -1, which no version is.
func (c *Call) IfMatch() int64 {
	v := c.R.Header.Get("If-Match")
	if v == "" || v == "*" {
		return 0
	}
	var version int64
	if _, err := fmt.Sscanf(v, `"v%d"`, &version); err != nil || version <= 0 {
		return -1
	}
	return version
}

package webhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// response is what a call brought: as much of it as is kept.
type response struct {
	status int
	header http.Header
	body   string
}

// call makes one POST. What it gives is safe to keep and to show: bounded, valid UTF-8,
// without NUL. When a status came, it counts, whatever became of the body.
func (c *Client) call(ctx context.Context, raw string, header http.Header, body []byte) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Total)
	defer cancel()
	t, fault := parseTarget(raw)
	if fault != nil {
		return response{}, fault
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	req.Header = header
	transport := c.plain
	if t.secure {
		transport = c.secure
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return response{}, err
	}
	kept, _ := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	_ = res.Body.Close() // with more to come this cuts the connection
	return response{res.StatusCode, res.Header, readable(kept, maxBody)}, nil
}

// readable makes a text of others' bytes: at most max bytes, valid UTF-8, no NUL.
func readable(b []byte, max int) string {
	b = cut(b, max)
	s := strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\x00", "\uFFFD")
	return string(cut([]byte(s), max)) // replacing may have made it longer
}

// cut shortens to max bytes, not within a character.
func cut(b []byte, max int) []byte {
	if len(b) <= max {
		return b
	}
	b = b[:max]
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if r := b[len(b)-i]; utf8.RuneStart(r) {
			if !utf8.FullRune(b[len(b)-i:]) {
				b = b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// maxRetryAfter is the longest wait a receiver may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a Retry-After (RFC 9110 §10.2.3): seconds, or a date; 0 when there is
// none that says anything. Longer ones than 24 h are 24 h.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	var wait time.Duration
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		wait = time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

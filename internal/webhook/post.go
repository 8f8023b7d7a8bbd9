package webhook

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
)

// Post makes one try: it signs the request, posts it and keeps what came back. What is in
// the [Try] is safe to keep and to show: bounded, valid UTF-8, without NUL and secrets.
// When a status came it counts, whatever became of the body behind it.
func (c *Client) Post(ctx context.Context, r Request) Try {
	began := time.Now()
	header := c.headers(&r)
	try := Try{At: r.At, RequestHeaders: shownHeaders(header, r.Endpoint.Headers)}
	res, body, err := c.call(ctx, r.Endpoint.URL, header, r.Body)
	try.Duration = time.Since(began)
	if err != nil {
		try.Error, try.Refused = trouble(err), refused(err)
		return try
	}
	if res.StatusCode < 100 || res.StatusCode > 599 { // RFC 9110 §15
		try.Error = "The answer's status is " + strconv.Itoa(res.StatusCode) + ", which means nothing in HTTP."
		return try
	}
	try.Status, try.Response = res.StatusCode, readable(body, MaxResponse)
	try.ResponseHeaders = shownHeaders(res.Header, nil)
	try.RetryAfter = retryAfter(res.Header, r.At.Add(try.Duration))
	try.Abort = strings.EqualFold(strings.TrimSpace(res.Header.Get("webhook-delivery")), "abort-message")
	return try
}

// call makes one POST and reads the beginning of the answer's body.
func (c *Client) call(ctx context.Context, raw string, header http.Header, body []byte) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Total)
	defer cancel()
	t, fault := parseTarget(raw)
	if fault != nil {
		return nil, nil, fault
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header = header
	transport := c.plain
	if t.secure {
		transport = c.secure
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	kept, _ := io.ReadAll(io.LimitReader(res.Body, MaxResponse+1))
	_ = res.Body.Close() // with more to come this cuts the connection
	return res, kept, nil
}

// headers are those of a request: the owner's own, and over them ours.
func (c *Client) headers(r *Request) http.Header {
	h := make(http.Header, 9+len(r.Endpoint.Headers))
	for name, value := range r.Endpoint.Headers {
		h.Set(name, value)
	}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", c.agent)
	h.Set("Webhook-Id", r.ID)
	h.Set("Webhook-Timestamp", strconv.FormatInt(r.At.Unix(), 10))
	h.Set("Webhook-Signature", Signature(r.ID, r.At, r.Body, r.Secrets...))
	h.Set("X-Postroad-Attempt", strconv.Itoa(r.Attempt))
	h.Set("X-Postroad-Endpoint", r.Endpoint.ID.Text(PrefixEndpoint))
	if r.Endpoint.Format == FormatHyvor && len(r.Secrets) > 0 {
		h.Set("X-Signature", HyvorSignature(r.Body, r.Secrets[0]))
	}
	if h.Get("Idempotency-Key") == "" {
		// Not sent: it tells the transport that the request may be made again when a kept
		// connection turns out to be closed. Receivers know it by its webhook-id.
		h["Idempotency-Key"] = nil
	}
	return h
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

// hiddenHeaders are not kept, in requests or answers.
var hiddenHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"}

// SecretHeader tells whether a header of the owner's probably holds a secret: such values
// are shown only to those who may change them.
func SecretHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "cookie", "token", "secret", "key", "password", "signature"}, func(part string) bool { return strings.Contains(name, part) })
}

// Redacted stands in the place of what is not shown.
const Redacted = "[redacted]"

// Bounds of the headers that are kept of one message.
const (
	maxShownHeaders = 100
	maxShownHeader  = 1 << 10
	maxShownTotal   = 16 << 10
)

// shownHeaders makes a bounded list of headers, sorted by name, that may be kept. own are
// the owner's: of these all that looks like a secret is hidden.
func shownHeaders(h http.Header, own map[string]string) []mail.Header {
	mine := map[string]bool{}
	for name := range own {
		mine[http.CanonicalHeaderKey(name)] = true
	}
	names := slices.Sorted(maps.Keys(h))
	list := make([]mail.Header, 0, len(names))
	total := 0
	for _, name := range names {
		for _, value := range h[name] {
			if slices.Contains(hiddenHeaders, name) || mine[name] && SecretHeader(name) {
				value = Redacted
			}
			n, v := readable([]byte(name), 128), readable([]byte(value), maxShownHeader)
			if total += len(n) + len(v); len(list) == maxShownHeaders || total > maxShownTotal {
				return list
			}
			list = append(list, mail.Header{Name: n, Value: v})
		}
	}
	return list
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

package postroad

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds an answer that is read whole: no list or message comes near it.
const maxAnswer = 64 << 20

// CallOption changes one call.
type CallOption func(*callOptions)

type callOptions struct {
	once    string
	ifMatch string
	header  http.Header
	query   url.Values
}

// IdempotencyKey names the business fact a POST stands for ("receipt/ord_91"). Without
// one a call makes its own and keeps it over its attempts: that covers the network. A key
// of yours also covers a crashed process and a job that runs again.
func IdempotencyKey(key string) CallOption { return func(o *callOptions) { o.once = key } }

// IfMatch has a change refused (412, [ErrConflict]) when the thing is not the one that
// [Response.ETag] was of.
func IfMatch(etag string) CallOption { return func(o *callOptions) { o.ifMatch = etag } }

// Header adds a header to the request, traceparent for one.
func Header(name, value string) CallOption {
	return func(o *callOptions) {
		if o.header == nil {
			o.header = http.Header{}
		}
		o.header.Set(name, value)
	}
}

// Strict has unknown fields refused instead of warned about.
func Strict() CallOption { return param("strict", "true") }

// Force is for the changes that ask for it: see the method's text.
func Force() CallOption { return param("force", "true") }

// param adds a query parameter.
func param(name, value string) CallOption {
	return func(o *callOptions) {
		if o.query == nil {
			o.query = url.Values{}
		}
		o.query.Set(name, value)
	}
}

// request is one call, to be made in one or more attempts.
type request struct {
	method      string
	path        string // escaped, behind the base
	query       url.Values
	body        []byte // nil: none
	contentType string // "": JSON
	accept      string // "": JSON
	options     []CallOption
	ownKey      bool          // the body carries an idempotency key
	wait        time.Duration // how much longer than usual the server may take by design
	stream      bool          // the answer's body is not read, but handed over
	single      bool          // the caller tries again by itself
}

// answer is a success.
type answer struct {
	status int
	header http.Header
	body   []byte        // read whole, or
	stream io.ReadCloser // not at all
}

// do makes the attempts of a call.
func (c *Client) do(ctx context.Context, r request) (*answer, error) {
	var o callOptions
	for _, option := range r.options {
		option(&o)
	}
	if r.method == http.MethodPost && o.once == "" && !r.ownKey {
		o.once = "auto-" + rand.Text()
	}
	tries := c.maxAttempts
	if r.single {
		tries = 1
	}
	for attempt := 0; ; attempt++ {
		began := time.Now()
		got, header, e := c.attempt(ctx, &r, &o, attempt)
		told := Attempt{Method: r.method, Path: r.path, Number: attempt + 1, Duration: time.Since(began), RequestID: header.Get("X-Request-Id")}
		if e == nil {
			told.Status = got.status
			c.tell(told)
			return got, nil
		}
		e.Attempts = attempt + 1
		wait, again := judge(e, header, attempt)
		again = again && attempt+1 < tries && ctx.Err() == nil && inTime(ctx, wait)
		told.Status, told.Err, told.Retry = e.Status, e, again
		if again {
			told.Wait = wait
		}
		c.tell(told)
		if !again {
			return nil, e
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, e
		}
	}
}

func (c *Client) tell(a Attempt) {
	if c.hook != nil {
		c.hook(a)
	}
}

// inTime: a wait that ends behind the deadline would only delay the same error.
func inTime(ctx context.Context, wait time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	return !bounded || time.Now().Add(wait).Before(deadline)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errSlow ends an attempt that took longer than one may.
var errSlow = errors.New("no answer in time")

// attempt makes one. Of an answer that is streamed only the beginning is bounded in time.
func (c *Client) attempt(ctx context.Context, r *request, o *callOptions, number int) (*answer, http.Header, *Error) {
	limit := c.limit(r)
	within, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errSlow) })
	res, err := c.send(within, r, o, number)
	if err != nil {
		timer.Stop()
		cancel(nil)
		return nil, nil, unanswered(ctx, within, err, limit)
	}
	if r.stream && res.StatusCode/100 == 2 && timer.Stop() {
		return &answer{res.StatusCode, res.Header, nil, &streamed{res.Body, cancel}}, res.Header, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	_ = res.Body.Close()
	timer.Stop()
	defer cancel(nil)
	switch {
	case err != nil:
		return nil, res.Header, unanswered(ctx, within, fmt.Errorf("the answer broke off: %w", err), limit)
	case res.StatusCode/100 != 2:
		return nil, res.Header, problemOf(res.StatusCode, res.Header, body, time.Now())
	case len(body) > maxAnswer:
		return nil, res.Header, &Error{Kind: ErrServer, Status: res.StatusCode, Message: "the answer has more than 64 MB", Raw: body[:maxRaw]}
	}
	return &answer{res.StatusCode, res.Header, body, nil}, res.Header, nil
}

func (c *Client) limit(r *request) time.Duration {
	limit := c.timeout
	if limit == 0 {
		if limit = DefaultTimeout; len(r.body) > bigBody {
			limit = bigTimeout
		}
	}
	return limit + r.wait
}

func (c *Client) send(ctx context.Context, r *request, o *callOptions, number int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body == nil {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	}
	query := req.URL.Query()
	for _, more := range []url.Values{r.query, o.query} {
		for name, values := range more {
			query[name] = values
		}
	}
	req.URL.RawQuery = query.Encode()
	for name, values := range o.header {
		req.Header[name] = values
	}
	c.fill(req.Header, r, o, number)
	return c.http.Do(req)
}

func (c *Client) fill(h http.Header, r *request, o *callOptions, number int) {
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	if c.key != "" {
		set("Authorization", "Bearer "+c.key)
	}
	h.Set("Accept", "application/json")
	set("Accept", r.accept)
	if r.body != nil {
		h.Set("Content-Type", "application/json")
		set("Content-Type", r.contentType)
	}
	set("User-Agent", c.agent)
	if r.method == http.MethodPost {
		set("Idempotency-Key", o.once)
	}
	set("If-Match", o.ifMatch)
	if number > 0 {
		set("X-Retry-Attempt", strconv.Itoa(number))
	}
}

// unanswered is an attempt without an answer: the caller gave up, the attempt took too
// long, or the network failed.
func unanswered(ctx, within context.Context, err error, limit time.Duration) *Error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // its text has the URL, and so what stands in the query
	}
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: ErrCanceled, Message: "the call was given up", cause: ctx.Err()}
	case ctx.Err() != nil:
		return &Error{Kind: ErrTimeout, Message: "the call's deadline passed", cause: ctx.Err()}
	case errors.Is(context.Cause(within), errSlow):
		return &Error{Kind: ErrTimeout, Message: fmt.Sprintf("no answer within %v", limit), cause: context.DeadlineExceeded}
	}
	return &Error{Kind: ErrConnection, Message: "the server cannot be reached: " + err.Error(), cause: err}
}

// streamed is a body whose request ends with it.
type streamed struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

func (s *streamed) Close() error {
	defer s.end(nil)
	return s.ReadCloser.Close()
}

// path joins what stands between slashes, escaped. A part that would name something else
// than what it stands for (nothing, a dot) is a fault.
func path(parts ...string) (string, error) {
	var b strings.Builder
	b.WriteString("/v1")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "", invalid("missing_required_field", "id", "the id is "+strconv.Quote(p)+": name what is meant")
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String(), nil
}

// call makes one call whose answer is one T.
func call[T any](ctx context.Context, c *Client, method string, parts []string, body any, options []CallOption) (*T, error) {
	r, err := requestOf(method, parts, body, options)
	if err != nil {
		return nil, err
	}
	return into[T](c.do(ctx, r))
}

func requestOf(method string, parts []string, body any, options []CallOption) (r request, err error) {
	r = request{method: method, options: options}
	if r.path, err = path(parts...); err != nil {
		return r, err
	}
	if body != nil {
		if r.body, err = json.Marshal(body); err != nil {
			return r, invalid("invalid_type", "body", "the request cannot be written as JSON: "+err.Error())
		}
	}
	return r, nil
}

// into reads a success as one T.
func into[T any](got *answer, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	out := new(T)
	if len(bytes.TrimSpace(got.body)) > 0 {
		if err := json.Unmarshal(got.body, out); err != nil {
			return nil, notOurs(got, err)
		}
	} else if got.status != http.StatusNoContent {
		return nil, notOurs(got, errors.New("an empty body"))
	}
	if k, ok := any(out).(keeper); ok {
		k.keep(got.body, got.header)
	}
	return out, nil
}

// notOurs is a success that no Postroad would answer: something stands in between.
func notOurs(got *answer, err error) *Error {
	return &Error{Kind: ErrServer, Status: got.status, RequestID: got.header.Get("X-Request-Id"), Raw: got.body[:min(len(got.body), maxRaw)],
		Message: fmt.Sprintf("the server answered %d, but not as Postroad does: %v", got.status, err), Attempts: 1, cause: err}
}

// nothing makes a call whose success has no body.
func nothing(ctx context.Context, c *Client, method string, parts []string, body any, options []CallOption) error {
	r, err := requestOf(method, parts, body, options)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, r)
	return err
}

// at is the parts of a path.
func at(parts ...string) []string { return parts }

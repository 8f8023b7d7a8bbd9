package postroad_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/clients/go/postroadtest"
)

var message = postroad.Message{Recipient: "ada@example.com", Subject: "S", Text: "T"}

func TestBackoffIsTheFormula(t *testing.T) {
	t.Parallel()
	for attempt, low := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		lowest, highest := time.Hour, time.Duration(0)
		for range 2000 {
			d := postroad.Backoff(attempt)
			lowest, highest = min(lowest, d), max(highest, d)
		}
		low *= time.Second
		if lowest < low || highest > min(low+time.Second, time.Minute) {
			t.Errorf("attempt %d: %v to %v", attempt, lowest, highest)
		}
		if low < time.Minute && highest-lowest < 900*time.Millisecond {
			t.Errorf("attempt %d: the jitter spans only %v", attempt, highest-lowest)
		}
	}
}

// What is tried again and what is not: each case is the first answer; the second is a 202.
func TestWhichAnswersAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		code    string
		headers []string
		again   bool
		kind    postroad.Kind
	}{
		{400, "invalid_json", nil, false, postroad.ErrValidation},
		{401, "invalid_api_key", nil, false, postroad.ErrAuthentication},
		{403, "insufficient_scope", nil, false, postroad.ErrPermission},
		{404, "not_found", nil, false, postroad.ErrNotFound},
		{405, "method_not_allowed", nil, false, postroad.ErrValidation},
		{408, "request_timeout", nil, true, postroad.ErrTimeout},
		{409, "state_conflict", nil, false, postroad.ErrConflict},
		{409, "idempotency_in_progress", nil, true, postroad.ErrIdempotency},
		{412, "precondition_failed", nil, false, postroad.ErrConflict},
		{413, "payload_too_large", nil, false, postroad.ErrValidation},
		{422, "validation_failed", nil, false, postroad.ErrValidation},
		{422, "idempotency_key_reused", nil, false, postroad.ErrIdempotency},
		{425, "", nil, true, postroad.ErrValidation},
		{429, "rate_limited", nil, true, postroad.ErrRateLimit},
		{500, "internal_error", nil, true, postroad.ErrServer},
		{501, "", nil, false, postroad.ErrServer},
		{502, "", nil, true, postroad.ErrServer},
		{503, "overloaded", nil, true, postroad.ErrServer},
		{504, "", nil, true, postroad.ErrServer},
		{302, "", []string{"Location", "https://elsewhere.test/"}, false, postroad.ErrServer},
		{418, "a_code_of_tomorrow", nil, false, postroad.ErrValidation},
		{500, "internal_error", []string{"X-Should-Retry", "false"}, false, postroad.ErrServer},
		{409, "state_conflict", []string{"X-Should-Retry", "true"}, true, postroad.ErrConflict},
	} {
		t.Run(fmt.Sprintf("%d %s %v", c.status, c.code, c.headers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := postroadtest.New()
				problem := map[string]any{"code": c.code, "detail": "No."}
				server.Answer("POST", "/v1/messages", c.status, problem, c.headers...)
				_, err := server.Client().Messages.Send(t.Context(), message)
				if c.again != (err == nil) || len(server.Requests()) != map[bool]int{true: 2, false: 1}[c.again] {
					t.Fatalf("%d requests, %v", len(server.Requests()), err)
				}
				server.Answer("POST", "/v1/messages", c.status, problem, c.headers...)
				_, err = server.Client(postroad.WithMaxAttempts(1)).Messages.Send(t.Context(), message)
				var e *postroad.Error
				if !errors.Is(err, c.kind) || !errors.As(err, &e) || e.Status != c.status || e.Code != c.code || e.RequestID == "" || e.Attempts != 1 {
					t.Errorf("%#v", err)
				}
			})
		})
	}
}

// How long it waits: what the server asked for, else by the formula.
func TestHowLongACallWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status    int
		headers   func(now time.Time) []string
		low, high time.Duration // high 0: it gives up at once
	}{
		"formula":                  {500, nil, time.Second, 2 * time.Second},
		"retry after":              {503, pair("Retry-After", "7"), 7 * time.Second, 7 * time.Second},
		"retry after zero":         {503, pair("Retry-After", "0"), 0, 0},
		"sixty seconds":            {429, pair("Retry-After", "60"), time.Minute, time.Minute},
		"too long":                 {429, pair("Retry-After", "61"), -1, 0},
		"reset of a limit":         {429, pair("X-RateLimit-Reset", "37"), 37 * time.Second, 37 * time.Second},
		"retry after before reset": {429, pair("Retry-After", "3", "X-RateLimit-Reset", "37"), 3 * time.Second, 3 * time.Second},
		"reset of another status":  {500, pair("X-RateLimit-Reset", "37"), time.Second, 2 * time.Second},
		"nonsense":                 {503, pair("Retry-After", "soon"), time.Second, 2 * time.Second},
		"a date": {503, func(now time.Time) []string {
			return []string{"Retry-After", now.Add(20 * time.Second).UTC().Format(http.TimeFormat)}
		}, 19 * time.Second, 20 * time.Second},
		"an epoch": {429, func(now time.Time) []string {
			return []string{"X-RateLimit-Reset", strconv.FormatInt(now.Add(20*time.Second).Unix(), 10)}
		}, 19 * time.Second, 20 * time.Second},
		"an epoch that has passed": {429, pair("X-RateLimit-Reset", "1000000001"), -2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Duration(1.8e18 - float64(time.Now().UnixNano()))) // bubbles begin in 2000
				server, began := postroadtest.New(), time.Now()
				var headers []string
				if c.headers != nil {
					headers = c.headers(began)
				} else {
					headers = []string{"X-RateLimit-Reset", ""}
				}
				if !strings.Contains(strings.Join(headers, " "), "X-RateLimit-Reset") {
					headers = append(headers, "X-RateLimit-Reset", "")
				}
				server.Answer("GET", "", c.status, map[string]string{"code": "x"}, headers...)
				server.Answer("GET", "", 200, `{"version":"1"}`)
				_, err := server.Client().Health.Version(t.Context())
				took := time.Since(began)
				if c.low == -1 {
					var e *postroad.Error
					if !errors.As(err, &e) || e.RetryAfter != 61*time.Second || took != 0 || len(server.Requests()) != 1 {
						t.Errorf("%v after %v, %d requests", err, took, len(server.Requests()))
					}
				} else if err != nil || took < max(c.low, 0) || took > c.high {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

func pair(headers ...string) func(time.Time) []string {
	return func(time.Time) []string { return headers }
}

func TestFiveAttemptsInAllEachWithTheSameKeyAndItsNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, began := postroadtest.New(), time.Now()
		for range 9 {
			server.Fail("POST", "", postroadtest.ErrReset)
		}
		var told []postroad.Attempt
		_, err := server.Client(postroad.WithHook(func(a postroad.Attempt) { told = append(told, a) })).Messages.Send(t.Context(), message)
		var e *postroad.Error
		if !errors.Is(err, postroad.ErrConnection) || !errors.Is(err, postroadtest.ErrReset) || !errors.As(err, &e) || e.Attempts != 5 {
			t.Fatalf("%#v", err)
		}
		if took := time.Since(began); took < 15*time.Second || took > 19*time.Second {
			t.Errorf("the waits come to %v", took)
		}
		requests := server.Requests()
		if len(requests) != 5 || len(told) != 5 {
			t.Fatalf("%d attempts, %d told", len(requests), len(told))
		}
		for i, r := range requests {
			if r.Header.Get("Idempotency-Key") != requests[0].Header.Get("Idempotency-Key") || !strings.HasPrefix(r.Header.Get("Idempotency-Key"), "auto-") {
				t.Errorf("attempt %d: key %q", i, r.Header.Get("Idempotency-Key"))
			}
			if want := map[bool]string{true: "", false: strconv.Itoa(i)}[i == 0]; r.Header.Get("X-Retry-Attempt") != want {
				t.Errorf("attempt %d: X-Retry-Attempt %q", i, r.Header.Get("X-Retry-Attempt"))
			}
			if a := told[i]; a.Number != i+1 || a.Retry != (i < 4) || a.Err == nil || (a.Wait > 0) != (i < 4) || a.Method != "POST" || a.Path != "/v1/messages" {
				t.Errorf("told %+v", a)
			}
		}
	})
}

func TestADeadlineIsNeverSleptPast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, began := postroadtest.New(), time.Now()
		server.Answer("GET", "", 503, map[string]string{"code": "overloaded"}, "Retry-After", "30")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := server.Client().Me(ctx)
		var e *postroad.Error
		if !errors.As(err, &e) || e.Code != "overloaded" || e.RetryAfter != 30*time.Second || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		server.Answer("GET", "", 503, nil, "Retry-After", "30")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		began := time.Now()
		if _, err := server.Client().Me(ctx); err == nil || time.Since(began) != time.Second || len(server.Requests()) != 1 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := server.Client().Me(ctx); !errors.Is(err, postroad.ErrCanceled) || !errors.Is(err, context.Canceled) {
			t.Errorf("%#v", err)
		}
	})
}

// slow answers nothing until its request is given up.
type slow struct{ seen []time.Duration }

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	<-r.Context().Done()
	s.seen = append(s.seen, time.Since(began))
	return nil, r.Context().Err()
}

func TestAnAttemptMayTakeThirtySecondsAndABigOneSixty(t *testing.T) {
	t.Parallel()
	for size, limit := range map[int]time.Duration{10: 30 * time.Second, 2 << 20: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{}
			c, err := postroad.New(postroad.WithAPIKey("k"), postroad.WithHTTPClient(&http.Client{Transport: s}), postroad.WithMaxAttempts(2))
			if err != nil {
				t.Fatal(err)
			}
			m := message
			m.Text = strings.Repeat("x", size)
			_, err = c.Messages.Send(t.Context(), m)
			if !errors.Is(err, postroad.ErrTimeout) || len(s.seen) != 2 || s.seen[0] != limit || s.seen[1] != limit {
				t.Errorf("%v %v", err, s.seen)
			}
		})
	}
}

// broken is a body that ends before its end, once.
type broken struct {
	http.RoundTripper
	times int
}

func (b *broken) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil && b.times > 0 {
		b.times--
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"message_`), failing{}))
	}
	return res, err
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The answer of the first attempt is lost on its way: the second finds what it made.
func TestALostAnswerDoesNotSendTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		c := server.Client(postroad.WithHTTPClient(&http.Client{Transport: &broken{server, 1}}))
		sent, err := c.Messages.Send(t.Context(), message)
		if err != nil || len(server.Sent()) != 1 || sent.MessageID != server.Sent()[0].MessageID || !sent.Replayed() || len(server.Requests()) != 2 {
			t.Errorf("%+v %v, %d sent", sent, err, len(server.Sent()))
		}
	})
}

func TestOneKeyOnlyGoesWithARequest(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	c := server.Client()
	own, inHeaders := message, message
	own.IdempotencyKey, inHeaders.Headers = "mine", map[string]string{"x-idempotency-key": "there"}
	for i, send := range []func() (*postroad.Accepted, error){
		func() (*postroad.Accepted, error) { return c.Messages.Send(t.Context(), own) },
		func() (*postroad.Accepted, error) {
			return c.Messages.Send(t.Context(), own, postroad.IdempotencyKey("stronger"))
		},
		func() (*postroad.Accepted, error) { return c.Messages.Send(t.Context(), inHeaders) },
		func() (*postroad.Accepted, error) {
			server.Answer("POST", "/v1/messages/raw", 202, `{}`)
			return c.Messages.SendRaw(t.Context(), postroad.RawMessage{Content: []byte("Subject: x\r\nIDEMPOTENCY-key: there\r\n\r\nX-Idempotency-Key: not here")})
		},
		func() (*postroad.Accepted, error) {
			server.Answer("POST", "/v1/messages/raw", 202, `{}`)
			return c.Messages.SendRaw(t.Context(), postroad.RawMessage{Content: []byte("Subject: x\r\n\r\nIdempotency-Key: not here")})
		},
	} {
		if _, err := send(); err != nil {
			t.Fatal(err)
		}
		r := server.Requests()[i]
		key, want := r.Header.Get("Idempotency-Key"), []string{"mine", "stronger", "", "", "auto-"}[i]
		if key != want && (want != "auto-" || !strings.HasPrefix(key, want)) || strings.Contains(string(r.Body), `"idempotency_key"`) {
			t.Errorf("%d: key %q", i, key)
		}
	}
}

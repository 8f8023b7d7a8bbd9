package postroad

import (
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxDelay bounds the wait between two attempts. A server that asks for more gets no
// further attempt: the error tells how long it asked for.
const maxDelay = 60 * time.Second

// Backoff is how long a call waits after its attempt 0, 1, 2, …: one second, doubled each
// time, plus up to a second at random, at most 60 s. So 1–2, 2–3, 4–5 and 8–9 s between
// the five attempts of a call.
func Backoff(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 0), 6)+rand.N(time.Second), maxDelay)
}

// judge tells whether an attempt's failure may pass when it is made again, and how long
// to wait: what the server asked for, else by the formula.
func judge(e *Error, header http.Header, attempt int) (wait time.Duration, again bool) {
	if e.Status == 0 {
		var untrusted *tls.CertificateVerificationError
		return Backoff(attempt), (e.Kind == ErrConnection || e.Kind == ErrTimeout) && !errors.As(e, &untrusted)
	}
	switch header.Get("X-Should-Retry") {
	case "true":
		again = true
	case "false":
		again = false
	default:
		again = mayPass(e)
	}
	if e.asked {
		return e.RetryAfter, again && e.RetryAfter <= maxDelay
	}
	return Backoff(attempt), again
}

// mayPass: statuses that another attempt may not meet.
func mayPass(e *Error) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		return e.Code == "idempotency_in_progress"
	}
	return false
}

// askedWait is what an answer says about when to come back: Retry-After, and where limits
// refused also X-RateLimit-Reset (which every answer carries).
func askedWait(status int, header http.Header, now time.Time) (time.Duration, bool) {
	if wait, ok := waitOf(header.Get("Retry-After"), now); ok {
		return wait, true
	}
	if status == http.StatusTooManyRequests {
		return waitOf(header.Get("X-RateLimit-Reset"), now)
	}
	return 0, false
}

// waitOf reads seconds, a date (RFC 9110 §10.2.3), or, as some servers send it, the unix
// time: a number above 10⁹.
func waitOf(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n < 0:
		return 0, false
	case err == nil && n > 1e9:
		if n > 1e11 { // nobody means a time after the year 5138, but milliseconds
			n /= 1000
		}
		return max(time.Unix(n, 0).Sub(now), 0), true
	case err == nil:
		return time.Duration(n) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(date.Sub(now), 0), true
}

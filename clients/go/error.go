package postroad

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind is what sort of failure an [Error] is. Each is an error by itself, for [errors.Is].
type Kind string

// Error makes a kind a target of errors.Is.
func (k Kind) Error() string { return "postroad: " + string(k) + " error" }

// The kinds. An unknown code gets the kind of its status.
const (
	ErrAuthentication Kind = "authentication" // 401: no key, a wrong, revoked, expired or disabled one
	ErrPermission     Kind = "permission"     // 403: the key may not do this
	ErrNotFound       Kind = "not_found"      // 404, 410
	ErrConflict       Kind = "conflict"       // 409, 412, 428: the state of things does not allow it
	ErrValidation     Kind = "validation"     // other 4xx: the request must be changed
	ErrIdempotency    Kind = "idempotency"    // idempotency_*: the key is malformed, reused or being worked on
	ErrRateLimit      Kind = "rate_limit"     // 429: limits and quotas
	ErrServer         Kind = "server"         // 5xx, and answers that are none of Postroad's
	ErrConnection     Kind = "connection"     // no answer: refused, reset, broken off
	ErrTimeout        Kind = "timeout"        // an attempt or the whole call took too long; 408
	ErrCanceled       Kind = "canceled"       // the caller gave up
	ErrSignature      Kind = "signature"      // a webhook that is not genuine, or too old
)

// FieldError is what is wrong with one field of a request.
type FieldError struct {
	Field      string `json:"field"`
	Pointer    string `json:"pointer"` // JSON pointer into the request
	Code       string `json:"code"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"`
	Line       int    `json:"line"` // in a template, from 1
	Column     int    `json:"column"`
}

// Error is every failure of a call.
type Error struct {
	Kind       Kind
	Status     int          // of the answer; 0: there was none
	Code       string       // of the API, e.g. "validation_failed"; contract, unlike Message
	Message    string       // for people
	RequestID  string       // what the server's operator can look up
	Errors     []FieldError // all faults of the request at once
	RetryAfter time.Duration
	Attempts   int    // made
	Raw        []byte // the answer's body as it came, at most 64 KB; a proxy's page, too

	asked bool // RetryAfter was said by the server
	cause error
}

// Error is the message with its code; fields stand in Errors.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("postroad: ")
	b.WriteString(e.Message)
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	for i, f := range e.Errors {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Errors)-i)
			break
		}
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" [" + e.RequestID + "]")
	}
	return b.String()
}

// Is makes errors.Is(err, ErrNotFound) tell kinds.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// Unwrap gives what was met below: a net error, context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.cause }

// Field reads a member of the problem that this type has no field for, such as
// current_state or required_scope, into to. It tells whether it was there.
func (e *Error) Field(name string, to any) bool { return member(e.Raw, name, to) }

func member(raw []byte, name string, to any) bool {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return false
	}
	value, ok := all[name]
	return ok && json.Unmarshal(value, to) == nil
}

// maxRaw is how much of a failure's body is kept.
const maxRaw = 64 << 10

// problemOf reads an answer that is no success. A body that is no problem (RFC 9457) of
// ours stays in Raw.
func problemOf(status int, header http.Header, body []byte, now time.Time) *Error {
	e := &Error{Status: status, RequestID: header.Get("X-Request-Id"), Raw: body[:min(len(body), maxRaw)]}
	var p struct {
		Code, Detail, Message, Title string
		RequestID                    string `json:"request_id"`
		Errors                       []FieldError
	}
	if json.Unmarshal(body, &p) == nil {
		e.Code, e.Errors = p.Code, p.Errors
		for _, text := range []string{p.Title, p.Message, p.Detail} {
			if text != "" {
				e.Message = strings.TrimSuffix(text, ".")
			}
		}
		if p.RequestID != "" {
			e.RequestID = p.RequestID
		}
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
		if to := header.Get("Location"); status/100 == 3 && to != "" {
			e.Message += ": set the base URL to where it redirects"
		}
	}
	e.Kind = kindOf(status, e.Code)
	e.RetryAfter, e.asked = askedWait(status, header, now)
	return e
}

func kindOf(status int, code string) Kind {
	switch {
	case strings.HasPrefix(code, "idempotency_"), code == "invalid_idempotency_key":
		return ErrIdempotency
	case status == http.StatusUnauthorized:
		return ErrAuthentication
	case status == http.StatusForbidden:
		return ErrPermission
	case status == http.StatusNotFound, status == http.StatusGone:
		return ErrNotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed, status == http.StatusPreconditionRequired:
		return ErrConflict
	case status == http.StatusRequestTimeout:
		return ErrTimeout
	case status == http.StatusTooManyRequests:
		return ErrRateLimit
	case status/100 == 4:
		return ErrValidation
	}
	return ErrServer
}

// invalid is a request that is not worth sending.
func invalid(code, field, message string) *Error {
	return &Error{Kind: ErrValidation, Code: code, Message: message, Errors: []FieldError{{Field: field, Pointer: "#/" + field, Code: code, Message: message}}}
}

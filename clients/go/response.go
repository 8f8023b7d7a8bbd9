package postroad

import (
	"encoding/json"
	"net/http"
)

// Response is in everything the server answers: what came, beyond the fields this
// package knows.
type Response struct {
	raw    json.RawMessage
	header http.Header
}

type keeper interface {
	keep(raw []byte, header http.Header)
}

func (r *Response) keep(raw []byte, header http.Header) { r.raw, r.header = raw, header }

// Raw is the JSON as it came, with fields this package does not know.
func (r *Response) Raw() json.RawMessage { return r.raw }

// Field reads a field by its name into to, and tells whether it was there.
func (r *Response) Field(name string, to any) bool { return member(r.raw, name, to) }

// ETag is the version of what was answered, for [IfMatch]; "" where it has none, and in lists.
func (r *Response) ETag() string { return r.header.Get("ETag") }

// RequestID is the one of the answer; "" in lists.
func (r *Response) RequestID() string { return r.header.Get("X-Request-Id") }

// Replayed tells that the server had answered this idempotency key before, and that this
// is that answer.
func (r *Response) Replayed() bool { return r.header.Get("Idempotency-Replayed") == "true" }

// Header is the whole of the answer's header, nil in lists.
func (r *Response) Header() http.Header { return r.header }

// Warning is something the server accepted and finds doubtful.
type Warning struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}

// Optional is a field of a change: left alone, set, or set to null (its default).
type Optional[T any] struct {
	given bool
	value *T
}

// Set changes a field to v.
func Set[T any](v T) Optional[T] { return Optional[T]{true, &v} }

// Null takes a field's value away.
func Null[T any]() Optional[T] { return Optional[T]{given: true} }

// IsZero leaves fields that are not changed out of the request.
func (o Optional[T]) IsZero() bool { return !o.given }

// MarshalJSON writes the value, or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.value) }

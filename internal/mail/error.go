package mail

import (
	"errors"
	"strings"
)

// Error is a fault of the caller's: one field of a request, what is wrong with it and
// how to mend it. It is safe to show. Faults of the site are a [Reply] in an
// [Attempt]; faults of ours are plain wrapped errors and never shown.
type Error struct {
	Code       string // contract, e.g. "invalid_email"
	Field      string // e.g. "attachments[0].content"; empty when no field is meant
	Pointer    string // RFC 6901 fragment, e.g. "#/attachments/0/content"
	Message    string // prose: what is wrong and the fix
	Suggestion string // a value that would do, or ""
	Line       int    // in a template, from 1; 0 when no place is meant
	Column     int    // likewise, in characters
	Status     int    // HTTP status where it differs from 422, else 0
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Faults is every fault of one request, never the first only.
type Faults []*Error

func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, e := range f {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}

// Warning is something a caller should know about a request that was accepted.
type Warning struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer,omitempty"`
	Message string `json:"message"`
}

// What a store says when something is not there, or is in the way.
var (
	ErrNotFound  = errors.New("not found")
	ErrNoContent = errors.New("the content is no longer kept")
	ErrExists    = errors.New("already exists")
	ErrStale     = errors.New("changed meanwhile") // an If-Match that no longer holds
)

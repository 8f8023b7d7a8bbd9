package dns

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// The kinds of failure; an [Error] is one of them.
var (
	ErrNotFound  = errors.New("no such name")
	ErrNoData    = errors.New("no such record")
	ErrTemporary = errors.New("no answer for now")
	// ErrBadName is a text that can be no name in the DNS. It is an ErrNotFound too.
	ErrBadName = fmt.Errorf("not a domain name: %w", ErrNotFound)
)

// Error is a question that got no records.
type Error struct {
	Kind   error // ErrNotFound, ErrNoData or ErrTemporary
	Name   string
	Type   string // "MX"
	Server string // the one that said so, or was asked last; may be empty
	Detail string // what exactly, e.g. "SERVFAIL", "timeout"
}

// Error tells it in one line that is safe to show.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s of %s: %v", e.Type, e.Name, e.Kind)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}

// Unwrap makes errors.Is tell the kind.
func (e *Error) Unwrap() error { return e.Kind }

func (q question) fail(kind error, server, detail string) *Error {
	return &Error{Kind: kind, Name: shown(q.name), Type: dns.TypeToString[q.qtype], Server: server, Detail: detail}
}

package route

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Route is all decided about reaching a destination, each with why.
type Route struct {
	Destination string
	Site        string // "google", or the name of the best MX host; "sandbox" for Capture
	Capture     bool   // never leaves the host: the sandbox plays the recipient's server
	Hosts       []Host // in the order they are to be tried; equals already shuffled
	Implicit    bool   // no MX record: the destination is its own host (RFC 5321 §5.1)
	Source      Source
	TLS         TLSMode
	Why         []Step
	DNS         time.Duration // what looking it up took
	Until       time.Time     // when it must be decided afresh
}

// Host is one mail exchanger; its addresses are looked up when it is dialled.
type Host struct {
	Name       string
	Preference uint16
}

// Source is one way out.
type Source struct {
	Name  string // in lanes and attempts: the local address, or "default"
	Local string // address to dial from; "" = the system's choice
	EHLO  string
	Smart *SmartHost // nil: straight to the recipients' servers
}

// TLSMode says how much TLS an attempt needs.
type TLSMode uint8

const (
	Opportunistic TLSMode = iota // STARTTLS when offered; in clear when it fails
	Required                     // a verified certificate, else temporary failure
)

// Step is one decision: what, and why.
type Step struct{ What, Why string }

// Refusal is the error of a destination that cannot be routed. Permanent ones (null
// MX, NXDOMAIN) bounce at once; the others wait for the ladder.
type Refusal struct {
	Permanent bool
	Class     mail.Class
	Reply     mail.Reply // Code 0 and the reason in words, or the enhanced code RFC 7505 asks for
	DNS       time.Duration
}

func (r *Refusal) Error() string { return r.Reply.Text }

// Router decides. Route may ask the DNS and so block until ctx ends; Cached answers
// at once, with nil when it would have to ask.
type Router interface {
	Route(ctx context.Context, env mail.Env, destination string) (*Route, error)
	Cached(env mail.Env, destination string) *Route
}

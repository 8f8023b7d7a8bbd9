package mail

import (
	"strings"
	"time"
)

// The kinds of suppression. The order is the order of weight: if several apply to an
// address, the first is the one reported.
const (
	KindComplaint   = "complaint"
	KindHardBounce  = "hard_bounce"
	KindManual      = "manual" // also "import", and any other slug of a caller's
	KindUnsubscribe = "unsubscribe"
)

// Suppression is an address an owner must not write to, and what caused it. There is
// one per owner, address, kind and topic.
type Suppression struct {
	ID      ID
	Row     int64
	Owner   Owner
	Address string // folded: see [FoldAddress]
	Reason  string // as written by whoever caused it
	Kind    string // what it means; drives behaviour
	Topic   string // "" = all mail of the project
	Source  string // "system", "api", "console", "recipient", "import"
	Message ID     // the one that caused it, if any
	Detail  string // e.g. the reply
	Note    string

	CreatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	BlockedCount  int64
	LastBlockedAt time.Time
}

// KindOf tells what a reason means.
func KindOf(reason string) string {
	switch reason {
	case "complaint":
		return KindComplaint
	case "hard_bounce":
		return KindHardBounce
	case "unsubscribe", "user_unsubscribed", "unsubscribed":
		return KindUnsubscribe
	}
	return KindManual
}

// FoldAddress is the form in which suppressions compare addresses: lower case, the
// local part too.
func FoldAddress(address string) string { return strings.ToLower(address) }

package webhook

import (
	"encoding/binary"
	"time"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// What a hook is, as the outside is told. Parked is an open one that waits for its endpoint.
const (
	Pending   = "pending"
	Parked    = "parked"
	Delivered = "delivered"
	Failed    = "failed"
)

// Hook is one event owed to one endpoint. There is never more than one of the same two.
type Hook struct {
	Endpoint  int64 // row
	Position  int64 // of the event in the log
	CreatedAt time.Time
	Due       time.Time
	Tries     int // that count
	// Message is the row of the message whose events this endpoint is told in order; else 0.
	Message int64
	// Hasten is for ReplayHooks: to be due now if it is open still, and left alone if it is over.
	Hasten bool
	Entry  *eventlog.Entry // what it tells; shared by the hooks of one event
}

// ID gives the hook's public identifier.
func (h *Hook) ID() mail.ID { return HookID(h.Endpoint, h.Position, h.Entry.At) }

const positionBits = 48

// HookID makes the identifier of an endpoint's hook for the event at a position: a UUIDv7
// (RFC 9562 §5.7) of the event's time, whose other 74 bits are the endpoint's row (26) and the
// position (48). So the same two have the same name for ever, and no index is needed to find
// a hook by it.
func HookID(endpoint, position int64, at time.Time) (id mail.ID) {
	ms := uint64(at.UnixMilli())
	e, p := uint64(endpoint)&(1<<26-1), uint64(position)&(1<<positionBits-1)
	binary.BigEndian.PutUint64(id[:8], ms<<16|7<<12|e>>14)
	binary.BigEndian.PutUint64(id[8:], 2<<62|e&(1<<14-1)<<positionBits|p)
	return id
}

// SplitHookID reads what [HookID] put in. Whether there is such a hook, with an event of
// that time, is for the store to say.
func SplitHookID(id mail.ID) (endpoint, position int64) {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	return int64(hi&(1<<12-1)<<14 | lo>>positionBits&(1<<14-1)), int64(lo & (1<<positionBits - 1))
}

// Delivery is a hook with what came of it: what the outside is shown.
type Delivery struct {
	ID        mail.ID // "whd_"
	Endpoint  mail.ID // "wh_"
	Event     mail.ID // "evt_"
	Position  int64
	Type      mail.EventType
	Message   mail.ID // zero when the event is about no message
	Status    string
	Attempts  int // that count: probes of an open breaker do not
	CreatedAt time.Time
	// NextAttempt is zero when there will be none, or nobody knows when: parked.
	NextAttempt time.Time
	SettledAt   time.Time
	URL         string // the endpoint's present one

	// Tries are the newest ones, oldest first, of a single delivery; in lists none, or the
	// last one where DeliveryQuery.Last asks for it.
	Tries []Record
	// Body is what was sent, made again from the event: of a single delivery, and where Bodies asks.
	Body []byte
	// Entry is what it tells, for the service to make Body of: where Bodies asks.
	Entry *eventlog.Entry
}

// Record is one try as it is kept.
type Record struct {
	At              time.Time
	Duration        time.Duration
	RequestHeaders  []mail.Header
	Status          int
	ResponseHeaders []mail.Header
	Response        string
	Error           string
	Probe           bool // of an open breaker: it did not count
}

// DeliveryQuery asks for a page of an endpoint's deliveries, in the order of the log.
type DeliveryQuery struct {
	Owner     mail.Owner
	Endpoint  mail.ID // zero: of all the owner's endpoints (the Hyvor dialect), newest first only
	Status    string  // "" = any
	Types     []string
	Message   mail.ID
	After     int64 // the last position seen; 0 begins
	Ascending bool  // oldest first; else newest first
	Limit     int
	Last      bool // with the last try of each
	Bodies    bool
}

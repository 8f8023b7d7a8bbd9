package mail

import "fmt"

// Status is where a delivery stands, as the outside is told. The drawing is in the
// package's doc. The numbers are stored: add at the end, never renumber.
type Status uint8

const (
	Scheduled  Status = iota + 1 // waits for its time; Queued follows
	Queued                       // durable on our disk: what the 202 says
	Accepted                     // routed and placed in a lane; waits its turn on the wire
	Deferred                     // an attempt failed for now; the next one has a time
	Held                         // stopped by an order that says who, why and until when
	Delivered                    // the site answered 2xx after the data; may still become Bounced or Complained
	Bounced                      // refused for good, or the retries are used up
	Complained                   // the recipient's operator reported it as spam
	Suppressed                   // on the suppression list; no attempt was made
	Cancelled                    // by a caller, or superseded by a newer message
	Expired                      // its expiry passed first
	Failed                       // a permanent fault of ours or the caller's after acceptance
)

var statusNames = [...]string{
	Scheduled: "scheduled", Queued: "queued", Accepted: "accepted", Deferred: "deferred", Held: "held",
	Delivered: "delivered", Bounced: "bounced", Complained: "complained", Suppressed: "suppressed",
	Cancelled: "cancelled", Expired: "expired", Failed: "failed",
}

func (s Status) String() string {
	if int(s) < len(statusNames) && s > 0 {
		return statusNames[s]
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// ParseStatus reads a status name as [Status.String] writes it.
func ParseStatus(s string) (Status, bool) {
	for i, name := range statusNames {
		if name != "" && name == s {
			return Status(i), true
		}
	}
	return 0, false
}

// Final tells whether the queue is done with a delivery of this status.
func (s Status) Final() bool { return s >= Delivered }

// statusRank orders what a message of several recipients is called: open before
// final, trouble before success.
var statusRank = [...]uint8{
	Held: 1, Deferred: 2, Scheduled: 3, Queued: 4, Accepted: 5,
	Failed: 6, Bounced: 7, Expired: 8, Complained: 9, Suppressed: 10, Cancelled: 11, Delivered: 12,
}

// Overall is the status of a message: the first that any of its recipients has, of
// held, deferred, scheduled, queued, accepted, failed, bounced, expired, complained,
// suppressed, cancelled, delivered. Without recipients it is 0.
func Overall(of ...Status) Status {
	var best Status
	for _, s := range of {
		if best == 0 || statusRank[s] < statusRank[best] {
			best = s
		}
	}
	return best
}

// Wait says why a delivery is not on its way now. Stored: never renumber.
type Wait uint8

const (
	NoWait        Wait = iota // it does not wait: leased, or final
	WaitNew                   // accepted, not yet looked at
	WaitScheduled             // its time has not come
	WaitRetry                 // an attempt failed for now
	WaitLaneFull              // its lane had no room
	WaitThrottled             // its lane is slowed, or its site is not answering
	WaitPaused                // an operator paused its queue
	WaitHeld                  // an order holds it
	WaitRescued               // the node that had it went away
)

var waitNames = [...]string{"", "new", "scheduled", "retry", "lane_full", "throttled", "paused", "held", "rescued"}

func (w Wait) String() string {
	if int(w) < len(waitNames) {
		return waitNames[w]
	}
	return fmt.Sprintf("wait(%d)", uint8(w))
}

// Tier ranks mail waiting for the same lane ("priority" in the APIs): the lower goes
// first. Stored: never renumber.
type Tier uint8

const (
	Urgent Tier = iota
	Normal
	Bulk
	Tiers = 3 // how many there are
)

func (t Tier) String() string {
	switch t {
	case Urgent:
		return "urgent"
	case Bulk:
		return "bulk"
	}
	return "normal"
}

// ParseTier reads a tier; "critical" and "high" mean urgent, "low" means bulk.
func ParseTier(s string) (Tier, bool) {
	switch s {
	case "urgent", "critical", "high":
		return Urgent, true
	case "normal":
		return Normal, true
	case "bulk", "low":
		return Bulk, true
	}
	return Normal, false
}

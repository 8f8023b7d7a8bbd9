// Package mail holds the words the rest of Postroad speaks: what a message, a
// delivery, an attempt, an event and a reply are. It is the bottom of the house:
// it imports nothing of ours, and every other package imports it.
//
// The life of one delivery (one message to one recipient), as [Status]:
//
//	Scheduled ─▶ Queued ─▶ Accepted ─▶ Delivered ──▶ Bounced     a bounce report came later
//	                │         │  ▲  └───────────────▶ Complained  a complaint report
//	                │         ▼  │
//	                │       Deferred   tried again: +30 s, +5 m, +30 m, +2 h, +5 h
//	                │         │
//	                ├─────────┴──▶ Bounced   refused for good, or the sixth attempt failed
//	                ├──▶ Suppressed   Cancelled   Expired   Failed
//	                └──▶ Held         goes on later
//
// Beside its status a delivery is, for the queue, in one of three places ([Hold]):
// Waiting (due at a time, for a reason: [Wait]), Leased (one node has the right to
// work on it until a time: [Lease]) or Done (its status is final).
package mail

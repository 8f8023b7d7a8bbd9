// Package webhook posts events to URLs of a project's, its endpoints. At least once, signed
// (Standard Webhooks), one event a request; unordered, unless an endpoint asks for order
// within a message.
//
//	Relay     reads the log behind its place and writes one hook per event and endpoint that
//	          is owed it; hooks and place are one commit
//	lease     an endpoint is worked by one node at a time, so its pace, its order and its
//	          breaker need no agreement between nodes; hooks themselves are never leased
//	queue     an endpoint's due hooks, a small page of them in memory, the rest in the store
//	post      a [Poster] signs and sends one; the answer is judged
//	settle    what came of many posts is one commit, with the endpoint's state after it
//
// A hook is open until it is delivered or failed:
//
//	          ┌────────── retry at its schedule's next time ◀──┐
//	owed ──▶ open ──▶ post ──▶ 2xx: delivered                   │
//	                    │                                       │
//	                    ├──▶ else, while tries are left ────────┘
//	                    └──▶ tries used up, or the endpoint said abort-message: failed
//
// While its endpoint's breaker is open, or the endpoint is disabled, an open hook is parked:
// a matter of the endpoint, not written on any hook. Failed and delivered hooks can be opened
// again (retry, replay): the event is the same, so is its webhook-id.
//
// A crash between a post and its record posts that one again. A crash between an event's
// commit and its hooks loses nothing: the log is read again from the place.
package webhook

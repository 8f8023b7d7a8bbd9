// Package queue gives every due delivery its attempt, and what comes of it its record.
// The [Store] is the queue: what this package holds in memory is leased from it.
//
//	              Dispatch (leased with its acceptance)
//	                 │
//	Store.Claim ─▶ admit ─▶ route known? ─▶ Lanes.Offer ─▶ session ─▶ Begin ─▶ … ─▶ done
//	   ▲             │        no │  ▲            │ full                              │
//	   │             │           ▼  │            ▼                                   ▼
//	 claim loop      │       look up (bounded)   given back ──────────────────▶ Store.Settle
//	   ▲             │                                                               │
//	   └── woken by: room in a lane, a time that came, Waiting, a change of an order ┘
//
// The unit in memory is a [load]: one message's deliveries to one site. It is in the
// ledger from admission until its results are on disk, and the keeper renews its lease as
// long. [Queue.Run] owns all goroutines:
//
//	claim    leases what is due, as far as lanes have room ([Queue.claimAll])
//	look up  at most Options.Lookups at a time; one that hangs holds its destination only
//	lanes    [lane.Manager.Run]
//	foresee  asks Store.Begin about the jobs sessions come to next ([foresight])
//	settle   gathers results while the commit before them is on its way ([settler.run])
//	keep     renews leases, then rescues those that others lost ([Queue.keep])
//	complain reports complaints of the sandbox when their time comes ([Queue.complainLoop])
//
// First come, first served, within a project, tier and destination: mail accepted while older mail
// of its kind waits in the store must not overtake it, so [Queue.Reserve] says no while
// there is such a backlog ([backlog]).
//
// A result is worked out in one place, [Queue.resultOf]: delivered, deferred on the
// ladder, bounced, uncertain, or given back as if nothing had happened.
package queue

// Package sqlite is the embedded engine of [store.Store]: one SQLite database in WAL mode
// in the data directory, with large bodies as files beside it.
//
// # Writing
//
// [Open] starts one writer, which owns the only connection that writes. A method that
// writes prepares what it can on its caller's goroutine (JSON, compression, files), then
// hands the writer an op: a function on the open transaction ([tx]). The writer takes all
// ops that wait, runs them in one transaction, commits, which syncs (synchronous=FULL),
// and answers them together; while it syncs, the next group gathers. An op looks before
// it writes, so that "not found" costs the others nothing. One that fails after it wrote
// has the group undone and each op run again in a transaction of its own.
//
//	Accept ── prepareEntry ─┐                       ┌─▶ disk
//	Begin, Settle ──────────┼─▶ queue ─▶ commitGroup ┤   then apply: heads, counters, wake
//	Claim, Cancel, … ───────┘                       └─▶ answers
//
// Because there is one writer it may keep in memory, without asking, the next row
// numbers, the lease tokens, the counters of Depth and the queue heads. Transactions
// change a copy ([memory]), which counts from the commit on. [lockDir] keeps a second
// process out.
//
// # The queue
//
// A delivery's row says where it stands: it waits when queue ("01example.com":
// environment, tier, destination) is set, is leased when lease_until is, else it is
// done. Both have partial indexes, so what is done costs nothing. For each queue in
// which something waits the heads hold a lower bound of its earliest due time:
// [Store.Claim] walks them, asks Room, and reads the waiting index only where there is
// room. A million deliveries waiting for one destination are one head.
//
// On the fast path a delivery enters leased, so the whole life of a message is three
// ops: Accept inserts message, body, delivery, event; Begin updates the delivery and
// inserts an event; Settle updates it and inserts attempt and event. Events and attempts
// hang on their delivery in chains and need no index.
//
// # Reading
//
// Readers are a small pool of connections that cannot write. Several statements that
// belong together see one snapshot. [Store.Messages] tells what drives a search.
//
// # What differs from a database server
//
// A row of events is its position, as one writer hands rows out in commit order.
// Fencing tokens are a counter in memory that starts at the clock. Ops of one group see
// each other's writes, so twins of an idempotency key meet in a SELECT and not in an
// index.
package sqlite

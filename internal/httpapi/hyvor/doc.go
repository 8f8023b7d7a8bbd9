// Package hyvor is the console contract of Hyvor Relay under /api/console, so that an
// application written for it needs another base URL and another key and nothing else. It
// translates both ways and decides nothing: mail goes in by [submit.Service], what became of
// it is read from the archive.
//
// A call passes [API.enter] (who calls, in this dialect's order and words), [limits], then
// its handler, which gives a value to be written as JSON or a [refusal]. What is refused
// elsewhere, in the door or in the core, is put into this dialect's words by [API.problem].
//
// POST /sends: [readSend] reads the body and tells what is wrong with it, submit judges it,
// [API.refuse] says its faults in this dialect's words, [remembering] keeps refusals under
// their idempotency key.
//
// The contract is in docs/hyvor.md. Where Hyvor's documentation and service differ, the
// service wins unless the documentation promises more.
package hyvor

// Package submit is the one way in: every door hands a [Request] to [Service.Submit],
// which
//
//	judges    every field, so that all faults are told at once        judge.go, sender.go, recipients.go, …
//	renders   the bytes that are kept and sent                        content.go
//	screens   the recipients against the suppression list             screen.go
//	accepts   in one commit of the [Store], with the first events,
//	          the idempotency key and, for what can leave at once,
//	          this node's lease                                       accept.go
//	hands on  what it leased to the [Dispatcher], without a claim
//
// [Service.SubmitBatch] takes many messages the same way, one after another, into one
// commit (batch.go). [Service.SubmitRaw] takes one that came finished and keeps its bytes
// (raw.go, rawheader.go). [Service.Hold] puts aside what may be too large for memory before
// it is known what it is (hold.go). Hosted attachments are kept apart behind signed [Links]
// (hosted.go, link.go).
//
// [Service.Resend] makes a new message of an old one's bytes and goes the same way from
// the third step on.
package submit

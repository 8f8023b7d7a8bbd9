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
// [Service.Resend] makes a new message of an old one's bytes and goes the same way from
// the third step on.
package submit

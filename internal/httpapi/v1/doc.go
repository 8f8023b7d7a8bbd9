// Package v1 is the /v1 contract: it translates both ways and decides nothing.
//
// POST /v1/messages, the hot path, is [API.send]:
//
//	readObject   the body is one valid JSON object              value.go
//	readSend     its members become a submit.Request            sendbody.go, fields.go
//	fingerprint  of requests with an idempotency key            fingerprint.go
//	Turn, Admit  twins wait; one request is drawn               httpapi/once.go
//	Submit       validates, renders, commits                    package submit
//	accepted     what the caller is told, written in the commit accepted.go
//
// The look-up of a remembered answer comes, in effect, before the limits and before
// validation, as the contract wants. In fact the unique index finds replays while
// accepting, and the look-up is made only where something else would be answered: so a
// new message costs no read.
//
// POST /v1/messages/batch is [API.sendBatch] (batch.go, batchitem.go, batchanswer.go), raw
// is [API.sendRaw]; multipart.go reads files beside the JSON, hosted.go serves those that
// are kept behind links.
//
// Everything else reads from the archive ([messages.go], [content.go]), orders changes
// from the queue ([change.go]), or manages keys, domains, suppressions and the project.
// Shapes that go out are in shape.go; cursors, bound to their filter, in cursor.go.
package v1

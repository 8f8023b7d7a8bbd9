// Package httpapi holds what all HTTP dialects share and knows none of them: a dialect
// brings a table of [Route]s and gets back an http.Handler from [Door.Handler].
//
// A request goes through [Door.serve] in this order, and no handler can forget a step:
//
//	open     a request id, the client's address, a recover for what comes after
//	match    the route; what is unknown is a 404 or 405 in JSON, like every answer
//	admit    authentication → scope → address           (project.Access)
//	read     the body: 50 MB at most, counted unpacked; see body.go and gate.go
//	draw     one request from the caller's limits        (project.Limits)
//	handle   the dialect's work
//	answer   rate limit, request id and security headers on every answer: answer.go
//
// Routes with Streams set leave bodies of those media types to their handler, which reads
// them at the client's pace and counted like all others (stream.go).
//
// Routes with Once set draw inside [Call.Begin], because a remembered answer comes
// before the limits: it costs no quota, and no 429 ever hides it (once.go).
//
// Errors are written as problem+json from a *mail.Error, mail.Faults, or one of the
// codes in problem.go; whatever else goes wrong is ours, is logged with the request id,
// and is shown as internal_error or storage_unavailable without its text.
package httpapi

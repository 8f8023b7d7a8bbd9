// Package webhooks has the built binary post hooks to receivers on loopback.
//
// Verify: the official libraries of Standard Webhooks (Go and npm) take what real HTTP
// receivers got, and refuse it after a changed byte, with another secret, and when it is
// old. npm's is installed as package-lock.json says, once, into the user's cache.
//
// Isolation: beside endpoints that hang, answer 500, redirect to a metadata service, lead
// to this host by a name that changed after it was checked, or answer with a gigabyte, the
// good ones get their events as fast as ever.
//
// Many: fifty endpoints share a thousand events a second; each gets its own, all of them.
//
// Kill: after kill -9 at random moments every event reaches the endpoint, and what comes
// twice comes under the same webhook-id.
//
// Receivers listen on 127.1.0.x, which POSTROAD_ALLOW_NETWORKS opens; 127.0.0.1 stays what
// it is to a guard: forbidden.
package webhooks

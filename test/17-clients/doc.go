// Package clients shows that the client libraries do what they say against the real
// binary: the Go client (clients/go) call by call, the TypeScript client
// (clients/typescript) by its own tests on Node, and every block of code in the READMEs.
package clients
